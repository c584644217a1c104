//! What runs did.

use serde::Serialize;
use tidewater_core::{Coded, JobId, TableName};

use crate::error::PipelineError;
use crate::plan::Mode;

/// Rows of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Changes read from the change log (`cdc`).
    pub changes: u64,
    /// Those among them that remove a row.
    pub deletes: u64,
    /// Those that tell no key, and could not be applied.
    pub without_key: u64,
    /// Rows in the files written, rewritten ones included.
    pub written: u64,
    /// Rows of the table after the run.
    pub total: u64,
}

/// Why a model failed, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Stable code.
    pub code: String,
    /// What happened, with its causes.
    pub message: String,
    /// How to go on.
    pub hint: Option<String>,
}

impl Failure {
    pub(crate) fn of(error: &PipelineError) -> Self {
        let mut message = error.to_string();
        let mut at: &dyn std::error::Error = error;
        while let Some(source) = at.source() {
            message.push_str(": ");
            message.push_str(&source.to_string());
            at = source;
        }
        Self {
            code: error.code().into(),
            message,
            hint: error.hint(),
        }
    }
}

/// What became of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelRun {
    /// The model.
    pub name: TableName,
    /// `view`, `table` or `cdc`.
    pub kind: &'static str,
    /// How it was brought up to date.
    pub mode: Mode,
    /// Why so.
    pub reason: String,
    /// The job that was committed.
    pub job: Option<JobId>,
    /// The snapshot it made.
    pub snapshot_id: Option<i64>,
    /// Rows.
    pub rows: RowCounts,
    /// Time it took.
    pub duration_ms: u64,
    /// Times the rows were computed; more than one if others committed in between.
    pub attempts: u32,
    /// Why it failed, or was not begun.
    pub failure: Option<Failure>,
}

/// What became of all selected models, in the order of their dependencies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// One entry a model.
    pub models: Vec<ModelRun>,
}

impl RunReport {
    /// Whether every model is up to date now.
    pub fn succeeded(&self) -> bool {
        self.models.iter().all(|model| model.failure.is_none())
    }
}

/// How a model stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelStatus {
    /// The model.
    pub name: TableName,
    /// `view`, `table` or `cdc`.
    pub kind: &'static str,
    /// Mode of the last committed run: `full` or `incremental`.
    pub last_mode: Option<String>,
    /// When that was committed, milliseconds since the Unix epoch.
    pub last_run_ms: Option<i64>,
    /// Rows of the table.
    pub rows_total: Option<u64>,
    /// How far the newest data of its inputs is ahead of what it has read, in milliseconds.
    pub lag_ms: Option<i64>,
    /// What a run would do now, and why.
    pub next_mode: Mode,
    /// Why so.
    pub next_reason: String,
    /// Last outcome in this process.
    pub last_run: Option<ModelRun>,
}
