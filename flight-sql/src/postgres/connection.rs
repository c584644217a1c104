//! One connection: its start, its login, and its messages one after the other.

use std::pin::pin;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use tidewater_core::{Coded, ErrorKind, SharedClock};
use tidewater_security::Principal;

use super::failure::{Failure, state};
use super::message::{self, MESSAGE_BYTES_MAX, Malformed, Message, Opening, STARTUP_BYTES_MAX};
use super::registry::Registry;
use super::reply::Replies;
use super::session::{Session, Settled};
use super::settings::{REPORTED, Settings};
use crate::service::QueryService;

/// Connections at once: as many as PostgreSQL's poolers usually ask for, and far more than statements that may be at work.
pub(super) const CONNECTIONS_MAX: usize = 5_000;

/// Time to log in, as PostgreSQL gives it.
const LOGIN_DEADLINE: Duration = Duration::from_secs(60);

/// Time that a client may take to read what it is sent: as long as a query may run, so that nobody holds one for ever.
const SEND_DEADLINE: Duration = Duration::from_secs(300);

/// Replies are sent when so much has come together: a few hundred rows.
const SEND_BYTES: usize = 64 << 10;

/// Read ahead while a statement runs, to see a client that goes away, and no more than this.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// What every connection needs.
#[derive(Debug, Clone)]
pub(super) struct Front {
    pub(super) service: QueryService,
    pub(super) registry: Registry,
}

/// The half that is read.
#[derive(Debug)]
struct Input {
    half: OwnedReadHalf,
    buffer: BytesMut,
}

/// Why a connection ends.
enum End {
    /// It was closed, or cannot be used.
    Gone,
    /// With this told to the client.
    Fatal(Failure),
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

impl From<Malformed> for End {
    fn from(malformed: Malformed) -> Self {
        Self::Fatal(Failure::protocol(malformed.0))
    }
}

impl Input {
    async fn opening(&mut self) -> Result<Opening, End> {
        loop {
            if let Some(opening) = message::opening(&mut self.buffer)? {
                return Ok(opening);
            }
            self.fill().await?;
        }
    }

    async fn message(&mut self, bytes_max: usize) -> Result<Message, End> {
        loop {
            if let Some(message) = message::message(&mut self.buffer, bytes_max)? {
                return Ok(message);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), End> {
        match self.half.read_buf(&mut self.buffer).await? {
            0 => Err(End::Gone),
            _ => Ok(()),
        }
    }

    /// Comes back when the client has gone away.
    async fn gone(&mut self) {
        while self.buffer.len() < AHEAD_BYTES_MAX {
            if self.fill().await.is_err() {
                return;
            }
        }
        std::future::pending().await
    }
}

/// The half that is written.
#[derive(Debug)]
pub(super) struct Wire {
    half: OwnedWriteHalf,
    pub(super) replies: Replies,
    clock: SharedClock,
}

/// The client cannot be reached.
#[derive(Debug)]
pub(super) struct Unreachable;

impl Wire {
    /// Sends what has come together, if it is enough to be worth it.
    pub(super) async fn relieve(&mut self) -> Result<(), Unreachable> {
        match self.replies.len() >= SEND_BYTES {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    /// Sends what has come together.
    pub(super) async fn flush(&mut self) -> Result<(), Unreachable> {
        let clock = self.clock.clone();
        let sending = self.half.write_all_buf(self.replies.buffer());
        tokio::select! {
            sent = sending => sent.map_err(|_| Unreachable),
            () = clock.sleep(SEND_DEADLINE) => Err(Unreachable),
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, front: Front, stop: tokio_util::sync::CancellationToken) {
    let loopback = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
    let (read, write) = stream.into_split();
    let mut input = Input {
        half: read,
        buffer: BytesMut::new(),
    };
    let mut wire = Wire {
        half: write,
        replies: Replies::default(),
        clock: front.service.clock().clone(),
    };
    tracing::debug!(loopback, "PostgreSQL connection");
    let end = tokio::select! {
        end = talk(&mut input, &mut wire, &front) => end,
        () = stop.cancelled() => {
            Err(End::Fatal(Failure::new(state::SHUTDOWN, "terminating connection: the server shuts down")))
        }
    };
    if let Err(End::Fatal(failure)) = end {
        wire.replies.fields(b'E', &failure.fields("FATAL"));
        // The connection ends: one that cannot be told does not need to be.
        let _ = wire.flush().await;
    }
    let _ = wire.half.shutdown().await;
}

async fn talk(input: &mut Input, wire: &mut Wire, front: &Front) -> Result<(), End> {
    let clock = front.service.clock().clone();
    let login = tokio::select! {
        login = login(input, wire, front) => login?,
        () = clock.sleep(LOGIN_DEADLINE) => return Err(End::Gone),
    };
    let Some((principal, settings)) = login else {
        return Ok(());
    };
    let place = front.registry.enter(&principal, front.service.rng(), CONNECTIONS_MAX);
    let place = place.ok_or_else(|| End::Fatal(Failure::new(state::TOO_MANY, "sorry, too many clients already")))?;
    let end = place.end.clone();
    wire.replies.authentication(0, &[]);
    for name in REPORTED {
        wire.replies.parameter_status(name, settings.get(name));
    }
    wire.replies.backend_key(place.pid, place.secret);
    wire.replies.ready(b'I');
    wire.flush().await.map_err(|_| End::Gone)?;
    let mut session = Session::new(front.service.clone(), principal, place, settings);
    loop {
        let limit = session.idle_limit();
        let message = tokio::select! {
            message = input.message(MESSAGE_BYTES_MAX) => message?,
            failure = idle(&clock, limit) => return Err(End::Fatal(failure)),
            () = end.cancelled() => return Err(terminated()),
        };
        let work = pin!(session.handle(message, wire));
        let settled = tokio::select! {
            settled = work => settled,
            () = input.gone() => return Err(End::Gone),
            () = end.cancelled() => return Err(terminated()),
        };
        match settled {
            Ok(Settled::Goes) => {}
            Ok(Settled::Ends) => return Ok(()),
            Err(Unreachable) => return Err(End::Gone),
        }
    }
}

fn terminated() -> End {
    End::Fatal(Failure::new(
        state::SHUTDOWN,
        "terminating connection due to administrator command",
    ))
}

/// Waits until a client has been silent for longer than it may; for ever where it may be silent.
async fn idle(clock: &SharedClock, limit: Option<(Duration, Failure)>) -> Failure {
    match limit {
        Some((limit, failure)) => {
            clock.sleep(limit).await;
            failure
        }
        None => std::future::pending().await,
    }
}

/// Who wants to come in, with the settings they begin with; `None` where they wanted something else, which was done.
async fn login(input: &mut Input, wire: &mut Wire, front: &Front) -> Result<Option<(Principal, Settings)>, End> {
    let (minor, parameters) = loop {
        match input.opening().await? {
            // There is no TLS and no Kerberos here; the client decides whether it goes on without.
            Opening::Tls | Opening::Gss => {
                // What was sent already was not meant for somebody who reads along.
                if !input.buffer.is_empty() {
                    return Err(Malformed("bytes behind a request for encryption").into());
                }
                wire.replies.buffer().put_u8(b'N');
                wire.flush().await.map_err(|_| End::Gone)?;
            }
            Opening::Cancel { pid, secret } => {
                front.registry.cancel(&front.service, pid, secret);
                return Ok(None);
            }
            Opening::Startup { minor, parameters } => break (minor, parameters),
        }
    };
    let unknown: Vec<String> = parameters
        .iter()
        .map(|(name, _)| name.clone())
        .filter(|name| name.starts_with("_pq_."))
        .collect();
    if minor > 0 || !unknown.is_empty() {
        wire.replies.negotiate(&unknown);
    }
    let value = |wanted: &str| {
        parameters
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    let user = value("user").filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| End::Fatal(Failure::new(state::NO_AUTHORIZATION, "no user name was given")))?;
    let service = &front.service;
    let principal = match service.authenticator().required() {
        false => Principal::local(),
        true => {
            // The server keeps hashes that no other proof than the password itself can be checked with.
            wire.replies.authentication(3, &[]);
            wire.flush().await.map_err(|_| End::Gone)?;
            let Message::Password(password) = input.message(STARTUP_BYTES_MAX).await? else {
                return Err(Malformed("something else than a password").into());
            };
            let password = password.strip_suffix(&[0]).unwrap_or(&password);
            let password = String::from_utf8_lossy(password).into_owned();
            let login = service.login(user.to_owned(), password).await;
            login.map_err(|error| match error.kind() == ErrorKind::Denied {
                true => End::Fatal(Failure::new(
                    state::BAD_PASSWORD,
                    format!("password authentication failed for user \"{user}\""),
                )),
                false => End::Fatal(Failure::of(&error, "")),
            })?
        }
    };
    let database = value("database").unwrap_or_else(|| service.catalog_name());
    if database != service.catalog_name() {
        let failure = Failure::new(state::NO_DATABASE, format!("database \"{database}\" does not exist"));
        return Err(End::Fatal(
            failure.hint(format!("the one database is \"{}\"", service.catalog_name())),
        ));
    }
    if value("replication").is_some_and(|value| !matches!(value, "false" | "off" | "no" | "0")) {
        return Err(End::Fatal(Failure::new(
            state::NOT_SUPPORTED,
            "there is no replication",
        )));
    }
    let shown = match service.authenticator().required() {
        true => principal.name.as_str(),
        false => user,
    };
    let mut settings = Settings::new(shown, service.default_schema());
    let others = parameters.iter().filter(|(name, _)| {
        !matches!(name.as_str(), "user" | "database" | "replication" | "options") && !name.starts_with("_pq_.")
    });
    let options = value("options").map(options).unwrap_or_default();
    for (name, value) in others.cloned().chain(options) {
        settings.begin_with(&name, &value).map_err(End::Fatal)?;
    }
    Ok(Some((principal, settings)))
}

/// `-c name=value` and `--name=value`; a space within a value has a backslash before it.
fn options(text: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                if let (Some(last), Some(next)) = (words.last_mut(), characters.next()) {
                    last.push(next);
                }
            }
            ' ' => words.push(String::new()),
            other => {
                if let Some(last) = words.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    let pairs = words.iter().filter_map(|word| {
        let word = word
            .strip_prefix("--")
            .or_else(|| word.strip_prefix("-c"))
            .unwrap_or(word);
        word.split_once('=')
    });
    pairs
        .map(|(name, value)| (name.replace('-', "_"), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: settings in the option string are found. Method: the forms that drivers send.
    #[test]
    fn options_are_settings() {
        let found = options("-c statement_timeout=5s --search-path=a\\ b -csynchronous_commit=off");
        let pairs: Vec<(&str, &str)> = found
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("statement_timeout", "5s"),
                ("search_path", "a b"),
                ("synchronous_commit", "off")
            ]
        );
    }
}
