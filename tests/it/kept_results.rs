//! Answers that two processes keep, beside somebody who commits at a third one.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};

use crate::kit::{Node, NodeBuilder, wait_for};

const DEADLINE: Duration = Duration::from_secs(60);

/// States that the table is moved on to through REST, one by one: the first has one row, each a row more than the one before.
const BY_REST: u64 = 12;

/// Rows that are added by SQL after them.
const BY_SQL: u64 = 12;

const QUESTION: &str = "SELECT count(*) AS n, sum(id) AS total FROM s.t";

/// A catalog with an endpoint of its own, at which is written, and two processes that are asked.
struct Lake {
    readers: [Node; 2],
    writer: Node,
    http: Client,
    /// The table's snapshots, by which it has 1, 2, … rows.
    snapshots: Vec<i64>,
}

impl Lake {
    /// The table has its first row alone, and has had all that it gets through REST.
    fn start(dir: &Path) -> Self {
        let writer = NodeBuilder::serve(dir, "catalog,flight-sql").start();
        let readers = ["one", "other"].map(|name| {
            let mut builder = NodeBuilder::serve(dir, "flight-sql");
            builder.name = name.into();
            let (own, catalog) = (builder.ports.catalog, writer.ports().catalog);
            let section =
                format!("[catalog]\nlisten = \"127.0.0.1:{own}\"\nendpoints = [\"http://127.0.0.1:{catalog}\"]\n");
            builder.config(&section).start()
        });
        let mut lake = Self {
            readers,
            writer,
            http: Client::builder().no_proxy().timeout(DEADLINE).build().unwrap(),
            snapshots: Vec::new(),
        };
        lake.write("CREATE SCHEMA s");
        lake.write("CREATE TABLE s.t (id bigint)");
        for id in 1..=BY_REST {
            lake.insert(id);
        }
        let told: Value = lake.http.get(lake.table()).send().unwrap().json().unwrap();
        let mut snapshots = told["metadata"]["snapshots"].as_array().unwrap().clone();
        snapshots.sort_by_key(|snapshot| snapshot["sequence-number"].as_i64());
        lake.snapshots = snapshots
            .iter()
            .map(|snapshot| snapshot["snapshot-id"].as_i64().unwrap())
            .collect();
        assert_eq!(lake.snapshots.len() as u64, BY_REST);
        lake.move_to(1);
        lake
    }

    fn table(&self) -> String {
        format!(
            "http://127.0.0.1:{}/v1/namespaces/s/tables/t",
            self.writer.ports().catalog
        )
    }

    /// Makes the state with so many rows the table's own, through REST.
    fn move_to(&self, rows: u64) {
        let snapshot = self.snapshots[usize::try_from(rows).unwrap() - 1];
        let update =
            json!({"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": snapshot});
        let body = json!({"requirements": [], "updates": [update]});
        let answer = self.http.post(self.table()).json(&body).send().unwrap();
        succeeded(answer);
    }

    fn insert(&self, id: u64) {
        self.write(&format!("INSERT INTO s.t VALUES ({id})"));
    }

    fn write(&self, sql: &str) {
        succeeded(self.send(&self.writer, sql));
    }

    fn send(&self, node: &Node, sql: &str) -> Response {
        let url = format!("http://127.0.0.1:{}/api/v1/sql", node.ports().http);
        let request = self
            .http
            .post(url)
            .header("content-type", "text/plain")
            .header("accept", "text/csv");
        request.body(sql.to_owned()).send().unwrap()
    }

    /// How many rows there are, as this process says, and whether it had kept that.
    fn ask(&self, node: &Node) -> (u64, bool) {
        let answer = self.send(node, QUESTION);
        let kept = answer.headers().get("x-cache").is_some_and(|how| how == "HIT");
        let text = succeeded(answer);
        let line = text.lines().nth(1).unwrap_or_else(|| panic!("{text}"));
        let numbers: Vec<u64> = line.split(',').map(|number| number.parse().unwrap()).collect();
        let [rows, total] = numbers[..] else {
            panic!("{text}");
        };
        assert_eq!(total, rows * (rows + 1) / 2, "rows of one state");
        (rows, kept)
    }

    /// Asks one process until nothing is written any more. What was acknowledged before it is asked is in its answer.
    fn watch(&self, node: &Node, progress: &Progress, seen: &AtomicU64) {
        while !progress.ended.load(SeqCst) {
            let acknowledged = progress.acknowledged.load(SeqCst);
            let (rows, kept) = self.ask(node);
            let begun = progress.begun.load(SeqCst);
            assert!(
                (acknowledged..=begun).contains(&rows),
                "{rows} rows, kept: {kept}; {acknowledged} were acknowledged and {begun} begun"
            );
            if kept {
                seen.fetch_max(rows, SeqCst);
            }
        }
    }
}

/// What an answer says that has to be a good one.
fn succeeded(answer: Response) -> String {
    let status = answer.status();
    let text = answer.text().unwrap();
    assert!(status.is_success(), "{status}: {text}");
    text
}

/// How many rows there are.
#[derive(Default)]
struct Progress {
    /// When the commit under way is made.
    begun: AtomicU64,
    /// By commits that were acknowledged.
    acknowledged: AtomicU64,
    /// At most, by answers that each process had kept.
    seen: [AtomicU64; 2],
    ended: AtomicBool,
}

impl Progress {
    /// Carries a commit out, and waits until both processes have given an answer of after it that they had kept: it is what a mistake
    /// would give after the next one.
    fn after(&self, rows: u64, commit: impl FnOnce()) {
        self.begun.store(rows, SeqCst);
        commit();
        self.acknowledged.store(rows, SeqCst);
        for seen in &self.seen {
            let what = format!("a kept answer of {rows} rows");
            wait_for(&what, DEADLINE, || (seen.load(SeqCst) >= rows).then_some(()));
        }
    }
}

/// Whoever asks on and on ends when this is dropped, by a panic too.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

// Goal: once a commit is acknowledged, no process answers with rows of before it that it keeps. Method: two processes that are asked the same
// on and on, while a third one commits, through REST and by SQL; each commit waits until both have answered with kept rows of the state
// before it, and what is asked after its acknowledgement has its row.
#[test]
fn no_process_answers_with_what_was_before() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::start(dir.path());
    let progress = Progress::default();
    progress.begun.store(1, SeqCst);
    progress.acknowledged.store(1, SeqCst);
    std::thread::scope(|scope| {
        let _ends = Ends(&progress.ended);
        for (node, seen) in lake.readers.iter().zip(&progress.seen) {
            let (lake, progress) = (&lake, &progress);
            scope.spawn(move || lake.watch(node, progress, seen));
        }
        progress.after(1, || {});
        for rows in 2..=BY_REST {
            progress.after(rows, || lake.move_to(rows));
        }
        for rows in BY_REST + 1..=BY_REST + BY_SQL {
            progress.after(rows, || lake.insert(rows));
        }
    });
}
