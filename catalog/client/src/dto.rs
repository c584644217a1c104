//! What the internal calls carry, shared by the client and the server.

mod change;
mod cluster;
mod drop;
mod ingest;
mod job;
mod policy;
mod report;
mod table;

pub use change::{Change, ChangeKind, ChangePage, TableState, ViewState};
pub use cluster::{
    ClusterMember, ClusterStatus, LeaderTransfer, LeaderTransferred, NamespacePage, NodeAddress, NodeAllocate,
    NodeAllocated, NodeList, SnapshotTaken,
};
pub use drop::{DroppedPage, DroppedTable, FullName, NamespaceDrop, NamespaceDropped, Undrop, Undropped};
pub use ingest::{
    CommittedTable, IngestCommit, IngestOutcome, LeaseGrant, LeaseRequest, LeaseResponse, OffsetRange, OffsetsResponse,
    PartitionState, TopicPartition,
};
pub use job::{JobPage, JobPhase, JobPut, JobRow, JobWritten};
pub use policy::PolicyState;
pub use report::{MetricsReport, MetricsReportPage};
pub use table::{HeldAsked, HeldTold, TablePointer, TablePointers, WantedTable};
