//! Where job rows are kept: in the catalog's log, or in memory.

mod catalog;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::error::{Result, SchedulerError};
use crate::job::JobRow;
use tidewater_core::JobId;

pub use catalog::CatalogJobStore;

/// Rows kept in memory at most; the oldest job is forgotten.
const MEMORY_ROWS_MAX: usize = 10_000;

/// Keeps job rows. Writers exclude each other by the version of the row.
#[async_trait]
pub trait JobStore: Debug + Send + Sync {
    /// Writes a row over the version it carries; the new version. [`SchedulerError::JobTaken`] when the row has another.
    async fn put(&self, row: &JobRow) -> Result<u64>;

    /// The row of a job.
    async fn get(&self, job: JobId) -> Result<Option<JobRow>>;

    /// All rows, newest first.
    async fn list(&self) -> Result<Vec<JobRow>>;

    /// Rows of jobs that were begun or accepted and not ended: what a new leader looks after.
    async fn unfinished(&self) -> Result<Vec<JobRow>> {
        let mut rows = self.list().await?;
        rows.retain(|row| !row.state.is_final());
        Ok(rows)
    }
}

/// Keeps rows for as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryJobStore {
    rows: Mutex<BTreeMap<JobId, JobRow>>,
}

impl MemoryJobStore {
    fn rows(&self) -> std::sync::MutexGuard<'_, BTreeMap<JobId, JobRow>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobStore for MemoryJobStore {
    async fn put(&self, row: &JobRow) -> Result<u64> {
        let mut rows = self.rows();
        let job = row.spec.id;
        let kept = rows.get(&job);
        // A job that has ended stays ended, as in the catalog.
        if kept.is_some_and(|kept| kept.state.is_final()) || kept.map_or(0, |kept| kept.version) != row.version {
            return Err(SchedulerError::JobTaken { job });
        }
        let mut row = row.clone();
        row.version += 1;
        let version = row.version;
        rows.insert(job, row);
        if rows.len() > MEMORY_ROWS_MAX {
            let oldest = rows.values().min_by_key(|row| row.queued_ms).map(|row| row.spec.id);
            if let Some(oldest) = oldest {
                rows.remove(&oldest);
            }
        }
        Ok(version)
    }

    async fn get(&self, job: JobId) -> Result<Option<JobRow>> {
        Ok(self.rows().get(&job).cloned())
    }

    async fn list(&self) -> Result<Vec<JobRow>> {
        let mut rows: Vec<JobRow> = self.rows().values().cloned().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.queued_ms));
        Ok(rows)
    }
}
