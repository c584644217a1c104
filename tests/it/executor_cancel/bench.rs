//! A cluster with a statement that takes hours, and what is left of it on executors.

use std::path::Path;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::cancel::ticks;
use crate::kit::cluster::Cluster;
use crate::kit::wire::{Said, Wire};
use crate::kit::{Node, wait_for};

/// What a busy machine may take for what is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// As long is waited for work that goes on, to tell how long it did.
const GOES_ON_MAX: Duration = Duration::from_secs(10);

/// What executors hold together of a statement that is at work: its joins keep a side of each in memory.
const HELD_MIN: u64 = 1 << 20;

/// Processor time of an executor without work, in hundredths of a second of a look this long: a fifth of a processor. It is what is
/// measured, not a wait: that nothing is computed shows in no state, only over time.
const REST_MAX: u64 = 4;
const LOOK: Duration = Duration::from_millis(200);

/// Rows of the table, and its parts: so many files that a scan has a task for each executor.
pub const ROWS: u64 = 100_000;
const PARTS: u64 = 40;

/// Tasks of an executor and the memory that they hold, as it tells itself.
pub fn load(http: &Client, executor: &Node) -> (u64, u64) {
    let url = format!("http://127.0.0.1:{}/metrics", executor.ports().http);
    let text = http.get(url).send().unwrap().text().unwrap();
    let gauge = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("no {name} in\n{text}"))
            .parse::<u64>()
            .unwrap()
    };
    (
        gauge("tidewater_executor_tasks"),
        gauge("tidewater_executor_memory_bytes"),
    )
}

/// The cluster, and who asks it.
pub struct Bench {
    pub cluster: Cluster,
    pub http: Client,
    statements: u64,
    /// Connections that stay open.
    pub kept: Vec<(Runtime, FlightServiceClient<Channel>)>,
}

impl Bench {
    pub fn start(dir: &Path) -> Self {
        let cluster = Cluster::start(dir, 2);
        let mut root = Wire::open(cluster.head.ports().postgres);
        assert_eq!(root.log_in("ana", ""), Said::Welcome);
        root.row("CREATE SCHEMA busy").unwrap();
        root.row("CREATE TABLE busy.t (id bigint, k bigint, part bigint, note text) PARTITIONED BY (part)")
            .unwrap();
        root.row(&format!(
            "INSERT INTO busy.t SELECT x, x % 97, x % {PARTS}, repeat('x', 100) || CAST(x AS text) FROM generate_series(1, {ROWS}) AS s (x)"
        ))
        .unwrap();
        Self {
            cluster,
            http: Client::builder().no_proxy().timeout(DEADLINE).build().unwrap(),
            statements: 0,
            kept: Vec::new(),
        }
    }

    /// A statement that takes hours: a hundred thousand million rows come of its joins. Another one each time, so that none is answered
    /// by what is kept.
    pub fn endless(&mut self) -> String {
        self.statements += 1;
        format!(
            "SELECT a.id, count(*) AS n, sum(length(a.note) + b.id * c.id % 7) AS s FROM busy.t a JOIN busy.t b ON a.k = b.k \
             JOIN busy.t c ON b.k = c.k GROUP BY a.id HAVING count(*) > {}",
            self.statements
        )
    }

    /// A connection that asks executors, and its key.
    pub fn wire(&self) -> (Wire, [u8; 8]) {
        let mut wire = Wire::open(self.cluster.head.ports().postgres);
        assert_eq!(wire.log_in("ana", ""), Said::Welcome);
        let key = wire.key();
        wire.row("SET tidewater.execution = cluster").unwrap();
        (wire, key)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.cluster.head.ports().http)
    }

    /// Begins a statement under a name.
    pub fn begin_by_http(&mut self) -> String {
        let body = json!({"sql": self.endless(), "execution": "cluster", "async": true});
        let begun = self.http.post(self.url("/api/v1/sql")).json(&body).send().unwrap();
        assert_eq!(begun.status(), 202);
        let told: Value = begun.json().unwrap();
        self.url(&format!("/api/v1/sql/{}", told["id"].as_str().unwrap()))
    }

    /// Tasks of each executor and the memory that they hold, as the executors themselves tell.
    fn loads(&self) -> Vec<(u64, u64)> {
        self.cluster
            .executors
            .iter()
            .map(|executor| load(&self.http, executor))
            .collect()
    }

    /// Whether any executor has a task.
    pub fn is_busy(&self) -> bool {
        self.loads().iter().any(|(tasks, _)| *tasks > 0)
    }

    /// Whether every executor works on a statement: with one place each, they have no other one then.
    pub fn works(&self) -> bool {
        let loads = self.loads();
        loads.iter().all(|(tasks, _)| *tasks > 0) && loads.iter().map(|(_, held)| held).sum::<u64>() >= HELD_MIN
    }

    pub fn wait_until_it_works(&self) {
        wait_for("all executors work", DEADLINE, || self.works().then_some(()));
    }

    /// What is not as it is where nothing runs; none when all is.
    fn left(&self) -> Option<String> {
        let loads = self.loads();
        if loads.iter().any(|load| *load != (0, 0)) {
            return Some(format!("tasks and bytes of executors: {loads:?}"));
        }
        let told = |path: &str, key: &str| {
            self.cluster.head.control(path).unwrap()[key]
                .as_array()
                .unwrap()
                .clone()
        };
        let used = |executor: &Value| executor["vcores_used"] != 0 || executor["tasks"] != 0;
        let executors = told("/v1/executors", "executors");
        let statements = told("/v1/queries", "queries");
        match executors.iter().any(used) || !statements.is_empty() {
            true => Some(format!("{executors:?} {statements:?}")),
            false => None,
        }
    }

    /// How long after `from` nothing was left of any statement, and no executor computed.
    #[expect(clippy::disallowed_methods, reason = "how soon work ends is measured in real time")]
    pub fn ended_after(&self, from: Instant) -> Duration {
        loop {
            let at = from.elapsed();
            let left = self.left().or_else(|| {
                let executors = self.cluster.executors.iter();
                let before: Vec<u64> = executors.clone().map(ticks).collect();
                std::thread::sleep(LOOK);
                let used: Vec<u64> = executors
                    .zip(before)
                    .map(|(node, before)| ticks(node) - before)
                    .collect();
                used.iter()
                    .any(|used| *used > REST_MAX)
                    .then(|| format!("processor time of executors: {used:?}"))
            });
            let Some(left) = left else {
                return at;
            };
            assert!(at < GOES_ON_MAX, "it goes on: {left}");
        }
    }

    /// A statement of other values than the one before is answered by executors.
    pub fn answers(&mut self) {
        self.statements += 1;
        let (mut wire, _) = self.wire();
        let sql = format!(
            "SELECT sum(a.id) + {} FROM busy.t a JOIN busy.t b ON a.id = b.id",
            self.statements
        );
        let sum = ROWS * (ROWS + 1) / 2 + self.statements;
        assert_eq!(wire.row(&sql), Ok(vec![sum.to_string()]));
    }
}
