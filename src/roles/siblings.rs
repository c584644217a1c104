//! The other processes that answer statements, asked over their control endpoints to end what does not run here, and what they know
//! (`hearing`): all at the same time, each once, within a deadline. What they are asked they ask nobody else.

mod hearing;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use tokio::net::lookup_host;
use tokio::sync::{Semaphore, mpsc};

use tidewater_catalog_client::Bearer;
use tidewater_core::{SharedClock, Tasks};
use tidewater_flight_sql::Siblings;
use tidewater_flight_sql::history::KNOWN_BYTES_MAX;
use tidewater_flight_sql::siblings::{Answer, Ask, Found, Heard};

use super::Parts;
use crate::cli::failure::{Failure, Reason};
use crate::control::SIBLINGS_PATH;
use crate::settings::Sibling;

/// How long all of them together are waited for: whoever cancels a statement waits as long.
const DEADLINE: Duration = Duration::from_secs(2);

/// How long the addresses behind their names are waited for: one name that leads nowhere keeps nobody from being asked.
const NAMES_DEADLINE: Duration = Duration::from_millis(500);

/// Processes that are asked; of more addresses the first.
const ASKED_MAX: usize = 32;

/// Requests to end something that are asked of others at once. More are answered as if nobody else were there, so that no client keeps all
/// processes busy.
const ASKS_MAX: usize = 64;

/// Statements that ask for connections of others at once; more wait. They take no place of those that end something.
const LOOKS_MAX: usize = 64;

/// Longest answer: the connections of one user, of which a process has some thousands at most.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Longest answer of what a process knows of its statements, which bounds itself.
const HISTORY_BYTES_MAX: usize = KNOWN_BYTES_MAX + ANSWER_BYTES_MAX;

/// Statements that ask for the statements of others at once; more wait. Each holds up to 72 MiB of answers.
const HEARINGS_MAX: usize = 2;

/// Asks them.
#[derive(Debug)]
struct Others {
    siblings: Vec<Sibling>,
    /// For those that are called without TLS.
    plain: Client,
    authorities: Vec<Certificate>,
    bearer: Bearer,
    clock: SharedClock,
    room: Semaphore,
    looks: Semaphore,
    hearings: Semaphore,
    told: mpsc::Sender<Ask>,
}

/// Where they are.
#[derive(Debug, Default)]
struct Places<'a> {
    /// Those that are asked.
    known: BTreeMap<SocketAddr, &'a Sibling>,
    /// Why others are not: names that lead nowhere, and addresses beyond the limit.
    missed: Vec<String>,
}

/// The siblings of the configuration; none where there are none.
pub(super) fn others(parts: &Parts) -> Result<Option<Arc<dyn Siblings>>, Failure> {
    let settings = &parts.settings;
    let siblings = settings.flight_sql.siblings.clone();
    let Some(bearer) = settings.sibling_bearer().filter(|_| !siblings.is_empty()) else {
        return Ok(None);
    };
    let (told, asks) = mpsc::channel(ASKS_MAX);
    let others = Arc::new(Others {
        siblings,
        plain: client()
            .build()
            .map_err(|error| Failure::of(Reason::Start, format!("cannot make a client for siblings: {error}")))?,
        authorities: settings.catalog_authorities()?,
        bearer,
        clock: Arc::clone(&parts.clock),
        room: Semaphore::new(ASKS_MAX),
        looks: Semaphore::new(LOOKS_MAX),
        hearings: Semaphore::new(HEARINGS_MAX),
        told,
    });
    let tasks = parts.tasks.child("siblings");
    tasks.spawn("told", pass_on(Arc::clone(&others), asks, tasks.clone()));
    Ok(Some(others))
}

fn client() -> ClientBuilder {
    // What is shown to one address is shown to no other.
    Client::builder().redirect(Policy::none()).no_proxy().timeout(DEADLINE)
}

/// Asks what was told by who could not wait.
async fn pass_on(others: Arc<Others>, mut asks: mpsc::Receiver<Ask>, tasks: Tasks) {
    let stop = tasks.token();
    loop {
        let ask = tokio::select! {
            ask = asks.recv() => ask,
            () = stop.cancelled() => None,
        };
        let Some(ask) = ask else {
            return;
        };
        let others = Arc::clone(&others);
        tasks.spawn("ask", async move {
            others.ask(&ask).await;
        });
    }
}

#[async_trait]
impl Siblings for Others {
    async fn ask(&self, ask: &Ask) -> Answer {
        let Ok(_room) = self.room.try_acquire() else {
            tracing::warn!("too much is to be ended at once: siblings are not asked");
            return Answer::default();
        };
        let mut together = Answer::default();
        tokio::select! {
            () = self.gather(ask, &mut together) => {}
            () = self.clock.sleep(DEADLINE) => tracing::warn!("not all siblings answered within {DEADLINE:?}"),
        }
        together
    }

    async fn hear(&self, ask: &Ask) -> Heard {
        hearing::hear(self, ask).await
    }

    fn tell(&self, ask: Ask) -> bool {
        self.told.try_send(ask).is_ok()
    }
}

impl Others {
    /// Adds what they say, until one has ended what is to end or all have answered.
    async fn gather(&self, ask: &Ask, together: &mut Answer) {
        let places = self.places().await.known;
        let mut answers = FuturesUnordered::new();
        for (address, sibling) in &places {
            answers.push(self.ask_one(*address, sibling, ask));
        }
        while let Some(answer) = answers.next().await {
            together.join(answer);
            // Of a statement that was fetched twice each is ended where it runs.
            if together.found == Found::Ended && !matches!(ask, Ask::Statement { .. }) {
                return;
            }
        }
    }

    /// Where they are now: processes come and go behind a name.
    async fn places(&self) -> Places<'_> {
        let mut looks = FuturesUnordered::new();
        for sibling in &self.siblings {
            looks.push(addresses(sibling));
        }
        let mut nowhere: Vec<&Sibling> = self.siblings.iter().collect();
        let mut places = BTreeMap::new();
        let mut late = self.clock.sleep(NAMES_DEADLINE);
        loop {
            let look = tokio::select! {
                look = looks.next() => look,
                () = &mut late => {
                    tracing::warn!("not all names of siblings led somewhere within {NAMES_DEADLINE:?}");
                    None
                }
            };
            let Some((sibling, addresses)) = look else {
                break;
            };
            if !addresses.is_empty() {
                nowhere.retain(|other| *other != sibling);
            }
            for address in addresses {
                places.insert(address, sibling);
            }
        }
        let nowhere = nowhere.into_iter().cloned().map(String::from);
        let mut missed: Vec<String> = nowhere.map(|name| format!("{name} leads nowhere")).collect();
        if places.len() > ASKED_MAX {
            missed.push(format!(
                "{} addresses are too many to be asked",
                places.len() - ASKED_MAX
            ));
            tracing::warn!(
                addresses = places.len(),
                asked = ASKED_MAX,
                "not all siblings are asked"
            );
        }
        Places {
            known: places.into_iter().take(ASKED_MAX).collect(),
            missed,
        }
    }

    /// What one of them says. One that does not answer is as if it were not there.
    async fn ask_one(&self, address: SocketAddr, sibling: &Sibling, ask: &Ask) -> Answer {
        match self.send(address, sibling, ask).await {
            Ok(answer) => answer,
            Err(reason) => {
                tracing::warn!(%address, reason, "a sibling does not answer");
                Answer::default()
            }
        }
    }

    async fn send(&self, address: SocketAddr, sibling: &Sibling, ask: &Ask) -> Result<Answer, String> {
        let unreachable = |error: reqwest::Error| chain(&error);
        let request = match sibling.secure {
            false => self.plain.post(format!("http://{address}{SIBLINGS_PATH}")),
            // The certificate is the name's, and the name has many addresses.
            true => {
                let mut client = client().resolve(&sibling.host, address);
                for authority in &self.authorities {
                    client = client.add_root_certificate(authority.clone());
                }
                let place = String::from(sibling.clone());
                client
                    .build()
                    .map_err(unreachable)?
                    .post(format!("{place}{SIBLINGS_PATH}"))
            }
        };
        let bytes_max = match ask {
            Ask::History { .. } => HISTORY_BYTES_MAX,
            _ => ANSWER_BYTES_MAX,
        };
        let request = request.bearer_auth(self.bearer.token()).json(ask);
        let mut response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(format!("it says {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > bytes_max {
                return Err(format!("its answer is longer than {bytes_max} bytes"));
            }
        }
        serde_json::from_slice(&body).map_err(|error| format!("its answer cannot be read: {error}"))
    }
}

/// The addresses of a name; none where it cannot be resolved.
async fn addresses(sibling: &Sibling) -> (&Sibling, Vec<SocketAddr>) {
    if let Ok(address) = sibling.host.parse::<IpAddr>() {
        return (sibling, vec![SocketAddr::new(address, sibling.port)]);
    }
    match lookup_host((sibling.host.as_str(), sibling.port)).await {
        Ok(found) => (sibling, found.collect()),
        Err(error) => {
            tracing::warn!(host = %sibling.host, %error, "a sibling's name leads nowhere");
            (sibling, Vec::new())
        }
    }
}

/// An error with what is behind it, which the client leaves out.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::routing::post;
    use axum::{Json, Router};
    use tidewater_core::SystemClock;
    use tokio::net::TcpListener;
    use uuid::Uuid;

    use super::*;

    /// A process that answers so, or never.
    async fn process(tasks: &Tasks, answer: Option<Found>) -> Sibling {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heed = move |Json(ask): Json<Ask>| async move {
            assert_eq!(ask, any());
            match answer {
                Some(found) => Json(Answer::from(found)),
                None => std::future::pending().await,
            }
        };
        let (routes, stop) = (Router::new().route(SIBLINGS_PATH, post(heed)), tasks.token());
        tasks.spawn("process", async move {
            let served = axum::serve(listener, routes).into_future();
            tokio::select! {
                served = served => served.expect("it serves"),
                () = stop.cancelled() => {}
            }
        });
        place(port)
    }

    fn place(port: u16) -> Sibling {
        Sibling::try_from(format!("127.0.0.1:{port}")).expect("a place")
    }

    fn any() -> Ask {
        Ask::Any { id: Uuid::from_u128(3) }
    }

    fn beside(siblings: Vec<Sibling>, room: usize) -> Others {
        let (told, _) = mpsc::channel(1);
        Others {
            siblings,
            plain: client().build().expect("a client"),
            authorities: Vec::new(),
            bearer: Bearer::fixed("shown"),
            clock: SystemClock::shared(),
            room: Semaphore::new(room),
            looks: Semaphore::new(LOOKS_MAX),
            hearings: Semaphore::new(HEARINGS_MAX),
            told,
        }
    }

    // Goal: what one says counts though others are away, say nothing or hang, and hanging ones are waited for until the deadline and no
    // longer; whoever finds no room is answered at once. Method: processes that answer each in their way; a port that nobody listens on.
    #[tokio::test]
    async fn those_that_answer_are_heard() {
        let tasks = Tasks::new("test");
        let away = {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            place(listener.local_addr().expect("an address").port())
        };
        let [ended, over, nothing] = [Found::Ended, Found::Over, Found::Nothing];
        let mut siblings = vec![away];
        for answer in [nothing, over] {
            siblings.push(process(&tasks, Some(answer)).await);
        }
        assert_eq!(beside(siblings.clone(), 1).ask(&any()).await.found, over);
        siblings.push(process(&tasks, None).await);
        let (others, clock) = (beside(siblings.clone(), 1), SystemClock::shared());
        let begun = clock.monotonic();
        assert_eq!(others.ask(&any()).await.found, over);
        let waited = clock.monotonic() - begun;
        assert!(waited >= DEADLINE / 2, "the one that hangs was waited for");
        assert!(waited < 2 * DEADLINE, "and no longer: {waited:?}");
        siblings.push(process(&tasks, Some(ended)).await);
        assert_eq!(beside(siblings.clone(), 1).ask(&any()).await.found, ended);
        assert_eq!(beside(siblings, 0).ask(&any()).await, Answer::default(), "no room");
        tasks.shutdown(DEADLINE).await;
    }

    // Goal: of each that says nothing in time it is told that it does, without being waited for any longer, and so it is where too much is
    // asked at once; and none of the places of those who cancel are taken. Method: one that answers, one that hangs, one that is away, and a
    // name that is none, asked though nobody has a place who cancels; then no room.
    #[tokio::test]
    async fn those_that_say_nothing_are_told() {
        let tasks = Tasks::new("test");
        let away = {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            place(listener.local_addr().expect("an address").port())
        };
        let says = process(&tasks, Some(Found::Over)).await;
        let hangs = process(&tasks, None).await;
        // Longer than a name may be: nobody is asked for it.
        let nowhere = Sibling::try_from(format!("{}:80", "x".repeat(300))).expect("a place");
        let others = beside(vec![away.clone(), says, hangs.clone(), nowhere.clone()], 0);
        let clock = SystemClock::shared();
        let begun = clock.monotonic();
        let heard = others.hear(&any()).await;
        let waited = clock.monotonic() - begun;
        assert!(waited < DEADLINE, "no longer than who cancels: {waited:?}");
        assert_eq!(heard.answers, [Answer::from(Found::Over)]);
        let silent: BTreeSet<String> = heard.silent.into_iter().collect();
        let named = |sibling: &Sibling, why: &str| format!("{} {why}", String::from(sibling.clone()));
        let expected = BTreeSet::from([
            named(&away, "does not answer"),
            named(&hangs, "does not answer"),
            named(&nowhere, "leads nowhere"),
        ]);
        assert_eq!(silent, expected);
        let full = u32::try_from(HEARINGS_MAX).expect("few");
        let _asking = others.hearings.acquire_many(full).await.expect("room");
        let heard = others.hear(&Ask::History { at_work: true }).await;
        assert_eq!((heard.answers.len(), heard.silent.len()), (0, 4), "no room");
        tasks.shutdown(DEADLINE).await;
    }
}
