//! Three nodes with their REST interfaces in one process, over the same TCP and HTTP as in production.

#[path = "cluster/append.rs"]
mod append;
#[path = "cluster/lost.rs"]
mod lost;
#[path = "cluster/operated.rs"]
mod operated;
#[path = "cluster/restarted.rs"]
mod restarted;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tidewater_catalog::raft::{Consensus, PeerAddress, RaftConsensus, RaftOptions};
use tidewater_catalog::{Access, CatalogOptions, CatalogServer, Warehouse};
use tidewater_catalog_client::{Bearer, CatalogClient, ClientOptions};
use tidewater_core::{NodeId, SystemClock, SystemRng, Tasks};
use tidewater_security::{Principal, TokenKey};
use tidewater_table::FileStore;
use tokio::net::TcpListener;

use self::lost::Door;

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
