//! `tidewater query SQL|ls|cancel|log`: through the Flight SQL endpoint, as any other client. Rows are printed as they come.

mod log;

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::writer::{ArrayWriter, JsonArray, WriterBuilder};
use arrow::util::pretty::{pretty_format_batches, pretty_format_batches_with_schema};
use clap::{Args, Subcommand};
use futures::TryStreamExt;
use serde_json::Value;
use uuid::Uuid;

use tidewater_core::SystemClock;
use tidewater_engine::Execution;

use super::connect::{ConnectArgs, refused, refused_at, warned};
use super::failure::{Failure, Reason};
use super::output::Output;
use super::progress::Progress;
use super::{block_on, drive};
use crate::control;
use crate::settings::Settings;

/// Rows of one printed table: widths are found over so many, and no more are held in memory.
const ROWS_PER_TABLE: usize = 10_000;

#[derive(Debug, Subcommand)]
enum QueryVerb {
    /// List the statements that are at work in the process of http.listen and in its siblings
    Ls,
    /// End one of them, whoever asked for it
    Cancel {
        /// As `query ls` prints it
        id: Uuid,
    },
    /// Read the audit log of this machine: statements that have ended, logins, changes of users and grants, and what was refused
    Log(log::LogArgs),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct QueryArgs {
    #[command(subcommand)]
    verb: Option<QueryVerb>,
    /// The statement
    #[arg(required = true)]
    sql: Option<String>,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Where it runs: auto, local (the process that is asked) or cluster (the executors, as far as they can run it)
    #[arg(long, value_name = "WHERE", default_value = "auto", value_parser = Execution::NAMES)]
    execution: String,
    /// How long the whole query may take, its printing included
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

pub(super) fn run(settings: &Settings, args: QueryArgs, output: &Output) -> Result<(), Failure> {
    match args.verb {
        Some(QueryVerb::Ls) => {
            let found = block_on(control::ask(settings, "/v1/queries"))?;
            let queries = found["queries"].as_array().map_or(&[][..], Vec::as_slice);
            let columns = [
                "id",
                "user",
                "client",
                "route",
                "rows",
                "queue_ms",
                "statement",
                "process",
            ];
            output.rows(&columns, queries)?;
            let missing = found["missing"].as_array().map_or(&[][..], Vec::as_slice);
            missing.iter().filter_map(Value::as_str).for_each(say);
            return Ok(());
        }
        Some(QueryVerb::Cancel { id }) => {
            let path = format!("/v1/queries/{id}/cancel");
            return output.one(&block_on(control::ask_about(settings, &path, &()))?);
        }
        Some(QueryVerb::Log(args)) => return log::run(settings, args, output),
        None => {}
    }
    let allowed = Duration::from_secs(args.timeout);
    let clock = SystemClock::shared();
    drive(async {
        tokio::select! {
            done = query(settings, args, output) => done,
            () = clock.sleep(allowed) => Err(Failure::new(format!("the query did not end within {} s", allowed.as_secs()))
                .hint("allow more with --timeout")),
        }
    })
}

async fn query(settings: &Settings, args: QueryArgs, output: &Output) -> Result<(), Failure> {
    let mut progress = Some(Progress::start("running the query"));
    let endpoint = args.connect.endpoint(settings);
    let mut client = args.connect.connect(settings).await?;
    client.set_header("tidewater.execution", args.execution);
    let info = client
        .execute(args.sql.unwrap_or_default(), None)
        .await
        .map_err(|error| refused_at(&endpoint, &error))?;
    let mut printer = Printer::new(output.is_json());
    for endpoint in info.endpoint {
        let Some(ticket) = endpoint.ticket else { continue };
        let mut stream = client.do_get(ticket).await.map_err(|error| refused(&error))?;
        let warning = warned(&stream);
        while let Some(batch) = stream.try_next().await.map_err(|error| refused(&error))? {
            drop(progress.take());
            if heard(printer.print(batch))?.is_none() {
                return Ok(());
            }
        }
        if let Some(schema) = stream.schema() {
            printer.columns(schema);
        }
        if let Some(warning) = warning {
            drop(progress.take());
            say(&warning);
        }
    }
    drop(progress);
    heard(printer.finish()).map(drop)
}

#[expect(clippy::print_stderr, reason = "words go to standard error")]
fn say(text: &str) {
    // Names of processes are what others say: none of them commands the terminal of who reads this.
    eprintln!("{}", text.replace(char::is_control, "\u{fffd}"));
}

/// None when whoever reads standard output has gone away, which is no failure.
fn heard(printed: Result<(), ArrowError>) -> Result<Option<()>, Failure> {
    match printed {
        Ok(()) => Ok(Some(())),
        Err(ArrowError::IoError(_, error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(ArrowError::IoError(_, error)) => Err(Failure::io("write the result", error)),
        Err(error) => Err(Failure::of(Reason::Answer, format!("cannot print the result: {error}"))
            .hint("cast the column to text, or ask for other columns")),
    }
}

/// Prints batches as they come: JSON as one array, tables in parts.
enum Printer {
    Json(Box<ArrayWriter<BufWriter<io::Stdout>>>),
    Table {
        held: Vec<RecordBatch>,
        printed: bool,
        schema: Option<SchemaRef>,
    },
}

impl Printer {
    fn new(json: bool) -> Self {
        match json {
            true => Self::Json(Box::new(
                WriterBuilder::new()
                    .with_explicit_nulls(true)
                    .build::<_, JsonArray>(BufWriter::new(io::stdout())),
            )),
            false => Self::Table {
                held: Vec::new(),
                printed: false,
                schema: None,
            },
        }
    }

    /// What the columns are, also of an answer without a row.
    fn columns(&mut self, columns: &SchemaRef) {
        if let Self::Table { schema, .. } = self {
            *schema = Some(SchemaRef::clone(columns));
        }
    }

    fn print(&mut self, batch: RecordBatch) -> Result<(), ArrowError> {
        match self {
            Self::Json(writer) => writer.write(&batch),
            Self::Table { held, printed, .. } => {
                held.push(batch);
                if held.iter().map(RecordBatch::num_rows).sum::<usize>() < ROWS_PER_TABLE {
                    return Ok(());
                }
                *printed = true;
                table(&std::mem::take(held))
            }
        }
    }

    fn finish(self) -> Result<(), ArrowError> {
        match self {
            Self::Json(mut writer) => {
                writer.finish()?;
                let mut out = writer.into_inner();
                writeln!(out)?;
                Ok(out.flush()?)
            }
            // The columns of an empty answer are printed, those of an empty last part are not.
            Self::Table { held, printed, .. } if printed && held.iter().all(|batch| batch.num_rows() == 0) => Ok(()),
            Self::Table {
                held,
                schema: Some(schema),
                ..
            } if held.is_empty() => Ok(writeln!(
                io::stdout(),
                "{}",
                pretty_format_batches_with_schema(schema, &held)?
            )?),
            Self::Table { held, .. } => table(&held),
        }
    }
}

fn table(batches: &[RecordBatch]) -> Result<(), ArrowError> {
    Ok(writeln!(io::stdout(), "{}", pretty_format_batches(batches)?)?)
}
