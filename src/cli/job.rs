//! `tidewater job ls|show`

use clap::Subcommand;
use serde::Serialize;

use tidewater_catalog_client::dto::JobRow;
use tidewater_catalog_client::{CatalogClient, JobFilter};
use tidewater_core::JobId;

use super::block_on;
use super::failure::Failure;
use super::output::Output;
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
    /// Show one job
    Show {
        /// As `job ls` prints it
        id: JobId,
    },
}

#[derive(Debug, Serialize)]
struct JobLine {
    id: JobId,
    kind: String,
    phase: String,
    name: String,
    progress: String,
    updated: String,
}

fn line(row: &JobRow) -> JobLine {
    let name = ["/name", "/spec/name", "/model"]
        .iter()
        .find_map(|path| row.body.pointer(path)?.as_str());
    JobLine {
        id: row.id,
        kind: row.kind.clone(),
        phase: format!("{:?}", row.phase).to_lowercase(),
        name: name.unwrap_or_default().to_owned(),
        progress: progress(row),
        updated: chrono::DateTime::from_timestamp_millis(row.updated_at_ms)
            .map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string())
            .unwrap_or_default(),
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
    let client = CatalogClient::new(settings.catalog_client())?;
    match verb {
        JobVerb::Ls { open, limit } => {
            let filter = JobFilter {
                open,
                limit: Some(limit),
                ..JobFilter::default()
            };
            let rows = block_on(async { Ok(client.jobs(&filter).await?) })?;
            let lines: Vec<JobLine> = rows.iter().map(line).collect();
            output.rows(&["id", "kind", "phase", "name", "progress", "updated"], &lines)
        }
        JobVerb::Show { id } => match block_on(async { Ok(client.job(id).await?) })? {
            Some(row) => output.one(&row),
            None => Err(Failure::new(format!("job {id} does not exist")).hint("tidewater job ls")),
        },
    }
}
