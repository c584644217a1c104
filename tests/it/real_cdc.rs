//! The real world: PostgreSQL, Debezium and Kafka before tidewater.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::kit::synth::{AS_OF_MS, Hospital, run};
use crate::kit::{Node, NodeBuilder, wait_for};
use crate::spine::{compare_all, run_models};

/// Three JVM starts, a snapshot of every table, and the workload, on two busy cores.
const DEADLINE: Duration = Duration::from_secs(600);

/// Rows whose way from COMMIT to bronze and silver is timed.
const SAMPLES: usize = 20;

/// The kit's stack in a folder; taken down when dropped.
struct Stack {
    dir: tempfile::TempDir,
}

impl Stack {
    fn up() -> Self {
        // PostgreSQL runs as another user, who must be able to enter.
        let dir = tempfile::Builder::new()
            .prefix("tidewater-cdc")
            .tempdir_in("/tmp")
            .unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let stack = Self { dir };
        stack.kit(&["up"], &[]);
        stack
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn kit(&self, verb: &[&str], rest: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/cdc/cdc");
        let output = Command::new(script)
            .args(verb)
            .arg(self.path())
            .args(rest)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "cdc {verb:?} {rest:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn env(&self, key: &str) -> String {
        let text = std::fs::read_to_string(self.path().join("env")).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key}=")))
            .unwrap();
        line.trim_matches('\'').to_owned()
    }

    fn psql(&self, args: &[&str]) -> String {
        self.kit(&["psql"], args)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/cdc/cdc");
        drop(Command::new(script).arg("down").arg(self.path()).output());
    }
}

/// Whether every record that Kafka had when ingest last looked is committed.
fn nothing_waits(node: &Node) -> Option<()> {
    let status = node.control("/v1/ingest")?;
    let partitions = status["partitions"].as_array()?;
    partitions.iter().all(|partition| partition["lag"] == 0).then_some(())
}

fn percentile(samples: &mut [Duration], share: usize) -> Duration {
    samples.sort();
    samples[(samples.len() * share / 100).min(samples.len() - 1)]
}

// Goal: what PostgreSQL committed is what silver and gold hold, and it is there within seconds. Method: the hospital's SQL
// workload on a real PostgreSQL, Debezium, Kafka; every table against the oracle; single rows timed from COMMIT to bronze.
#[test]
#[expect(clippy::disallowed_methods, reason = "freshness is measured in real time")]
fn postgres_to_gold() {
    if std::env::var_os("TIDEWATER_INTEROP").is_none() {
        println!("skipped: scripts/interop runs it");
        return;
    }
    let stack = Stack::up();
    let work = stack.path().join("work");
    let oracle = stack.path().join("oracle");
    let as_of = AS_OF_MS.to_string();
    run(&[
        "synth",
        "sql",
        "--patients",
        "20",
        "--changes",
        "2000",
        "--folder",
        work.to_str().unwrap(),
        "--oracle",
        oracle.to_str().unwrap(),
        "--as-of-ms",
        &as_of,
    ]);
    let file = |name: &str| work.join(name).to_str().unwrap().to_owned();
    stack.psql(&["-q", "-f", &file("tables.sql")]);
    stack.psql(&["-q", "-f", &file("rows.sql")]);
    // Before the connector: its publication names the tables that are there when it starts.
    stack.psql(&["-q", "-c", "create table public.marker (id int primary key)"]);
    let connector =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/cdc/connectors/envelope-json-schemas.properties");
    stack.kit(
        &["connector"],
        &[
            connector.to_str().unwrap(),
            "table.include.list=.*",
            "schema.exclude.list=pg_catalog",
            "poll.interval.ms=50",
        ],
    );
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hospital");
    let config = format!(
        "[[ingest.sources]]\ntype = \"kafka\"\nbootstrap = \"{}\"\ntopics = [\"envs\\\\..*\"]\n[pipelines]\nproject = {project:?}\nfollow = false\n",
        stack.env("KAFKA_BOOTSTRAP"),
    );
    let node = NodeBuilder::up(stack.path()).config(&config).start();
    stack.psql(&["-q", "-f", &file("changes.sql")]);
    stack.psql(&[
        "-q",
        "-c",
        "insert into public.marker values (0)",
    ]);
    wait_for("the last change is in bronze", DEADLINE, || {
        node.number("SELECT count(*) FROM bronze.marker WHERE after.id = 0")
            .filter(|count| *count == 1)
    });
    // Debezium sends changes in the order of the log, so whatever was before the marker is in Kafka.
    wait_for("every record is ingested", DEADLINE, || nothing_waits(&node));
    let hospital = Hospital {
        changes: work.clone(),
        oracle,
    };
    run_models(&node);
    compare_all(&node, &hospital);
    let mut bronze = Vec::new();
    for id in 1..=SAMPLES {
        stack.psql(&["-q", "-c", &format!("insert into public.marker values ({id})")]);
        let committed = Instant::now();
        wait_for("the row is in bronze", DEADLINE, || {
            node.number(&format!("SELECT count(*) FROM bronze.marker WHERE after.id = {id}"))
                .filter(|count| *count == 1)
        });
        bronze.push(committed.elapsed());
    }
    println!(
        "PostgreSQL commit to visible in bronze, {SAMPLES} rows: p50 {:?}, p99 {:?}",
        percentile(&mut bronze, 50),
        percentile(&mut bronze, 99)
    );
}
