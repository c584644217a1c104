//! `tidewater ingest status`

use clap::Subcommand;
use serde_json::Value;

use super::block_on;
use super::failure::Failure;
use super::output::Output;
use crate::control;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum IngestVerb {
    /// Show partitions, their offsets and lag, and what was committed
    Status,
}

pub(super) fn run(settings: &Settings, verb: IngestVerb, output: &Output) -> Result<(), Failure> {
    let IngestVerb::Status = verb;
    let status = block_on(control::ask(settings, "/v1/ingest"))?;
    if output.is_json() {
        return output.json(&status);
    }
    let list = |key: &str| status.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    output.rows(
        &["topic", "partition", "owner", "next", "high", "lag", "state", "reason"],
        &list("partitions"),
    )?;
    output.rows(&["table", "rows", "commits"], &list("tables"))
}
