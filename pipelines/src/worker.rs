//! What a run needs of the process, and the few things all kinds of models do with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Query;
use tidewater_core::{Coded, ErrorKind, JobId, SharedClock, SharedRng, TableName, fail_point};
use tidewater_engine::{
    Class, Distribution, Engine, EngineError, Order, PlanRequest, PlanRunner, SessionOptions, WriteRequest,
};
use tidewater_table::{
    Added, Catalog, Change, CommitOptions, Committed, Expiry, LoadedTable, Retention, Scan, ScanFile, TableError,
    commit_changes, expire, plan_scan, write,
};
use uuid::Uuid;

use crate::error::{Below, PipelineError, Place, Result};
use crate::model::Model;
use crate::run_log::RunLog;
use crate::sql;
use crate::views::Views;

/// Results up to this size are written by one task: more would only make more and smaller files.
const SINGLE_WRITER_BYTES_MAX: u64 = 64 << 20;

/// Longest time of one query or write of a run: longer than any should take, so that a run never hangs.
const STEP_DEADLINE: Duration = Duration::from_secs(3600);

/// What is kept of the history of models' tables at least. Queries may run for minutes on a snapshot, so that the files of one stay for
/// longer, even where a model commits every second.
const RETENTION: Retention = Retention {
    snapshots_min: 20,
    age: Duration::from_secs(15 * 60),
    snapshots_max: 600,
};

/// Engine, runner, catalog and the project's views.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) engine: Engine,
    pub(crate) runner: Arc<dyn PlanRunner>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) log: Arc<dyn RunLog>,
    pub(crate) clock: SharedClock,
    pub(crate) rng: SharedRng,
    pub(crate) views: Views,
}

impl Worker {
    /// The newest state of a table, if there is one.
    pub(crate) async fn load(&self, name: &TableName) -> Result<Option<LoadedTable>> {
        self.catalog
            .load_table(name)
            .await
            .map_err(|source| PipelineError::Catalog {
                step: "loading a table",
                source: Below::coded(source),
            })
    }

    /// A session that sees these tables under these names, beside the catalog's.
    pub(crate) fn session(&self, options: &SessionOptions) -> SessionContext {
        self.engine.session(Class::Batch, options)
    }

    /// Plans SQL that this crate wrote.
    pub(crate) async fn plan(&self, model: &Model, session: &SessionContext, text: &str) -> Result<LogicalPlan> {
        let query = sql::parse(&model.path, text)?.ok_or_else(|| PipelineError::Sql {
            place: Place::file(&model.path),
            reason: "the query is empty".into(),
        })?;
        self.plan_query(model, session, query).await
    }

    /// Plans a model's query.
    pub(crate) async fn plan_query(
        &self,
        model: &Model,
        session: &SessionContext,
        query: Query,
    ) -> Result<LogicalPlan> {
        let planned = self.engine.plan_query(session, query).await;
        planned.map_err(|error| match error.kind() {
            ErrorKind::Invalid | ErrorKind::Unsupported => PipelineError::Sql {
                place: model.place(),
                reason: deepest(&error),
            },
            _ => failed(model, "planning the query")(error),
        })
    }

    /// The rows of a small query.
    pub(crate) async fn rows(
        &self,
        model: &Model,
        session: &SessionContext,
        step: &'static str,
        text: &str,
    ) -> Result<Vec<RecordBatch>> {
        let plan = self.plan(model, session, text).await?;
        let request = PlanRequest {
            job: JobId(self.rng.uuid_v7(self.clock.now_ms())),
            session: session.clone(),
            plan,
            class: Class::Interactive,
            deadline: Some(STEP_DEADLINE),
        };
        let output = self.runner.run(request).await.map_err(failed(model, step))?;
        output.collect().await.map_err(failed(model, step))
    }

    /// Writes the rows of a plan to files that are in no snapshot yet.
    pub(crate) async fn write(
        &self,
        model: &Model,
        session: &SessionContext,
        input: LogicalPlan,
        target: &LoadedTable,
        bytes: u64,
    ) -> Result<Vec<Added>> {
        let distribution = if bytes <= SINGLE_WRITER_BYTES_MAX {
            Distribution::Single
        } else {
            Distribution::ByPartition
        };
        let request = WriteRequest {
            // Each attempt is a run of its own; what is committed at most once is the change, by the id it carries.
            job: JobId(self.rng.uuid_v7(self.clock.now_ms())),
            input,
            target: target.clone(),
            distribution,
            order: Order::OfTable,
            target_file_size_bytes: None,
            deadline: Some(STEP_DEADLINE),
        };
        let written = self.engine.write_with(self.runner.as_ref(), session, request).await;
        written.map_err(failed(model, "writing the rows"))
    }

    /// All files of a table's newest snapshot.
    pub(crate) async fn files(&self, table: &LoadedTable) -> Result<Vec<ScanFile>> {
        plan_scan(self.engine.store(), &table.metadata, None, None)
            .await
            .map_err(|source| PipelineError::Table {
                table: table.name.clone(),
                step: "listing its files",
                source: Below::coded(source),
            })
    }

    /// The same of a table of which rows may be deleted: whoever reads the files must leave those out, as the engine does.
    pub(crate) async fn files_with_deletes(&self, table: &LoadedTable) -> Result<Vec<ScanFile>> {
        let scan = Scan::new(self.engine.store(), &table.metadata).with_deletes();
        scan.plan().await.map_err(|source| PipelineError::Table {
            table: table.name.clone(),
            step: "listing its files",
            source: Below::coded(source),
        })
    }

    /// Commits all changes or none. `None` if others moved a head: then everything is to be computed anew, and the files
    /// written for it are gone.
    pub(crate) async fn commit(
        &self,
        model: &Model,
        changes: Vec<(TableName, Change)>,
    ) -> Result<Option<Vec<Committed>>> {
        fail_point::pass("pipelines.files_written");
        let store = self.engine.store();
        let committed = commit_changes(self.catalog.as_ref(), store, &changes, &CommitOptions::default()).await;
        fail_point::pass("pipelines.commit_answered");
        match committed {
            Ok(committed) => {
                if committed.iter().all(|committed| committed.attempts == 0) {
                    tracing::info!(model = %model.name, "the job was committed already");
                    self.discard(&changes).await;
                }
                for committed in &committed {
                    self.trim(&committed.table).await;
                }
                Ok(Some(committed))
            }
            Err(TableError::Conflict { table, reason }) => {
                tracing::info!(model = %model.name, %table, reason, "another commit came first, the rows are computed anew");
                self.discard(&changes).await;
                Ok(None)
            }
            Err(TableError::UnknownOutcome { .. }) => {
                let job = changes
                    .iter()
                    .find_map(|(_, change)| change.properties.get(tidewater_table::JOB_ID_KEY));
                Err(PipelineError::OutcomeUnknown {
                    model: model.name.clone(),
                    job: job.cloned().unwrap_or_default(),
                })
            }
            Err(source) => {
                self.discard(&changes).await;
                Err(PipelineError::Table {
                    table: model.name.clone(),
                    step: "committing",
                    source: Below::coded(source),
                })
            }
        }
    }

    /// Expires old snapshots and removes their files. What fails is done after the next commit.
    async fn trim(&self, table: &LoadedTable) {
        let retention = match RETENTION.of_table(&table.metadata) {
            // A table may ask for more, never for less than its readers need.
            Ok(told) => Retention {
                snapshots_min: told.snapshots_min.max(RETENTION.snapshots_min),
                age: told.age.max(RETENTION.age),
                ..told
            },
            Err(error) => {
                tracing::warn!(table = %table.name, %error, "old snapshots stay");
                return;
            }
        };
        let Some(keep) = retention.due(&table.metadata, self.clock.now_ms()) else {
            return;
        };
        let expiry = Expiry {
            counted_at: table.metadata.current_snapshot_id(),
            ..Expiry::from(keep)
        };
        match expire(self.catalog.as_ref(), self.engine.store(), &table.name, expiry).await {
            Ok(expired) => tracing::info!(
                table = %table.name, snapshots = expired.snapshots.len(), files = expired.files.len(),
                "old snapshots expired"
            ),
            Err(error @ TableError::Contention { .. }) => {
                tracing::debug!(table = %table.name, %error, "old snapshots stay until the next commit");
            }
            Err(error) => tracing::warn!(table = %table.name, %error, "old snapshots stay"),
        }
    }

    /// Removes the files of changes that will not be committed.
    pub(crate) async fn discard(&self, changes: &[(TableName, Change)]) {
        for (table, change) in changes {
            self.discard_files(table, &change.added).await;
        }
    }

    /// Removes files that are in no snapshot. What cannot be removed now is found by maintenance later.
    pub(crate) async fn discard_files(&self, table: &TableName, added: &[Added]) {
        if let Err(error) = write::discard(self.engine.store(), added).await {
            tracing::debug!(%table, %error, "files of a lost attempt stay behind");
        }
    }
}

/// Wraps an engine's error.
pub(crate) fn failed(model: &Model, step: &'static str) -> impl FnOnce(EngineError) -> PipelineError {
    let model = model.name.clone();
    move |source| PipelineError::Query {
        model,
        step,
        source: Below::coded(source),
    }
}

/// The text at the bottom of a chain of errors: what the planner itself says.
pub(crate) fn deepest(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

/// Sums of sizes, for choosing how a result is written.
pub(crate) fn bytes_of(files: &[ScanFile]) -> u64 {
    files.iter().map(|file| file.size_bytes).sum()
}

/// An id that is the same whenever the same work is done: a process that died after its commit, or another one that had the
/// same idea, finds the work done.
pub(crate) fn job_id(model: &Model, parts: &BTreeMap<&str, String>) -> JobId {
    let mut hasher = blake3::Hasher::new();
    let name = model.name.to_string();
    let all = [("model", &name), ("fingerprint", &model.fingerprint)]
        .into_iter()
        .chain(parts.iter().map(|(k, v)| (*k, v)));
    for (key, value) in all {
        for text in [key, value.as_str()] {
            hasher.update(&(text.len() as u64).to_be_bytes());
            hasher.update(text.as_bytes());
        }
    }
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(hasher.finalize().as_bytes())
        .for_each(|(to, from)| *to = *from);
    // Version 8: made by rules of our own.
    JobId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The uuid and newest snapshot of a table, as text for [`job_id`].
pub(crate) fn head(table: &LoadedTable) -> String {
    let (uuid, snapshot): (Uuid, Option<i64>) = (table.metadata.uuid(), table.metadata.current_snapshot_id());
    format!("{uuid}@{snapshot:?}")
}
