//! Where a plan runs: in this process when it is small, on the cluster when it is large or a job; and when: see
//! [`Admission`].

use std::sync::Arc;
use std::time::Duration;

use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};

use crate::admission::{Admission, Lane, Permit};
use crate::error::{NOT_PLANNED, SchedulerError};
use crate::options::SchedulerOptions;
use crate::reach::{Reach, reach_of};
use crate::remote::RemoteRunner;
use crate::runner::ClusterRunner;
use crate::submission::NO_EXECUTOR_MAX;
use tidewater_core::{Coded, ErrorKind, JobId, SharedClock};
use tidewater_engine::{
    Caller, Class, Engine, EngineError, Execution, Place, PlanOutput, PlanRequest, PlanRunner, Route, reads_at_most,
    reads_memory_only,
};

/// Why a plan runs where its session wants it.
const ASKED: &str = "tidewater.execution says so";

/// Why none runs on executors, where there are none.
const NO_EXECUTOR: &str = "no executor is there";

/// Why one runs here that was to run on executors.
const CANNOT_PLAN: &str = "the cluster cannot plan it";

/// Letters of a planner's reason that are told: some of them show the whole plan.
const REASON_CHARS_MAX: usize = 200;

/// How often a plan that is to run on executors looks for who schedules, while nobody is found.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Runs every plan where it belongs.
#[derive(Debug, Clone)]
pub struct Router {
    local: Arc<dyn PlanRunner>,
    cluster: Option<ClusterRunner>,
    /// The executors of the process that schedules, for plans that find none here.
    remote: Option<RemoteRunner>,
    admission: Admission,
    clock: SharedClock,
    local_scan_bytes_max: u64,
}

impl Router {
    /// Over a runner in this process and, where there is one, a cluster.
    pub fn new(
        local: Arc<dyn PlanRunner>,
        cluster: Option<ClusterRunner>,
        options: &SchedulerOptions,
        clock: SharedClock,
    ) -> Self {
        Self {
            local,
            cluster,
            remote: None,
            admission: Admission::new(options.limits, clock.clone()),
            clock,
            local_scan_bytes_max: options.local_scan_bytes_max,
        }
    }

    /// With the executors of whichever process schedules, for plans that find none of this one.
    #[must_use]
    pub fn beside(mut self, remote: RemoteRunner) -> Self {
        self.remote = Some(remote);
        self
    }

    /// Who runs and who waits.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Where a plan would run now, and why. For a plan that is only to be explained, hand in what is explained.
    pub async fn route(&self, request: &PlanRequest) -> Result<Route, EngineError> {
        let (route, executors) = self.decide(request).await?;
        let Some(Executors::Remote(remote)) = executors else {
            return Ok(route);
        };
        // What a run would find out when it sends the plan.
        match Box::pin(remote.plans(request)).await {
            Ok(()) => Ok(route),
            Err(SchedulerError::NotPlanned { reason }) => {
                Ok(Route::local(format!("{CANNOT_PLAN}: {}", in_short(&reason))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where a plan would run, and on whose executors, if on any.
    async fn decide(&self, request: &PlanRequest) -> Result<(Route, Option<Executors<'_>>), EngineError> {
        let wanted = Execution::of(&request.session);
        // Who asked for the cluster and does not get it reads why.
        let here = |why: &str| {
            let route = match wanted {
                Execution::Cluster => Route::local(format!("the cluster was asked for, but {why}")),
                _ => Route::local(why),
            };
            (route, None)
        };
        let of_rows = match reach_of(request)? {
            Reach::Here(why) => return Ok(here(why)),
            Reach::NoTable => return Ok(here("it reads no table")),
            Reach::Anywhere { of_rows } => of_rows,
        };
        if wanted == Execution::Local {
            return Ok((Route::local(ASKED), None));
        }
        let own = self.own_executors().await;
        let engine = match (own, &self.remote, &self.cluster) {
            (Some(cluster), _, _) => cluster.scheduler().engine(),
            (None, Some(remote), _) => remote.engine(),
            (None, None, Some(_)) => return Ok(here(NO_EXECUTOR)),
            (None, None, None) => return Ok(here("this process has no cluster")),
        };
        let route = match (wanted, request.class) {
            (Execution::Cluster, _) => Route::cluster(ASKED),
            // Of most changes of rows an executor would take longer to hear than they take.
            (_, Class::Batch) if !of_rows => Route::cluster("it is a job"),
            _ => self.by_size(engine, request).await?,
        };
        if route.place == Place::Local {
            return Ok((route, None));
        }
        // Nobody else is asked about what runs here anyway.
        if wanted == Execution::Cluster {
            let (found, waited) = self.awaited(own, request.deadline).await?;
            let (mut route, executors) = match found {
                Some(executors) => (route, Some(executors)),
                None => here(NO_EXECUTOR),
            };
            route.waited = waited;
            return Ok((route, executors));
        }
        match self.executors(own).await {
            Ok(Some(executors)) => Ok((route, Some(executors))),
            Ok(None) => Ok(here(NO_EXECUTOR)),
            Err(error) => {
                tracing::debug!(%error, "a plan runs here");
                Ok(here("nobody was found who schedules"))
            }
        }
    }

    /// This process's own executors, if there are any.
    async fn own_executors(&self) -> Option<&ClusterRunner> {
        match &self.cluster {
            Some(cluster) if cluster.scheduler().has_executors().await => Some(cluster),
            _ => None,
        }
    }

    /// This process's own executors, else those of the one that schedules.
    async fn executors<'a>(&'a self, own: Option<&'a ClusterRunner>) -> Result<Option<Executors<'a>>, SchedulerError> {
        if let Some(cluster) = own {
            return Ok(Some(Executors::Own(cluster)));
        }
        let Some(remote) = &self.remote else {
            return Ok(None);
        };
        Ok(remote.has_executors().await?.then_some(Executors::Remote(remote)))
    }

    /// The same for a plan that is to run nowhere else, and how long was waited for them: nobody is found for some seconds while another
    /// process begins to schedule, and its executors come after it. Whoever answers at once is believed at once.
    async fn awaited<'a>(
        &'a self,
        own: Option<&'a ClusterRunner>,
        allowed: Option<Duration>,
    ) -> Result<(Option<Executors<'a>>, Duration), EngineError> {
        let looking = Box::pin(self.look_on(own));
        let Some(allowed) = allowed else {
            return Ok(looking.await?);
        };
        tokio::select! {
            biased;
            found = looking => Ok(found?),
            () = self.clock.sleep(allowed) => Err(EngineError::Deadline { allowed }),
        }
    }

    async fn look_on<'a>(
        &'a self,
        own: Option<&'a ClusterRunner>,
    ) -> Result<(Option<Executors<'a>>, Duration), SchedulerError> {
        let begun = self.clock.monotonic();
        if let Ok(found) = self.executors(own).await {
            return Ok((found, Duration::ZERO));
        }
        loop {
            self.clock.sleep(LOOK_INTERVAL).await;
            // It may be this process that schedules by now.
            let own = self.own_executors().await;
            let found = self.executors(own).await;
            let waited = self.clock.monotonic().saturating_sub(begun);
            match found {
                Ok(Some(executors)) => return Ok((Some(executors), waited)),
                found if waited >= NO_EXECUTOR_MAX => return Ok((found?, waited)),
                _ => {}
            }
        }
    }

    async fn by_size(&self, engine: &Engine, request: &PlanRequest) -> Result<Route, EngineError> {
        let limit = self.local_scan_bytes_max;
        // What is little as a whole need not be looked at closely, for which the plan is optimised.
        if let Some(most) = reads_at_most(&request.plan).filter(|most| *most <= limit) {
            let says = format!(
                "its tables have {}, up to {} run in one process",
                bytes(most),
                bytes(limit)
            );
            return Ok(Route::local(says));
        }
        let reads = engine.estimate(&request.session, &request.plan).await?.bytes();
        let says = format!("it reads {}, up to {} run in one process", bytes(reads), bytes(limit));
        Ok(match reads <= limit {
            true => Route::local(says),
            false => Route::cluster(says),
        })
    }

    async fn run_local(&self, request: PlanRequest, route: Route, caller: &Caller) -> Result<PlanOutput, EngineError> {
        // What is part of a job is told of with the job, wherever it runs.
        if let (Some(cluster), Some(_)) = (&self.cluster, caller.job) {
            let waited_ms = u64::try_from(route.waited.as_millis()).unwrap_or(u64::MAX);
            let history = cluster.scheduler().history();
            let recording = history.begin(request.job, caller, "local", &route.reason, waited_ms);
            let began = self.run_here(request, route).await;
            recording.end(began.as_ref().err().map(Coded::code));
            return began;
        }
        self.run_here(request, route).await
    }

    async fn run_here(&self, request: PlanRequest, route: Route) -> Result<PlanOutput, EngineError> {
        let waited = route.waited;
        let others = self.cluster.is_some() || self.remote.is_some();
        let may_leave = others && Execution::of(&request.session) != Execution::Local;
        let fallback = match may_leave && matches!(reach_of(&request)?, Reach::Anywhere { .. }) {
            true => Some(request.clone()),
            false => None,
        };
        let mut output = self.local.run(request).await?;
        output.route = route;
        // Until the first row is handed on, a plan that is too large for this process may still run elsewhere.
        let first = match (output.stream.next().await, fallback) {
            (Some(Err(error)), Some(request)) => {
                let error = EngineError::from(error);
                if error.kind() != ErrorKind::Exhausted {
                    return Err(error);
                }
                let own = self.own_executors().await;
                let Ok(Some(executors)) = self.executors(own).await else {
                    return Err(error);
                };
                tracing::info!(job = %request.job, %error, "too large for this process, runs on the cluster");
                let reason = "it needs more memory than this process has for it";
                let mut output = executors.run_because(request, reason, waited).await?;
                output.attempt += 1;
                return Ok(output);
            }
            (Some(Err(error)), None) => return Err(error.into()),
            (first, _) => first,
        };
        let rows = stream::iter(first).chain(output.stream);
        output.stream = Box::pin(RecordBatchStreamAdapter::new(output.schema.clone(), rows));
        Ok(output)
    }
}

impl PlanRunner for Router {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput, EngineError>> {
        self.start(request).boxed()
    }

    fn route<'a>(&'a self, request: &'a PlanRequest) -> BoxFuture<'a, Result<Route, EngineError>> {
        Self::route(self, request).boxed()
    }

    fn room(&self, plan: &LogicalPlan, class: Class) -> Result<(), EngineError> {
        let caller = Caller::current();
        match lane_of(&caller, class, plan) {
            Some(lane) => Ok(self.admission.room(lane, caller.user.as_deref())?),
            None => Ok(()),
        }
    }

    fn stages(&self, job: JobId) -> Vec<String> {
        let own = self.cluster.as_ref().map(|cluster| cluster.stages(job));
        let own = own.filter(|stages| !stages.is_empty());
        let remote = || self.remote.as_ref().map(|remote| remote.stages(job));
        own.or_else(remote).unwrap_or_default()
    }
}

/// Executors that a plan may run on.
enum Executors<'a> {
    /// Of this process.
    Own(&'a ClusterRunner),
    /// Of the one that schedules.
    Remote(&'a RemoteRunner),
}

impl Executors<'_> {
    async fn run_because(
        &self,
        request: PlanRequest,
        reason: &str,
        waited: Duration,
    ) -> Result<PlanOutput, EngineError> {
        match self {
            Self::Own(cluster) => cluster.run_because(request, reason, waited).await,
            Self::Remote(remote) => Box::pin(remote.run_because(request, reason, waited)).await,
        }
    }
}

/// Where a plan stands in line; none if it needs no place: what tools ask of the catalog costs next to nothing, and a tool that waits for
/// it looks dead.
fn lane_of(caller: &Caller, class: Class, plan: &LogicalPlan) -> Option<Lane> {
    match (caller.maintenance, class) {
        (true, _) => Some(Lane::Maintenance),
        (false, Class::Interactive) if reads_memory_only(plan) => None,
        (false, class) => Some(class.into()),
    }
}

impl Router {
    /// A place to run, within the time that there is.
    async fn admit(&self, lane: Lane, caller: &Caller, allowed: Option<Duration>) -> Result<Permit, EngineError> {
        let admitted = self.admission.admit(lane, caller.user.as_deref());
        match allowed {
            None => Ok(admitted.await?),
            Some(allowed) => tokio::select! {
                biased;
                permit = admitted => Ok(permit?),
                () = self.clock.sleep(allowed) => Err(EngineError::Deadline { allowed }),
            },
        }
    }

    async fn start(&self, mut request: PlanRequest) -> Result<PlanOutput, EngineError> {
        let caller = Caller::current();
        let begun = self.clock.monotonic();
        let permit = match lane_of(&caller, request.class, &request.plan) {
            Some(lane) => Some(self.admit(lane, &caller, request.deadline).await?),
            None => None,
        };
        let waited = self.clock.monotonic().saturating_sub(begun);
        // What a statement waits in line is of its time, by milliseconds: people read what is left.
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let waited_in_line = Duration::from_millis(waited_ms);
        request.deadline = request.deadline.map(|allowed| allowed.saturating_sub(waited_in_line));
        let (mut route, executors) = self.decide(&request).await?;
        let looked_ms = u64::try_from(route.waited.as_millis()).unwrap_or(u64::MAX);
        let looked = Duration::from_millis(looked_ms);
        request.deadline = request.deadline.map(|allowed| allowed.saturating_sub(looked));
        let waited = waited.saturating_add(route.waited);
        route.waited = waited;
        let mut output = match executors {
            Some(executors) => {
                let began = executors.run_because(request.clone(), &route.reason, waited).await;
                match began {
                    Err(error) if error.code() == NOT_PLANNED => {
                        tracing::warn!(job = %request.job, %error, "the cluster cannot plan it, it runs in this process");
                        let mut route = Route::local(CANNOT_PLAN);
                        route.waited = waited;
                        let mut output = self.run_local(request, route, &caller).await?;
                        output.attempt += 1;
                        output
                    }
                    began => began?,
                }
            }
            None => self.run_local(request, route, &caller).await?,
        };
        if let Some(permit) = permit {
            output.stream = hold(output.stream, permit);
        }
        Ok(output)
    }
}

/// Keeps the place until the last row was read or nobody wants it any more; lends it while nobody reads.
pub(crate) fn hold(rows: SendableRecordBatchStream, permit: Permit) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let held = stream::unfold(Some((rows, permit)), |state| async move {
        let (mut rows, mut permit) = state?;
        permit.resume().await;
        let next = rows.next().await;
        permit.rest();
        next.map(|next| (next, Some((rows, permit))))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, held))
}

/// The beginning of its first line.
fn in_short(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    line.chars().take(REASON_CHARS_MAX).collect()
}

/// As people read it.
fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, size) in UNITS {
        if count >= size {
            let tenths = count.saturating_mul(10) / size;
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: reasons read well. Method: some sizes.
    #[test]
    fn sizes_read_well() {
        for (count, text) in [(0, "0 B"), (1536, "1.5 KiB"), (2 << 30, "2.0 GiB")] {
            assert_eq!(bytes(count), text);
        }
    }

    // Goal: a reason is a line, however much a planner says. Method: none, two lines, and a long one of letters with several bytes.
    #[test]
    fn reasons_are_lines() {
        assert_eq!(in_short(""), "");
        assert_eq!(in_short("too large\nof 3 parts"), "too large");
        assert_eq!(in_short(&"ü".repeat(1000)), "ü".repeat(REASON_CHARS_MAX));
    }
}
