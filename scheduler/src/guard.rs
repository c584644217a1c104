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
use ballista_core::error::Result;
use ballista_core::serde::protobuf::{ExecutorHeartbeat, task_status};
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::memory::InMemoryClusterState;
use ballista_scheduler::cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::execution_stage::TaskInfo;
use ballista_scheduler::state::task_manager::JobInfoCache;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};

/// Ballista's scheduler for DataFusion's plans.
pub(crate) type Server = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// Names kept of what was lost or cancelled. Each is asked for within seconds; far more than fit into that time.
const REMEMBERED_MAX: usize = 4096;

/// Ballista's cluster state, with the guard in the path of every removal.
pub(crate) struct Guard {
    inner: InMemoryClusterState,
    /// Known only after the scheduler was made with this state; taken away when it stops, as the two hold each other.
    server: Mutex<Option<Server>>,
    lost: Mutex<Recent<String>>,
    cancelled: Mutex<Recent<JobId>>,
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self {
            inner: InMemoryClusterState::default(),
            server: Mutex::new(None),
            lost: Mutex::default(),
            cancelled: Mutex::default(),
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
        self.inner.remove_executor(executor_id).await
    }

    async fn bind_schedulable_tasks(
        &self,
        distribution: TaskDistributionPolicy,
        active_jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
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
        // One that was given up too early comes back under its old name.
        lock(&self.lost).remove(&metadata.id);
        self.inner.register_executor(metadata, spec).await
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
    use super::*;

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
