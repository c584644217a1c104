//! TLS of the listeners: a certificate that is read from files and followed as they change.

mod either;
mod peer;
mod stream;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use tidewater_core::{Coded, SharedClock, Tasks};

pub use self::either::Either;
pub use self::peer::{ClientNames, NamedBy, Peer};
pub use self::stream::{Opening, Stream};
use crate::error::SecurityError;

/// How often the files are looked at.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(20);

/// Time that a client has for its part of the handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// Longest file that is read as a certificate or a key.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The first byte of a TLS connection; no protocol here begins with it.
const HANDSHAKE_RECORD: u8 = 0x16;

/// Where the certificate lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM: the server's certificate, then those between it and its CA.
    pub cert: PathBuf,
    /// PEM: its key.
    pub key: PathBuf,
    /// PEM: the CA whose certificates clients have to show; none means that they show none.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Which users certificates of clients name; none means that they name nobody.
    #[serde(default)]
    pub client_names: Option<ClientNames>,
    /// Whether clients on other machines may go on without TLS.
    #[serde(default)]
    pub allow_plain: bool,
}

/// What a listener speaks under TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP 1.1 and 2.
    Http,
    /// HTTP 2 alone.
    Grpc,
    /// PostgreSQL's.
    Postgres,
}

/// The certificate as it was read last, made ready for each protocol.
struct Loaded {
    http: Arc<ServerConfig>,
    grpc: Arc<ServerConfig>,
    postgres: Arc<ServerConfig>,
}

/// The stamps of the files at a look.
pub(crate) type Seen = Vec<Option<(SystemTime, u64)>>;

/// TLS of all listeners of a process. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    settings: TlsSettings,
    loaded: RwLock<Arc<Loaded>>,
    /// The files as they were tried last, whether or not they were good.
    seen: Mutex<Seen>,
    clock: SharedClock,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("cert", &self.0.settings.cert)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`SecurityError::BadCertificate`] if one cannot be read, or key and certificate do not belong together.
    pub fn load(settings: TlsSettings, clock: SharedClock) -> Result<Self, SecurityError> {
        let seen = stamps(files(&settings));
        let loaded = load(&settings)?;
        Ok(Self(Arc::new(Inner {
            settings,
            loaded: RwLock::new(Arc::new(loaded)),
            seen: Mutex::new(seen),
            clock,
        })))
    }

    /// Whether a client may go on without TLS: on this machine always, elsewhere where the configuration says so.
    pub fn allows_plain(&self, loopback: bool) -> bool {
        loopback || self.0.settings.allow_plain
    }

    /// Reads the files again if they have changed since they were tried last. True: new connections get the new certificate.
    ///
    /// # Errors
    /// As [`Self::load`]; the old certificate stays, and the same files are not tried again.
    pub fn reload(&self) -> Result<bool, SecurityError> {
        let seen = stamps(files(&self.0.settings));
        {
            let mut last = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *last == seen {
                return Ok(false);
            }
            *last = seen;
        }
        let loaded = Arc::new(load(&self.0.settings)?);
        *self.0.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(true)
    }

    /// Follows the files until `tasks` are told to stop.
    pub fn follow(&self, tasks: &Tasks) {
        let (tls, token) = (self.clone(), tasks.token());
        tasks.spawn("tls-reload", async move {
            let clock = Arc::clone(&tls.0.clock);
            while token.run_until_cancelled(clock.sleep(RELOAD_INTERVAL)).await.is_some() {
                match tls.reload() {
                    Ok(false) => {}
                    Ok(true) => {
                        tracing::info!(cert = %tls.0.settings.cert.display(), "new connections get the new certificate")
                    }
                    Err(error) => {
                        let source = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::error!(code = error.code(), %error, source, "the old certificate stays");
                    }
                }
            }
        });
    }

    /// Speaks TLS on a connection.
    ///
    /// # Errors
    /// If the client does not, shows no certificate where it has to, or takes too long.
    pub async fn accept(&self, stream: TcpStream, protocol: Protocol) -> io::Result<TlsStream<TcpStream>> {
        let loaded = Arc::clone(&self.0.loaded.read().unwrap_or_else(PoisonError::into_inner));
        let config = match protocol {
            Protocol::Http => &loaded.http,
            Protocol::Grpc => &loaded.grpc,
            Protocol::Postgres => &loaded.postgres,
        };
        let handshake = TlsAcceptor::from(Arc::clone(config)).accept(stream);
        tokio::select! {
            stream = handshake => stream,
            () = self.0.clock.sleep(HANDSHAKE_DEADLINE) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The user that the certificate of a client names, where certificates name users.
    pub fn user_of(&self, stream: &TlsStream<TcpStream>) -> Option<String> {
        let names = self.0.settings.client_names.as_ref()?;
        names.user_of(stream.get_ref().1.peer_certificates()?.first()?)
    }

    /// Speaks TLS with clients that begin with it, and lets the others go on without where they may.
    ///
    /// # Errors
    /// As [`Self::accept`], and if a client that has to speak TLS does not.
    pub async fn accept_either(&self, stream: TcpStream, protocol: Protocol) -> io::Result<Stream> {
        let loopback = stream.peer_addr()?.ip().is_loopback();
        let speaks = tokio::select! {
            speaks = begins_tls(&stream) => speaks?,
            () = self.0.clock.sleep(HANDSHAKE_DEADLINE) => return Err(io::ErrorKind::TimedOut.into()),
        };
        match speaks {
            true => Ok(Stream::Tls(Box::new(self.accept(stream, protocol).await?))),
            false if self.allows_plain(loopback) => Ok(Stream::Plain(stream)),
            false => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// Whether a client begins with TLS; nothing is taken from the stream.
///
/// # Errors
/// If it is gone.
pub async fn begins_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first == [HANDSHAKE_RECORD]),
    }
}

fn files(settings: &TlsSettings) -> impl Iterator<Item = &PathBuf> {
    [&settings.cert, &settings.key].into_iter().chain(&settings.client_ca)
}

/// When files were last changed, and how long they are; none for one that is not there.
pub(crate) fn stamps<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Seen {
    let stamp = |file: &PathBuf| {
        let metadata = fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.into_iter().map(stamp).collect()
}

/// The bytes of a file of certificates or keys.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, SecurityError> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).and_then(|opened| opened.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    match opened {
        Ok(_) => Ok(bytes),
        Err(source) => Err(refused(file, source)),
    }
}

pub(crate) fn refused(file: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SecurityError {
    SecurityError::BadCertificate {
        file: file.to_owned(),
        source: source.into(),
    }
}

/// The certificates in what was read from a file; at least one.
pub(crate) fn certificates(file: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, SecurityError> {
    let found = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if found.is_empty() => Err(refused(file, "there is no certificate in it")),
        Ok(found) => Ok(found),
        Err(source) => Err(refused(file, source)),
    }
}

fn load(settings: &TlsSettings) -> Result<Loaded, SecurityError> {
    let chain = certificates(&settings.cert, &read(&settings.cert)?)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&settings.key)?).map_err(|source| refused(&settings.key, source))?;
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|source| refused(&settings.cert, source))?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file, &read(file)?)? {
                roots.add(certificate).map_err(|source| refused(file, source))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|source| refused(file, source))?)
        }
    };
    // Also that the key is the certificate's.
    let config = builder
        .with_single_cert(chain, key)
        .map_err(|source| refused(&settings.key, source))?;
    let speaking = |protocols: &[&str]| {
        let mut config = config.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    };
    Ok(Loaded {
        http: speaking(&["h2", "http/1.1"]),
        grpc: speaking(&["h2"]),
        postgres: speaking(&["postgresql"]),
    })
}

#[cfg(test)]
mod tests;
