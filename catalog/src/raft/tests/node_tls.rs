//! Nodes on mutual TLS.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::kit::{Cluster, DEADLINE, holds, passes_barrier, until};
use crate::raft::connections::Connections;
use crate::raft::handshake::Credentials;
use crate::raft::network::Transport;
use crate::raft::wire::{Answer, Request};
use crate::raft::{Consensus, RaftOptions};
use tidewater_core::{NodeId, SeededRng, SystemClock};
use tidewater_security::{Authority, NODE_NAME, NodeTls, NodeTlsSettings};

const SECRET: &str = "tide";

/// A CA in a folder of its own, and the certificates that it has issued.
struct Ca {
    dir: TempDir,
    authority: Authority,
}

impl Ca {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let authority = Authority::create(dir.path(), 30, SystemClock::shared().as_ref()).unwrap();
        Self { dir, authority }
    }

    /// The certificate of one node: again the same where it has one.
    fn node(&self, name: &str) -> NodeTls {
        let out = self.dir.path().join(name);
        let settings = match out.try_exists().unwrap() {
            true => NodeTlsSettings {
                ca: out.join("ca.pem"),
                cert: out.join("node.pem"),
                key: out.join("node-key.pem"),
            },
            false => {
                let clock = SystemClock::shared();
                self.authority
                    .issue(&[name.to_owned()], 30, &out, clock.as_ref())
                    .unwrap()
            }
        };
        NodeTls::load(settings, SystemClock::shared()).unwrap()
    }

    /// A program that shows a certificate of this CA with this name and no other.
    fn named(&self, name: &str) -> TlsConnector {
        let pem = fs::read_to_string(self.dir.path().join("ca-key.pem")).unwrap();
        let key = KeyPair::from_pem(&pem).unwrap();
        let mut ca = CertificateParams::default();
        ca.distinguished_name = DistinguishedName::new();
        let mark = blake3::hash(key.public_key_raw()).to_hex();
        ca.distinguished_name
            .push(DnType::CommonName, format!("tidewater cluster CA {}", &mark[..8]));
        let issuer = Issuer::new(ca, key);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(self.authority.ca()))
            .with_client_auth_cert(vec![certificate.der().clone()], key);
        TlsConnector::from(Arc::new(config.unwrap()))
    }
}

fn roots(ca: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    roots
}

/// Each node with a certificate of its own.
async fn on_tls(ca: &Arc<Ca>) -> Cluster {
    let ca = Arc::clone(ca);
    let tune = move |options: &mut RaftOptions| {
        options.secret = Some(SECRET.into());
        options.node_tls = Some(ca.node(&format!("node-{}", options.node)));
        options.snapshot_entries = 20;
        options.keep_entries = 2;
    };
    Cluster::start(3, tune).await
}

/// Asks a node something, knowing the secret.
async fn ask(cluster: &Cluster, tls: Option<NodeTls>) -> std::io::Result<Answer> {
    let credentials = Credentials::new(NodeId(9), Some(SECRET));
    let connections = Connections::new(credentials, tls, Arc::new(SeededRng::new(9)));
    let asked = connections.call(NodeId(1), &cluster.peers[&NodeId(1)].raft, &Request::Probe);
    tokio::time::timeout(DEADLINE, asked).await.unwrap()
}

/// Whether a program that knows the secret gets through the first words of node 1.
async fn greeted(cluster: &Cluster, connector: TlsConnector) -> std::io::Result<()> {
    let stream = TcpStream::connect(&cluster.peers[&NodeId(1)].raft).await?;
    let name = ServerName::try_from(NODE_NAME).unwrap();
    let mut stream = connector.connect(name, stream).await?;
    let credentials = Credentials::new(NodeId(9), Some(SECRET));
    credentials.greet(&mut stream, NodeId(1), &SeededRng::new(9)).await
}

// Goal: three nodes on TLS agree, a snapshot travels, and a node that was away comes back. Method: writes past the log's limits while
// one is away, each node with a certificate of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_on_tls_replicates() {
    let ca = Arc::new(Ca::new());
    let cluster = on_tls(&ca).await;
    cluster.write(0).await;
    let leader = cluster.leader().await;
    let away = [1, 2, 3].map(NodeId).into_iter().find(|id| *id != leader).unwrap();
    let left_at = cluster.node(away).status().last_log;
    cluster.kill(away);
    for number in 1..60 {
        cluster.write(number).await;
    }
    let leader = cluster.node(cluster.leader().await);
    until("the log is cut", || async {
        (leader.status().purged > left_at + 5).then_some(())
    })
    .await;
    let back = cluster.restart(away).await;
    let goal = cluster.node(cluster.leader().await).state();
    assert!(back.wait_applied(goal.index, DEADLINE).await >= goal.index);
    passes_barrier(&back).await;
    assert!((0..60).all(|number| holds(&back, number)));
    assert!(back.status().snapshot > 0, "the state came whole");
}

// Goal: who has no certificate of a node gets no answer from a node on TLS, whatever secret they know, and is told why. Method: a plain
// node, another CA's, a user of the same CA; and a node and a program with the name of nodes, to know that the rest is in order.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_of_a_group_on_tls_are_refused() {
    let ca = Arc::new(Ca::new());
    let cluster = on_tls(&ca).await;
    let answer = ask(&cluster, Some(ca.node("node-9"))).await.unwrap();
    assert!(matches!(answer, Answer::Probe(_)), "{answer:?}");
    greeted(&cluster, ca.named(NODE_NAME)).await.unwrap();

    let error = ask(&cluster, None).await.unwrap_err();
    assert!(error.to_string().contains("[node_tls]"), "a plain node: {error}");
    let error = ask(&cluster, Some(Ca::new().node("node-9"))).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "another CA's: {error}");
    // The alert that tells why may be lost where the connection ends first.
    greeted(&cluster, ca.named("ana")).await.unwrap_err();
}

// Goal: a node on TLS does not go on without it where the others have none, and says why. Method: one that asks a plain group.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_group_is_refused_by_a_node_on_tls() {
    let cluster = Cluster::start(3, |options| options.secret = Some(SECRET.into())).await;
    ask(&cluster, None).await.unwrap();
    let error = ask(&cluster, Some(Ca::new().node("node-9"))).await.unwrap_err();
    assert!(error.to_string().contains("[node_tls]"), "{error}");
}
