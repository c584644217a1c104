//! Statements whose results are fetched later: held in memory, for a time, within limits. SQL over HTTP and polls of Flight SQL share
//! them.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::StreamExt;
use futures::future::{Either, select};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use tidewater_core::SharedClock;
use tidewater_security::Principal;

use crate::error::QueryError;
use crate::service::{Basis, Cut, Results};

#[cfg(test)]
mod tests;

/// Statements held at once, of all users together and of one.
const HELD_MAX: usize = 1_000;
pub(crate) const HELD_OF_ONE_MAX: usize = 50;

/// The most that one result may take.
const RESULT_BYTES_MAX: usize = 64 << 20;

/// The most that all results may take; the oldest go first.
const BYTES_MAX: usize = 512 << 20;

/// How long a result is held after its statement ended, and after it was asked to be held longer.
pub(crate) const KEPT: Duration = Duration::from_secs(600);

/// How long a result is held at most, however often it is asked for: what is needed for longer is written to a table.
pub(crate) const KEPT_MAX: Duration = Duration::from_secs(3_600);

/// What a statement came to.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    /// Its rows.
    Rows {
        schema: SchemaRef,
        batches: Arc<Vec<RecordBatch>>,
        /// What they were made of; none where that is nobody's secret.
        basis: Option<Basis>,
        /// What they take in memory, with what they were made of.
        bytes: usize,
    },
    /// What it changed.
    Changed { status: &'static str, rows: Option<u64> },
}

/// What a statement failed with.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) error: Arc<QueryError>,
    /// What it was asked by, as an error may tell of a value; none where that is nobody's secret, or nothing was read.
    pub(crate) basis: Option<Basis>,
    bytes: usize,
}

impl Failed {
    pub(crate) fn new(error: QueryError, basis: Option<Basis>) -> Self {
        Self {
            error: Arc::new(error),
            bytes: basis.as_ref().map_or(0, Basis::bytes),
            basis,
        }
    }
}

impl From<QueryError> for Failed {
    fn from(error: QueryError) -> Self {
        Self::new(error, None)
    }
}

impl Ended {
    pub(crate) fn changed(status: &'static str, rows: Option<u64>) -> Self {
        Self::Changed { status, rows }
    }

    /// All rows, if they may be held; `too_large` is called while the statement is at work still.
    pub(crate) async fn collect(mut results: Results, too_large: impl FnOnce(Cut)) -> Result<Self, Failed> {
        let (mut batches, mut bytes) = (Vec::new(), 0_usize);
        while let Some(batch) = results.batches.next().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return Err(Failed::new(error, results.basis)),
            };
            bytes = bytes.saturating_add(batch.get_array_memory_size());
            if bytes > RESULT_BYTES_MAX {
                too_large(Cut::TooLarge(RESULT_BYTES_MAX));
                let error = QueryError::TooLarge {
                    bytes_max: RESULT_BYTES_MAX,
                };
                return Err(error.into());
            }
            batches.push(batch);
        }
        Ok(Self::Rows {
            schema: results.schema,
            batches: Arc::new(batches),
            bytes: bytes.saturating_add(results.basis.as_ref().map_or(0, Basis::bytes)),
            basis: results.basis,
        })
    }

    /// How many rows there are to fetch.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Rows { batches, .. } => batches.iter().map(RecordBatch::num_rows).sum(),
            Self::Changed { .. } => 0,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Rows { bytes, .. } => *bytes,
            Self::Changed { .. } => 0,
        }
    }
}

/// What can be said of a statement now.
#[derive(Debug, Clone)]
pub(crate) enum Look {
    /// It is at work.
    Runs,
    /// It failed.
    Failed(Failed),
    /// It came to this, which is held for so long.
    Done(Ended, Duration),
}

#[derive(Debug)]
struct Over {
    /// The moments of its end and of the end of its time.
    at: Duration,
    until: Duration,
    came_to: Result<Ended, Failed>,
}

#[derive(Debug)]
struct Entry {
    owner: Principal,
    /// Ends its work.
    token: CancellationToken,
    /// Tells those who wait that it has ended.
    changed: Arc<Notify>,
    /// When somebody asked for it, and how long nobody may until it is given up.
    seen: Duration,
    unseen_max: Option<Duration>,
    /// Whether somebody has come for its rows.
    fetched: bool,
    /// None while it runs.
    over: Option<Over>,
}

/// All of them. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    entries: Arc<Mutex<BTreeMap<Uuid, Entry>>>,
    clock: SharedClock,
}

impl Held {
    /// None yet; times are told by this clock.
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            entries: Arc::default(),
            clock,
        }
    }

    /// Takes a statement in, whose work is to be done by [`Self::hold`]. It is given up while nobody asks for it for so long.
    pub(crate) fn begin(&self, owner: &Principal, id: Uuid, unseen_max: Option<Duration>) -> Result<(), QueryError> {
        let mut entries = self.current();
        let mut of_one = entries.values().filter(|entry| entry.owner.name == owner.name).count();
        if of_one >= HELD_OF_ONE_MAX && forget_fetched(&mut entries, owner) {
            of_one -= 1;
        }
        if entries.len() >= HELD_MAX || of_one >= HELD_OF_ONE_MAX {
            return Err(QueryError::TooManyHeld {
                held: of_one.min(entries.len()),
            });
        }
        let entry = Entry {
            owner: owner.clone(),
            token: CancellationToken::new(),
            changed: Arc::default(),
            seen: self.clock.monotonic(),
            unseen_max,
            fetched: false,
            over: None,
        };
        entries.insert(id, entry);
        Ok(())
    }

    /// Does the work of a statement and holds what it comes to, unless it is cancelled or given up before; `given_up` is called while
    /// it is at work still.
    pub(crate) async fn hold(
        &self,
        id: Uuid,
        work: impl Future<Output = Result<Ended, Failed>>,
        given_up: impl FnOnce(Cut),
    ) {
        let found = self
            .current()
            .get(&id)
            .map(|entry| (entry.token.clone(), entry.unseen_max));
        let Some((token, unseen_max)) = found else {
            return;
        };
        let mut work = pin!(token.run_until_cancelled(work));
        loop {
            let Some(left) = self.patience(id) else {
                // Whoever lets go of it cancels it too.
                if let (Some(unseen_max), false) = (unseen_max, token.is_cancelled()) {
                    given_up(Cut::Unseen(unseen_max));
                }
                return;
            };
            let waited = match left {
                Some(left) => select(work.as_mut(), self.clock.sleep(left)).await,
                None => Either::Left((work.as_mut().await, self.clock.sleep(Duration::ZERO))),
            };
            if let Either::Left((done, _)) = waited {
                return self.end(id, done.unwrap_or_else(|| Err(QueryError::Cancelled.into())));
            }
        }
    }

    /// How long its work may go on unless somebody asks for it: without an end for some, not at all for one that is gone.
    fn patience(&self, id: Uuid) -> Option<Option<Duration>> {
        let now = self.clock.monotonic();
        let entries = self.current();
        let entry = entries.get(&id)?;
        let left = entry.unseen_max.map(|most| (entry.seen + most).saturating_sub(now));
        Some(left)
    }

    /// It has ended. What nobody wants any more is let go.
    fn end(&self, id: Uuid, came_to: Result<Ended, Failed>) {
        let mut entries = self.current();
        let at = self.clock.monotonic();
        if let Some(entry) = entries.get_mut(&id).filter(|entry| entry.over.is_none()) {
            entry.over = Some(Over {
                at,
                until: at + KEPT,
                came_to,
            });
            entry.changed.notify_waiters();
        }
        shrink(&mut entries);
    }

    /// What can be said of it.
    pub(crate) fn look(&self, owner: &Principal, id: Uuid) -> Result<Look, QueryError> {
        let mut entries = self.current();
        let now = self.clock.monotonic();
        let entry = own(&mut entries, owner, id)?;
        entry.seen = now;
        Ok(match &entry.over {
            None => Look::Runs,
            Some(over) => match &over.came_to {
                Err(failed) => Look::Failed(failed.clone()),
                Ok(ended) => Look::Done(ended.clone(), over.until.saturating_sub(now)),
            },
        })
    }

    /// The same for somebody who comes for the rows: they go first when their owner has no room for others.
    pub(crate) fn fetch(&self, owner: &Principal, id: Uuid) -> Result<Look, QueryError> {
        let look = self.look(owner, id)?;
        own(&mut self.current(), owner, id)?.fetched = matches!(look, Look::Done(..));
        Ok(look)
    }

    /// The same when it has ended, or after `at_most`.
    pub(crate) async fn wait(&self, owner: &Principal, id: Uuid, at_most: Duration) -> Result<Look, QueryError> {
        let changed = Arc::clone(&own(&mut self.current(), owner, id)?.changed);
        let mut ends = pin!(changed.notified());
        ends.as_mut().enable();
        if let Look::Runs = self.look(owner, id)? {
            drop(select(ends, self.clock.sleep(at_most)).await);
        }
        self.look(owner, id)
    }

    /// Holds it longer, within the most that anything is held: how long from now.
    pub(crate) fn renew(&self, owner: &Principal, id: Uuid) -> Result<Duration, QueryError> {
        let mut entries = self.current();
        let now = self.clock.monotonic();
        match &mut own(&mut entries, owner, id)?.over {
            None => Err(QueryError::StillRuns { id }),
            Some(over) => {
                over.until = (now + KEPT).min(over.at + KEPT_MAX);
                Ok(over.until.saturating_sub(now))
            }
        }
    }

    /// Lets go of it. Whether it still ran.
    pub(crate) fn forget(&self, owner: &Principal, id: Uuid) -> Result<bool, QueryError> {
        let mut entries = self.current();
        let entry = own(&mut entries, owner, id)?;
        let ran = entry.over.is_none();
        entry.token.cancel();
        entry.changed.notify_waiters();
        entries.remove(&id);
        Ok(ran)
    }

    /// Ends it so that whoever polls it is told; what it came to already is let go.
    pub(crate) fn cancel(&self, owner: &Principal, id: Uuid) -> Result<(), QueryError> {
        let token = {
            let mut entries = self.current();
            let entry = own(&mut entries, owner, id)?;
            let token = entry.token.clone();
            if entry.over.is_some() {
                entries.remove(&id);
            }
            token
        };
        token.cancel();
        self.end(id, Err(QueryError::Cancelled.into()));
        Ok(())
    }

    /// Those whose time is not over.
    fn current(&self) -> MutexGuard<'_, BTreeMap<Uuid, Entry>> {
        let now = self.clock.monotonic();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| match (&entry.over, entry.unseen_max) {
            (Some(over), _) => now < over.until,
            (None, Some(most)) => now < entry.seen + most,
            (None, None) => true,
        });
        entries
    }
}

/// Of others nobody learns that it is there.
fn own<'a>(entries: &'a mut BTreeMap<Uuid, Entry>, owner: &Principal, id: Uuid) -> Result<&'a mut Entry, QueryError> {
    entries
        .get_mut(&id)
        .filter(|entry| entry.owner.name == owner.name)
        .ok_or(QueryError::NotHeld { id })
}

/// Lets the oldest of an owner's results go that somebody came for. Whether there is one: polls have no other way to say that it is not
/// needed any more.
fn forget_fetched(entries: &mut BTreeMap<Uuid, Entry>, owner: &Principal) -> bool {
    let fetched = entries
        .iter()
        .filter(|(_, entry)| entry.owner.name == owner.name && entry.fetched);
    let oldest = fetched.min_by_key(|(_, entry)| entry.over.as_ref().map(|over| over.at));
    let oldest = oldest.map(|(id, _)| *id);
    oldest.is_some_and(|id| entries.remove(&id).is_some())
}

/// Lets the oldest results go until the rest may stay.
fn shrink(entries: &mut BTreeMap<Uuid, Entry>) {
    let size = |entry: &Entry| match &entry.over {
        Some(Over { came_to: Ok(ended), .. }) => ended.bytes(),
        Some(Over {
            came_to: Err(failed), ..
        }) => failed.bytes,
        None => 0,
    };
    let mut total: usize = entries.values().map(size).sum();
    while total > BYTES_MAX {
        let oldest = entries.iter().filter(|(_, entry)| size(entry) > 0);
        let oldest = oldest.min_by_key(|(_, entry)| entry.over.as_ref().map(|over| over.at));
        let Some(id) = oldest.map(|(id, _)| *id) else { return };
        total = total.saturating_sub(entries.remove(&id).as_ref().map_or(0, size));
    }
}
