//! Three nodes with their REST interfaces in one process, over the same TCP and HTTP as in production.

#[path = "cluster/append.rs"]
mod append;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use tidewater_catalog::backup::{BackupWriter, missing_metadata, restore_into};
use tidewater_catalog::join::announce;
use tidewater_catalog::raft::{Consensus, Founder, GroupIdentity, PeerAddress, RaftConsensus, RaftOptions};
use tidewater_catalog::{Access, CatalogOptions, CatalogServer, Warehouse};
use tidewater_catalog_client::dto::NodeAddress;
use tidewater_catalog_client::{Bearer, CatalogClient, ClientOptions};
use tidewater_core::{NodeId, SystemClock, SystemRng, Tasks};
use tidewater_security::{Principal, TokenKey};
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use tidewater_table::{Catalog, FileStore, NewTable};

const DEADLINE: Duration = Duration::from_secs(60);

fn user_key() -> TokenKey {
    TokenKey::derive(b"users")
}

fn operator_key() -> TokenKey {
    TokenKey::derive(b"tide")
}

fn token(key: &TokenKey) -> String {
    key.issue(&Principal::named("ana"), i64::MAX)
}

#[expect(clippy::panic, reason = "a helper of tests that is no test itself")]
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    while clock.monotonic() - begun < DEADLINE {
        if let Some(answer) = ask().await {
            return answer;
        }
        clock.sleep(Duration::from_millis(10)).await;
    }
    panic!("not within {DEADLINE:?}: {what}");
}

async fn bind(address: &str) -> TcpListener {
    until("a port", || async { TcpListener::bind(address).await.ok() }).await
}

/// A node that runs.
struct Node {
    consensus: RaftConsensus,
    tasks: Tasks,
    address: PeerAddress,
}

impl Node {
    async fn start(options: RaftOptions, lake: &Path, raft: TcpListener, api: TcpListener) -> Self {
        let address = options.peers[&options.node].clone();
        let (clock, rng, tasks) = (SystemClock::shared(), SystemRng::shared(), Tasks::new("node"));
        let consensus = until("the files are free", || async {
            RaftConsensus::start(options.clone(), Arc::clone(&clock), Arc::clone(&rng))
                .await
                .ok()
        })
        .await;
        consensus.serve_peers(raft).expect("it listens");
        let warehouse = Warehouse::new("lake", &lake.to_string_lossy()).expect("a good location");
        let store = Arc::new(FileStore::system());
        let log = Arc::new(consensus.clone());
        let mut options = CatalogOptions::new(log, store, warehouse, clock, rng, tasks.child("catalog"));
        options.access = Access::Tokens(user_key());
        options.operators = Some(operator_key());
        let server = CatalogServer::new(options);
        tasks.spawn(
            "serve",
            async move { server.serve(api).await.expect("the listener works") },
        );
        Self {
            consensus,
            tasks,
            address,
        }
    }

    /// In the order in which the binary ends.
    async fn end(self) {
        self.consensus.hand_over(Duration::from_secs(5)).await;
        assert!(self.tasks.shutdown(DEADLINE).await, "the server ends in time");
        self.consensus.shutdown(DEADLINE).await;
    }
}

async fn listeners() -> (TcpListener, TcpListener, PeerAddress) {
    let (raft, api) = (bind("127.0.0.1:0").await, bind("127.0.0.1:0").await);
    let at = |listener: &TcpListener| listener.local_addr().expect("bound");
    let address = PeerAddress {
        raft: at(&raft).to_string(),
        api: format!("http://{}", at(&api)),
    };
    (raft, api, address)
}

async fn group(temp: &Path, count: u64) -> BTreeMap<NodeId, Node> {
    group_behind(temp, count, None).await
}

/// A group whose nodes reach each other's REST interface through a door, if there is one.
async fn group_behind(temp: &Path, count: u64, door: Option<&Arc<Door>>) -> BTreeMap<NodeId, Node> {
    let (mut peers, mut sockets) = (BTreeMap::new(), Vec::new());
    for id in (1..=count).map(NodeId) {
        let (raft, api, mut address) = listeners().await;
        if let Some(door) = door {
            address.api = door.before(api.local_addr().expect("bound")).await;
        }
        peers.insert(id, address);
        sockets.push((id, raft, api));
    }
    let mut nodes = BTreeMap::new();
    for (id, raft, api) in sockets {
        let options = RaftOptions::group(id, temp.join(id.to_string()), peers.clone());
        nodes.insert(id, Node::start(options, &temp.join("lake"), raft, api).await);
    }
    until("a leader", || async {
        let leads = nodes
            .values()
            .find(|node| node.consensus.leadership().borrow().is_leader())?;
        leads.consensus.barrier().await.ok()
    })
    .await;
    nodes
}

fn client(endpoints: impl IntoIterator<Item = String>) -> CatalogClient {
    let mut options = ClientOptions::new(endpoints);
    options.token = Some(Bearer::fixed(token(&user_key())));
    options.operator = Some(Bearer::fixed(token(&operator_key())));
    CatalogClient::new(options).expect("good options")
}

fn plain() -> reqwest::Client {
    let built = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build();
    built.expect("a client")
}

fn schema() -> Schema {
    let field = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
    let schema = Schema::builder().with_fields([Arc::new(field)]).build();
    schema.expect("a good schema")
}

// Goal: a client that knows one follower, follows no redirect and sends its token once gets everything done there; who
// asks for a redirect gets it. Method: plain HTTP at a follower: create, load, commit, refuse without token, HEAD, list.
#[tokio::test(flavor = "multi_thread")]
async fn followers_do_everything() {
    let temp = TempDir::new().expect("a folder");
    let nodes = group(temp.path(), 3).await;
    let follower = nodes
        .values()
        .find(|node| !node.consensus.leadership().borrow().is_leader());
    let api = follower.expect("a follower").address.api.clone();
    let http = plain();
    let call = |method, path: &str| {
        http.request(method, format!("{api}{path}"))
            .bearer_auth(token(&user_key()))
    };
    let post = |path: &str, body| call(reqwest::Method::POST, path).json(&body);

    let stranger = http
        .post(format!("{api}/v1/namespaces"))
        .json(&json!({"namespace": ["a"]}));
    assert_eq!(stranger.send().await.expect("an answer").status(), 401);
    let made = post("/v1/namespaces", json!({"namespace": ["a"]}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(made.status(), 200);
    let schema = json!({"type": "struct", "schema-id": 0, "fields": [
        {"id": 1, "name": "id", "type": "long", "required": true}]});
    let made = post("/v1/namespaces/a/tables", json!({"name": "t", "schema": schema}));
    assert_eq!(made.send().await.expect("an answer").status(), 200);
    let table = "/v1/namespaces/a/tables/t";
    let update = json!({"requirements": [], "updates": [{"action": "set-properties", "updates": {"x": "1"}}]});
    let committed = post(table, update.clone()).send().await.expect("an answer");
    assert_eq!(committed.status(), 200);
    // Read at the follower itself, which asks the leader how far it has to be.
    let loaded = call(reqwest::Method::GET, table).send().await.expect("an answer");
    let loaded: serde_json::Value = loaded.json().await.expect("JSON");
    assert_eq!(loaded["metadata"]["properties"]["x"], "1");
    assert_eq!(
        call(reqwest::Method::HEAD, table)
            .send()
            .await
            .expect("an answer")
            .status(),
        204
    );
    let old = call(reqwest::Method::GET, table).header("x-tidewater-max-staleness-ms", "60000");
    assert_eq!(old.send().await.expect("an answer").status(), 200);
    let bad = call(reqwest::Method::GET, table).header("x-tidewater-max-staleness-ms", "old");
    assert_eq!(bad.send().await.expect("an answer").status(), 400);
    let redirected = post(table, update)
        .header("x-tidewater-redirect", "1")
        .send()
        .await
        .expect("an answer");
    assert_eq!(redirected.status(), 307);
    let target = redirected.headers()["location"].to_str().expect("text").to_owned();
    assert!(target.ends_with(table) && !target.starts_with(&api), "{target}");
    for (_, node) in nodes {
        node.end().await;
    }
}

/// What stands before the nodes: while it is armed, the next answer is lost with its connection.
#[derive(Debug, Default)]
struct Door {
    armed: AtomicBool,
    lost: AtomicU64,
}

impl Door {
    /// The URL by which the node at `node` is reached through this door.
    #[expect(clippy::disallowed_methods, reason = "a test's own proxy")]
    async fn before(self: &Arc<Self>, node: SocketAddr) -> String {
        let listener = bind("127.0.0.1:0").await;
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let door = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let door = Arc::clone(&door);
                tokio::spawn(async move { door.pass(near, node).await });
            }
        });
        url
    }

    async fn pass(&self, mut near: TcpStream, node: SocketAddr) -> std::io::Result<()> {
        let mut far = TcpStream::connect(node).await?;
        let ((mut asked, mut told), (mut answers, mut asks)) = (near.split(), far.split());
        let back = async {
            let mut bytes = [0; 4096];
            loop {
                let count = answers.read(&mut bytes).await?;
                if count == 0 {
                    return Ok::<_, std::io::Error>(());
                }
                if self.armed.swap(false, Relaxed) {
                    self.lost.fetch_add(1, Relaxed);
                    return Ok(());
                }
                told.write_all(&bytes[..count]).await?;
            }
        };
        tokio::select! {
            ended = tokio::io::copy(&mut asked, &mut asks) => ended.map(drop),
            ended = back => ended,
        }
    }
}

// Goal: a change whose answer is lost between a follower and the leader is done once, and the client, which gave no
// idempotency key, hears what it did. Method: a door between the nodes that loses the answer to a follower's first
// request; making a namespace, which cannot be done twice
// unnoticed.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_on_the_way() {
    let temp = TempDir::new().expect("a folder");
    let door = Arc::<Door>::default();
    let nodes = group_behind(temp.path(), 3, Some(&door)).await;
    let follower = nodes
        .values()
        .find(|node| !node.consensus.leadership().borrow().is_leader());
    let api = follower.expect("a follower").address.api.clone();
    let http = plain();
    let post = |path: &str, body: &serde_json::Value| {
        http.post(format!("{api}{path}"))
            .bearer_auth(token(&user_key()))
            .json(body)
    };
    for (number, name) in ["a", "b"].into_iter().enumerate() {
        let made = json!({"namespace": [name]});
        door.armed.store(true, Relaxed);
        let answer = post("/v1/namespaces", &made).send().await;
        assert_eq!(answer.expect("an answer").status(), 200, "{name}");
        assert_eq!(door.lost.load(Relaxed), number as u64 + 1, "an answer was lost");
        let again = post("/v1/namespaces", &made).send().await;
        assert_eq!(again.expect("an answer").status(), 409, "{name} is there");
    }
    for (_, node) in nodes {
        node.end().await;
    }
}

/// What a load met.
#[derive(Default)]
struct Tally {
    calls: AtomicU64,
    repeated: AtomicU64,
    /// What requests met that failed twice.
    failed: Mutex<Vec<String>>,
}

/// One request, repeated once at the next node when the first does not take it.
async fn twice_at_most(http: &reqwest::Client, apis: &[String], first: usize, number: u64, tally: &Tally) {
    let key = SystemRng::shared().uuid().to_string();
    tally.calls.fetch_add(1, Relaxed);
    let mut met = Vec::new();
    for attempt in 0..2 {
        let api = &apis[(first + attempt) % apis.len()];
        let request = match number % 3 {
            0 => http.get(format!("{api}/v1/namespaces")),
            _ => http
                .post(format!("{api}/v1/namespaces"))
                .header("idempotency-key", &key)
                .json(&json!({"namespace": [format!("n{number}")]})),
        };
        let answer = request
            .bearer_auth(token(&user_key()))
            .timeout(Duration::from_secs(30))
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
                met.push(format!("{api}: {}", answer.text().await.unwrap_or_default()));
            }
            Ok(answer) => assert_eq!(answer.status(), 200, "from {api} for {number}"),
            Err(error) => met.push(format!("{api}: {error:?}")),
        }
        if attempt == 0 {
            tally.repeated.fetch_add(1, Relaxed);
        }
    }
    tally
        .failed
        .lock()
        .expect("no panic")
        .push(format!("{number}: {met:#?}"));
}

// Goal: all nodes are restarted one after the other under load and no request fails beyond one repetition at another
// node; nothing that was acknowledged is missing. Method: plain clients over all nodes and the project's own client.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a test's own load")]
async fn a_rolling_restart() {
    let temp = TempDir::new().expect("a folder");
    let mut nodes = group(temp.path(), 3).await;
    let peers: BTreeMap<NodeId, PeerAddress> = nodes.iter().map(|(id, node)| (*id, node.address.clone())).collect();
    let apis: Vec<String> = peers.values().map(|address| address.api.clone()).collect();
    let (stop, tally, own) = (
        Arc::<AtomicBool>::default(),
        Arc::<Tally>::default(),
        Arc::<AtomicU64>::default(),
    );
    let mut load = Vec::new();
    for writer in 0..6_u64 {
        let (stop, tally, apis) = (Arc::clone(&stop), Arc::clone(&tally), apis.clone());
        load.push(tokio::spawn(async move {
            let (http, mut number) = (plain(), writer * 1_000_000);
            while !stop.load(Relaxed) {
                twice_at_most(
                    &http,
                    &apis,
                    usize::try_from(number + writer).unwrap_or(0),
                    number,
                    &tally,
                )
                .await;
                number += 1;
            }
        }));
    }
    let (stopping, counted, mine) = (Arc::clone(&stop), Arc::clone(&own), client(apis.clone()));
    load.push(tokio::spawn(async move {
        while !stopping.load(Relaxed) {
            let name = format!("own{}", counted.load(Relaxed));
            mine.create_namespace(&name.parse().expect("a name"))
                .await
                .expect("made");
            counted.fetch_add(1, Relaxed);
        }
    }));
    for id in [1, 2, 3].map(NodeId) {
        let before = tally.calls.load(Relaxed);
        until("load", || async {
            (tally.calls.load(Relaxed) > before + 60).then_some(())
        })
        .await;
        nodes.remove(&id).expect("it runs").end().await;
        let before = tally.calls.load(Relaxed);
        until("load without it", || async {
            (tally.calls.load(Relaxed) > before + 60).then_some(())
        })
        .await;
        let (raft, api) = (&peers[&id].raft, peers[&id].api.trim_start_matches("http://"));
        let (raft, api) = (bind(raft).await, bind(api).await);
        let options = RaftOptions::group(id, temp.path().join(id.to_string()), peers.clone());
        let node = Node::start(options, &temp.path().join("lake"), raft, api).await;
        until("it follows", || async { node.consensus.barrier().await.ok() }).await;
        nodes.insert(id, node);
    }
    stop.store(true, Relaxed);
    for ended in join_all(load).await {
        ended.expect("no request met anything else");
    }
    let (calls, repeated) = (tally.calls.load(Relaxed), tally.repeated.load(Relaxed));
    eprintln!(
        "{calls} requests, {repeated} repeated once, {} by the own client",
        own.load(Relaxed)
    );
    let failed = std::mem::take(&mut *tally.failed.lock().expect("no panic"));
    assert!(failed.is_empty(), "of {calls}, {repeated} repeated: {failed:#?}");
    let all = client(apis).list_namespaces().await.expect("a list").len() as u64;
    assert!(all >= own.load(Relaxed) && all > 100, "{all}");
    for (_, node) in nodes {
        node.end().await;
    }
}

// Goal: the operator's verbs over HTTP: a catalog of one becomes one of three by numbers from the log, leadership moves,
// a node is snapshotted, one leaves; a node's identity file is all it needs to start.
// Method: the client's calls at whichever node, the identity written and read back.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_operated() {
    let temp = TempDir::new().expect("a folder");
    let mut nodes = group(temp.path(), 1).await;
    let first = nodes[&NodeId(1)].address.api.clone();
    let client = client([first]);
    client
        .create_namespace(&"a".parse().expect("a name"))
        .await
        .expect("made");
    for _ in 0..2 {
        let given = client.allocate_node().await.expect("a number");
        let (raft, api, address) = listeners().await;
        let members = given.members.into_iter().map(|member| {
            let address = PeerAddress {
                raft: member.raft,
                api: member.api,
            };
            (member.id, address)
        });
        let identity = GroupIdentity {
            node: given.node,
            address: address.clone(),
            members: members.collect(),
        };
        let dir = temp.path().join(given.node.to_string());
        identity.write_new(&dir).expect("written");
        assert!(identity.write_new(&dir).is_err(), "not twice");
        let identity = GroupIdentity::read(&dir).expect("read").expect("there");
        let node = Node::start(identity.options(&dir), &temp.path().join("lake"), raft, api).await;
        announce(&node.consensus, &identity, &client, &SystemClock::shared())
            .await
            .expect("added");
        let status = client.cluster_status().await.expect("a status");
        assert!(
            status
                .members
                .iter()
                .any(|member| member.id == given.node && !member.voter)
        );
        nodes.insert(given.node, node);
    }
    let joined = [NodeId(2), NodeId(3)];
    let status = client.promote_nodes(&joined).await.expect("promoted");
    assert_eq!(status.members.iter().filter(|member| member.voter).count(), 3);
    assert_eq!(
        client.transfer_leader(Some(NodeId(3))).await.expect("handed over"),
        NodeId(3)
    );
    client
        .create_namespace(&"b".parse().expect("a name"))
        .await
        .expect("made");
    // What only the leader keeps is asked of the leader.
    let asked = format!("{}/internal/v1/metrics-reports", nodes[&NodeId(2)].address.api);
    let asked = plain()
        .get(asked)
        .header("x-tidewater-redirect", "1")
        .bearer_auth(token(&user_key()));
    assert_eq!(asked.send().await.expect("an answer").status(), 307);
    let taken = client.take_snapshot().await.expect("taken");
    assert!(taken.index > 0);
    // The leader itself is removed: it hands over, and the call is led to the next one.
    let status = client.remove_nodes(&[NodeId(3)]).await.expect("removed");
    assert_eq!(status.members.len(), 2);
    let refused = client
        .add_node(
            NodeId(3),
            &NodeAddress {
                raft: "x:1".into(),
                api: String::new(),
            },
        )
        .await;
    assert!(refused.is_err_and(|error| error.is_refusal("ClusterConflictException")));
    assert_eq!(client.list_namespaces().await.expect("a list").len(), 2);
    let mut stopped = nodes[&NodeId(3)].consensus.stopped();
    let told = tokio::time::timeout(DEADLINE, stopped.wait_for(Option::is_some)).await;
    assert!(told.expect("it is told").is_ok());
}

// Goal: the drill of docs/operations/backup.md: a backup over HTTP while the catalog is written to becomes a catalog whose
// tables are read from the same files. Method: tables and writers, back up, end everything, restore, load each table.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_and_its_drill() {
    let temp = TempDir::new().expect("a folder");
    let nodes = group(temp.path(), 3).await;
    let old = client(nodes.values().map(|node| node.address.api.clone()));
    old.create_namespace(&"a".parse().expect("a name")).await.expect("made");
    let mut tables = Vec::new();
    for number in 0..5 {
        let name = format!("a.t{number}").parse().expect("a name");
        tables.push(old.create_table(NewTable::new(name, schema())).await.expect("made"));
    }
    let backup = temp.path().join("backup");
    let mut writer = BackupWriter::create(&backup).expect("an empty folder");
    let download = async {
        let mut download = old.backup().await.expect("an answer");
        while let Some(bytes) = download.next().await.expect("more") {
            writer.write(&bytes).expect("written");
        }
        writer.finish().expect("whole")
    };
    let writes = async {
        for number in 0..20 {
            let name = format!("later{number}").parse().expect("a name");
            old.create_namespace(&name).await.expect("made");
        }
    };
    let (manifest, ()) = tokio::join!(download, writes);
    assert_eq!(manifest.tables.len(), 5);
    for (_, node) in nodes {
        node.end().await;
    }

    let (raft, api, address) = listeners().await;
    let founder = Founder {
        dir: temp.path().join("new"),
        address,
        now_ms: SystemClock::shared().now_ms(),
    };
    let rng = SystemRng::shared();
    let (manifest, founded) = restore_into(&backup, &founder, rng.as_ref()).expect("restored");
    assert!(missing_metadata(&manifest, &FileStore::system()).await.is_empty());
    let identity = GroupIdentity::read(&founder.dir).expect("read").expect("there");
    assert_eq!(identity.node, founded.node);
    let node = Node::start(identity.options(&founder.dir), &temp.path().join("lake"), raft, api).await;
    let new = client([founder.address.api.clone()]);
    for table in tables {
        let loaded = new.load_table(&table.name).await.expect("an answer").expect("there");
        assert_eq!(loaded.metadata_location, table.metadata_location);
        assert_eq!(loaded.metadata, table.metadata);
    }
    let made = new
        .create_table(NewTable::new("a.new".parse().expect("a name"), schema()))
        .await;
    assert!(made.is_ok());
    let socket: SocketAddr = founder.address.raft.parse().expect("an address");
    assert!(socket.ip().is_loopback());
    node.end().await;
}
