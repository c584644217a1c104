//! Runs plans on the cluster, each again as a whole when an executor was lost.

use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::SendableRecordBatchStream;
use futures::FutureExt;
use futures::future::{self, BoxFuture};

use crate::error::{Result, SchedulerError};
use crate::fetch::{fetch, limited};
use crate::history::Recording;
use crate::remote::SentPlan;
use crate::scheduler::{EXECUTOR_POLL, Scheduler};
use crate::submission::{Failure, NO_EXECUTOR_MAX, Submission};
use crate::window_filters::without_filters;
use tidewater_core::{Coded, JobId};
use tidewater_engine::{Caller, EngineError, PlanOutput, PlanRequest, PlanRunner, Progress, Route};

/// How often a plan is run at most. A dead executor can cost two: one run that cannot fetch from it, and one that is given
/// to it before it is known to be dead.
const ATTEMPTS_MAX: u32 = 5;

/// In which attempt a plan that makes no progress is given up.
const STALLED_MAX: u32 = 2;

/// Longest time of a plan that was given none: longer than any job should take, so that nothing waits for ever.
pub(crate) const DEADLINE_MAX: Duration = Duration::from_secs(6 * 3600);

/// Runs every plan on the cluster.
#[derive(Debug, Clone)]
pub struct ClusterRunner {
    scheduler: Scheduler,
}

impl ClusterRunner {
    pub(crate) fn new(scheduler: Scheduler) -> Self {
        Self { scheduler }
    }

    /// The scheduler behind it.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// The rows, and in which attempt they came.
    async fn run_to_the_end(
        &self,
        request: &PlanRequest,
        recording: &Recording,
    ) -> Result<(SendableRecordBatchStream, u32)> {
        let planned = match SentPlan::answer(&request.plan) {
            Some(answer) => answer,
            None => Arc::new(request.plan.schema().as_arrow().clone()),
        };
        let name = request.job.to_string();
        let begun = self.scheduler.clock().monotonic();
        let plan = without_filters(&request.plan).map_err(|error| SchedulerError::NotPlanned {
            reason: error.to_string(),
        })?;
        for attempt in 1..=ATTEMPTS_MAX {
            self.wait_for_an_executor(begun).await?;
            // Anew for every attempt: the cluster may be smaller now.
            let session = Arc::new(self.scheduler.session(&request.session).await?);
            let mut submission = Submission::submit(&self.scheduler, &name, &session, &plan, recording).await?;
            recording.attempt(attempt, submission.id().as_str());
            let why = match submission.wait().await {
                Ok(job) => match fetch(job, planned.clone(), self.scheduler.node_tls(), self.scheduler.clock()).await {
                    Ok(rows) => return Ok((rows, attempt)),
                    // The rows lie with the executors and go with them.
                    Err(source) if attempt == ATTEMPTS_MAX => {
                        let source = Box::new(source);
                        return Err(SchedulerError::ResultLost { source });
                    }
                    Err(error) => error.to_string(),
                },
                Err(Failure::ExecutorLost) => "an executor was lost".to_owned(),
                Err(Failure::InputLost(source)) if attempt == ATTEMPTS_MAX => {
                    return Err(SchedulerError::Failed { source });
                }
                Err(Failure::InputLost(source)) => source.message,
                // Once more: what a planner that follows the run made of other times may end.
                Err(Failure::Stalled) if attempt < STALLED_MAX => "it made no progress".to_owned(),
                Err(Failure::Stalled) => return Err(SchedulerError::Stalled),
                Err(Failure::Final(error)) => return Err(error),
            };
            recording.event(format!("it runs again: {why}"));
            tracing::warn!(job = %request.job, ballista_job = %submission.id(), attempt, why, "the plan runs again");
        }
        Err(SchedulerError::ExecutorsLost { attempts: ATTEMPTS_MAX })
    }

    /// A plan that is submitted to an empty cluster would wait for ever. This one was there at `begun`.
    async fn wait_for_an_executor(&self, begun: Duration) -> Result<()> {
        while !self.scheduler.has_executors().await {
            let waited = self.scheduler.unheard(begun);
            if waited >= NO_EXECUTOR_MAX {
                return Err(SchedulerError::NoExecutor { waited });
            }
            self.scheduler.clock().sleep(EXECUTOR_POLL).await;
        }
        Ok(())
    }

    pub(crate) async fn run_because(
        &self,
        request: PlanRequest,
        reason: &str,
        waited: Duration,
    ) -> Result<PlanOutput, EngineError> {
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let history = self.scheduler.history();
        let recording = history.begin(request.job, &Caller::current(), "cluster", reason, waited_ms);
        let recording = recording.telling(Progress::of(&request.session));
        let mut cut_off = CutOff(Some(recording.clone()));
        let ended = self.run_recorded(request, reason, &recording).await;
        cut_off.0 = None;
        recording.end(ended.as_ref().err().map(Coded::code));
        ended.map(|mut output| {
            output.route.waited = waited;
            output
        })
    }

    async fn run_recorded(
        &self,
        request: PlanRequest,
        reason: &str,
        recording: &Recording,
    ) -> Result<PlanOutput, EngineError> {
        let clock = self.scheduler.clock();
        let allowed = request.deadline.unwrap_or(DEADLINE_MAX);
        let begun = clock.monotonic();
        let (rows, attempt) = tokio::select! {
            ended = self.run_to_the_end(&request, recording) => ended?,
            () = clock.sleep(allowed) => return Err(SchedulerError::Deadline { allowed }.into()),
        };
        let left = allowed.saturating_sub(clock.monotonic().saturating_sub(begun));
        let stream = limited(rows, clock.clone(), left, allowed);
        let route = match attempt {
            1 => Route::cluster(reason),
            _ => Route::cluster(format!("{reason}; run {attempt} times, see the log")),
        };
        Ok(PlanOutput {
            schema: stream.schema(),
            stream,
            route,
            attempt,
        })
    }
}

impl PlanRunner for ClusterRunner {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        self.run_because(request, THERE, Duration::ZERO).boxed()
    }

    fn route<'a>(&'a self, _: &'a PlanRequest) -> BoxFuture<'a, Result<Route, EngineError>> {
        future::ready(Ok(Route::cluster(THERE))).boxed()
    }

    fn stages(&self, job: JobId) -> Vec<String> {
        self.scheduler.history().stages(job)
    }
}

/// Takes note of a plan that nobody waits for any more.
struct CutOff(Option<Recording>);

impl Drop for CutOff {
    fn drop(&mut self) {
        if let Some(recording) = self.0.take() {
            recording.end(Some(SchedulerError::Cancelled.code()));
        }
    }
}

/// Why a runner without a choice runs a plan there.
const THERE: &str = "it was asked to run on the cluster";
