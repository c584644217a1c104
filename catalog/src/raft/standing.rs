//! How a node that was removed learns of it.
//!
//! Nobody sends entries to a node that is no member any more, the one about its removal included. So a node that hears
//! from no leader for a while asks the members it knows of, and one without a vote does so every now and then. The state
//! keeps which numbers were ever taken, so any member can tell a number that left from one that has yet to come. Since
//! numbers never come back, the answer is final: the node notes it, stops, and refuses to start again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;

use super::data_dir::DataDir;
use super::error::ConsensusError;
use super::network::Network;
use super::proposer::Proposer;
use super::state_store::Published;
use super::types::Metrics;
use super::wire::{Answer, Request, Standing};
use tidewater_core::{Coded, NodeId, SharedClock, Tasks};

/// Between two looks whether there is a leader.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks without a leader after which the others are asked: longer than an election takes.
const ROUNDS_WITHOUT_LEADER: u64 = 2;

/// Looks after which a node without a vote asks in any case.
const ROUNDS_OF_LEARNERS: u64 = 3;

/// One question to one member.
const QUESTION_DEADLINE: Duration = Duration::from_secs(1);

/// Whether this node was removed; clones share it.
#[derive(Clone)]
pub(super) struct Removal {
    node: NodeId,
    dir: std::sync::Weak<DataDir>,
    removed: Arc<AtomicBool>,
    stopped: watch::Sender<Option<String>>,
}

impl Removal {
    pub(super) fn new(node: NodeId, dir: &Arc<DataDir>, stopped: &watch::Sender<Option<String>>) -> Self {
        Self {
            node,
            dir: Arc::downgrade(dir),
            removed: Arc::default(),
            stopped: stopped.clone(),
        }
    }

    /// Refuses when the node was removed.
    pub(super) fn check(&self) -> Result<(), ConsensusError> {
        match self.removed.load(Relaxed) {
            true => Err(ConsensusError::Removed { node: self.node }),
            false => Ok(()),
        }
    }

    async fn note(&self) {
        let error = ConsensusError::Removed { node: self.node };
        self.removed.store(true, Relaxed);
        if let Some(dir) = self.dir.upgrade() {
            let noted = tokio::task::spawn_blocking(move || dir.note_removed()).await;
            if let Ok(Err(error)) = noted {
                tracing::warn!(%error, "could not note that this node was removed");
            }
        }
        tracing::error!(code = error.code(), %error, "the catalog's Raft has stopped");
        self.stopped.send_replace(Some(format!("{}: {error}", error.code())));
    }
}

impl fmt::Debug for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Removal")
            .field("removed", &self.removed)
            .finish_non_exhaustive()
    }
}

/// What looking after the node's place takes.
pub(super) struct Watch {
    pub(super) proposer: Proposer,
    pub(super) network: Network,
    pub(super) published: Arc<Published>,
    pub(super) removal: Removal,
    pub(super) clock: SharedClock,
}

impl Watch {
    /// Looks until the node is removed or ends.
    pub(super) fn start(self, tasks: &Tasks) {
        let token = tasks.token();
        tasks.spawn("standing", async move {
            token.run_until_cancelled(self.look()).await;
        });
    }

    async fn look(self) {
        let (mut without, mut rounds) = (0_u64, 0_u64);
        loop {
            self.clock.sleep(PAUSE).await;
            let now = self.proposer.raft.metrics().borrow().clone();
            without = if now.current_leader.is_none() { without + 1 } else { 0 };
            rounds += 1;
            let votes = now.membership_config.voter_ids().any(|id| id == now.id);
            // Who does not vote never stands for election, and so believes in the last leader for ever.
            let is_due = without >= ROUNDS_WITHOUT_LEADER || (!votes && rounds % ROUNDS_OF_LEARNERS == 0);
            if is_due && self.is_removed(&now).await {
                self.removal.note().await;
                // Its elections would disturb the others.
                drop(self.proposer.raft.shutdown().await);
                return;
            }
        }
    }

    async fn is_removed(&self, now: &Metrics) -> bool {
        if self.published.applied().state.was_removed(self.proposer.node) {
            return true;
        }
        let others = now.membership_config.nodes().filter(|(id, _)| **id != now.id);
        let answers = others.map(|(id, address)| {
            let peer = self.network.peer(NodeId(*id), address);
            async move { peer.call_within(QUESTION_DEADLINE, &Request::Standing).await }
        });
        let answers = futures::future::join_all(answers).await;
        answers
            .iter()
            .any(|answer| matches!(answer, Ok(Answer::Standing(Standing::Removed))))
    }
}
