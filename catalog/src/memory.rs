//! A log of one node that is kept nowhere: for tests and for trying things out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::command::{Command, Outcome};
use crate::raft::{
    Applied, Consensus, ConsensusError, Fence, Leader, Leadership, Member, MemberChange, PeerAddress, Role, Status,
};
use crate::state::State;
use tidewater_core::NodeId;

/// Applies commands at once and forgets them with the process.
#[derive(Debug)]
pub struct MemoryConsensus {
    applied: Mutex<Applied>,
    moved: watch::Sender<u64>,
    leadership: watch::Sender<Leadership>,
    failure: Mutex<Option<ConsensusError>>,
}

impl MemoryConsensus {
    /// An empty catalog that leads.
    pub fn shared() -> Arc<Self> {
        let node = NodeId(1);
        let leader = Leader {
            id: node,
            address: PeerAddress::default(),
        };
        Arc::new(Self {
            applied: Mutex::new(Applied {
                index: 0,
                state: State::default(),
            }),
            moved: watch::Sender::new(0),
            leadership: watch::Sender::new(Leadership {
                node,
                leader: Some(leader),
                fence: Some(Fence { term: 1, node }),
            }),
            failure: Mutex::default(),
        })
    }

    /// Makes it a follower of the node that serves `api`, or of nobody.
    pub fn follow(&self, api: Option<&str>) {
        let leader = api.map(|api| Leader {
            id: NodeId(2),
            address: PeerAddress {
                raft: String::new(),
                api: api.to_owned(),
            },
        });
        self.leadership.send_modify(|leadership| leadership.leader = leader);
    }

    /// Makes it lead again, under a new reign.
    pub fn follow_self(&self) {
        let node = self.leadership.borrow().node;
        let leader = Leader {
            id: node,
            address: PeerAddress::default(),
        };
        self.leadership.send_modify(|leadership| {
            leadership.leader = Some(leader);
            let term = leadership.fence.map_or(0, |fence| fence.term) + 1;
            leadership.fence = Some(Fence { term, node });
        });
    }

    /// Lets the next write be applied and its answer be lost, or be refused: whatever `error` says.
    pub fn fail_next_write(&self, error: ConsensusError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn lead(&self) -> Result<(), ConsensusError> {
        let leadership = self.leadership.borrow();
        if leadership.is_leader() {
            return Ok(());
        }
        Err(ConsensusError::NotLeader {
            node: leadership.node,
            leader: leadership.leader.clone(),
        })
    }
}

#[async_trait]
impl Consensus for MemoryConsensus {
    async fn write(&self, command: Command) -> Result<Outcome, ConsensusError> {
        self.lead()?;
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let lost = matches!(failure, Some(ConsensusError::OutcomeUnknown { .. }));
        if let Some(error) = &failure
            && !lost
        {
            return Err(error.clone());
        }
        let (index, outcome) = {
            let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
            let index = applied.index + 1;
            applied.index = index;
            (index, applied.state.apply(index, command))
        };
        self.moved.send_replace(index);
        match failure {
            Some(error) => Err(error),
            None => Ok(outcome),
        }
    }

    async fn barrier(&self) -> Result<(), ConsensusError> {
        self.lead()
    }

    fn state(&self) -> Applied {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn wait_applied(&self, index: u64, deadline: Duration) -> u64 {
        let mut moved = self.moved.subscribe();
        let reached = tokio::time::timeout(deadline, moved.wait_for(|applied| *applied >= index)).await;
        match reached {
            Ok(Ok(applied)) => *applied,
            _ => self.state().index,
        }
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    async fn change_members(&self, _change: MemberChange) -> Result<(), ConsensusError> {
        Err(ConsensusError::Membership {
            reason: "a catalog in memory has one node".into(),
        })
    }

    fn status(&self) -> Status {
        let applied = self.state().index;
        let leadership = self.leadership.borrow();
        Status {
            node: leadership.node,
            role: if leadership.is_leader() {
                Role::Leader
            } else {
                Role::Follower
            },
            leader: leadership.leader.as_ref().map(|leader| leader.id),
            term: 1,
            last_log: applied,
            applied,
            snapshot: 0,
            snapshot_failures: 0,
            purged: 0,
            quorum_ack_ms: Some(0),
            members: vec![Member {
                id: leadership.node,
                address: PeerAddress::default(),
                voter: true,
                matched: Some(applied),
            }],
        }
    }
}
