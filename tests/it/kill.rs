//! Crashes at named moments.

use std::time::Duration;

use crate::kit::node::get;
use crate::kit::synth::{AS_OF_MS, Hospital};
use crate::kit::{Node, NodeBuilder, wait_for};
use crate::maintenance::EAGER;
use crate::spine::{compare_all, run_models, wait_ingested};

/// A fail point must be reached within this.
const REACH_DEADLINE: Duration = Duration::from_secs(120);

/// Passages at which the process is killed: the first, and later ones in the middle of the work. Together with the number
/// of points these are more than 20 kills.
const PASSAGES: [u64; 3] = [1, 2, 4];

/// Looks between two writes of more changes: as often as ingest commits. A write for each look makes a log of thousands, and all that it
/// costs.
const LOOKS_PER_WRITE: u32 = 4;

/// Points of ingest and of the catalog are passed by ingest alone; those of pipelines need a run of models.
const INGEST_POINTS: &[&str] = &[
    "ingest.batch_read",
    "ingest.files_written",
    "ingest.commit_answered",
    "catalog.metadata_written",
    "catalog.log_written",
];

/// Passed by the process itself as soon as a few files have gathered.
const MAINTENANCE_POINTS: &[&str] = &["maintenance.files_written", "maintenance.commit_answered"];

const PIPELINE_POINTS: &[&str] = &["pipelines.files_written", "pipelines.commit_answered"];

// Goal: whatever moment the process dies at, nothing is lost and nothing doubled. Method: kill -9 at every fail point, several
// times, each in a process that goes on from what the last one left; more changes before every kill; then bronze is held
// against the change log by topic, partition and offset, and silver and gold against the oracle.
#[test]
#[ignore = "scripts/chaos runs it: minutes"]
fn nothing_is_lost_or_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join("reached");
    let mut events = 600;
    let mut hospital = Hospital::write(dir.path(), 10, events);
    let mut builder = NodeBuilder::up(dir.path()).config(&(hospital.config() + EAGER));
    let mut kills = 0;
    for passage in PASSAGES {
        for point in INGEST_POINTS.iter().chain(MAINTENANCE_POINTS).chain(PIPELINE_POINTS) {
            drop(std::fs::remove_file(&marker));
            builder.env = vec![
                ("TIDEWATER_FAIL_POINT".into(), format!("{point}@{passage}")),
                ("TIDEWATER_FAIL_POINT_FILE".into(), marker.to_str().unwrap().to_owned()),
            ];
            let node = builder.clone().spawn();
            let (mut models, mut looks) = (None, 0_u32);
            wait_for(&format!("{point}@{passage} is reached"), REACH_DEADLINE, || {
                let ready = get(&node.ready_url()).is_some_and(|(status, _)| status == 200);
                looks += u32::from(ready);
                if ready && looks % LOOKS_PER_WRITE == 1 {
                    // Work to be killed in: more changes come until the point was passed often enough.
                    events += 20;
                    hospital = Hospital::write(dir.path(), 10, events);
                }
                if ready && models.is_none() && point.starts_with("pipelines.") {
                    models = Some(node.spawn_cli(&["pipeline", "run", "--as-of-ms", &AS_OF_MS.to_string()]));
                }
                marker.is_file().then_some(())
            });
            builder = node.kill();
            if let Some(mut models) = models {
                // It loses its server with the kill.
                models.wait().unwrap();
            }
            kills += 1;
        }
    }
    assert!(kills >= 20, "{kills} kills");
    builder.env.clear();
    let node = builder.start();
    wait_for("runs of killed processes end", REACH_DEADLINE * 3, || {
        let open = node.cli(&["job", "ls", "--open", "--output", "json"]).unwrap();
        (open.trim() == "[]").then_some(())
    });
    wait_ingested(&node, &hospital);
    bronze_equals_the_log(&node, &hospital);
    run_models(&node);
    compare_all(&node, &hospital);
}

/// Every change of the log is a row of bronze, once.
pub(crate) fn bronze_equals_the_log(node: &Node, hospital: &Hospital) {
    let mut found = Vec::new();
    for table in hospital.tables() {
        let rows = node
            .query(&format!("SELECT _topic, _kafka_partition, _offset FROM bronze.{table}"))
            .unwrap_or_default();
        for row in rows {
            found.push((
                row["_topic"].as_str().unwrap().to_owned(),
                row["_kafka_partition"].as_i64().unwrap(),
                row["_offset"].as_i64().unwrap(),
            ));
        }
    }
    found.sort();
    let doubled = found.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(doubled, 0, "rows doubled in bronze");
    let data = hospital.data_offsets();
    let missing: Vec<_> = data
        .iter()
        .filter(|record| found.binary_search(record).is_err())
        .collect();
    assert!(
        missing.is_empty(),
        "{} records missing, such as {:?}",
        missing.len(),
        missing.first()
    );
}
