//! Leadership handed over on purpose.
//!
//! New proposals wait at the leader until the target has the last entry; then the target is told to stand for election,
//! and the old leader itself gives it the vote that it needs besides its own. Elections asked for under load do not
//! work: a target that stands refuses entries, falls behind and loses. In a group of more than three the other
//! followers' votes are needed too, and they give none until they have heard nothing from the leader for the time of its
//! lease; so the leader falls silent for as long first.
//!
//! Everything is bounded, and fenced by the reign: a word to take over that arrives late, from a leader that is none
//! any more, is refused. When it fails the old leader goes on or any other is elected; no write is lost either way,
//! since nothing but an election in order ever happens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::error::ConsensusError;
use super::leadership::Leader;
use super::network::Network;
use super::proposer::Proposer;
use super::types::{Metrics, Raft};
use super::wire::{Answer, Request};
use tidewater_core::{NodeId, SharedClock};

/// Until the target has every entry. Writes wait meanwhile, so it is short.
const CATCH_UP_DEADLINE: Duration = Duration::from_secs(2);

/// One word to the target.
const WORD_DEADLINE: Duration = Duration::from_secs(1);

/// Until the target leads, after it was told. Longer than an election that goes wrong once.
const ELECTION_DEADLINE: Duration = Duration::from_secs(3);

/// Longer than a lease, so that it has run out on every node. Nobody else stands for as long as an election timeout.
const MARGIN: Duration = Duration::from_millis(20);

/// Between two words, when the votes did not come at once.
const WORD_PAUSE: Duration = Duration::from_millis(100);

/// Groups up to this size need no other vote than the old leader's.
const VOTERS_WITHOUT_SILENCE: usize = 3;

/// What a transfer needs.
pub(super) struct Transfer {
    pub(super) proposer: Proposer,
    pub(super) network: Network,
    pub(super) clock: SharedClock,
    /// How long a follower refuses its vote after a sign of life of the leader.
    pub(super) lease: Duration,
}

/// Heartbeats go on whatever happens.
struct Silence(Raft);

impl Drop for Silence {
    fn drop(&mut self) {
        self.0.runtime_config().heartbeat(true);
    }
}

impl Transfer {
    /// Hands leadership to `to`, or to the voter that is furthest; answers who leads then.
    pub(super) async fn run(self, to: Option<NodeId>) -> Result<Leader, ConsensusError> {
        let raft = self.proposer.raft.clone();
        let mut metrics = raft.metrics();
        let now = metrics.borrow().clone();
        let Some(leader) = now.current_leader.filter(|id| *id == now.id) else {
            return Err(self.not_leader(&now));
        };
        let target = self.target(&now, to)?;
        if target == NodeId(leader) {
            return Ok(self.leader_of(&now, target));
        }
        // In the first moments of its reign it would give no vote away, and be deposed for nothing.
        let reign = raft.with_raft_state(|state| state.vote_last_modified().map(|since| since.elapsed()));
        let reign = reign.await.map_err(|_| ConsensusError::Stopped)?.unwrap_or(self.lease);
        if reign < self.lease {
            self.clock.sleep(self.lease - reign + MARGIN).await;
        }
        // Waits for what is on its way as well.
        let held = timeout(CATCH_UP_DEADLINE, Arc::clone(&self.proposer.gate).write_owned()).await;
        let _held = held.map_err(|_| failed(target, "writes on their way did not end in time"))?;
        // Its answer comes after the metrics of everything before it.
        let vote = raft.with_raft_state(|state| *state.vote_ref()).await;
        let vote = vote.map_err(|_| ConsensusError::Stopped)?;
        let index = metrics.borrow().last_log_index.unwrap_or(0);
        let caught_up = |now: &Metrics| {
            let matched = now.replication.as_ref().and_then(|all| all.get(&target.0));
            matched.is_some_and(|matched| matched.is_some_and(|id| id.index >= index))
        };
        if !wait(&mut metrics, CATCH_UP_DEADLINE, caught_up).await {
            return Err(failed(target, "it does not have every entry"));
        }
        let voters = now.membership_config.voter_ids().count();
        let silence = Silence(raft.clone());
        if voters > VOTERS_WITHOUT_SILENCE {
            raft.runtime_config().heartbeat(false);
            self.clock.sleep(self.lease + MARGIN).await;
        }
        let word = Request::TakeOver { vote, last_log: index };
        let address = now.membership_config.membership().get_node(&target.0).cloned();
        let peer = self.network.peer(target, &address.unwrap_or_default());
        let begun = self.clock.monotonic();
        let leads = |now: &Metrics| now.current_leader == Some(target.0);
        let mut refusal = "it was not elected".to_owned();
        while self.clock.monotonic() - begun < ELECTION_DEADLINE {
            // Once Raft has ended every wait ends at once.
            if metrics.has_changed().is_err() {
                return Err(ConsensusError::Stopped);
            }
            if metrics.borrow().current_leader == Some(leader) {
                match peer.call_within(WORD_DEADLINE, &word).await {
                    Ok(Answer::TakingOver) => {}
                    Ok(Answer::Refused(reason)) => refusal = reason,
                    Ok(other) => refusal = format!("unexpected answer {other:?}"),
                    Err(error) => refusal = error.to_string(),
                }
            }
            if wait(&mut metrics, WORD_PAUSE, leads).await {
                let now = metrics.borrow().clone();
                return Ok(self.leader_of(&now, target));
            }
        }
        drop(silence);
        Err(failed(target, &refusal))
    }

    fn target(&self, now: &Metrics, wanted: Option<NodeId>) -> Result<NodeId, ConsensusError> {
        let voters: Vec<u64> = now.membership_config.voter_ids().collect();
        if let Some(wanted) = wanted {
            return match voters.contains(&wanted.0) {
                true => Ok(wanted),
                false => Err(failed(wanted, "it is not a voter")),
            };
        }
        let matched = |id: &u64| now.replication.as_ref().and_then(|all| *all.get(id)?);
        let best = voters
            .into_iter()
            .filter(|id| *id != now.id)
            .max_by_key(|id| matched(id));
        best.map(NodeId)
            .ok_or_else(|| failed(self.proposer.node, "the group has no other voter"))
    }

    fn leader_of(&self, now: &Metrics, id: NodeId) -> Leader {
        let logged = now.membership_config.membership().get_node(&id.0);
        self.proposer.leader(id.0, logged)
    }

    fn not_leader(&self, now: &Metrics) -> ConsensusError {
        ConsensusError::NotLeader {
            node: self.proposer.node,
            leader: now.current_leader.map(|id| self.leader_of(now, NodeId(id))),
        }
    }
}

/// Waits until the metrics are as wanted.
pub(super) async fn wait(
    metrics: &mut watch::Receiver<Metrics>,
    deadline: Duration,
    wanted: impl Fn(&Metrics) -> bool,
) -> bool {
    matches!(timeout(deadline, metrics.wait_for(|now| wanted(now))).await, Ok(Ok(_)))
}

fn failed(target: NodeId, reason: &str) -> ConsensusError {
    ConsensusError::Transfer {
        target,
        reason: reason.to_owned(),
    }
}
