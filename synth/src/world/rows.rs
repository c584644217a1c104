//! Inserting, updating and deleting rows of a world, defects included.

use std::sync::Arc;

use super::store::{Row, RowNumber};
use super::{Change, Op, World};
use crate::schema::{Column, Make, PersonPart, PgType, Table, TableId, table};
use crate::value::{DAY_US, Value, day_of};

/// Columns that may be wrong by being NULL or naming nobody.
const REFERENCES: &[&str] = &["patient_id", "provider_id", "user_id"];

/// Columns that may hold an impossible number, and the number.
const RANGES: &[(&str, i64)] = &[
    ("bp_systolic", 400),
    ("heart_rate", -7),
    ("rating", 9),
    ("wait_minutes", -30),
    ("quantity", -1),
];

/// Columns that may lie in the future.
const DATES: &[&str] = &[
    "record_date",
    "measured_at",
    "diagnosed_date",
    "invoice_date",
    "issued_at",
    "resulted_at",
];

/// How far in the future a wrong date lies.
const FUTURE_DAYS: i32 = 400;

impl World {
    /// Inserts a row: `given` cells, the rest made by the columns' own rules. Purges the oldest row of a full table.
    pub(super) fn insert(&mut self, name: &str, given: &[(&str, Value)]) -> RowNumber {
        let (id, table) = known(name);
        let mut row: Vec<Value> = Vec::with_capacity(table.columns.len());
        for column in table.columns {
            let value = match given.iter().find(|(name, _)| *name == column.name) {
                Some((_, value)) => value.clone(),
                None => self.made(id, column),
            };
            row.push(value);
        }
        self.spoil(table, &mut row);
        let row: Row = row.into();
        let Some(store) = self.stores.get_mut(id.index) else {
            return 0;
        };
        let number = store.insert(Arc::clone(&row));
        let full = store.rows_max > 0 && store.len() > store.rows_max;
        let oldest = if full { store.oldest() } else { None };
        self.counts.creates += 1;
        self.note(Change {
            table: id,
            op: Op::Create,
            before: None,
            after: Some(row),
            lsn: 0,
        });
        if let Some(oldest) = oldest {
            self.delete(name, oldest);
        }
        number
    }

    /// Updates cells of a row, and its `updated_at`. False when there is no such row any more.
    pub(super) fn update(&mut self, name: &str, number: RowNumber, given: &[(&str, Value)]) -> bool {
        let (id, table) = known(name);
        let now_us = self.now_us;
        let Some(store) = self.stores.get_mut(id.index) else {
            return false;
        };
        let Some(before) = store.row(number).cloned() else {
            return false;
        };
        let mut after = before.to_vec();
        let stamp = ("updated_at", Value::Micros(now_us));
        for (name, value) in given.iter().chain([&stamp]) {
            if let Some(cell) = table.position(name).and_then(|position| after.get_mut(position)) {
                *cell = value.clone();
            }
        }
        let after: Row = after.into();
        store.replace(number, Arc::clone(&after));
        self.counts.updates += 1;
        self.counts.key_changes += u64::from(
            table
                .key_positions()
                .iter()
                .any(|key| before.get(*key) != after.get(*key)),
        );
        self.note(Change {
            table: id,
            op: Op::Update,
            before: Some(before),
            after: Some(after),
            lsn: 0,
        });
        true
    }

    /// Deletes a row.
    pub(super) fn delete(&mut self, name: &str, number: RowNumber) {
        let (id, _) = known(name);
        if let Some(before) = self.stores.get_mut(id.index).and_then(|store| store.remove(number)) {
            self.counts.deletes += 1;
            self.note(Change {
                table: id,
                op: Op::Delete,
                before: Some(before),
                after: None,
                lsn: 0,
            });
        }
    }

    /// A cell of a row; NULL when the row is gone.
    pub(super) fn cell(&self, name: &str, number: RowNumber, column: &str) -> Value {
        let (id, table) = known(name);
        let row = self.stores.get(id.index).and_then(|store| store.row(number));
        let cell = table
            .position(column)
            .and_then(|position| row.and_then(|row| row.get(position)));
        cell.cloned().unwrap_or(Value::Null)
    }

    /// Some row of a table.
    pub(super) fn any(&self, name: &str) -> Option<RowNumber> {
        let (id, _) = known(name);
        let store = self.stores.get(id.index)?;
        store.near(1 + self.dice.below(store.inserted()))
    }

    /// Some row among the first `percent` that were ever inserted.
    pub(super) fn any_of_first(&self, name: &str, percent: u64) -> Option<RowNumber> {
        let (id, _) = known(name);
        let store = self.stores.get(id.index)?;
        store.near(1 + self.dice.below((store.inserted() * percent / 100).max(1)))
    }

    /// Is the row still there?
    pub(super) fn has(&self, name: &str, number: RowNumber) -> bool {
        let (id, _) = known(name);
        self.stores
            .get(id.index)
            .is_some_and(|store| store.row(number).is_some())
    }

    /// How many rows a table ever had.
    pub(super) fn inserted(&self, name: &str) -> u64 {
        let (id, _) = known(name);
        self.stores.get(id.index).map_or(0, super::store::Store::inserted)
    }

    /// How many rows a table has.
    pub(super) fn len(&self, name: &str) -> usize {
        let (id, _) = known(name);
        self.stores.get(id.index).map_or(0, super::store::Store::len)
    }

    /// A moment so many minutes from now.
    pub(super) fn in_minutes(&self, minutes: i64) -> i64 {
        self.now_us.saturating_add(minutes.saturating_mul(60_000_000))
    }

    fn note(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// What a column's rule makes.
    fn made(&self, table: TableId, column: &Column) -> Value {
        let dice = &self.dice;
        match column.make {
            Make::Null if column.pg == PgType::BigInt && !column.nullable => {
                let inserted = self.stores.get(table.index).map_or(0, |store| store.inserted());
                Value::Int(i64::try_from(inserted).unwrap_or(i64::MAX).saturating_add(1))
            }
            Make::Null => Value::Null,
            Make::Id => Value::Uuid(dice.uuid()),
            Make::Now => Value::Micros(self.now_us),
            Make::Today => Value::Date(day_of(self.now_us)),
            Make::DaysAhead(from, to) => {
                let days = dice.between(i64::from(from), i64::from(to));
                Value::Date(day_of(self.now_us).saturating_add(i32::try_from(days).unwrap_or(0)))
            }
            Make::Pick(of) => Value::text(dice.pick(of)),
            Make::Number(from, to) => number(column.pg, dice.between(from, to)),
            Make::Fixed(fixed) => number(column.pg, fixed),
            Make::Flag(percent) => Value::Bool(dice.percent(u64::from(percent))),
            Make::Word(word) => Value::text(word),
            Make::Code(prefix, digits) => Value::text(dice.code(prefix, digits)),
            Make::Sentence => Value::text(dice.sentence()),
            Make::Note => Value::text(dice.note()),
            Make::Json => Value::text(dice.json()),
            Make::Person(part) => Value::text(self.person(part)),
        }
    }

    fn person(&self, part: PersonPart) -> String {
        let dice = &self.dice;
        match part {
            PersonPart::FirstName => dice.first_name().to_owned(),
            PersonPart::LastName => dice.last_name().to_owned(),
            PersonPart::Phone => dice.code("+1-555-01", 2),
            PersonPart::Street => dice.street(),
            PersonPart::Zip => dice.code("", 5),
            PersonPart::Ssn => dice.code("000-00-", 4),
        }
    }

    /// Makes some new rows wrong, as people and programs do, and counts it.
    fn spoil(&mut self, table: &Table, row: &mut [Value]) {
        let Some(defect) = self.defect() else { return };
        match defect {
            Defect::Null | Defect::Orphan => {
                let free = REFERENCES
                    .iter()
                    .filter(|name| !table.key.contains(name))
                    .find_map(|name| table.position(name));
                let Some(position) = free else { return };
                if defect == Defect::Null {
                    set(row, position, Value::Null);
                    self.counts.nulls += 1;
                } else {
                    set(row, position, Value::Uuid(self.dice.uuid()));
                    self.counts.orphans += 1;
                }
            }
            Defect::OutOfRange => {
                let present = RANGES
                    .iter()
                    .filter_map(|(name, wrong)| Some((table.position(name)?, *wrong)));
                let mut filled = present.filter(|(position, _)| row.get(*position).is_some_and(|cell| !cell.is_null()));
                if let Some((position, wrong)) = filled.next() {
                    set(row, position, Value::Int(wrong));
                    self.counts.out_of_range += 1;
                }
            }
            Defect::Future => {
                let position = DATES.iter().find_map(|name| table.position(name));
                let moved = position.and_then(|position| Some((position, row.get(position).and_then(later)?)));
                if let Some((position, value)) = moved {
                    set(row, position, value);
                    self.counts.future_dates += 1;
                }
            }
        }
    }

    fn defect(&self) -> Option<Defect> {
        let rates = self.options.defects;
        let mut chance = self.dice.below(1_000_000);
        for (ppm, defect) in [
            (rates.nulls_ppm, Defect::Null),
            (rates.orphans_ppm, Defect::Orphan),
            (rates.out_of_range_ppm, Defect::OutOfRange),
            (rates.future_dates_ppm, Defect::Future),
        ] {
            match chance.checked_sub(u64::from(ppm)) {
                None => return Some(defect),
                Some(rest) => chance = rest,
            }
        }
        None
    }
}

/// How a new row is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    Null,
    Orphan,
    OutOfRange,
    Future,
}

fn later(value: &Value) -> Option<Value> {
    match value {
        Value::Date(days) => Some(Value::Date(days.saturating_add(FUTURE_DAYS))),
        Value::Micros(micros) => Some(Value::Micros(micros.saturating_add(i64::from(FUTURE_DAYS) * DAY_US))),
        _ => None,
    }
}

fn set(row: &mut [Value], position: usize, value: Value) {
    if let Some(cell) = row.get_mut(position) {
        *cell = value;
    }
}

fn number(pg: PgType, number: i64) -> Value {
    match pg {
        PgType::Numeric(..) => Value::Decimal(number),
        _ => Value::Int(number),
    }
}

fn known(name: &str) -> (TableId, &'static Table) {
    table(name).expect("activities name tables of the catalogue; the world's tests run every activity")
}
