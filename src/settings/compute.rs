//! Settings of what computes: the engine, the scheduler and executors.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use tidewater_scheduler::{AdmissionLimits, ClassLimits};

use super::loopback;

/// Query memory and parallelism.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EngineSettings {
    pub(crate) memory_bytes: usize,
    /// Disk that queries may take for what does not fit.
    pub(crate) spill_bytes_max: u64,
    /// Partitions a query is cut into; 0 means one for each core.
    pub(crate) target_partitions: usize,
    /// A query whose tables have no more rows than this together is not cut.
    pub(crate) one_thread_rows: u64,
}

/// The scheduler of distributed jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SchedulerSettings {
    pub(crate) listen: SocketAddr,
    /// Host name by which executors reach this process; empty means the address of `listen`.
    pub(crate) advertise: String,
    /// Scheduler and executors ask nobody who they are. Set, they may listen beyond loopback all the same: only where
    /// nobody but tidewater reaches their ports.
    pub(crate) trusted_network: bool,
    /// Queries that read more than this go to the executors: after pruning, and of the columns that they name.
    pub(crate) local_bytes_max: u64,
    /// Partitions of a query on the executors for each of their cores.
    pub(crate) partitions_per_core: usize,
}

/// How many plans run and wait in a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdmissionSettings {
    /// Plans of all classes that run at the same time.
    pub(crate) running_max: usize,
    pub(crate) interactive: ClassSettings,
    pub(crate) batch: ClassSettings,
    pub(crate) maintenance: ClassSettings,
}

/// One class of plans.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClassSettings {
    pub(crate) running_max: Option<usize>,
    pub(crate) queued_max: Option<usize>,
    pub(crate) wait_max_s: Option<u64>,
    pub(crate) weight: Option<usize>,
    pub(crate) user_running_max: Option<usize>,
    pub(crate) user_queued_max: Option<usize>,
}

/// An executor of distributed jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExecutorSettings {
    pub(crate) listen: SocketAddr,
    /// Host name by which the scheduler and other executors reach this one; empty means the address of `listen`.
    pub(crate) advertise: String,
    pub(crate) grpc_port: u16,
    /// `host:port` of the scheduler, or `leader`: whoever schedules now. Empty: where this process's own scheduler listens, or would.
    pub(crate) scheduler: String,
    pub(crate) memory_bytes: usize,
    /// Disk that files between the stages of its jobs may take.
    pub(crate) shuffle_bytes_max: u64,
    /// Tasks at once; 0 means one for each core.
    pub(crate) vcores: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            spill_bytes_max: 64 << 30,
            target_partitions: 0,
            one_thread_rows: tidewater_engine::ONE_THREAD_ROWS,
        }
    }
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self {
            listen: loopback(50050),
            advertise: String::new(),
            trusted_network: false,
            local_bytes_max: 2 << 30,
            partitions_per_core: 1,
        }
    }
}

impl Default for AdmissionSettings {
    fn default() -> Self {
        Self {
            running_max: AdmissionLimits::default().running_max,
            interactive: ClassSettings::default(),
            batch: ClassSettings::default(),
            maintenance: ClassSettings::default(),
        }
    }
}

impl AdmissionSettings {
    /// With the usual limits where none are set.
    pub(crate) fn limits(&self) -> AdmissionLimits {
        let usual = AdmissionLimits::default();
        AdmissionLimits {
            running_max: self.running_max,
            interactive: self.interactive.over(usual.interactive),
            batch: self.batch.over(usual.batch),
            maintenance: self.maintenance.over(usual.maintenance),
        }
    }
}

impl ClassSettings {
    fn over(&self, usual: ClassLimits) -> ClassLimits {
        ClassLimits {
            running_max: self.running_max.unwrap_or(usual.running_max),
            queued_max: self.queued_max.unwrap_or(usual.queued_max),
            wait_max: self.wait_max_s.map_or(usual.wait_max, Duration::from_secs),
            weight: self.weight.unwrap_or(usual.weight),
            user_running_max: self.user_running_max.unwrap_or(usual.user_running_max),
            user_queued_max: self.user_queued_max.unwrap_or(usual.user_queued_max),
        }
    }
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self {
            listen: loopback(50051),
            advertise: String::new(),
            grpc_port: 50052,
            scheduler: String::new(),
            memory_bytes: 1 << 30,
            shuffle_bytes_max: 64 << 30,
            vcores: 0,
        }
    }
}
