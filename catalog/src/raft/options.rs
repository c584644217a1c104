//! Settings of a node, with the values measured to be good as defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openraft::SnapshotPolicy;
use serde::{Deserialize, Serialize};

use super::error::ConsensusError;
use tidewater_core::NodeId;
use tidewater_security::NodeTls;

/// Entries that are dropped from the log at a time, at least.
const PURGE_ENTRIES_MIN: u64 = 256;

/// Where a node listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PeerAddress {
    /// `host:port` for the other nodes.
    pub raft: String,
    /// Base URL of its REST interface, for clients that were sent to the wrong node.
    pub api: String,
}

/// How a node takes part.
#[derive(Clone)]
pub struct RaftOptions {
    /// This node.
    pub node: NodeId,
    /// Its directory, used by nothing else.
    pub dir: PathBuf,
    /// The nodes of the first group, this one among them. With only this one it votes alone.
    /// Addresses given here are preferred to the ones in the log, so that a node may move.
    pub peers: BTreeMap<NodeId, PeerAddress>,
    /// Known to all nodes and nobody else; without it peers are only accepted on loopback.
    pub secret: Option<String>,
    /// TLS with the other nodes; none means that whoever is between can read what they say.
    pub node_tls: Option<NodeTls>,
    /// Between signs of life of a leader.
    pub heartbeat: Duration,
    /// A follower stands for election after the lease (the maximum) and a random time between these.
    /// Measured on a machine with two cores that was busy with other work, leader killed fifty times, to the next write: p50 0.88 s and
    /// 2.5 s at most with 50/200/400 ms, 1.04 s and 2.8 s with 100/250/450, before that 1.2 s with 100/300/600; openraft looks at its clocks once
    /// a heartbeat. A leader that is silent for the sum of both loses its place.
    pub election_min: Duration,
    /// See `election_min`.
    pub election_max: Duration,
    /// Snapshot after this many entries.
    pub snapshot_entries: u64,
    /// Snapshot after this many commands as well: an entry can hold hundreds, and replay at start costs by the command.
    pub snapshot_commands: u64,
    /// Entries kept behind a snapshot, so that a follower that was away for a moment needs no snapshot.
    pub keep_entries: u64,
    /// How long a write waits for its outcome.
    pub write_deadline: Duration,
    /// How long a read waits for its barrier.
    pub read_deadline: Duration,
}

impl RaftOptions {
    /// One voter with everything in `dir`, whose REST interface is at `api`.
    pub fn single(dir: impl AsRef<Path>, api: impl Into<String>) -> Self {
        let node = NodeId(1);
        let address = PeerAddress {
            raft: String::new(),
            api: api.into(),
        };
        Self::group(node, dir, BTreeMap::from([(node, address)]))
    }

    /// The node `node` of a group.
    pub fn group(node: NodeId, dir: impl AsRef<Path>, peers: BTreeMap<NodeId, PeerAddress>) -> Self {
        Self {
            node,
            dir: dir.as_ref().to_owned(),
            peers,
            secret: None,
            node_tls: None,
            heartbeat: Duration::from_millis(50),
            election_min: Duration::from_millis(200),
            election_max: Duration::from_millis(400),
            snapshot_entries: 5_000,
            snapshot_commands: 100_000,
            keep_entries: 1_000,
            write_deadline: Duration::from_secs(10),
            read_deadline: Duration::from_secs(5),
        }
    }

    pub(super) fn openraft_config(&self) -> Result<openraft::Config, ConsensusError> {
        let invalid = |reason: String| ConsensusError::Options { reason };
        if !self.peers.contains_key(&self.node) {
            return Err(invalid(format!("node {} is not among the peers", self.node)));
        }
        if let Some((id, _)) = self
            .peers
            .iter()
            .find(|(_, a)| self.peers.len() > 1 && a.raft.is_empty())
        {
            return Err(invalid(format!("peer {id} has no address for the other nodes")));
        }
        openraft::Config {
            cluster_name: "tidewater".into(),
            heartbeat_interval: milliseconds(self.heartbeat),
            election_timeout_min: milliseconds(self.election_min),
            election_timeout_max: milliseconds(self.election_max),
            // The default of 200 ms is too short for the state to travel.
            install_snapshot_timeout: 30_000,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_entries),
            max_in_snapshot_log_to_keep: self.keep_entries,
            // A purge is a write of its own: not one for every entry, and not more behind than is kept anyway.
            purge_batch_size: self.keep_entries.clamp(1, PURGE_ENTRIES_MIN),
            ..openraft::Config::default()
        }
        .validate()
        .map_err(|e| invalid(e.to_string()))
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for RaftOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftOptions")
            .field("node", &self.node)
            .field("dir", &self.dir)
            .field("peers", &self.peers)
            .field("secret", &self.secret.as_ref().map(|_| "***"))
            .field("heartbeat", &self.heartbeat)
            .field("election", &(self.election_min..self.election_max))
            .finish_non_exhaustive()
    }
}
