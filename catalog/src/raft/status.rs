//! Figures of a node for operators.

use openraft::ServerState;
use serde::{Deserialize, Serialize};

use super::options::PeerAddress;
use super::types::Metrics;
use tidewater_core::NodeId;

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
    /// Snapshots that could not be written since the node began.
    pub snapshot_failures: u64,
    /// Last entry dropped from the log.
    pub purged: u64,
    /// Leader only: time since a majority was last heard from.
    pub quorum_ack_ms: Option<u64>,
    /// Everybody who takes part.
    pub members: Vec<Member>,
}

pub(super) fn status_of(metrics: &Metrics, snapshot_failures: u64) -> Status {
    let role = match metrics.state {
        _ if metrics.running_state.is_err() => Role::Stopped,
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner => Role::Learner,
        ServerState::Shutdown => Role::Stopped,
    };
    let membership = metrics.membership_config.membership();
    let voters: Vec<u64> = membership.voter_ids().collect();
    let matched = |id: &u64| Some(metrics.replication.as_ref()?.get(id)?.as_ref()?.index);
    let members = membership.nodes().map(|(id, address)| Member {
        id: NodeId(*id),
        address: address.clone(),
        voter: voters.contains(id),
        matched: matched(id),
    });
    Status {
        node: NodeId(metrics.id),
        role,
        leader: metrics.current_leader.map(NodeId),
        term: metrics.current_term,
        last_log: metrics.last_log_index.unwrap_or(0),
        applied: metrics.last_applied.map_or(0, |id| id.index),
        snapshot: metrics.snapshot.map_or(0, |id| id.index),
        snapshot_failures,
        purged: metrics.purged.map_or(0, |id| id.index),
        quorum_ack_ms: metrics.millis_since_quorum_ack,
        members: members.collect(),
    }
}
