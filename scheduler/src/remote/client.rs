//! Has plans run by the process that schedules, from one that does not.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, Ticket};
use datafusion::common::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use futures::future::ready;
use prost::Message;
use tonic::{Status, Streaming};

use super::finder::{Finder, There, WhoSchedules};
use super::sent::pack;
use super::wire::{RunPlan, Said};
use crate::error::{ENDED, Result, SchedulerError};
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
    /// Another one would say the same.
    Final(SchedulerError),
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

    /// Runs it once more with the next process to schedule, if the one that has it is lost before it is known how it ran: nothing was
    /// handed on, and what it wrote counts for nothing until whoever asked commits it.
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
        let lost = match first {
            Ok(running) => return Ok(running),
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::Lost(lost)) => lost,
        };
        tracing::warn!(job = %request.job, at = there.at, error = %lost, "a plan is sent again: its scheduler was lost");
        self.inner.finder.forget();
        let there = self.next(lost).await?;
        let left = allowed.saturating_sub(clock.monotonic().saturating_sub(begun));
        match self.send(&there, request, reason, waited, left).await {
            Ok(running) => Ok(Running {
                attempt: running.attempt + 1,
                ..running
            }),
            Err(Trouble::Final(error) | Trouble::Lost(error)) => Err(error),
        }
    }

    /// The next process to schedule that has executors; what was lost, if there is none in time.
    async fn next(&self, lost: SchedulerError) -> Result<There> {
        let clock = &self.inner.clock;
        let begun = clock.monotonic();
        loop {
            if let Ok(there) = self.inner.finder.find().await
                && there.executors > 0
            {
                return Ok(there);
            }
            if clock.monotonic().saturating_sub(begun) >= NEXT_MAX {
                return Err(lost);
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
        let lost = |source: Status| Trouble::Lost(lost_at(&there.at, source));
        let mut client = there.client.clone();
        let mut answers = client.do_get(ticket).await.map_err(lost)?.into_inner();
        let first = answers.message().await.map_err(lost)?;
        let begun = match first.as_ref().and_then(Said::of) {
            Some(Said::Begun(begun)) => begun,
            Some(Said::Failed(failed)) => {
                return Err(match failed.into_error() {
                    Some(error) if error.code() == ENDED => Trouble::Lost(error),
                    Some(error) => Trouble::Final(error),
                    None => lost(Status::data_loss("an error that cannot be read")),
                });
            }
            None => return Err(lost(Status::data_loss("no word of how the plan has run"))),
        };
        self.note_stages(request.job, begun.stages);
        Ok(Running {
            rows: rows(there.at.clone(), answers).await.map_err(Trouble::Lost)?,
            attempt: begun.attempt,
            reason: begun.reason,
        })
    }

    /// The plan for the cluster as it is now.
    async fn message(
        &self,
        there: &There,
        request: &PlanRequest,
        reason: &str,
        waited: Duration,
        left: Duration,
    ) -> Result<RunPlan> {
        let engine = &self.inner.engine;
        let plan = without_filters(&request.plan).map_err(|error| SchedulerError::NotPlanned {
            reason: error.to_string(),
        })?;
        let session = cluster_session(engine, &request.session, there.partitions, Planner::default())?;
        let packed = Box::pin(pack(engine, &session, &plan)).await?;
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

/// The rows that follow. Dropped, they end what the other end still does for them.
async fn rows(at: String, answers: Streaming<FlightData>) -> Result<SendableRecordBatchStream> {
    let data = answers.map(|next| match next {
        Ok(data) => match Said::of(&data) {
            Some(Said::Failed(failed)) => Err(told(failed.into_error())),
            Some(Said::Begun(_)) => Err(FlightError::protocol("a plan that has begun twice")),
            None => Ok(data),
        },
        Err(status) => Err(status.into()),
    });
    let mut decoded = FlightDataDecoder::new(data);
    let schema = match decoded.next().await {
        Some(Ok(first)) => match first.payload {
            DecodedPayload::Schema(schema) => schema,
            _ => return Err(lost_at(&at, Status::data_loss("rows without columns"))),
        },
        Some(Err(error)) => return Err(lost_at(&at, error.into())),
        None => return Err(lost_at(&at, Status::data_loss("no columns"))),
    };
    let rows = decoded.filter_map(move |next| {
        ready(match next {
            Ok(data) => match data.payload {
                DecodedPayload::RecordBatch(batch) => Some(Ok(batch)),
                DecodedPayload::Schema(_) | DecodedPayload::None => None,
            },
            Err(FlightError::ExternalError(error)) => Some(Err(DataFusionError::External(error))),
            Err(error) => {
                let lost = EngineError::from(lost_at(&at, error.into()));
                Some(Err(DataFusionError::from(lost)))
            }
        })
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// An error amid the rows, on its way through what decodes them.
fn told(error: Option<SchedulerError>) -> FlightError {
    match error {
        Some(error) => FlightError::ExternalError(Box::new(EngineError::from(error))),
        None => FlightError::protocol("an error that cannot be read"),
    }
}

fn lost_at(at: &str, source: Status) -> SchedulerError {
    SchedulerError::SchedulerLost {
        at: at.to_owned(),
        source: Box::new(source),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
