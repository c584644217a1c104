//! `tidewater synth events|sql`: the synthetic hospital.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
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
    /// How many of a million rows or events carry a defect: nulls, orphans, out-of-range, future-dates; and of events:
    /// duplicates, redeliveries, late. May be given for several; 0 switches one off
    #[arg(long = "defect", value_name = "NAME=PPM", value_parser = parse_defect)]
    defects: Vec<(Defect, u32)>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Defect {
    Nulls,
    Orphans,
    OutOfRange,
    FutureDates,
    Duplicates,
    Redeliveries,
    Late,
}

fn parse_defect(text: &str) -> Result<(Defect, u32), String> {
    let (name, ppm) = text.split_once('=').ok_or("write NAME=PPM, as in orphans=3000")?;
    let defect = Defect::from_str(name, true).map_err(|_| {
        let names = Defect::value_variants().iter().filter_map(Defect::to_possible_value);
        let names: Vec<String> = names.map(|value| value.get_name().to_owned()).collect();
        format!("{name} is none of {}", names.join(", "))
    })?;
    match ppm.parse() {
        Ok(ppm) if ppm <= 1_000_000 => Ok((defect, ppm)),
        _ => Err(format!("{ppm} is no number from 0 to 1000000")),
    }
}

impl WorldArgs {
    fn options(&self) -> WorldOptions {
        let mut options = WorldOptions {
            seed: self.seed,
            patients: self.patients,
            ..WorldOptions::default()
        };
        for (defect, ppm) in &self.defects {
            match defect {
                Defect::Nulls => options.defects.nulls_ppm = *ppm,
                Defect::Orphans => options.defects.orphans_ppm = *ppm,
                Defect::OutOfRange => options.defects.out_of_range_ppm = *ppm,
                Defect::FutureDates => options.defects.future_dates_ppm = *ppm,
                Defect::Duplicates | Defect::Redeliveries | Defect::Late => {}
            }
        }
        options
    }

    fn delivery(&self, shape: Shape) -> DeliveryOptions {
        let mut options = DeliveryOptions {
            shape,
            ..DeliveryOptions::default()
        };
        for (defect, ppm) in &self.defects {
            match defect {
                Defect::Duplicates => options.duplicates_ppm = *ppm,
                Defect::Redeliveries => options.redeliveries_ppm = *ppm,
                Defect::Late => options.late_ppm = *ppm,
                Defect::Nulls | Defect::Orphans | Defect::OutOfRange | Defect::FutureDates => {}
            }
        }
        options
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
    options.delivery = args.world.delivery(args.shape);
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
