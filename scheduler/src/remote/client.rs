//! Has plans run by the process that schedules, from one that does not.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_flight::Ticket;
use datafusion::physical_plan::SendableRecordBatchStream;
use prost::Message;
use tonic::Status;

use super::finder::{Finder, There, WhoSchedules};
use super::rows::{error_of, read};
use super::sent::{Packed, pack};
use super::wire::{RunPlan, Said};
use crate::error::{ENDED, EXECUTORS_LOST, NO_EXECUTOR, Result, SCHEDULER_LOST, SchedulerError};
use crate::fetch::limited;
use crate::options::{Planner, SchedulerOptions};
use crate::runner::DEADLINE_MAX;
use crate::scheduler::cluster_session;
use crate::window_filters::without_filters;
use tidewater_core::{Coded, JobId, SharedClock};
use tidewater_engine::{Caller, Class, Engine, EngineError, PlanOutput, PlanRequest, Route};

/// How long the next process to schedule is waited for, with a plan of which no row was seen: longer than a lease lasts, and than a
/// group needs for a leader.
const NEXT_MAX: Duration = Duration::from_secs(15);

/// How often it is looked for.
const NEXT_INTERVAL: Duration = Duration::from_millis(250);

/// Plans of which the stages are remembered, for those that ask right after their end.
const STAGES_MAX: usize = 64;

/// Runs plans on the executors of whichever process schedules. Clones are one.
#[derive(Clone)]
pub struct RemoteRunner {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    finder: Finder,
    clock: SharedClock,
    build: String,
    stages: Mutex<VecDeque<(JobId, Vec<String>)>>,
}

impl fmt::Debug for RemoteRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteRunner").finish_non_exhaustive()
    }
}

/// A plan of which rows come.
struct Running {
    rows: SendableRecordBatchStream,
    attempt: u32,
    reason: String,
}

/// Why none come.
enum Trouble {
    /// The other end is gone, or goes: another one may run the plan.
    Lost(SchedulerError),
    /// Its executors are gone, maybe to another one that schedules by now: that one may run the plan.
    Left(SchedulerError),
    /// Another one would say the same.
    Final(SchedulerError),
}

impl Trouble {
    fn of(error: SchedulerError) -> Self {
        match error.code() {
            SCHEDULER_LOST | ENDED => Self::Lost(error),
            NO_EXECUTOR | EXECUTORS_LOST => Self::Left(error),
            _ => Self::Final(error),
        }
    }
}

impl RemoteRunner {
    /// With the build and the TLS of `options`.
    pub fn new(engine: Engine, who: Arc<dyn WhoSchedules>, options: &SchedulerOptions, clock: SharedClock) -> Self {
        Self {
            inner: Arc::new(Inner {
                engine,
                finder: Finder::new(who, options.node_tls.clone(), clock.clone()),
                clock,
                build: options.build.clone(),
                stages: Mutex::default(),
            }),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// Whether the process that schedules has executors.
    pub(crate) async fn has_executors(&self) -> Result<bool> {
        Ok(self.inner.finder.there().await?.executors > 0)
    }

    /// Whether a plan can be sent to who schedules: what a run would find out, without one.
    ///
    /// # Errors
    /// [`SchedulerError::NotPlanned`] if it would run in the process that was asked.
    pub(crate) async fn plans(&self, request: &PlanRequest) -> Result<()> {
        let there = self.inner.finder.there().await?;
        self.packed(&there, request).await.map(drop)
    }

    /// The stages of a plan that has run lately, for people.
    pub(crate) fn stages(&self, job: JobId) -> Vec<String> {
        let known = lock(&self.inner.stages);
        let found = known.iter().rev().find(|(of, _)| *of == job);
        found.map(|(_, stages)| stages.clone()).unwrap_or_default()
    }

    /// Runs a plan there.
    pub(crate) async fn run_because(
        &self,
        request: PlanRequest,
        reason: &str,
        waited: Duration,
    ) -> Result<PlanOutput, EngineError> {
        let clock = &self.inner.clock;
        let allowed = request.deadline.unwrap_or(DEADLINE_MAX);
        let begun = clock.monotonic();
        let running = Box::pin(self.run_to_the_end(&request, reason, waited, allowed));
        let running = tokio::select! {
            running = running => running?,
            () = clock.sleep(allowed) => return Err(SchedulerError::Deadline { allowed }.into()),
        };
        let left = allowed.saturating_sub(clock.monotonic().saturating_sub(begun));
        let stream = limited(running.rows, clock.clone(), left, allowed);
        let mut route = Route::cluster(running.reason);
        route.waited = waited;
        Ok(PlanOutput {
            schema: stream.schema(),
            stream,
            route,
            attempt: running.attempt,
        })
    }

    /// Runs it once more with the next process to schedule, if the one that has it is lost before it is known how it ran, or its executors
    /// are and another one schedules: nothing was handed on, and what it wrote counts for nothing until whoever asked commits it.
    async fn run_to_the_end(
        &self,
        request: &PlanRequest,
        reason: &str,
        waited: Duration,
        allowed: Duration,
    ) -> Result<Running> {
        let clock = &self.inner.clock;
        let begun = clock.monotonic();
        let there = self.inner.finder.there().await?;
        let first = self.send(&there, request, reason, waited, allowed).await;
        let (lost, but) = match first {
            Ok(running) => return Ok(running),
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::Lost(lost)) => (lost, None),
            Err(Trouble::Left(lost)) => (lost, Some(there.at.as_str())),
        };
        self.inner.finder.forget();
        let Some(next) = self.next(but).await else {
            return Err(lost);
        };
        tracing::warn!(job = %request.job, at = there.at, error = %lost, "a plan is sent again: it was lost there");
        let left = allowed.saturating_sub(clock.monotonic().saturating_sub(begun));
        match self.send(&next, request, reason, waited, left).await {
            Ok(running) => Ok(Running {
                attempt: running.attempt + 1,
                ..running
            }),
            Err(Trouble::Final(error) | Trouble::Lost(error) | Trouble::Left(error)) => Err(error),
        }
    }

    /// The next process to schedule that has executors; none, if there is none in time, or if it is still the one that is named here.
    async fn next(&self, but: Option<&str>) -> Option<There> {
        let clock = &self.inner.clock;
        let begun = clock.monotonic();
        loop {
            if let Ok(there) = self.inner.finder.find().await {
                if but == Some(there.at.as_str()) {
                    return None;
                }
                if there.executors > 0 {
                    return Some(there);
                }
            }
            if clock.monotonic().saturating_sub(begun) >= NEXT_MAX {
                return None;
            }
            clock.sleep(NEXT_INTERVAL).await;
        }
    }

    async fn send(
        &self,
        there: &There,
        request: &PlanRequest,
        reason: &str,
        waited: Duration,
        left: Duration,
    ) -> Result<Running, Trouble> {
        let sent = self.message(there, request, reason, waited, left).await;
        let ticket = Ticket {
            ticket: sent.map_err(Trouble::Final)?.encode_to_vec().into(),
        };
        let ended = |status: Status| Trouble::of(error_of(&there.at, status));
        let mut client = there.client.clone();
        let mut answers = client.do_get(ticket).await.map_err(ended)?.into_inner();
        let first = answers.message().await.map_err(ended)?;
        let begun = match first.as_ref().and_then(Said::of) {
            Some(Said::Begun(begun)) => begun,
            Some(Said::Failed(failed)) => {
                return Err(match failed.into_error() {
                    Some(error) => Trouble::of(error),
                    None => ended(Status::data_loss("an error that cannot be read")),
                });
            }
            Some(Said::Finished(_)) | None => return Err(ended(Status::data_loss("no word of how the plan has run"))),
        };
        self.note_stages(request.job, begun.stages);
        Ok(Running {
            rows: read(there.at.clone(), answers).await.map_err(ended)?,
            attempt: begun.attempt,
            reason: begun.reason,
        })
    }

    /// The plan for the cluster as it is now.
    async fn packed(&self, there: &There, request: &PlanRequest) -> Result<Packed> {
        let Inner { engine, build, .. } = &*self.inner;
        if there.build != *build {
            return Err(SchedulerError::NotPlanned {
                reason: format!(
                    "this process is of build {build}, who schedules of build {}",
                    there.build
                ),
            });
        }
        let plan = without_filters(&request.plan).map_err(|error| SchedulerError::NotPlanned {
            reason: error.to_string(),
        })?;
        let session = cluster_session(engine, &request.session, there.partitions, Planner::default())?;
        Box::pin(pack(engine, &session, &plan)).await
    }

    async fn message(
        &self,
        there: &There,
        request: &PlanRequest,
        reason: &str,
        waited: Duration,
        left: Duration,
    ) -> Result<RunPlan> {
        let packed = self.packed(there, request).await?;
        let caller = Caller::current();
        Ok(RunPlan {
            build: self.inner.build.clone(),
            job: request.job.0.as_bytes().to_vec(),
            part_of: caller.job.map(|job| job.0.as_bytes().to_vec()),
            user: caller.user,
            maintenance: caller.maintenance,
            batch: request.class == Class::Batch,
            deadline_ms: milliseconds(left),
            waited_ms: milliseconds(waited),
            reason: reason.to_owned(),
            settings: packed.settings,
            plan: packed.plan,
        })
    }

    fn note_stages(&self, job: JobId, stages: Vec<String>) {
        let mut known = lock(&self.inner.stages);
        if known.len() >= STAGES_MAX {
            known.pop_front();
        }
        known.push_back((job, stages));
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
