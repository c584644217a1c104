//! `tidewater job ls|show|logs|cancel|retry`

use clap::Subcommand;
use serde::Serialize;
use serde_json::Value;

use tidewater_catalog_client::dto::JobRow;
use tidewater_catalog_client::{CatalogClient, JobFilter};
use tidewater_core::JobId;

use super::failure::{Failure, Reason};
use super::output::Output;
use super::progress::Progress;
use super::{block_on, drive};
use crate::control;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum JobVerb {
    /// List jobs, newest first
    Ls {
        /// Only jobs that have not ended
        #[arg(long)]
        open: bool,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show one job: its row, and its plans with their stages as far as the scheduler remembers them
    Show {
        /// As `job ls` prints it
        id: JobId,
    },
    /// Show what happened to one job
    Logs {
        /// As `job ls` prints it
        id: JobId,
    },
    /// End a run of a model before it commits
    Cancel {
        /// As `job ls --open` prints it
        id: JobId,
    },
    /// Run what an ended job was about once more
    Retry {
        /// As `job ls` prints it
        id: JobId,
    },
}

#[derive(Debug, Serialize)]
struct JobLine {
    id: JobId,
    kind: String,
    phase: String,
    attempt: Option<u64>,
    name: String,
    progress: String,
    updated: String,
}

fn line(row: &JobRow) -> JobLine {
    let name = control::name_of(row);
    JobLine {
        id: row.id,
        kind: row.kind.clone(),
        phase: format!("{:?}", row.phase).to_lowercase(),
        attempt: control::attempt_of(row),
        name: name.unwrap_or_default().to_owned(),
        progress: progress(row),
        updated: time(row.updated_at_ms),
    }
}

/// What the catalog tells of its own jobs; what stands in their way instead, if something does.
fn progress(row: &JobRow) -> String {
    let text = |key: &str| row.body.get(key).and_then(|value| value.as_str());
    text("problem")
        .or_else(|| text("progress"))
        .unwrap_or_default()
        .to_owned()
}

pub(super) fn run(settings: &Settings, verb: JobVerb, output: &Output) -> Result<(), Failure> {
    let client = CatalogClient::new(settings.command_client()?)?;
    match verb {
        JobVerb::Ls { open, limit } => {
            let filter = JobFilter {
                open,
                limit: Some(limit),
                ..JobFilter::default()
            };
            let rows = block_on(async { Ok(client.jobs(&filter).await?) })?;
            let lines: Vec<JobLine> = rows.iter().map(line).collect();
            output.rows(
                &["id", "kind", "phase", "attempt", "name", "progress", "updated"],
                &lines,
            )
        }
        JobVerb::Show { id } => show(settings, &client, id, output),
        JobVerb::Logs { id } => {
            let path = format!("/v1/jobs/{id}/logs");
            let found = block_on(control::ask(settings, &path))?;
            let lines: Vec<LogLine> = entries(&found, "lines").iter().map(LogLine::of).collect();
            output.rows(&["at", "plan", "text"], &lines)
        }
        JobVerb::Cancel { id } => {
            let told = drive(control::order(settings, &format!("/v1/jobs/{id}/cancel"), &()))?;
            output.one(&told)
        }
        JobVerb::Retry { id } => {
            let progress = Progress::start("running it once more");
            let report = drive(control::order(settings, &format!("/v1/jobs/{id}/retry"), &()));
            drop(progress);
            let report = report?;
            output.rows(
                &["name", "kind", "mode", "reason", "duration_ms", "failure"],
                entries(&report, "models"),
            )?;
            match report["succeeded"].as_bool() {
                Some(true) => Ok(()),
                _ => {
                    Err(Failure::new("it failed again")
                        .hint("tidewater job ls tells the new job; tidewater job logs why"))
                }
            }
        }
    }
}

/// Row and plans; the row alone where no process answers that schedules.
fn show(settings: &Settings, client: &CatalogClient, id: JobId, output: &Output) -> Result<(), Failure> {
    let told = block_on(control::ask(settings, &format!("/v1/jobs/{id}")));
    if let Ok(told) = told {
        if output.is_json() {
            return output.json(&told);
        }
        if !told["job"].is_null() {
            output.one(&told["job"])?;
        }
        let mut stages = Vec::new();
        for plan in entries(&told, "plans") {
            for attempt in entries(plan, "attempts") {
                for stage in entries(attempt, "stages") {
                    let mut stage = stage.clone();
                    stage["plan"] = plan["id"].clone();
                    stage["attempt"] = attempt["number"].clone();
                    stages.push(stage);
                }
            }
        }
        let columns = [
            "plan",
            "attempt",
            "stage",
            "state",
            "tasks",
            "rows",
            "bytes",
            "spilled_bytes",
            "task_ms_max",
            "skew_percent",
        ];
        return match stages.is_empty() {
            true => Ok(()),
            false => output.rows(&columns, &stages),
        };
    }
    match block_on(async { Ok(client.job(id).await?) })? {
        Some(row) => output.one(&row),
        None => Err(Failure::of(Reason::NotThere, format!("job {id} does not exist")).hint("tidewater job ls")),
    }
}

fn entries<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

#[derive(Debug, Serialize)]
struct LogLine {
    at: String,
    at_ms: i64,
    plan: String,
    text: String,
}

impl LogLine {
    fn of(line: &Value) -> Self {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let at_ms = line["at_ms"].as_i64().unwrap_or_default();
        Self {
            at: time(at_ms),
            at_ms,
            plan: text("plan"),
            text: text("text"),
        }
    }
}

fn time(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default()
}
