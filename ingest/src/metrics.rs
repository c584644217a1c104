//! What ingest counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Records read.
    pub records: Counter,
    /// Bytes of them.
    pub bytes: Counter,
    /// Rows committed to bronze tables.
    pub rows: Counter,
    /// Records committed as dead letters.
    pub dead_letters: Counter,
    /// Records that Debezium wrote about itself, which become no rows.
    pub control_records: Counter,
    /// Commits applied.
    pub commits: Counter,
    /// Commits planned again because a table had moved.
    pub conflicts: Counter,
    /// Batches dropped and read again.
    pub batches_dropped: Counter,
    /// Partitions halted.
    pub halts: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0
            .fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The number.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// Name, meaning and value of each counter.
    pub fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
        [
            ("tidewater_ingest_records_total", "records read", &self.records),
            (
                "tidewater_ingest_read_bytes_total",
                "bytes of records read",
                &self.bytes,
            ),
            (
                "tidewater_ingest_rows_total",
                "rows committed to bronze tables",
                &self.rows,
            ),
            (
                "tidewater_ingest_dead_letters_total",
                "records committed as dead letters",
                &self.dead_letters,
            ),
            (
                "tidewater_ingest_control_records_total",
                "records that become no rows",
                &self.control_records,
            ),
            ("tidewater_ingest_commits_total", "commits applied", &self.commits),
            (
                "tidewater_ingest_conflicts_total",
                "commits planned again",
                &self.conflicts,
            ),
            (
                "tidewater_ingest_batches_dropped_total",
                "batches dropped and read again",
                &self.batches_dropped,
            ),
            ("tidewater_ingest_halts_total", "partitions halted", &self.halts),
        ]
        .into_iter()
        .map(|(name, meaning, counter)| (name, meaning, counter.value()))
        .collect()
    }
}
