//! The change feed over HTTP: polled and as a stream, resumed, and lost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use tidewater_catalog::command::{Command, Op};
use tidewater_catalog::memory::MemoryConsensus;
use tidewater_catalog::raft::Consensus;
use tidewater_catalog::state::CHANGES_MAX;
use tidewater_catalog::{CatalogOptions, CatalogServer, Warehouse};
use tidewater_catalog_client::{CatalogClient, ClientOptions};
use tidewater_core::{SystemClock, SystemRng, Tasks};
use tidewater_table::FileStore;

const DEADLINE: Duration = Duration::from_secs(20);

async fn served() -> (Arc<MemoryConsensus>, String, Tasks) {
    let (consensus, tasks) = (MemoryConsensus::shared(), Tasks::new("test"));
    let warehouse = Warehouse::new("lake", "memory:///lake").expect("a good location");
    let server = CatalogServer::new(CatalogOptions::new(
        consensus.clone(),
        Arc::new(FileStore::system()),
        warehouse,
        SystemClock::shared(),
        SystemRng::shared(),
        tasks.clone(),
    ));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let uri = format!("http://{}", listener.local_addr().expect("bound"));
    tasks.spawn("serve", async move {
        server.serve(listener).await.expect("the listener works")
    });
    (consensus, uri, tasks)
}

async fn change(consensus: &MemoryConsensus, number: usize) {
    let op = Op::CreateNamespace {
        namespace: vec![format!("n{number}")],
        properties: Default::default(),
    };
    consensus.write(Command::new(1, op)).await.expect("applied");
}

/// Events of a stream as they come: name, id, data.
struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    async fn open(uri: &str, query: &str, last_id: Option<u64>) -> Self {
        let mut request = reqwest::Client::new().get(format!("{uri}/internal/v1/changes/stream{query}"));
        if let Some(last_id) = last_id {
            request = request.header("last-event-id", last_id.to_string());
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            text: String::new(),
        }
    }

    async fn next(&mut self) -> Option<(String, u64, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .unwrap_or_default()
                };
                let found = (
                    field("event: ").to_owned(),
                    field("id: ").parse().expect("a cursor"),
                    serde_json::from_str(field("data: ")).expect("JSON"),
                );
                self.text = rest.to_owned();
                return Some(found);
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk())
                .await
                .expect("in time");
            let chunk = chunk.expect("an open connection")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
}

// Goal: a stream tells each change once, is taken up again at its cursor, and ends with the server. Method: changes while
// it is open, a second stream with the first one's last id, then the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_resumed() {
    let (consensus, uri, tasks) = served().await;
    change(&consensus, 0).await;
    let mut events = Events::open(&uri, "?after=0&limit=2", None).await;
    let (name, id, page) = events.next().await.expect("an event");
    assert_eq!(
        (name.as_str(), id, page["changes"][0]["namespace"][0].as_str()),
        ("changes", 1, Some("n0"))
    );
    for number in 1..8 {
        change(&consensus, number).await;
    }
    let mut seen = Vec::new();
    let mut last = id;
    while seen.len() < 3 {
        let (_, id, page) = events.next().await.expect("an event");
        let changes = page["changes"].as_array().expect("a list").clone();
        seen.extend(
            changes
                .iter()
                .map(|change| change["namespace"][0].as_str().expect("a name").to_owned()),
        );
        last = id;
    }
    drop(events);
    let mut events = Events::open(&uri, "?limit=3", Some(last)).await;
    while seen.len() < 7 {
        let (_, _, page) = events.next().await.expect("an event");
        let changes = page["changes"].as_array().expect("a list").clone();
        seen.extend(
            changes
                .iter()
                .map(|change| change["namespace"][0].as_str().expect("a name").to_owned()),
        );
    }
    assert_eq!(seen, (1..8).map(|number| format!("n{number}")).collect::<Vec<_>>());
    assert!(
        tasks.shutdown(DEADLINE).await,
        "an open stream does not hold the server up"
    );
    assert!(events.next().await.is_none());
}

// Goal: who fell behind what is kept, or holds a cursor of another history, is told so and goes on from where he is sent.
// Method: more changes than are kept; polled and streamed with an old cursor and with one beyond the log.
#[tokio::test(flavor = "multi_thread")]
async fn who_fell_behind_is_told() {
    let (consensus, uri, tasks) = served().await;
    for number in 0..CHANGES_MAX + 10 {
        change(&consensus, number).await;
    }
    let newest = consensus.state().index;
    let client = CatalogClient::new(ClientOptions::new([uri.as_str()])).expect("good options");
    for cursor in [3, newest + 1_000] {
        let page = client.changes(Some(cursor), 100, Duration::ZERO).await.expect("a page");
        assert!(page.lost, "{cursor}");
        let mut events = Events::open(&uri, &format!("?after={cursor}"), None).await;
        let (name, id, _) = events.next().await.expect("an event");
        assert_eq!(name, "lost");
        // Resynchronised: the state is loaded anew, then the feed goes on without a gap.
        change(&consensus, 1_000_000 + usize::try_from(cursor).expect("small")).await;
        let page = client
            .changes(Some(id.max(page.cursor)), 100_000, Duration::ZERO)
            .await
            .expect("a page");
        assert!(!page.lost);
    }
    let kept = client
        .changes(Some(newest - 5), 100, Duration::ZERO)
        .await
        .expect("a page");
    assert!(!kept.lost && kept.changes.len() >= 5);
    assert!(tasks.shutdown(DEADLINE).await);
}
