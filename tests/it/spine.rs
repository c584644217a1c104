//! The main job on one process: changes to bronze, silver and gold, each equal to what it must be.

use std::time::Duration;

use crate::kit::synth::{AS_OF_MS, Hospital};
use crate::kit::{Node, NodeBuilder, wait_for};

/// Ingest and models of a small hospital on two busy cores with an unoptimised build.
const DEADLINE: Duration = Duration::from_secs(300);

/// Waits until every record of the change log is committed.
pub(crate) fn wait_ingested(node: &Node, hospital: &Hospital) {
    let records = i64::try_from(hospital.offsets().len()).unwrap();
    wait_for("everything is ingested", DEADLINE, || {
        let status = node.control("/v1/ingest")?;
        let next: i64 = status["partitions"]
            .as_array()?
            .iter()
            .map(|partition| partition["next"].as_i64().unwrap_or(0))
            .sum();
        (next == records).then_some(())
    });
}

/// Runs every model as of the oracle's moment.
pub(crate) fn run_models(node: &Node) {
    let report = node.cli(&[
        "pipeline",
        "run",
        "--as-of-ms",
        &AS_OF_MS.to_string(),
        "--output",
        "json",
    ]);
    if let Err(error) = &report {
        panic!("models failed: {error}");
    }
}

/// Every table of silver and gold equals the oracle.
pub(crate) fn compare_all(node: &Node, hospital: &Hospital) {
    let mut differences = Vec::new();
    let mut rows = 0;
    for table in hospital.tables() {
        match hospital.compare_silver(node, &table) {
            Ok(count) => rows += count,
            Err(difference) => differences.push(difference),
        }
    }
    for table in ["patient_360", "provider_metrics", "operational_kpis"] {
        match hospital.compare_gold(node, table) {
            Ok(count) => rows += count,
            Err(difference) => differences.push(difference),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(rows > 0, "the oracle is empty");
}

// Goal: changes in a file become exactly the rows they must in bronze, silver and gold. Method: the synthetic hospital, its
// oracle, `tidewater up`, and the command line as the only client.
#[test]
fn changes_become_gold() {
    let dir = tempfile::tempdir().unwrap();
    let hospital = Hospital::write(dir.path(), 20, 3_000);
    let node = NodeBuilder::up(dir.path()).config(&hospital.config()).start();
    wait_ingested(&node, &hospital);
    let doubled = node.query(
        "SELECT _topic, _kafka_partition, _offset, count(*) AS n FROM bronze.vitals GROUP BY 1, 2, 3 HAVING count(*) > 1",
    );
    assert_eq!(doubled.unwrap(), Vec::<serde_json::Value>::new());
    run_models(&node);
    compare_all(&node, &hospital);
    let (_, code) = node.stop();
    assert_eq!(code, Some(0));
}
