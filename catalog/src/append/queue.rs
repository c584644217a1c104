//! Appends that wait for the next snapshot of their table.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::{Append, Appended, overloaded, summary};
use crate::command::Ident;
use crate::error::{CatalogError, Result};

/// Requests in one snapshot.
pub(super) const REQUESTS_PER_FOLD_MAX: usize = 64;

/// Files in one snapshot: a manifest of so many is written in well under a second.
const FILES_PER_FOLD_MAX: usize = 10_000;

/// Requests that wait for one table: some seconds' worth.
const WAITING_MAX: usize = 1_000;

/// Files that are looked for in the store at a time, for all requests together.
const LOOKS_AT_ONCE: usize = 64;

/// An append and who waits for it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) append: Append,
    pub(super) answer: oneshot::Sender<Result<Appended>>,
}

/// The appends that wait, by table.
#[derive(Debug)]
pub(crate) struct AppendQueue {
    /// A table is in here as long as somebody folds its appends.
    tables: Mutex<HashMap<Ident, VecDeque<Waiting>>>,
    looks: Semaphore,
}

impl Default for AppendQueue {
    fn default() -> Self {
        Self {
            tables: Mutex::default(),
            looks: Semaphore::new(LOOKS_AT_ONCE),
        }
    }
}

impl AppendQueue {
    /// Puts an append in. True if nobody folds this table's appends yet: the caller has to see to it.
    pub(super) fn push(&self, table: &Ident, waiting: Waiting) -> Result<bool> {
        match self.lock().entry(table.clone()) {
            Entry::Occupied(mut queue) if queue.get().len() < WAITING_MAX => {
                queue.get_mut().push_back(waiting);
                Ok(false)
            }
            Entry::Occupied(_) => Err(overloaded("appends to one table")),
            Entry::Vacant(place) => {
                place.insert([waiting].into());
                Ok(true)
            }
        }
    }

    /// What goes into the next snapshot; none when nothing waits, and then the caller folds no longer.
    pub(super) fn take(&self, table: &Ident) -> Option<Vec<Waiting>> {
        let mut tables = self.lock();
        let queue = tables.get_mut(table)?;
        let (mut taken, mut files) = (Vec::new(), 0);
        let mut said: BTreeMap<String, String> = BTreeMap::new();
        while let Some(next) = queue.pop_front() {
            // Nothing was begun for it, and who asked is gone.
            if next.answer.is_closed() {
                continue;
            }
            let more = next.append.files.len();
            let fits = taken.len() < REQUESTS_PER_FOLD_MAX && files + more <= FILES_PER_FOLD_MAX;
            let joins = taken.is_empty() || (fits && summary::agree(&said, &next.append.summary));
            if !joins {
                queue.push_front(next);
                break;
            }
            files += more;
            said.extend(next.append.summary.iter().cloned());
            taken.push(next);
        }
        if taken.is_empty() {
            tables.remove(table);
            return None;
        }
        Some(taken)
    }

    /// How many wait for the next snapshot of a table.
    pub(crate) fn waiting(&self, table: &Ident) -> usize {
        self.lock().get(table).map_or(0, VecDeque::len)
    }

    /// A place for one more look into the store.
    pub(super) async fn place_to_look(&self) -> Result<SemaphorePermit<'_>> {
        let place = self.looks.acquire().await;
        place.map_err(|error| CatalogError::internal(error.to_string()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ident, VecDeque<Waiting>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
