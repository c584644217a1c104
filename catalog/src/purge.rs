//! Work on drops that take longer than one entry of the log: purges of tables' files and drops of whole namespaces.
//!
//! Only the leader works, and only on what it claimed under its reign. What a purge deletes is what the table's metadata names, never a folder: whatever
//! else lies there, such as the files of a table that was made at the same place since, stays.

mod neighbours;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use uuid::Uuid;

use self::table::Purge;
use crate::command::{DropOp, DropTerms, Op};
use crate::error::{CatalogError, Result};
use crate::raft::Fence;
use crate::service::{Service, Ticket};
use crate::state::{DropJob, DropWork};
use tidewater_core::Coded;

/// Between two looks for work. A look costs nothing when there is none.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a job rests after something stood in its way.
const REST: Duration = Duration::from_secs(30);

/// Jobs worked on at a time: a large table must not keep small ones waiting, and none may crowd out commits.
const JOBS_AT_ONCE: usize = 4;

/// Tables, views and namespaces that one log entry drops: applying it must stay short.
const STEP_LIMIT: u32 = 100;

/// How long drops can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropRetention {
    /// Drops that leave the files.
    pub dropped: Duration,
    /// Drops that delete the files as well.
    pub purged: Duration,
}

impl Default for DropRetention {
    /// A week; but who asks for a purge wants the files gone, so none for those.
    fn default() -> Self {
        Self {
            dropped: Duration::from_secs(7 * 24 * 60 * 60),
            purged: Duration::ZERO,
        }
    }
}

impl DropRetention {
    /// How a table is dropped.
    pub(crate) fn terms(self, purge: bool) -> DropTerms {
        let keep = if purge { self.purged } else { self.dropped };
        DropTerms {
            keep_ms: u64::try_from(keep.as_millis()).unwrap_or(u64::MAX),
            purge,
        }
    }
}

/// The two sorts of job. Each has a worker, so that a namespace never waits for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Namespaces,
    Tables,
}

impl Sort {
    fn holds(self, job: &DropJob) -> bool {
        match &job.work {
            DropWork::Purge { .. } => self == Self::Tables,
            DropWork::Namespace { .. } => self == Self::Namespaces,
        }
    }
}

/// Jobs that rest, and until when.
pub(crate) type Resting = HashMap<Uuid, Duration>;

/// Starts the workers; they end with the service's tasks.
pub(crate) fn start(service: &Arc<Service>) {
    for (sort, name) in [(Sort::Namespaces, "drop-namespaces"), (Sort::Tables, "purge")] {
        let service = Arc::clone(service);
        let token = service.tasks.token();
        service.clone().tasks.spawn(name, async move {
            let work = async {
                let mut resting = Resting::new();
                loop {
                    service.work_on_drops(sort, &mut resting).await;
                    service.clock.sleep(PAUSE).await;
                }
            };
            token.run_until_cancelled(work).await;
        });
    }
}

impl Service {
    /// Works on what is due, if this node leads. What stands in a job's way is told in its row.
    pub(crate) async fn work_on_drops(&self, sort: Sort, resting: &mut Resting) {
        let now = self.clock.monotonic();
        resting.retain(|_, until| *until > now);
        let leadership = self.consensus.leadership().borrow().clone();
        let Some(fence) = leadership.fence.filter(|_| leadership.is_leader()) else {
            return;
        };
        let state = self.consensus.state().state;
        let due = state.drop_jobs_due(self.clock.now_ms());
        let jobs: Vec<&DropJob> = due
            .filter(|job| sort.holds(job) && !resting.contains_key(&job.id))
            .take(JOBS_AT_ONCE)
            .collect();
        let done = join_all(jobs.iter().map(|job| self.work_on(job, fence))).await;
        for (job, done) in jobs.iter().zip(done) {
            if let Err(error) = done {
                resting.insert(job.id, now + REST);
                self.note_problem(job, fence, &error).await;
            }
        }
    }

    async fn work_on(&self, job: &DropJob, fence: Fence) -> Result<()> {
        self.propose_drop(DropOp::Claim { job: job.id, fence }).await?;
        match &job.work {
            DropWork::Namespace { levels, .. } => {
                self.drop_step_by_step(job.id, fence).await?;
                tracing::info!(namespace = levels.join("."), job = %job.id, "dropped with all it held");
            }
            DropWork::Purge { table, .. } => {
                let progress = Purge::new(self, job.id, fence).await?.run().await?;
                self.propose_drop(DropOp::Report {
                    job: job.id,
                    fence,
                    ended: true,
                    problem: None,
                })
                .await?;
                let (deleted, left) = (progress.deleted, progress.left);
                tracing::info!(table = %table.name, job = %job.id, deleted, left, "purged");
            }
        }
        Ok(())
    }

    async fn drop_step_by_step(&self, job: Uuid, fence: Fence) -> Result<()> {
        loop {
            let limit = STEP_LIMIT;
            self.propose_drop(DropOp::Step { job, fence, limit }).await?;
            let state = self.fresh_state().await?;
            if state.drop_job(job).is_none_or(|job| job.phase.is_final()) {
                return Ok(());
            }
        }
    }

    /// A job that cannot go on ends; one that may later is told why it does not. Who lost the job or the lead says nothing.
    async fn note_problem(&self, job: &DropJob, fence: Fence, error: &CatalogError) {
        if matches!(error, CatalogError::DropJob { .. } | CatalogError::Consensus(_)) {
            tracing::debug!(job = %job.id, %error, "drop given up to another reign, or for now");
            return;
        }
        let ended = matches!(error, CatalogError::NotPurged { .. });
        tracing::warn!(job = %job.id, code = error.code(), %error, ended, "drop does not go on");
        let told = self
            .propose_drop(DropOp::Report {
                job: job.id,
                fence,
                ended,
                problem: Some(error.to_string()),
            })
            .await;
        if let Err(error) = told {
            tracing::debug!(job = %job.id, %error, "could not tell what stood in the way");
        }
    }

    pub(crate) async fn propose_drop(&self, op: DropOp) -> Result<()> {
        self.propose(&Ticket::default(), Op::Drop(op)).await.map(drop)
    }
}
