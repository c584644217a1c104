//! Memory of `tidewater up`, idle and with the demo streaming through it.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::block_on;
use crate::process::Tidewater;
use crate::report::Report;
use tidewater_core::{SharedClock, SystemClock};

/// How long the idle process is looked at: longer than any of its own intervals.
const IDLE: Duration = Duration::from_secs(60);

/// How long the demo runs: every model has been refreshed several times by then.
const LOADED: Duration = Duration::from_secs(300);

/// Events a second of the demo under load: ten times its default.
const LOADED_EVENTS_PER_SECOND: &str = "500";

const IDLE_GOAL_MB: f64 = 600.0;
const LOADED_GOAL_MB: f64 = 2_000.0;

/// Pause between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) fn run(report: &mut Report) -> Result<()> {
    block_on(async {
        let clock = SystemClock::shared();
        idle(report, &clock).await?;
        demo(report, &clock, "demo", &[]).await?;
        let faster = ["--events-per-second", LOADED_EVENTS_PER_SECOND];
        demo(report, &clock, "demo_500", &faster).await
    })
}

async fn idle(report: &mut Report, clock: &SharedClock) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = Tidewater::start(folder.path(), &["up"], "", clock).await?;
    let resident = watch(&node, clock, IDLE).await?;
    let last = node.memory()?;
    report.figure("idle.resident_anonymous", last.anonymous, "MB");
    report.figure("idle.resident_median", resident.median, "MB");
    report.at_most("idle.resident_peak", last.peak, "MB", IDLE_GOAL_MB);
    Ok(())
}

async fn demo(report: &mut Report, clock: &SharedClock, name: &str, more: &[&str]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let verb = [&["up", "--demo"], more].concat();
    let node = Tidewater::start(folder.path(), &verb, "", clock).await?;
    let resident = watch(&node, clock, LOADED).await?;
    let last = node.memory()?;
    let ingest = node.ingest().await?;
    let models = node.control("/v1/pipelines").await?;
    let filled = list(&models, "models")
        .filter(|model| !model["rows_total"].is_null())
        .count();
    let records = ingest["records"].as_f64().unwrap_or(0.0);
    ensure!(records > 0.0 && filled > 0, "the demo did not stream:\n{}", node.log());
    report.figure(&format!("{name}.records_committed"), records, "records");
    report.figure(&format!("{name}.models_with_rows"), filled as f64, "models");
    report.figure(
        &format!("{name}.processor"),
        node.cpu_seconds()? / LOADED.as_secs_f64(),
        "cores",
    );
    for (at, share) in [("first_third", 0), ("second_third", 1), ("last_third", 2)] {
        let thirds = resident.samples.chunks(resident.samples.len().div_ceil(3));
        let most = thirds.skip(share).take(1).flatten().copied().fold(0.0, f64::max);
        report.figure(&format!("{name}.resident_max_{at}"), most, "MB");
    }
    report.figure(&format!("{name}.resident_median"), resident.median, "MB");
    report.at_most(&format!("{name}.resident_peak"), last.peak, "MB", LOADED_GOAL_MB);
    Ok(())
}

struct Resident {
    samples: Vec<f64>,
    median: f64,
}

/// Looks at a process once a second.
async fn watch(node: &Tidewater, clock: &SharedClock, time: Duration) -> Result<Resident> {
    let until = clock.monotonic() + time;
    let mut samples = Vec::new();
    while clock.monotonic() < until {
        samples.push(node.memory()?.resident);
        clock.sleep(LOOK_INTERVAL).await;
    }
    let median = crate::report::percentile(&mut samples.clone(), 50);
    Ok(Resident { samples, median })
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}
