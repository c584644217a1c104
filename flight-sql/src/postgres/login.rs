//! The start of a connection: whether it is encrypted, who it is, and with which settings it begins.

use std::net::IpAddr;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use tidewater_core::{Coded, ErrorKind};
use tidewater_security::tls::{Protocol, Stream, begins_tls};
use tidewater_security::{Principal, SecurityError, Way, scram};

use super::connection::{End, Front, Wire};
use super::failure::{Failure, state};
use super::input::Input;
use super::key::CancelKey;
use super::message::{self, Malformed, Message, Opening, STARTUP_BYTES_MAX};
use super::reply::Replies;
use super::settings::Settings;
use crate::service::QueryService;

/// The setting of a client that logs in with a token in the place of its password, where SCRAM is spoken else.
const TOKEN_LOGIN: (&str, &str) = ("tidewater.login", "token");

/// A connection whose client wants to log in.
pub(super) struct Opened {
    pub(super) stream: Stream,
    /// What was read already.
    pub(super) buffer: BytesMut,
    pub(super) start: Start,
}

/// What a client says of itself.
pub(super) struct Start {
    minor: u16,
    parameters: Vec<(String, String)>,
    /// Whether nobody else can read what is sent.
    secure: bool,
    /// Where the client is.
    pub(super) address: Option<IpAddr>,
    /// The user whom the client's certificate names.
    certified: Option<String>,
}

/// Agrees on encryption and reads what the client wants; `None` where that was done already, or nobody is there any more.
pub(super) async fn open(tcp: TcpStream, front: &Front) -> Option<Opened> {
    let address = tcp.peer_addr().ok().map(|peer| peer.ip());
    let loopback = address.is_some_and(|address| address.is_loopback());
    let mut buffer = BytesMut::new();
    let mut stream = begin(tcp, front).await?;
    loop {
        let asked = match opening(&mut stream, &mut buffer).await {
            Ok(asked) => asked,
            Err(End::Gone) => return None,
            Err(End::Fatal(failure)) => return refuse(&mut stream, &failure).await,
        };
        match asked {
            // What was sent already was not meant for somebody who reads along.
            Opening::Tls | Opening::Gss if !buffer.is_empty() => {
                let failure = Failure::protocol("bytes behind a request for encryption");
                return refuse(&mut stream, &failure).await;
            }
            Opening::Tls => stream = encrypt(stream, front).await?,
            // There is no Kerberos here; the client decides whether it goes on without.
            Opening::Gss => answer(&mut stream, b"N").await?,
            Opening::Cancel { pid, secret } => {
                front.service.cancel_by_key(CancelKey::shown(pid, secret)).await;
                return None;
            }
            Opening::Startup { minor, parameters } => {
                let encrypted = stream.is_tls();
                let certified = match (&stream, &front.tls) {
                    (Stream::Tls(stream), Some(tls)) => tls.user_of(stream),
                    _ => None,
                };
                if let Some(tls) = &front.tls
                    && !encrypted
                    && !tls.allows_plain(loopback)
                {
                    let failure = Failure::new(state::NO_AUTHORIZATION, "this server wants TLS from other machines");
                    return refuse(&mut stream, &failure.hint("connect with sslmode=require")).await;
                }
                let start = Start {
                    minor,
                    parameters,
                    secure: loopback || encrypted,
                    address,
                    certified,
                };
                return Some(Opened { stream, buffer, start });
            }
        }
    }
}

/// A client of PostgreSQL 17 may begin with TLS instead of asking for it; it has to name what it speaks then.
async fn begin(tcp: TcpStream, front: &Front) -> Option<Stream> {
    match &front.tls {
        Some(tls) if begins_tls(&tcp).await.ok()? => {
            let stream = tls.accept(tcp, Protocol::Postgres).await.ok()?;
            stream.get_ref().1.alpn_protocol()?;
            Some(Stream::Tls(Box::new(stream)))
        }
        _ => Some(Stream::Plain(tcp)),
    }
}

/// Says whether there is TLS, and speaks it. Without it, the client decides whether it goes on.
async fn encrypt(mut stream: Stream, front: &Front) -> Option<Stream> {
    match (stream, &front.tls) {
        (Stream::Plain(mut tcp), Some(tls)) => {
            tcp.write_all(b"S").await.ok()?;
            let stream = tls.accept(tcp, Protocol::Postgres).await.ok()?;
            Some(Stream::Tls(Box::new(stream)))
        }
        (other, _) => {
            stream = other;
            answer(&mut stream, b"N").await?;
            Some(stream)
        }
    }
}

async fn answer(stream: &mut Stream, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()
}

/// Tells a client why its connection ends.
async fn refuse<T>(stream: &mut Stream, failure: &Failure) -> Option<T> {
    let mut replies = Replies::default();
    replies.fields(b'E', &failure.fields("FATAL"));
    // One that cannot be told does not need to be.
    answer(stream, replies.buffer()).await?;
    let _ = stream.shutdown().await;
    None
}

async fn opening(stream: &mut Stream, buffer: &mut BytesMut) -> Result<Opening, End> {
    loop {
        if let Some(opening) = message::opening(buffer)? {
            return Ok(opening);
        }
        let room = STARTUP_BYTES_MAX.saturating_sub(buffer.len());
        if stream.read_buf(&mut BufMut::limit(&mut *buffer, room)).await? == 0 {
            return Err(End::Gone);
        }
    }
}

/// Lets a client in; who it is, and the settings it begins with.
pub(super) async fn log_in(
    start: Start,
    input: &mut Input,
    wire: &mut Wire,
    front: &Front,
) -> Result<(Principal, Settings), End> {
    let (service, parameters) = (&front.service, &start.parameters);
    let names = parameters.iter().map(|(name, _)| name);
    let unknown: Vec<String> = names.filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if start.minor > 0 || !unknown.is_empty() {
        wire.replies.negotiate(&unknown);
    }
    let value = |wanted: &str| {
        let found = parameters.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let user = value("user").filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| fatal(state::NO_AUTHORIZATION, "no user name was given"))?;
    let options = value("options").map(options).unwrap_or_default();
    let token = options
        .iter()
        .chain(parameters)
        .any(|(name, value)| (name.as_str(), value.as_str()) == TOKEN_LOGIN);
    let principal = authenticate(user, token, &start, input, wire, service).await?;
    let database = value("database").unwrap_or_else(|| service.catalog_name());
    if database != service.catalog_name() {
        let failure = Failure::new(state::NO_DATABASE, format!("database \"{database}\" does not exist"));
        return Err(End::Fatal(
            failure.hint(format!("the one database is \"{}\"", service.catalog_name())),
        ));
    }
    if value("replication").is_some_and(|value| !matches!(value, "false" | "off" | "no" | "0")) {
        return Err(fatal(state::NOT_SUPPORTED, "there is no replication"));
    }
    let shown = match service.authenticator().required() {
        true => principal.name.as_str(),
        false => user,
    };
    let mut settings = Settings::new(shown, service.default_schema()).offering_tls(front.tls.is_some());
    let others = parameters.iter().filter(|(name, _)| {
        !matches!(name.as_str(), "user" | "database" | "replication" | "options") && !name.starts_with("_pq_.")
    });
    for (name, value) in others.cloned().chain(options) {
        settings.begin_with(&name, &value).map_err(End::Fatal)?;
    }
    Ok((principal, settings))
}

/// Who it is. By SCRAM where there is a verifier, and for users who are not there; with the password itself only where nobody
/// else can read it.
async fn authenticate(
    user: &str,
    token: bool,
    start: &Start,
    input: &mut Input,
    wire: &mut Wire,
    service: &QueryService,
) -> Result<Principal, End> {
    let users = service.authenticator();
    if !users.required() {
        return Ok(Principal::local());
    }
    let secure = start.secure;
    // Its CA vouched for who it is, as with PostgreSQL's method `cert`.
    if start.certified.as_deref() == Some(user)
        && let Ok(principal) = users.certified(user)
    {
        users.logins().note(
            Way::Certificate,
            Some(user),
            wire.address,
            None,
            service.clock().now_ms(),
        );
        return Ok(principal);
    }
    if users.knows_scram() && !(secure && (token || users.wants_password(user))) {
        return prove(user, input, wire, service).await;
    }
    if !secure {
        let text = "passwords are taken over TLS or on this machine only";
        let failure = Failure::new(state::NO_AUTHORIZATION, text);
        return Err(End::Fatal(failure.hint(
            "give users a SCRAM verifier (tidewater user hash), or the server a certificate ([security.tls])",
        )));
    }
    wire.replies.authentication(3, &[]);
    let password = ask(input, wire).await?;
    let password = password.strip_suffix(&[0]).unwrap_or(&password);
    let password = String::from_utf8_lossy(password).into_owned();
    let login = service.login_from(user.to_owned(), password, wire.address).await;
    login.map_err(|error| match error.kind() == ErrorKind::Denied {
        true => refused(user),
        false => End::Fatal(Failure::of(&error, "")),
    })
}

/// SCRAM-SHA-256.
async fn prove(user: &str, input: &mut Input, wire: &mut Wire, service: &QueryService) -> Result<Principal, End> {
    let users = service.authenticator();
    wire.replies
        .authentication(10, format!("{}\0\0", scram::MECHANISM).as_bytes());
    let (mechanism, first) = message::sasl_begin(ask(input, wire).await?)?;
    if mechanism != scram::MECHANISM {
        return Err(Malformed("a mechanism that was not offered").into());
    }
    let failed = |error: SecurityError| match error {
        SecurityError::BadExchange { .. } => End::Fatal(Failure::protocol(error.to_string())),
        SecurityError::TooManyAttempts { .. } => End::Fatal(Failure::of(&error.into(), "")),
        _ => refused(user),
    };
    let (exchange, answer) = users.scram(user, wire.address, &first, service.rng()).map_err(failed)?;
    wire.replies.authentication(11, answer.as_bytes());
    let last = ask(input, wire).await?;
    let (principal, answer) = users.proven(user, wire.address, exchange, &last).map_err(failed)?;
    wire.replies.authentication(12, answer.as_bytes());
    Ok(principal)
}

/// Sends what is waiting; what the client answers.
async fn ask(input: &mut Input, wire: &mut Wire) -> Result<bytes::Bytes, End> {
    wire.flush().await.map_err(|_| End::Gone)?;
    match input.message(STARTUP_BYTES_MAX).await? {
        Message::Password(answer) => Ok(answer),
        _ => Err(Malformed("something else than a password").into()),
    }
}

fn fatal(state: &'static str, text: &str) -> End {
    End::Fatal(Failure::new(state, text))
}

fn refused(user: &str) -> End {
    let text = format!("password authentication failed for user \"{user}\"");
    End::Fatal(Failure::new(state::BAD_PASSWORD, text))
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
