//! Agreement: the replicated log behind the catalog, as a small trait and its implementation on openraft.
//!
//! [`Consensus`] is what the rest of the catalog sees: propose a command, read behind a barrier, look at the applied
//! state, follow it. [`RaftConsensus`] is the node: log in redb, state in memory with a checksummed snapshot file,
//! framed TCP between nodes (with TLS where [`RaftOptions::node_tls`] is set), all of it on a tokio runtime of its own so that load on the API cannot starve heartbeats.
//!
//! What it does not do: it knows nothing of what a command means. [`State::apply`](crate::state::State::apply) decides
//! that, the same on every node.
//!
//! Invariants:
//! - an answer to [`Consensus::write`] means that a majority has synced the command and that it is applied here
//!   (INV-CAT-1);
//! - what [`Consensus::state`] shows after [`Consensus::barrier`] holds every write that was acknowledged before the
//!   barrier was asked for (INV-CAT-2). openraft 0.9 alone does not give this after a leader restarts;
//!   `read_barrier.rs` says why and what is done about it;
//! - a node whose storage failed stops ([`RaftConsensus::stopped`]) rather than go on with what it cannot keep.

mod alone;
mod async_runtime;
mod bootstrap;
mod connections;
mod data_dir;
mod error;
mod export;
mod founding;
mod group_commit;
mod handshake;
mod identity;
mod leadership;
mod log_store;
mod members;
mod network;
mod node;
mod options;
mod peers;
mod pressure;
mod proposer;
mod purge_gate;
mod read_barrier;
mod record;
mod recovery;
mod replay;
mod runtime;
mod snapshot_failures;
mod snapshot_file;
mod snapshot_stream;
mod standing;
mod state_store;
mod status;
#[cfg(test)]
mod tests;
mod transfer;
mod types;
mod watchers;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::error::ConsensusError;
pub use self::export::{Export, ExportedTable, ImportedState};
pub use self::founding::{Founded, Founder, restore};
pub use self::identity::GroupIdentity;
pub use self::leadership::{Fence, Leader, Leadership};
pub use self::node::{EXIT_CODE_STORAGE_FAILED, RaftConsensus};
pub use self::options::{PeerAddress, RaftOptions};
pub use self::recovery::{LogPosition, Survivor};
pub use self::status::{Member, Role, Status};

use crate::command::{Command, Outcome};
use crate::state::State;
use tidewater_core::NodeId;

/// The state as it was right after one log entry was applied.
#[derive(Debug, Clone)]
pub struct Applied {
    /// Index of that entry; 0 before the first.
    pub index: u64,
    /// The state. A clone costs O(1).
    pub state: State,
}

/// A change of who takes part. One at a time; the second waits for the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// Makes the first group out of fresh nodes. Refused on a node that has a log.
    Initialize(BTreeMap<NodeId, PeerAddress>),
    /// Adds a node that receives the log and does not vote, and waits until it has caught up.
    AddLearner {
        /// A number that no node had before.
        id: NodeId,
        /// Where it listens.
        address: PeerAddress,
    },
    /// Makes learners voters. All of them in one step, so that a group of one becomes one of three.
    Promote(BTreeSet<NodeId>),
    /// Removes voters and learners for good. A leader that is among them hands over first and refuses with
    /// [`ConsensusError::NotLeader`]: the new leader is to be asked.
    Remove(BTreeSet<NodeId>),
    /// Makes exactly these nodes the voters; they must be learners or voters already. Who leaves is forgotten.
    SetVoters(BTreeSet<NodeId>),
}

/// The replicated log, as the catalog uses it.
#[async_trait]
pub trait Consensus: Debug + Send + Sync {
    /// Proposes a command; answers when it is applied here, together with others that waited.
    /// An error says by its `retry()` whether the command may have been applied all the same.
    async fn write(&self, command: Command) -> Result<Outcome, ConsensusError>;

    /// After it, [`Consensus::state`] holds every write that was acknowledged anywhere before the call. A follower asks
    /// the leader.
    async fn barrier(&self) -> Result<(), ConsensusError>;

    /// After it, [`Consensus::state`] holds every write that was acknowledged anywhere longer than `staleness` ago. Costs
    /// nothing while the last barrier that was passed here is younger than that.
    async fn barrier_within(&self, _staleness: Duration) -> Result<(), ConsensusError> {
        self.barrier().await
    }

    /// The state applied here, as new as this node knows it. Without [`Consensus::barrier`] before it, it may be old.
    fn state(&self) -> Applied;

    /// Waits until the entry `index` is applied here, or for `deadline`; answers the index applied by then.
    async fn wait_applied(&self, index: u64, deadline: Duration) -> u64;

    /// Who leads, as this node knows it, and when that changes.
    fn leadership(&self) -> watch::Receiver<Leadership>;

    /// Changes who takes part. Only the leader can, except for [`MemberChange::Initialize`].
    async fn change_members(&self, change: MemberChange) -> Result<(), ConsensusError>;

    /// Hands leadership to a voter, or to the one that is furthest, and answers who leads. Only the leader can.
    async fn transfer_leadership(&self, _to: Option<NodeId>) -> Result<Leader, ConsensusError> {
        Err(alone())
    }

    /// Writes the state of now to this node's disk and answers the entry up to which it stands there.
    async fn take_snapshot(&self) -> Result<u64, ConsensusError> {
        Err(alone())
    }

    /// The state applied here with its place in the log, for a backup.
    fn export(&self) -> Result<Export, ConsensusError> {
        Err(alone())
    }

    /// Figures for operators.
    fn status(&self) -> Status;
}

fn alone() -> ConsensusError {
    ConsensusError::Membership {
        reason: "this catalog is kept in memory by one node".into(),
    }
}
