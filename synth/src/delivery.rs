//! The records of a world in the order brokers get them, delivery defects included.

mod partition;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use self::partition::partition_of;
use crate::capture::{Capture, Message, is_unavailable};
use crate::dice::Dice;
use crate::error::SynthError;
use crate::options::{DeliveryOptions, WorldOptions};
use crate::record::Record;
use crate::schema;
use crate::world::{Op, World, WorldCounts};
use tidewater_core::SeededRng;

/// A record that comes late or again does so after at most so many newer ones.
const DELAY_RECORDS_MAX: i64 = 200;

/// What was delivered so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DeliveryCounts {
    /// All records.
    pub records: u64,
    /// Row events read by the snapshot.
    pub reads: u64,
    /// Row events of inserts.
    pub creates: u64,
    /// Row events of updates.
    pub updates: u64,
    /// Row events of deletes.
    pub deletes: u64,
    /// Null records after deletes.
    pub tombstones: u64,
    /// Keys that changed, each a delete and a create.
    pub key_changes: u64,
    /// Heartbeats.
    pub heartbeats: u64,
    /// Row events that came twice in a row.
    pub duplicates: u64,
    /// Row events that came once more after newer ones.
    pub redeliveries: u64,
    /// Row events that came for the first time after newer ones.
    pub late: u64,
    /// Row events with a placeholder for an unchanged long value.
    pub unavailable: u64,
}

/// What was simulated and delivered, to judge a lake by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What happened in the databases since the hospital was founded.
    pub world: WorldCounts,
    /// What was delivered.
    pub delivery: DeliveryCounts,
}

/// A message with its place.
struct Placed {
    sequence: u64,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Vec<u8>,
    message: Message,
}

/// The endless records of a world. Same options, same bytes.
///
/// First every row the connectors find (`r`), then what happens. It ends only when a limit was set.
#[derive(Debug)]
pub struct RecordStream {
    world: World,
    options: DeliveryOptions,
    capture: Capture,
    dice: Dice,
    queue: VecDeque<Message>,
    /// What comes once more, by the sequence number it waits for.
    held: BTreeMap<u64, Vec<Message>>,
    /// What has not come yet although newer records have, in the same way.
    late: BTreeMap<u64, Vec<Message>>,
    /// Next offset and last timestamp of each topic and partition.
    places: HashMap<(usize, i32), (i64, i64)>,
    next_heartbeat: usize,
    limit: Option<u64>,
    counts: DeliveryCounts,
}

impl RecordStream {
    /// Founds a world and reads its databases for the first time.
    pub fn new(world: WorldOptions, options: DeliveryOptions) -> Result<Self, SynthError> {
        options.check()?;
        let seed = world.seed;
        let mut world = World::new(world)?;
        let capture = Capture::new(&options, &SeededRng::new(seed ^ 0x5eed), world.options().start_ms);
        let transactions = world.snapshot();
        let mut messages = Vec::new();
        for transaction in transactions {
            // Every service has a connector of its own, so every transaction is a whole snapshot.
            capture.messages(transaction, true, true, &mut messages);
        }
        Ok(Self {
            world,
            capture,
            dice: Dice::new(seed ^ 0xde11),
            queue: messages.into(),
            held: BTreeMap::new(),
            late: BTreeMap::new(),
            places: HashMap::new(),
            next_heartbeat: 0,
            limit: None,
            counts: DeliveryCounts::default(),
            options,
        })
    }

    /// Ends the stream at or after so many records, once a step of the world is whole and nothing is late. The snapshot is one
    /// step.
    #[must_use]
    pub fn with_limit(mut self, records: Option<u64>) -> Self {
        self.limit = records;
        self
    }

    /// The hospital behind the records. Its rows are what has been delivered whenever [`Self::at_boundary`] holds.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Were all records of what has happened delivered?
    pub fn at_boundary(&self) -> bool {
        self.queue.is_empty() && self.late.is_empty()
    }

    /// The number of the next record.
    pub fn sequence(&self) -> u64 {
        self.counts.records
    }

    /// What has been simulated and delivered.
    pub fn report(&self) -> Report {
        Report {
            world: self.world.counts(),
            delivery: self.counts,
        }
    }

    /// Every topic there will be.
    pub fn topics(&self) -> Vec<Arc<str>> {
        let count = schema::tables().len() + schema::services().len();
        (0..count).map(|topic| self.capture.topic_name(topic)).collect()
    }

    /// Goes on until so many records were delivered, without making their bytes.
    pub fn skip_to(&mut self, sequence: u64) {
        while self.counts.records < sequence && self.place().is_some() {}
    }

    /// Moves the hospital's clock on to `now_ms` before its next step; see [`World::pause_until`].
    pub fn pause_until(&mut self, now_ms: i64) {
        self.world.pause_until(now_ms);
    }

    /// Makes so many changes a day from its next step on; see [`World::change_rate`].
    pub fn change_rate(&mut self, changes_per_day: u64) {
        self.world.change_rate(changes_per_day);
    }

    /// The hospital's clock at the next record: live writers wait for it.
    pub fn now_ms(&self) -> i64 {
        self.world.now_ms()
    }

    fn next_message(&mut self) -> Option<Message> {
        let due =
            take_due(&mut self.late, self.counts.records).or_else(|| take_due(&mut self.held, self.counts.records));
        if due.is_some() {
            return due;
        }
        let every = u64::from(self.options.heartbeat_every_records);
        if every > 0 && self.counts.records % every == every - 1 {
            let service = self.next_heartbeat % schema::services().len();
            self.next_heartbeat += 1;
            return Some(Message::Heartbeat {
                service,
                at_us: self.world.now_ms().saturating_mul(1_000),
            });
        }
        loop {
            if self.queue.is_empty() {
                let enough = self.limit.is_some_and(|limit| self.counts.records >= limit);
                if enough && self.at_boundary() {
                    return None;
                }
                let mut messages = Vec::new();
                for transaction in self.world.step() {
                    self.capture.messages(transaction, false, false, &mut messages);
                }
                self.queue.extend(messages);
            }
            let message = self.queue.pop_front()?;
            if self.is_late(&message) {
                self.counts.late += 1;
                let until = self.counts.records + self.delay();
                hold(&mut self.late, until, message);
                continue;
            }
            self.repeat(&message);
            return Some(message);
        }
    }

    /// Inserts and updates only: the null record after a delete means something only where it stands.
    fn is_late(&mut self, message: &Message) -> bool {
        let chosen = self.options.late_ppm > 0 && self.dice.below(1_000_000) < u64::from(self.options.late_ppm);
        chosen && matches!(message, Message::Row { change, .. } if matches!(change.op, Op::Create | Op::Update))
    }

    fn delay(&mut self) -> u64 {
        u64::try_from(self.dice.between(2, DELAY_RECORDS_MAX)).unwrap_or(2)
    }

    /// Lets some records come twice, at once or later.
    fn repeat(&mut self, message: &Message) {
        if !matches!(message, Message::Row { .. }) {
            return;
        }
        let chance = self.dice.below(1_000_000);
        let duplicates = u64::from(self.options.duplicates_ppm);
        if chance < duplicates {
            self.counts.duplicates += 1;
            hold(&mut self.held, self.counts.records + 1, message.clone());
        } else if chance < duplicates + u64::from(self.options.redeliveries_ppm) {
            let after = self.delay();
            self.counts.redeliveries += 1;
            hold(&mut self.held, self.counts.records + after, message.clone());
        }
    }

    fn place(&mut self) -> Option<Placed> {
        let message = self.next_message()?;
        let key = self.capture.key(&message);
        let partition = partition_of(&key, self.options.partitions);
        let (offset, newest_ms) = self.places.entry((message.topic(), partition)).or_insert((0, i64::MIN));
        *newest_ms = Capture::timestamp_ms(&message).max(*newest_ms);
        let placed = Placed {
            sequence: self.counts.records,
            partition,
            offset: *offset,
            timestamp_ms: *newest_ms,
            key,
            message,
        };
        *offset += 1;
        self.counts.records += 1;
        self.count(&placed.message);
        Some(placed)
    }

    fn count(&mut self, message: &Message) {
        let counts = &mut self.counts;
        match message {
            Message::Heartbeat { .. } => counts.heartbeats += 1,
            Message::Tombstone { .. } => counts.tombstones += 1,
            Message::Row { change, other_key, .. } => {
                match change.op {
                    Op::Read => counts.reads += 1,
                    Op::Create => counts.creates += 1,
                    Op::Update => counts.updates += 1,
                    Op::Delete => counts.deletes += 1,
                }
                counts.unavailable += u64::from(is_unavailable(change));
                counts.key_changes += u64::from(other_key.is_some() && change.op == Op::Create);
            }
        }
    }
}

fn hold(held: &mut BTreeMap<u64, Vec<Message>>, until: u64, message: Message) {
    held.entry(until).or_default().push(message);
}

/// What waits for this record's number or an earlier one.
fn take_due(held: &mut BTreeMap<u64, Vec<Message>>, number: u64) -> Option<Message> {
    let mut first = held.first_entry().filter(|first| *first.key() <= number)?;
    let message = first.get_mut().pop();
    if first.get().is_empty() {
        first.remove();
    }
    message
}

impl Iterator for RecordStream {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let Placed {
            sequence,
            partition,
            offset,
            timestamp_ms,
            key,
            message,
        } = self.place()?;
        let encoded = self.capture.encode(&message);
        Some(Record {
            sequence,
            topic: self.capture.topic_name(message.topic()),
            partition,
            offset,
            timestamp_ms,
            headers: encoded.headers,
            key,
            value: encoded.value,
        })
    }
}

#[cfg(test)]
mod tests;
