//! TLS between nodes: both ends show a certificate of the cluster's CA that says that they are nodes.
//!
//! Which node is at the other end is not part of it, as nodes move; the name that every node's certificate has is what tells nodes
//! from users whose certificates the same CA may have issued.

mod authority;
mod stream;
mod verifier;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use tidewater_core::{Coded, SharedClock, Tasks};

pub use self::authority::Authority;
pub use self::stream::NodeStream;
use self::verifier::{NodesOnly, Own, Time};
use crate::error::SecurityError;
use crate::tls::{RELOAD_INTERVAL, begins_tls, certificates, read, refused, stamps};

/// The DNS name that every certificate of a node has.
pub const NODE_NAME: &str = "node.tidewater.internal";

/// Time that both ends have for the handshake: a node that does not answer is soon counted as gone.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// The log warns, once a day, of a certificate that is not good for longer than this.
pub const WARN_DAYS: u32 = 14;

/// How far ahead [`NodeTls::days_left`] looks: a hundred years.
const DAYS_MAX: u32 = 36_500;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The section `[node_tls]`: where CA, certificate and key of this node lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeTlsSettings {
    /// PEM: the CA of the cluster. Two or more, one after the other, while one takes the place of another.
    pub ca: PathBuf,
    /// PEM: this node's certificate, then those between it and the CA.
    pub cert: PathBuf,
    /// PEM: its key.
    pub key: PathBuf,
}

impl NodeTlsSettings {
    fn files(&self) -> [&PathBuf; 3] {
        [&self.ca, &self.cert, &self.key]
    }
}

/// The texts of the files, for clients that make their TLS themselves. They must ask for the name [`NODE_NAME`].
pub struct NodePem {
    /// The CA.
    pub ca: Vec<u8>,
    /// This node's certificate.
    pub cert: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for NodePem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodePem").finish_non_exhaustive()
    }
}

/// The files as they were read last, made ready for both sides.
struct Loaded {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    own: Own,
    pem: Arc<NodePem>,
}

/// TLS between the nodes, of a process. Clones share it.
#[derive(Clone)]
pub struct NodeTls(Arc<Inner>);

struct Inner {
    settings: NodeTlsSettings,
    loaded: RwLock<Arc<Loaded>>,
    /// The files as they were tried last, whether or not they were good.
    seen: Mutex<Vec<Option<(SystemTime, u64)>>>,
    clock: SharedClock,
}

impl std::fmt::Debug for NodeTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeTls")
            .field("cert", &self.0.settings.cert)
            .finish_non_exhaustive()
    }
}

impl NodeTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`SecurityError::BadCertificate`] if one cannot be read, or key and certificate do not belong together;
    /// [`SecurityError::NotANode`] if other nodes would refuse the certificate: it is over, of another CA, or not a node's.
    pub fn load(settings: NodeTlsSettings, clock: SharedClock) -> Result<Self, SecurityError> {
        let seen = stamps(settings.files());
        let loaded = load(&settings, &clock)?;
        Ok(Self(Arc::new(Inner {
            settings,
            loaded: RwLock::new(Arc::new(loaded)),
            seen: Mutex::new(seen),
            clock,
        })))
    }

    /// Speaks TLS 1.3 with a node that has connected to this one. Its certificate has been looked at when this answers.
    ///
    /// # Errors
    /// [`SecurityError::NoNodeTls`] inside if it does not begin with TLS; if its certificate is not a node's of the CA; if it takes
    /// longer than ten seconds.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.loaded().server));
        let handshake = async {
            if !begins_tls(&stream).await? {
                return Err(no_tls(None));
            }
            acceptor.accept(stream).await
        };
        self.in_time(handshake).await
    }

    /// Speaks TLS 1.3 with a node that this one has connected to. Its certificate has been looked at when this answers, and this
    /// node's perhaps not yet: where the other end refuses it, the first read fails.
    ///
    /// # Errors
    /// [`SecurityError::NoNodeTls`] inside if it answers with something else or hangs up; if its certificate is not a node's of the
    /// CA; if it takes longer than ten seconds.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<client::TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::clone(&self.loaded().client));
        let handshake = async { connector.connect(node_name(), stream).await.map_err(explained) };
        self.in_time(handshake).await
    }

    /// The texts of the files as they are now: only for clients that take no [`Self::connect`].
    pub fn pem(&self) -> Arc<NodePem> {
        Arc::clone(&self.loaded().pem)
    }

    /// For how many whole days from now other nodes will take this node's certificate; at most a hundred years.
    pub fn days_left(&self) -> u32 {
        let (loaded, now_ms) = (self.loaded(), self.0.clock.now_ms());
        let good = |days: u32| loaded.own.check(since_epoch(now_ms) + DAY * days).is_ok();
        let (mut good_for, mut bad_from) = (0_u32, DAYS_MAX + 1);
        while bad_from - good_for > 1 {
            let middle = good_for.midpoint(bad_from);
            match good(middle) {
                true => good_for = middle,
                false => bad_from = middle,
            }
        }
        good_for
    }

    /// Reads the files again if they have changed since they were tried last. True: new connections get what is new.
    ///
    /// # Errors
    /// As [`Self::load`]; what was read before stays, and the same files are not tried again.
    pub fn reload(&self) -> Result<bool, SecurityError> {
        let seen = stamps(self.0.settings.files());
        {
            let mut last = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *last == seen {
                return Ok(false);
            }
            *last = seen;
        }
        let loaded = Arc::new(load(&self.0.settings, &self.0.clock)?);
        *self.0.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(true)
    }

    /// Follows the files until `tasks` are told to stop, and warns of an end that is near.
    pub fn follow(&self, tasks: &Tasks) {
        let (tls, token) = (self.clone(), tasks.token());
        tasks.spawn("node-tls-reload", async move {
            let clock = Arc::clone(&tls.0.clock);
            let mut warned = None;
            loop {
                let left = tls.days_left();
                if left < WARN_DAYS && warned.replace(left) != Some(left) {
                    tracing::warn!(cert = %tls.0.settings.cert.display(), days = left, "other nodes will soon refuse the certificate of this node");
                }
                if token.run_until_cancelled(clock.sleep(RELOAD_INTERVAL)).await.is_none() {
                    return;
                }
                match tls.reload() {
                    Ok(false) => {}
                    Ok(true) => {
                        tracing::info!(cert = %tls.0.settings.cert.display(), "new connections of nodes get the new certificate");
                    }
                    Err(error) => {
                        let source = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::error!(code = error.code(), %error, source, "the old certificate of this node stays");
                    }
                }
            }
        });
    }

    fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.0.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn in_time<T>(&self, handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        tokio::select! {
            stream = handshake => stream,
            () = self.0.clock.sleep(HANDSHAKE_DEADLINE) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

fn node_name() -> ServerName<'static> {
    ServerName::try_from(NODE_NAME).expect("it is a DNS name")
}

/// Milliseconds since the Unix epoch as a time since it.
fn since_epoch(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

/// The other end speaks something else, or hung up before it said anything.
fn no_tls(source: Option<io::Error>) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, SecurityError::NoNodeTls { source })
}

/// Names the likely cause of a handshake that ended before the other end had said anything that is TLS.
fn explained(error: io::Error) -> io::Error {
    let of_tls = error
        .get_ref()
        .and_then(|source| source.downcast_ref::<rustls::Error>());
    match (of_tls, error.kind()) {
        (Some(rustls::Error::InvalidMessage(_)), _) => no_tls(Some(error)),
        (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            no_tls(Some(error))
        }
        _ => error,
    }
}

fn load(settings: &NodeTlsSettings, clock: &SharedClock) -> Result<Loaded, SecurityError> {
    let pem = NodePem {
        ca: read(&settings.ca)?,
        cert: read(&settings.cert)?,
        key: read(&settings.key)?,
    };
    let chain = certificates(&settings.cert, &pem.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|source| refused(&settings.key, source))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&settings.ca, &pem.ca)? {
        roots.add(certificate).map_err(|source| refused(&settings.ca, source))?;
    }
    let (roots, provider) = (Arc::new(roots), Arc::new(default_provider()));
    let nodes =
        NodesOnly::new(Arc::clone(&roots), Arc::clone(&provider)).map_err(|source| refused(&settings.ca, source))?;
    let nodes = Arc::new(nodes);

    let builder = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(Time(Arc::clone(clock))));
    let mut server = builder
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| refused(&settings.cert, source))?
        .with_client_cert_verifier(Arc::clone(&nodes) as _)
        // Also that the key is the certificate's.
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(|source| refused(&settings.key, source))?;
    // gRPC's clients ask for it where they make their TLS themselves; who asks for nothing is let in too.
    server.alpn_protocols = vec![b"h2".to_vec()];
    // A session that goes on where an old one ended would not be asked for its certificate.
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});

    let builder = ClientConfig::builder_with_details(provider, Arc::new(Time(Arc::clone(clock))));
    let mut client = builder
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| refused(&settings.cert, source))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.clone(), key)
        .map_err(|source| refused(&settings.key, source))?;
    client.resumption = rustls::client::Resumption::disabled();

    let own = Own::new(nodes, chain);
    own.check(since_epoch(clock.now_ms()))
        .map_err(|source| SecurityError::NotANode {
            file: settings.cert.clone(),
            ca: settings.ca.clone(),
            source,
        })?;
    Ok(Loaded {
        server: Arc::new(server),
        client: Arc::new(client),
        own,
        pem: Arc::new(pem),
    })
}

#[cfg(test)]
mod tests;
