//! Files that lack the same columns, as far as their partitions tell them: each of these columns is one value in all rows of a file, which
//! the file need not hold. DataFusion knows such columns, Hive's partitions: a scan has the same ones for all of its files, each file
//! has a value for each, and both travel with the plan. Conditions are folded with the values before a file is opened. It knows none within
//! structs: files that leave fields of structs to their partitions are alike if these tell the same, and their scan knows what.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::ScalarValue;
use tidewater_table::iceberg::spec::TableMetadata;
use tidewater_table::schema::ToldWithin;
use tidewater_table::{PartitionColumns, ScanFile};

use crate::error::Result;

/// A data file, and what its partition tells.
#[derive(Debug)]
pub(super) struct ToldFile<'a> {
    pub(super) file: &'a ScanFile,
    /// In the order of the columns that its scan is told.
    pub(super) values: Vec<ScalarValue>,
}

/// Files that one scan can read.
#[derive(Debug)]
pub(super) struct Alike<'a> {
    /// Columns of the table by position, in rising order, that the files' partitions tell.
    pub(super) told: Vec<usize>,
    /// What all the files' partitions tell of fields within columns.
    pub(super) within: ToldWithin,
    pub(super) files: Vec<ToldFile<'a>>,
}

impl ToldFile<'_> {
    /// The value of one of the scan's told columns; `None` for a column that is read.
    pub(super) fn value(&self, told: Option<usize>) -> Option<&ScalarValue> {
        self.values.get(told?)
    }
}

/// Groups files by the columns that they may lack, and by what is told of fields that they may lack. There is one group as a rule, of
/// files that lack none.
pub(super) fn alike<'a>(files: &'a [ScanFile], table: &TableMetadata, columns: &Schema) -> Result<Vec<Alike<'a>>> {
    let partition_columns = PartitionColumns::new(table, columns);
    let mut groups: BTreeMap<(Vec<usize>, ToldWithin), Vec<ToldFile<'a>>> = BTreeMap::new();
    for file in files {
        let constants = partition_columns.of(file)?;
        let told = constants.iter().map(|constant| constant.column).collect();
        let values = constants
            .iter()
            .map(|constant| ScalarValue::try_from_array(&constant.value, 0));
        let values = values.collect::<datafusion::common::Result<_>>()?;
        let within = partition_columns.within(file)?;
        let group = groups.entry((told, within)).or_default();
        group.push(ToldFile { file, values });
    }
    let groups = groups.into_iter();
    Ok(groups
        .map(|((told, within), files)| Alike { told, within, files })
        .collect())
}

#[cfg(test)]
mod tests;
