//! Polling and decoding.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use tokio_util::sync::CancellationToken;

use super::{LOOK_AGAIN, Worker};
use crate::batch::{Absorbed, absorb};
use crate::commit::{last_lsn, ownership};
use crate::decode::TopicBuffer;
use crate::error::{IngestError, Result};
use crate::halt::Halt;
use crate::record::{Partition, Record};
use crate::source::{Poll, PollBounds};
use tidewater_core::Coded;
use tidewater_table::schema::to_arrow;

/// Records decoded at once: some milliseconds of work.
const POLL_RECORDS: usize = 8_192;
/// Bytes read at once, for the same reason.
const POLL_BYTES: usize = 4 << 20;
/// Longest wait for records: stopping takes no longer.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// The same while a commit is on its way, whose end should be seen soon.
const POLL_WAIT_BUSY: Duration = Duration::from_millis(10);

impl Worker {
    /// Reads once. True if something was read.
    pub(super) async fn read(&mut self, stop: &CancellationToken) -> Result<bool> {
        if stop.is_cancelled() {
            return Err(IngestError::Stopped);
        }
        let room = self
            .parts
            .options
            .commit_bytes
            .saturating_sub(self.pending.bytes)
            .max(1);
        let bounds = PollBounds {
            bytes: room.min(POLL_BYTES),
            records: POLL_RECORDS,
            wait: self.poll_wait(),
        };
        let poll = self.parts.source.poll(bounds).await?;
        if poll.changed {
            self.discover_at = Duration::ZERO;
        }
        if poll.stalled {
            self.assigned = None;
            self.discover_at = self.discover_at.min(self.now() + LOOK_AGAIN);
        }
        let records = poll.records.len();
        self.pending.more_waits = poll.is_full(&bounds);
        if records > 0 {
            tidewater_core::fail_point::pass("ingest.batch_read");
        }
        self.parts.board.read(self.now(), records);
        self.take_in(poll).await?;
        Ok(records > 0)
    }

    /// Until something else is to be done.
    fn poll_wait(&self) -> Duration {
        let now = self.now();
        let longest = if self.in_flight.is_some() {
            POLL_WAIT_BUSY
        } else {
            POLL_WAIT
        };
        let discovery = self.discover_at.saturating_sub(now);
        let commit = self.due_at().map_or(longest, |due| due.saturating_sub(now));
        longest.min(discovery).min(commit)
    }

    async fn take_in(&mut self, poll: Poll) -> Result<()> {
        let Poll {
            mut records,
            mut positions,
            ..
        } = poll;
        let unusable = self.prepare_buffers(&records).await?;
        // They stay where they are: nothing of them is in the batch, and no offset moves.
        for (topic, _) in &unusable {
            records.retain(|record| record.partition.topic != *topic);
            positions.retain(|(partition, _)| partition.topic != *topic);
        }
        let absorbed = self.decode(records).await?;
        let unclaimed = self.claim_tables().await?;
        let metrics = &self.parts.committer.metrics;
        metrics.records.add(absorbed.records);
        metrics.bytes.add(absorbed.bytes);
        metrics.control_records.add(absorbed.control);
        self.advance(positions, &absorbed);
        self.pending.records += absorbed.records;
        self.pending.bytes += absorbed.held_bytes;
        self.pending.max_kafka_ms = self.pending.max_kafka_ms.max(absorbed.max_kafka_ms);
        self.pending.letters.extend(absorbed.letters);
        let mut stopped = !absorbed.halted.is_empty();
        for (partition, (_, halt)) in absorbed.halted {
            self.halt(&partition, halt);
        }
        for (topic, halt) in unclaimed.into_iter().chain(unusable) {
            self.withdraw(&topic, &halt);
            stopped = true;
        }
        if stopped {
            self.assign().await?;
            self.publish();
        }
        if !self.pending.is_empty() && self.pending.since.is_none() {
            self.pending.since = Some(self.now());
        }
        Ok(())
    }

    /// A buffer for each topic, with the columns that its table has, which knows where each partition was left. Answers topics
    /// whose table cannot be used.
    async fn prepare_buffers(&mut self, records: &[Record]) -> Result<Vec<(Arc<str>, Halt)>> {
        let mut fresh: BTreeMap<Arc<str>, BTreeSet<i32>> = BTreeMap::new();
        let mut last = None;
        for Record { partition, .. } in records {
            if last == Some(partition) {
                continue;
            }
            last = Some(partition);
            let buffered = self.buffers.contains_key(&partition.topic);
            let resumed = self.held.get(partition).is_none_or(|held| held.resumed);
            if !buffered || !resumed {
                let topic = Arc::clone(&partition.topic);
                fresh.entry(topic).or_default().insert(partition.number);
            }
        }
        let mut refused = Vec::new();
        for (topic, numbers) in fresh {
            match self.prepare(&topic, &numbers).await {
                Ok(()) => {}
                Err(error) if error.is_of_table() => refused.push((topic, halt_of(&error))),
                Err(error) => return Err(error),
            }
        }
        Ok(refused)
    }

    async fn prepare(&mut self, topic: &Arc<str>, numbers: &BTreeSet<i32>) -> Result<()> {
        let table = match self.parts.mapping.table(topic) {
            Ok(name) => {
                let loaded = self.parts.committer.log.load_table(&name).await;
                loaded.map_err(|source| IngestError::Catalog {
                    action: "load a table",
                    source,
                })?
            }
            // Told once the topic has a row.
            Err(_) => None,
        };
        let damaged = |source| IngestError::Table {
            table: topic.to_string(),
            source: Box::new(source),
        };
        let metadata = table.as_ref().map(|table| &table.metadata);
        if !self.buffers.contains_key(topic) {
            let columns = metadata.map(|metadata| to_arrow(metadata.current_schema()));
            let columns = columns.transpose().map_err(damaged)?.unwrap_or_else(Schema::empty);
            let buffer = TopicBuffer::new(Arc::clone(topic), Arc::clone(&self.decode), &columns);
            self.buffers.insert(Arc::clone(topic), buffer);
        }
        let last = metadata.map(|metadata| last_lsn(metadata));
        let last = last.transpose().map_err(damaged)?.unwrap_or_default();
        for number in numbers {
            if let (Some(buffer), Some(lsn)) = (self.buffers.get_mut(topic), last.get(number)) {
                buffer.resume(*number, *lsn);
            }
            let partition = Partition {
                topic: Arc::clone(topic),
                number: *number,
            };
            if let Some(held) = self.held.get_mut(&partition) {
                held.resumed = true;
            }
        }
        Ok(())
    }

    async fn decode(&mut self, records: Vec<Record>) -> Result<Absorbed> {
        if records.is_empty() {
            return Ok(Absorbed::default());
        }
        let mut buffers = std::mem::take(&mut self.buffers);
        let mut budget = std::mem::take(&mut self.budget);
        let options = Arc::clone(&self.parts.options);
        let now_ms = self.parts.clock.now_ms();
        let work = tokio::task::spawn_blocking(move || {
            let absorbed = absorb(&mut buffers, &mut budget, records, now_ms, &options);
            (buffers, budget, absorbed)
        });
        let (buffers, budget, absorbed) = work.await.map_err(|_| IngestError::Task { what: "decoding" })?;
        self.buffers = buffers;
        self.budget = budget;
        Ok(absorbed)
    }

    /// Each topic with rows needs a table of its own. Answers the topics that have none.
    async fn claim_tables(&mut self) -> Result<Vec<(Arc<str>, Halt)>> {
        let mut refused = Vec::new();
        for (topic, buffer) in &self.buffers {
            if buffer.rows() == 0 {
                continue;
            }
            let name = match self.parts.mapping.table(topic) {
                Ok(name) => name,
                Err(error) => {
                    refused.push((Arc::clone(topic), halt_of(&error)));
                    continue;
                }
            };
            let key = name.to_string();
            if self.owners.get(&key) == Some(topic) {
                continue;
            }
            let checked = match self.owners.get(&key) {
                Some(owner) => Err(IngestError::TableTaken {
                    topic: topic.to_string(),
                    table: key.clone(),
                    owner: owner.to_string(),
                }),
                None => {
                    let log = self.parts.committer.log.as_ref();
                    let loaded = log.load_table(&name).await;
                    let loaded = loaded.map_err(|source| IngestError::Catalog {
                        action: "load a table",
                        source,
                    })?;
                    match &loaded {
                        Some(table) => ownership::check(log, table, Some(&**topic)).await,
                        None => Ok(()),
                    }
                }
            };
            match checked {
                Ok(()) => {
                    self.owners.insert(key, Arc::clone(topic));
                }
                Err(error) if error.is_of_table() => refused.push((Arc::clone(topic), halt_of(&error))),
                Err(error) => return Err(error),
            }
        }
        Ok(refused)
    }

    /// Partitions stand where the source says, or where they were halted.
    fn advance(&mut self, positions: Vec<(Partition, i64)>, absorbed: &Absorbed) {
        for (partition, position) in positions {
            let Some(held) = self.held.get_mut(&partition) else {
                continue;
            };
            let to = absorbed.halted.get(&partition).map_or(position, |(offset, _)| *offset);
            if to > held.position {
                self.pending.extend(&partition, held.position, to);
                held.position = to;
            }
        }
    }

    /// Takes a topic out of the batch: its rows have no table.
    pub(super) fn withdraw(&mut self, topic: &Arc<str>, halt: &Halt) {
        self.buffers.remove(topic);
        let partitions: Vec<_> = self
            .held
            .keys()
            .filter(|partition| partition.topic == *topic)
            .cloned()
            .collect();
        for partition in partitions {
            if let (Some((from, _)), Some(held)) =
                (self.pending.ranges.remove(&partition), self.held.get_mut(&partition))
            {
                held.position = from;
            }
            self.halt(&partition, halt.clone());
        }
        self.pending
            .letters
            .retain(|letter| letter.record.partition.topic != *topic);
    }
}

pub(super) fn halt_of(error: &IngestError) -> Halt {
    Halt::Table {
        code: error.code(),
        reason: error.to_string(),
    }
}
