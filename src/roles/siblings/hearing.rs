//! What siblings know, from each that says so in time; who does not is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use tidewater_flight_sql::siblings::{Ask, Heard};

use super::Others;
use crate::settings::Sibling;

/// How long all of them together are waited for: what this process knows itself waits as long.
const DEADLINE: Duration = Duration::from_secs(1);

/// Asks all of them.
pub(super) async fn hear(others: &Others, ask: &Ask) -> Heard {
    let mut late = others.clock.sleep(DEADLINE);
    // None of them is in the way of who cancels.
    let room = match ask {
        Ask::History { .. } => &others.hearings,
        _ => &others.looks,
    };
    let room = tokio::select! {
        room = room.acquire() => room.ok(),
        () = &mut late => None,
    };
    let Some(_room) = room else {
        tracing::warn!("too many ask at once what siblings know: they are not asked");
        let names = others.siblings.iter().cloned().map(String::from);
        return Heard {
            answers: Vec::new(),
            silent: names
                .map(|name| format!("too much is asked at once for {name}"))
                .collect(),
        };
    };
    let places = others.places().await;
    let mut asked = FuturesUnordered::new();
    for (address, sibling) in &places.known {
        asked.push(async move { (*address, others.send(*address, sibling, ask).await) });
    }
    let mut answers = BTreeMap::new();
    loop {
        let said = tokio::select! {
            said = asked.next() => said,
            () = &mut late => None,
        };
        match said {
            Some((address, Ok(answer))) => drop(answers.insert(address, answer)),
            Some((address, Err(reason))) => tracing::info!(%address, reason, "a sibling tells nothing"),
            None => break,
        }
    }
    let mut silent = places.missed;
    silent.extend(silent_of(&places.known, |address| answers.contains_key(address)));
    Heard {
        answers: answers.into_values().collect(),
        silent,
    }
}

/// Who of them said nothing. Of a name that stands for this machine (`localhost`, by both families) one address is enough: the process
/// listens where it is told to.
fn silent_of(known: &BTreeMap<SocketAddr, &Sibling>, answered: impl Fn(&SocketAddr) -> bool) -> BTreeSet<String> {
    let here = |address: &SocketAddr| address.ip().is_loopback();
    let heard_here: Vec<&Sibling> = known
        .iter()
        .filter(|&(address, _)| here(address) && answered(address))
        .map(|(_, sibling)| *sibling)
        .collect();
    let mut silent = BTreeSet::new();
    for (address, sibling) in known {
        let is_heard = answered(address) || (here(address) && heard_here.contains(sibling));
        if is_heard {
            continue;
        }
        let place = match here(address) {
            true => String::from(Sibling::clone(sibling)),
            false => address.to_string(),
        };
        silent.insert(format!("{place} does not answer"));
    }
    silent
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: each process that says nothing is told once, by its address, and one of this machine by its name, unless it answers by another
    // family of addresses. Method: two names of this machine of which one answers by one of its two addresses, and a name of three others of
    // which one answers.
    #[test]
    fn who_says_nothing_is_told_once() {
        let sibling = |text: &str| Sibling::try_from(text.to_owned()).expect("a place");
        let (up, down, far) = (
            sibling("localhost:8080"),
            sibling("localhost:8081"),
            sibling("sql:8080"),
        );
        let known: BTreeMap<SocketAddr, &Sibling> = [
            ("127.0.0.1:8080", &up),
            ("[::1]:8080", &up),
            ("127.0.0.1:8081", &down),
            ("[::1]:8081", &down),
            ("10.0.0.1:8080", &far),
            ("10.0.0.2:8080", &far),
            ("[fd00::2]:8080", &far),
        ]
        .into_iter()
        .map(|(address, sibling)| (address.parse::<SocketAddr>().expect("an address"), sibling))
        .collect();
        let answers = ["127.0.0.1:8080", "10.0.0.1:8080"];
        let silent = silent_of(&known, |address| answers.contains(&address.to_string().as_str()));
        let silent: Vec<&str> = silent.iter().map(String::as_str).collect();
        assert_eq!(
            silent,
            [
                "10.0.0.2:8080 does not answer",
                "[fd00::2]:8080 does not answer",
                "localhost:8081 does not answer"
            ]
        );
    }
}
