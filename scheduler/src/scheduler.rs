//! Ballista's scheduler in this process.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{ExecutorStoppedParams, task_status};
use ballista_core::utils::{default_config_producer, default_session_builder};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::cluster::memory::{InMemoryClusterState, InMemoryJobState};
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::create_scheduler;
use ballista_scheduler::scheduler_server::SessionBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::net::TcpListener;

use crate::admission::Admission;
use crate::error::{Result, SchedulerError};
use crate::guard::{Guard, Server};
use crate::history::History;
use crate::job_ids::JobIds;
use crate::options::{PARTITIONS_MAX, Planner, SchedulerOptions};
use crate::remote::PlanService;
use crate::runner::ClusterRunner;
use crate::serve::serve;
use crate::watch::watch;
use tidewater_core::limits::GRPC_MESSAGE_BYTES_MAX;
use tidewater_core::{SharedClock, Tasks};
use tidewater_engine::cluster::{connect_by, node_connections};
use tidewater_engine::{Engine, SentPositions, UntoldSides, optimizer_rules, physical_rules};
use tidewater_security::NodeTls;

/// After how long without a heartbeat Ballista itself takes an executor for lost: longer than we do.
const BALLISTA_TIMEOUT: Duration = Duration::from_secs(20);

/// How often it looks for lost executors.
const REAPER_INTERVAL: Duration = Duration::from_secs(1);

/// How long Ballista itself waits before it fails jobs that nobody can run: longer than we do.
const BALLISTA_NO_EXECUTOR: Duration = Duration::from_secs(60);

/// How long an executor that drains is let be. Longer than a drain; it sends heartbeats meanwhile.
const DRAIN_GRACE: Duration = Duration::from_secs(30);

/// How long the files of a finished job are kept. Results are opened, all of them, within this time.
const JOB_FILES_KEPT: Duration = Duration::from_secs(30);

/// How long Ballista remembers a finished job, plan and all. Ours are in the catalog; who waits for one asks every second.
const JOB_STATE_KEPT: Duration = Duration::from_secs(15);

/// Events that wait in Ballista's loop at most. The guard posts from within the loop, so it must never be full.
const EVENTS_MAX: u32 = 100_000;

/// How often it is looked whether executors have come.
pub(crate) const EXECUTOR_POLL: Duration = Duration::from_millis(50);

/// Hands the stages of distributed plans to executors. Clones are one scheduler; it ends with the tasks it was started with.
#[derive(Clone)]
pub struct Scheduler {
    inner: Arc<Inner>,
}

struct Inner {
    server: Server,
    /// None only in the test of what Ballista does by itself.
    guard: Option<Arc<Guard>>,
    address: SocketAddr,
    node_tls: Option<NodeTls>,
    engine: Engine,
    history: History,
    clock: SharedClock,
    tasks: Tasks,
    partitions_min: usize,
    partitions_per_core: usize,
    planner: Planner,
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler")
            .field("address", &self.inner.address)
            .finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Listens for executors.
    pub async fn start(options: &SchedulerOptions, engine: Engine, clock: SharedClock, tasks: &Tasks) -> Result<Self> {
        options.validate()?;
        let address = options.listen;
        let failed = |source| SchedulerError::Bind { address, source };
        // Executors report to the address in the configuration, so it must be the bound one.
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let config = Arc::new(configuration(options, address, &engine, &clock));
        let sessions = session_builder(engine.clone());
        let jobs = Arc::new(InMemoryJobState::new(
            config.scheduler_id.clone(),
            sessions,
            Arc::new(default_config_producer),
        ));
        let guard = (!options.unguarded).then(|| Arc::new(Guard::new(options.build.clone(), clock.clone())));
        let cluster = match &guard {
            Some(guard) => BallistaCluster::new(guard.clone(), jobs),
            None => BallistaCluster::new(Arc::new(InMemoryClusterState::default()), jobs),
        };
        let server: Server = create_scheduler(cluster, config)
            .await
            .map_err(ballista("starting the scheduler"))?;
        if let Some(guard) = &guard {
            guard.watch(Some(server.clone()));
        }
        let tls = options.node_tls.is_some();
        tracing::info!(%address, guarded = guard.is_some(), tls, "scheduler listens for executors");
        let guarded = guard.is_some();
        let scheduler = Self {
            inner: Arc::new(Inner {
                server,
                guard,
                address,
                node_tls: options.node_tls.clone(),
                engine,
                history: History::new(clock.clone()),
                clock,
                tasks: tasks.clone(),
                partitions_min: options.partitions_min,
                partitions_per_core: options.partitions_per_core,
                planner: options.planner,
            }),
        };
        scheduler.listen(listener, options);
        if guarded {
            tasks.spawn("executor-watch", watch(scheduler.clone(), tasks.token()));
        }
        Ok(scheduler)
    }

    /// Answers executors and processes that send plans, until the tasks end.
    fn listen(&self, listener: TcpListener, options: &SchedulerOptions) {
        let (clock, tasks) = (self.clock().clone(), self.tasks());
        let connections = node_connections(listener, options.node_tls.clone(), clock.clone());
        let admission = Admission::new(options.limits, clock.clone());
        let plans = PlanService::new(self.runner(), admission, options.build.clone());
        let served = serve(connections, self.inner.server.clone(), plans, clock, tasks.token());
        let watching = self.inner.guard.clone();
        tasks.spawn("scheduler", async move {
            served.await;
            if let Some(guard) = watching {
                guard.watch(None);
            }
        });
    }

    /// Where executors register.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// Runs plans on the executors of this scheduler.
    pub fn runner(&self) -> ClusterRunner {
        ClusterRunner::new(self.clone())
    }

    /// Waits until `count` executors are registered.
    pub async fn wait_for_executors(&self, count: usize, deadline: Duration) -> Result<()> {
        let begun = self.inner.clock.monotonic();
        while self.executors().await?.len() < count {
            let waited = self.inner.clock.monotonic().saturating_sub(begun);
            if waited >= deadline {
                return Err(SchedulerError::NoExecutor { waited });
            }
            self.inner.clock.sleep(EXECUTOR_POLL).await;
        }
        Ok(())
    }

    /// Told by who supervises an executor and sees its process end: its jobs run again at once instead of after the
    /// heartbeat timeout.
    pub async fn executor_stopped(&self, id: &str, reason: &str) -> Result<()> {
        let manager = &self.inner.server.state.executor_manager;
        manager
            .remove_executor(id, Some(reason.to_owned()))
            .await
            .map_err(ballista("removing an executor"))?;
        // The same once more, after the drain grace, by Ballista's own path: it also ends jobs that nobody can run.
        let stopped = ExecutorStoppedParams {
            executor_id: id.to_owned(),
            reason: reason.to_owned(),
        };
        let told = self.inner.server.executor_stopped(tonic::Request::new(stopped)).await;
        told.map(|_| ())
            .map_err(|status| ballista("removing an executor")(status.into()))
    }

    /// What became of plans.
    pub fn history(&self) -> &History {
        &self.inner.history
    }

    /// Names of the jobs that run on the cluster now, as Ballista calls them.
    pub fn running(&self) -> Vec<String> {
        let jobs = self.inner.server.state.task_manager.get_running_job_cache();
        jobs.keys().map(|job| job.as_str().to_owned()).collect()
    }

    /// Whether any task of any job runs.
    pub(crate) async fn works(&self) -> bool {
        let jobs = self.inner.server.state.task_manager.get_running_job_cache();
        for job in jobs.values() {
            let graph = job.execution_graph.read().await;
            let mut tasks = graph
                .stages()
                .values()
                .flat_map(|stage| stage.task_infos().unwrap_or_default());
            if tasks.any(|task| matches!(task.task_status, task_status::Status::Running(_))) {
                return true;
            }
        }
        false
    }

    /// Ballista's own server, for tests that look into its graphs.
    #[doc(hidden)]
    pub fn ballista(&self) -> &Server {
        &self.inner.server
    }

    /// For how long nobody who takes tasks was heard of, for a plan that was there at `since`: who waits for an executor waits from the
    /// last sign of life of any, and so loses no time over finding out that it hangs.
    pub(crate) fn unheard(&self, since: Duration) -> Duration {
        let heard = self.guard().and_then(Guard::last_heard).unwrap_or(since);
        self.inner.clock.monotonic().saturating_sub(heard.max(since))
    }

    pub(crate) fn guard(&self) -> Option<&Guard> {
        self.inner.guard.as_deref()
    }

    /// How executors are reached.
    pub(crate) fn node_tls(&self) -> Option<&NodeTls> {
        self.inner.node_tls.as_ref()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    pub(crate) fn planner(&self) -> Planner {
        self.inner.planner
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }

    /// A session whose plans can be distributed over the cluster as it is now.
    pub(crate) async fn session(&self, asked: &SessionContext) -> Result<SessionContext> {
        cluster_session(&self.inner.engine, asked, self.partitions().await?, self.inner.planner)
    }

    /// How many partitions plans for the cluster have.
    pub(crate) async fn partitions(&self) -> Result<usize> {
        let executors = self.executors().await?;
        let takers = executors.iter().filter(|executor| !executor.draining);
        let vcores: u32 = takers.map(|executor| executor.vcores).sum();
        let vcores = usize::try_from(vcores).unwrap_or(PARTITIONS_MAX);
        let partitions = vcores.saturating_mul(self.inner.partitions_per_core);
        Ok(partitions.clamp(self.inner.partitions_min, PARTITIONS_MAX))
    }
}

/// A session whose plans can be distributed. Ballista's own builder is what makes it so: without its optimizer rules NOT
/// IN becomes a join that only one task may run.
pub(crate) fn cluster_session(
    engine: &Engine,
    asked: &SessionContext,
    partitions: usize,
    planner: Planner,
) -> Result<SessionContext> {
    let config = cluster_config(asked.copied_config())
        .with_ballista_adaptive_query_planner(planner == Planner::Adaptive)
        .with_target_partitions(partitions);
    let state = cluster_state(engine, config).map_err(|source| SchedulerError::Session {
        source: Box::new(source),
    })?;
    let session = SessionContext::new_with_state(state);
    engine.functions().register(&session);
    Ok(session)
}

fn configuration(
    options: &SchedulerOptions,
    address: SocketAddr,
    engine: &Engine,
    clock: &SharedClock,
) -> SchedulerConfig {
    let message = u32::try_from(GRPC_MESSAGE_BYTES_MAX).unwrap_or(u32::MAX);
    let mut config = SchedulerConfig {
        external_host: options.external_host.clone(),
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        scheduling_policy: TaskSchedulingPolicy::PushStaged,
        // The default fills one executor before it uses the next.
        task_distribution: TaskDistributionPolicy::RoundRobin,
        event_loop_buffer_size: EVENTS_MAX,
        executor_timeout_seconds: BALLISTA_TIMEOUT.as_secs(),
        expire_dead_executor_interval_seconds: REAPER_INTERVAL.as_secs(),
        no_executors_grace_period_seconds: BALLISTA_NO_EXECUTOR.as_secs(),
        executor_termination_grace_period: DRAIN_GRACE.as_secs(),
        finished_job_data_clean_up_interval_seconds: JOB_FILES_KEPT.as_secs(),
        finished_job_state_clean_up_interval_seconds: JOB_STATE_KEPT.as_secs(),
        grpc_server_max_decoding_message_size: message,
        grpc_server_max_encoding_message_size: message,
        grpc_client_max_message_size: message,
        override_connect: connect_by(options.node_tls.as_ref()),
        job_id_generator: Some(Arc::new(JobIds::new(
            &options.external_host,
            address.port(),
            clock.clone(),
        ))),
        override_physical_codec: Some(engine.physical_codec(Arc::new(BallistaPhysicalExtensionCodec::default()))),
        ..SchedulerConfig::default()
    };
    if options.unguarded {
        config.executor_termination_grace_period = 0;
    } else {
        // A shuffle file that cannot be fetched fails the job at once, for the same reason for which there is a guard.
        config.stage_max_failures = 1;
    }
    config
}

fn session_builder(engine: Engine) -> SessionBuilder {
    Arc::new(move |config| cluster_state(&engine, config))
}

fn cluster_state(engine: &Engine, config: SessionConfig) -> datafusion::common::Result<SessionState> {
    let state = default_session_builder(config)?;
    let rules = optimizer_rules(state.optimizers().to_vec());
    let physical = physical_rules(state.physical_optimizers());
    // Scans look their object stores up while they are planned.
    Ok(SessionStateBuilder::new_from_existing(state)
        .with_runtime_env(engine.runtime_env())
        .with_optimizer_rules(rules)
        .with_physical_optimizer_rules(physical)
        .with_physical_optimizer_rule(Arc::new(UntoldSides))
        .with_physical_optimizer_rule(Arc::new(SentPositions))
        .build())
}

fn cluster_config(asked: SessionConfig) -> SessionConfig {
    let mut config = asked
        .upgrade_for_ballista()
        .with_ballista_grpc_client_max_message_size(GRPC_MESSAGE_BYTES_MAX);
    // Wrong where there are NaN; the rule that mends it in a process (the engine's `exact_top`) is not among a cluster's.
    config.options_mut().optimizer.enable_topk_aggregation = false;
    // As in the engine's sessions.
    config.options_mut().optimizer.enable_window_limits = false;
    config
}

/// Names what Ballista was asked for when it fails.
pub(crate) fn ballista(operation: &'static str) -> impl FnOnce(BallistaError) -> SchedulerError {
    move |source| SchedulerError::Ballista {
        operation,
        source: Box::new(source),
    }
}
