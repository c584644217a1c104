//! One run of a plan on the cluster: submitted, waited for, cancelled when nobody waits any more.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::JobId;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::{JobStatus, SuccessfulJob};
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use tokio::sync::{RwLock, mpsc};

use crate::error::{Result, SchedulerError};
use crate::history::{Recording, stages};
use crate::options::Planner;
use crate::scheduler::{EXECUTOR_POLL, Scheduler, ballista};
use tidewater_core::{ErrorKind, RemoteError, Retry};
use tidewater_engine::cluster::INPUT_LOST;

/// Status updates that wait for us. Ballista never waits for this channel: what does not fit is lost, the last included.
const UPDATES_MAX: usize = 4096;

/// How often the status is asked for, as an update may have been lost.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// The same until its stages are planned: the scheduler forgets them with the end of the run.
const GRAPH_INTERVAL: Duration = Duration::from_millis(5);

/// How long a plan is kept while there is no executor at all, from when the last one was heard of: as long as one needs to come back. A
/// host that hangs is found within this time, so that a plan that nobody can run fails within ten seconds in any case.
pub(crate) const NO_EXECUTOR_MAX: Duration = Duration::from_secs(8);

/// How long a job may be unfinished while nothing at all runs on the cluster. Between two stages it is milliseconds.
const STALL_MAX: Duration = Duration::from_secs(15);

/// When files of a run that did not end well are asked to be removed once more: a task that was told to stop may have written
/// until then.
const LEFTOVERS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(15)];

/// How long after a cancellation its effect is looked for, and how often in all: longer than any plan takes to be planned.
const CANCEL_INTERVAL: Duration = Duration::from_millis(200);
const CANCELLATIONS_MAX: u32 = 300;

/// How Ballista says, in text only, that a shuffle file could not be fetched. With `stage_max_failures = 1` it says so for
/// nothing else.
const FAILED_FETCH: &str = "has failed 1 times, most recent failure reason";

/// How it says that a plan could not be made, or not be made anew between two stages.
const NOT_PLANNED: &str = "Error planning job";

/// What Ballista calls a job that was cancelled.
const CANCELLED: &str = "Cancelled";

/// Why a run has no rows.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An executor was lost. The plan may be run again.
    ExecutorLost,
    /// Rows of one stage did not reach the next. The plan may be run again.
    InputLost(RemoteError),
    /// Ballista lost track of it: it is not finished, and nothing is left that could finish it.
    Stalled,
    /// Running it again would end the same way.
    Final(SchedulerError),
}

/// A plan that runs on the cluster. Cancelled when dropped before its end.
pub(crate) struct Submission {
    scheduler: Scheduler,
    id: JobId,
    updates: mpsc::Receiver<JobStatus>,
    /// Kept by us, as Ballista forgets it in the moment of its end.
    graph: Option<Arc<RwLock<ExecutionGraphBox>>>,
    recording: Recording,
    ended: bool,
    succeeded: bool,
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Submission {
    pub(crate) async fn submit(
        scheduler: &Scheduler,
        name: &str,
        session: &Arc<SessionContext>,
        plan: &LogicalPlan,
        recording: &Recording,
    ) -> Result<Self> {
        let (sender, updates) = mpsc::channel(UPDATES_MAX);
        let server = scheduler.ballista();
        let submitted = match scheduler.planner() {
            Planner::Adaptive | Planner::Static => server.submit_job(name, session.clone(), plan, Some(sender)).await,
            Planner::Physical => {
                let state = session.state();
                let planned = Box::pin(state.create_physical_plan(plan)).await;
                let planned = planned.map_err(|error| SchedulerError::NotPlanned {
                    reason: error.to_string(),
                })?;
                server
                    .submit_physical_plan(name, session.clone(), planned, Some(sender))
                    .await
            }
        };
        let id = submitted.map_err(ballista("submitting a plan"))?;
        Ok(Self {
            scheduler: scheduler.clone(),
            id,
            updates,
            graph: None,
            recording: recording.clone(),
            ended: false,
            succeeded: false,
        })
    }

    pub(crate) fn id(&self) -> &JobId {
        &self.id
    }

    /// Waits for the end of the run.
    pub(crate) async fn wait(&mut self) -> std::result::Result<SuccessfulJob, Failure> {
        let ended = self.end().await;
        self.note_stages().await;
        // What ends otherwise runs on, and is cancelled when this is dropped.
        self.succeeded = ended.is_ok();
        self.ended = matches!(
            ended,
            Ok(_)
                | Err(Failure::ExecutorLost | Failure::InputLost(_))
                | Err(Failure::Final(
                    SchedulerError::Failed { .. } | SchedulerError::NotPlanned { .. } | SchedulerError::Cancelled
                ))
        );
        let guard = self.scheduler.guard();
        let cancelled_by_guard = guard.is_some_and(|guard| guard.take_cancelled(&self.id));
        match ended {
            Err(Failure::Final(
                SchedulerError::Failed { .. } | SchedulerError::NotPlanned { .. } | SchedulerError::Cancelled,
            )) if cancelled_by_guard => Err(Failure::ExecutorLost),
            ended => ended,
        }
    }

    /// Looks at the stages as they stand.
    async fn note_stages(&mut self) {
        if self.graph.is_none() {
            let jobs = self.scheduler.ballista().state.task_manager.get_running_job_cache();
            self.graph = jobs.get(&self.id).map(|job| job.execution_graph.clone());
        }
        if let Some(graph) = &self.graph {
            self.recording.stages(stages(&*graph.read().await));
        }
    }

    async fn end(&mut self) -> std::result::Result<SuccessfulJob, Failure> {
        let clock = self.scheduler.clock().clone();
        let stop = self.scheduler.tasks().token();
        let mut open = true;
        let begun = clock.monotonic();
        let mut alone = false;
        let mut idle_since = None;
        loop {
            let pause = match &self.graph {
                None => GRAPH_INTERVAL,
                Some(_) if alone => EXECUTOR_POLL,
                Some(_) => STATUS_INTERVAL,
            };
            let status = tokio::select! {
                () = stop.cancelled() => return Err(Failure::Final(SchedulerError::Ended)),
                update = self.updates.recv(), if open => {
                    open = update.is_some();
                    update
                }
                () = clock.sleep(pause) => {
                    let tasks = &self.scheduler.ballista().state.task_manager;
                    let status = tasks.get_job_status(&self.id).await;
                    status.map_err(ballista("asking for a status")).map_err(Failure::Final)?
                }
            };
            match status.and_then(|status| status.status) {
                Some(Status::Successful(job)) => return Ok(job),
                Some(Status::Failed(job)) => return Err(understand(&job.error)),
                _ => {}
            }
            self.note_stages().await;
            let now = clock.monotonic();
            alone = !self.scheduler.has_executors().await;
            let waited = self.scheduler.unheard(begun);
            if alone && waited >= NO_EXECUTOR_MAX {
                return Err(Failure::Final(SchedulerError::NoExecutor { waited }));
            }
            // Without the guard it stays visible what Ballista does by itself.
            let idle = !alone && self.scheduler.guard().is_some() && !self.scheduler.works().await;
            if lasting(&mut idle_since, idle, now).is_some_and(|waited| waited >= STALL_MAX) {
                return Err(Failure::Stalled);
            }
        }
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        let (scheduler, id) = (self.scheduler.clone(), self.id.clone());
        if let Some(guard) = scheduler.guard() {
            guard.take_cancelled(&id);
        }
        if self.succeeded {
            return;
        }
        let tasks = scheduler.tasks().clone();
        if self.ended {
            tasks.spawn("clean-plan", async move { clean(&scheduler, &id).await });
            return;
        }
        tasks.spawn("cancel-plan", async move {
            tracing::info!(ballista_job = %id, "cancelled: nobody waits for it any more");
            match cancel(&scheduler, &id).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!(ballista_job = %id, "a plan does not end although it was cancelled"),
                Err(error) => tracing::warn!(ballista_job = %id, %error, "a plan cannot be cancelled"),
            }
            clean(&scheduler, &id).await;
        });
    }
}

/// Has executors remove what tasks of the run wrote after Ballista had asked them to.
async fn clean(scheduler: &Scheduler, id: &JobId) {
    let stop = scheduler.tasks().token();
    for wait in LEFTOVERS {
        tokio::select! {
            () = stop.cancelled() => return,
            () = scheduler.clock().sleep(wait) => {}
        }
        scheduler
            .ballista()
            .state
            .executor_manager
            .clean_up_job_data(id.clone());
    }
}

/// Cancels until it has an effect, and tells whether it has: Ballista forgets a cancellation that comes while it still plans
/// the job.
async fn cancel(scheduler: &Scheduler, id: &JobId) -> Result<bool> {
    for _ in 0..CANCELLATIONS_MAX {
        let asked = scheduler.ballista().cancel_job(id.clone()).await;
        asked.map_err(ballista("cancelling a plan"))?;
        scheduler.clock().sleep(CANCEL_INTERVAL).await;
        let status = scheduler.ballista().state.task_manager.get_job_status(id).await;
        let status = status.map_err(ballista("asking for a status"))?;
        if let Some(Status::Successful(_) | Status::Failed(_)) = status.and_then(|status| status.status) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// For how long the condition has held without a break.
fn lasting(since: &mut Option<Duration>, holds: bool, now: Duration) -> Option<Duration> {
    if !holds {
        *since = None;
        return None;
    }
    Some(now.saturating_sub(*since.get_or_insert(now)))
}

/// What Ballista's text means.
fn understand(text: &str) -> Failure {
    // An error of ours may well quote another text, so it is looked for first.
    if let Some(source) = RemoteError::find(text) {
        if source.code == INPUT_LOST {
            return Failure::InputLost(source);
        }
        return Failure::Final(SchedulerError::Failed { source });
    }
    if text.contains(FAILED_FETCH) {
        return Failure::ExecutorLost;
    }
    if text.contains(NOT_PLANNED) {
        return Failure::Final(SchedulerError::NotPlanned {
            reason: text.to_owned(),
        });
    }
    if text == CANCELLED {
        return Failure::Final(SchedulerError::Cancelled);
    }
    Failure::Final(SchedulerError::Failed {
        source: RemoteError {
            code: "SCH-0005".to_owned(),
            kind: guess_kind(text),
            retry: Retry::Never,
            message: text.to_owned(),
            hint: None,
        },
    })
}

/// For errors of Ballista's own and of planning, which bring no code.
fn guess_kind(text: &str) -> ErrorKind {
    let says = |part: &str| text.contains(part);
    if says("ResourcesExhausted") || says("Resources exhausted") {
        ErrorKind::Exhausted
    } else if says("NotImplemented") || says("not implemented") {
        ErrorKind::Unsupported
    } else if says("Error during planning") || says("Schema error") || says("SchemaError") || says("DivideByZero") {
        ErrorKind::Invalid
    } else {
        ErrorKind::Internal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: only what lasts without a break counts. Method: a condition that holds, breaks and holds again.
    #[test]
    fn a_break_starts_anew() {
        let second = Duration::from_secs;
        let mut since = None;
        assert_eq!(lasting(&mut since, true, second(1)), Some(Duration::ZERO));
        assert_eq!(lasting(&mut since, true, second(5)), Some(second(4)));
        assert_eq!(lasting(&mut since, false, second(6)), None);
        assert_eq!(lasting(&mut since, true, second(9)), Some(Duration::ZERO));
    }

    // Goal: only the loss of an executor makes a plan run again. Method: texts as Ballista writes them.
    #[test]
    fn texts_are_understood() {
        let lost = "Job failed due to stage 2 failed: Stage 2 has failed 1 times, most recent failure reason: \"gone\"";
        assert!(matches!(understand(lost), Failure::ExecutorLost));
        let unread = RemoteError {
            code: INPUT_LOST.into(),
            kind: ErrorKind::Unavailable,
            retry: Retry::Safe,
            message: "reset".into(),
            hint: None,
        };
        assert!(matches!(understand(&unread.to_text()), Failure::InputLost(found) if found == unread));
        assert!(matches!(
            understand("Cancelled"),
            Failure::Final(SchedulerError::Cancelled)
        ));
        let ours = RemoteError {
            code: "ENG-0003".into(),
            kind: ErrorKind::Invalid,
            retry: Retry::Never,
            message: format!("quotes: {FAILED_FETCH}"),
            hint: None,
        };
        let text = format!("Job failed due to stage 1 failed: Task failed: {:?}", ours.to_text());
        match understand(&text) {
            Failure::Final(SchedulerError::Failed { source }) => assert_eq!(source, ours),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            understand("Error planning job 1: DataFusionError(Context(\"SanityCheckPlan\", …))"),
            Failure::Final(SchedulerError::NotPlanned { .. })
        ));
        match understand("Error during planning: no such column") {
            Failure::Final(SchedulerError::Failed { source }) => assert_eq!(source.kind, ErrorKind::Invalid),
            other => panic!("{other:?}"),
        }
    }
}
