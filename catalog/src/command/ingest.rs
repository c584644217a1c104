//! Offsets and partition leases.

use serde::{Deserialize, Serialize};

use super::table::TableChange;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

/// A run of records of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRange {
    /// The partition.
    pub partition: PartitionId,
    /// The lease under which the records were read.
    pub epoch: u64,
    /// First offset.
    pub from: i64,
    /// One past the last offset.
    pub to: i64,
}

/// Records read and the tables they were written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestChange {
    /// At most one range a partition.
    pub ranges: Vec<OffsetRange>,
    /// At most one change a table.
    pub changes: Vec<TableChange>,
}

/// Asks for partition leases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// Who asks: unique for a process run.
    pub owner: String,
    /// How long each lease lasts from the command's time on.
    pub ttl_ms: u64,
    /// The partitions to take or to keep.
    pub acquire: Vec<PartitionId>,
    /// The partitions to give up.
    pub release: Vec<PartitionId>,
}

/// How a partition stands after a request for its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseGrant {
    /// The partition.
    pub partition: PartitionId,
    /// Whether it is the asker's now.
    pub granted: bool,
    /// Who has it.
    pub owner: String,
    /// The epoch of that lease; every change of owner raises it.
    pub epoch: u64,
    /// Until when.
    pub expires_at_ms: i64,
    /// Where reading goes on; none when nothing was committed yet.
    pub next_offset: Option<i64>,
}
