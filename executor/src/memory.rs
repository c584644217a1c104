//! The runtime of a task: the engine's stores, caches and spill folder, with a memory pool of the task's own share.

use std::fmt;
use std::sync::Arc;

use ballista_executor::runtime_cache::SessionRuntimeCache;
use datafusion::error::Result;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;

/// Makes task runtimes out of the engine's.
pub(crate) struct TaskRuntimes {
    base: Arc<RuntimeEnv>,
    per_vcore_bytes: usize,
}

impl TaskRuntimes {
    /// `memory_bytes` is what all tasks together may use.
    pub(crate) fn new(base: Arc<RuntimeEnv>, memory_bytes: u64, vcores: usize) -> Self {
        let share = memory_bytes / vcores.max(1) as u64;
        Self {
            base,
            per_vcore_bytes: usize::try_from(share).unwrap_or(usize::MAX),
        }
    }

    /// The runtime of a task that takes up `vcores` virtual cores.
    pub(crate) fn runtime(&self, vcores: u32) -> Result<Arc<RuntimeEnv>> {
        let vcores = usize::try_from(vcores.max(1)).unwrap_or(usize::MAX);
        let pool = FairSpillPool::new(self.per_vcore_bytes.saturating_mul(vcores));
        RuntimeEnvBuilder::from_runtime_env(&self.base)
            .with_memory_pool(Arc::new(pool))
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
    use datafusion::execution::memory_pool::MemoryLimit;

    use super::*;

    // Goal: shares add up to no more than the whole. Method: the limit of a task of one and of all cores.
    #[test]
    fn a_task_has_its_share() {
        let runtimes = TaskRuntimes::new(Arc::new(RuntimeEnv::default()), 400, 4);
        for (vcores, limit) in [(0, 100), (1, 100), (4, 400)] {
            let runtime = runtimes.runtime(vcores).expect("a runtime");
            let found = runtime.memory_pool.memory_limit();
            assert!(
                matches!(found, MemoryLimit::Finite(bytes) if bytes == limit),
                "{vcores}"
            );
        }
    }
}
