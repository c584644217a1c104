//! Changes of who takes part: one at a time, and none is left half-way.
//!
//! A change of voters has two steps, over a joint configuration in which both majorities are needed. A leader that ends
//! between them leaves the joint one behind; whoever leads next finishes it ([`Members::finish_joint`]).
//!
//! A node is added under a number that the log gave out and that no node had before. A number that was removed never
//! comes back: what such a node once promised is forgotten by the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::MemberChange;
use super::bootstrap::initialize;
use super::error::ConsensusError;
use super::leadership::Leader;
use super::network::Network;
use super::options::PeerAddress;
use super::proposer::{Proposer, reason};
use super::state_store::Published;
use super::transfer::{Transfer, wait};
use super::types::{Metrics, Raft};
use tidewater_core::{NodeId, SharedClock, Tasks};

/// Catching up of a new member, and the change of members itself.
const DEADLINE: Duration = Duration::from_secs(60);

/// Until a majority of the voters to be has shown that it keeps up.
const PROOF_DEADLINE: Duration = Duration::from_secs(5);

/// Voters at most: each more costs every write, and five survive two failures.
const VOTERS_MAX: usize = 5;

/// Nodes at most, learners as well: the leader feeds each of them.
const NODES_MAX: usize = 16;

/// Between two looks whether a change was left half-way.
const JOINT_PAUSE: Duration = Duration::from_secs(1);

/// Changes the members of a group; clones share the turn.
#[derive(Clone)]
pub(super) struct Members {
    pub(super) proposer: Proposer,
    pub(super) network: Network,
    pub(super) published: Arc<Published>,
    pub(super) clock: SharedClock,
    pub(super) lease: Duration,
    turn: Arc<Mutex<()>>,
}

type ChangeError = RaftError<u64, ClientWriteError<u64, PeerAddress>>;

impl Members {
    pub(super) fn new(
        proposer: &Proposer,
        network: &Network,
        published: &Arc<Published>,
        clock: &SharedClock,
        lease: Duration,
    ) -> Self {
        Self {
            proposer: proposer.clone(),
            network: network.clone(),
            published: Arc::clone(published),
            clock: Arc::clone(clock),
            lease,
            turn: Arc::default(),
        }
    }

    /// Makes one change, after the one that is under way.
    pub(super) async fn change(&self, change: MemberChange) -> Result<(), ConsensusError> {
        let late = || {
            refused(format!(
                "not done within {DEADLINE:?}; what is under way goes on, see the status"
            ))
        };
        let work = async {
            let _turn = self.turn.lock().await;
            self.change_now(change).await
        };
        timeout(DEADLINE, work).await.unwrap_or_else(|_| Err(late()))
    }

    async fn change_now(&self, change: MemberChange) -> Result<(), ConsensusError> {
        let raft = &self.proposer.raft;
        match change {
            MemberChange::Initialize(peers) => initialize(raft, &peers).await,
            MemberChange::AddLearner { id, address } => self.add_learner(id, address).await,
            MemberChange::Promote(ids) => {
                let voters = self.voters()?;
                let voters = voters.union(&ids).copied().collect();
                self.set_voters(voters).await
            }
            MemberChange::Remove(ids) => self.remove(ids).await,
            MemberChange::SetVoters(voters) => self.set_voters(voters).await,
        }
    }

    fn metrics(&self) -> Metrics {
        self.proposer.raft.metrics().borrow().clone()
    }

    /// The voters, if this node leads and no change is under way.
    fn voters(&self) -> Result<BTreeSet<NodeId>, ConsensusError> {
        let now = self.metrics();
        if now.current_leader != Some(now.id) {
            let leader = now.current_leader.map(|id| {
                let logged = now.membership_config.membership().get_node(&id);
                self.proposer.leader(id, logged)
            });
            return Err(ConsensusError::NotLeader {
                node: self.proposer.node,
                leader,
            });
        }
        if is_joint(&now) {
            return Err(refused("an earlier change is being finished; try again".into()));
        }
        Ok(now.membership_config.voter_ids().map(NodeId).collect())
    }

    async fn add_learner(&self, id: NodeId, address: PeerAddress) -> Result<(), ConsensusError> {
        self.voters()?;
        let now = self.metrics();
        let members = now.membership_config.membership();
        let nodes = BTreeMap::from([(id.0, address.clone())]);
        match members.get_node(&id.0) {
            Some(known) if *known == address => {}
            // The same node at another place. Who it is was shown by its files and the group's secret.
            Some(_) => self.apply(ChangeMembers::SetNodes(nodes)).await?,
            None => {
                if !self.published.applied().state.may_join(id) {
                    return Err(ConsensusError::NodeIdUsed { node: id });
                }
                if members.nodes().count() >= NODES_MAX {
                    return Err(refused(format!("the group has {NODES_MAX} nodes, which is the limit")));
                }
                self.apply(ChangeMembers::AddNodes(nodes)).await?;
            }
        }
        self.caught_up(&BTreeSet::from([id]), 1, DEADLINE).await
    }

    async fn remove(&self, ids: BTreeSet<NodeId>) -> Result<(), ConsensusError> {
        let voters = self.voters()?;
        if ids.contains(&self.proposer.node) {
            // The new leader removes this node: so nobody has to wait for an election.
            let leader = self.transfer(None).await?;
            return Err(ConsensusError::NotLeader {
                node: self.proposer.node,
                leader: Some(leader),
            });
        }
        let left: BTreeSet<NodeId> = voters.difference(&ids).copied().collect();
        if left.len() < voters.len() {
            self.set_voters(left).await?;
        }
        let now = self.metrics();
        let members = now.membership_config.membership();
        let learners: BTreeSet<u64> = ids
            .iter()
            .map(|id| id.0)
            .filter(|id| members.get_node(id).is_some())
            .collect();
        if !learners.is_empty() {
            self.apply(ChangeMembers::RemoveNodes(learners)).await?;
        }
        Ok(())
    }

    async fn set_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), ConsensusError> {
        let old = self.voters()?;
        if old == voters {
            return Ok(());
        }
        if voters.is_empty() || voters.len() > VOTERS_MAX {
            return Err(refused(format!(
                "{} voters are not between 1 and {VOTERS_MAX}",
                voters.len()
            )));
        }
        let now = self.metrics();
        let members = now.membership_config.membership();
        if let Some(stranger) = voters.iter().find(|id| members.get_node(&id.0).is_none()) {
            return Err(refused(format!("node {stranger} is not in the group; add it first")));
        }
        // Whoever is new keeps up, and the voters to be can go on without anybody who leaves.
        let new: BTreeSet<NodeId> = voters.difference(&old).copied().collect();
        self.caught_up(&new, new.len(), PROOF_DEADLINE).await?;
        self.caught_up(&voters, voters.len() / 2 + 1, PROOF_DEADLINE).await?;
        let voters: BTreeSet<u64> = voters.into_iter().map(|id| id.0).collect();
        self.apply(ChangeMembers::ReplaceAllVoters(voters)).await
    }

    /// Puts an empty entry through and waits until `wanted` of these nodes have it.
    async fn caught_up(&self, ids: &BTreeSet<NodeId>, wanted: usize, deadline: Duration) -> Result<(), ConsensusError> {
        if wanted == 0 {
            return Ok(());
        }
        self.proposer.propose(Vec::new()).await?;
        let index = self.metrics().last_log_index.unwrap_or(0);
        let node = self.proposer.node;
        let have = move |now: &Metrics, id: &NodeId| {
            let matched = now.replication.as_ref().and_then(|all| *all.get(&id.0)?);
            *id == node || matched.is_some_and(|matched| matched.index >= index)
        };
        let mut metrics = self.proposer.raft.metrics();
        let enough = |now: &Metrics| ids.iter().filter(|id| have(now, id)).count() >= wanted;
        if wait(&mut metrics, deadline, enough).await {
            return Ok(());
        }
        let now = self.metrics();
        let missing: Vec<String> = ids.iter().filter(|id| !have(&now, id)).map(NodeId::to_string).collect();
        Err(refused(format!(
            "of nodes {} at least {wanted} have to keep up, and within {deadline:?} these did not: {}",
            ids.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", "),
            missing.join(", ")
        )))
    }

    async fn apply(&self, change: ChangeMembers<u64, PeerAddress>) -> Result<(), ConsensusError> {
        if matches!(change, ChangeMembers::ReplaceAllVoters(_)) {
            self.proposer.alone.end();
        }
        apply(&self.proposer.raft, change).await.map_err(|error| {
            self.proposer
                .explain(error.forward_to_leader(), || refused(reason(&error)))
        })
    }

    /// Hands leadership over. An election that went wrong may have made this node leader again: then once more.
    pub(super) async fn transfer(&self, to: Option<NodeId>) -> Result<Leader, ConsensusError> {
        let transfer = || Transfer {
            proposer: self.proposer.clone(),
            network: self.network.clone(),
            clock: Arc::clone(&self.clock),
            lease: self.lease,
        };
        match transfer().run(to).await {
            Err(ConsensusError::Transfer { .. }) if self.voters().is_ok() => transfer().run(to).await,
            result => result,
        }
    }

    /// Finishes, for as long as this node lives, what a leader before has left half-way; keeps this node's own address
    /// in the log as it is configured.
    pub(super) fn tend(&self, tasks: &Tasks) {
        let (members, token) = (self.clone(), tasks.token());
        tasks.spawn("members", async move {
            let tend = async {
                loop {
                    members.clock.sleep(JOINT_PAUSE).await;
                    if let Ok(_turn) = members.turn.try_lock() {
                        members.finish_joint().await;
                        members.keep_address().await;
                    }
                }
            };
            token.run_until_cancelled(tend).await;
        });
    }

    async fn finish_joint(&self) {
        let now = self.metrics();
        if now.current_leader != Some(now.id) || !is_joint(&now) {
            return;
        }
        let configs = now.membership_config.membership().get_joint_config();
        let Some(goal) = configs.last().cloned() else { return };
        tracing::warn!(node = %self.proposer.node, voters = ?goal, "finishing a change of members that was left half-way");
        let finished = timeout(
            DEADLINE,
            apply(&self.proposer.raft, ChangeMembers::ReplaceAllVoters(goal)),
        )
        .await;
        if let Ok(Err(error)) = finished {
            tracing::warn!(%error, "the change of members could not be finished yet");
        }
    }

    async fn keep_address(&self) {
        let now = self.metrics();
        let configured = self.proposer.peers.get(&self.proposer.node);
        let logged = now.membership_config.membership().get_node(&now.id);
        let (Some(configured), Some(logged)) = (configured, logged) else {
            return;
        };
        if now.current_leader != Some(now.id) || is_joint(&now) || configured == logged {
            return;
        }
        let nodes = BTreeMap::from([(now.id, configured.clone())]);
        if let Ok(Err(error)) = timeout(DEADLINE, apply(&self.proposer.raft, ChangeMembers::SetNodes(nodes))).await {
            tracing::warn!(%error, "this node's new address could not be logged yet");
        }
    }
}

async fn apply(raft: &Raft, change: ChangeMembers<u64, PeerAddress>) -> Result<(), ChangeError> {
    // Whoever stops being a voter leaves: a node that is to stay as a learner has done nothing to lose its vote.
    raft.change_membership(change, false).await.map(drop)
}

pub(super) fn is_joint(now: &Metrics) -> bool {
    now.membership_config.membership().get_joint_config().len() > 1
}

fn refused(reason: String) -> ConsensusError {
    ConsensusError::Membership { reason }
}
