//! One registration of an executor with its scheduler, from the first call to the last.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ballista_core::RuntimeProducer;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::protobuf::executor_status::Status;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{ExecutorRegistration, ExecutorStatus, ExecutorStoppedParams, HeartBeatParams};
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec, BallistaPhysicalExtensionCodec};
use ballista_core::utils::{GrpcClientConfig, create_grpc_client_endpoint, default_config_producer};
use ballista_executor::executor::{Executor as BallistaExecutor, TasksDrainedFuture};
use ballista_executor::executor_process::{ExecutorProcessConfig, structure_executor_metadata};
use ballista_executor::executor_server::{self, TERMINATING};
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::LoggingMetricsCollector;
use ballista_executor::shutdown::ShutdownNotifier;
use datafusion::execution::SessionStateDefaults;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use crate::error::{ExecutorError, Result};
use crate::memory::{TaskPools, TaskRuntimes};
use crate::options::ExecutorOptions;
use crate::ports::listen;
use crate::stage::StageEngine;
use crate::stops::Stops;
use tidewater_core::limits::GRPC_MESSAGE_BYTES_MAX;
use tidewater_core::{RemoteError, SharedClock};
use tidewater_engine::Engine;
use tidewater_engine::cluster::{call, connect_by, node_connections, tell_build};
use tidewater_security::NodeTls;

/// How often an executor says that it lives. Six of them fit into the scheduler's time limit, and it takes five that fail to
/// give the scheduler up.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Longest time a call to the scheduler may take.
const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// Longest time Ballista's own tasks are waited for after they were told to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// Most RPC stop requests that wait; the first ends the registration.
const STOP_REQUESTS_MAX: usize = 4;

/// In the text of a failure: our own error, rustls' of the other end's certificate, and what the other end says of ours.
const UNSUITED: [&str; 3] = ["NoNodeTls", "InvalidCertificate", "fatal alert"];

/// How a registration ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The scheduler gave the executor up, or the executor the scheduler.
    Lost,
    /// Another process schedules now.
    Moved,
    /// An operator let it go: it does not come back.
    Drained,
}

/// What every registration of an executor shares.
pub(crate) struct Place<'a> {
    pub(crate) options: &'a ExecutorOptions,
    pub(crate) flight_port: u16,
    pub(crate) shuffle: &'a Path,
    pub(crate) engine: &'a Engine,
    pub(crate) pools: &'a TaskPools,
    pub(crate) stops: &'a Stops,
    pub(crate) clock: &'a SharedClock,
    /// Host and port of the scheduler.
    pub(crate) scheduler: &'a (String, u16),
}

/// An executor that the scheduler knows and gives tasks to.
pub(crate) struct Registration {
    metadata: ExecutorRegistration,
    executor: Arc<BallistaExecutor>,
    scheduler: SchedulerGrpcClient<Channel>,
    notifier: ShutdownNotifier,
    stop_requests: mpsc::Receiver<bool>,
    server: JoinHandle<std::result::Result<(), BallistaError>>,
    clock: SharedClock,
    place: (String, u16),
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("id", &self.metadata.id)
            .finish_non_exhaustive()
    }
}

impl Registration {
    /// Connects and registers under a name that was never used before.
    pub(crate) async fn start(place: &Place<'_>, id: &str) -> Result<Self> {
        let tls = place.options.node_tls.as_ref();
        let scheduler = connect(place.scheduler, tls).await?;
        let (listener, grpc_port) = listen(place.options.bind, place.options.grpc_port).await?;
        let incoming = node_connections(listener, tls.cloned(), place.clock.clone());
        let config = Arc::new(process_config(place, id, grpc_port)?);
        let mut metadata = structure_executor_metadata(&config, u32::try_from(config.vcores).unwrap_or(u32::MAX));
        if let Some(system) = &mut metadata.os_info {
            system.os_ver_long = tell_build(&place.options.build);
        }
        let runtimes = Arc::new(TaskRuntimes::new(
            place.engine.runtime_env(),
            place.options.memory_bytes,
            config.vcores,
            place.pools.clone(),
        ));
        let fallback = runtimes.clone();
        let runtime_producer: RuntimeProducer = Arc::new(move |_| fallback.runtime(1));
        let executor = BallistaExecutor::new(
            metadata.clone(),
            config.work_dir.as_deref().unwrap_or_default(),
            runtime_producer,
            Arc::new(default_config_producer),
            Arc::new(functions(place.engine)),
            Arc::new(LoggingMetricsCollector::default()),
            config.vcores,
            Arc::new(StageEngine::new(
                tls,
                place.engine.runtime_env(),
                place.clock.clone(),
                place.stops.clone(),
            )),
        )
        .with_session_runtime_cache(Some(runtimes));
        let executor = Arc::new(executor);
        let physical = place
            .engine
            .physical_codec(Arc::new(BallistaPhysicalExtensionCodec::default()));
        let codec: BallistaCodec<LogicalPlanNode, PhysicalPlanNode> =
            BallistaCodec::new(Arc::new(BallistaLogicalExtensionCodec::default()), physical);
        let notifier = ShutdownNotifier::new();
        let (stop_sender, stop_requests) = mpsc::channel(STOP_REQUESTS_MAX);
        // Set by whoever drained before in this process, and never reset by Ballista.
        TERMINATING.store(false, Ordering::Release);
        let server = executor_server::startup_with_incoming(
            scheduler.clone(),
            config,
            executor.clone(),
            codec,
            stop_sender,
            &notifier,
            ExecutorHealth::new(),
            incoming,
        )
        .await
        .map_err(|source| match RemoteError::find(&format!("{source:?}")) {
            Some(source) => ExecutorError::Refused { source },
            None => failed("registering with the scheduler", place.scheduler, source),
        })?;
        Ok(Self {
            metadata,
            executor,
            scheduler,
            notifier,
            stop_requests,
            server,
            clock: place.clock.clone(),
            place: place.scheduler.clone(),
        })
    }

    /// Host and port of its scheduler.
    pub(crate) fn scheduler(&self) -> &(String, u16) {
        &self.place
    }

    /// Ends when this registration is worth nothing any more.
    pub(crate) async fn lost(&mut self) -> End {
        let mut given_up = self.notifier.subscribe_for_shutdown();
        let why = tokio::select! {
            // Ballista's heartbeats stop everything after five failures in a row.
            () = given_up.recv() => "the scheduler does not answer heartbeats",
            stop = self.stop_requests.recv() => match stop {
                // Ballista's scheduler stops what it took for dead with force; ours lets go without.
                Some(false) => return End::Drained,
                _ => "the scheduler took it for dead",
            },
            _ = &mut self.server => "its task server ended",
        };
        tracing::warn!(executor = %self.metadata.id, why, "executor lost its registration");
        End::Lost
    }

    /// Takes no new tasks, waits for the running ones and says goodbye.
    pub(crate) async fn drain(&mut self, deadline: Duration) {
        TERMINATING.store(true, Ordering::Release);
        let terminating = HeartBeatParams {
            executor_id: self.metadata.id.clone(),
            metrics: Vec::new(),
            status: Some(ExecutorStatus {
                status: Some(Status::Terminating(String::new())),
            }),
            metadata: Some(self.metadata.clone()),
        };
        let mut scheduler = self.scheduler.clone();
        self.call("terminating", scheduler.heart_beat_from_executor(terminating))
            .await;
        let mut given_up = self.notifier.subscribe_for_shutdown();
        tokio::select! {
            () = TasksDrainedFuture(self.executor.clone()) => {}
            // By the heartbeats that fail: the tasks are nobody's any more.
            () = given_up.recv() => tracing::info!(
                executor = %self.metadata.id,
                "the scheduler is gone, its tasks are not waited for",
            ),
            () = self.clock.sleep(deadline) => tracing::warn!(
                executor = %self.metadata.id,
                tasks = self.executor.active_task_count(),
                "tasks still run at the end of the drain, their jobs run again elsewhere",
            ),
        }
        let stopped = ExecutorStoppedParams {
            executor_id: self.metadata.id.clone(),
            reason: "drained".to_owned(),
        };
        let mut scheduler = self.scheduler.clone();
        self.call("stopped", scheduler.executor_stopped(stopped)).await;
    }

    async fn call<T>(&self, says: &str, call: impl Future<Output = std::result::Result<T, tonic::Status>>) {
        let error = tokio::select! {
            answer = call => match answer {
                Ok(_) => return,
                Err(status) => status.to_string(),
            },
            () = self.clock.sleep(CALL_DEADLINE) => "no answer in time".to_owned(),
        };
        // The scheduler often stops together with its executors.
        tracing::info!(executor = %self.metadata.id, says, error, "the scheduler was not told");
    }

    /// Stops Ballista's tasks of this registration.
    pub(crate) async fn end(self) {
        let ShutdownNotifier {
            notify_shutdown,
            mut shutdown_complete_rx,
            shutdown_complete_tx,
        } = self.notifier;
        let _nobody_may_listen = notify_shutdown.send(());
        drop(notify_shutdown);
        drop(shutdown_complete_tx);
        tokio::select! {
            _ = shutdown_complete_rx.recv() => {}
            () = self.clock.sleep(STOP_DEADLINE) => {}
        }
        // It would wait for the scheduler to close its connection.
        self.server.abort();
        TERMINATING.store(false, Ordering::Release);
    }
}

async fn connect(scheduler: &(String, u16), tls: Option<&NodeTls>) -> Result<SchedulerGrpcClient<Channel>> {
    let (host, port) = scheduler;
    let failed = |source: tonic::transport::Error| failed("connecting to the scheduler", scheduler, source.into());
    let url = format!("http://{host}:{port}");
    let config = GrpcClientConfig {
        max_message_size: GRPC_MESSAGE_BYTES_MAX,
        connect_timeout_seconds: CALL_DEADLINE.as_secs(),
        ..GrpcClientConfig::default()
    };
    let endpoint = create_grpc_client_endpoint(url, Some(&config)).map_err(failed)?;
    let channel = call(endpoint, tls.cloned()).await.map_err(failed)?;
    Ok(SchedulerGrpcClient::new(channel)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX))
}

/// A call that failed, told from one whose other end is not taken for a node or does not take this one for one.
fn failed(operation: &'static str, (host, port): &(String, u16), source: BallistaError) -> ExecutorError {
    // HTTP/2 keeps nothing but the text of what ended its connection.
    let text = format!("{source:?}");
    let source = Box::new(source);
    match UNSUITED.iter().any(|sign| text.contains(sign)) {
        true => ExecutorError::NotNodes {
            at: format!("{host}:{port}"),
            source,
        },
        false => ExecutorError::Ballista { operation, source },
    }
}

fn process_config(place: &Place<'_>, id: &str, grpc_port: u16) -> Result<ExecutorProcessConfig> {
    let Some(work_dir) = place.shuffle.to_str() else {
        return Err(ExecutorError::Options {
            reason: format!("working directory {} is not UTF-8", place.shuffle.display()),
        });
    };
    let limit = u32::try_from(GRPC_MESSAGE_BYTES_MAX).unwrap_or(u32::MAX);
    Ok(ExecutorProcessConfig {
        executor_id: id.to_owned(),
        bind_host: place.options.bind.to_string(),
        external_host: Some(place.options.external_host.clone()),
        port: place.flight_port,
        grpc_port,
        scheduler_host: place.scheduler.0.clone(),
        scheduler_port: place.scheduler.1,
        vcores: place.options.vcores,
        task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
        work_dir: Some(work_dir.to_owned()),
        grpc_max_decoding_message_size: limit,
        grpc_max_encoding_message_size: limit,
        override_connect: connect_by(place.options.node_tls.as_ref()),
        executor_heartbeat_interval_seconds: HEARTBEAT.as_secs(),
        ..ExecutorProcessConfig::default()
    })
}

/// Ballista's functions and the engine's. A plan names functions only, so they must be the same here as where it was made.
fn functions(engine: &Engine) -> BallistaFunctionRegistry {
    let mut registry = BallistaFunctionRegistry::default();
    // Ballista's own list has no functions over lists, structs and maps.
    for function in SessionStateDefaults::default_scalar_functions() {
        registry.scalar_functions.insert(function.name().to_owned(), function);
    }
    for function in engine.functions().scalar() {
        registry
            .scalar_functions
            .insert(function.name().to_owned(), function.clone());
    }
    for function in engine.functions().aggregate() {
        registry
            .aggregate_functions
            .insert(function.name().to_owned(), function.clone());
    }
    for function in engine.functions().window() {
        registry
            .window_functions
            .insert(function.name().to_owned(), function.clone());
    }
    registry
}
