//! TLS between nodes: three processes with every role, and somebody between them who listens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::kit::recorder::Recorder;
use crate::kit::{Node, NodeBuilder, free_port, wait_for};

const DEADLINE: Duration = Duration::from_secs(120);

/// In names and values of the data: who can read the bytes between the nodes finds it there.
const MARKER: &str = "herringmarker";

/// So many rows have a word of their own.
const ROWS: i64 = 200;

/// Codes of statements amid which another node begins to schedule: nobody is found, or the one before ends, or its executors leave it.
const WHO_CHANGES: [&str; 4] = ["SCH-0003", "SCH-0022", "SCH-0023", "SCH-0024"];

/// The first byte of TLS.
const HANDSHAKE: u8 = 0x16;

/// The beginning of HTTP 2, which gRPC answers at once.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn tidewater(dir: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_tidewater"))
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A node's files, made by the command line; the CA too where there is none.
fn certificate(dir: &Path, name: &str) -> PathBuf {
    if !dir.join("tidewater-ca").try_exists().unwrap() {
        tidewater(dir, &["cluster", "init-ca"]).unwrap();
    }
    let said = tidewater(dir, &["cluster", "node-cert", "--name", name]).unwrap();
    assert!(said.contains("[node_tls]"), "{said}");
    dir.join(name)
}

fn section(files: &Path) -> String {
    format!(
        "[node_tls]\nca = {:?}\ncert = {:?}\nkey = {:?}\n",
        files.join("ca.pem"),
        files.join("node.pem"),
        files.join("node-key.pem")
    )
}

/// The ports between nodes of one of them, as it listens and as the others are told.
struct Plane {
    number: usize,
    catalog: u16,
    raft: u16,
    scheduler: u16,
    shuffle: u16,
    tasks: u16,
}

impl Plane {
    fn new(number: usize) -> Self {
        Self {
            number,
            catalog: free_port(),
            raft: free_port(),
            scheduler: free_port(),
            shuffle: free_port(),
            tasks: free_port(),
        }
    }

    fn ports(&self) -> [(&'static str, u16); 4] {
        [
            ("raft", self.raft),
            ("scheduler", self.scheduler),
            ("shuffle", self.shuffle),
            ("tasks", self.tasks),
        ]
    }

    fn listens(&self, port: u16) -> SocketAddr {
        format!("127.0.0.{}:{port}", self.number).parse().unwrap()
    }

    /// Somebody stands before each of the ports, at the address that the others know.
    fn watched(&self) -> Vec<(&'static str, Recorder)> {
        let told = |port| format!("127.0.1.{}:{port}", self.number).parse().unwrap();
        let ports = self.ports().into_iter();
        ports
            .map(|(name, port)| (name, Recorder::between(told(port), self.listens(port))))
            .collect()
    }

    fn config(&self, dir: &Path, all: &[Self]) -> String {
        let peer = |plane: &Self| {
            format!(
                "\"{0}\" = {{ raft = \"127.0.1.{0}:{1}\", catalog = \"http://127.0.0.1:{2}\" }}",
                plane.number, plane.raft, plane.catalog
            )
        };
        let peers: Vec<String> = all.iter().map(peer).collect();
        let number = self.number;
        format!(
            "[catalog]\nlisten = \"127.0.0.1:{}\"\nwarehouse = \"file://{}\"\n\
             [raft]\nnode_id = {number}\nlisten = \"{}\"\npeers = {{ {} }}\n\
             [scheduler]\nlisten = \"{}\"\nadvertise = \"127.0.1.{number}\"\nlocal_bytes_max = 0\n\
             [executor]\nlisten = \"{}\"\nadvertise = \"127.0.1.{number}\"\ngrpc_port = {}\nscheduler = \"leader\"\n\
             memory_bytes = 268435456\nvcores = 1\n",
            self.catalog,
            dir.join("lake").display(),
            self.listens(self.raft),
            peers.join(", "),
            self.listens(self.scheduler),
            self.listens(self.shuffle),
            self.tasks,
        )
    }
}

/// Three processes with every role, and who listens between them.
struct Watched {
    nodes: Vec<Node>,
    planes: Vec<Plane>,
    recorders: Vec<(&'static str, Recorder)>,
}

impl Watched {
    fn start(dir: &Path, node_tls: impl Fn(usize) -> String) -> Self {
        let planes: Vec<Plane> = (1..=3).map(Plane::new).collect();
        let recorders = planes.iter().flat_map(Plane::watched).collect();
        let spawn = |plane: &Plane| {
            let config = format!("{}{}", plane.config(dir, &planes), node_tls(plane.number));
            let mut builder = NodeBuilder::serve(dir, "catalog,scheduler,executor,ingest,flight-sql").config(&config);
            builder.name = format!("node-{}", plane.number);
            builder.spawn()
        };
        let mut nodes: Vec<Node> = planes.iter().map(spawn).collect();
        for node in &mut nodes {
            node.wait_ready();
        }
        Self {
            nodes,
            planes,
            recorders,
        }
    }

    /// The one that schedules, when it has all executors.
    fn scheduling(&self) -> &Node {
        wait_for("one node schedules and has the executors", DEADLINE, || {
            self.nodes.iter().find(|node| {
                let status = node.control("/v1/status").unwrap_or_default();
                status["leads"] == true && status["executors"] == 3
            })
        })
    }

    /// Writes words and counts them on the executors, with everything shuffled.
    fn counts_words(&self) {
        let schema = format!("{MARKER}_schema");
        let node = self.scheduling();
        node.query(&format!("CREATE SCHEMA {schema}")).unwrap();
        node.query(&format!("CREATE TABLE {schema}.words (id BIGINT, word VARCHAR)"))
            .unwrap();
        for part in 0..4 {
            let ids = (0..ROWS).filter(|id| id % 4 == part);
            let rows: Vec<String> = ids.map(|id| format!("({id}, '{MARKER}_{id}')")).collect();
            node.query(&format!("INSERT INTO {schema}.words VALUES {}", rows.join(", ")))
                .unwrap();
        }
        // Who schedules may change while the machine is busy.
        wait_for("a query on the executors", DEADLINE, || {
            let node = self.scheduling();
            let sql = format!("SELECT word, count(*) AS n, max(id) AS id FROM {schema}.words GROUP BY word");
            let text = match node.cli(&["query", &sql, "--execution", "cluster", "--output", "json"]) {
                Err(error) if WHO_CHANGES.iter().any(|code| error.contains(code)) => return None,
                asked => asked.unwrap(),
            };
            let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
            let mut found: Vec<i64> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
            found.sort_unstable();
            assert_eq!(found, (0..ROWS).collect::<Vec<_>>());
            let own = |row: &serde_json::Value| row["n"] == 1 && row["word"] == format!("{MARKER}_{}", row["id"]);
            assert!(rows.iter().all(own), "{text}");
            let there = "SELECT count(*) FROM ops.queries WHERE route = 'cluster' AND statement LIKE '%GROUP BY word%'";
            (node.number(there)? > 0).then_some(())
        });
    }

    /// Those who stood before a kind of port.
    fn before<'a>(&'a self, port: &'a str) -> impl Iterator<Item = &'a Recorder> {
        let kind = self.recorders.iter().filter(move |(name, _)| *name == port);
        kind.map(|(_, recorder)| recorder)
    }
}

/// A program that believes the CA of a node; with the node's certificate, or without one.
fn client(files: &Path, shows: bool) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(files.join("ca.pem")).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shows {
        false => config.with_no_client_auth(),
        true => {
            let certificate = CertificateDer::from_pem_file(files.join("node.pem")).unwrap();
            let key = PrivateKeyDer::from_pem_file(files.join("node-key.pem")).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// What a port answers to the beginning of HTTP 2, up to its first words.
fn answer(address: SocketAddr, client: Option<TlsConnector>) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let asked = async {
            match client {
                None => ask(stream).await,
                Some(client) => {
                    let name = ServerName::try_from("node.tidewater.internal").unwrap();
                    match client.connect(name, stream).await {
                        Ok(stream) => ask(stream).await,
                        Err(_) => Vec::new(),
                    }
                }
            }
        };
        tokio::time::timeout(DEADLINE, asked).await.unwrap()
    })
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Vec<u8> {
    let mut answer = Vec::new();
    let said = async {
        stream.write_all(PREFACE).await?;
        stream.flush().await?;
        stream.read_buf(&mut answer).await
    };
    // A connection that ends says nothing.
    said.await.map_or_else(|_| Vec::new(), |count| answer[..count].to_vec())
}

// Goal: with [node_tls] three processes with every role work together, nobody between them reads a name or a value, and who has no
// certificate of a node is answered nothing at any port. Method: a recorder before each port between nodes; a query whose rows are
// shuffled; a client with TLS and without at each port, and one with a node's certificate to know that the question is in order.
#[test]
fn nodes_on_tls_are_read_by_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<PathBuf> = (1..=3)
        .map(|number| certificate(dir.path(), &format!("node-{number}.tide")))
        .collect();
    let watched = Watched::start(dir.path(), |number| section(&names[number - 1]));
    watched.counts_words();

    for (port, recorder) in &watched.recorders {
        let said = recorder.said();
        assert!(
            said.iter().all(|said| said[0] == HANDSHAKE),
            "{port} does not begin with TLS"
        );
        assert!(!recorder.heard(MARKER), "the data was read at {port}");
    }
    for port in ["raft", "scheduler", "shuffle", "tasks"] {
        let heard = watched.before(port).any(|recorder| !recorder.said().is_empty());
        assert!(heard, "nothing went by at {port}: the test shows nothing");
    }

    for plane in &watched.planes {
        for (port, number) in plane.ports() {
            let address = plane.listens(number);
            let plain = answer(address, None);
            assert!(plain.is_empty(), "{port} answers without TLS: {plain:?}");
            let nameless = answer(address, Some(client(&names[0], false)));
            assert!(
                nameless.is_empty(),
                "{port} answers without a certificate: {nameless:?}"
            );
        }
        for port in [plane.shuffle, plane.tasks] {
            let answered = answer(plane.listens(port), Some(client(&names[0], true)));
            assert!(!answered.is_empty(), "a node is not answered at {port}");
        }
    }
}

// Goal: who listens in the test above would have read the data. Method: the same without TLS.
#[test]
fn nodes_without_tls_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let watched = Watched::start(dir.path(), |_| String::new());
    watched.counts_words();
    for port in ["raft", "shuffle", "tasks"] {
        let heard = watched.before(port).any(|recorder| recorder.heard(MARKER));
        assert!(heard, "the data did not go by at {port}");
    }
    let begins = |recorder: &Recorder| recorder.said().iter().any(|said| said.starts_with(&PREFACE[..14]));
    assert!(watched.before("scheduler").any(begins));
}

// Goal: a role reaches a catalog whose certificate is of the cluster's own CA. Method: a catalog with a certificate for localhost, and
// a role that calls it by https and is told the CA.
#[test]
fn roles_believe_the_ca_that_they_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let files = certificate(dir.path(), "localhost");
    let catalog = NodeBuilder::serve(dir.path(), "catalog")
        .config(&format!(
            "[security.tls]\ncert = {:?}\nkey = {:?}\n",
            files.join("node.pem"),
            files.join("node-key.pem")
        ))
        .start();
    let role = NodeBuilder::serve(dir.path(), "flight-sql")
        .config(&format!(
            "[catalog]\nendpoints = [\"https://localhost:{}\"]\nca = {:?}\n",
            catalog.ports().catalog,
            files.join("ca.pem")
        ))
        .start();
    role.query("CREATE SCHEMA told").unwrap();
    assert!(role.cli(&["table", "ls"]).is_ok(), "the command line believes it too");
}
