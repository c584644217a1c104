//! Engines of others and tidewater on one lake: each reads what the other wrote.

use crate::clients::{Verdict, lake};
use crate::kit::{NodeBuilder, program};
use crate::spine::compare_all;

/// Runs the probe of one engine beside the hospital's tables.
fn shares_the_lake(engine: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (node, hospital) = lake(dir.path());
    let catalog = format!("http://127.0.0.1:{}", node.ports().catalog);
    let endpoint = format!("grpc://127.0.0.1:{}", node.ports().flight);
    let mut verdict = Verdict::default();
    // What SQL makes and changes is read with everything else.
    verdict.probe("iceberg", &["lake", "sql", &catalog, &endpoint, "warehouse=lake"]);
    let verify = format!(
        "verify={} table verify --config {}",
        program().to_string_lossy(),
        node.config_file().display()
    );
    verdict.probe(
        "iceberg",
        &["lake", engine, &catalog, &endpoint, "warehouse=lake", &verify],
    );
    // Whatever others wrote and asked, ours is as it was.
    compare_all(&node, &hospital);
    verdict.assert_good();
}

// Goal: Spark reads every table of bronze, silver, gold and ops, and SQL reads what Spark wrote, to the same rows; and both write to one
// table in turns, of every kind, to its branches and to what it stages, and read the same. Method: the
// synthetic hospital on `tidewater up`; PySpark's rows against ADBC's, and both against what was written.
#[test]
#[ignore = "scripts/interop spark runs it: it needs Spark"]
fn spark_shares_the_lake() {
    shares_the_lake("spark");
}

// Goal and method: the same with Trino.
#[test]
#[ignore = "scripts/interop trino runs it: it needs Trino"]
fn trino_shares_the_lake() {
    shares_the_lake("trino");
}

// Goal: rows that are deleted by their values are the same to SQL as to Iceberg's own library, before and after SQL changes and rewrites
// the tables. Method: Java writes and reads 56 tables, of every type and with every change of schema and partitioning.
#[test]
#[ignore = "scripts/interop spark runs it: it needs the jars of Spark"]
fn deletes_by_values_are_those_of_java() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeBuilder::up(dir.path()).start();
    let catalog = format!("http://127.0.0.1:{}", node.ports().catalog);
    let endpoint = format!("grpc://127.0.0.1:{}", node.ports().flight);
    let mut verdict = Verdict::default();
    verdict.probe("iceberg", &["equality", &catalog, &endpoint, "warehouse=lake"]);
    verdict.assert_good();
}
