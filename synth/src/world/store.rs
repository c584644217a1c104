//! The rows of one table, as its database holds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::value::Value;

/// A row: one value a column.
pub type Row = Arc<[Value]>;

/// The number a row was inserted under; it never changes and is no column.
pub(crate) type RowNumber = u64;

/// The rows of one table, oldest first.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) rows_max: usize,
    rows: BTreeMap<RowNumber, Row>,
    next: RowNumber,
}

impl Store {
    pub(crate) fn new(rows_max: usize) -> Self {
        Self {
            rows_max,
            rows: BTreeMap::new(),
            next: 1,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many rows there ever were.
    pub(crate) fn inserted(&self) -> u64 {
        self.next - 1
    }

    pub(crate) fn insert(&mut self, row: Row) -> RowNumber {
        let number = self.next;
        self.next += 1;
        self.rows.insert(number, row);
        number
    }

    pub(crate) fn row(&self, number: RowNumber) -> Option<&Row> {
        self.rows.get(&number)
    }

    /// Puts a row in place of another and gives the old one back.
    pub(crate) fn replace(&mut self, number: RowNumber, row: Row) -> Option<Row> {
        self.rows.insert(number, row)
    }

    pub(crate) fn remove(&mut self, number: RowNumber) -> Option<Row> {
        self.rows.remove(&number)
    }

    pub(crate) fn oldest(&self) -> Option<RowNumber> {
        self.rows.keys().next().copied()
    }

    /// The row a number points at, or the next one still there: about uniform for a uniform number.
    pub(crate) fn near(&self, number: RowNumber) -> Option<RowNumber> {
        self.rows
            .range(number..)
            .next()
            .or_else(|| self.rows.iter().next())
            .map(|(number, _)| *number)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }
}
