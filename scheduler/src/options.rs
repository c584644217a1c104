//! What a scheduler is told when it starts.

use std::net::{Ipv4Addr, SocketAddr};

use crate::admission::AdmissionLimits;
use crate::error::{Result, SchedulerError};
use tidewater_security::NodeTls;

/// Bytes up to which an interactive query runs in the process it came to. Above it, the price of a distributed job (some
/// ten milliseconds and the files between its stages) is small against the scan.
pub(crate) const LOCAL_SCAN_BYTES_MAX: u64 = 2 << 30;

/// Partitions of a distributed plan at most, whatever the cluster could hold. Every stage has as many files in its shuffle
/// as the product of the partitions on both sides.
pub(crate) const PARTITIONS_MAX: usize = 256;

/// Where the scheduler listens and how it shares out work.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// Address on which executors register; port 0 = any.
    pub listen: SocketAddr,
    /// Under which host name or address executors reach this process.
    pub external_host: String,
    /// Partitions of distributed plans at least.
    pub partitions_min: usize,
    /// Partitions of distributed plans for each virtual core in the cluster. With more than one, an executor that is slow takes fewer
    /// of them, and nobody waits long for it; each costs its files and messages.
    pub partitions_per_core: usize,
    /// Bytes of columns that it reads, after pruning, up to which an interactive query runs in this process.
    pub local_scan_bytes_max: u64,
    /// Which build this is: executors of another are refused.
    pub build: String,
    /// TLS of the nodes: executors without it are neither heard nor called. None: whoever reaches the port is heard.
    pub node_tls: Option<NodeTls>,
    /// How many plans of each class run and wait.
    pub limits: AdmissionLimits,
    /// Without the guard rows are counted twice and reported as right when an executor dies. It is switched off only by the
    /// test that keeps this case as known wrong, to see when a newer Ballista needs no guard.
    #[doc(hidden)]
    pub unguarded: bool,
    /// Who makes the stages. Other than the first only in the test of many deaths.
    #[doc(hidden)]
    pub planner: Planner,
}

/// Ballista's ways from a plan to stages. Sessions have the first one: in plans of the others a nested-loop join that keeps rows of its
/// collected side doubles them (ADR 28, 5). What becomes of a plan whose executor dies must not depend on it.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Planner {
    /// Makes the stages that are left anew after each that has run.
    #[default]
    Adaptive,
    /// Makes all stages at the beginning.
    Static,
    /// Is given a physical plan, and makes all stages of it.
    Physical,
}

impl SchedulerOptions {
    /// A scheduler on the loopback address, on any free port.
    pub fn loopback() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            external_host: Ipv4Addr::LOCALHOST.to_string(),
            partitions_min: 2,
            partitions_per_core: 1,
            local_scan_bytes_max: LOCAL_SCAN_BYTES_MAX,
            build: tidewater_core::build().to_owned(),
            node_tls: None,
            limits: AdmissionLimits::default(),
            unguarded: false,
            planner: Planner::default(),
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Err(SchedulerError::Options { reason });
        if self.partitions_min == 0 || self.partitions_min > PARTITIONS_MAX {
            return refuse(format!(
                "{} partitions: give 1 to {PARTITIONS_MAX}",
                self.partitions_min
            ));
        }
        if self.partitions_per_core == 0 || self.partitions_per_core > PARTITIONS_MAX {
            return refuse(format!(
                "{} partitions a core: give 1 to {PARTITIONS_MAX}",
                self.partitions_per_core
            ));
        }
        if self.external_host.is_empty() {
            return refuse("an empty host name".to_owned());
        }
        self.limits.validate()
    }
}
