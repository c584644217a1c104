//! Thousands of connections that ask for nothing, or for something very slowly, beside clients that work.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use tidewater_catalog::memory::MemoryConsensus;
use tidewater_catalog::{CatalogOptions, CatalogServer, Warehouse};
use tidewater_core::{SystemClock, SystemRng, Tasks};
use tidewater_table::FileStore;

/// Connections that say nothing.
const IDLE: usize = 5_000;

/// Those that stop in the middle of the head of a request.
const SLOW_HEADS: usize = 500;

/// Those that stop in the middle of a body: more than there are places for requests.
const SLOW_BODIES: usize = 1_100;

/// Files of the process besides the two ends of each connection.
const OTHER_FILES: usize = 400;

/// Clients that work, and what each asks for.
const CLIENTS: usize = 8;
const LOADS: usize = 50;

/// Less than a request would wait for a place.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The catalog waits no longer than half a minute for a body: on a slow machine the clients do less in this time.
const LOAD_MAX: Duration = Duration::from_secs(15);

const TABLE: &str = "/v1/namespaces/a/tables/t";

/// How many files this process may open.
fn files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux tells its limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX)
}

async fn open(to: &str, connections: usize, said: &str) -> Vec<TcpStream> {
    let mut opened = Vec::with_capacity(connections);
    // A few at a time: the queue of the listener is short.
    for some in (0..connections).collect::<Vec<_>>().chunks(64) {
        let some = join_all(some.iter().map(|_| async {
            let mut stream = TcpStream::connect(to).await.expect("a connection");
            stream.write_all(said.as_bytes()).await.expect("said");
            stream
        }));
        opened.extend(some.await);
    }
    opened
}

fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

// Goal: silent and slow connections take nothing from clients that work. Method: thousands of them at once, more unfinished requests than
// there are places for requests; the others load a table and commit to it, each answer well within the time that a request waits for
// a place. All slow ones are still there in the end, or nothing was shown.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_hurt_nobody() {
    let tasks = Tasks::new("test");
    let server = CatalogServer::new(CatalogOptions::new(
        MemoryConsensus::shared(),
        std::sync::Arc::new(FileStore::system()),
        Warehouse::new("lake", "memory:///lake").expect("a good location"),
        SystemClock::shared(),
        SystemRng::shared(),
        tasks.clone(),
    ));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    tasks.spawn("serve", async move {
        server.serve(listener).await.expect("the listener works")
    });
    let http = reqwest::Client::builder()
        .timeout(ANSWER_MAX)
        .build()
        .expect("a client");
    let post = async |path: &str, body: serde_json::Value| {
        let request = http.post(format!("http://{address}{path}")).json(&body);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
    };
    post("/v1/namespaces", json!({"namespace": ["a"]})).await;
    let field = json!({"id": 1, "name": "id", "type": "long", "required": false});
    let schema = json!({"type": "struct", "schema-id": 0, "fields": [field]});
    post("/v1/namespaces/a/tables", json!({"name": "t", "schema": schema})).await;

    let busy = SLOW_HEADS + SLOW_BODIES + CLIENTS;
    let idle = IDLE.min((files_max().saturating_sub(OTHER_FILES) / 2).saturating_sub(busy));
    eprintln!("{idle} of {IDLE} idle connections, {SLOW_HEADS} slow heads, {SLOW_BODIES} slow bodies");
    assert!(idle > 0, "this process may open too few files: raise ulimit -n");
    let head = "GET /v1/config HTTP/1.1\r\nhost: x\r\nx-slow: ";
    let body =
        format!("POST {TABLE} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{");
    let mut slow = open(&address, idle, "").await;
    slow.extend(open(&address, SLOW_HEADS, head).await);
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    slow.extend(open(&address, SLOW_BODIES, &body).await);

    let clients = (0..CLIENTS).map(|client| {
        let (http, post, address, clock) = (&http, &post, &address, &clock);
        async move {
            for number in 0..LOADS {
                if clock.monotonic() - begun > LOAD_MAX {
                    return number;
                }
                let loaded = http.get(format!("http://{address}{TABLE}")).send().await;
                assert_eq!(loaded.expect("an answer in time").status(), 200);
                let key = format!("client-{client}");
                let update = json!({"action": "set-properties", "updates": {key: number.to_string()}});
                post(TABLE, json!({"requirements": [], "updates": [update]})).await;
            }
            LOADS
        }
    });
    let done = join_all(clients).await;
    assert!(done.iter().all(|loads| *loads > 0), "{done:?}");
    let closed = slow.iter().filter(|stream| !is_open(stream)).count();
    assert_eq!(closed, 0, "of {} slow connections", slow.len());
    drop(slow);
    tasks.shutdown(ANSWER_MAX).await;
}
