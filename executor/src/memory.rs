//! The runtime of a task: the engine's stores, caches and spill folder, with a memory pool of the task's own share.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ballista_executor::runtime_cache::SessionRuntimeCache;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;

/// What the tasks of an executor hold now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskLoad {
    /// Tasks whose work is not over: also of those that were cancelled and have not let go of everything yet.
    pub tasks: usize,
    /// Memory that they have reserved, in bytes.
    pub memory_bytes: usize,
}

/// The memory pools of the tasks. Each is there as long as anything of its task is, whether or not somebody waits for it. Clones are
/// the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskPools(Arc<Mutex<Vec<Weak<dyn MemoryPool>>>>);

impl TaskPools {
    /// What they hold.
    pub(crate) fn load(&self) -> TaskLoad {
        let pools: Vec<Arc<dyn MemoryPool>> = self.lock().iter().filter_map(Weak::upgrade).collect();
        TaskLoad {
            tasks: pools.len(),
            memory_bytes: pools.iter().map(|pool| pool.reserved()).sum(),
        }
    }

    fn add(&self, pool: &Arc<dyn MemoryPool>) {
        let mut pools = self.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn MemoryPool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes task runtimes out of the engine's.
pub(crate) struct TaskRuntimes {
    base: Arc<RuntimeEnv>,
    per_vcore_bytes: usize,
    pools: TaskPools,
}

impl TaskRuntimes {
    /// `memory_bytes` is what all tasks together may use; what they do use, `pools` can tell.
    pub(crate) fn new(base: Arc<RuntimeEnv>, memory_bytes: u64, vcores: usize, pools: TaskPools) -> Self {
        let share = memory_bytes / vcores.max(1) as u64;
        Self {
            base,
            per_vcore_bytes: usize::try_from(share).unwrap_or(usize::MAX),
            pools,
        }
    }

    /// The runtime of a task that takes up `vcores` virtual cores.
    pub(crate) fn runtime(&self, vcores: u32) -> Result<Arc<RuntimeEnv>> {
        let vcores = usize::try_from(vcores.max(1)).unwrap_or(usize::MAX);
        let pool = FairSpillPool::new(self.per_vcore_bytes.saturating_mul(vcores));
        let pool: Arc<dyn MemoryPool> = Arc::new(pool);
        self.pools.add(&pool);
        RuntimeEnvBuilder::from_runtime_env(&self.base)
            .with_memory_pool(pool)
            .build_arc()
    }
}

impl fmt::Debug for TaskRuntimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRuntimes")
            .field("per_vcore_bytes", &self.per_vcore_bytes)
            .finish_non_exhaustive()
    }
}

impl SessionRuntimeCache for TaskRuntimes {
    fn produce_runtime(&self, _: &str, _: &SessionConfig, vcores_consumed: u32) -> Result<Arc<RuntimeEnv>> {
        self.runtime(vcores_consumed)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit};

    use super::*;

    // Goal: shares add up to no more than the whole. Method: the limit of a task of one and of all cores.
    #[test]
    fn a_task_has_its_share() {
        let runtimes = TaskRuntimes::new(Arc::new(RuntimeEnv::default()), 400, 4, TaskPools::default());
        for (vcores, limit) in [(0, 100), (1, 100), (4, 400)] {
            let runtime = runtimes.runtime(vcores).expect("a runtime");
            let found = runtime.memory_pool.memory_limit();
            assert!(
                matches!(found, MemoryLimit::Finite(bytes) if bytes == limit),
                "{vcores}"
            );
        }
    }

    // Goal: a task is told of until nothing of it is left. Method: two tasks; of one only its memory stays, as after a cancellation.
    #[test]
    fn tasks_are_told_of_until_their_memory_is_free() {
        let pools = TaskPools::default();
        let runtimes = TaskRuntimes::new(Arc::new(RuntimeEnv::default()), 400, 4, pools.clone());
        let told = || (pools.load().tasks, pools.load().memory_bytes);
        assert_eq!(told(), (0, 0));
        let [first, second] = [1, 2].map(|vcores| runtimes.runtime(vcores).expect("a runtime"));
        let held = MemoryConsumer::new("test").register(&first.memory_pool);
        held.grow(70);
        assert_eq!(told(), (2, 70));
        drop((first, second));
        assert_eq!(told(), (1, 70));
        drop(held);
        assert_eq!(told(), (0, 0));
    }
}
