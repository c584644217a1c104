//! A process for each role: statements are asked of one, scheduled by another, and run by a third.

use std::path::Path;
use std::time::Duration;

use reqwest::blocking::Client;

use crate::executor_cancel::bench::load;
use crate::executor_cancel::{ENDED_MAX, now};
use crate::kit::wire::{Said, Wire};
use crate::kit::{Node, NodeBuilder, slack, wait_for};

/// What a busy machine may take for what is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// A statement that takes hours: its joins have a hundred thousand million rows.
const ENDLESS: &str = "SELECT a.id, count(*) AS n, sum(b.id * c.id % 7) AS s FROM busy.t a JOIN busy.t b ON a.k = b.k \
                       JOIN busy.t c ON b.k = c.k GROUP BY a.id";

const JOINED: &str =
    "SELECT a.k, count(*), sum(a.id + b.id) FROM busy.t a JOIN busy.t b ON a.id = b.id + 1 GROUP BY a.k ORDER BY a.k";

/// The processes. Those that others need are dropped last.
struct Roles {
    sql: Node,
    executor: Node,
    scheduler: Option<Node>,
    _catalog: Node,
}

impl Roles {
    fn start(dir: &Path) -> Self {
        let catalog = NodeBuilder::serve(dir, "catalog").start();
        let port = catalog.ports().catalog;
        let beside = |builder: NodeBuilder| {
            let own = builder.ports.catalog;
            builder.config(&format!(
                "[catalog]\nlisten = \"127.0.0.1:{own}\"\nendpoints = [\"http://127.0.0.1:{port}\"]\n"
            ))
        };
        let scheduler = beside(NodeBuilder::serve(dir, "scheduler")).start();
        let executor = beside(NodeBuilder::serve(dir, "executor"));
        let ports = executor.ports.clone();
        let executor = executor.config(&format!(
            "[executor]\nlisten = \"127.0.0.1:{}\"\ngrpc_port = {}\nscheduler = \"leader\"\nmemory_bytes = 268435456\nvcores = 2\n",
            ports.executor, ports.executor_grpc,
        ));
        let executor = executor.start();
        let sql = beside(NodeBuilder::serve(dir, "flight-sql"));
        let listen = sql.ports.scheduler;
        let sql = sql.config(&format!(
            "[scheduler]\nlisten = \"127.0.0.1:{listen}\"\nlocal_bytes_max = 0\n"
        ));
        let roles = Self {
            sql: sql.start(),
            executor,
            scheduler: Some(scheduler),
            _catalog: catalog,
        };
        roles.wait_for_the_executor();
        roles
    }

    fn wait_for_the_executor(&self) {
        let scheduler = self.scheduler.as_ref().unwrap();
        wait_for("the executor is known", DEADLINE, || {
            (scheduler.control("/v1/status")?["executors"] == 1).then_some(())
        });
    }

    /// Whether the executor works.
    fn works(&self) -> Option<()> {
        let told = self.scheduler.as_ref().unwrap().control("/v1/executors")?;
        let works = told["executors"]
            .as_array()?
            .iter()
            .any(|executor| executor["tasks"] != 0);
        works.then_some(())
    }

    /// A connection whose statements run there, and its key.
    fn wire(&self, execution: &str) -> (Wire, [u8; 8]) {
        let mut wire = Wire::open(self.sql.ports().postgres);
        assert_eq!(wire.log_in("ana", ""), Said::Welcome);
        let key = wire.key();
        wire.row(&format!("SET tidewater.execution = {execution}")).unwrap();
        (wire, key)
    }

    /// Begins what takes hours, and ends it where it was asked for.
    fn cancel(&self, wire: &mut Wire, key: [u8; 8]) {
        let http = Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
        wire.ask(ENDLESS);
        wait_for("the executor works", DEADLINE, || self.works());
        let from = now();
        Wire::cancel(self.sql.ports().postgres, key);
        assert_eq!(wire.answer(), Err("57014".into()));
        wait_for("the executor is free", DEADLINE, || {
            (load(&http, &self.executor) == (0, 0)).then_some(())
        });
        let ended = from.elapsed();
        assert!(ended < ENDED_MAX * slack(), "{ended:?}");
        wait_for("its place is free", DEADLINE, || self.works().is_none().then_some(()));
    }
}

// Goal: a process that answers statements and does nothing else has them run by executors, with the rows that it would make itself; one that
// is cancelled there has left the executor a second later; when the process that schedules dies, a statement at work ends with an error,
// and later ones are answered once another schedules. Method: a process for each role; a join here and there, a table made of one,
// EXPLAIN; a statement that takes hours, cancelled by its key, and kill -9 of the scheduler amid another.
#[test]
fn statements_run_where_executors_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut roles = Roles::start(dir.path());
    let (mut here, _) = roles.wire("local");
    here.row("CREATE SCHEMA busy").unwrap();
    here.row("CREATE TABLE busy.t (id bigint, k bigint)").unwrap();
    here.row("INSERT INTO busy.t SELECT x, x % 97 FROM generate_series(1, 100000) AS s (x)")
        .unwrap();
    let routed = |execution: &str| {
        let explain = format!("EXPLAIN {JOINED}");
        let text = roles
            .sql
            .cli(&["query", &explain, "--output", "json", "--execution", execution]);
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text.unwrap()).unwrap();
        let texts = |row: &serde_json::Value| -> Vec<String> {
            let values = row.as_object().unwrap().values();
            values.filter_map(|value| Some(value.as_str()?.to_owned())).collect()
        };
        let mut lines = rows.iter().map(texts);
        let route = lines.find(|line| line.iter().any(|text| text == "route")).unwrap();
        route.into_iter().find(|text| text != "route").unwrap()
    };
    assert_eq!(
        [routed("local"), routed("auto"), routed("cluster")],
        ["local", "cluster", "cluster"]
    );
    let (mut there, key) = roles.wire("cluster");
    assert_eq!(there.row(JOINED).unwrap(), here.row(JOINED).unwrap());
    there
        .row("CREATE TABLE busy.made AS SELECT id, k FROM busy.t WHERE k < 50")
        .unwrap();
    let count = |table: &str, rest: &str| format!("SELECT count(*), sum(id) FROM busy.{table} {rest}");
    assert_eq!(
        here.row(&count("made", "")).unwrap(),
        here.row(&count("t", "WHERE k < 50")).unwrap()
    );

    roles.cancel(&mut there, key);
    there.ask(ENDLESS);
    wait_for("the executor works", DEADLINE, || roles.works());
    let scheduler = roles.scheduler.take().unwrap().kill();
    let told = there.answer().unwrap_err();
    assert_eq!(told.len(), 5, "a code: {told}");
    roles.scheduler = Some(scheduler.start());
    roles.wait_for_the_executor();
    assert_eq!(there.row(JOINED).unwrap(), here.row(JOINED).unwrap());
}
