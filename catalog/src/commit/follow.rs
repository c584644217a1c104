//! Commits that follow one another without waiting for the log.
//!
//! A commit is planned on what the one before it makes of the table, while that one is still being written: metadata files of many are
//! synced at a time, and their commands share an entry. The log applies a command only if the table stands at the very file that it was
//! planned on, so one whose predecessor did not come about is refused and planned again. What a client is told of a refusal is
//! never judged on a state that may not come about.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::queue::{TURN_DEADLINE, waited_in_vain};
use super::{Base, Prepared, RETRIES_MAX, TableWork, is_race};
use crate::command::{Expect, Ident, Op, Outcome, Refusal};
use crate::error::Result;
use crate::metadata::CachedMetadata;
use crate::service::{Service, Ticket};
use crate::state::TableRow;

/// Commits under way for one table. More share no more: an entry of the log takes a millisecond or two.
const DEPTH_MAX: usize = 32;

/// Bytes of their metadata files, which are all held in memory.
const BYTES_MAX: usize = 64 << 20;

/// How far a commit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Its file is being written.
    Begun,
    /// It is in the queue of the log.
    Proposed,
    Applied,
    Failed,
}

/// What the newest commit under way makes of a table.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    row: TableRow,
    metadata: Arc<CachedMetadata>,
    depth: usize,
    bytes: usize,
    progress: watch::Receiver<Progress>,
}

impl Tail {
    /// Waits until it is proposed, or has ended; whether it may still come about.
    async fn proposed(&mut self) -> bool {
        let begun = self.progress.wait_for(|progress| *progress != Progress::Begun).await;
        begun.is_ok_and(|progress| *progress != Progress::Failed)
    }

    pub(super) async fn ended(&mut self) {
        let ends = |progress: &Progress| matches!(progress, Progress::Applied | Progress::Failed);
        // An error says that nobody works on it any more.
        let _ended = self.progress.wait_for(ends).await;
    }

    fn is_under_way(&self) -> bool {
        let progress = *self.progress.borrow();
        let is_held = self.progress.has_changed().is_ok();
        is_held && matches!(progress, Progress::Begun | Progress::Proposed)
    }
}

/// The newest commit under way of each table that has one.
#[derive(Debug, Default)]
pub(super) struct Tails {
    tails: Mutex<HashMap<Ident, Tail>>,
}

impl Tails {
    /// The commit to follow; none when nothing is under way.
    pub(super) fn of(&self, table: &Ident) -> Option<Tail> {
        self.with(|tails| tails.get(table).filter(|tail| tail.is_under_way()).cloned())
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<Ident, Tail>) -> T) -> T {
        look(&mut self.tails.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A commit under way. It has failed when this is dropped before it said anything else.
struct UnderWay<'a> {
    tails: &'a Tails,
    table: Ident,
    location: String,
    progress: watch::Sender<Progress>,
}

impl UnderWay<'_> {
    fn reached(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if *self.progress.borrow() != Progress::Applied {
            self.reached(Progress::Failed);
        }
        self.tails.with(|tails| {
            let is_last = |tail: &Tail| tail.metadata.location() == self.location;
            if tails.get(&self.table).is_some_and(is_last) {
                tails.remove(&self.table);
            }
        });
    }
}

/// A planned commit with the one that it follows.
struct Planned {
    prepared: Prepared,
    /// The table as it will be; none when it is made by this commit, or stays as it is.
    next: Option<TableRow>,
    before: Option<Tail>,
}

impl Service {
    /// Commits to one table.
    pub(super) async fn commit_to_one(&self, ticket: &Ticket, work: &TableWork) -> Result<Outcome> {
        let mut attempt = 0;
        loop {
            match self.try_commit(ticket, work).await? {
                Outcome::Refused(refusal) if is_race(&refusal) && attempt < RETRIES_MAX => attempt += 1,
                Outcome::Refused(refusal) => return Err(refusal.into()),
                outcome => return Ok(outcome),
            }
        }
    }

    async fn try_commit(&self, ticket: &Ticket, work: &TableWork) -> Result<Outcome> {
        let (turn, tail) = self.queue.turn_to_follow(&work.table).await?;
        let planned = self.plan(work, tail).await?;
        let Planned {
            prepared,
            next,
            mut before,
        } = planned;
        let to_op = |changes| Ok(Op::Commit { changes });
        let (Some(next), Some(metadata)) = (next, prepared.file.clone()) else {
            return self.publish(ticket, vec![prepared], to_op).await;
        };
        let under_way = self.begin(work, next, metadata, before.as_ref());
        drop(turn);
        let proposing = async || {
            let Some(before) = &mut before else { return Ok(true) };
            let proposed = tokio::time::timeout(TURN_DEADLINE, before.proposed()).await;
            proposed.map_err(|_| waited_in_vain())
        };
        let proposed = || under_way.reached(Progress::Proposed);
        let published = self
            .publish_in_order(ticket, vec![prepared], to_op, proposing, proposed)
            .await?;
        let Some(outcome) = published else {
            return Ok(Outcome::Refused(Refusal::Stale(work.table.clone())));
        };
        if matches!(outcome, Outcome::Committed(_)) {
            under_way.reached(Progress::Applied);
        }
        Ok(outcome)
    }

    /// From now on it can be followed.
    fn begin(
        &self,
        work: &TableWork,
        row: TableRow,
        metadata: Arc<CachedMetadata>,
        before: Option<&Tail>,
    ) -> UnderWay<'_> {
        let (sender, progress) = watch::channel(Progress::Begun);
        let tails = self.queue.tails();
        let under_way = UnderWay {
            tails,
            table: work.table.clone(),
            location: metadata.location().to_owned(),
            progress: sender,
        };
        let tail = Tail {
            row,
            depth: before.map_or(0, |before| before.depth) + 1,
            bytes: before.map_or(0, |before| before.bytes) + metadata.raw().len(),
            metadata,
            progress,
        };
        tails.with(|tails| tails.insert(work.table.clone(), tail));
        under_way
    }

    /// Plans on what is under way, or on the state when that is nothing, too much, or no ground for this commit.
    async fn plan(&self, work: &TableWork, tail: Option<Tail>) -> Result<Planned> {
        let tail = tail.filter(|tail| tail.depth < DEPTH_MAX && tail.bytes < BYTES_MAX);
        // What writes no file has nothing to do meanwhile.
        if let Some(tail) = tail.filter(|_| !work.updates.is_empty()) {
            // Without a barrier: the log compares with what the commit before makes.
            let state = self.consensus.state().state;
            let is_there = state.table(&work.table).is_some_and(|row| row.id == tail.row.id);
            let base = Base {
                expect: Expect::After {
                    id: tail.row.id,
                    version: tail.row.version,
                    metadata_location: tail.row.pointer.metadata_location.clone(),
                },
                row: tail.row.clone(),
                current: Arc::clone(&tail.metadata),
            };
            if is_there && let Ok(prepared) = self.prepare_on(&state, work, &base).await {
                let next = prepared.next_row(&base.row);
                let before = Some(tail);
                return Ok(Planned { prepared, next, before });
            }
        }
        self.queue.settle(&[&work.table]).await?;
        let state = self.fresh_state().await?;
        let prepared = self.prepare(&state, work).await?;
        let next = state.table(&work.table).and_then(|row| prepared.next_row(row));
        let before = None;
        Ok(Planned { prepared, next, before })
    }
}

impl Prepared {
    /// The table after this change of `row`; none when nothing is written.
    fn next_row(&self, row: &TableRow) -> Option<TableRow> {
        self.file.as_ref()?;
        Some(TableRow {
            pointer: self.change.pointer.clone(),
            version: row.version + 1,
            ..row.clone()
        })
    }
}
