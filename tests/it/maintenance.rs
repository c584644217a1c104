//! Tables kept in shape while they are written and read.

use std::time::Duration;

use serde_json::{Value, json};

use crate::kill::bronze_equals_the_log;
use crate::kit::synth::Hospital;
use crate::kit::{Node, NodeBuilder, wait_for};
use crate::spine::{compare_all, run_models, wait_ingested};

/// A round of maintenance comes every second; a busy machine takes its time.
const DEADLINE: Duration = Duration::from_secs(120);

/// Merges as soon as there are a few files, and keeps next to no history.
pub(crate) const EAGER: &str = "[maintenance]\ninterval_s = 1\nfiles_min = 3\nkeep_s = 15\nkeep_snapshots = 12\n";

fn cell(node: &Node, args: &[&str], key: &str) -> i64 {
    let text = node.cli(&[args, &["--output", "json"]].concat()).unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    let row = answer.as_array().and_then(|rows| rows.first()).unwrap_or(&answer);
    row[key].as_i64().unwrap_or_else(|| panic!("no {key}: {text}"))
}

fn merged(node: &Node, table: &str) -> Option<()> {
    let text = node.cli(&["table", "history", table, "--output", "json"]).ok()?;
    let history: Vec<Value> = serde_json::from_str(&text).ok()?;
    let replaced = history.iter().any(|snapshot| snapshot["operation"] == "replace");
    replaced.then_some(())
}

/// The snapshots of a table, the newest first.
fn snapshots(node: &Node, table: &str) -> Vec<i64> {
    let text = node.cli(&["table", "history", table, "--output", "json"]).unwrap();
    let history: Vec<Value> = serde_json::from_str(&text).unwrap();
    history.iter().map(|row| row["snapshot"].as_i64().unwrap()).collect()
}

// Goal: files are merged and old snapshots go while changes arrive and models follow, and no row changes. Method: the hospital's log
// in ten parts with an eager maintenance, models in the middle and at the end; bronze against the log, silver and gold against the oracle; then
// an operator merges and expires what is left, all is compared again, and tables of ingest and of models are not rolled back.
#[test]
fn files_are_merged_and_no_row_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mut hospital = Hospital::write(dir.path(), 10, 200);
    let config = hospital.config() + EAGER;
    let node = NodeBuilder::up(dir.path()).config(&config).start();
    // A commit for each part: that is what makes small files.
    for part in 2..=10 {
        wait_ingested(&node, &hospital);
        if part == 6 {
            wait_for("the first files are merged", DEADLINE, || {
                merged(&node, "bronze.vitals")
            });
            run_models(&node);
        }
        hospital = Hospital::write(dir.path(), 10, 200 * part);
    }
    wait_ingested(&node, &hospital);
    run_models(&node);
    bronze_equals_the_log(&node, &hospital);
    compare_all(&node, &hospital);

    let table = "bronze.vitals";
    let read = snapshots(&node, table)[0];
    let planned = cell(&node, &["table", "compact", table, "--dry-run"], "files_removed");
    let done = cell(&node, &["table", "compact", table], "files_removed");
    assert!(planned >= done, "{planned} were planned, {done} done");
    cell(&node, &["table", "expire", table, "--keep", "1"], "snapshots_expired");
    let left = snapshots(&node, table);
    assert!(
        left.contains(&read) && left.len() <= 4,
        "what a model has read last, and what came since: {left:?}"
    );
    assert_eq!(
        cell(&node, &["table", "compact", table], "groups"),
        0,
        "nothing is small any more"
    );
    bronze_equals_the_log(&node, &hospital);
    // From what they have read last they go on.
    run_models(&node);
    compare_all(&node, &hospital);
    // Those who write these would not notice that they stand elsewhere: dry or not, the answer is the same.
    for table in ["bronze.vitals", "silver.vitals"] {
        let oldest = snapshots(&node, table).last().unwrap().to_string();
        let back = ["table", "rollback", table, "--snapshot", &oldest];
        for args in [[&back[..], &["--dry-run"]].concat(), back.to_vec()] {
            let refused = node.cli(&args).unwrap_err();
            assert!(refused.contains("ENG-0018"), "{args:?}: {refused}");
        }
    }
    bronze_equals_the_log(&node, &hospital);
    compare_all(&node, &hospital);
    let unknown = node.cli(&["table", "compact", "bronze.nobody"]).unwrap_err();
    assert!(unknown.contains("ENG-0001"), "{unknown}");
    let (_, code) = node.stop();
    assert_eq!(code, Some(0));
}

// Goal: what the command line does to one table's files and history is what it says: a dry run changes nothing, and damage is a failure.
// Method: a table of three commits; each verb once, dry before; then one byte of a file is another.
#[test]
fn operators_look_after_one_table() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path()).start();
    for sql in [
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.t (id bigint, name text)",
        "INSERT INTO shop.t VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO shop.t VALUES (3, 'b')",
        "DELETE FROM shop.t WHERE id = 1",
    ] {
        node.query(sql).unwrap();
    }
    let rows = |args: &[&str]| -> Vec<Value> {
        let text = node.cli(&[args, &["--output", "json"]].concat()).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let sum = || node.query("SELECT sum(id) AS s FROM shop.t").unwrap()[0]["s"].clone();
    let counted = rows(&["table", "stats", "shop.t"]);
    assert_eq!(
        counted,
        [
            json!({"column": "id", "distinct": 2}),
            json!({"column": "name", "distinct": 1})
        ]
    );
    let one = rows(&["table", "stats", "shop.t", "--column", "name"]);
    assert_eq!(one.len(), 1, "{one:?}");

    let history = || rows(&["table", "history", "shop.t"]);
    let expire = ["table", "expire", "shop.t", "--keep", "2"];
    let planned = cell(&node, &[&expire[..], &["--dry-run"]].concat(), "snapshots_expired");
    assert_eq!((planned, history().len()), (1, 3));
    assert_eq!(cell(&node, &expire, "snapshots_expired"), 1);
    let left = history();
    assert_eq!(left.len(), 2);

    let older = left[1]["snapshot"].as_i64().unwrap().to_string();
    let back = ["table", "rollback", "shop.t", "--snapshot", &older];
    let told = node.cli(&[&back[..], &["--dry-run"]].concat()).unwrap();
    assert!(told.contains(&older) && sum() == 5, "{told}");
    node.cli(&back).unwrap();
    assert_eq!(sum(), 6);
    let unknown = node.cli(&["table", "rollback", "shop.t", "--snapshot", "1", "--dry-run"]);
    assert!(unknown.is_err(), "{unknown:?}");

    let told = "'history.expire.min-snapshots-to-keep' = '1', 'history.expire.max-snapshot-age-ms' = '0'";
    node.query(&format!("ALTER TABLE shop.t SET TBLPROPERTIES ({told})"))
        .unwrap();
    cell(&node, &["table", "expire", "shop.t"], "snapshots_expired");
    assert_eq!(history().len(), 1, "what the table itself says");
    assert_eq!(sum(), 6);

    assert_eq!(cell(&node, &["table", "gc", "shop.t", "--dry-run"], "orphans"), 0);
    assert_eq!(cell(&node, &["table", "verify", "shop.t"], "problems"), 0);
    let path = node.query("SELECT file_path FROM shop.\"t$files\" LIMIT 1").unwrap()[0]["file_path"].clone();
    let path = path.as_str().unwrap().trim_start_matches("file://");
    let mut bytes = std::fs::read(path).unwrap();
    bytes[8] ^= 1;
    std::fs::write(path, bytes).unwrap();
    let damaged = node.cli(&["table", "verify", "shop.t"]).unwrap_err();
    assert!(damaged.contains("is damaged in"), "{damaged}");
}
