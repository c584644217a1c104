//! Rows of jobs.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPut {
    /// The job.
    pub id: Uuid,
    /// Only when the row has this version; 0 = when there is no row. None = always.
    pub expect_version: Option<u64>,
    /// What sort of job.
    pub kind: String,
    /// How far it is.
    pub phase: JobPhase,
    /// The rest of the row as its owner wrote it (JSON); not read by the catalog.
    pub body: String,
}
