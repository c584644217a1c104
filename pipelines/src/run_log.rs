//! Where runs of models are noted, for people and for the process that goes on when this one is gone: what was asked for, that it has
//! begun, and how it ended (docs/adr/051).

use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidewater_catalog_client::dto::{JobPhase, JobPut, JobRow};
use tidewater_catalog_client::{CatalogClient, ClientError, JobFilter};
use tidewater_core::JobId;

use crate::error::{Below, PipelineError, Result};
use crate::pipelines::RunOptions;
use crate::report::{Failure, ModelRun};

/// Kind of the job rows of models.
pub const JOB_KIND: &str = "model";

/// How the catalog says that a row has another version, or that its job has ended.
const TAKEN: &str = "JobVersionException";

/// Runs that are noted as not ended, looked at when a process begins to schedule.
const OPEN_COUNT_MAX: usize = 1_000;

/// Times an edit of a row begins anew because others write it: its own run does so twice.
const EDITS_MAX: u32 = 5;

/// Keeps rows of runs. What was committed stands in the tables' snapshots; the rows tell what is still to be done.
#[async_trait]
pub trait RunLog: Debug + Send + Sync {
    /// Writes a row; whether it was written: not if it has another version than expected, or has ended and would not have any more.
    async fn write(&self, run: JobId, row: &JobPut) -> Result<bool>;

    /// One row.
    async fn read(&self, run: JobId) -> Result<Option<JobRow>>;

    /// Rows of models' runs that have not ended.
    async fn open(&self) -> Result<Vec<JobRow>>;
}

#[async_trait]
impl RunLog for CatalogClient {
    async fn write(&self, run: JobId, row: &JobPut) -> Result<bool> {
        match self.put_job(run, row).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_refusal(TAKEN) => Ok(false),
            Err(error) => Err(failed("writing a job row")(error)),
        }
    }

    async fn read(&self, run: JobId) -> Result<Option<JobRow>> {
        self.job(run).await.map_err(failed("reading a job row"))
    }

    async fn open(&self) -> Result<Vec<JobRow>> {
        let filter = JobFilter {
            open: true,
            kind: Some(JOB_KIND.into()),
            limit: Some(OPEN_COUNT_MAX),
        };
        self.jobs(&filter)
            .await
            .map_err(failed("listing runs that have not ended"))
    }
}

fn failed(step: &'static str) -> impl FnOnce(ClientError) -> PipelineError {
    move |source| PipelineError::Catalog {
        step,
        source: Below::coded(source),
    }
}

/// What somebody asked for. A node of another version may have written it: what only that one knows is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The same for all models of one request.
    pub(crate) request: JobId,
    /// With which options.
    #[serde(default)]
    pub(crate) options: RunOptions,
}

/// Under which row a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunRow {
    pub(crate) id: JobId,
    /// 1 in the process that was asked, and one more in each that took over.
    pub(crate) attempt: u32,
    /// Nothing where a change of its inputs makes a model run.
    pub(crate) asked: Option<Asked>,
}

impl RunRow {
    /// As it was written; rows of earlier versions tell neither attempt nor what was asked for.
    pub(crate) fn of(row: &JobRow) -> Self {
        let attempt = row.body.get("attempt").and_then(Value::as_u64);
        let asked = row.body.get("asked");
        Self {
            id: row.id,
            attempt: attempt.and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(1),
            asked: asked.and_then(|asked| Asked::deserialize(asked).ok()),
        }
    }

    /// What is to be written of it.
    pub(crate) fn put(&self, run: &ModelRun, phase: JobPhase) -> JobPut {
        JobPut {
            kind: JOB_KIND.into(),
            phase,
            body: json!({"name": run.name, "run": run, "attempt": self.attempt, "asked": self.asked}),
            expect_version: None,
        }
    }
}

/// What is done to a row from outside of its run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Edit<'a> {
    /// Another process works on it now.
    TakeOver,
    /// It ends.
    End(JobPhase, &'a Failure),
}

impl Edit<'_> {
    fn of(self, row: &JobRow) -> JobPut {
        let mut body = row.body.clone();
        let phase = match self {
            Self::TakeOver => {
                if let Some(fields) = body.as_object_mut() {
                    let attempt = RunRow::of(row).attempt.saturating_add(1);
                    fields.insert("attempt".into(), json!(attempt));
                }
                row.phase
            }
            Self::End(phase, failure) => {
                if let Some(run) = body.get_mut("run").and_then(Value::as_object_mut) {
                    run.insert("failure".into(), json!(failure));
                }
                phase
            }
        };
        JobPut {
            kind: row.kind.clone(),
            phase,
            body,
            expect_version: Some(row.version),
        }
    }
}

/// Edits a row that has not ended. `None` if it has, or is gone, or others keep writing it, who then are at work on it.
pub(crate) async fn edit(log: &dyn RunLog, run: JobId, edit: Edit<'_>) -> Result<Option<RunRow>> {
    for _ in 0..EDITS_MAX {
        let Some(row) = log.read(run).await?.filter(|row| !row.phase.is_final()) else {
            return Ok(None);
        };
        let put = edit.of(&row);
        if log.write(run, &put).await? {
            let edited = JobRow { body: put.body, ..row };
            return Ok(Some(RunRow::of(&edited)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn row(body: Value) -> JobRow {
        JobRow {
            id: JobId(Uuid::from_u128(7)),
            kind: JOB_KIND.into(),
            phase: JobPhase::Running,
            body,
            version: 3,
            created_at_ms: 0,
            updated_at_ms: 0,
        }
    }

    // Goal: rows of nodes of other versions are understood as far as they go. Method: one of before attempts were counted, one whose
    // request has options that this version does not know, and one that nobody asked for.
    #[test]
    fn rows_of_other_versions() {
        let old = RunRow::of(&row(json!({"name": "gold.n", "run": {}})));
        assert_eq!((old.attempt, old.asked), (1, None));
        let request = JobId(Uuid::from_u128(9));
        let asked = json!({"request": request, "options": {"full_refresh": true, "of_later": 1}, "of_later": [2]});
        let newer = RunRow::of(&row(
            json!({"name": "gold.n", "run": {}, "attempt": 2, "asked": asked, "x": 0}),
        ));
        let options = RunOptions {
            as_of_ms: None,
            full_refresh: true,
        };
        assert_eq!((newer.attempt, newer.asked), (2, Some(Asked { request, options })));
        let followed = RunRow::of(&row(json!({"name": "gold.n", "run": {}, "attempt": 1, "asked": null})));
        assert_eq!(followed.asked, None);
    }

    // Goal: who takes over counts one more attempt and changes nothing else. Method: a row with fields that nobody here knows.
    #[test]
    fn taking_over_keeps_the_row() {
        let before = row(json!({"name": "gold.n", "attempt": 1, "of_later": 5}));
        let put = Edit::TakeOver.of(&before);
        assert_eq!(put.body, json!({"name": "gold.n", "attempt": 2, "of_later": 5}));
        assert_eq!((put.phase, put.expect_version), (JobPhase::Running, Some(3)));
    }
}
