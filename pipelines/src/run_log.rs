//! Where runs of models are noted, for people and for other processes: that one has begun, and how it ended.

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::json;
use tidewater_catalog_client::dto::{JobPhase, JobPut};
use tidewater_catalog_client::{CatalogClient, JobFilter};
use tidewater_core::JobId;

use crate::error::{Below, PipelineError, Result};
use crate::report::ModelRun;

/// Kind of the job rows of models.
pub const JOB_KIND: &str = "model";

/// Runs that are noted as not ended, looked at when a process begins.
const OPEN_COUNT_MAX: usize = 1_000;

/// Takes note of runs. Nothing rests on it: what was committed stands in the tables' snapshots.
#[async_trait]
pub trait RunLog: Debug + Send + Sync {
    /// Notes how far a run is.
    async fn note(&self, run_id: JobId, run: &ModelRun, phase: JobPhase) -> Result<()>;

    /// Ends the rows of runs whose process is gone.
    async fn end_abandoned(&self) -> Result<()>;
}

#[async_trait]
impl RunLog for CatalogClient {
    async fn note(&self, run_id: JobId, run: &ModelRun, phase: JobPhase) -> Result<()> {
        let row = JobPut {
            kind: JOB_KIND.into(),
            phase,
            body: json!({"name": run.name, "run": run}),
            expect_version: None,
        };
        let written = self.put_job(run_id, &row).await;
        written.map(|_| ()).map_err(|source| PipelineError::Catalog {
            step: "writing a job row",
            source: Below::coded(source),
        })
    }

    async fn end_abandoned(&self) -> Result<()> {
        let failed = |source| PipelineError::Catalog {
            step: "ending the rows of runs that are gone",
            source: Below::coded(source),
        };
        let filter = JobFilter {
            open: true,
            limit: Some(OPEN_COUNT_MAX),
            ..JobFilter::default()
        };
        for row in self.jobs(&filter).await.map_err(failed)? {
            if row.kind != JOB_KIND {
                continue;
            }
            let mut body = row.body;
            if let Some(run) = body.get_mut("run").and_then(|run| run.as_object_mut()) {
                let failure = json!({
                    "code": "PIP-0022",
                    "message": "the process that ran it ended",
                    "hint": "it runs again by itself; what it committed, if anything, is in the table's history",
                });
                run.insert("failure".into(), failure);
            }
            let ended = JobPut {
                kind: row.kind,
                phase: JobPhase::Failed,
                body,
                expect_version: Some(row.version),
            };
            self.put_job(row.id, &ended).await.map_err(failed)?;
        }
        Ok(())
    }
}
