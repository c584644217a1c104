//! One connection and its messages, one after the other.

use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::net::TcpStream;

use tidewater_core::SharedClock;
use tidewater_security::tls::Stream;
use tidewater_security::{Principal, Tls};

use super::failure::{Failure, state};
use super::input::Input;
use super::login::{self, Start};
use super::message::{MESSAGE_BYTES_MAX, Malformed};
use super::registry::{Full, Limits};
use super::reply::Replies;
use super::script::Scripts;
use super::session::{Session, Settled};
use super::settings::REPORTED;
use crate::budget::Budget;
use crate::service::QueryService;

/// Connections at once: as many as PostgreSQL's poolers usually ask for, and far more than statements that may be at work.
pub(super) const CONNECTIONS_MAX: usize = 5_000;

/// Time to log in, as PostgreSQL gives it.
const LOGIN_DEADLINE: Duration = Duration::from_secs(60);

/// Time that a client may take to read what it is sent: as long as a query may run, so that nobody holds one for ever.
const SEND_DEADLINE: Duration = Duration::from_secs(300);

/// Replies are sent when so much has come together: a few hundred rows.
const SEND_BYTES: usize = 64 << 10;

/// How long a client that is refused in the middle of a message may go on sending it before it comes to read why.
const LINGER: Duration = Duration::from_secs(5);

/// What every connection needs.
#[derive(Debug, Clone)]
pub(super) struct Front {
    pub(super) service: QueryService,
    pub(super) scripts: Scripts,
    pub(super) tls: Option<Tls>,
    /// What is in the middle of being read of all connections.
    pub(super) reading: Budget,
}

/// Why a connection ends.
pub(super) enum End {
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

/// The half that is written.
#[derive(Debug)]
pub(super) struct Wire {
    half: WriteHalf<Stream>,
    pub(super) replies: Replies,
    /// Where the client is: who guesses passwords from there waits.
    pub(super) address: Option<std::net::IpAddr>,
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
        let sending = async {
            self.half.write_all_buf(self.replies.buffer()).await?;
            self.half.flush().await
        };
        tokio::select! {
            sent = sending => sent.map_err(|_| Unreachable),
            () = clock.sleep(SEND_DEADLINE) => Err(Unreachable),
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, front: Front, stop: tokio_util::sync::CancellationToken) {
    let clock = front.service.clock().clone();
    let opened = tokio::select! {
        opened = login::open(stream, &front) => opened,
        () = clock.sleep(LOGIN_DEADLINE) => None,
        () = stop.cancelled() => None,
    };
    let Some(opened) = opened else {
        return;
    };
    tracing::debug!(tls = opened.stream.is_tls(), "PostgreSQL connection");
    let (read, write) = tokio::io::split(opened.stream);
    let mut input = Input::new(read, opened.buffer, &front.reading, clock.clone());
    let mut wire = Wire {
        half: write,
        replies: Replies::default(),
        address: opened.start.address,
        clock,
    };
    let end = tokio::select! {
        end = talk(opened.start, &mut input, &mut wire, &front) => end,
        () = stop.cancelled() => {
            Err(End::Fatal(Failure::new(state::SHUTDOWN, "terminating connection: the server shuts down")))
        }
    };
    let Err(End::Fatal(failure)) = end else {
        let _ = wire.half.shutdown().await;
        return;
    };
    wire.replies.fields(b'E', &failure.fields("FATAL"));
    // The connection ends: one that cannot be told does not need to be.
    let _ = wire.flush().await;
    let _ = wire.half.shutdown().await;
    tokio::select! {
        () = input.forget() => {}
        () = wire.clock.sleep(LINGER) => {}
        () = stop.cancelled() => {}
    }
}

async fn talk(start: Start, input: &mut Input, wire: &mut Wire, front: &Front) -> Result<(), End> {
    let clock = front.service.clock().clone();
    let (principal, settings) = tokio::select! {
        login = login::log_in(start, input, wire, front) => login?,
        () = clock.sleep(LOGIN_DEADLINE) => return Err(End::Gone),
    };
    let service = &front.service;
    let limits = Limits {
        all: CONNECTIONS_MAX,
        user: service.user_connections_max(),
    };
    let place = service
        .connections()
        .enter(&principal, service.rng(), service.key(), limits);
    let place = place.map_err(|full| End::Fatal(no_place(full, &principal)))?;
    let end = place.end.clone();
    wire.replies.authentication(0, &[]);
    for name in REPORTED {
        wire.replies.parameter_status(name, settings.get(name));
    }
    wire.replies.backend_key(place.key.pid(), place.key.secret());
    wire.replies.ready(b'I');
    wire.flush().await.map_err(|_| End::Gone)?;
    let service = service.at_address(wire.address);
    let mut session = Session::new(service, front.scripts.clone(), principal, place, settings);
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

fn no_place(full: Full, principal: &Principal) -> Failure {
    match full {
        Full::OfAll => Failure::new(state::TOO_MANY, "sorry, too many clients already"),
        Full::OfUser => {
            let text = format!("too many connections for role \"{}\"", principal.name);
            let hint =
                "close connections that are not used, share some in a pool, or raise postgres.user_connections_max";
            Failure::new(state::TOO_MANY, text).hint(hint)
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
