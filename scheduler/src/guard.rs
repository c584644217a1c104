//! Cancels every job that a lost executor had a part in, before Ballista tries to repair it; the runner submits it again.
//!
//! Ballista 55.0 repairs a job stage by stage and gets it wrong once a stage that reads a shuffle has begun: rows are
//! counted twice with status "successful", or the job never ends. Its order of work leaves one safe place. It takes an
//! executor out of the cluster state first and queues the repair after that, so a cancellation that is queued from within
//! the removal is always handled before the repair, which then finds nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::{BallistaError, Result};
use ballista_core::serde::protobuf::{ExecutorHeartbeat, executor_status, task_status};
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::memory::InMemoryClusterState;
use ballista_scheduler::cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::execution_stage::TaskInfo;
use ballista_scheduler::state::task_manager::JobInfoCache;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};

use crate::error::SchedulerError;
use tidewater_core::{Coded, RemoteError, SharedClock};
use tidewater_engine::cluster::build_of;

/// Ballista's scheduler for DataFusion's plans.
pub(crate) type Server = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// Names kept of what was lost or cancelled. Each is asked for within seconds; far more than fit into that time.
const REMEMBERED_MAX: usize = 4096;

/// Ballista's cluster state, with the guard in the path of every removal.
pub(crate) struct Guard {
    inner: InMemoryClusterState,
    build: String,
    clock: SharedClock,
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
    heard: Mutex<Heard>,
    /// Places of each executor that tasks have.
    bound: Mutex<HashMap<String, u32>>,
}

/// When executors gave a sign of life, in time of the clock that never goes back.
#[derive(Default)]
struct Heard {
    /// The last one of each that is on the list.
    of: HashMap<String, Duration>,
    /// The last one of any that took tasks, on the list or not.
    last: Option<Duration>,
}

impl Guard {
    /// Lets executors of this build in.
    pub(crate) fn new(build: String, clock: SharedClock) -> Self {
        Self {
            inner: InMemoryClusterState::default(),
            build,
            clock,
            server: Mutex::new(None),
            lost: Mutex::default(),
            cancelled: Mutex::default(),
            draining: Mutex::default(),
            superseded: Mutex::default(),
            refused: Mutex::default(),
            heard: Mutex::default(),
            bound: Mutex::default(),
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

    /// When the executor was heard of last.
    pub(crate) fn heard_of(&self, executor: &str) -> Option<Duration> {
        lock(&self.heard).of.get(executor).copied()
    }

    /// When any executor that took tasks was heard of last, also one that is lost by now.
    pub(crate) fn last_heard(&self) -> Option<Duration> {
        lock(&self.heard).last
    }

    /// As many places as tasks have. Those of a task that was bound and not sent when its job was cancelled are given back twice, by who
    /// cancels and by who cannot send it (Ballista 55.0), and its executor would get more tasks from then on than it has places.
    fn given_back(&self, slots: Vec<ExecutorSlot>) -> Vec<ExecutorSlot> {
        let mut bound = lock(&self.bound);
        let mut back = Vec::with_capacity(slots.len());
        for (executor, places) in slots {
            let had = bound.get_mut(&executor);
            let places = had.map_or(0, |had| {
                let places = places.min(*had);
                *had -= places;
                places
            });
            if places > 0 {
                back.push((executor, places));
            }
        }
        back
    }

    fn hear(&self, executor: &str, takes_tasks: bool) {
        let now = self.clock.monotonic();
        let takes_tasks = takes_tasks && !self.drains(executor);
        let mut heard = lock(&self.heard);
        // A heartbeat that was on its way when the executor was taken off the list.
        if lock(&self.lost).contains(&executor.to_owned()) {
            return;
        }
        heard.of.insert(executor.to_owned(), now);
        if takes_tasks {
            heard.last = Some(now);
        }
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

/// Whether it says that it takes no tasks any more.
fn stops(heartbeat: &ExecutorHeartbeat) -> bool {
    let status = heartbeat.status.as_ref().and_then(|status| status.status.as_ref());
    matches!(status, Some(executor_status::Status::Terminating(_)))
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
        lock(&self.heard).of.remove(executor_id);
        lock(&self.bound).remove(executor_id);
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
        {
            let mut places = lock(&self.bound);
            for (executor, task) in &bound {
                *places.entry(executor.clone()).or_default() += task.vcores_consumed;
            }
        }
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
        self.inner.unbind_tasks(self.given_back(executor_slots)).await
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
        let executor = metadata.id.clone();
        self.inner.register_executor(metadata, spec).await?;
        self.hear(&executor, true);
        Ok(())
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
        self.hear(&heartbeat.executor_id, !stops(&heartbeat));
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
    use ballista_core::serde::protobuf::ExecutorStatus;
    use ballista_core::serde::scheduler::{ExecutorOperatingSystemSpecification, ExecutorSpecification};
    use tidewater_core::ManualClock;
    use tidewater_engine::cluster::tell_build;

    use super::*;

    fn executor(id: &str, build: &str) -> ExecutorMetadata {
        ExecutorMetadata {
            id: id.to_owned(),
            host: "localhost".to_owned(),
            port: 1,
            grpc_port: 2,
            specification: ExecutorSpecification::default(),
            os_info: ExecutorOperatingSystemSpecification {
                os_ver_long: tell_build(build),
                ..ExecutorOperatingSystemSpecification::default()
            },
        }
    }

    fn heartbeat(id: &str, status: executor_status::Status) -> ExecutorHeartbeat {
        ExecutorHeartbeat {
            executor_id: id.to_owned(),
            status: Some(ExecutorStatus { status: Some(status) }),
            ..ExecutorHeartbeat::default()
        }
    }

    // Goal: no more places are given back than tasks have, of each executor for itself. Method: two executors with tasks, of which one's
    // places come back twice, and one that nobody knows.
    #[test]
    fn places_come_back_once() {
        let guard = Guard::new("build".to_owned(), Arc::new(ManualClock::new(0)));
        lock(&guard.bound).extend([("a".to_owned(), 3), ("b".to_owned(), 1)]);
        let slot = |executor: &str, places| (executor.to_owned(), places);
        assert_eq!(
            guard.given_back(vec![slot("a", 2), slot("b", 1)]),
            [slot("a", 2), slot("b", 1)]
        );
        assert_eq!(
            guard.given_back(vec![slot("a", 2), slot("b", 1), slot("c", 1)]),
            [slot("a", 1)]
        );
        assert!(guard.given_back(vec![slot("a", 1)]).is_empty());
    }

    // Goal: who is not on the list has to register and does not get there by a heartbeat; it is told why. Method: an executor of this
    // build and one of another.
    #[tokio::test]
    async fn nobody_comes_back_by_a_heartbeat() {
        let guard = Guard::new("ours".to_owned(), Arc::new(ManualClock::new(0)));
        for (build, code) in [("ours", "SCH-0019"), ("another", "SCH-0017")] {
            let refused = guard.may_return(&executor("old", build)).await;
            let refused = refused.expect_err("it is not known");
            let told = RemoteError::find(&refused.to_string()).expect("an error of ours");
            assert_eq!(told.code, code);
        }
        assert!(guard.registered_executor_metadata().await.is_empty());
    }

    // Goal: the last sign of life of anybody who takes tasks outlives him, and neither one who stops nor one who is lost gives another.
    // Method: an executor that registers, lives, stops and is taken off the list, on a clock that is moved.
    #[tokio::test]
    async fn the_last_sign_of_life_is_kept() {
        let (clock, second) = (Arc::new(ManualClock::new(0)), Duration::from_secs(1));
        let guard = Guard::new("ours".to_owned(), clock.clone());
        assert_eq!((guard.last_heard(), guard.heard_of("one")), (None, None));
        let spec = ExecutorData {
            executor_id: "one".to_owned(),
            total_vcores: 2,
            available_vcores: 2,
        };
        clock.advance(second);
        guard
            .register_executor(executor("one", "ours"), spec)
            .await
            .expect("of this build");
        assert_eq!(guard.last_heard(), Some(second));
        clock.advance(second);
        let lives = heartbeat("one", executor_status::Status::Active(String::new()));
        guard.save_executor_heartbeat(lives.clone()).await.expect("kept");
        assert_eq!(guard.heard_of("one"), Some(second * 2));
        clock.advance(second);
        let stops = heartbeat("one", executor_status::Status::Terminating(String::new()));
        guard.save_executor_heartbeat(stops).await.expect("kept");
        assert_eq!(guard.heard_of("one"), Some(second * 3));
        assert_eq!(guard.last_heard(), Some(second * 2));
        guard.remove_executor("one").await.expect("removed");
        guard.save_executor_heartbeat(lives).await.expect("kept");
        assert_eq!((guard.last_heard(), guard.heard_of("one")), (Some(second * 2), None));
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
