//! Job rows in the catalog's log.

use async_trait::async_trait;

use super::JobStore;
use crate::error::{Result, SchedulerError};
use crate::job::{JobRow, JobState};
use tidewater_catalog_client::dto::{JobPhase, JobPut, JobRow as CatalogRow};
use tidewater_catalog_client::{CatalogClient, ClientError, JobFilter};
use tidewater_core::JobId;

/// How the catalog says that a row has another version, or that its job has ended.
const TAKEN: &str = "JobVersionException";

/// Keeps rows in the catalog, where every process sees them and none is lost with a process.
#[derive(Debug, Clone)]
pub struct CatalogJobStore {
    catalog: CatalogClient,
}

impl CatalogJobStore {
    /// Over a client of the catalog.
    pub fn new(catalog: CatalogClient) -> Self {
        Self { catalog }
    }

    async fn rows(&self, filter: JobFilter) -> Result<Vec<JobRow>> {
        let rows = self
            .catalog
            .jobs(&filter)
            .await
            .map_err(|source| SchedulerError::JobStore {
                operation: "listing",
                job: None,
                source: Box::new(source),
            })?;
        // Rows of other owners have bodies of their own.
        Ok(rows.into_iter().filter_map(|row| decode(row).ok()).collect())
    }
}

#[async_trait]
impl JobStore for CatalogJobStore {
    async fn put(&self, row: &JobRow) -> Result<u64> {
        let job = row.spec.id;
        let body = serde_json::to_value(row).map_err(|error| SchedulerError::JobDamaged {
            job,
            reason: error.to_string(),
        })?;
        let put = JobPut {
            kind: row.spec.kind.clone(),
            phase: phase(&row.state),
            body,
            expect_version: Some(row.version),
        };
        self.catalog
            .put_job(job, &put)
            .await
            .map_err(|error| match error.is_refusal(TAKEN) {
                true => SchedulerError::JobTaken { job },
                false => failed("writing", job)(error),
            })
    }

    async fn get(&self, job: JobId) -> Result<Option<JobRow>> {
        let row = self.catalog.job(job).await.map_err(failed("reading", job))?;
        row.map(decode).transpose()
    }

    async fn list(&self) -> Result<Vec<JobRow>> {
        self.rows(JobFilter::default()).await
    }

    async fn unfinished(&self) -> Result<Vec<JobRow>> {
        let open = JobFilter {
            open: true,
            ..JobFilter::default()
        };
        self.rows(open).await
    }
}

fn failed(operation: &'static str, job: JobId) -> impl FnOnce(ClientError) -> SchedulerError {
    move |source| SchedulerError::JobStore {
        operation,
        job: Some(job),
        source: Box::new(source),
    }
}

fn phase(state: &JobState) -> JobPhase {
    match state {
        JobState::Queued => JobPhase::Queued,
        JobState::Running { .. } => JobPhase::Running,
        JobState::Succeeded { .. } => JobPhase::Succeeded,
        JobState::Failed { .. } => JobPhase::Failed,
    }
}

fn decode(row: CatalogRow) -> Result<JobRow> {
    let mut ours: JobRow = serde_json::from_value(row.body).map_err(|error| SchedulerError::JobDamaged {
        job: row.id,
        reason: error.to_string(),
    })?;
    ours.version = row.version;
    Ok(ours)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::job::JobSpec;

    // Goal: a row comes back as it was written, with the catalog's version. Method: there and back, and one that is not ours.
    #[test]
    fn rows_come_back() {
        let id = JobId(Uuid::from_u128(9));
        let row = JobRow {
            spec: JobSpec {
                id,
                kind: "model".into(),
                name: "silver.users".into(),
                attempts_max: 3,
                detail: json!({"full": true}),
            },
            state: JobState::Running {
                attempt: 2,
                since_ms: 17,
            },
            queued_ms: 11,
            version: 5,
        };
        let mut kept = CatalogRow {
            id,
            kind: "model".into(),
            phase: phase(&row.state),
            body: serde_json::to_value(&row).expect("JSON"),
            version: 6,
            created_at_ms: 11,
            updated_at_ms: 17,
        };
        assert_eq!(decode(kept.clone()).expect("ours"), JobRow { version: 6, ..row });
        kept.body = json!({"sql": "SELECT 1"});
        assert!(matches!(decode(kept), Err(SchedulerError::JobDamaged { .. })));
    }
}
