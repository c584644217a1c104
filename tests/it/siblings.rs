//! Statements that run in one process and are ended at another one, as behind one address for both.

use std::path::Path;
use std::time::{Duration, Instant};

use arrow_flight::FlightInfo;
use arrow_flight::error::FlightError;
use futures::TryStreamExt;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::cancel::{CANCELLED, cancel, connect};
use crate::kit::wire::Wire;
use crate::kit::{Node, NodeBuilder, free_port, slack, wait_for};

const SECRET: &str = "an installation's own 32 bytes or more";

const DEADLINE: Duration = Duration::from_secs(60);

/// From the request to end it to the end that is seen.
const ENDED_MAX: Duration = Duration::from_secs(1);

/// A catalog, and two processes that answer statements of it and know each other by a name that both are behind.
struct Pair {
    runs: Node,
    asked: Node,
    _catalog: Node,
    http: Client,
    token: String,
    statements: u64,
}

impl Pair {
    fn start(dir: &Path) -> Self {
        let catalog = NodeBuilder::serve(dir, "catalog");
        let port = catalog.ports.catalog;
        let security = format!("[security]\nnode_secret = \"{SECRET}\"\n");
        let lake = dir.join("lake");
        let catalog = catalog
            .config(&format!(
                "[catalog]\nlisten = \"127.0.0.1:{port}\"\nwarehouse = \"file://{}\"\n{security}",
                lake.display()
            ))
            .start();
        let builders = ["runs", "asked"].map(|name| {
            let mut builder = NodeBuilder::serve(dir, "flight-sql");
            builder.name = name.into();
            builder
        });
        let mut places: Vec<u16> = builders.iter().map(|builder| builder.ports.http).collect();
        // One that has gone away is in nobody's way.
        places.push(free_port());
        let places: Vec<String> = places.iter().map(|port| format!("\"localhost:{port}\"")).collect();
        let nodes = builders.each_ref().map(|builder| {
            let flight = builder.ports.flight;
            builder
                .clone()
                .config(&format!(
                    "[catalog]\nendpoints = [\"http://127.0.0.1:{port}\"]\n{security}\
                     [flight_sql]\nlisten = \"127.0.0.1:{flight}\"\nsiblings = [{}]\n",
                    places.join(", ")
                ))
                .start()
        });
        let [runs, asked] = nodes;
        let token = asked.cli(&["user", "token", "operator"]).unwrap().trim().to_owned();
        Self {
            runs,
            asked,
            _catalog: catalog,
            http: Client::builder().no_proxy().timeout(DEADLINE).build().unwrap(),
            token,
            statements: 0,
        }
    }

    /// Hours of work; another statement each time, so that none is answered with another's rows.
    fn endless(&mut self) -> String {
        self.statements += 1;
        format!(
            "SELECT sum(sqrt(a.x * b.x + {})) FROM generate_series(1, 10000000) AS a (x) CROSS JOIN generate_series(1, 10000000) AS b (x)",
            self.statements
        )
    }

    /// What a process tells of statements at work.
    fn queries(&self, node: &Node) -> Value {
        let url = format!("http://127.0.0.1:{}/v1/queries", node.ports().http);
        let told = self.http.get(url).bearer_auth(&self.token).send().unwrap();
        told.json().unwrap()
    }

    /// The names of what is at work where it runs.
    fn at_work(&self) -> Vec<String> {
        let told = self.queries(&self.runs);
        let queries = told["queries"].as_array().unwrap().clone();
        queries
            .iter()
            .map(|query| query["id"].as_str().unwrap().to_owned())
            .collect()
    }

    fn wait_until_it_works(&self) -> String {
        wait_for("it works", DEADLINE, || self.at_work().pop())
    }

    fn wait_until_it_ended(&self, from: Instant) {
        wait_for("it has ended", DEADLINE, || self.at_work().is_empty().then_some(()));
        assert!(from.elapsed() < ENDED_MAX * slack(), "{:?}", from.elapsed());
    }
}

/// A connection, and its key.
fn enter(node: &Node) -> (Wire, [u8; 8]) {
    Wire::enter(node.ports().postgres, "ana", "")
}

#[expect(clippy::disallowed_methods, reason = "how soon work ends is measured in real time")]
fn now() -> Instant {
    Instant::now()
}

fn by_key(pair: &mut Pair) {
    let (mut wire, key) = enter(&pair.runs);
    let mut guessed = key;
    guessed[7] ^= 1;
    wire.ask(&pair.endless());
    pair.wait_until_it_works();
    Wire::cancel(pair.asked.ports().postgres, guessed);
    assert_eq!(pair.at_work().len(), 1, "a guess ends nothing");
    let from = now();
    Wire::cancel(pair.asked.ports().postgres, key);
    assert_eq!(wire.answer(), Err("57014".into()));
    pair.wait_until_it_ended(from);
    assert_eq!(wire.row("SELECT 1"), Ok(vec!["1".into()]), "the connection goes on");
}

fn by_function(pair: &mut Pair, function: &str, told: &[&str]) {
    let (mut wire, [a, b, c, d, ..]) = enter(&pair.runs);
    let (mut other, _) = enter(&pair.asked);
    wire.ask(&pair.endless());
    pair.wait_until_it_works();
    let from = now();
    let pid = i32::from_be_bytes([a, b, c, d]);
    assert_eq!(other.row(&format!("SELECT {function}({pid})")), Ok(vec!["t".into()]));
    let state = wire.answer().unwrap_err();
    assert!(told.contains(&state.as_str()), "{state}");
    pair.wait_until_it_ended(from);
}

/// What a statement that is not fetched yet was told as, by the process that is to run it.
fn told(pair: &mut Pair, runtime: &Runtime) -> FlightInfo {
    let sql = pair.endless();
    runtime.block_on(async { connect(&pair.runs).await.execute(sql, None).await.unwrap() })
}

/// Fetches its rows, which end with an error.
fn fetch(node: &Node, runtime: &Runtime, info: &FlightInfo) -> JoinHandle<FlightError> {
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut client = runtime.block_on(connect(node));
    runtime.spawn(async move {
        let rows = async {
            let stream = client.do_get(ticket).await?;
            stream.try_collect::<Vec<_>>().await
        };
        rows.await.unwrap_err()
    })
}

fn by_flight_info(pair: &mut Pair) {
    let runtime = Runtime::new().unwrap();
    let never = told(pair, &runtime);
    assert_eq!(
        runtime.block_on(cancel(&pair.asked, &never)),
        (CANCELLED, CANCELLED),
        "it begins nowhere"
    );
    for node in [&pair.runs, &pair.asked] {
        let error = runtime.block_on(fetch(node, &runtime, &never)).unwrap();
        assert!(error.to_string().contains("SQL-0006"), "{error}");
    }
    let info = told(pair, &runtime);
    let reader = fetch(&pair.runs, &runtime, &info);
    pair.wait_until_it_works();
    let from = now();
    assert_eq!(
        runtime.block_on(cancel(&pair.asked, &info)),
        (CANCELLED, CANCELLED),
        "as often as it is asked"
    );
    let error = runtime.block_on(reader).unwrap();
    assert!(error.to_string().contains("SQL-0006"), "{error}");
    pair.wait_until_it_ended(from);
}

fn by_delete(pair: &mut Pair) {
    let url = |node: &Node, path: &str| format!("http://127.0.0.1:{}/api/v1/sql{path}", node.ports().http);
    let body = json!({"sql": pair.endless(), "async": true});
    let begun = pair.http.post(url(&pair.runs, "")).json(&body).send().unwrap();
    assert_eq!(begun.status(), 202);
    let told: Value = begun.json().unwrap();
    let path = format!("/{}", told["id"].as_str().unwrap());
    pair.wait_until_it_works();
    let from = now();
    let delete = |path: &str| pair.http.delete(url(&pair.asked, path)).send().unwrap().status();
    assert_eq!(delete(&path), 204);
    pair.wait_until_it_ended(from);
    assert_eq!(pair.http.get(url(&pair.runs, &path)).send().unwrap().status(), 404);
    assert_eq!(delete(&path), 404);
}

fn by_command_line(pair: &mut Pair) {
    let (mut wire, _) = enter(&pair.runs);
    wire.ask(&pair.endless());
    let id = pair.wait_until_it_works();
    pair.asked.cli(&["query", "cancel", &id]).unwrap();
    // A process of the command line takes a while to start.
    let from = now();
    assert_eq!(wire.answer(), Err("57014".into()));
    pair.wait_until_it_ended(from);
    let refused = pair.asked.cli(&["query", "cancel", &id]).unwrap_err();
    assert!(refused.contains("CTL-0010"), "{refused}");
}

/// Either process tells of the statements and connections of both, each once, and that the third one does not answer.
fn each_tells_of_all(pair: &mut Pair) {
    let (mut wire, [a, b, c, d, ..]) = enter(&pair.runs);
    wire.ask(&pair.endless());
    let id = pair.wait_until_it_works();
    let runs = format!(":{}", pair.runs.ports().http);
    let told = pair.queries(&pair.asked);
    let queries = told["queries"].as_array().unwrap();
    assert_eq!(queries.len(), 1, "{told}");
    assert_eq!(queries[0]["id"], id.as_str(), "{told}");
    assert!(queries[0]["process"].as_str().unwrap().ends_with(&runs), "{told}");
    let missing = told["missing"].as_array().unwrap();
    assert_eq!(missing.len(), 1, "{told}");
    assert!(missing[0].as_str().unwrap().ends_with("does not answer"), "{told}");
    let (mut other, _) = enter(&pair.asked);
    let sql = format!("SELECT process FROM ops.queries WHERE id = '{id}' AND duration_ms IS NULL");
    let process = other.row(&sql).unwrap();
    assert!(process.len() == 1 && process[0].ends_with(&runs), "{process:?}");
    let count = "SELECT count(process), sum(statements_at_work) > 0, count(problem) FROM ops.processes";
    assert_eq!(other.row(count), Ok(["2", "t", "1"].map(str::to_owned).into()));
    let pid = i32::from_be_bytes([a, b, c, d]);
    let sql = format!("SELECT state FROM pg_stat_activity WHERE pid = {pid}");
    assert_eq!(other.row(&sql), Ok(vec!["active".into()]));
    for table in ["ops.queries", "pg_stat_activity"] {
        let (mut warned, _) = enter(&pair.asked);
        warned.ask(&format!("SELECT count(*) FROM {table}"));
        let kinds: Vec<u8> = warned.batch().iter().map(|(kind, _)| *kind).collect();
        assert!(kinds.contains(&b'N') && kinds.contains(&b'D'), "{table}: {kinds:?}");
    }
    pair.asked.cli(&["query", "cancel", &id]).unwrap();
    assert_eq!(wire.answer(), Err("57014".into()));
}

/// Who is no process of the installation ends nothing and is told nothing, though they know the secret's other tokens and whose statement it is.
fn nobody_else_asks(pair: &mut Pair) {
    let (mut wire, _) = enter(&pair.runs);
    wire.ask(&pair.endless());
    let id = pair.wait_until_it_works();
    let url = format!("http://127.0.0.1:{}/internal/v1/siblings", pair.runs.ports().http);
    for ask in [
        json!({"what": "statement", "id": id, "owner": "local"}),
        json!({"what": "history", "at_work": true}),
    ] {
        for token in [None, Some("garbage"), Some(pair.token.as_str())] {
            let mut request = pair.http.post(&url).json(&ask);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            assert_eq!(request.send().unwrap().status(), 401, "{ask}: {token:?}");
        }
    }
    assert_eq!(pair.at_work(), [id]);
}

// Goal: a statement that is ended at another process than the one that runs it ends there within a second, by every way in which a client
// or an operator can ask, and by nothing that only looks like one; and each process tells of the statements of both. Method: two processes of
// one catalog that know each other and one that is away, a cross join of hours at one of them, ended and told of at the other one; what its
// client is told, and what is at work there.
#[test]
fn statements_end_wherever_they_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(dir.path());
    by_key(&mut pair);
    by_function(&mut pair, "pg_cancel_backend", &["57014"]);
    // It may be told of the statement's end before that of the connection.
    by_function(&mut pair, "pg_terminate_backend", &["57014", "57P01"]);
    by_flight_info(&mut pair);
    by_delete(&mut pair);
    by_command_line(&mut pair);
    each_tells_of_all(&mut pair);
    nobody_else_asks(&mut pair);
}
