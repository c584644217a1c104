//! Entries and read indexes through openraft, with its errors told apart: not here, nothing happened, or nobody knows.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use openraft::error::ForwardToLeader;
use tokio::sync::RwLock;

use super::alone::Alone;
use super::error::ConsensusError;
use super::leadership::Leader;
use super::options::PeerAddress;
use super::types::Raft;
use crate::command::{Batch, Command, Outcome};
use tidewater_core::NodeId;

/// A node's Raft, and where the other nodes are.
#[derive(Clone)]
pub(super) struct Proposer {
    pub(super) raft: Raft,
    pub(super) node: NodeId,
    pub(super) peers: BTreeMap<NodeId, PeerAddress>,
    /// Held for writing while leadership is handed over: proposals wait, and go to the new leader.
    pub(super) gate: Arc<RwLock<()>>,
    /// Whether this node is the only voter.
    pub(super) alone: Arc<Alone>,
}

impl Proposer {
    /// One entry. An empty one is the fence of the read barrier.
    pub(super) async fn propose(&self, commands: Vec<Command>) -> Result<Vec<Outcome>, ConsensusError> {
        let _open = self.gate.read().await;
        match self.raft.client_write(Batch(commands)).await {
            Ok(response) => Ok(response.data),
            Err(e) => Err(self.explain(e.forward_to_leader(), || ConsensusError::OutcomeUnknown {
                reason: reason(&e),
            })),
        }
    }

    /// Asks a majority who leads, and waits until everything committed by then is applied here; answers the last of it.
    pub(super) async fn confirm(&self) -> Result<u64, ConsensusError> {
        match self.raft.ensure_linearizable().await {
            Ok(read) => Ok(read.map_or(0, |id| id.index)),
            Err(e) => Err(self.explain(e.forward_to_leader(), || ConsensusError::NoQuorum {
                reason: reason(&e),
            })),
        }
    }

    /// Whether openraft knows no other voter than this node, and no change of them that is under way.
    pub(super) fn is_only_voter(&self) -> bool {
        let metrics = self.raft.metrics();
        let now = metrics.borrow();
        let configs = now.membership_config.membership().get_joint_config();
        matches!(configs.as_slice(), [voters] if voters.iter().eq([&self.node.0]))
    }

    /// The leader's address as configured, or else as the log has it: a node may have moved.
    pub(super) fn leader(&self, id: u64, logged: Option<&PeerAddress>) -> Leader {
        let id = NodeId(id);
        let address = self.peers.get(&id).or(logged).cloned().unwrap_or_default();
        Leader { id, address }
    }

    pub(super) fn explain(
        &self,
        forward: Option<&ForwardToLeader<u64, PeerAddress>>,
        otherwise: impl FnOnce() -> ConsensusError,
    ) -> ConsensusError {
        let Some(forward) = forward else { return otherwise() };
        let leader = forward
            .leader_id
            .map(|id| self.leader(id, forward.leader_node.as_ref()));
        ConsensusError::NotLeader {
            node: self.node,
            leader,
        }
    }
}

/// openraft's errors are types of its own; their text is all that is of use outside.
pub(super) fn reason(error: &impl Display) -> String {
    error.to_string()
}
