//! Jobs whose rows outlive the process: who runs them, how often they were tried, how they ended.
//!
//! A job may run twice (its process died, its leader changed). It commits once, because whoever runs it first looks for its
//! id in the summaries of the table's snapshots: see [`committed_snapshot`].

use std::future::Future;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::SchedulerError;
use crate::job_store::JobStore;
use tidewater_core::{Coded, JobId, RemoteError, Retry, SharedClock};
use tidewater_table::JOB_ID_KEY;
use tidewater_table::iceberg::spec::TableMetadata;

/// First and longest wait between two attempts of a job.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// What a job is, the same in every attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Its id, chosen by whoever asks for it: asking twice with one id is one job.
    pub id: JobId,
    /// What sort of job, such as `model` or `query`.
    pub kind: String,
    /// What it is about, such as the name of the model.
    pub name: String,
    /// How often it is tried at most, over all processes.
    pub attempts_max: u32,
    /// What its owner needs to run it again (JSON).
    #[serde(default)]
    pub detail: Value,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum JobState {
    /// Accepted, not begun.
    Queued,
    /// Begun.
    Running {
        /// Which attempt, from 1.
        attempt: u32,
        /// When it began, in milliseconds since the Unix epoch.
        since_ms: i64,
    },
    /// Ended well.
    Succeeded {
        /// In which attempt.
        attempt: u32,
        /// When, in milliseconds since the Unix epoch.
        ended_ms: i64,
        /// What it gave (JSON).
        outcome: Value,
    },
    /// Ended with an error.
    Failed {
        /// In which attempt.
        attempt: u32,
        /// When, in milliseconds since the Unix epoch.
        ended_ms: i64,
        /// Why.
        error: RemoteError,
    },
}

impl JobState {
    /// Whether nothing more happens to the job.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded { .. } | Self::Failed { .. })
    }

    /// The last attempt that was begun; 0 before the first.
    pub fn attempt(&self) -> u32 {
        match self {
            Self::Queued => 0,
            Self::Running { attempt, .. } | Self::Succeeded { attempt, .. } | Self::Failed { attempt, .. } => *attempt,
        }
    }
}

/// A job as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// What it is.
    pub spec: JobSpec,
    /// How far it is.
    pub state: JobState,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub queued_ms: i64,
    /// Version of the row as it was read or written last; 0 = there is none yet.
    #[serde(skip)]
    pub version: u64,
}

/// One attempt of a job, for whoever runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The job; to be written into the summary of what it commits.
    pub job: JobId,
    /// From 1. Above 1 an earlier attempt may have committed: look first.
    pub number: u32,
}

/// Runs a job and keeps its row: queued, running, succeeded or failed. Tries again what may be tried again.
///
/// A job that ended before is not run again: its outcome is returned, or its error as [`SchedulerError::Failed`]. One that another process began and did not end is
/// taken over as the next attempt.
pub async fn run_job<T, E, W, F>(store: &dyn JobStore, clock: &SharedClock, spec: JobSpec, mut work: W) -> Result<T, E>
where
    T: Serialize + DeserializeOwned,
    E: Coded + From<SchedulerError>,
    W: FnMut(Attempt) -> F,
    F: Future<Output = Result<T, E>>,
{
    let mut row = accept(store, clock, spec).await?;
    match &row.state {
        JobState::Succeeded { outcome, .. } => {
            return serde_json::from_value(outcome.clone()).map_err(|error| damaged(&row, &error).into());
        }
        JobState::Failed { error, .. } => return Err(SchedulerError::Failed { source: error.clone() }.into()),
        JobState::Queued | JobState::Running { .. } => {}
    }
    let mut wait = RETRY_FIRST;
    loop {
        let number = row.state.attempt() + 1;
        let since_ms = clock.now_ms();
        keep(
            store,
            &mut row,
            JobState::Running {
                attempt: number,
                since_ms,
            },
        )
        .await?;
        let job = row.spec.id;
        let error = match work(Attempt { job, number }).await {
            Ok(done) => {
                let outcome = serde_json::to_value(&done).map_err(|error| damaged(&row, &error))?;
                let ended_ms = clock.now_ms();
                keep(
                    store,
                    &mut row,
                    JobState::Succeeded {
                        attempt: number,
                        ended_ms,
                        outcome,
                    },
                )
                .await?;
                return Ok(done);
            }
            Err(error) => error,
        };
        let again = matches!(error.retry(), Retry::Safe | Retry::AfterRefresh | Retry::Unknown);
        if !again || number >= row.spec.attempts_max {
            let state = JobState::Failed {
                attempt: number,
                ended_ms: clock.now_ms(),
                error: RemoteError::of(&error),
            };
            keep(store, &mut row, state).await?;
            return Err(error);
        }
        tracing::warn!(%job, name = %row.spec.name, attempt = number, %error, code = error.code(), "job is tried again");
        clock.sleep(wait).await;
        wait = (wait * 2).min(RETRY_LONGEST);
    }
}

/// The row of the job as it is, or a new one.
async fn accept(store: &dyn JobStore, clock: &SharedClock, spec: JobSpec) -> Result<JobRow, SchedulerError> {
    if let Some(row) = store.get(spec.id).await? {
        return Ok(row);
    }
    let mut row = JobRow {
        spec,
        state: JobState::Queued,
        queued_ms: clock.now_ms(),
        version: 0,
    };
    keep(store, &mut row, JobState::Queued).await?;
    Ok(row)
}

async fn keep(store: &dyn JobStore, row: &mut JobRow, state: JobState) -> Result<(), SchedulerError> {
    row.state = state;
    row.version = store.put(row).await?;
    Ok(())
}

fn damaged(row: &JobRow, error: &serde_json::Error) -> SchedulerError {
    SchedulerError::JobDamaged {
        job: row.spec.id,
        reason: error.to_string(),
    }
}

/// The snapshot that a job has committed to a table, if it has: looked for from the current snapshot back, so one that was
/// rolled back does not count.
pub fn committed_snapshot(metadata: &TableMetadata, job: JobId) -> Option<i64> {
    let wanted = job.to_string();
    let mut next = metadata.current_snapshot();
    // A chain that leads back into itself would be damage; it has no more links than there are snapshots.
    for _ in 0..metadata.snapshots().len() {
        let snapshot = next?;
        let found = snapshot.summary().additional_properties.get(JOB_ID_KEY);
        if found == Some(&wanted) {
            return Some(snapshot.snapshot_id());
        }
        next = metadata.snapshot_by_id(snapshot.parent_snapshot_id()?).map(|s| s as _);
    }
    None
}

#[cfg(test)]
mod tests;
