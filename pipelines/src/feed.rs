//! What following needs of the catalog besides tables: news of changed tables, and a place to tell what was done.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tidewater_catalog_client::CatalogClient;
use tidewater_catalog_client::dto::{JobPhase, JobPut};
use tidewater_core::{JobId, TableName};

use crate::error::{Below, PipelineError, Result};
use crate::report::ModelRun;

/// Kind of the job rows of models.
pub const JOB_KIND: &str = "model";

/// Changes asked for at once; more of them only make one answer larger.
const PAGE_CHANGES_MAX: usize = 1_000;

/// News of changed tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Tables that changed.
    pub tables: BTreeSet<TableName>,
    /// Where to go on.
    pub cursor: u64,
    /// Some news were lost: anything may have changed.
    pub lost: bool,
}

/// Tells which tables changed, and takes note of runs.
#[async_trait]
pub trait Feed: Debug + Send + Sync {
    /// News after a cursor (none: from now on); waits for the first for up to `wait`.
    async fn news(&self, after: Option<u64>, wait: Duration) -> Result<News>;

    /// Notes how far a run is: kept for people, nothing rests on it.
    async fn note(&self, run_id: JobId, run: &ModelRun, phase: JobPhase) -> Result<()>;
}

#[async_trait]
impl Feed for CatalogClient {
    async fn news(&self, after: Option<u64>, wait: Duration) -> Result<News> {
        let page = self
            .changes(after, PAGE_CHANGES_MAX, wait)
            .await
            .map_err(|source| PipelineError::Catalog {
                step: "asking for changes",
                source: Below::coded(source),
            })?;
        let tables = page
            .changes
            .iter()
            .filter_map(|change| change.kind.table()?.table_name())
            .collect();
        Ok(News {
            tables,
            cursor: page.cursor,
            lost: page.lost,
        })
    }

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
}
