//! Figures of a node for operators.

use serde::{Deserialize, Serialize};
use tidewater_core::NodeId;

use super::options::PeerAddress;

/// What a node is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes writes.
    Leader,
    /// Votes and follows.
    Follower,
    /// Stands for election.
    Candidate,
    /// Follows without a vote.
    Learner,
    /// Has stopped.
    Stopped,
}

/// One node of the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// Where it listens.
    pub address: PeerAddress,
    /// Whether it votes.
    pub voter: bool,
    /// Seen by the leader only: the last log index this member is known to hold.
    pub matched: Option<u64>,
}

/// A node and its group, as the node sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The node.
    pub node: NodeId,
    /// What it is.
    pub role: Role,
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
    /// Last entry dropped from the log.
    pub purged: u64,
    /// Leader only: time since a majority was last heard from.
    pub quorum_ack_ms: Option<u64>,
    /// Everybody who takes part.
    pub members: Vec<Member>,
}
