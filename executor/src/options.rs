//! What an executor is told when it starts.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::{ExecutorError, Result};
use tidewater_security::NodeTls;

/// Smallest memory of one virtual core. Below it a hash table of a few columns spills at every batch.
pub(crate) const MEMORY_PER_VCORE_BYTES_MIN: u64 = 16 << 20;

/// Disk that shuffle files take at most where nobody says more or less: as much as what queries spill.
const SHUFFLE_BYTES_MAX: u64 = 64 << 30;

/// Virtual cores of one executor at most. The scheduler hands out tasks by them; more belong to more executors.
pub(crate) const VCORES_MAX: usize = 256;

/// Tells where the scheduler is, when that changes.
#[async_trait]
pub trait FindScheduler: Debug + Send + Sync {
    /// Host and port of the one that schedules now; `None` when nobody knows.
    async fn find(&self) -> Option<(String, u16)>;
}

/// How an executor listens, whom it serves and what it may use.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// Address both ports are bound on.
    pub bind: IpAddr,
    /// Under which host name or address the scheduler and other executors reach this one.
    pub external_host: String,
    /// Port on which shuffle files are served; 0 = any.
    pub flight_port: u16,
    /// Port on which tasks arrive; 0 = any.
    pub grpc_port: u16,
    /// Host of the scheduler.
    pub scheduler_host: String,
    /// Port of the scheduler.
    pub scheduler_port: u16,
    /// Who tells where the scheduler is; none where it stays at the host and port above.
    pub finder: Option<Arc<dyn FindScheduler>>,
    /// Where shuffle files lie. `shuffle` in it is emptied at start; it belongs to this executor alone.
    pub work_dir: PathBuf,
    /// Disk that shuffle files may take: beyond it the job with the most of them fails. More for a moment, as they are counted now and
    /// then.
    pub shuffle_bytes_max: u64,
    /// Memory of all running tasks together.
    pub memory_bytes: u64,
    /// Tasks that run at the same time.
    pub vcores: usize,
    /// How long shuffle files of a job are kept after they were last written, should nobody ask to remove them. Must be
    /// longer than the longest job: the files of its first stages are read until its end.
    pub job_files_ttl: Duration,
    /// How long running tasks are waited for at shutdown.
    pub drain_deadline: Duration,
    /// TLS of the nodes: then only nodes give tasks and read shuffle files. None: whoever reaches the ports does.
    pub node_tls: Option<NodeTls>,
    /// Which build this is: the scheduler takes no other than its own.
    pub build: String,
}

impl ExecutorOptions {
    /// An executor on the loopback address, on any free ports, for the scheduler at `scheduler`.
    pub fn loopback(scheduler: SocketAddr, work_dir: impl Into<PathBuf>) -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            external_host: Ipv4Addr::LOCALHOST.to_string(),
            flight_port: 0,
            grpc_port: 0,
            scheduler_host: scheduler.ip().to_string(),
            scheduler_port: scheduler.port(),
            finder: None,
            work_dir: work_dir.into(),
            shuffle_bytes_max: SHUFFLE_BYTES_MAX,
            memory_bytes: 512 << 20,
            vcores: std::thread::available_parallelism().map_or(2, usize::from),
            job_files_ttl: Duration::from_secs(6 * 3600),
            drain_deadline: Duration::from_secs(10),
            node_tls: None,
            build: tidewater_core::build().to_owned(),
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(ExecutorError::Options { reason });
        if self.vcores == 0 || self.vcores > VCORES_MAX {
            return refuse(format!("{} virtual cores: give 1 to {VCORES_MAX}", self.vcores));
        }
        let least = MEMORY_PER_VCORE_BYTES_MIN.saturating_mul(self.vcores as u64);
        if self.memory_bytes < least {
            return refuse(format!(
                "{} bytes of memory for {} virtual cores: give at least {least}",
                self.memory_bytes, self.vcores
            ));
        }
        if self.shuffle_bytes_max == 0 {
            return refuse("no disk for shuffle files: every plan has some".to_owned());
        }
        if self.external_host.is_empty() || self.scheduler_host.is_empty() {
            return refuse("an empty host name".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: options that could not work are refused with the reason. Method: break one at a time.
    #[test]
    fn impossible_options_are_refused() {
        let good = ExecutorOptions::loopback(([127, 0, 0, 1], 50050).into(), "work");
        assert!(good.validate().is_ok());
        let mut bad = good.clone();
        bad.vcores = 0;
        assert!(bad.validate().is_err());
        let mut bad = good.clone();
        bad.memory_bytes = 1;
        assert!(bad.validate().is_err());
        let mut bad = good.clone();
        bad.shuffle_bytes_max = 0;
        assert!(bad.validate().is_err());
        let mut bad = good;
        bad.external_host.clear();
        assert!(bad.validate().is_err());
    }
}
