//! The state of the catalog's nodes.

use serde::{Deserialize, Serialize};

use tidewater_core::NodeId;

/// One node of the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterMember {
    /// Its id.
    pub id: NodeId,
    /// Where the other nodes reach it.
    pub raft: String,
    /// Base URL of its REST interface.
    pub api: String,
    /// Whether it votes.
    pub voter: bool,
    /// Seen by the leader only: the last log index it is known to hold.
    pub matched: Option<u64>,
}

/// A node and its group, as the node sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The node that answers.
    pub node: NodeId,
    /// `leader`, `follower`, `candidate`, `learner` or `stopped`.
    pub role: String,
    /// Who leads, if known.
    pub leader: Option<NodeId>,
    /// Raft's term.
    pub term: u64,
    /// Last entry in the log.
    pub last_log: u64,
    /// Last entry applied.
    pub applied: u64,
    /// Last entry in the snapshot on disk.
    pub snapshot: u64,
    /// Leader only: time since a majority was last heard from.
    pub quorum_ack_ms: Option<u64>,
    /// Everybody who takes part.
    pub members: Vec<ClusterMember>,
    /// Namespaces in the state applied here.
    pub namespaces_count: usize,
    /// Tables in the state applied here.
    pub tables_count: usize,
    /// The log entry of the newest change, which is a cursor for the change feed.
    pub newest_change: u64,
    /// Where tables lie; empty if the node is too old to tell.
    #[serde(default)]
    pub warehouse: String,
    /// Last entry dropped from the log.
    #[serde(default)]
    pub purged: u64,
}

/// Asks for a number for a node that is to join.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAllocate {}

/// A number that no node had before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAllocated {
    /// The number.
    pub node: NodeId,
    /// Who takes part now.
    pub members: Vec<ClusterMember>,
}

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAddress {
    /// `host:port` for the other nodes.
    pub raft: String,
    /// Base URL of its REST interface.
    pub api: String,
}

/// Nodes that a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeList {
    /// Their numbers.
    pub nodes: Vec<NodeId>,
}

/// Asks for another leader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderTransfer {
    /// Who is to lead; none = the voter that is furthest.
    #[serde(default)]
    pub to: Option<NodeId>,
}

/// Who leads after a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderTransferred {
    /// The leader.
    pub leader: NodeId,
}

/// A node's state is on its disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotTaken {
    /// The node.
    pub node: NodeId,
    /// The log entry up to which.
    pub index: u64,
}

/// Every namespace, nested ones as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespacePage {
    /// The levels of each, a parent before its children.
    pub namespaces: Vec<Vec<String>>,
}
