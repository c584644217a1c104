//! Many readers share one barrier, on the leader and on followers.
//!
//! openraft 0.9 lets a restarted leader go on in its old term, without an election and without a new entry.
//! `ensure_linearizable` then knows of no commit newer than the stored mark, which lags behind what was acknowledged
//! before the crash, and would confirm an old state. So the first barrier of a process puts an empty entry through
//! Raft; every later reign of the same process begins with an entry of its own anyway.
//!
//! A follower asks the leader up to which entry everything stands that was acknowledged so far, and waits until that
//! entry is applied here. A question is never passed on twice: who is asked answers at once that it does not lead, and who
//! asks begins anew, as leadership that is handed over is known to the one before the other.
//!
//! The only voter of its group needs no barrier after the first one: see `alone.rs`.
//!
//! Each barrier that was passed dates the state: everything acknowledged before it began is in. A reader who is content
//! with a state of some age needs no barrier as long as the last one is young enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::alone::Alone;
use super::error::ConsensusError;
use super::leadership::{Leader, Leadership};
use super::network::Network;
use super::proposer::Proposer;
use super::state_store::Published;
use super::wire::{Answer, Request};
use tidewater_core::{SharedClock, Tasks};

/// Readers that wait for the next barrier.
const QUEUE_MAX: usize = 4096;

/// Between two rounds of asking a majority, where peers refuse at once.
const ROUND_PAUSE: Duration = Duration::from_millis(10);

/// A reader: where its answer goes, and whether the leader may be asked when this node is none.
struct Reader {
    answer: oneshot::Sender<Result<u64, ConsensusError>>,
    local: bool,
}

/// The way in for reads.
#[derive(Debug, Clone)]
pub(super) struct ReadBarrier {
    queue: mpsc::Sender<Reader>,
    deadline: Duration,
    clock: SharedClock,
    alone: Arc<Alone>,
    leadership: watch::Receiver<Leadership>,
    published: Arc<Published>,
    /// When the last barrier that was passed began, in milliseconds of the monotonic clock and one more; 0 = none yet.
    dated: Arc<AtomicU64>,
}

/// What passing a barrier needs.
pub(super) struct Gate {
    pub(super) proposer: Proposer,
    pub(super) network: Network,
    pub(super) published: Arc<Published>,
    pub(super) clock: SharedClock,
    pub(super) deadline: Duration,
    /// How long a leader goes on asking a majority that does not answer, and a follower a leader that does not: by then
    /// another one leads or nobody can.
    pub(super) patience: Duration,
    pub(super) leadership: watch::Receiver<Leadership>,
}

impl ReadBarrier {
    pub(super) fn start(gate: Gate, tasks: &Tasks) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let (dated, token) = (Arc::<AtomicU64>::default(), tasks.token());
        let barrier = Self {
            queue: sender,
            deadline: gate.deadline,
            clock: Arc::clone(&gate.clock),
            alone: Arc::clone(&gate.proposer.alone),
            leadership: gate.leadership.clone(),
            published: Arc::clone(&gate.published),
            dated: Arc::clone(&dated),
        };
        tasks.spawn("read-barrier", async move {
            token.run_until_cancelled(gate.confirm(queue, &dated)).await;
        });
        barrier
    }

    /// Waits for a barrier and answers the entry that is applied here then, at least.
    pub(super) async fn pass(&self) -> Result<u64, ConsensusError> {
        self.wait(false).await
    }

    /// The same for another node: only if this one leads.
    pub(super) async fn pass_as_leader(&self) -> Result<u64, ConsensusError> {
        self.wait(true).await
    }

    /// Whether the state holds everything that was acknowledged longer than `staleness` ago.
    pub(super) fn is_within(&self, staleness: Duration) -> bool {
        match self.dated.load(Relaxed).checked_sub(1) {
            Some(began) => millis(self.clock.monotonic()).saturating_sub(began) <= millis(staleness),
            None => false,
        }
    }

    /// The entry that is applied here, if everything that was acknowledged is.
    fn needs_nobody(&self) -> Option<u64> {
        // A Raft that has ended leads no more, or takes no more readers; the state it left behind is no answer.
        let leads = || self.leadership.borrow().is_leader() && !self.queue.is_closed();
        (self.alone.holds() && leads()).then(|| *self.published.index().borrow())
    }

    async fn wait(&self, local: bool) -> Result<u64, ConsensusError> {
        if let Some(index) = self.needs_nobody() {
            return Ok(index);
        }
        let (answer, passed) = oneshot::channel();
        match timeout(self.deadline, self.queue.send(Reader { answer, local })).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(ConsensusError::Stopped),
            Err(_) => {
                return Err(ConsensusError::Overloaded {
                    what: "reads",
                    waited: self.deadline,
                });
            }
        }
        match timeout(self.deadline, passed).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ConsensusError::Stopped),
            Err(_) => Err(late()),
        }
    }
}

impl Gate {
    async fn confirm(self, mut queue: mpsc::Receiver<Reader>, dated: &AtomicU64) {
        let fence = OnceCell::new();
        let mut waiting = Vec::new();
        // A reader that comes while a barrier is on its way waits for the next one: the one on its way may have taken
        // its read index before a write was acknowledged that this reader must see.
        while queue.recv_many(&mut waiting, QUEUE_MAX).await > 0 {
            let began = millis(self.clock.monotonic());
            let passed = timeout(self.deadline, self.pass_as_leader(&fence)).await;
            let here = passed.unwrap_or_else(|_| Err(late()));
            if here.is_ok() && self.proposer.is_only_voter() {
                self.proposer.alone.found();
            }
            // Another node's readers wait no longer than it takes to know whether this one leads.
            for reader in waiting.extract_if(.., |reader| reader.local) {
                reader.tell(&here);
            }
            if waiting.is_empty() {
                continue;
            }
            let passed = timeout(self.deadline, self.pass_anywhere(&fence, here)).await;
            let everywhere = passed.unwrap_or_else(|_| Err(late()));
            if everywhere.is_ok() {
                dated.store(began + 1, Relaxed);
            }
            for reader in waiting.drain(..) {
                reader.tell(&everywhere);
            }
        }
    }

    /// Goes on from what this node knew as a leader: asks the one that leads, and begins anew where that does not
    /// answer or leads no more.
    async fn pass_anywhere(
        &self,
        fence: &OnceCell<()>,
        mut here: Result<u64, ConsensusError>,
    ) -> Result<u64, ConsensusError> {
        let begun = self.clock.monotonic();
        while let Err(ConsensusError::NotLeader {
            leader: Some(leader), ..
        }) = &here
            && leader.id != self.proposer.node
        {
            let asked = tokio::select! {
                asked = self.pass_as_follower(leader) => asked,
                () = self.succeeded(leader) => Err(unheard(leader, "it leads no more")),
            };
            let failed = matches!(asked, Err(ConsensusError::NoQuorum { .. }));
            if !failed || self.clock.monotonic() - begun >= self.patience {
                return asked;
            }
            self.clock.sleep(ROUND_PAUSE).await;
            here = self.pass_as_leader(fence).await;
        }
        here
    }

    /// Ends when somebody else is known to lead, or nobody.
    async fn succeeded(&self, leader: &Leader) {
        let mut leadership = self.leadership.clone();
        // What is known there may be older than what named this leader.
        leadership.mark_unchanged();
        loop {
            if leadership.changed().await.is_err() {
                return std::future::pending().await;
            }
            if leadership.borrow_and_update().leader.as_ref() != Some(leader) {
                return;
            }
        }
    }

    async fn pass_as_leader(&self, fence: &OnceCell<()>) -> Result<u64, ConsensusError> {
        fence
            .get_or_try_init(|| async {
                match self.proposer.propose(Vec::new()).await {
                    Ok(_) => Ok(()),
                    // An empty entry changes nothing, so a fence of unknown outcome may be put up again.
                    Err(ConsensusError::OutcomeUnknown { reason }) => Err(ConsensusError::NoQuorum { reason }),
                    Err(e) => Err(e),
                }
            })
            .await?;
        self.confirm_leadership().await
    }

    /// openraft gives the other voters the time of a heartbeat to answer, once. A follower whose disk or processor is
    /// busy misses that without being away, and its next answer is as good.
    async fn confirm_leadership(&self) -> Result<u64, ConsensusError> {
        let begun = self.clock.monotonic();
        loop {
            match self.proposer.confirm().await {
                Err(ConsensusError::NoQuorum { .. }) if self.clock.monotonic() - begun < self.patience => {
                    self.clock.sleep(ROUND_PAUSE).await;
                }
                confirmed => return confirmed,
            }
        }
    }

    async fn pass_as_follower(&self, leader: &Leader) -> Result<u64, ConsensusError> {
        let peer = self.network.peer(leader.id, &leader.address);
        let index = match peer.call(&Request::ReadIndex).await {
            Ok(Answer::ReadIndex(index)) => index,
            Ok(Answer::Refused(reason)) => return Err(unheard(leader, &reason)),
            Ok(other) => return Err(unheard(leader, &format!("unexpected answer {other:?}"))),
            Err(error) => return Err(unheard(leader, &error.to_string())),
        };
        let mut applied = self.published.index();
        match applied.wait_for(|now| *now >= index).await {
            Ok(_) => Ok(index),
            Err(_) => Err(ConsensusError::Stopped),
        }
    }
}

impl Reader {
    fn tell(self, result: &Result<u64, ConsensusError>) {
        // Who has gone away needs no answer.
        drop(self.answer.send(result.clone()));
    }
}

fn unheard(leader: &Leader, reason: &str) -> ConsensusError {
    ConsensusError::NoQuorum {
        reason: format!("the leader, node {}, did not answer: {reason}", leader.id),
    }
}

fn late() -> ConsensusError {
    ConsensusError::NoQuorum {
        reason: "no majority answered in time".into(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
