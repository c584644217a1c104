//! The statements that are at work now, so that any connection of their owner can end them.
//!
//! Who waits and who runs is not decided here but where plans run: a statement stands in one queue, not in two.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use uuid::Uuid;

use tidewater_security::Principal;

use super::Batches;
use crate::error::QueryError;

/// Rows of a statement, which whoever cancels it takes away.
type Slot = Arc<Mutex<Option<Batches>>>;

/// All statements from their planning to their last row.
#[derive(Debug, Clone)]
pub(super) struct Running {
    statements: Arc<Mutex<Statements>>,
    statements_max: usize,
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
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl Running {
    pub(super) fn new(statements_max: usize) -> Self {
        Self {
            statements: Arc::default(),
            statements_max,
        }
    }

    /// A place for a statement, given back when what is returned is dropped. Refused when too many are at work.
    pub(super) fn enter(&self, id: Uuid, owner: &Principal) -> Result<AtWork, QueryError> {
        let mut statements = self.lock();
        let running = statements.by_number.len();
        if running >= self.statements_max {
            return Err(QueryError::Busy { running });
        }
        let number = statements.next;
        statements.next += 1;
        let (token, rows) = (CancellationToken::new(), Slot::default());
        let entry = Entry {
            id,
            owner: owner.clone(),
            token: token.clone(),
            rows: Arc::clone(&rows),
        };
        statements.by_number.insert(number, entry);
        Ok(AtWork {
            running: self.clone(),
            number,
            token,
            rows,
        })
    }

    /// Ends the work of a statement of this owner. False when there is none: it has ended, never began, is another's, or is
    /// at work on another node.
    pub(super) fn cancel(&self, id: Uuid, owner: &Principal) -> bool {
        let found: Vec<(CancellationToken, Slot)> = self
            .lock()
            .by_number
            .values()
            .filter(|entry| entry.id == id && entry.owner == *owner && !id.is_nil())
            .map(|entry| (entry.token.clone(), Arc::clone(&entry.rows)))
            .collect();
        for (token, rows) in &found {
            token.cancel();
            // Also when its client reads nothing at the moment.
            drop(take(rows));
        }
        !found.is_empty()
    }

    /// Ends a statement, whoever its owner is. False when there is none.
    pub(super) fn end(&self, id: Uuid) -> bool {
        let owner = self
            .lock()
            .by_number
            .values()
            .find(|entry| entry.id == id)
            .map(|entry| entry.owner.clone());
        owner.is_some_and(|owner| self.cancel(id, &owner))
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
}

impl AtWork {
    /// Does `work` unless it is cancelled before its end.
    pub(super) async fn run<T>(&self, work: impl Future<Output = Result<T, QueryError>>) -> Result<T, QueryError> {
        match self.token.run_until_cancelled(work).await {
            Some(done) => done,
            None => Err(QueryError::Cancelled),
        }
    }

    /// The rows with the place: it is given back after the last one. Cancelled, they end with an error.
    pub(super) fn rows(self, rows: Batches) -> Batches {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = Some(rows);
        if self.token.is_cancelled() {
            drop(take(&self.rows));
        }
        Box::pin(Rows {
            cancelled: Box::pin(self.token.clone().cancelled_owned()),
            at_work: Some(self),
        })
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
            Poll::Ready(Some(Err(QueryError::Cancelled)))
        } else {
            match at_work.rows.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                Some(rows) => rows.poll_next_unpin(context),
                None => Poll::Ready(Some(Err(QueryError::Cancelled))),
            }
        };
        if let Poll::Ready(None | Some(Err(_))) = next {
            this.at_work = None;
        }
        next
    }
}
