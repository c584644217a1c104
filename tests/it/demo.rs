//! The demo, as a stranger starts it.

use std::time::Duration;

use crate::kit::{NodeBuilder, wait_for};

/// What README promises after the build's end, on an optimised build; this one is not.
const DEADLINE: Duration = Duration::from_secs(480);

// Goal: the demo fills bronze, silver and gold by itself. Method: `up --demo`, then the command line until every layer has rows.
#[test]
#[ignore = "scripts/chaos runs it: minutes"]
fn the_demo_fills_every_layer() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = NodeBuilder::up(dir.path());
    builder.verb.push("--demo".into());
    let node = builder.start();
    for table in ["bronze.appointments", "silver.appointments", "gold.operational_kpis"] {
        wait_for(&format!("{table} has rows"), DEADLINE, || {
            node.number(&format!("SELECT count(*) FROM {table}"))
                .filter(|count| *count > 0)
        });
    }
    let (builder, code) = node.stop();
    assert_eq!(code, Some(0), "{}", builder.log());
}
