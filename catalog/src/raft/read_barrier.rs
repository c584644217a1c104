//! Many readers share one barrier.
//!
//! openraft 0.9 lets a restarted leader go on in its old term, without an election and without a new entry.
//! `ensure_linearizable` then knows of no commit newer than the stored mark, which lags behind what was acknowledged
//! before the crash, and would confirm an old state. So the first barrier of a process puts an empty entry through
//! Raft; every later reign of the same process begins with an entry of its own anyway.

use std::time::Duration;

use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::time::timeout;

use super::error::ConsensusError;
use super::proposer::Proposer;
use tidewater_core::Tasks;

/// Readers that wait for the next barrier.
const QUEUE_MAX: usize = 4096;

type Answer = oneshot::Sender<Result<(), ConsensusError>>;

/// The way in for reads.
#[derive(Debug, Clone)]
pub(super) struct ReadBarrier {
    queue: mpsc::Sender<Answer>,
    deadline: Duration,
}

impl ReadBarrier {
    pub(super) fn start(proposer: &Proposer, deadline: Duration, tasks: &Tasks) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let (proposer, token) = (proposer.clone(), tasks.token());
        tasks.spawn("read-barrier", async move {
            token.run_until_cancelled(confirm(proposer, deadline, queue)).await;
        });
        Self {
            queue: sender,
            deadline,
        }
    }

    pub(super) async fn pass(&self) -> Result<(), ConsensusError> {
        let (answer, passed) = oneshot::channel();
        match timeout(self.deadline, self.queue.send(answer)).await {
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
            Err(_) => Err(ConsensusError::NoQuorum {
                reason: "no majority answered in time".into(),
            }),
        }
    }
}

async fn confirm(proposer: Proposer, deadline: Duration, mut queue: mpsc::Receiver<Answer>) {
    let fence = OnceCell::new();
    let mut waiting = Vec::new();
    // A reader that comes while a barrier is on its way waits for the next one: the one on its way may have taken its
    // read index before a write was acknowledged that this reader must see.
    while queue.recv_many(&mut waiting, QUEUE_MAX).await > 0 {
        let passed = timeout(deadline, pass_alone(&proposer, &fence)).await;
        let result = passed.unwrap_or_else(|_| {
            Err(ConsensusError::NoQuorum {
                reason: "no majority answered in time".into(),
            })
        });
        waiting.drain(..).for_each(|answer| drop(answer.send(result.clone())));
    }
}

async fn pass_alone(proposer: &Proposer, fence: &OnceCell<()>) -> Result<(), ConsensusError> {
    fence
        .get_or_try_init(|| async {
            match proposer.propose(Vec::new()).await {
                Ok(_) => Ok(()),
                // An empty entry changes nothing, so a fence of unknown outcome may be put up again.
                Err(ConsensusError::OutcomeUnknown { reason }) => Err(ConsensusError::NoQuorum { reason }),
                Err(e) => Err(e),
            }
        })
        .await?;
    proposer.confirm().await
}
