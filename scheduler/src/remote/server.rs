//! Answers processes that send plans, on the port that executors call.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use async_trait::async_trait;
use ballista_core::extension::{SessionConfigExt, SessionConfigHelperExt};
use datafusion::arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::future::ready;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::sent::SentPlan;
use super::wire::{Begun, CLUSTER, Cluster, Failed, Finished, RunPlan, Said};
use crate::admission::{Admission, Lane};
use crate::error::{Result, SchedulerError};
use crate::router::hold;
use crate::runner::ClusterRunner;
use tidewater_core::JobId;
use tidewater_engine::{Caller, Class, EngineError, PlanOutput, PlanRequest, PlanRunner as _, sizes};

/// What is asked of nobody on this port.
const NOT_HERE: &str = "this port runs plans of other processes and nothing else";

/// Bytes of the rows of one message, unless it is one row.
const BYTES_MAX: usize = 2 << 20;

/// Runs plans that other processes send, as many at a time as this process runs of its own.
pub(crate) struct PlanService {
    cluster: ClusterRunner,
    /// Apart from this process's own: whoever sends a plan has let it in already, and this one's statements need not wait for theirs.
    admission: Admission,
    build: String,
}

impl PlanService {
    pub(crate) fn new(cluster: ClusterRunner, admission: Admission, build: String) -> Self {
        Self {
            cluster,
            admission,
            build,
        }
    }

    async fn cluster(&self) -> Result<Cluster> {
        let scheduler = self.cluster.scheduler();
        let executors = scheduler.executors().await?;
        let takers = executors.iter().filter(|executor| !executor.draining).count();
        Ok(Cluster {
            executors: u32::try_from(takers).unwrap_or(u32::MAX),
            partitions: u32::try_from(scheduler.partitions().await?).unwrap_or(u32::MAX),
            build: self.build.clone(),
        })
    }
}

/// Runs a plan to its end; its rows are still to be fetched.
async fn run(
    cluster: &ClusterRunner,
    admission: &Admission,
    build: &str,
    sent: RunPlan,
) -> Result<PlanOutput, EngineError> {
    let refused = |reason: String| EngineError::from(SchedulerError::NotPlanned { reason });
    if sent.build != build {
        return Err(refused(format!(
            "whoever asked is of build {}, who schedules of build {build}",
            sent.build
        )));
    }
    let id = |bytes: &[u8]| {
        Uuid::from_slice(bytes)
            .map(JobId)
            .map_err(|error| refused(error.to_string()))
    };
    let job = id(&sent.job)?;
    let caller = Caller {
        job: sent.part_of.as_deref().map(id).transpose()?,
        user: sent.user,
        maintenance: sent.maintenance,
    };
    let class = match sent.batch {
        true => Class::Batch,
        false => Class::Interactive,
    };
    let lane = match caller.maintenance {
        true => Lane::Maintenance,
        false => class.into(),
    };
    let scheduler = cluster.scheduler();
    let clock = scheduler.clock();
    let allowed = Duration::from_millis(sent.deadline_ms);
    let begun = clock.monotonic();
    let permit = tokio::select! {
        biased;
        permit = admission.admit(lane, caller.user.as_deref()) => permit?,
        () = clock.sleep(allowed) => return Err(SchedulerError::Deadline { allowed }.into()),
    };
    let settings = SessionConfig::new_with_ballista().update_from_key_value_pair(&sent.settings);
    let asked = SessionContext::new_with_config(settings);
    let session = scheduler.session(&asked).await?;
    let plan = SentPlan::read(sent.plan, scheduler.engine(), &session.task_ctx());
    let plan = plan
        .and_then(SentPlan::into_scan)
        .map_err(|error| refused(error.to_string()))?;
    let waited = clock.monotonic().saturating_sub(begun);
    let request = PlanRequest {
        job,
        session: asked,
        plan,
        class,
        deadline: Some(allowed.saturating_sub(waited)),
    };
    let waited = waited.saturating_add(Duration::from_millis(sent.waited_ms));
    let ran = cluster.run_because(request, &sent.reason, waited);
    let mut output = caller.scope(Box::pin(ran)).await?;
    output.stream = hold(output.stream, permit);
    Ok(output)
}

/// The answers about a plan: how it has run, its columns, its rows and how many they were; or how it has failed.
pub(super) fn answers(ran: Result<PlanOutput, EngineError>, stages: Vec<String>) -> Answers<FlightData> {
    let output = match ran {
        Ok(output) => output,
        Err(error) => return stream::once(ready(Ok(failed(&error)))).boxed(),
    };
    let begun = Said::Begun(Begun {
        attempt: output.attempt,
        reason: output.route.reason,
        stages,
    });
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let rows = output.stream.map_ok(move |batch| {
        counted.fetch_add(u64::try_from(batch.num_rows()).unwrap_or(u64::MAX), Ordering::Relaxed);
        stream::iter(parts(batch))
    });
    let rows = rows
        .try_flatten()
        .map_err(|error| FlightError::ExternalError(Box::new(EngineError::from(error))));
    let data = FlightDataEncoderBuilder::new()
        // By itself it would take each column for as large as the message that the columns came in.
        .with_max_flight_data_size(usize::MAX)
        .with_schema(output.schema)
        .with_dictionary_handling(DictionaryHandling::Resend)
        .build(rows);
    // Polled once all rows were.
    let finished = stream::once(async move {
        let rows = sent.load(Ordering::Relaxed);
        Ok::<_, FlightError>(Said::Finished(Finished { rows }).into_data())
    });
    // An error is the last thing that is said.
    let data = data.chain(finished).scan(false, |over, next| {
        let was_over = mem::replace(over, next.is_err());
        let next = next.unwrap_or_else(|error| failed(&of_rows(error)));
        ready((!was_over).then_some(Ok::<_, Status>(next)))
    });
    stream::once(ready(Ok(begun.into_data()))).chain(data).boxed()
}

/// Rows as they fit into messages.
fn parts(batch: RecordBatch) -> impl Iterator<Item = Result<RecordBatch, DataFusionError>> {
    let mut parts = Vec::new();
    sizes::halve(batch, BYTES_MAX, &mut parts);
    parts.into_iter().map(Ok)
}

fn failed(error: &EngineError) -> FlightData {
    Said::Failed(Failed::of(error)).into_data()
}

fn of_rows(error: FlightError) -> EngineError {
    match error {
        FlightError::ExternalError(external) => match external.downcast::<EngineError>() {
            Ok(ours) => *ours,
            Err(external) => DataFusionError::External(external).into(),
        },
        error => DataFusionError::External(Box::new(error)).into(),
    }
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

type Answered<T> = Result<Response<T>, Status>;

#[async_trait]
impl FlightService for PlanService {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    /// Answers at once and runs the plan when it is read: whoever stops reading, at whatever time, drops it.
    async fn do_get(&self, request: Request<Ticket>) -> Answered<Self::DoGetStream> {
        let sent = RunPlan::decode(request.into_inner().ticket.as_ref());
        let sent = sent.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (cluster, admission, build) = (self.cluster.clone(), self.admission.clone(), self.build.clone());
        let job = Uuid::from_slice(&sent.job).map(JobId).ok();
        let running = async move {
            let ran = Box::pin(run(&cluster, &admission, &build, sent)).await;
            let stages = job.map(|job| cluster.stages(job)).unwrap_or_default();
            answers(ran, stages)
        };
        Ok(Response::new(stream::once(running).flatten().boxed()))
    }

    async fn do_action(&self, request: Request<Action>) -> Answered<Self::DoActionStream> {
        if request.into_inner().r#type != CLUSTER {
            return Err(Status::unimplemented(NOT_HERE));
        }
        let cluster = self.cluster().await;
        let cluster = cluster.map_err(|error| Status::unavailable(error.to_string()))?;
        let answer = arrow_flight::Result {
            body: cluster.encode_to_vec().into(),
        };
        Ok(Response::new(stream::once(ready(Ok(answer))).boxed()))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answered<Self::HandshakeStream> {
        Err(Status::unimplemented(NOT_HERE))
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Answered<Self::ListFlightsStream> {
        Err(Status::unimplemented(NOT_HERE))
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answered<FlightInfo> {
        Err(Status::unimplemented(NOT_HERE))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answered<PollInfo> {
        Err(Status::unimplemented(NOT_HERE))
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answered<SchemaResult> {
        Err(Status::unimplemented(NOT_HERE))
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Answered<Self::DoPutStream> {
        Err(Status::unimplemented(NOT_HERE))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answered<Self::DoExchangeStream> {
        Err(Status::unimplemented(NOT_HERE))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answered<Self::ListActionsStream> {
        Err(Status::unimplemented(NOT_HERE))
    }
}
