//! The hospital's databases as data: services, their tables, columns and what fills them.
//!
//! From these definitions come the DDL, the schemas inside the change events, the silver models and the oracle's text forms.

mod care;
mod clinic;
mod money;
mod operations;

use std::collections::HashMap;
use std::sync::LazyLock;

/// A column's PostgreSQL type, as far as the hospital uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PgType {
    /// `uuid`
    Uuid,
    /// `text`
    Text,
    /// `integer`
    Int,
    /// `bigint`
    BigInt,
    /// `numeric(precision, scale)`
    Numeric(u8, u8),
    /// `boolean`
    Bool,
    /// `date`
    Date,
    /// `timestamp`
    Timestamp,
    /// `timestamptz`
    Timestamptz,
    /// `jsonb`
    Jsonb,
}

/// What fills a column of a new row when the activity that creates it says nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Make {
    /// Nothing: NULL.
    Null,
    /// A new random id.
    Id,
    /// The moment of the change.
    Now,
    /// The day of the change.
    Today,
    /// The day of the change and this many days more, from..=to.
    DaysAhead(i32, i32),
    /// One of these.
    Pick(&'static [&'static str]),
    /// A number of this range, unscaled for decimals.
    Number(i64, i64),
    /// True in this many of a hundred cases.
    Flag(u8),
    /// Always this text.
    Word(&'static str),
    /// Always this number.
    Fixed(i64),
    /// A prefix and this many digits.
    Code(&'static str, u32),
    /// A sentence of hospital words.
    Sentence,
    /// A note: mostly short, sometimes long enough for PostgreSQL to store it out of line.
    Note,
    /// A small JSON document.
    Json,
    /// An e-mail address, a telephone number, a street, a name.
    Person(PersonPart),
}

/// Which part of a person's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonPart {
    /// First name.
    FirstName,
    /// Family name.
    LastName,
    /// Telephone number.
    Phone,
    /// Street and house number.
    Street,
    /// Five digits.
    Zip,
    /// Social security number (of the range that is never given out).
    Ssn,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub pg: PgType,
    /// May it be NULL?
    pub nullable: bool,
    /// What fills it.
    pub make: Make,
    /// The class of protected health information it holds.
    pub phi: Option<&'static str>,
}

impl Column {
    /// NOT NULL.
    const fn required(mut self) -> Self {
        self.nullable = false;
        self
    }

    /// Filled by `make`.
    const fn make(mut self, make: Make) -> Self {
        self.make = make;
        self
    }

    /// Holds protected health information of `class`.
    const fn phi(mut self, class: &'static str) -> Self {
        self.phi = Some(class);
        self
    }

    /// Can its values be stored out of line, so that an update may not carry them?
    pub fn is_toasted(&self) -> bool {
        matches!(self.make, Make::Note)
    }
}

const fn column(name: &'static str, pg: PgType) -> Column {
    Column {
        name,
        pg,
        nullable: true,
        make: Make::Null,
        phi: None,
    }
}

const fn id(name: &'static str) -> Column {
    column(name, PgType::Uuid).required().make(Make::Id)
}

const fn uuid(name: &'static str) -> Column {
    column(name, PgType::Uuid)
}

const fn text(name: &'static str) -> Column {
    column(name, PgType::Text)
}

const fn pick(name: &'static str, of: &'static [&'static str]) -> Column {
    column(name, PgType::Text).make(Make::Pick(of))
}

const fn int(name: &'static str, from: i64, to: i64) -> Column {
    column(name, PgType::Int).make(Make::Number(from, to))
}

const fn numeric(name: &'static str, precision: u8, scale: u8, from: i64, to: i64) -> Column {
    column(name, PgType::Numeric(precision, scale)).make(Make::Number(from, to))
}

const fn flag(name: &'static str, percent: u8) -> Column {
    column(name, PgType::Bool).make(Make::Flag(percent))
}

const fn date(name: &'static str) -> Column {
    column(name, PgType::Date)
}

const fn timestamp(name: &'static str) -> Column {
    column(name, PgType::Timestamp)
}

const fn timestamptz(name: &'static str) -> Column {
    column(name, PgType::Timestamptz)
}

const fn json(name: &'static str) -> Column {
    column(name, PgType::Jsonb).make(Make::Json)
}

const fn created_at() -> Column {
    column("created_at", PgType::Timestamptz).required().make(Make::Now)
}

const fn updated_at() -> Column {
    column("updated_at", PgType::Timestamp).make(Make::Now)
}

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Its name, unique over all services.
    pub name: &'static str,
    /// Its primary key.
    pub key: &'static [&'static str],
    /// Its columns in order.
    pub columns: &'static [Column],
    /// How many rows are kept for each patient before the oldest are purged; 0 keeps all.
    pub rows_per_patient: u32,
}

impl Table {
    /// The position of a column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|candidate| candidate.name == column)
    }

    /// The positions of the key's columns.
    pub fn key_positions(&self) -> Vec<usize> {
        self.key.iter().filter_map(|name| self.position(name)).collect()
    }

    /// Does it hold protected health information?
    pub fn has_phi(&self) -> bool {
        self.columns.iter().any(|column| column.phi.is_some())
    }
}

/// One service with a database of its own.
#[derive(Debug)]
pub struct Service {
    /// Its name as in topics: `medical-records`.
    pub name: &'static str,
    /// Who answers for it.
    pub owner: &'static str,
    /// How old its data may be in the lake, in words of the source files.
    pub freshness: &'static str,
    /// Its tables.
    pub tables: &'static [Table],
}

impl Service {
    /// `hospital_medical_records`, or `medical_records` without a prefix.
    pub fn database(&self, prefix: &str) -> String {
        let name = self.name.replace('-', "_");
        if prefix.is_empty() {
            name
        } else {
            format!("{prefix}_{name}")
        }
    }
}

/// Where a table is: positions in [`services`] and in the service's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    /// Position over all tables.
    pub index: usize,
    /// Position of its service.
    pub service: usize,
}

/// All services.
pub fn services() -> &'static [&'static Service] {
    &SERVICES
}

/// All tables, in the services' order.
pub fn tables() -> &'static [(TableId, &'static Table)] {
    &TABLES
}

/// A table by its name.
pub fn table(name: &str) -> Option<(TableId, &'static Table)> {
    BY_NAME.get(name).and_then(|index| TABLES.get(*index)).copied()
}

static SERVICES: LazyLock<Vec<&'static Service>> = LazyLock::new(|| {
    [clinic::SERVICES, care::SERVICES, money::SERVICES, operations::SERVICES]
        .into_iter()
        .flatten()
        .collect()
});

static TABLES: LazyLock<Vec<(TableId, &'static Table)>> = LazyLock::new(|| {
    let all = SERVICES
        .iter()
        .enumerate()
        .flat_map(|(service, of)| of.tables.iter().map(move |table| (service, table)));
    all.enumerate()
        .map(|(index, (service, table))| (TableId { index, service }, table))
        .collect()
});

static BY_NAME: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| TABLES.iter().map(|(id, table)| (table.name, id.index)).collect());

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    // Goal: the catalogue is sound. Method: count services, look for names used twice and keys that are no columns.
    #[test]
    fn catalogue_is_sound() {
        assert_eq!(services().len(), 27);
        let names: BTreeSet<_> = tables().iter().map(|(_, table)| table.name).collect();
        assert_eq!(names.len(), tables().len());
        for service in services() {
            assert!((1..=4).contains(&service.tables.len()), "{}", service.name);
        }
        for (_, table) in tables() {
            assert_eq!(table.key_positions().len(), table.key.len(), "{}", table.name);
            let columns: BTreeSet<_> = table.columns.iter().map(|column| column.name).collect();
            assert_eq!(columns.len(), table.columns.len(), "{}", table.name);
            for key in table.key_positions() {
                assert!(!table.columns[key].nullable, "{}", table.name);
            }
        }
    }
}
