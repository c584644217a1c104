//! Turns: commits to one table are worked on one after the other, or plan one after the other and are written side by side.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::follow::{Tail, Tails};
use crate::command::Ident;
use crate::error::{CatalogError, Result};
use crate::raft::ConsensusError;
use tidewater_core::SharedClock;

/// Tables share these places; two tables that meet in one only wait a little longer.
const PLACES: usize = 4_096;

/// How long a commit waits for its turn. At 20 ms a commit this is a queue of 1,000 on one table.
pub(super) const TURN_DEADLINE: Duration = Duration::from_secs(20);

/// How long a compaction lets writers go first. A table that is written to without a pause is compacted all the same.
const YIELD_MAX: Duration = Duration::from_secs(2);

/// Between two looks whether writers wait.
const YIELD_PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug)]
struct Place {
    turn: Arc<Semaphore>,
    /// Writers that wait for the turn.
    writers: AtomicUsize,
}

/// A writer that waits; counted until this is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn among(writers: &'a AtomicUsize) -> Self {
        writers.fetch_add(1, Relaxed);
        Self(writers)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The queue before each table.
#[derive(Debug)]
pub(crate) struct TableQueue {
    places: Vec<Place>,
    tails: Tails,
}

impl Default for TableQueue {
    fn default() -> Self {
        let place = || Place {
            turn: Arc::new(Semaphore::new(1)),
            writers: AtomicUsize::new(0),
        };
        Self {
            places: (0..PLACES).map(|_| place()).collect(),
            tails: Tails::default(),
        }
    }
}

impl TableQueue {
    /// Waits until it is these tables' turn and nothing is under way for them; the turn ends when the answer is dropped.
    pub(crate) async fn turn<'a>(
        &self,
        tables: impl IntoIterator<Item = &'a Ident>,
    ) -> Result<Vec<OwnedSemaphorePermit>> {
        let tables: Vec<&Ident> = tables.into_iter().collect();
        let turns = self.take(places(tables.iter().copied()), true).await?;
        self.settle(&tables).await?;
        Ok(turns)
    }

    /// The turn to plan a commit that follows the one under way, if there is one.
    pub(super) async fn turn_to_follow(&self, table: &Ident) -> Result<(Vec<OwnedSemaphorePermit>, Option<Tail>)> {
        let turns = self.take(places([table]), true).await?;
        Ok((turns, self.tails.of(table)))
    }

    pub(super) fn tails(&self) -> &Tails {
        &self.tails
    }

    /// Waits for what is under way. Whoever has the turn lets nobody add to it.
    pub(super) async fn settle(&self, tables: &[&Ident]) -> Result<()> {
        let ended = async {
            for table in tables {
                if let Some(mut tail) = self.tails.of(table) {
                    tail.ended().await;
                }
            }
        };
        let ended = tokio::time::timeout(TURN_DEADLINE, ended).await;
        ended.map_err(|_| waited_in_vain())
    }

    /// The same for a compaction, which lets those go first that write rows, for some time; `others` are those that wait elsewhere.
    pub(crate) async fn turn_after_writers<'a>(
        &self,
        clock: &SharedClock,
        tables: impl IntoIterator<Item = &'a Ident>,
        others: impl Fn() -> bool,
    ) -> Result<Vec<OwnedSemaphorePermit>> {
        let tables: Vec<&Ident> = tables.into_iter().collect();
        let (places, begun) = (places(tables.iter().copied()), clock.monotonic());
        loop {
            let turns = self.take(places.clone(), false).await?;
            let wait = |place: &usize| {
                self.places
                    .get(*place)
                    .is_some_and(|place| place.writers.load(Relaxed) > 0)
            };
            let under_way = tables.iter().any(|table| self.tails.of(table).is_some());
            let is_free = !others() && !under_way && !places.iter().any(wait);
            if is_free || clock.monotonic() - begun >= YIELD_MAX {
                self.settle(&tables).await?;
                return Ok(turns);
            }
            drop(turns);
            clock.sleep(YIELD_PAUSE).await;
        }
    }

    async fn take(&self, places: BTreeSet<usize>, writes: bool) -> Result<Vec<OwnedSemaphorePermit>> {
        let take_all = async {
            let mut turns = Vec::with_capacity(places.len());
            for place in places {
                let Some(place) = self.places.get(place) else {
                    continue;
                };
                let _waiting = writes.then(|| Counted::among(&place.writers));
                // Never closed, so there is always a turn in the end.
                turns.extend(Arc::clone(&place.turn).acquire_owned().await);
            }
            turns
        };
        match tokio::time::timeout(TURN_DEADLINE, take_all).await {
            Ok(turns) => Ok(turns),
            Err(_) => Err(waited_in_vain()),
        }
    }
}

/// A commit that is not begun, or not proposed, because those before it take too long.
pub(super) fn waited_in_vain() -> CatalogError {
    let what = "commits to one table";
    let waited = TURN_DEADLINE;
    ConsensusError::Overloaded { what, waited }.into()
}

/// In one order for everybody, or two transactions could wait for each other.
fn places<'a>(tables: impl IntoIterator<Item = &'a Ident>) -> BTreeSet<usize> {
    tables.into_iter().map(place).collect()
}

fn place(table: &Ident) -> usize {
    let mut hasher = DefaultHasher::new();
    table.hash(&mut hasher);
    usize::try_from(hasher.finish() % PLACES as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use tidewater_core::SystemClock;

    fn table() -> Ident {
        Ident {
            namespace: vec!["a".into()],
            name: "t".into(),
        }
    }

    // Goal: a compaction goes behind writers that wait, also those that came after it, and before they end if they never do. Method:
    // one turn that is held while a compaction and three writers queue up; then writers without a pause.
    #[tokio::test]
    async fn compactions_let_writers_go_first() {
        let (queue, clock, order) = (TableQueue::default(), SystemClock::shared(), RefCell::new(Vec::new()));
        let name = table();
        let held = queue.turn([&name]).await.unwrap();
        let compact = async {
            let _turn = queue.turn_after_writers(&clock, [&name], || false).await.unwrap();
            order.borrow_mut().push("compaction");
        };
        let write = || async {
            let _turn = queue.turn([&name]).await.unwrap();
            tokio::task::yield_now().await;
            order.borrow_mut().push("writer");
        };
        let release = async {
            tokio::task::yield_now().await;
            drop(held);
        };
        tokio::join!(compact, write(), write(), write(), release);
        assert_eq!(*order.borrow(), ["writer", "writer", "writer", "compaction"]);
        let begun = clock.monotonic();
        let _turn = queue.turn_after_writers(&clock, [&name], || true).await.unwrap();
        assert!(clock.monotonic() - begun >= YIELD_MAX);
    }
}
