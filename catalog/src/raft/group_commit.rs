//! Many writers share one log entry: a sync and a round trip for hundreds of commands (measured: 64 writers 2,000
//! commits/s alone, 23,000 together).

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;

use super::error::ConsensusError;
use super::proposer::Proposer;
use super::record::encoded_bytes;
use crate::command::{Command, Outcome};
use tidewater_core::Tasks;

/// Commands in one entry. More gave no more commits per second.
const COMMANDS_MAX: usize = 512;

/// Bytes of one entry: an entry travels in one message and is applied in one go.
const ENTRY_BYTES_MAX: usize = 1 << 20;

/// Bytes of one command. The log holds pointers; what is larger belongs in a file.
const COMMAND_BYTES_MAX: usize = 4 << 20;

/// While one entry waits for its followers, the next is synced. A voter alone waits for its own disk only, which takes one at a time:
/// there the next entry is made when the last one is done, of everything that came meanwhile.
const ENTRIES_IN_FLIGHT: usize = 2;

/// Commands that wait for a place in an entry.
const QUEUE_MAX: usize = 4 * COMMANDS_MAX;

type Answer<T> = oneshot::Sender<Result<T, ConsensusError>>;

#[derive(Debug)]
struct Waiting {
    command: Command,
    bytes: usize,
    answer: Answer<Outcome>,
}

/// The way in for writes.
#[derive(Debug, Clone)]
pub(super) struct GroupCommit {
    queue: mpsc::Sender<Waiting>,
    deadline: Duration,
}

/// The receiving end, which the proposers take turns at.
#[derive(Debug)]
struct Inbox {
    queue: mpsc::Receiver<Waiting>,
    /// Came too late for an entry that was full.
    held: Option<Waiting>,
}

impl GroupCommit {
    pub(super) fn start(proposer: &Proposer, deadline: Duration, tasks: &Tasks) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let inbox = Arc::new(Mutex::new(Inbox { queue, held: None }));
        for _ in 0..ENTRIES_IN_FLIGHT {
            let (proposer, inbox, token) = (proposer.clone(), Arc::clone(&inbox), tasks.token());
            tasks.spawn("group-commit", async move {
                let work = async {
                    loop {
                        let mut turn = inbox.lock().await;
                        let Some(batch) = next_batch(&mut turn).await else {
                            return;
                        };
                        let (commands, answers): (Vec<_>, Vec<_>) =
                            batch.into_iter().map(|w| (w.command, w.answer)).unzip();
                        // Proposed before the other proposer has its turn: commits that build on one another stay in order.
                        let mut proposal = pin!(proposer.propose(commands));
                        let begun = poll!(proposal.as_mut());
                        let turn = proposer.alone.holds().then_some(turn);
                        let proposed = match begun {
                            Poll::Ready(proposed) => proposed,
                            Poll::Pending => proposal.await,
                        };
                        drop(turn);
                        answer_all(answers, proposed);
                    }
                };
                token.run_until_cancelled(work).await;
            });
        }
        Self {
            queue: sender,
            deadline,
        }
    }

    pub(super) async fn write(&self, command: Command) -> Result<Outcome, ConsensusError> {
        let bytes = encoded_bytes(&command).map_err(|e| ConsensusError::Options { reason: e.to_string() })?;
        if bytes > COMMAND_BYTES_MAX {
            return Err(ConsensusError::CommandTooLarge {
                bytes,
                limit_bytes: COMMAND_BYTES_MAX,
            });
        }
        let (answer, outcome) = oneshot::channel();
        match timeout(self.deadline, self.queue.send(Waiting { command, bytes, answer })).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(ConsensusError::Stopped),
            Err(_) => {
                return Err(ConsensusError::Overloaded {
                    what: "writes",
                    waited: self.deadline,
                });
            }
        }
        let unknown = |reason: &str| Err(ConsensusError::OutcomeUnknown { reason: reason.into() });
        match timeout(self.deadline, outcome).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => unknown("this node is stopping"),
            Err(_) => unknown("no majority answered in time"),
        }
    }
}

/// Everything that waits, as far as it fits into one entry; none when the node is stopping.
async fn next_batch(inbox: &mut Inbox) -> Option<Vec<Waiting>> {
    let first = match inbox.held.take() {
        Some(held) => held,
        None => inbox.queue.recv().await?,
    };
    let mut bytes = first.bytes;
    let mut batch = vec![first];
    while batch.len() < COMMANDS_MAX {
        match inbox.queue.try_recv() {
            // Whoever gave up before it was proposed is not proposed.
            Ok(next) if next.answer.is_closed() => {}
            Ok(next) if bytes + next.bytes > ENTRY_BYTES_MAX => {
                inbox.held = Some(next);
                break;
            }
            Ok(next) => {
                bytes += next.bytes;
                batch.push(next);
            }
            Err(_) => break,
        }
    }
    Some(batch)
}

fn answer_all(answers: Vec<Answer<Outcome>>, result: Result<Vec<Outcome>, ConsensusError>) {
    tidewater_core::fail_point::pass("catalog.log_written");
    match result {
        Ok(outcomes) => answers
            .into_iter()
            .zip(outcomes)
            .for_each(|(answer, o)| drop(answer.send(Ok(o)))),
        Err(e) => answers.into_iter().for_each(|answer| drop(answer.send(Err(e.clone())))),
    }
}
