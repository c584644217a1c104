//! Connections of the command line to a Flight SQL endpoint, with TLS or without.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use clap::Args;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use tidewater_flight_sql::flight::authentication::WARNING_ANSWER;

use super::failure::{Failure, Reason, words};
use crate::settings::Settings;

/// Holds the password of `--user`: what stands on a command line is seen by everybody on the machine.
const PASSWORD: &str = "TIDEWATER_PASSWORD";

/// Holds a token, of this installation or of an issuer that it believes.
const TOKEN: &str = "TIDEWATER_TOKEN";

/// The code of a login without a user, or with another password.
const BAD_CREDENTIALS: &str = "SEC-0001 ";

/// What TLS says of an answer that is none of its.
const NO_TLS: &str = "InvalidContentType";

/// How the client's transport begins to tell of what it cannot read; what a server of ours says begins with a code.
const UNREAD: [&str; 4] = [
    "protocol error",
    "h2 protocol error",
    "transport error",
    "grpc-status header missing",
];

/// What to look at where something else listens, or nothing any more.
const OTHER_PORT: &str = "Flight SQL is on the port of flight_sql.listen (32010 unless it was set), the catalog, HTTP and the PostgreSQL wire are on \
     others; where https:// is wanted, write it; if it answered before, the process has ended: look at its log";

/// How one says who one is.
const LOGIN: &str = "name the user with --user and give the password in TIDEWATER_PASSWORD, or a token in TIDEWATER_TOKEN; \
     see docs/errors/SEC-0001.md";

/// Where to, and as whom.
#[derive(Debug, Clone, Args)]
pub(super) struct ConnectArgs {
    /// The endpoint: HOST:PORT, or https://HOST:PORT for TLS; by default the one of the configuration
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: Option<String>,
    /// User name; the password comes from TIDEWATER_PASSWORD, or a token instead of both from TIDEWATER_TOKEN
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// PEM file with the CA of the endpoint's certificate; without it public CAs count
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// PEM file with a certificate of one's own, where the endpoint asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// PEM file with its key
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// How long connecting may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    connect_timeout: u64,
}

impl ConnectArgs {
    /// Where to, as it is told to people.
    pub(super) fn endpoint(&self, settings: &Settings) -> String {
        let configured = || settings.flight_sql.listen.to_string();
        self.endpoint.clone().unwrap_or_else(configured)
    }

    /// As whom.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Connects and logs in.
    pub(super) async fn connect(&self, settings: &Settings) -> Result<FlightSqlServiceClient<Channel>, Failure> {
        let endpoint = self.endpoint(settings);
        let (address, secure) = match (endpoint.strip_prefix("https://"), endpoint.strip_prefix("http://")) {
            (Some(address), _) => (address, true),
            (None, Some(address)) => (address, false),
            (None, None) => (endpoint.as_str(), false),
        };
        let address = address.trim_end_matches('/');
        let channel = self.channel(address, secure).await?;
        let mut client = FlightSqlServiceClient::new(channel);
        if let Ok(token) = std::env::var(TOKEN)
            && !token.is_empty()
        {
            client.set_token(token);
        } else if let Some(user) = &self.user {
            let password = std::env::var(PASSWORD).unwrap_or_default();
            client
                .handshake(user, &password)
                .await
                .map_err(|error| refused(&error))?;
        }
        Ok(client)
    }

    async fn channel(&self, address: &str, secure: bool) -> Result<Channel, Failure> {
        let unreachable = |error: tonic::transport::Error| {
            let text = words(&error);
            let hint = match secure && text.contains(NO_TLS) {
                true => "no TLS is spoken there: leave https:// out, or name another with --endpoint",
                false => {
                    "start it with: tidewater up, or name another with --endpoint; one with a certificate of its own CA wants --ca"
                }
            };
            let message = format!("cannot reach the Flight SQL endpoint {address}: {text}");
            Failure::of(Reason::Unreachable, message).hint(hint)
        };
        // The scheme is of no account here: what the stream speaks below is ours to say.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(unreachable)?
            .connect_timeout(Duration::from_secs(self.connect_timeout));
        if !secure {
            return endpoint.connect().await.map_err(unreachable);
        }
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        let host = endpoint
            .uri()
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let name = ServerName::try_from(host).map_err(|_| {
            Failure::of(
                Reason::Usage,
                format!("{address} names no host that a certificate could be for"),
            )
        })?;
        let target = match address.rsplit_once(':') {
            Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => address.to_owned(),
            _ => format!("{address}:443"),
        };
        let connect = service_fn(move |_| {
            let (connector, name, target) = (connector.clone(), name.clone(), target.clone());
            async move {
                let stream = TcpStream::connect(target).await?;
                stream.set_nodelay(true)?;
                connector.connect(name, stream).await.map(TokioIo::new)
            }
        });
        endpoint.connect_with_connector(connect).await.map_err(unreachable)
    }

    fn tls(&self) -> Result<ClientConfig, Failure> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(file) => {
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(|error| unusable(file, &error))?;
                }
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::of(Reason::System, format!("cannot speak TLS: {error}")))?
            .with_root_certificates(roots);
        let mut config = match self.cert.as_deref().zip(self.key.as_deref()) {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let bytes = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
                let chain = certificates(cert)?;
                builder
                    .with_client_auth_cert(chain, bytes)
                    .map_err(|error| unusable(key, &error))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err(unusable(file, &"there is no certificate in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(file, &error)),
    }
}

fn unusable(file: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::of(Reason::Settings, format!("cannot use {}: {why}", file.display()))
        .hint("it has to be a PEM file that this user may read")
}

/// The server's words without what the transport wraps around them.
pub(super) fn refused(error: &FlightError) -> Failure {
    if let Some(text) = unread(error) {
        return Failure::of(
            Reason::Answer,
            format!("what answers does not speak Flight SQL, or broke off: {text}"),
        )
        .hint(OTHER_PORT);
    }
    if let FlightError::Tonic(status) = error {
        return said(status.message());
    }
    let text = error.to_string();
    match message_in(&text) {
        Some(message) => said(&message),
        None => Failure::of(Reason::Answer, text).hint("the server's log may tell more"),
    }
}

/// The same of a first call, before which nothing is known of who answers.
pub(super) fn refused_at(endpoint: &str, error: &FlightError) -> Failure {
    match unread(error) {
        Some(text) => {
            let message = format!("{endpoint} does not answer as Flight SQL does: {text}");
            Failure::of(Reason::Answer, message).hint(OTHER_PORT)
        }
        None => refused(error),
    }
}

/// What the transport tells of an answer that it cannot read.
fn unread(error: &FlightError) -> Option<&str> {
    let FlightError::Tonic(status) = error else {
        return None;
    };
    let text = status.message();
    UNREAD.iter().any(|begin| text.starts_with(begin)).then_some(text)
}

/// What a server says, which does not know how a password gets into a command.
fn said(text: &str) -> Failure {
    let failure = Failure::told(text);
    match text.starts_with(BAD_CREDENTIALS) {
        true => failure.hint(LOGIN),
        false => failure,
    }
}

/// What the server warns of beside the rows, if it does.
pub(super) fn warned(rows: &FlightRecordBatchStream) -> Option<String> {
    let warning = rows.headers().get(WARNING_ANSWER)?.to_str().ok()?;
    Some(format!("warning: {warning}"))
}

/// The message of a status that the client's handshake has made a text of: `code: '…', message: "…"`.
fn message_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(", message: \"")?;
    let end = rest.find("\", source: ").or_else(|| rest.rfind('"'))?;
    Some(rest.get(..end)?.replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;

    use super::*;

    // Goal: a login that is refused is told in the server's words, with their code. Method: statuses as the handshake gives them, one with
    // marks of its own in it, and an error that is none.
    #[test]
    fn a_refused_handshake_has_a_code() {
        for (status, said) in [
            (
                tonic::Status::unauthenticated("SEC-0001 user name or password is wrong"),
                "user name or password is wrong [SEC-0001]",
            ),
            (
                tonic::Status::unavailable("SEC-0009 say \"please\""),
                "say \"please\" [SEC-0009]",
            ),
        ] {
            let error = ArrowError::IpcError(format!("Can't handshake {status}"));
            assert!(refused(&FlightError::Arrow(error)).in_one_line().starts_with(said));
            assert!(
                refused(&FlightError::Tonic(Box::new(status)))
                    .in_one_line()
                    .starts_with(said)
            );
        }
        let other = FlightError::ProtocolError("nothing came".into());
        assert!(refused(&other).in_one_line().contains("[CTL-0034]"));
    }

    // Goal: a port on which something else listens is told as that, with what to look at. Method: what the client's transport says of an
    // answer of HTTP and of a connection that is closed, and a status of ours.
    #[test]
    fn another_port_is_told() {
        for text in [
            "protocol error: received message with invalid compression flag: 123 (valid flags are 0 and 1)",
            "h2 protocol error: http2 error",
        ] {
            let error = FlightError::Tonic(Box::new(tonic::Status::internal(text)));
            let told = refused_at("127.0.0.1:8181", &error).in_one_line();
            assert!(
                told.starts_with("127.0.0.1:8181 does not answer as Flight SQL"),
                "{told}"
            );
            assert!(told.contains(text) && told.contains("flight_sql.listen"), "{told}");
            assert!(refused(&error).in_one_line().contains("flight_sql.listen"));
        }
        let ours = FlightError::Tonic(Box::new(tonic::Status::not_found("SQL-0002 no such handle")));
        assert!(
            refused_at("127.0.0.1:8181", &ours)
                .in_one_line()
                .starts_with("no such handle [SQL-0002]")
        );
    }
}
