//! How a group begins, and how a node that lost its files is kept out of it.
//!
//! A single node makes its group at once. Of several, the one with the smallest id does, once, after every other has
//! answered that it is fresh. A node whose files are new takes no part until enough others have said that they do not
//! know it as a voter: a wiped voter has forgotten votes it gave and entries it acknowledged, and must come back under
//! a new id.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::timeout;

use super::data_dir::DataDir;
use super::error::ConsensusError;
use super::network::Network;
use super::options::PeerAddress;
use super::types::Raft;
use super::wire::{Answer, Probe, Request};
use tidewater_core::{NodeId, SharedClock};

/// One question to one peer.
const PROBE_DEADLINE: Duration = Duration::from_millis(500);

/// Between two rounds of questions.
const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// A node that waits says so every now and then.
const ROUNDS_PER_WORD: u64 = 100;

/// A node that begins.
pub(super) struct Bootstrap {
    pub(super) raft: Raft,
    pub(super) network: Network,
    pub(super) node: NodeId,
    pub(super) peers: BTreeMap<NodeId, PeerAddress>,
    pub(super) dir: Arc<DataDir>,
    pub(super) admitted: Arc<AtomicBool>,
    pub(super) clock: SharedClock,
}

impl Bootstrap {
    /// Ends when the node belongs to a group that has begun, as far as it can bring that about.
    pub(super) async fn run(self) -> Result<(), ConsensusError> {
        if self.begun().await? {
            return Ok(());
        }
        if self.peers.len() <= 1 {
            self.admit().await?;
            return self.initialize().await;
        }
        for round in 0u64.. {
            let answers = self.probe_all().await;
            if !self.is_admitted() {
                if answers.iter().any(|probe| probe.voters.contains(&self.node.0)) {
                    return Err(ConsensusError::Forgotten { node: self.node });
                }
                // So many that one of them knows the membership if a majority does.
                if answers.len() >= self.peers.len() - self.peers.len() / 2 {
                    self.admit().await?;
                }
            }
            if self.is_admitted() && (self.begun().await? || answers.iter().any(|probe| probe.begun)) {
                return Ok(());
            }
            let all_ready = answers.len() + 1 == self.peers.len() && answers.iter().all(|p| p.admitted && !p.begun);
            if all_ready && self.is_admitted() && self.peers.keys().next() == Some(&self.node) {
                return self.initialize().await;
            }
            if round % ROUNDS_PER_WORD == ROUNDS_PER_WORD / 2 {
                let missing = self.peers.len() - 1 - answers.len();
                tracing::info!(node = %self.node, missing, "waiting for the other catalog nodes");
            }
            self.clock.sleep(PROBE_PAUSE).await;
        }
        Ok(())
    }

    fn is_admitted(&self) -> bool {
        self.admitted.load(Relaxed)
    }

    /// Noted on disk first: a refused node that is started again must be asked again.
    async fn admit(&self) -> Result<(), ConsensusError> {
        let dir = Arc::clone(&self.dir);
        let noted = tokio::task::spawn_blocking(move || dir.admit()).await;
        noted.map_err(|_| ConsensusError::Stopped)??;
        self.admitted.store(true, Relaxed);
        Ok(())
    }

    async fn begun(&self) -> Result<bool, ConsensusError> {
        self.raft.is_initialized().await.map_err(|_| ConsensusError::Stopped)
    }

    async fn probe_all(&self) -> Vec<Probe> {
        let others = self.peers.iter().filter(|(id, _)| **id != self.node);
        let calls = others.map(|(id, address)| async move {
            let peer = self.network.peer(*id, address);
            match timeout(PROBE_DEADLINE, peer.call(&Request::Probe)).await {
                Ok(Ok(Answer::Probe(probe))) => Some(probe),
                Ok(Ok(_)) | Err(_) => None,
                Ok(Err(error)) => {
                    // Bad data is what TLS says of a certificate that one of the two does not take.
                    if matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData
                    ) {
                        tracing::warn!(peer = %id, %error, "a catalog peer refuses this node");
                    }
                    None
                }
            }
        });
        futures::future::join_all(calls).await.into_iter().flatten().collect()
    }

    async fn initialize(&self) -> Result<(), ConsensusError> {
        initialize(&self.raft, &self.peers).await?;
        tracing::info!(node = %self.node, voters = self.peers.len(), "made a new catalog group");
        Ok(())
    }
}

pub(super) async fn initialize(raft: &Raft, peers: &BTreeMap<NodeId, PeerAddress>) -> Result<(), ConsensusError> {
    let members: BTreeMap<u64, PeerAddress> = peers.iter().map(|(id, address)| (id.0, address.clone())).collect();
    raft.initialize(members)
        .await
        .map_err(|e| ConsensusError::Membership { reason: e.to_string() })
}
