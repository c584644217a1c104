//! Who leads.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::options::PeerAddress;
use tidewater_core::NodeId;

/// One reign: greater than every earlier one. Work that a leader started is fenced by the whole of it, since in
/// openraft 0.9 one term can have two leaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// Raft's term.
    pub term: u64,
    /// The node elected in it.
    pub node: NodeId,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.term, self.node)
    }
}

/// A leader and where to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its id.
    pub id: NodeId,
    /// Its addresses.
    pub address: PeerAddress,
}

/// What one node knows about who leads. A paused or cut-off leader still believes in itself: only a barrier or a write
/// proves leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// The node that knows it.
    pub node: NodeId,
    /// The leader, if one is known.
    pub leader: Option<Leader>,
    /// The leader's reign, while a leader is known.
    pub fence: Option<Fence>,
}

impl Leadership {
    /// Whether this node believes that it leads.
    pub fn is_leader(&self) -> bool {
        self.leader.as_ref().is_some_and(|leader| leader.id == self.node)
    }
}
