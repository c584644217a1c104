//! How ingest stands, for people and for the console.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::record::Partition;

/// Span over which records per second are averaged.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Who has its lease; empty while it waits for what other sources have, as nobody was asked.
    pub owner: String,
    /// The epoch of that lease; 0 if it is not ours.
    pub epoch: u64,
    /// Where the next commit begins.
    pub next: i64,
    /// The oldest offset there is.
    pub low: i64,
    /// Where the log ends.
    pub high: i64,
    /// Offsets between the two.
    pub lag: i64,
    /// `running`, `elsewhere`, `waiting` for what other sources have, or `halted`.
    pub state: &'static str,
    /// Why it is halted, with the code, or what it waits for.
    pub reason: Option<String>,
}

/// One bronze table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableStatus {
    /// The table.
    pub table: String,
    /// Rows committed since the start of the process.
    pub rows: u64,
    /// Commits that brought rows.
    pub commits: u64,
    /// When rows came last.
    pub committed_at_ms: i64,
}

/// How ingest stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IngestStatus {
    /// All partitions.
    pub partitions: Vec<PartitionStatus>,
    /// Tables that got rows since the start of the process.
    pub tables: Vec<TableStatus>,
    /// Records read per second.
    pub events_per_second: f64,
    /// Records that are committed, since the start of the process.
    pub records: u64,
    /// Dead letters since the start of the process.
    pub dead_letters: u64,
    /// When the last commit was applied.
    pub committed_at_ms: Option<i64>,
    /// How long it took, files included.
    pub commit_ms: Option<u64>,
    /// Age of the newest record when it was committed, by Kafka's time.
    pub freshness_ms: Option<i64>,
    /// What went wrong last, and is tried again.
    pub last_error: Option<String>,
}

/// What a commit brought.
#[derive(Debug, Clone, Default)]
pub(crate) struct Brought {
    pub(crate) tables: Vec<(String, usize)>,
    pub(crate) records: usize,
    pub(crate) dead_letters: usize,
    pub(crate) max_kafka_ms: Option<i64>,
    pub(crate) took: Duration,
}

/// Where workers write how they stand.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    partitions: BTreeMap<(usize, Partition), PartitionStatus>,
    tables: BTreeMap<String, TableStatus>,
    reads: VecDeque<(Duration, usize)>,
    status: IngestStatus,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_partitions(&self, worker: usize, partitions: Vec<(Partition, PartitionStatus)>) {
        let mut state = self.lock();
        state.partitions.retain(|(of, _), _| *of != worker);
        let own = partitions
            .into_iter()
            .map(|(partition, status)| ((worker, partition), status));
        state.partitions.extend(own);
    }

    pub(crate) fn read(&self, now: Duration, records: usize) {
        let mut state = self.lock();
        state.reads.push_back((now, records));
        while state
            .reads
            .front()
            .is_some_and(|(at, _)| now.saturating_sub(*at) > RATE_WINDOW)
        {
            state.reads.pop_front();
        }
    }

    pub(crate) fn committed(&self, now_ms: i64, brought: &Brought) {
        let mut state = self.lock();
        for (table, rows) in &brought.tables {
            let status = state.tables.entry(table.clone()).or_default();
            status.table.clone_from(table);
            status.rows += u64::try_from(*rows).unwrap_or(0);
            status.commits += 1;
            status.committed_at_ms = now_ms;
        }
        let status = &mut state.status;
        status.records += u64::try_from(brought.records).unwrap_or(0);
        status.dead_letters += u64::try_from(brought.dead_letters).unwrap_or(0);
        status.committed_at_ms = Some(now_ms);
        status.commit_ms = u64::try_from(brought.took.as_millis()).ok();
        status.freshness_ms = brought.max_kafka_ms.map(|newest| now_ms.saturating_sub(newest));
        status.last_error = None;
    }

    pub(crate) fn failed(&self, error: String) {
        self.lock().status.last_error = Some(error);
    }

    pub(crate) fn status(&self, now: Duration) -> IngestStatus {
        let state = self.lock();
        let recent: usize = state
            .reads
            .iter()
            .filter(|(at, _)| now.saturating_sub(*at) <= RATE_WINDOW)
            .map(|(_, records)| records)
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
        let events_per_second = recent as f64 / RATE_WINDOW.as_secs_f64();
        IngestStatus {
            partitions: state.partitions.values().cloned().collect(),
            tables: state.tables.values().cloned().collect(),
            events_per_second,
            ..state.status.clone()
        }
    }
}
