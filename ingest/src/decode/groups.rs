//! The structs of a bronze row that hold what its record holds, and how the fields of each kind of record reach them.

use arrow::array::ArrayRef;
use arrow::datatypes::Schema as ArrowSchema;
use arrow::error::ArrowError;

use super::column_type::ColumnType;
use super::fault::RecordFault;
use super::group::{Group, Plan, struct_members};
use super::kind::about;
use super::schemas::Schema;
use super::wire::Wire;
use crate::layout::{source_columns, transaction_columns};

/// Sides of the group of rows.
pub(crate) const BEFORE: usize = 0;
pub(crate) const AFTER: usize = 1;

/// Place of columns in `source`, see [`source_columns`].
const SOURCE_TS_MS: usize = 3;
const SOURCE_TS_US: usize = 7;
const SOURCE_LSN: usize = 12;

/// One of the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Row,
    Source,
    Transaction,
    Message,
    Key,
}

/// All groups of a topic.
#[derive(Debug)]
pub(crate) struct Groups {
    pub(crate) row: Group,
    pub(crate) source: Group,
    pub(crate) transaction: Group,
    pub(crate) message: Group,
    pub(crate) key: Group,
}

/// The plans of one value schema, or of values without one.
#[derive(Debug, Default)]
pub(crate) struct ValuePlans {
    pub(crate) row: Plan,
    pub(crate) source: Plan,
    pub(crate) transaction: Plan,
    pub(crate) message: Plan,
}

impl Groups {
    /// With the columns of a table.
    pub(crate) fn of_table(table: &ArrowSchema) -> Self {
        let members = |name: &str| {
            let field = table.field_with_name(name);
            field.map(|field| struct_members(field.data_type())).unwrap_or_default()
        };
        let group = |sides: usize, names: &[&str], declared: &[(&str, ColumnType)]| {
            let mut group = Group::new(sides);
            group.declare(declared);
            for name in names {
                group.adopt(&members(name));
            }
            group
        };
        Self {
            row: group(2, &["after", "before"], &[]),
            source: group(1, &["source"], source_columns()),
            transaction: group(1, &["transaction"], transaction_columns()),
            message: group(1, &["message"], &[]),
            key: group(1, &["_key"], &[]),
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, part: Part) -> &mut Group {
        match part {
            Part::Row => &mut self.row,
            Part::Source => &mut self.source,
            Part::Transaction => &mut self.transaction,
            Part::Message => &mut self.message,
            Part::Key => &mut self.key,
        }
    }

    /// Forgets rows from `row` on.
    pub(crate) fn truncate(&mut self, row: usize) {
        for part in [Part::Row, Part::Source, Part::Transaction, Part::Message, Part::Key] {
            self.get_mut(part).truncate(row);
        }
    }

    /// When the change of a row that was just written happened, in microseconds.
    pub(crate) fn event_us(&self, row: usize) -> Option<i64> {
        let us = self.source.long_in(0, SOURCE_TS_US, row);
        us.or_else(|| {
            self.source
                .long_in(0, SOURCE_TS_MS, row)
                .and_then(|ms| ms.checked_mul(1_000))
        })
    }

    /// Where the change of a row that was just written stands in the source's log.
    pub(crate) fn lsn(&self, row: usize) -> Option<i64> {
        self.source.long_in(0, SOURCE_LSN, row)
    }

    /// The plans of a schema. All its columns exist from now on.
    pub(crate) fn plans(&mut self, schema: Option<&Schema>, enveloped: bool) -> Result<ValuePlans, RecordFault> {
        match schema.map(|schema| &schema.wire) {
            Some(Wire::Struct(fields)) if enveloped => self.envelope_plans(fields),
            Some(Wire::Struct(fields)) => {
                let own = fields.iter().filter(|(name, _)| about(name).is_none());
                Ok(ValuePlans {
                    row: self.row.plan(&own.cloned().collect::<Vec<_>>())?,
                    ..ValuePlans::default()
                })
            }
            _ => Ok(ValuePlans::default()),
        }
    }

    fn envelope_plans(&mut self, fields: &[(String, Wire)]) -> Result<ValuePlans, RecordFault> {
        let part = |names: &[&str]| -> &[(String, Wire)] {
            let found = names
                .iter()
                .find_map(|name| fields.iter().find(|(field, _)| field == name));
            match found {
                Some((_, Wire::Struct(fields))) => fields,
                _ => &[],
            }
        };
        Ok(ValuePlans {
            row: self.row.plan(part(&["after", "before"]))?,
            source: self.source.plan(part(&["source"]))?,
            transaction: self.transaction.plan(part(&["transaction"]))?,
            message: self.message.plan(part(&["message"]))?,
        })
    }

    /// The structs as Arrow, with their names. The groups begin anew with the same columns.
    pub(crate) fn finish(&mut self, rows: usize) -> Result<Vec<(&'static str, ArrayRef)>, ArrowError> {
        let mut finished = Vec::new();
        for (names, part) in [
            (&["before", "after"][..], Part::Row),
            (&["source"], Part::Source),
            (&["transaction"], Part::Transaction),
            (&["message"], Part::Message),
            (&["_key"], Part::Key),
        ] {
            let sides = self.get_mut(part).finish(rows)?;
            finished.extend(names.iter().copied().zip(sides.into_iter().flatten()));
        }
        Ok(finished)
    }
}
