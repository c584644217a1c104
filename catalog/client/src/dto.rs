//! What the internal calls carry, shared by the client and the server.

mod change;
mod cluster;
mod ingest;
mod job;

pub use change::{Change, ChangeKind, ChangePage, TableState};
pub use cluster::{
    ClusterMember, ClusterStatus, LeaderTransfer, LeaderTransferred, NamespacePage, NodeAddress, NodeAllocate,
    NodeAllocated, NodeList, SnapshotTaken,
};
pub use ingest::{
    CommittedTable, IngestCommit, IngestOutcome, LeaseGrant, LeaseRequest, LeaseResponse, OffsetRange, OffsetsResponse,
    PartitionState, TopicPartition,
};
pub use job::{JobPage, JobPhase, JobPut, JobRow, JobWritten};
