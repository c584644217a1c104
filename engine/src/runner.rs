//! The seam between those who have a plan and those who know where to run it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::physical_planner::PhysicalPlanner as _;
use datafusion::prelude::SessionContext;
use futures::future::{self, BoxFuture, Either, select};
use futures::{FutureExt, Stream, StreamExt};
use tidewater_core::{JobId, SharedClock};

use crate::cooperative::yielding;
use crate::engine::Parts;
use crate::error::{EngineError, Result};
use crate::estimate::rows_at_most;
use crate::explain::file_names;
use crate::judge;
use crate::once;
use crate::progress::Progress;
use crate::quick_first::quick_first;
use crate::session::Class;
use crate::text_views::text_views;

/// A plan to be run.
#[derive(Clone)]
pub struct PlanRequest {
    /// Names the run; a write commits under it.
    pub job: JobId,
    /// The session that the plan was made in.
    pub session: SessionContext,
    /// The plan.
    pub plan: LogicalPlan,
    /// What it is for.
    pub class: Class,
    /// Time it may take, planning and reading of the answer included. `None`: whatever the runner allows.
    pub deadline: Option<Duration>,
}

impl fmt::Debug for PlanRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanRequest")
            .field("job", &self.job)
            .field("class", &self.class)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Where a plan ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In this process.
    Local,
    /// On the executors.
    Cluster,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Cluster => "cluster",
        })
    }
}

/// Where a plan runs, and why there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where.
    pub place: Place,
    /// Why, for people.
    pub reason: String,
    /// How long it waited for its turn.
    pub waited: Duration,
}

impl Route {
    /// In this process.
    pub fn local(reason: impl Into<String>) -> Self {
        Self {
            place: Place::Local,
            reason: reason.into(),
            waited: Duration::ZERO,
        }
    }

    /// On the executors.
    pub fn cluster(reason: impl Into<String>) -> Self {
        Self {
            place: Place::Cluster,
            reason: reason.into(),
            waited: Duration::ZERO,
        }
    }
}

/// The answer to a plan. Dropping the stream cancels what still runs.
pub struct PlanOutput {
    /// Columns of the answer.
    pub schema: SchemaRef,
    /// Its rows.
    pub stream: SendableRecordBatchStream,
    /// Where they are made.
    pub route: Route,
    /// In which attempt at the plan they are made, from 1. What earlier ones wrote may lie about.
    pub attempt: u32,
}

impl PlanOutput {
    /// All rows at once.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.stream.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }
}

impl fmt::Debug for PlanOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanOutput")
            .field("schema", &self.schema)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

/// Runs plans. Its methods give boxed futures without bounds on lifetimes, so that rustc asks once what of a plan may be sent (see
/// `opaque`).
pub trait PlanRunner: fmt::Debug + Send + Sync {
    /// Starts the plan; rows come as they are made.
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput>>;

    /// Where the plan would run now, and why. For a plan that is only to be explained, hand in what is explained.
    fn route<'a>(&'a self, _: &'a PlanRequest) -> BoxFuture<'a, Result<Route>> {
        future::ready(Ok(Route::local(HERE))).boxed()
    }

    /// What became of a plan that ran on the executors: a line for each of its stages, for people. None of one that ran in this process.
    fn stages(&self, _: JobId) -> Vec<String> {
        Vec::new()
    }

    /// The error with which a plan of the present caller would be refused if it came now, as too many wait already: for who has begun
    /// nothing yet.
    fn room(&self, _: &LogicalPlan, _: Class) -> Result<()> {
        Ok(())
    }
}

/// Why a runner without a choice runs a plan here.
const HERE: &str = "it was asked to run in this process";

/// Runs plans in this process, within the memory of the session's runtime environment.
#[derive(Debug, Clone)]
pub struct LocalRunner {
    parts: Arc<Parts>,
}

impl LocalRunner {
    /// Of the engine with these parts.
    pub(crate) fn new(parts: Arc<Parts>) -> Self {
        Self { parts }
    }
}

impl PlanRunner for LocalRunner {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput>> {
        self.start(request).boxed()
    }
}

impl LocalRunner {
    async fn start(&self, request: PlanRequest) -> Result<PlanOutput> {
        if let LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) | LogicalPlan::Copy(_) = request.plan {
            return Err(EngineError::Unsupported {
                what: format!("running {} as a query", request.plan.display()),
            });
        }
        let clock = &self.parts.clock;
        let deadline = request.deadline.map(|allowed| Deadline::start(clock, allowed));
        let (parts, state, plan) = (Arc::clone(&self.parts), request.session.state(), request.plan);
        let names_only = matches!(plan, LogicalPlan::Analyze(_)) && judge::binds(state.config());
        let work = Box::pin(async move { physical(&parts, state, &plan).await });
        let planning = Box::pin(self.parts.planner.run(work));
        let (plan, deadline) = match deadline {
            None => (planning.await?, None),
            Some(deadline) => match select(planning, deadline).await {
                Either::Left((plan, deadline)) => (plan?, Some(deadline)),
                Either::Right((passed, _)) => return Err(passed),
            },
        };
        let plan = quick_first(text_views(yielding(plan, clock)?)?)?;
        if let Some(progress) = Progress::of(&request.session) {
            progress.watch(&plan);
        }
        let plan = match names_only {
            true => file_names::analyzed(plan)?,
            false => plan,
        };
        let stream = execute_stream(plan, request.session.task_ctx())?;
        let schema = stream.schema();
        let stream: SendableRecordBatchStream = match deadline {
            None => stream,
            Some(deadline) => Box::pin(LimitedStream {
                stream: Some(stream),
                schema: schema.clone(),
                deadline,
            }),
        };
        Ok(PlanOutput {
            schema,
            stream,
            route: Route::local(HERE),
            attempt: 1,
        })
    }
}

/// The plan as it runs here: for one thread where it is small, as what several have to tell one another takes longer than it does.
async fn physical(parts: &Parts, mut state: SessionState, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = parts.plans.optimized(&state, plan)?;
    file_names::plan_with_names(&mut state, &plan);
    let runs = match &plan {
        LogicalPlan::Explain(explain) => explain.plan.as_ref(),
        LogicalPlan::Analyze(analyze) => analyze.input.as_ref(),
        plan => plan,
    };
    if rows_at_most(runs).is_some_and(|rows| rows <= parts.options.one_thread_rows) {
        state.config_mut().options_mut().execution.target_partitions = 1;
    }
    match once::marked(&plan)? {
        Some(marked) => Ok(once::planner().create_physical_plan(&marked, &state).await?),
        None => Ok(state.query_planner().create_physical_plan(&plan, &state).await?),
    }
}

/// Ends with the error when the time is over.
struct Deadline {
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
    allowed: Duration,
}

impl Deadline {
    fn start(clock: &SharedClock, allowed: Duration) -> Self {
        let clock = clock.clone();
        Self {
            sleep: Box::pin(async move { clock.sleep(allowed).await }),
            allowed,
        }
    }
}

impl Future for Deadline {
    type Output = EngineError;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<EngineError> {
        let allowed = self.allowed;
        self.sleep
            .as_mut()
            .poll(context)
            .map(|()| EngineError::Deadline { allowed })
    }
}

/// A stream that fails, and lets go of what it reads, when its time is over.
struct LimitedStream {
    stream: Option<SendableRecordBatchStream>,
    schema: SchemaRef,
    deadline: Deadline,
}

impl Stream for LimitedStream {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(passed) = Pin::new(&mut this.deadline).poll(context) {
            this.stream = None;
            return Poll::Ready(Some(Err(passed.into())));
        }
        let next = stream.poll_next_unpin(context);
        if let Poll::Ready(None) = next {
            this.stream = None;
        }
        next
    }
}

impl RecordBatchStream for LimitedStream {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
