//! openraft's types with ours put in. Nothing outside this folder sees them.

use crate::command::{Batch, Outcome};
use crate::state::State;

use super::async_runtime::RaftRuntime;
use super::options::PeerAddress;

openraft::declare_raft_types!(
    pub(super) TypeConfig:
        D = Batch,
        R = Vec<Outcome>,
        NodeId = u64,
        Node = PeerAddress,
        // A clone of the state costs O(1), so it can be the snapshot itself.
        SnapshotData = State,
        AsyncRuntime = RaftRuntime,
);

pub(super) type LogId = openraft::LogId<u64>;
pub(super) type Vote = openraft::Vote<u64>;
pub(super) type Entry = openraft::Entry<TypeConfig>;
pub(super) type StorageError = openraft::StorageError<u64>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<u64, PeerAddress>;
pub(super) type Snapshot = openraft::Snapshot<TypeConfig>;
pub(super) type Membership = openraft::StoredMembership<u64, PeerAddress>;
pub(super) type Metrics = openraft::RaftMetrics<u64, PeerAddress>;
pub(super) type Raft = openraft::Raft<TypeConfig>;
