//! The real world: PostgreSQL, Debezium and Kafka before tidewater.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::kit::kafka::{self, Change};
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

/// The example project, and a silver table over the marker whose freshness is timed.
fn project(dir: &Path) -> PathBuf {
    let project = dir.join("hospital");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hospital");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(example)
        .arg(&project)
        .status()
        .unwrap();
    assert!(copied.success());
    let source = "sources:\n  - name: bronze.marker\n";
    std::fs::write(project.join("sources/marker.yml"), source).unwrap();
    let model = "/*---\nkind: cdc\nsource: bronze.marker\nkey: [id]\ntarget_lag: 1 second\n---*/\n\
                 SELECT after.id AS id FROM bronze.marker\n";
    std::fs::write(project.join("models/silver/marker.sql"), model).unwrap();
    project
}

/// Whether every record that Kafka had when ingest last looked is committed.
fn nothing_waits(node: &Node) -> Option<()> {
    let status = node.control("/v1/ingest")?;
    let partitions = status["partitions"].as_array()?;
    partitions.iter().all(|partition| partition["lag"] == 0).then_some(())
}

/// The changes that the tables of bronze hold, each as often as there are rows of it.
fn changes_in_bronze(node: &Node) -> Vec<Change> {
    let tables = node
        .query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'bronze'")
        .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let table = table["table_name"].as_str().unwrap();
        if table.starts_with('_') {
            continue;
        }
        let rows = node
            .query(&format!(
                "SELECT _topic, _kafka_partition, _offset, op, _lsn FROM bronze.\"{table}\""
            ))
            .unwrap();
        found.extend(rows.iter().map(|row| Change {
            topic: row["_topic"].as_str().unwrap().to_owned(),
            partition: row["_kafka_partition"].as_i64().unwrap(),
            offset: row["_offset"].as_i64().unwrap(),
            op: row["op"].as_str().unwrap_or_default().to_owned(),
            lsn: row["_lsn"].as_i64(),
        }));
    }
    found.sort();
    found
}

/// Bronze holds each change that is in Kafka once, and nothing else.
fn compare_bronze(node: &Node, bootstrap: &str) -> usize {
    let (kafka, bronze) = (kafka::changes(bootstrap, "envs."), changes_in_bronze(node));
    let missing: Vec<_> = kafka
        .iter()
        .filter(|change| bronze.binary_search(change).is_err())
        .collect();
    let extra: Vec<_> = bronze
        .iter()
        .filter(|change| kafka.binary_search(change).is_err())
        .collect();
    assert!(
        kafka == bronze,
        "{} changes in Kafka, {} in bronze; {} missing, such as {:?}; {} too many, such as {:?}",
        kafka.len(),
        bronze.len(),
        missing.len(),
        missing.first(),
        extra.len(),
        extra.first()
    );
    assert!(!kafka.is_empty(), "nothing was read from Kafka");
    kafka.len()
}

/// From COMMIT in PostgreSQL until a query finds the row, for single rows one after the other.
#[expect(clippy::disallowed_methods, reason = "freshness is measured in real time")]
fn freshness(stack: &Stack, node: &Node, sql: &str, ids: std::ops::Range<usize>) -> Vec<Duration> {
    let mut took = Vec::new();
    for id in ids {
        stack.psql(&["-q", "-c", &format!("insert into public.marker values ({id})")]);
        let committed = Instant::now();
        wait_for("the row is there", DEADLINE, || {
            node.number(&format!("{sql} = {id}")).filter(|count| *count == 1)
        });
        took.push(committed.elapsed());
    }
    took.sort();
    took
}

fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() * share / 100).min(sorted.len() - 1)]
}

// Goal: what PostgreSQL committed is what bronze, silver and gold hold, and it is there within seconds. Method: the hospital's
// SQL workload on a real PostgreSQL, Debezium, Kafka; bronze against Kafka's log record by record, silver and gold against the
// oracle; single rows timed from COMMIT to bronze and to silver.
#[test]
#[ignore = "scripts/interop runs it: it needs Java and PostgreSQL"]
fn postgres_to_gold() {
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
    let bootstrap = stack.env("KAFKA_BOOTSTRAP");
    let project = project(stack.path());
    let config = |follow: bool| {
        format!(
            "[[ingest.sources]]\ntype = \"kafka\"\nbootstrap = \"{bootstrap}\"\ntopics = [\"envs\\\\..*\"]\n\
             [pipelines]\nproject = {project:?}\nfollow = {follow}\n"
        )
    };
    let node = NodeBuilder::up(stack.path()).config(&config(false)).start();
    stack.psql(&["-q", "-f", &file("changes.sql")]);
    stack.psql(&["-q", "-c", "insert into public.marker values (0)"]);
    wait_for("the last change is in bronze", DEADLINE, || {
        node.number("SELECT count(*) FROM bronze.marker WHERE after.id = 0")
            .filter(|count| *count == 1)
    });
    // Debezium sends changes in the order of the log, so whatever was before the marker is in Kafka.
    wait_for("every record is ingested", DEADLINE, || nothing_waits(&node));
    let changes = compare_bronze(&node, &bootstrap);
    let hospital = Hospital {
        changes: work.clone(),
        oracle,
    };
    run_models(&node);
    compare_all(&node, &hospital);
    println!("{changes} changes: bronze equals Kafka's log, silver and gold equal the oracle");

    let (mut builder, code) = node.stop();
    assert_eq!(code, Some(0));
    builder.config = config(true);
    let node = builder.start();
    wait_for("silver follows", DEADLINE, || {
        node.number("SELECT count(*) FROM silver.marker")
            .filter(|count| *count == 1)
    });
    for (layer, sql, ids) in [
        (
            "bronze",
            "SELECT count(*) FROM bronze.marker WHERE after.id",
            1..SAMPLES + 1,
        ),
        (
            "silver",
            "SELECT count(*) FROM silver.marker WHERE id",
            SAMPLES + 1..2 * SAMPLES + 1,
        ),
    ] {
        let took = freshness(&stack, &node, sql, ids);
        println!(
            "PostgreSQL commit to visible in {layer}, {SAMPLES} rows: p50 {:?}, p99 {:?}",
            percentile(&took, 50),
            percentile(&took, 99)
        );
    }
}
