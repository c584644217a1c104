//! The statements that are at work now, so that any connection of their owner can end them.
//!
//! Who waits and who runs is not decided here but where plans run: a statement stands in one queue, not in two.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};
use moka::sync::Cache;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use uuid::Uuid;

use tidewater_engine::Progress;
use tidewater_security::Principal;

use super::Batches;
use super::cut::{Cause, Cut};
use crate::error::QueryError;

/// Rows of a statement, which whoever cancels it takes away.
type Slot = Arc<Mutex<Option<Batches>>>;

/// A statement that nobody reads is ended so long after its time: who reads is told of the end by the rows themselves before.
const LATE: Duration = Duration::from_secs(5);

/// What a request to end a statement finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was at work here and ends, or was ended here before.
    Ended,
    /// It has not begun here, and does not any more.
    NotBegun,
    /// It has ended by itself, is another's, or is none.
    Over,
}

/// Until when rows may be read, and the time that the statement was given for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    at: Duration,
    allowed: Duration,
}

impl Until {
    /// From now on.
    pub(super) fn after(now: Duration, allowed: Duration) -> Self {
        let at = now.saturating_add(allowed);
        Self { at, allowed }
    }
}

/// How long it is known of a statement that it has begun, and that it was cancelled.
const KNOWN: Duration = Duration::from_secs(600);

/// Statements of which that is known.
const KNOWN_MAX: u64 = 100_000;

/// All statements from their planning to their last row.
#[derive(Debug, Clone)]
pub(super) struct Running {
    statements: Arc<Mutex<Statements>>,
    statements_max: usize,
    /// Those that have begun, so that one that was never fetched can be told from one that has ended.
    begun: Cache<Uuid, ()>,
    /// Those that were cancelled, with the names of their owners: they do not begin any more.
    cancelled: Cache<(Uuid, String), ()>,
}

#[derive(Debug, Default)]
struct Statements {
    next: u64,
    by_number: BTreeMap<u64, Entry>,
}

struct Entry {
    id: Uuid,
    owner: Principal,
    token: CancellationToken,
    rows: Slot,
    /// None while there are no rows yet: what makes them knows its time itself.
    until: Option<Until>,
    /// The limit that ended it.
    cause: Cause,
    /// How far it is; none until it runs.
    progress: Option<Arc<Progress>>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

fn known<K: Hash + Eq + Send + Sync + 'static>() -> Cache<K, ()> {
    Cache::builder().max_capacity(KNOWN_MAX).time_to_live(KNOWN).build()
}

impl Running {
    pub(super) fn new(statements_max: usize) -> Self {
        Self {
            statements: Arc::default(),
            statements_max,
            begun: known(),
            cancelled: known(),
        }
    }

    /// A place for a statement, given back when what is returned is dropped. Refused when too many are at work.
    pub(super) fn enter(&self, id: Uuid, owner: &Principal) -> Result<AtWork, QueryError> {
        if self.cancelled.contains_key(&(id, owner.name.clone())) {
            return Err(QueryError::Cancelled);
        }
        self.begun.insert(id, ());
        let mut statements = self.lock();
        let running = statements.by_number.len();
        if running >= self.statements_max {
            return Err(QueryError::Busy { running });
        }
        let number = statements.next;
        statements.next += 1;
        let (token, rows, cause) = (CancellationToken::new(), Slot::default(), Cause::default());
        let entry = Entry {
            id,
            owner: owner.clone(),
            token: token.clone(),
            rows: Arc::clone(&rows),
            until: None,
            cause: Arc::clone(&cause),
            progress: None,
        };
        statements.by_number.insert(number, entry);
        Ok(AtWork {
            running: self.clone(),
            number,
            token,
            rows,
            cause,
        })
    }

    /// Ends those that are over time, whose clients take nothing: their places are free and what they hold is let go. How many.
    pub(super) fn end_late(&self, now: Duration) -> usize {
        let is_late = |entry: &Entry| entry.until.is_some_and(|until| now >= until.at.saturating_add(LATE));
        let late: Vec<Entry> = self
            .lock()
            .by_number
            .extract_if(.., |_, entry| is_late(entry))
            .map(|(_, entry)| entry)
            .collect();
        for entry in &late {
            if let Some(until) = entry.until.filter(|_| !entry.token.is_cancelled()) {
                // Set once: it is no longer among those at work.
                let _ = entry.cause.set(Cut::Late(until.allowed));
            }
            entry.token.cancel();
            drop(take(&entry.rows));
        }
        late.len()
    }

    /// A statement runs, and tells there how far it is.
    pub(super) fn tells(&self, id: Uuid, progress: Arc<Progress>) {
        let mut statements = self.lock();
        if let Some(entry) = statements.by_number.values_mut().find(|entry| entry.id == id) {
            entry.progress = Some(progress);
        }
    }

    /// Tells how far a statement is, if it runs here.
    pub(super) fn progress(&self, id: Uuid) -> Option<Arc<Progress>> {
        let statements = self.lock();
        let found = statements.by_number.values().find(|entry| entry.id == id);
        found.and_then(|entry| entry.progress.clone())
    }

    /// Ends a statement by a limit that whoever runs it does not look at. Nothing where it has ended.
    pub(super) fn cut(&self, id: Uuid, cut: Cut) {
        let found: Vec<(CancellationToken, Slot)> = self
            .lock()
            .by_number
            .values()
            .filter(|entry| entry.id == id && !id.is_nil())
            .map(|entry| {
                // What came first counts, be it a limit or whoever cancelled it.
                if !entry.token.is_cancelled() {
                    entry.cause.get_or_init(|| cut);
                }
                (entry.token.clone(), Arc::clone(&entry.rows))
            })
            .collect();
        for (token, rows) in &found {
            token.cancel();
            drop(take(rows));
        }
    }

    /// Ends a statement of the owner of this name: its work, or that it ever begins here. Again and again it is told that it is ended.
    pub(super) fn cancel(&self, id: Uuid, owner: &str) -> Fate {
        if id.is_nil() {
            return Fate::Over;
        }
        let found: Vec<(CancellationToken, Slot)> = self
            .lock()
            .by_number
            .values()
            .filter(|entry| entry.id == id && entry.owner.name == owner)
            .map(|entry| (entry.token.clone(), Arc::clone(&entry.rows)))
            .collect();
        for (token, rows) in &found {
            token.cancel();
            // Also when its client reads nothing at the moment.
            drop(take(rows));
        }
        let key = (id, owner.to_owned());
        let fate = match (found.is_empty(), self.begun.contains_key(&id)) {
            (false, _) => Fate::Ended,
            (true, false) => Fate::NotBegun,
            (true, true) if self.cancelled.contains_key(&key) => return Fate::Ended,
            (true, true) => return Fate::Over,
        };
        self.cancelled.insert(key, ());
        fate
    }

    /// Takes note that somebody cancelled a statement of theirs.
    pub(super) fn is_cancelled_by(&self, id: Uuid, owner: &Principal) {
        self.cancelled.insert((id, owner.name.clone()), ());
    }

    /// Whether somebody cancelled a statement of theirs a while ago.
    pub(super) fn was_cancelled_by(&self, id: Uuid, owner: &Principal) -> bool {
        self.cancelled.contains_key(&(id, owner.name.clone()))
    }

    /// Ends a statement, whoever its owner is. False when there is none.
    pub(super) fn end(&self, id: Uuid) -> bool {
        let owner = self
            .lock()
            .by_number
            .values()
            .find(|entry| entry.id == id)
            .map(|entry| entry.owner.name.clone());
        owner.is_some_and(|owner| self.cancel(id, &owner) == Fate::Ended)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().by_number.len()
    }

    fn lock(&self) -> MutexGuard<'_, Statements> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(rows: &Slot) -> Option<Batches> {
    rows.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A place among the statements at work.
pub(super) struct AtWork {
    running: Running,
    number: u64,
    token: CancellationToken,
    rows: Slot,
    cause: Cause,
}

impl AtWork {
    /// Tells which limit ends it, once one does.
    pub(super) fn cause(&self) -> Cause {
        Arc::clone(&self.cause)
    }

    /// Does `work` unless it is cancelled before its end.
    pub(super) async fn run<T>(&self, work: impl Future<Output = Result<T, QueryError>>) -> Result<T, QueryError> {
        match self.token.run_until_cancelled(work).await {
            Some(done) => done,
            None => Err(self.ended()),
        }
    }

    /// The rows with the place: it is given back after the last one. Cancelled or too late, they end with an error.
    pub(super) fn rows(self, rows: Batches, until: Until) -> Batches {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = Some(rows);
        if let Some(entry) = self.running.lock().by_number.get_mut(&self.number) {
            entry.until = Some(until);
        }
        if self.token.is_cancelled() {
            drop(take(&self.rows));
        }
        Box::pin(Rows {
            cancelled: Box::pin(self.token.clone().cancelled_owned()),
            at_work: Some(self),
        })
    }

    /// Why there are no more rows.
    fn ended(&self) -> QueryError {
        self.cause.get().map_or(QueryError::Cancelled, |cut| cut.error())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        // What is dropped here must not wait for the lock.
        let entry = self.running.lock().by_number.remove(&self.number);
        drop(take(&self.rows));
        drop(entry);
    }
}

struct Rows {
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    /// None after the end.
    at_work: Option<AtWork>,
}

impl Stream for Rows {
    type Item = Result<super::RecordBatch, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(at_work) = &this.at_work else {
            return Poll::Ready(None);
        };
        let next = if this.cancelled.as_mut().poll(context).is_ready() {
            Poll::Ready(Some(Err(at_work.ended())))
        } else {
            match at_work.rows.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                Some(rows) => rows.poll_next_unpin(context),
                None => Poll::Ready(Some(Err(at_work.ended()))),
            }
        };
        if let Poll::Ready(None | Some(Err(_))) = next {
            this.at_work = None;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use tidewater_core::Coded;

    use super::*;

    // Goal: what is over time and not read is let go, with its place, and its reader is told why; what has time stays. Method: two
    // statements whose rows hold something, of which one is late, in places for two.
    #[tokio::test]
    async fn statements_that_nobody_reads_end() {
        let (running, ana) = (Running::new(2), Principal::named("ana"));
        let held = Arc::new(());
        let begin = |number: u128, seconds| {
            let held = Arc::clone(&held);
            let rows = Box::pin(stream::pending().map(move |row| {
                let _ = &held;
                row
            }));
            let until = Until::after(Duration::from_secs(10), Duration::from_secs(seconds));
            running
                .enter(Uuid::from_u128(number), &ana)
                .map(|at_work| at_work.rows(rows, until))
        };
        let (mut late, mut other) = (begin(1, 20).expect("a place"), begin(2, 30).expect("a place"));
        assert!(begin(3, 30).is_err(), "no third place");
        let over = Duration::from_secs(30) + LATE;
        assert_eq!(running.end_late(over - Duration::from_millis(1)), 0);
        assert_eq!(running.end_late(over), 1);
        assert_eq!(running.end_late(over), 0);
        assert_eq!(Arc::strong_count(&held), 2, "one of them holds it still");
        drop(begin(3, 30).expect("a place again"));
        let told = late.next().await.expect("an end").expect_err("an error");
        assert_eq!(told.code(), "ENG-0009");
        assert!(late.next().await.is_none());
        assert!(futures::poll!(other.next()).is_pending(), "it goes on");
        assert_eq!(running.cancel(Uuid::from_u128(2), &ana.name), Fate::Ended);
    }
}
