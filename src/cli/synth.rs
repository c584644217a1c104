//! `tidewater synth events|sql`: the synthetic hospital.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use tidewater_core::SystemClock;
use tidewater_synth::{DeliveryOptions, Hooks, Layout, RunOptions, Shape, SinkOptions, SqlWorkload, WorldOptions};
use tokio_util::sync::CancellationToken;

use super::drive;
use super::failure::Failure;
use super::output::Output;
use super::progress::Progress;

#[derive(Debug, Subcommand)]
pub(super) enum SynthVerb {
    /// Write Debezium events to a folder (the file source's format) or to Kafka
    Events(EventsArgs),
    /// Write an SQL workload for a real PostgreSQL: tables.sql, rows.sql and the changes
    Sql(SqlArgs),
}

#[derive(Debug, Args)]
pub(super) struct WorldArgs {
    /// The same seed makes the same hospital
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Patients of the hospital
    #[arg(long, default_value_t = 200)]
    patients: u32,
}

impl WorldArgs {
    fn options(&self) -> WorldOptions {
        WorldOptions {
            seed: self.seed,
            patients: self.patients,
            ..WorldOptions::default()
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    #[command(flatten)]
    world: WorldArgs,
    /// Folder of the change log
    #[arg(long, value_name = "DIR", required_unless_present = "kafka")]
    folder: Option<PathBuf>,
    /// Bootstrap servers instead of a folder
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "folder")]
    kafka: Option<String>,
    /// End after so many events
    #[arg(long, default_value_t = 10_000)]
    events: u64,
    /// At most so many a second; as fast as it goes when absent
    #[arg(long)]
    events_per_second: Option<u32>,
    /// envelope, envelope-schemas or unwrapped
    #[arg(long, default_value = "envelope-schemas")]
    shape: Shape,
    /// Write the expected tables to this folder
    #[arg(long, value_name = "DIR")]
    oracle: Option<PathBuf>,
    /// The moment the expected gold tables are of, in milliseconds since the Unix epoch
    #[arg(long, value_name = "MS", requires = "oracle")]
    as_of_ms: Option<i64>,
}

#[derive(Debug, Args)]
pub(super) struct SqlArgs {
    #[command(flatten)]
    world: WorldArgs,
    /// Folder of the files
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// Row changes after the first rows
    #[arg(long, default_value_t = 5_000)]
    changes: u64,
    /// Write the expected tables to this folder
    #[arg(long, value_name = "DIR")]
    oracle: Option<PathBuf>,
    /// The moment the expected gold tables are of, in milliseconds since the Unix epoch
    #[arg(long, value_name = "MS", requires = "oracle")]
    as_of_ms: Option<i64>,
}

pub(super) fn run(verb: SynthVerb, output: &Output) -> Result<(), Failure> {
    match verb {
        SynthVerb::Events(args) => events(args, output),
        SynthVerb::Sql(args) => sql(args, output),
    }
}

fn events(args: EventsArgs, output: &Output) -> Result<(), Failure> {
    let sink = match (args.folder, args.kafka) {
        (Some(folder), _) => SinkOptions::folder(folder),
        (None, Some(brokers)) => SinkOptions::Kafka { brokers, state: None },
        (None, None) => SinkOptions::Nowhere,
    };
    let mut options = RunOptions::new(sink);
    options.world = args.world.options();
    options.delivery = DeliveryOptions {
        shape: args.shape,
        ..DeliveryOptions::default()
    };
    options.records_per_second = args.events_per_second;
    options.records_max = Some(args.events);
    options.oracle = args.oracle;
    options.as_of_ms = args.as_of_ms;
    let progress = Progress::start("writing events");
    let report = drive(async {
        let stop = CancellationToken::new();
        Ok(tidewater_synth::run::run(options, SystemClock::shared(), Hooks::default(), stop).await?)
    });
    drop(progress);
    output.one(&report?)
}

#[derive(Debug, Serialize)]
struct Written {
    folder: PathBuf,
    rows: u64,
    changes: u64,
}

fn sql(args: SqlArgs, output: &Output) -> Result<(), Failure> {
    let _progress = Progress::start("writing the workload");
    let mut workload = SqlWorkload::new(args.world.options(), Layout::SchemaPerService)?;
    let report = workload.write(&args.folder, args.changes)?;
    if let Some(folder) = args.oracle {
        let as_of_ms = args.as_of_ms.unwrap_or_else(|| workload.world().now_ms());
        let oracle = tidewater_synth::Oracle::new(workload.world());
        oracle.write(&folder, as_of_ms, &report)?;
    }
    if output.is_json() {
        return output.one(&Written {
            folder: args.folder,
            rows: report.delivery.reads,
            changes: report.delivery.records - report.delivery.reads,
        });
    }
    output.line(&format!("wrote {}", args.folder.display()))
}
