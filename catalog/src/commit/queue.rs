//! Turns: commits to one table are worked on one after the other.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::command::Ident;
use crate::error::Result;
use crate::raft::ConsensusError;

/// Tables share these places; two tables that meet in one only wait a little longer.
const PLACES: usize = 4_096;

/// How long a commit waits for its turn. At 20 ms a commit this is a queue of 1,000 on one table.
const TURN_DEADLINE: Duration = Duration::from_secs(20);

/// The queue before each table.
#[derive(Debug)]
pub(crate) struct TableQueue {
    places: Vec<Arc<Semaphore>>,
}

impl Default for TableQueue {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| Arc::new(Semaphore::new(1))).collect(),
        }
    }
}

impl TableQueue {
    /// Waits until it is these tables' turn; the turn ends when the answer is dropped.
    pub(crate) async fn turn(&self, tables: impl IntoIterator<Item = &Ident>) -> Result<Vec<OwnedSemaphorePermit>> {
        // In one order for everybody, or two transactions could wait for each other.
        let places: BTreeSet<usize> = tables.into_iter().map(place).collect();
        let take_all = async {
            let mut turns = Vec::with_capacity(places.len());
            for place in places {
                let Some(semaphore) = self.places.get(place).cloned() else {
                    continue;
                };
                // Never closed, so there is always a turn in the end.
                turns.extend(semaphore.acquire_owned().await);
            }
            turns
        };
        match tokio::time::timeout(TURN_DEADLINE, take_all).await {
            Ok(turns) => Ok(turns),
            Err(_) => Err(ConsensusError::Overloaded {
                what: "commits to one table",
                waited: TURN_DEADLINE,
            }
            .into()),
        }
    }
}

fn place(table: &Ident) -> usize {
    let mut hasher = DefaultHasher::new();
    table.hash(&mut hasher);
    usize::try_from(hasher.finish() % PLACES as u64).unwrap_or_default()
}
