//! Writes a small hospital into a folder: `synth <folder> [records] [seed] [brokers]`.
//!
//! The folder then holds `log/` (a file source; topics instead when brokers are given), `sql/` (the same world for PostgreSQL)
//! and `oracle/` (what a lake must hold).

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use tidewater_core::SystemClock;
use tidewater_synth::{Hooks, Layout, Oracle, Report, RunOptions, SinkOptions, SqlWorkload, WorldOptions, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder: PathBuf = arguments
        .next()
        .ok_or("usage: synth <folder> [records] [seed] [brokers]")?
        .into();
    let records = arguments.next().map_or(Ok(50_000), |text| text.parse())?;
    let seed = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let world = WorldOptions {
        seed,
        ..WorldOptions::default()
    };
    let mut workload = SqlWorkload::new(world.clone(), Layout::SchemaPerService)?;
    workload.write(&folder.join("sql"), 5_000)?;
    Oracle::new(workload.world()).write(
        &folder.join("sql/oracle"),
        workload.world().now_ms(),
        &Report::default(),
    )?;
    let log = folder.join("log");
    let sink = match arguments.next() {
        Some(brokers) => SinkOptions::Kafka {
            brokers,
            state: Some(log),
        },
        None => SinkOptions::folder(log),
    };
    let options = RunOptions {
        world,
        records_max: Some(records),
        oracle: Some(folder.join("oracle")),
        ..RunOptions::new(sink)
    };
    run::run(
        options,
        SystemClock::shared(),
        Hooks::default(),
        CancellationToken::new(),
    )
    .await?;
    Ok(())
}
