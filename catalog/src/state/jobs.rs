//! Job rows: durable, bounded.

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::changes::ChangeKind;
use super::{Shared, State};
use crate::command::{JobPhase, JobPut, Outcome, Refusal};

/// How many jobs may be queued or running: beyond it new ones are refused, which is the scheduler's cue to push back.
pub const JOBS_OPEN_MAX: usize = 10_000;

/// How many ended jobs are kept; the oldest go first.
pub const JOBS_ENDED_MAX: usize = 2_000;

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// Its id.
    pub id: Uuid,
    /// What sort of job.
    pub kind: String,
    /// How far it is.
    pub phase: JobPhase,
    /// The rest of the row as its owner wrote it (JSON).
    pub body: String,
    /// Raised by every write.
    pub version: u64,
    /// When the row was made.
    pub created_at_ms: i64,
    /// When it was written last.
    pub updated_at_ms: i64,
}

/// All jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Jobs {
    rows: OrdMap<Uuid, Shared<JobRow>>,
    /// Ended ones, the first to end in front.
    ended: Vector<Uuid>,
}

impl State {
    /// One job.
    pub fn job(&self, id: Uuid) -> Option<&JobRow> {
        self.jobs.rows.get(&id).map(|row| &**row)
    }

    /// All jobs, in order of id.
    pub fn jobs(&self) -> impl Iterator<Item = &JobRow> {
        self.jobs.rows.values().map(|row| &**row)
    }

    pub(super) fn put_job(&mut self, put: JobPut) -> Result<Outcome, Refusal> {
        let current = self.jobs.rows.get(&put.id).cloned();
        let version = current.as_ref().map_or(0, |row| row.version);
        // An ended job stays ended: a late report of a run that was given up must not wake it.
        let wakes = current.as_ref().is_some_and(|row| row.phase.is_final()) && !put.phase.is_final();
        if wakes || put.expect_version.is_some_and(|expected| expected != version) {
            return Err(Refusal::JobVersion { version });
        }
        if current.is_none() && self.jobs.rows.len() - self.jobs.ended.len() >= JOBS_OPEN_MAX {
            return Err(Refusal::Full {
                limit: format!("{JOBS_OPEN_MAX} open jobs"),
            });
        }
        let ends = put.phase.is_final() && current.as_ref().is_none_or(|row| !row.phase.is_final());
        let row = JobRow {
            id: put.id,
            kind: put.kind,
            phase: put.phase,
            body: put.body,
            version: version + 1,
            created_at_ms: current.map_or(self.now_ms, |row| row.created_at_ms),
            updated_at_ms: self.now_ms,
        };
        self.jobs.rows.insert(put.id, Shared::new(row));
        if ends {
            self.jobs.ended.push_back(put.id);
        }
        while self.jobs.ended.len() > JOBS_ENDED_MAX {
            if let Some(oldest) = self.jobs.ended.pop_front() {
                self.jobs.rows.remove(&oldest);
            }
        }
        self.record(ChangeKind::Job {
            id: put.id,
            phase: put.phase,
        });
        Ok(Outcome::Job { version: version + 1 })
    }
}
