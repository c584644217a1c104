//! Reading the rows of a world by column name.

use std::collections::HashMap;

use super::cell::Cell;
use crate::schema::{self, Table};
use crate::value::{Value, day_of};
use crate::world::{Row, World};

/// The rows of one table.
pub(super) struct Rows<'w> {
    table: &'static Table,
    rows: Vec<&'w Row>,
}

/// One of them.
#[derive(Clone, Copy)]
pub(super) struct RowOf<'w> {
    table: &'static Table,
    row: &'w Row,
}

static NULL: Value = Value::Null;

impl<'w> Rows<'w> {
    pub(super) fn of(world: &'w World, name: &str) -> Self {
        let (id, table) =
            schema::table(name).expect("the oracle names tables of the catalogue; its tests read them all");
        Self {
            table,
            rows: world.rows(id).collect(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = RowOf<'w>> + use<'w, '_> {
        self.rows.iter().map(|row| RowOf { table: self.table, row })
    }

    /// The rows by a column's text, those without it left out.
    pub(super) fn by(&self, column: &'static str) -> HashMap<String, Vec<RowOf<'w>>> {
        let mut groups: HashMap<String, Vec<RowOf<'w>>> = HashMap::new();
        for row in self.iter() {
            if let Some(text) = row.text(column) {
                groups.entry(text).or_default().push(row);
            }
        }
        groups
    }
}

impl<'w> RowOf<'w> {
    pub(super) fn value(&self, column: &str) -> &'w Value {
        let position = self
            .table
            .position(column)
            .expect("the oracle names columns of the catalogue; its tests read them all");
        self.row.get(position).unwrap_or(&NULL)
    }

    /// The canonical text of a cell.
    pub(super) fn cell(&self, column: &str) -> Cell {
        let of = self.table.columns.iter().find(|candidate| candidate.name == column);
        of.map_or(Cell::Null, |of| Cell::of(of, self.value(column)))
    }

    pub(super) fn text(&self, column: &str) -> Option<String> {
        match self.cell(column) {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is(&self, column: &str, text: &str) -> bool {
        self.value(column).as_text() == Some(text)
    }

    pub(super) fn flag(&self, column: &str) -> bool {
        *self.value(column) == Value::Bool(true)
    }

    pub(super) fn number(&self, column: &str) -> Option<i64> {
        self.value(column).number()
    }

    /// The number if it lies in this range.
    pub(super) fn number_within(&self, column: &str, from: i64, to: i64) -> Option<i64> {
        self.number(column).filter(|number| (from..=to).contains(number))
    }

    pub(super) fn day(&self, column: &str) -> Option<i32> {
        match self.value(column) {
            Value::Date(days) => Some(*days),
            Value::Micros(micros) => Some(day_of(*micros)),
            _ => None,
        }
    }

    /// A struct of these columns.
    pub(super) fn members(&self, columns: &[&'static str]) -> Vec<(&'static str, Cell)> {
        columns.iter().map(|column| (*column, self.cell(column))).collect()
    }
}
