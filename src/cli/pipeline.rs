//! `tidewater pipeline plan|run|status`

use clap::{Args, Subcommand};
use serde_json::Value;

use super::failure::Failure;
use super::output::Output;
use super::progress::Progress;
use super::{block_on, drive};
use crate::control::{self, RunRequest};
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum PipelineVerb {
    /// Show what a run would do, and why; files that changed since the process started are warned of, and not read
    Plan(Models),
    /// Bring models up to date now, as their files were when the process started
    Run(Models),
    /// Show how every model stands
    Status,
}

#[derive(Debug, Args)]
pub(super) struct Models {
    /// Names, patterns (silver.*) or tags (tag:phi); + before or after brings what they read or who reads them. None: all
    models: Vec<String>,
    /// Build anew from everything there is
    #[arg(long)]
    full_refresh: bool,
    /// The time that run_ts() gives, in milliseconds since the Unix epoch
    #[arg(long, value_name = "MS")]
    as_of_ms: Option<i64>,
}

pub(super) fn run(settings: &Settings, verb: PipelineVerb, output: &Output) -> Result<(), Failure> {
    match verb {
        PipelineVerb::Status => {
            let status = block_on(control::ask(settings, "/v1/pipelines"))?;
            print(
                &status,
                &[
                    "name",
                    "kind",
                    "last_mode",
                    "rows_total",
                    "lag_ms",
                    "next_mode",
                    "next_reason",
                ],
                output,
            )
        }
        PipelineVerb::Plan(models) => {
            let plan = block_on(control::ask_about(
                settings,
                "/v1/pipelines/plan",
                &RunRequest::from(models),
            ))?;
            print(&plan, &["name", "kind", "mode", "reason"], output)
        }
        PipelineVerb::Run(models) => {
            let progress = Progress::start("running models");
            let report = drive(control::order(settings, "/v1/pipelines/run", &RunRequest::from(models)));
            drop(progress);
            let report = report?;
            print(
                &report,
                &["name", "kind", "mode", "reason", "rows", "duration_ms", "failure"],
                output,
            )?;
            match report.get("succeeded").and_then(Value::as_bool) {
                Some(true) => Ok(()),
                _ => Err(Failure::new("some models failed").hint("their reasons are in the column failure")),
            }
        }
    }
}

impl From<Models> for RunRequest {
    fn from(models: Models) -> Self {
        Self {
            models: models.models,
            full_refresh: models.full_refresh,
            as_of_ms: models.as_of_ms,
        }
    }
}

fn print(answer: &Value, columns: &[&str], output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(answer);
    }
    output.rows(columns, list(answer, "models"))?;
    warn(list(answer, "warnings"));
    Ok(())
}

fn list<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
}

/// Those who wait for rows on standard output do not get it among them.
#[expect(clippy::print_stderr, reason = "words go to standard error")]
fn warn(warnings: &[Value]) {
    for warning in warnings.iter().filter_map(Value::as_str) {
        eprintln!("warning: {warning}");
    }
}
