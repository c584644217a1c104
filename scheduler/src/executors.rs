//! The executors of a scheduler as operators see them, and how one is let go.

use std::time::Duration;

use ballista_core::serde::protobuf::StopExecutorParams;
use ballista_core::serde::protobuf::executor_grpc_client::ExecutorGrpcClient;
use ballista_core::serde::protobuf::executor_status::Status;
use ballista_core::serde::protobuf::task_status;
use ballista_core::utils::create_grpc_client_endpoint;
use serde::Serialize;

use crate::error::{Result, SchedulerError};
use crate::scheduler::{Scheduler, ballista};
use tidewater_engine::cluster::{build_of, call};

/// How often it is looked whether an executor that drains has ended its work.
const DRAIN_POLL: Duration = Duration::from_millis(200);

/// Longest time an executor may take to hear that it may go.
const GOODBYE_DEADLINE: Duration = Duration::from_secs(5);

/// An executor as the scheduler knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExecutorInfo {
    /// Its name.
    pub id: String,
    /// Its host.
    pub host: String,
    /// Where it serves shuffle files.
    pub flight_port: u16,
    /// Where it takes tasks.
    pub grpc_port: u16,
    /// Tasks it runs at the same time.
    pub vcores: u32,
    /// Which build it is.
    pub build: String,
    /// Its last sign of life, in seconds since the Unix epoch.
    pub last_heartbeat_s: u64,
    /// Takes no tasks any more.
    pub draining: bool,
}

/// What an executor has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ExecutorLoad {
    /// Tasks that run.
    pub tasks: usize,
    /// Virtual cores that they take up.
    pub vcores: u32,
    /// Jobs that run tasks there or read what tasks left there.
    pub jobs: usize,
}

/// How an executor was let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drained {
    /// The executor.
    pub executor: String,
    /// What was left of its work at the deadline: jobs that run again elsewhere.
    pub left: ExecutorLoad,
}

impl Scheduler {
    /// Every executor that is registered.
    pub async fn executors(&self) -> Result<Vec<ExecutorInfo>> {
        let manager = &self.ballista().state.executor_manager;
        let known = manager.get_executors_state().await;
        let known = known.map_err(ballista("listing executors"))?;
        let mut executors: Vec<ExecutorInfo> = known
            .into_iter()
            .map(|(executor, heartbeat, _)| {
                let status = manager.get_executor_hearbeat(&executor.id).and_then(|h| h.status);
                let stops = matches!(status.and_then(|s| s.status), Some(Status::Terminating(_)));
                let drains = self.guard().is_some_and(|guard| guard.drains(&executor.id));
                ExecutorInfo {
                    draining: stops || drains,
                    build: build_of(&executor.os_info.os_ver_long).unwrap_or_default().to_owned(),
                    id: executor.id,
                    host: executor.host,
                    flight_port: executor.port,
                    grpc_port: executor.grpc_port,
                    vcores: executor.specification.vcores,
                    last_heartbeat_s: heartbeat.map_or(0, |h| h.as_secs()),
                }
            })
            .collect();
        executors.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(executors)
    }

    /// What an executor has to do now.
    pub async fn load_of(&self, executor: &str) -> ExecutorLoad {
        let mut load = ExecutorLoad::default();
        let jobs = self.ballista().state.task_manager.get_running_job_cache();
        for job in jobs.values() {
            let graph = job.execution_graph.read().await;
            let stages = graph.stages().values();
            let tasks = stages.flat_map(|stage| stage.task_infos().unwrap_or_default());
            let (mut runs, mut left) = (0, false);
            for task in tasks {
                match &task.task_status {
                    task_status::Status::Running(running) if running.executor_id == executor => {
                        runs += 1;
                        load.vcores += task.vcores_consumed;
                    }
                    task_status::Status::Successful(done) if done.executor_id == executor => left = true,
                    _ => {}
                }
            }
            load.tasks += runs;
            load.jobs += usize::from(left || runs > 0);
        }
        load
    }

    /// The one executor whose name begins so.
    pub async fn executor_named(&self, name: &str) -> Result<ExecutorInfo> {
        let mut found = self.executors().await?;
        found.retain(|executor| executor.id.starts_with(name));
        match (found.len(), found.pop()) {
            (1, Some(executor)) => Ok(executor),
            (count, _) => Err(SchedulerError::ExecutorName {
                name: name.to_owned(),
                found: count,
            }),
        }
    }

    /// Gives an executor no more tasks, waits for those that run and for the jobs that read what it made, and lets it go. What
    /// is left at the deadline runs again elsewhere. Dropped half-way, the executor stays without new tasks.
    pub async fn drain(&self, name: &str, deadline: Duration) -> Result<Drained> {
        let executor = self.executor_named(name).await?;
        if let Some(guard) = self.guard()
            && guard.drain(&executor.id)
        {
            tracing::info!(executor = executor.id, ?deadline, "executor drains");
        }
        let begun = self.clock().monotonic();
        let left = loop {
            let load = self.load_of(&executor.id).await;
            let late = self.clock().monotonic().saturating_sub(begun) >= deadline;
            if load == ExecutorLoad::default() || late {
                break load;
            }
            self.clock().sleep(DRAIN_POLL).await;
        };
        self.say_goodbye(&executor).await;
        let reason = "drained";
        self.ballista()
            .state
            .executor_manager
            .remove_executor(&executor.id, Some(reason.to_owned()))
            .await
            .map_err(ballista("removing an executor"))?;
        tracing::info!(
            executor = executor.id,
            tasks = left.tasks,
            jobs = left.jobs,
            "executor drained"
        );
        Ok(Drained {
            executor: executor.id,
            left,
        })
    }

    /// Tells the executor that it may stop asking for work. One that does not hear is off the list all the same.
    async fn say_goodbye(&self, executor: &ExecutorInfo) {
        let url = format!("http://{}:{}", executor.host, executor.grpc_port);
        let goodbye = async {
            let endpoint = create_grpc_client_endpoint(url, None).map_err(|error| error.to_string())?;
            let channel = call(endpoint, self.node_tls().cloned())
                .await
                .map_err(|error| error.to_string())?;
            let stop = StopExecutorParams {
                executor_id: executor.id.clone(),
                reason: "drained".to_owned(),
                // What Ballista sends to one that it gave up is with force.
                force: false,
            };
            let told = ExecutorGrpcClient::new(channel).stop_executor(stop).await;
            told.map_err(|error| error.to_string())
        };
        tokio::select! {
            told = goodbye => if let Err(error) = told {
                tracing::warn!(executor = executor.id, error, "a drained executor was not told");
            },
            () = self.clock().sleep(GOODBYE_DEADLINE) => {
                tracing::warn!(executor = executor.id, "a drained executor does not answer");
            }
        }
    }

    /// Executors that take tasks now.
    pub async fn has_executors(&self) -> bool {
        match self.executors().await {
            Ok(executors) => executors.iter().any(|executor| !executor.draining),
            Err(error) => {
                tracing::warn!(%error, "executors cannot be listed");
                false
            }
        }
    }
}
