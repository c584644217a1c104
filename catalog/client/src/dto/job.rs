//! Job rows.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use tidewater_core::JobId;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobPhase {
    /// Accepted, not begun.
    Queued,
    /// Begun.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended with an error.
    Failed,
    /// Stopped on request.
    Cancelled,
}

impl JobPhase {
    /// Whether nothing more happens to the job.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// Writes a job row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobPut {
    /// What sort of job.
    pub kind: String,
    /// How far it is. A job that has ended stays ended.
    pub phase: JobPhase,
    /// The rest of the row, for its owner; at most 64 KiB as JSON.
    pub body: Value,
    /// Only when the row has this version; 0 = when there is none; absent = always.
    #[serde(default)]
    pub expect_version: Option<u64>,
}

/// The answer to a [`JobPut`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobWritten {
    /// The row's version now.
    pub version: u64,
}

/// A job row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRow {
    /// The job.
    pub id: JobId,
    /// What sort of job.
    pub kind: String,
    /// How far it is.
    pub phase: JobPhase,
    /// The rest of the row, for its owner.
    pub body: Value,
    /// Raised by every write.
    pub version: u64,
    /// When the row was made.
    pub created_at_ms: i64,
    /// When it was written last.
    pub updated_at_ms: i64,
}

/// Job rows, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    /// The rows.
    pub jobs: Vec<JobRow>,
}
