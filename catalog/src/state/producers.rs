//! What producers appended, so that an append that comes again is answered and not done again.
//!
//! Of each producer of a table the last few ranges are kept with their answers. Everything before them is taken as done: a range that
//! reaches back there is refused, for nobody can tell any more whether it was appended.

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Shared, State};
use crate::command::{AppendChange, Expect, Outcome, ProducerRange, Refusal};

/// Ranges of one producer that are remembered with their answers: so many appends may be under way at a time.
pub const RANGES_PER_PRODUCER_MAX: usize = 8;

/// Producers of one table. More is refused: to forget one would be to append its repetition twice.
pub const PRODUCERS_PER_TABLE_MAX: usize = 1_000;

/// Producers of all tables. With eight ranges of 200 bytes each this is some 80 MB.
pub const PRODUCERS_MAX: usize = 50_000;

/// How long a producer is remembered after its last append, in the state's time.
pub const PRODUCER_LIFETIME_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// A range that was appended, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendedRange {
    /// One past the last position.
    pub to: u64,
    /// The snapshot that holds its files.
    pub snapshot_id: i64,
    /// The snapshot's sequence number.
    pub sequence: i64,
    /// The metadata file that this append wrote.
    pub metadata_location: String,
}

/// A producer of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerRow {
    /// By their first position. They do not overlap.
    pub ranges: OrdMap<u64, AppendedRange>,
    /// One past the last position of what is no longer remembered.
    pub floor: u64,
    /// When it appended last.
    pub appended_at_ms: i64,
}

/// How a range meets what its producer appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meeting<'a> {
    /// Nothing of it was appended.
    New,
    /// It was appended, exactly so.
    Repeated(&'a AppendedRange),
    /// It overlaps what was appended.
    Overlap,
}

impl ProducerRow {
    /// How the range meets what was appended.
    pub fn meet(&self, from: u64, to: u64) -> Meeting<'_> {
        if let Some(known) = self.ranges.get(&from).filter(|known| known.to == to) {
            return Meeting::Repeated(known);
        }
        let before = self.ranges.range(..to).next_back();
        match before {
            Some((_, range)) if range.to > from => Meeting::Overlap,
            _ if from < self.floor => Meeting::Overlap,
            _ => Meeting::New,
        }
    }

    /// The range with the highest positions: where the producer goes on.
    pub fn last(&self) -> (u64, u64) {
        let last = self.ranges.get_max().map(|(from, range)| (*from, range.to));
        last.unwrap_or((0, self.floor))
    }

    fn put(&mut self, from: u64, range: AppendedRange) {
        self.ranges.insert(from, range);
        while self.ranges.len() > RANGES_PER_PRODUCER_MAX {
            let Some((lowest, to)) = self.ranges.get_min().map(|(from, range)| (*from, range.to)) else {
                break;
            };
            self.ranges.remove(&lowest);
            self.floor = self.floor.max(to);
        }
    }
}

/// The producers of all tables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Producers {
    /// By table and name. By the table's id, which stays with it through renaming, a drop and its return.
    rows: OrdMap<Uuid, OrdMap<String, Shared<ProducerRow>>>,
    /// When each appended last, the longest ago first.
    order: OrdSet<(i64, Uuid, String)>,
}

impl Producers {
    pub(super) fn expire(&mut self, now_ms: i64) {
        while let Some((_, table, producer)) = self
            .order
            .get_min()
            .filter(|(at_ms, _, _)| at_ms.saturating_add(PRODUCER_LIFETIME_MS) < now_ms)
            .cloned()
        {
            self.forget(table, &producer);
        }
    }

    fn row(&self, table: Uuid, producer: &str) -> Option<&ProducerRow> {
        self.rows.get(&table)?.get(producer).map(|row| &**row)
    }

    fn forget(&mut self, table: Uuid, producer: &str) -> Option<ProducerRow> {
        let of_table = self.rows.get_mut(&table)?;
        let row = of_table.remove(producer)?;
        if of_table.is_empty() {
            self.rows.remove(&table);
        }
        self.order.remove(&(row.appended_at_ms, table, producer.to_owned()));
        Some((*row).clone())
    }

    fn put(&mut self, table: Uuid, producer: String, row: ProducerRow) {
        self.order.insert((row.appended_at_ms, table, producer.clone()));
        self.rows.entry(table).or_default().insert(producer, Shared::new(row));
    }

    fn check_room(&self, table: Uuid, producer: &str) -> Result<(), Refusal> {
        if self.row(table, producer).is_some() {
            return Ok(());
        }
        let of_table = self.rows.get(&table).map_or(0, OrdMap::len);
        let limit = match () {
            () if of_table >= PRODUCERS_PER_TABLE_MAX => format!("{PRODUCERS_PER_TABLE_MAX} producers of one table"),
            () if self.order.len() >= PRODUCERS_MAX => format!("{PRODUCERS_MAX} producers"),
            () => return Ok(()),
        };
        Err(Refusal::Full { limit })
    }
}

impl State {
    /// A producer of the table with this id; none if it never appended, or so long ago that it is forgotten.
    pub fn producer(&self, table: Uuid, producer: &str) -> Option<&ProducerRow> {
        self.producers.row(table, producer)
    }

    /// How many producers are remembered.
    pub fn producers_count(&self) -> usize {
        self.producers.order.len()
    }

    /// Whether one more producer has room, or is known.
    ///
    /// # Errors
    /// What [`State::apply`] would refuse it for.
    pub fn check_producer(&self, table: Uuid, producer: &str) -> Result<(), Refusal> {
        self.producers.check_room(table, producer)
    }

    pub(super) fn append(&mut self, append: AppendChange) -> Result<Outcome, Refusal> {
        let AppendChange {
            change,
            snapshot_id,
            sequence,
            ranges,
        } = append;
        let Expect::Version { id, .. } = change.expect else {
            return Err(Refusal::Repeated);
        };
        let metadata_location = change.pointer.metadata_location.clone();
        // The table's version first: who lost a race looks again, and finds what his rival appended.
        let committed = self.commit(vec![change])?;
        for range in ranges {
            let answer = AppendedRange {
                to: range.to,
                snapshot_id,
                sequence,
                metadata_location: metadata_location.clone(),
            };
            self.remember_range(id, range, answer)?;
        }
        Ok(committed)
    }

    /// Remembers a range with its answer, if nothing of it was appended before.
    pub(crate) fn remember_range(
        &mut self,
        table: Uuid,
        range: ProducerRange,
        answer: AppendedRange,
    ) -> Result<(), Refusal> {
        let ProducerRange { producer, from, to } = range;
        let known = self.producers.row(table, &producer);
        if let Some(row) = known.filter(|row| row.meet(from, to) != Meeting::New) {
            let (from, to) = row.last();
            return Err(Refusal::AppendOverlap { producer, from, to });
        }
        self.producers.check_room(table, &producer)?;
        let mut row = self.producers.forget(table, &producer).unwrap_or_default();
        row.appended_at_ms = self.now_ms;
        row.put(from, answer);
        self.producers.put(table, producer, row);
        Ok(())
    }
}
