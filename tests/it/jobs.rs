//! What operators see of executors, jobs and statements, and what they do with them.

use std::time::Duration;

use reqwest::blocking::Client;
use serde_json::Value;

use crate::executor_cancel::bench::load;
use crate::executor_cancel::{ENDED_MAX, now};
use crate::kit::synth::Hospital;
use crate::kit::{Node, NodeBuilder, slack, wait_for};
use crate::spine::{run_models, wait_ingested};

const DEADLINE: Duration = Duration::from_secs(120);

/// A model of joins: over ten rows of keys of their own it has ten, over a hundred thousand it takes hours.
const PAIRS: &str = "/*---\nkind: table\n---*/\nSELECT a.id, count(*) AS n, sum(b.id * c.id % 7) AS s FROM busy.t a \
                     JOIN busy.t b ON a.k = b.k JOIN busy.t c ON b.k = c.k GROUP BY a.id";

fn json(node: &Node, args: &[&str]) -> Value {
    let text = node.cli(&[args, &["--output", "json"]].concat()).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn executors(node: &Node) -> Vec<Value> {
    json(node, &["executor", "ls"]).as_array().unwrap().clone()
}

// Goal: the command line and SQL tell what runs and what ran, in the same words; a job is tried again, an executor is let go.
// Method: one process, models run once; each verb once, its effect read back by another; a statement with a value that must
// not be told.
#[test]
fn operators_see_what_runs() {
    let dir = tempfile::tempdir().unwrap();
    let hospital = Hospital::write(dir.path(), 5, 300);
    let node = NodeBuilder::up(dir.path()).config(&hospital.config()).start();
    let executor = wait_for("the executor is there", DEADLINE, || executors(&node).first().cloned());
    assert_eq!(
        (&executor["state"], &executor["tasks"]),
        (&"active".into(), &0.into()),
        "{executor}"
    );
    wait_ingested(&node, &hospital);
    run_models(&node);

    let jobs = json(&node, &["job", "ls", "--limit", "100"]);
    let gold = jobs
        .as_array()
        .unwrap()
        .iter()
        .find(|job| job["name"] == "gold.provider_metrics")
        .unwrap_or_else(|| panic!("no job of it: {jobs}"));
    assert_eq!((&gold["kind"], &gold["phase"]), (&"model".into(), &"succeeded".into()));
    let id = gold["id"].as_str().unwrap();
    let shown = json(&node, &["job", "show", id]);
    assert_eq!(shown["job"]["body"]["name"], "gold.provider_metrics");
    // A plan that ended between two looks shows none, so any job of models will do.
    let rows = |job: &Value| -> u64 {
        let shown = json(&node, &["job", "show", job["id"].as_str().unwrap()]);
        let plans = shown["plans"].as_array().cloned().unwrap_or_default();
        let stages = plans
            .iter()
            .filter_map(|plan| plan["attempts"][0]["stages"].as_array())
            .flatten();
        stages.filter_map(|stage| stage["rows"].as_u64()).sum()
    };
    assert!(
        jobs.as_array().unwrap().iter().any(|job| rows(job) > 0),
        "no stage has rows: {jobs}"
    );
    let logs = json(&node, &["job", "logs", id]);
    let says = |text: &str| {
        logs.as_array()
            .unwrap()
            .iter()
            .any(|line| line["text"].as_str().unwrap().contains(text))
    };
    assert!(
        says("model accepted") && says("attempt 1 begins") && says("succeeded"),
        "{logs}"
    );
    let over = node.cli(&["job", "cancel", id]).unwrap_err();
    assert!(over.contains("CTL-0014") && over.contains("has ended"), "{over}");
    let again = json(&node, &["job", "retry", id]);
    assert_eq!(again[0]["name"], "gold.provider_metrics", "{again}");
    let unknown = node
        .cli(&["job", "show", "00000000-0000-0000-0000-000000000000"])
        .unwrap_err();
    assert!(unknown.contains("does not exist"), "{unknown}");

    let told = node
        .query(
            "SELECT name, phase, rows_written FROM ops.jobs WHERE name = 'gold.provider_metrics' AND rows_written > 0",
        )
        .unwrap();
    assert!(!told.is_empty(), "ops.jobs does not tell of the job");
    node.query("SELECT count(*) AS n FROM silver.users WHERE user_id = 'Nobody-Is-Called-So'")
        .unwrap();
    drop(node.query("SELECT no_such_column FROM silver.users"));
    let queries = node.query("SELECT * FROM ops.queries").unwrap();
    let text = serde_json::to_string(&queries).unwrap();
    assert!(!text.contains("Nobody-Is-Called-So"), "a value is told: {text}");
    let counted = queries
        .iter()
        .find(|query| query["statement"].as_str().unwrap().contains("user_id = ?"))
        .unwrap_or_else(|| panic!("the statement is not told: {text}"));
    assert_eq!(counted["tables"], serde_json::json!(["silver.users"]));
    assert_eq!(
        (&counted["rows"], &counted["route"]),
        (&1.into(), &"local".into()),
        "{counted}"
    );
    assert_eq!(
        (&counted["front"], &counted["address"]),
        (&"flight_sql".into(), &"127.0.0.1".into()),
        "{counted}"
    );
    assert!(
        counted["snapshots"][0].is_i64() && counted["duration_ms"].is_u64(),
        "{counted}"
    );
    let wanted = "SELECT count(*) AS n FROM silver.users WHERE user_id <> 'Somebody'";
    node.cli(&["query", wanted, "--execution", "cluster"]).unwrap();
    let there = node
        .query("SELECT reason FROM ops.queries WHERE route = 'cluster' AND statement LIKE '%user_id <> ?%'")
        .unwrap();
    assert_eq!(there.len(), 1, "the wish for the cluster was not heard: {there:?}");
    assert!(
        there[0]["reason"].as_str().unwrap().contains("tidewater.execution"),
        "{there:?}"
    );
    assert!(
        queries.iter().any(|query| query["error"].is_string()),
        "the failed one is not told: {text}"
    );
    let unreadable = node
        .cli(&["query", "cancel", "00000000-0000-0000-0000-000000000000"])
        .unwrap_err();
    assert!(unreadable.contains("CTL-0010"), "{unreadable}");

    let name = executor["id"].as_str().unwrap();
    let drained = json(&node, &["executor", "drain", name, "--deadline", "30"]);
    assert_eq!(
        (&drained["executor"], &drained["left"]["tasks"]),
        (&name.into(), &0.into())
    );
    assert!(executors(&node).is_empty());
}

// Goal: a statement at work is told of and ended by an operator. Method: a join of hours, listed, then cancelled.
#[test]
fn operators_end_statements() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path()).start();
    let long = "SELECT sum(sqrt(a.value * b.value)) FROM generate_series(1, 10000000) a CROSS JOIN generate_series(1, 10000000) b";
    let mut client = node.spawn_cli(&["query", long]);
    let id = wait_for("the statement is at work", DEADLINE, || {
        let running = json(&node, &["query", "ls"]);
        let found = running
            .as_array()?
            .iter()
            .find(|query| query["statement"].as_str().unwrap().contains("CROSS JOIN"))?;
        found["id"].as_str().map(str::to_owned)
    });
    assert_eq!(json(&node, &["query", "cancel", &id])["cancelled"], id.as_str());
    assert!(!client.wait().unwrap().success(), "it was ended");
    let ended = node
        .query("SELECT error FROM ops.queries WHERE duration_ms IS NOT NULL AND error = 'SQL-0006'")
        .unwrap();
    assert_eq!(ended.len(), 1);
}

// Goal: a run of a model at work is ended by an operator: its executor is free a second after the answer, its table is as it was, it stays
// known as cancelled, and it runs again when it is asked to. Method: a model that has run over a few rows, run over so many more that it
// takes hours, cancelled while its executor works; rows and snapshots of its table before and after; a retry over the few rows.
#[test]
fn operators_end_runs_of_models() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("project");
    std::fs::create_dir_all(project.join("models/gold")).unwrap();
    std::fs::write(project.join("lakehouse.yml"), "name: pairs\n").unwrap();
    std::fs::write(project.join("models/gold/pairs.sql"), PAIRS).unwrap();
    let config = format!("[pipelines]\nproject = {project:?}\nfollow = false\n");
    let node = NodeBuilder::up(dir.path()).config(&config).start();
    wait_for("the executor is there", DEADLINE, || executors(&node).first().cloned());
    node.query("CREATE SCHEMA busy").unwrap();
    node.query("CREATE TABLE busy.t (id BIGINT, k BIGINT)").unwrap();
    let fill = |from: u32, to: u32| {
        let rows = format!("SELECT value, value % 97 FROM generate_series({from}, {to})");
        node.query(&format!("INSERT INTO busy.t {rows}")).unwrap();
    };
    fill(1, 10);
    node.cli(&["pipeline", "run"]).unwrap();
    let rows = || node.query("SELECT count(*) AS n, sum(s) AS s FROM gold.pairs").unwrap();
    let snapshots = || node.number("SELECT count(*) FROM gold.\"pairs$snapshots\"").unwrap();
    let (rows_before, snapshots_before) = (rows(), snapshots());
    assert_eq!(rows_before[0]["n"], 10, "{rows_before:?}");

    fill(11, 100_000);
    let mut run = node.spawn_cli(&["pipeline", "run"]);
    let id = wait_for("an executor works on the run", DEADLINE, || {
        let open = json(&node, &["job", "ls", "--open"]);
        let mut runs = open.as_array()?.iter();
        let run = runs.find(|job| job["name"] == "gold.pairs" && job["phase"] == "running")?;
        let works = executors(&node).iter().any(|executor| executor["tasks"] != 0);
        run["id"].as_str().filter(|_| works).map(str::to_owned)
    });
    let http = Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
    assert_eq!(json(&node, &["job", "cancel", &id])["cancelled"], id.as_str());
    let from = now();
    wait_for("the executor is free", DEADLINE, || {
        (load(&http, &node) == (0, 0)).then_some(())
    });
    let ended = from.elapsed();
    assert!(ended < ENDED_MAX * slack(), "{ended:?}");
    assert!(!run.wait().unwrap().success(), "it was ended");
    assert_eq!((rows(), snapshots()), (rows_before.clone(), snapshots_before));
    let jobs = json(&node, &["job", "ls", "--limit", "100"]);
    let job = jobs.as_array().unwrap().iter().find(|job| job["id"] == id.as_str());
    assert_eq!(job.unwrap()["phase"], "cancelled", "{jobs}");
    let logs = json(&node, &["job", "logs", &id]);
    let mut lines = logs.as_array().unwrap().iter();
    assert!(
        lines.any(|line| line["text"].as_str().unwrap().contains("PIP-0023")),
        "{logs}"
    );
    let over = node.cli(&["job", "cancel", &id]).unwrap_err();
    assert!(over.contains("CTL-0014") && over.contains("has ended"), "{over}");

    node.query("DELETE FROM busy.t WHERE id > 10").unwrap();
    let again = json(&node, &["job", "retry", &id]);
    assert_eq!(again[0]["name"], "gold.pairs", "{again}");
    assert_eq!((rows(), snapshots()), (rows_before, snapshots_before + 1));
}

// Goal: a query for which memory and spill disk do not suffice fails with a code that says so, and the process goes on. Method: a
// sort of far more than both hold, under limits of a few megabytes.
#[test]
fn a_full_spill_disk_fails_the_query_only() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[engine]\nmemory_bytes = 33554432\nspill_bytes_max = 4194304\n";
    let node = NodeBuilder::up(dir.path()).config(config).start();
    let sort = "SELECT count(*), sum(n) FROM (SELECT value, row_number() OVER (ORDER BY value % 1000003, value) AS n \
                FROM generate_series(1, 20000000))";
    let refused = node.cli(&["query", sort]).unwrap_err();
    assert!(refused.contains("ENG-0005"), "{refused}");
    assert_eq!(node.number("SELECT 1"), Some(1), "the process goes on");
    let spilled: u64 = files_below(&node.builder().data_dir().join("spill"));
    assert!(spilled < 4_194_304, "{spilled} bytes stay on disk");
}

fn files_below(dir: &std::path::Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        bytes += match metadata.is_dir() {
            true => files_below(&entry.path()),
            false => metadata.len(),
        };
    }
    bytes
}
