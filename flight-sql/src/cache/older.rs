//! Rows that are a little older than their tables, for tables that bear it (`tidewater.cache.max-staleness`).
//!
//! A statement about such tables has a second key, without their snapshots. Under it stands which of the kept results is the newest,
//! of which states of the tables it is, and when these were surely the newest: a moment of this process's own clock from before
//! they were looked up. What is given later is at most so old as that moment is ago. The times in snapshots are not asked, as they
//! come from the clocks of whoever wrote them.
//!
//! All else that keys are made of stands in the second key too: policy, schemas, views, and the snapshots of all other tables.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use tidewater_engine::TableState;

use super::{IDLE_MAX, Key, Question, ResultCache, rows};
use crate::service::Batches;

/// Statements about such tables whose newest result is known.
const STATEMENTS_MAX: u64 = 10_000;

/// Snapshots that are read in the place of the newest ones, by table.
pub(crate) type ReadInstead = HashMap<Uuid, Option<i64>>;

/// That a statement may be answered with older rows.
#[derive(Debug, Clone)]
pub(crate) struct Bears {
    /// Names it without the snapshots of these tables.
    pub(super) key: Key,
    /// The tables as they are now, in the plan's order, and how old rows of each may be.
    pub(super) tables: Vec<(TableState, Duration)>,
    /// A moment before they were looked up.
    pub(super) seen: Duration,
}

/// The newest result of a statement.
#[derive(Debug)]
struct Newest {
    key: Key,
    tables: Vec<TableState>,
    seen: Duration,
}

/// Which results are the newest.
#[derive(Debug)]
pub(super) struct NewestResults(moka::sync::Cache<Key, Arc<Newest>>);

/// Rows that are older than their tables.
pub(crate) struct Older {
    pub(crate) rows: Batches,
    /// How long ago they were surely those of now.
    pub(crate) age: Duration,
    pub(crate) read: ReadInstead,
}

impl NewestResults {
    pub(super) fn new() -> Self {
        let newest = moka::sync::Cache::builder().max_capacity(STATEMENTS_MAX);
        Self(newest.time_to_idle(IDLE_MAX).build())
    }

    /// Takes note of a result that is kept under `key`. Who looked their tables up before others did comes too late.
    pub(super) fn note(&self, key: Key, bears: &Bears) {
        let newer = || {
            Arc::new(Newest {
                key,
                tables: bears.tables.iter().map(|(state, _)| state.clone()).collect(),
                seen: bears.seen,
            })
        };
        self.0.entry(bears.key).and_upsert_with(|known| {
            let known = known.map(moka::Entry::into_value);
            known.filter(|known| known.seen >= bears.seen).unwrap_or_else(newer)
        });
    }
}

impl Newest {
    /// How old it is, if all tables that have moved on since bear that.
    fn age(&self, bears: &Bears, now: Duration) -> Option<Duration> {
        if self.tables.len() != bears.tables.len() {
            return None;
        }
        let pairs = self.tables.iter().zip(&bears.tables);
        let moved = pairs.filter(|(then, (state, _))| *then != state);
        let allowed = moved.map(|(_, (_, allowed))| *allowed).min()?;
        let age = now.saturating_sub(self.seen);
        (age <= allowed).then_some(age)
    }
}

impl ResultCache {
    /// Rows that are older than their tables, where these bear it and there are none of now.
    pub(crate) fn older(&self, question: &Question, now: Duration) -> Option<Older> {
        let bears = question.bears.as_ref()?;
        if self.holds(&question.key) {
            return None;
        }
        let newest = self.0.newest.0.get(&bears.key)?;
        #[cfg(test)]
        let now = if self.0.forgets_time { newest.seen } else { now };
        let age = newest.age(bears, now)?;
        let entry = self.0.entries.get(&newest.key)?;
        Some(Older {
            rows: rows(&entry),
            // Told in milliseconds, and never less than it is.
            age: Duration::from_millis(u64::try_from(age.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)),
            read: newest
                .tables
                .iter()
                .map(|state| (state.table, state.snapshot_id))
                .collect(),
        })
    }

    /// The kept rows that a statement was answered with are those of now.
    pub(crate) fn confirm(&self, question: &Question) {
        if let Some(bears) = &question.bears {
            self.0.newest.note(question.key, bears);
        }
    }
}
