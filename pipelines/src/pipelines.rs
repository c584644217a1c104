//! Plans and runs the models of a project.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, FuturesUnordered};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tidewater_catalog_client::dto::JobPhase;
use tidewater_core::{JobId, SharedClock, SharedRng, TableName, Tasks};
use tidewater_engine::{Caller, Engine, PlanRunner};
use tidewater_table::{Catalog, JOB_ID_KEY, LoadedTable};
use tokio::sync::oneshot;

use crate::cdc;
use crate::error::{PipelineError, Result};
use crate::model::{Kind, Model};
use crate::noted::{committed_by, is_noted, is_overtaken, of_run};
use crate::open_runs::{OpenRun, OpenRuns};
use crate::plan::{Mode, ModelPlan, Tables, Wish, resolve, target_lag};
use crate::project::Project;
use crate::refresh::Prepared;
use crate::report::{Failure, ModelRun, ModelStatus, RowCounts, RunReport};
use crate::run_log::{Asked, Edit, RunLog, RunRow, edit};
use crate::selection::Selection;
use crate::state::RefreshState;
use crate::table_model;
use crate::units::{Unit, units};
use crate::views::Views;
use crate::worker::Worker;

/// Models worked on at the same time: each runs in parallel in itself, more at once would only share the same memory.
pub(crate) const MODELS_AT_ONCE_MAX: usize = 2;

/// Tables loaded at the same time: hides the catalog's latency.
const LOADS_AT_ONCE_MAX: usize = 8;

/// Times the rows of a model are computed before it gives up because others keep committing to its table.
const ATTEMPTS_MAX: u32 = 5;

/// What a run is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOptions {
    /// What `run_ts()` and `run_date()` answer, milliseconds since the Unix epoch; now if not given.
    pub as_of_ms: Option<i64>,
    /// Read everything, whatever was read before.
    pub full_refresh: bool,
}

/// The models of a project over an engine. Clones share everything.
#[derive(Debug, Clone)]
pub struct Pipelines {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) project: Project,
    pub(crate) worker: Worker,
    /// One run of a model at a time in this process; between processes the commit's conditions decide.
    turns: BTreeMap<TableName, tokio::sync::Mutex<()>>,
    last_runs: Mutex<BTreeMap<TableName, ModelRun>>,
    pub(crate) open: OpenRuns,
}

impl Pipelines {
    /// Over these parts.
    pub fn new(
        engine: Engine,
        runner: Arc<dyn PlanRunner>,
        catalog: Arc<dyn Catalog>,
        log: Arc<dyn RunLog>,
        clock: SharedClock,
        rng: SharedRng,
        project: Project,
    ) -> Self {
        let views = Views::of(&project);
        let turns = project
            .models
            .keys()
            .map(|name| (name.clone(), tokio::sync::Mutex::default()))
            .collect();
        let worker = Worker {
            engine,
            runner,
            catalog,
            log,
            clock,
            rng,
            views,
        };
        Self {
            inner: Arc::new(Inner {
                project,
                worker,
                turns,
                last_runs: Mutex::default(),
                open: OpenRuns::default(),
            }),
        }
    }

    /// Ends a run of this process before it commits, with its queries; whether there is one under this id. A commit that has begun goes
    /// through. A model that is behind its inputs runs again when it is due.
    pub async fn cancel(&self, run: JobId) -> bool {
        let found = self.inner.open.cancel(run);
        if found {
            let failure = Failure {
                code: "PIP-0023".into(),
                message: "the run was cancelled".into(),
                hint: Some("tidewater job retry runs the model once more".into()),
            };
            // At once: should this process end now, whoever takes over leaves it.
            let end = Edit::End(JobPhase::Cancelled, &failure);
            if let Err(error) = edit(self.inner.worker.log.as_ref(), run, end).await {
                tracing::warn!(%run, %error, "it was not noted that a run was cancelled");
            }
        }
        found
    }

    /// The project.
    pub fn project(&self) -> &Project {
        &self.inner.project
    }

    /// The project's views, for sessions that are to see them.
    pub fn views(&self) -> &Views {
        &self.inner.worker.views
    }

    /// What a run would do, and why; each model after those it reads.
    pub async fn plan(&self, selection: &Selection, options: RunOptions) -> Result<Vec<ModelPlan>> {
        let inner = &self.inner;
        inner.check_inputs().await?;
        let wish = inner.wish(options);
        let names = selection.resolve(&inner.project)?;
        let models: Vec<&Model> = names.iter().filter_map(|name| inner.project.models.get(name)).collect();
        let tables = inner.tables(&models).await?;
        models
            .into_iter()
            .map(|model| resolve(&inner.project, model, &tables, wish))
            .collect()
    }

    /// Brings the selected models up to date, each after those it reads. A failure stops what depends on it, and nothing
    /// else; it stands in the report.
    pub async fn run(&self, selection: &Selection, options: RunOptions) -> Result<RunReport> {
        let inner = &self.inner;
        inner.check_inputs().await?;
        let asked = Asked {
            request: inner.new_id(),
            options,
        };
        let mut rows = BTreeMap::new();
        for name in selection.resolve(&inner.project)? {
            rows.insert(name, inner.new_row(Some(asked)));
        }
        Ok(self.run_asked(&rows, options).await)
    }

    /// The same in a task, which goes on if nobody waits for its end any more. When the tasks are told to stop it is left to the next
    /// process.
    pub async fn run_in(&self, tasks: &Tasks, selection: Selection, options: RunOptions) -> Result<RunReport> {
        let (pipelines, token) = (self.clone(), tasks.token());
        let (answer, answered) = oneshot::channel();
        tasks.spawn("run", async move {
            tokio::select! {
                biased;
                // First: what fails because all ends is not to be noted.
                () = token.cancelled() => {}
                // Nobody may wait for it.
                report = pipelines.run(&selection, options) => drop(answer.send(report)),
            }
        });
        answered.await.unwrap_or(Err(PipelineError::LeftToOthers))
    }

    /// The same under rows of their own, one a model. They are written before anything runs: what has not begun when this process ends
    /// is not lost either.
    pub(crate) async fn run_asked(&self, rows: &BTreeMap<TableName, RunRow>, options: RunOptions) -> RunReport {
        let inner = &self.inner;
        let order = inner.project.graph.order();
        let selected: Vec<TableName> = order.iter().filter(|name| rows.contains_key(*name)).cloned().collect();
        let units = units(&inner.project, &selected);
        let wish = inner.wish(options);
        // Entered at once: what waits for its turn can be cancelled, too.
        let mut waiting: Vec<Option<OpenRun<'_>>> = Vec::with_capacity(units.len());
        for unit in &units {
            let rows = unit.models.iter().filter_map(|name| rows.get(name).copied());
            waiting.push(Some(inner.open.enter(rows.collect())));
        }
        for name in &selected {
            if let (Some(row), Some(model)) = (rows.get(name), inner.project.models.get(name))
                && row.attempt == 1
                && is_noted(row, model)
            {
                inner.note(row, &blank(model), JobPhase::Queued).await;
            }
        }

        let mut done: BTreeMap<usize, Vec<ModelRun>> = BTreeMap::new();
        let mut running = FuturesUnordered::new();
        while done.len() < units.len() {
            for (at, unit) in units.iter().enumerate() {
                if running.len() >= MODELS_AT_ONCE_MAX {
                    break;
                }
                let ready = unit.after.iter().all(|before| done.contains_key(before));
                let Some(open) = waiting.get_mut(at).filter(|_| ready).and_then(Option::take) else {
                    continue;
                };
                let failed = unit.after.iter().filter_map(|before| done.get(before)).flatten();
                let failed = failed
                    .filter(|run| run.failure.is_some())
                    .map(|run| run.name.clone())
                    .next();
                running.push(async move {
                    let runs = match failed {
                        Some(upstream) => inner.skipped(unit, &open, &upstream).await,
                        None => inner.refresh(unit, open, wish).await,
                    };
                    (at, runs)
                });
            }
            match running.next().await {
                Some((at, runs)) => {
                    done.insert(at, runs);
                }
                // Units form no cycle, so this ends only when all are done.
                None => break,
            }
        }
        let mut models: Vec<ModelRun> = done.into_values().flatten().collect();
        let place = |name: &TableName| selected.iter().position(|selected| selected == name);
        models.sort_by_key(|run| place(&run.name));
        RunReport { models }
    }

    /// How every model stands.
    pub async fn status(&self) -> Result<Vec<ModelStatus>> {
        let inner = &self.inner;
        let order = inner.project.graph.order();
        let models: Vec<&Model> = order.iter().filter_map(|name| inner.project.models.get(name)).collect();
        let tables = inner.tables(&models).await?;
        let mut statuses = Vec::with_capacity(models.len());
        for model in models {
            let name = &model.name;
            let plan = resolve(&inner.project, model, &tables, inner.wish(RunOptions::default()))?;
            let own = tables.get(name);
            let state = match own {
                Some(table) => RefreshState::newest(name, &table.metadata)?,
                None => None,
            };
            statuses.push(ModelStatus {
                name: name.clone(),
                kind: model.kind.name(),
                last_run_ms: state
                    .as_ref()
                    .and(own)
                    .and_then(|t| Some(t.metadata.current_snapshot()?.timestamp_ms())),
                last_mode: state.map(|state| state.mode),
                rows_total: own.and_then(rows_total),
                lag_ms: plan.inputs.iter().filter_map(|input| input.lag_ms).max(),
                next_mode: plan.mode,
                next_reason: plan.reason,
                last_run: inner
                    .last_runs
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get(name)
                    .cloned(),
            });
        }
        Ok(statuses)
    }

    /// How stale a model may be.
    pub fn target_lag(&self, model: &Model) -> Duration {
        target_lag(&self.inner.project, model)
    }
}

impl Inner {
    fn new_id(&self) -> JobId {
        JobId(self.worker.rng.uuid_v7(self.worker.clock.now_ms()))
    }

    /// The row of a model that is to run in this process first.
    pub(crate) fn new_row(&self, asked: Option<Asked>) -> RunRow {
        RunRow {
            id: self.new_id(),
            attempt: 1,
            asked,
        }
    }

    fn wish(&self, options: RunOptions) -> Wish {
        Wish {
            full: options.full_refresh,
            run_ms: options.as_of_ms.unwrap_or_else(|| self.worker.clock.now_ms()),
        }
    }

    async fn check_inputs(&self) -> Result<()> {
        let inputs: BTreeSet<&TableName> = self.project.models.values().flat_map(|model| &model.inputs).collect();
        let mut existing = BTreeSet::new();
        for name in inputs {
            let known = self.project.models.contains_key(name) || self.project.sources.contains_key(name);
            if !known && self.worker.load(name).await?.is_some() {
                existing.insert(name.clone());
            }
        }
        self.project.check_inputs(&existing)
    }

    /// The models' tables, their stored inputs and their tombstones, as they are now, each loaded once.
    async fn tables(&self, models: &[&Model]) -> Result<Tables> {
        let own = models.iter().map(|model| model.name.clone());
        let names: BTreeSet<TableName> = models
            .iter()
            .flat_map(|model| self.project.stored_inputs(model))
            .chain(own)
            .collect();
        let mut tables = self.loaded(names).await?;
        // After the rows: all tombstones that these rest on are there then, and if there are more, the rows have changed too.
        let logs = models.iter().filter(|model| matches!(model.kind, Kind::Cdc(_)));
        // A name that none can have is refused where the model runs.
        let tombstones: BTreeSet<TableName> = logs
            .filter_map(|model| cdc::tombstones::name(&model.name).ok())
            .collect();
        tables.extend(self.loaded(tombstones).await?);
        Ok(tables)
    }

    /// Those of the tables that are there.
    async fn loaded(&self, names: BTreeSet<TableName>) -> Result<Tables> {
        // Collected: a closure that lives across an await makes this future not `Send` in general.
        let loads: Vec<_> = names.iter().map(|name| self.worker.load(name)).collect();
        let loaded: Vec<Option<LoadedTable>> = stream::iter(loads).buffered(LOADS_AT_ONCE_MAX).try_collect().await?;
        Ok(names
            .into_iter()
            .zip(loaded)
            .filter_map(|(name, table)| Some((name, table?)))
            .collect())
    }

    async fn skipped(&self, unit: &Unit, open: &OpenRun<'_>, upstream: &TableName) -> Vec<ModelRun> {
        let mut runs = Vec::with_capacity(unit.models.len());
        for (name, row) in unit.models.iter().zip(open.rows()) {
            let Some(model) = self.project.models.get(name) else {
                continue;
            };
            let mut run = blank(model);
            run.failure = Some(Failure {
                code: "PIP-0021".into(),
                message: format!("not run: {upstream}, which it reads, failed"),
                hint: Some(format!("see the failure of {upstream}")),
            });
            if is_noted(row, model) {
                self.note(row, &run, JobPhase::Failed).await;
            }
            runs.push(run);
        }
        runs
    }

    /// One run of a unit, committed in one transaction, never failing: failures stand in the runs.
    pub(crate) async fn refresh(&self, unit: &Unit, open: OpenRun<'_>, wish: Wish) -> Vec<ModelRun> {
        let begun = self.worker.clock.monotonic();
        let models: Vec<&Model> = unit
            .models
            .iter()
            .filter_map(|name| self.project.models.get(name))
            .collect();
        let mut turns = Vec::new();
        for model in &models {
            // In the order of the units' names, which is the same everywhere: no two runs wait for each other.
            if let Some(turn) = self.turns.get(&model.name) {
                turns.push(turn.lock().await);
            }
        }
        let mut runs: Vec<ModelRun> = models.iter().map(|model| blank(model)).collect();
        let mut ended = JobPhase::Succeeded;
        if let Err(error) = self.attempts(&models, &open, wish, &mut runs).await {
            ended = match error {
                PipelineError::Cancelled { .. } => JobPhase::Cancelled,
                _ => JobPhase::Failed,
            };
            let failure = Failure::of(&error);
            for run in &mut runs {
                tracing::warn!(model = %run.name, code = failure.code, error = failure.message, "model failed");
                run.failure = Some(failure.clone());
            }
        }
        let duration = self.worker.clock.monotonic().saturating_sub(begun);
        drop(turns);
        for ((model, row), run) in models.iter().zip(open.rows()).zip(&mut runs) {
            run.duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            if run.failure.is_some() || run.mode.works() || is_noted(row, model) {
                self.note(row, run, ended).await;
            }
        }
        // Not before its end is noted: until then it would look like a run whose process is gone.
        drop(open);
        let mut last_runs = self.last_runs.lock().unwrap_or_else(PoisonError::into_inner);
        last_runs.extend(runs.iter().map(|run| (run.name.clone(), run.clone())));
        runs
    }

    async fn attempts(&self, models: &[&Model], open: &OpenRun<'_>, wish: Wish, runs: &mut [ModelRun]) -> Result<()> {
        for attempt in 1..=ATTEMPTS_MAX {
            let mut all: Vec<(usize, Prepared)> = Vec::new();
            for (at, ((model, row), run)) in models.iter().zip(open.rows()).zip(runs.iter_mut()).enumerate() {
                run.attempts = attempt;
                let prepared = open.unless_cancelled(self.prepare(model, row, wish, run)).await;
                let cancelled = || PipelineError::Cancelled {
                    model: model.name.clone(),
                };
                match prepared.unwrap_or_else(|| Err(cancelled())) {
                    Ok(Some(mut prepared)) => {
                        run.job = Some(prepared.job);
                        run.rows = prepared.rows;
                        if row.asked.is_some() {
                            prepared.changes = of_run(prepared.changes, row.id);
                        }
                        all.push((at, prepared));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        for (_, prepared) in all {
                            self.worker.discard(&prepared.changes).await;
                        }
                        return Err(error);
                    }
                }
            }
            let Some(first) = models.first() else { return Ok(()) };
            if all.is_empty() {
                return Ok(());
            }
            let names: Vec<(usize, TableName)> = all
                .iter()
                .filter_map(|(at, _)| Some((*at, models.get(*at)?.name.clone())))
                .collect();
            let changes = all.into_iter().flat_map(|(_, prepared)| prepared.changes).collect();
            let Some(committed) = self.worker.commit(first, changes).await? else {
                continue;
            };
            for (at, name) in names {
                let own = committed.iter().find(|committed| committed.table.name == name);
                if let (Some(run), Some(own)) = (runs.get_mut(at), own) {
                    run.snapshot_id = Some(own.snapshot_id);
                    run.rows.total = rows_total(&own.table).unwrap_or(0);
                    tracing::info!(
                        model = %name, mode = run.mode.name(), rows_written = run.rows.written,
                        rows_total = run.rows.total, changes = run.rows.changes, "model committed"
                    );
                }
            }
            return Ok(());
        }
        match models.first() {
            Some(model) => Err(PipelineError::Contended {
                model: model.name.clone(),
                attempts: ATTEMPTS_MAX,
            }),
            None => Ok(()),
        }
    }

    async fn prepare(&self, model: &Model, row: &RunRow, wish: Wish, run: &mut ModelRun) -> Result<Option<Prepared>> {
        let tables = self.tables(&[model]).await?;
        // Its job would not tell: it is named by what the rows rest on, and that has moved with the commit.
        if let Some(own) = tables.get(&model.name)
            && let Some(snapshot) = committed_by(own, row)
        {
            run.mode = Mode::UpToDate;
            run.reason = "an earlier attempt of this run committed it".into();
            let job = snapshot.summary().additional_properties.get(JOB_ID_KEY);
            run.job = job.and_then(|job| job.parse().ok());
            run.snapshot_id = Some(snapshot.snapshot_id());
            run.rows = RowCounts {
                total: rows_total(own).unwrap_or(0),
                ..RowCounts::default()
            };
            return Ok(None);
        }
        if let Some(own) = tables.get(&model.name).filter(|own| is_overtaken(own, row)) {
            run.mode = Mode::UpToDate;
            run.reason = "a run that was asked for later came first".into();
            run.rows.total = rows_total(own).unwrap_or(0);
            return Ok(None);
        }
        let plan = resolve(&self.project, model, &tables, wish)?;
        run.mode = plan.mode;
        run.reason.clone_from(&plan.reason);
        if !plan.mode.works() {
            return Ok(None);
        }
        if run.attempts == 1 {
            self.note(row, run, JobPhase::Running).await;
        }
        if plan.loud {
            tracing::warn!(model = %model.name, reason = plan.reason, "full refresh");
        }
        let worker = &self.worker;
        // What runs for it is found under its id.
        let caller = Caller::job(row.id);
        let prepared = match &model.kind {
            Kind::View => return Ok(None),
            Kind::Table => {
                let work = table_model::prepare(worker, model, &plan, &tables, wish.run_ms);
                caller.scope(Box::pin(work)).await?
            }
            Kind::Cdc(spec) => {
                let work = cdc::prepare(worker, model, spec, &plan, &tables, wish.run_ms);
                caller.scope(Box::pin(work)).await?
            }
        };
        Ok(Some(prepared))
    }
}

fn blank(model: &Model) -> ModelRun {
    ModelRun {
        name: model.name.clone(),
        kind: model.kind.name(),
        mode: Mode::Waiting,
        reason: String::new(),
        job: None,
        snapshot_id: None,
        rows: RowCounts::default(),
        duration_ms: 0,
        attempts: 0,
        failure: None,
    }
}

/// As the newest snapshot's summary tells.
fn rows_total(table: &LoadedTable) -> Option<u64> {
    let summary = table.metadata.current_snapshot()?.summary();
    summary.additional_properties.get("total-records")?.parse().ok()
}
