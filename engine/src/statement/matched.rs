//! What a look at the table's rows finds: which files have rows that are changed, and how many.

use std::collections::BTreeMap;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use tidewater_core::TableName;

use crate::error::{EngineError, Result};
use crate::sql::{Action, Clause};

/// Rows of one file that have a fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fates {
    pub(super) updated: u64,
    pub(super) deleted: u64,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Matched {
    /// Files with rows that are changed or deleted.
    pub(super) files: BTreeMap<String, Fates>,
    /// Rows that are added.
    pub(super) inserted: u64,
}

impl Matched {
    /// Reads the answer to [`super::row_sql::RowSql::counts`]. Refuses rows that match more than one row of the source.
    pub(super) fn read(batches: &[RecordBatch], clauses: &[Clause], table: &TableName) -> Result<Self> {
        let mut matched = Self::default();
        for batch in batches {
            let files = cast(batch.column(0), &DataType::Utf8).map_err(DataFusionError::from)?;
            let files = files.as_string::<i32>();
            let mut numbers = Vec::with_capacity(4);
            for column in batch.columns().iter().skip(1) {
                numbers.push(cast(column, &DataType::Int64).map_err(DataFusionError::from)?);
            }
            let [fates, rows, totals, most] = numbers.as_slice() else {
                return Err(EngineError::WriteAnswer {
                    reason: "rows were not counted".into(),
                });
            };
            let number = |column: &dyn Array, row: usize| column.as_primitive::<Int64Type>().value(row);
            for row in 0..batch.num_rows() {
                let count = |column| u64::try_from(number(column, row)).unwrap_or_default();
                if files.is_null(row) {
                    matched.inserted += count(totals);
                    continue;
                }
                if number(most, row) > 1 {
                    return Err(EngineError::ManyMatches { table: table.clone() });
                }
                let fate = usize::try_from(number(fates, row))
                    .ok()
                    .and_then(|fate| clauses.get(fate));
                let found = matched.files.entry(files.value(row).to_owned()).or_default();
                match fate.map(|clause| &clause.action) {
                    Some(Action::Delete) => found.deleted += count(rows),
                    _ => found.updated += count(rows),
                }
            }
        }
        Ok(matched)
    }

    pub(super) fn updated(&self) -> u64 {
        self.files.values().map(|fates| fates.updated).sum()
    }

    pub(super) fn deleted(&self) -> u64 {
        self.files.values().map(|fates| fates.deleted).sum()
    }

    /// All rows that have a fate.
    pub(super) fn rows(&self) -> u64 {
        self.updated() + self.deleted() + self.inserted
    }
}
