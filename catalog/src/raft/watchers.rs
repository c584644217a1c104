//! Tasks that look at Raft from the side: who leads, has it stopped, is a snapshot due, has the group begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::watch;

use super::bootstrap::Bootstrap;
use super::error::ConsensusError;
use super::leadership::{Fence, Leadership};
use super::pressure::Pressure;
use super::proposer::Proposer;
use super::types::Metrics;
use tidewater_core::{Coded, NodeId, Tasks};

/// What they share.
pub(super) struct Watchers {
    proposer: Proposer,
    tasks: Tasks,
    /// Why Raft ended by itself.
    pub(super) stopped: watch::Sender<Option<String>>,
    /// An end that was asked for is no failure.
    pub(super) closing: Arc<AtomicBool>,
}

impl Watchers {
    pub(super) fn new(proposer: &Proposer, tasks: &Tasks) -> Self {
        Self {
            proposer: proposer.clone(),
            tasks: tasks.clone(),
            stopped: watch::Sender::new(None),
            closing: Arc::default(),
        }
    }

    /// Follows openraft's metrics.
    pub(super) fn leadership(&self) -> watch::Receiver<Leadership> {
        let (proposer, token) = (self.proposer.clone(), self.tasks.token());
        let (stopped, closing) = (self.stopped.clone(), Arc::clone(&self.closing));
        let mut metrics = proposer.raft.metrics();
        let (sender, receiver) = watch::channel(leadership_of(&metrics.borrow(), &proposer));
        self.tasks.spawn("metrics", async move {
            let ended = loop {
                // A borrow of the metrics must not live across an await: it would hold up RaftCore.
                let now = metrics.borrow_and_update().clone();
                tell(&sender, leadership_of(&now, &proposer));
                if let Err(fatal) = now.running_state {
                    break fatal.to_string();
                }
                match token.run_until_cancelled(metrics.changed()).await {
                    Some(Ok(())) => {}
                    Some(Err(_)) => break "Raft has ended".into(),
                    None => break "a task of the Raft layer ended".into(),
                }
            };
            proposer.alone.end();
            // Who ended it on purpose, or for a better reason, has said so already.
            if !closing.load(Relaxed) && stopped.borrow().is_none() {
                tracing::error!(node = %proposer.node, reason = ended, "the catalog's Raft has stopped");
                stopped.send_replace(Some(ended));
            }
        });
        receiver
    }

    /// Asks for a snapshot when one is due.
    pub(super) fn snapshots(&self, pressure: Arc<Pressure>) {
        let (raft, token) = (self.proposer.raft.clone(), self.tasks.token());
        self.tasks.spawn("snapshots", async move {
            while token.run_until_cancelled(pressure.due()).await.is_some() {
                if raft.trigger().snapshot().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Lets the node begin.
    pub(super) fn bootstrap(&self, bootstrap: Bootstrap) {
        let (token, stopped) = (self.tasks.token(), self.stopped.clone());
        self.tasks.spawn("bootstrap", async move {
            match token.run_until_cancelled(bootstrap.run()).await {
                None | Some(Ok(()) | Err(ConsensusError::Stopped)) => {}
                Some(Err(error)) => {
                    tracing::error!(code = error.code(), %error, "the catalog could not begin");
                    stopped.send_replace(Some(format!("{}: {error}", error.code())));
                }
            }
        });
    }
}

fn tell(sender: &watch::Sender<Leadership>, now: Leadership) {
    sender.send_if_modified(|last| {
        let changed = *last != now;
        if changed {
            tracing::info!(node = %now.node, leader = ?now.leader.as_ref().map(|l| l.id), "catalog leadership changed");
            *last = now;
        }
        changed
    });
}

fn leadership_of(metrics: &Metrics, proposer: &Proposer) -> Leadership {
    let members = metrics.membership_config.membership();
    let leader = metrics.current_leader.filter(|_| metrics.running_state.is_ok());
    let leader = leader.map(|id| proposer.leader(id, members.get_node(&id)));
    let reign = metrics.vote.leader_id;
    let fence = leader.as_ref().map(|_| Fence {
        term: reign.term,
        node: NodeId(reign.node_id),
    });
    Leadership {
        node: proposer.node,
        leader,
        fence,
    }
}
