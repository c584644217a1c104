//! Offsets, leases and the commit that binds them to tables.

use serde::{Deserialize, Serialize};

use tidewater_core::TableName;
use tidewater_table::TableCommit;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

/// A run of records of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetRange {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The epoch of the lease under which the records were read.
    pub epoch: u64,
    /// First offset.
    pub from: i64,
    /// One past the last offset.
    pub to: i64,
}

/// Records read and what they change in tables: all of it or nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IngestCommit {
    /// Who read them; for logs, the epochs decide.
    pub owner: String,
    /// At most one range a partition.
    pub ranges: Vec<OffsetRange>,
    /// At most one commit a table. A table that does not exist yet is made by a commit that demands `assert-create`.
    pub commits: Vec<TableCommit>,
}

/// A table after an ingest commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedTable {
    /// Its name.
    pub name: TableName,
    /// Its version; every commit raises it.
    pub version: u64,
    /// Its metadata file.
    pub metadata_location: String,
}

/// What an ingest commit came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum IngestOutcome {
    /// Offsets and tables moved. Also the answer to a repetition under the same idempotency key.
    Applied {
        /// The tables, in the order of the commits.
        tables: Vec<CommittedTable>,
    },
    /// Every range had been committed before, by this or another commit; nothing changed now. Files of this commit may be unused.
    AlreadyApplied,
    /// The lease of a partition is over; nothing changed. Stop reading it.
    Fenced {
        /// The partition.
        partition: TopicPartition,
        /// Its epoch now.
        epoch: u64,
    },
    /// A range does not begin where the last one ended; nothing changed. Read again from there.
    Gap {
        /// The partition.
        partition: TopicPartition,
        /// Where it has to begin.
        expected: i64,
    },
    /// A table's requirement does not hold; nothing changed. Load it, plan again.
    TableConflict {
        /// What did not hold.
        message: String,
    },
    /// A table that a commit names does not exist; nothing changed.
    TableMissing {
        /// Which.
        message: String,
    },
}

/// Asks for partition leases, and gives some up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// Who asks: unique for a process run, so that a restarted process gets a new epoch.
    pub owner: String,
    /// How long each lease lasts.
    pub ttl_ms: u64,
    /// Take or keep these.
    pub acquire: Vec<TopicPartition>,
    /// Give these up.
    #[serde(default)]
    pub release: Vec<TopicPartition>,
}

/// How a partition stands after a request for its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseGrant {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Whether it is the asker's now.
    pub granted: bool,
    /// Who has it.
    pub owner: String,
    /// The epoch of that lease.
    pub epoch: u64,
    /// Until when, in the log's time.
    pub expires_at_ms: i64,
    /// Where reading goes on; none when nothing was committed yet.
    pub next_offset: Option<i64>,
}

/// The answer to a [`LeaseRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseResponse {
    /// One a partition asked for, in order.
    pub leases: Vec<LeaseGrant>,
}

/// One partition as the catalog knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where the next commit has to begin; none when nothing was committed yet.
    pub next_offset: Option<i64>,
    /// The epoch of the newest lease.
    pub epoch: u64,
    /// Who has the lease; none when it was given up.
    pub owner: Option<String>,
    /// Until when, in the log's time.
    pub expires_at_ms: Option<i64>,
    /// When records were committed last.
    pub committed_at_ms: i64,
}

/// All partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetsResponse {
    /// In order of topic and partition.
    pub partitions: Vec<PartitionState>,
}
