//! What was read and is not committed yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::decode::{Pushed, TopicBuffer};
use crate::halt::Halt;
use crate::layout::DeadLetter;
use crate::options::IngestOptions;
use crate::record::{Partition, Record};
use tidewater_core::Coded;

/// Rows by topic.
pub(crate) type Buffers = HashMap<Arc<str>, TopicBuffer>;

/// Span of the budget of bad records.
const BUDGET_WINDOW_MS: i64 = 60_000;

/// Offsets, dead letters and figures of records whose rows are in [`Buffers`].
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// First offset and one past the last.
    pub(crate) ranges: BTreeMap<Partition, (i64, i64)>,
    pub(crate) letters: Vec<DeadLetter>,
    pub(crate) records: usize,
    /// What is held in memory, about.
    pub(crate) bytes: usize,
    pub(crate) max_kafka_ms: Option<i64>,
    /// When the first of it was read.
    pub(crate) since: Option<Duration>,
    /// The log had more at once when it was last read.
    pub(crate) more_waits: bool,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.values().all(|(from, to)| from == to)
    }

    /// Whether there is more than offsets to commit.
    pub(crate) fn has_rows(&self, buffers: &Buffers) -> bool {
        !self.letters.is_empty() || buffers.values().any(|buffer| buffer.rows() > 0)
    }

    /// A partition was read from `from` up to `to`.
    pub(crate) fn extend(&mut self, partition: &Partition, from: i64, to: i64) {
        match self.ranges.get_mut(partition) {
            Some(range) => range.1 = to,
            None => {
                self.ranges.insert(partition.clone(), (from, to));
            }
        }
    }
}

/// Bad records of each partition in the current minute.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    partitions: HashMap<Partition, Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    begun_ms: i64,
    records: u32,
    letters: u32,
}

impl Budget {
    /// Counts a record. Answers why reading must stop, if a bad one is one too many.
    fn count(&mut self, record: &Record, bad: bool, now_ms: i64, options: &IngestOptions) -> Option<Halt> {
        let minute = match self.partitions.get_mut(&record.partition) {
            Some(minute) => minute,
            None => self.partitions.entry(record.partition.clone()).or_default(),
        };
        if now_ms.saturating_sub(minute.begun_ms) > BUDGET_WINDOW_MS {
            *minute = Minute {
                begun_ms: now_ms,
                ..Minute::default()
            };
        }
        minute.records = minute.records.saturating_add(1);
        if !bad {
            return None;
        }
        minute.letters = minute.letters.saturating_add(1);
        let share =
            u64::from(minute.letters) * 100 > u64::from(options.dead_letters_percent) * u64::from(minute.records);
        (minute.letters > options.dead_letters_per_minute && share).then_some(Halt::DeadLetters {
            letters: minute.letters,
            records: minute.records,
            offset: record.offset,
        })
    }
}

/// What became of records.
#[derive(Debug, Default)]
pub(crate) struct Absorbed {
    pub(crate) letters: Vec<DeadLetter>,
    /// Partitions that must not be read on, and where they stopped.
    pub(crate) halted: BTreeMap<Partition, (i64, Halt)>,
    pub(crate) records: usize,
    /// What was read.
    pub(crate) bytes: usize,
    /// What of it stays in memory: no schemas that are known.
    pub(crate) held_bytes: usize,
    pub(crate) control: usize,
    pub(crate) max_kafka_ms: Option<i64>,
}

/// Decodes records into the buffers of their topics. A record is a row, a dead letter or a control record, or its partition is
/// halted before it: never anything else.
pub(crate) fn absorb(
    buffers: &mut Buffers,
    budget: &mut Budget,
    records: Vec<Record>,
    now_ms: i64,
    options: &IngestOptions,
) -> Absorbed {
    let mut absorbed = Absorbed::default();
    for record in records {
        if absorbed.halted.contains_key(&record.partition) {
            continue;
        }
        let Some(buffer) = buffers.get_mut(&record.partition.topic) else {
            continue;
        };
        let before = buffer.size_bytes();
        let outcome = buffer.push(&record, now_ms);
        absorbed.held_bytes += match &outcome {
            Ok(_) => buffer.size_bytes().saturating_sub(before),
            Err(_) => record.size_bytes(),
        };
        if let Some(halt) = budget.count(&record, outcome.is_err(), now_ms, options) {
            absorbed.halted.insert(record.partition.clone(), (record.offset, halt));
            continue;
        }
        absorbed.records += 1;
        absorbed.bytes += record.size_bytes();
        absorbed.max_kafka_ms = absorbed.max_kafka_ms.max(record.timestamp_ms);
        match outcome {
            Ok(Pushed::Row) => {}
            Ok(Pushed::Control(_)) => absorbed.control += 1,
            Err(fault) => absorbed.letters.push(DeadLetter {
                code: fault.code(),
                reason: fault.to_string(),
                record: record.detached(),
                failed_at_ms: now_ms,
            }),
        }
    }
    absorbed
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;

    use super::*;
    use crate::testing::record;

    // Goal: a few bad records pass, a flood halts its partition before the first one too many. Method: a budget of two.
    #[test]
    fn a_flood_of_bad_records_halts() {
        let options = IngestOptions {
            dead_letters_per_minute: 2,
            ..IngestOptions::default()
        };
        let topic: Arc<str> = "t".into();
        let buffer = TopicBuffer::new(Arc::clone(&topic), Arc::default(), &Schema::empty());
        let mut buffers = Buffers::from([(topic, buffer)]);
        let records = (0..6).map(|offset| record("t", offset, Some("1"), Some("{"))).collect();
        let absorbed = absorb(&mut buffers, &mut Budget::default(), records, 1_000_000, &options);
        assert_eq!(absorbed.letters.len(), 2);
        let stopped: Vec<_> = absorbed
            .halted
            .values()
            .map(|(offset, halt)| (*offset, halt.code()))
            .collect();
        assert_eq!(stopped, [(2, "ING-0203")]);
    }
}
