//! Cancels every job that a lost executor had a part in, before Ballista tries to repair it; the runner submits it again.
//!
//! Ballista 55.0 repairs a job stage by stage and gets it wrong once a stage that reads a shuffle has begun: rows are
//! counted twice with status "successful", or the job never ends. Its order of work leaves one safe place. It takes an
//! executor out of the cluster state first and queues the repair after that, so a cancellation that is queued from within
//! the removal is always handled before the repair, which then finds nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::{BallistaError, Result};
use ballista_core::serde::protobuf::{ExecutorHeartbeat, task_status};
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::memory::InMemoryClusterState;
use ballista_scheduler::cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::execution_stage::TaskInfo;
use ballista_scheduler::state::task_manager::JobInfoCache;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};

use crate::error::SchedulerError;
use tidewater_core::{Coded, RemoteError};
use tidewater_engine::cluster::build_of;

/// Ballista's scheduler for DataFusion's plans.
pub(crate) type Server = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// Names kept of what was lost or cancelled. Each is asked for within seconds; far more than fit into that time.
const REMEMBERED_MAX: usize = 4096;

/// Ballista's cluster state, with the guard in the path of every removal.
pub(crate) struct Guard {
    inner: InMemoryClusterState,
    build: String,
    /// Known only after the scheduler was made with this state; taken away when it stops, as the two hold each other.
    server: Mutex<Option<Server>>,
    lost: Mutex<Recent<String>>,
    cancelled: Mutex<Recent<JobId>>,
    /// Executors that take no new tasks.
    draining: Mutex<HashSet<String>>,
    /// Executors at whose address another has registered since: their processes are gone.
    superseded: Mutex<Vec<String>>,
    /// Executors of other builds, as they are told of only once.
    refused: Mutex<Recent<String>>,
}

impl Guard {
    /// Lets executors of this build in.
    pub(crate) fn new(build: String) -> Self {
        Self {
            inner: InMemoryClusterState::default(),
            build,
            server: Mutex::new(None),
            lost: Mutex::default(),
            cancelled: Mutex::default(),
            draining: Mutex::default(),
            superseded: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// From now on, jobs of this scheduler are guarded; of none with `None`.
    pub(crate) fn watch(&self, server: Option<Server>) {
        *lock(&self.server) = server;
    }

    /// Whether the guard cancelled this job. Forgets the answer.
    pub(crate) fn take_cancelled(&self, job: &JobId) -> bool {
        lock(&self.cancelled).remove(job)
    }

    /// From now on the executor gets no tasks. False: it drains already.
    pub(crate) fn drain(&self, executor: &str) -> bool {
        lock(&self.draining).insert(executor.to_owned())
    }

    /// Whether the executor gets no tasks.
    pub(crate) fn drains(&self, executor: &str) -> bool {
        lock(&self.draining).contains(executor)
    }

    /// Executors whose place others have taken. Forgets the answer.
    pub(crate) fn take_superseded(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.superseded))
    }

    fn check_build(&self, metadata: &ExecutorMetadata) -> std::result::Result<(), SchedulerError> {
        let theirs = build_of(&metadata.os_info.os_ver_long).unwrap_or("unknown");
        if theirs == self.build {
            return Ok(());
        }
        Err(SchedulerError::OtherBuild {
            executor: metadata.id.clone(),
            theirs: theirs.to_owned(),
            ours: self.build.clone(),
        })
    }

    /// Tells the executor, in the text that is all Ballista sends.
    fn refuse(&self, metadata: &ExecutorMetadata, error: &SchedulerError) -> BallistaError {
        // It asks again and again; its address stays, its name does not.
        let place = format!("{}:{} {}", metadata.host, metadata.port, error.code());
        let mut refused = lock(&self.refused);
        if !refused.contains(&place) {
            refused.insert(place);
            tracing::warn!(%error, code = error.code(), hint = error.hint(), "an executor is refused");
        }
        BallistaError::General(RemoteError::of(error).to_text())
    }

    async fn cancel(&self, server: &Server, job: &JobId, executor: &str) -> Result<()> {
        tracing::info!(ballista_job = %job, executor, "cancelled to be run again: its executor is lost");
        lock(&self.cancelled).insert(job.clone());
        server.cancel_job(job.clone()).await
    }

    async fn cancel_jobs_of(&self, executor: &str) -> Result<()> {
        let server = lock(&self.server).clone();
        let Some(server) = server else {
            return Ok(());
        };
        for (job, info) in server.state.task_manager.get_running_job_cache().iter() {
            if has_part(info, executor).await {
                self.cancel(&server, job, executor).await?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// Whether a task of the job runs on the executor or has left its files there.
async fn has_part(job: &JobInfoCache, executor: &str) -> bool {
    let graph = job.execution_graph.read().await;
    graph
        .stages()
        .values()
        .flat_map(|stage| stage.task_infos().unwrap_or_default())
        .any(|task| executor_of(task) == Some(executor))
}

fn executor_of(task: &TaskInfo) -> Option<&str> {
    match &task.task_status {
        task_status::Status::Running(task) => Some(&task.executor_id),
        task_status::Status::Successful(task) => Some(&task.executor_id),
        task_status::Status::Failed(_) => None,
    }
}

#[async_trait]
impl ClusterState for Guard {
    /// Marks the executor before it looks for jobs: a binding of tasks that runs at the same time either shows in the
    /// graphs already or sees the mark afterwards.
    async fn remove_executor(&self, executor_id: &str) -> Result<()> {
        lock(&self.lost).insert(executor_id.to_owned());
        self.cancel_jobs_of(executor_id).await?;
        lock(&self.draining).remove(executor_id);
        self.inner.remove_executor(executor_id).await
    }

    async fn bind_schedulable_tasks(
        &self,
        distribution: TaskDistributionPolicy,
        active_jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
        let executors = executors.map(|mut executors| {
            let draining = lock(&self.draining);
            executors.retain(|executor| !draining.contains(executor));
            executors
        });
        let bound = self
            .inner
            .bind_schedulable_tasks(distribution, active_jobs, executors)
            .await?;
        let mut orphaned = HashMap::new();
        {
            let lost = lock(&self.lost);
            for (executor, task) in &bound {
                if lost.contains(executor) {
                    orphaned.insert(task.key.job_id.clone(), executor.clone());
                }
            }
        }
        let server = lock(&self.server).clone();
        if let Some(server) = server {
            for (job, executor) in orphaned {
                self.cancel(&server, &job, &executor).await?;
            }
        }
        Ok(bound)
    }

    async fn unbind_tasks(&self, executor_slots: Vec<ExecutorSlot>) -> Result<()> {
        self.inner.unbind_tasks(executor_slots).await
    }

    async fn register_executor(&self, metadata: ExecutorMetadata, spec: ExecutorData) -> Result<()> {
        if let Err(error) = self.check_build(&metadata) {
            return Err(self.refuse(&metadata, &error));
        }
        for other in self.inner.registered_executor_metadata().await {
            let same_place = (&other.host, other.grpc_port) == (&metadata.host, metadata.grpc_port);
            if same_place && other.id != metadata.id {
                lock(&self.superseded).push(other.id);
            }
        }
        self.inner.register_executor(metadata, spec).await
    }

    /// One that was given up too early still works on tasks that others do again, and one that comes from a scheduler that is no more, on
    /// tasks that nobody waits for, in places that would be given away as free ones. It learns by this that it has to begin anew, under a
    /// new name and with nothing.
    async fn may_return(&self, metadata: &ExecutorMetadata) -> Result<()> {
        let executor = metadata.id.clone();
        let error = match self.check_build(metadata) {
            Ok(()) => SchedulerError::GivenUp { executor },
            Err(of_another_build) => of_another_build,
        };
        Err(self.refuse(metadata, &error))
    }

    async fn init(&self) -> Result<()> {
        self.inner.init().await
    }

    async fn save_executor_metadata(&self, metadata: ExecutorMetadata) -> Result<()> {
        self.inner.save_executor_metadata(metadata).await
    }

    async fn get_executor_metadata(&self, executor_id: &str) -> Result<ExecutorMetadata> {
        self.inner.get_executor_metadata(executor_id).await
    }

    async fn registered_executor_metadata(&self) -> Vec<ExecutorMetadata> {
        self.inner.registered_executor_metadata().await
    }

    async fn save_executor_heartbeat(&self, heartbeat: ExecutorHeartbeat) -> Result<()> {
        self.inner.save_executor_heartbeat(heartbeat).await
    }

    fn executor_heartbeats(&self) -> HashMap<String, ExecutorHeartbeat> {
        self.inner.executor_heartbeats()
    }

    fn get_executor_heartbeat(&self, executor_id: &str) -> Option<ExecutorHeartbeat> {
        self.inner.get_executor_heartbeat(executor_id)
    }

    async fn cluster_state_events(&self) -> Result<ClusterStateEventStream> {
        self.inner.cluster_state_events().await
    }
}

/// The newest names; the oldest is forgotten when there are [`REMEMBERED_MAX`].
struct Recent<T> {
    order: VecDeque<T>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { order: VecDeque::new() }
    }
}

impl<T: PartialEq> Recent<T> {
    fn insert(&mut self, name: T) {
        if self.order.contains(&name) {
            return;
        }
        if self.order.len() >= REMEMBERED_MAX {
            self.order.pop_front();
        }
        self.order.push_back(name);
    }

    fn contains(&self, name: &T) -> bool {
        self.order.contains(name)
    }

    fn remove(&mut self, name: &T) -> bool {
        let before = self.order.len();
        self.order.retain(|kept| kept != name);
        self.order.len() < before
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::scheduler::{ExecutorOperatingSystemSpecification, ExecutorSpecification};
    use tidewater_engine::cluster::tell_build;

    use super::*;

    // Goal: who is not on the list has to register and does not get there by a heartbeat; it is told why. Method: an executor of this
    // build and one of another.
    #[tokio::test]
    async fn nobody_comes_back_by_a_heartbeat() {
        let guard = Guard::new("ours".to_owned());
        for (build, code) in [("ours", "SCH-0019"), ("another", "SCH-0017")] {
            let executor = ExecutorMetadata {
                id: "old".to_owned(),
                host: "localhost".to_owned(),
                port: 1,
                grpc_port: 2,
                specification: ExecutorSpecification::default(),
                os_info: ExecutorOperatingSystemSpecification {
                    os_ver_long: tell_build(build),
                    ..ExecutorOperatingSystemSpecification::default()
                },
            };
            let refused = guard.may_return(&executor).await.expect_err("it is not known");
            let told = RemoteError::find(&refused.to_string()).expect("an error of ours");
            assert_eq!(told.code, code);
        }
        assert!(guard.registered_executor_metadata().await.is_empty());
    }

    // Goal: what is remembered has a limit, and the newest wins. Method: one more than fit.
    #[test]
    fn the_oldest_is_forgotten() {
        let mut recent = Recent::default();
        for name in 0..=REMEMBERED_MAX {
            recent.insert(name);
        }
        assert!(!recent.contains(&0));
        assert!(recent.remove(&REMEMBERED_MAX));
        assert!(!recent.remove(&REMEMBERED_MAX));
    }
}
