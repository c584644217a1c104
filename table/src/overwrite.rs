//! Changes that put new files in the place of all that is in some partitions, or of all rows of a condition, without reading a row.

use std::collections::HashSet;

use iceberg::spec::{Operation, Struct, TableMetadata};

use crate::change::{Added, Change, Target};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::partition_key;
use crate::predicate::Predicate;
use crate::scan::Scan;

/// Summary key by which engines know that whole partitions were replaced.
const REPLACE_PARTITIONS: &str = "replace-partitions";

/// New files take the place of everything in their partitions (dynamic overwrite); of the whole table if it has none. Partitions
/// that no new file is in stay as they are, as do files that were written with another partition spec.
///
/// The change conflicts with rows that others add to these partitions.
pub async fn overwrite_partitions(
    store: &FileStore,
    table: &TableMetadata,
    target: &Target,
    added: Vec<Added>,
) -> Result<Change> {
    let touched: HashSet<(i32, Struct)> = added
        .iter()
        .map(|new| (new.spec_id, partition_key(new.file.partition())))
        .collect();
    let read_at = target.parent(table).map(|snapshot| snapshot.snapshot_id());
    let files = match read_at {
        Some(_) => Scan::new(store, table).snapshot(read_at).with_deletes().plan().await?,
        None => Vec::new(),
    };
    let gone = files
        .into_iter()
        .filter(|file| touched.contains(&(file.spec_id, partition_key(&file.partition))));
    let mut change = Change::overwrite(gone.map(|file| file.path), added)
        .read_at(read_at)
        .forbid_new_rows_in(touched)
        .of_table(table.uuid())
        .of_schema(table.current_schema())
        .property(REPLACE_PARTITIONS, "true");
    change.operation = Operation::Overwrite;
    change.target = target.clone();
    Ok(change)
}

/// New files take the place of all rows of a condition (static overwrite). `None`: of the whole table.
///
/// # Errors
/// [`TableError::Alteration`] if a file holds rows of the condition and perhaps others: such files have to be written anew.
pub async fn overwrite_where(
    store: &FileStore,
    table: &TableMetadata,
    target: &Target,
    condition: Option<&Predicate>,
    added: Vec<Added>,
) -> Result<Change> {
    let read_at = target.parent(table).map(|snapshot| snapshot.snapshot_id());
    let mut gone = Vec::new();
    if read_at.is_some() {
        let coverage = Scan::new(store, table)
            .snapshot(read_at)
            .filter(condition)
            .coverage()
            .await?;
        if let Some(file) = coverage.part.first() {
            return Err(TableError::Alteration {
                what: "overwriting the rows of a condition".into(),
                reason: format!("{} may hold other rows as well", file.path),
                advice: "overwrite whole partitions, or delete the rows first and then insert".into(),
            });
        }
        gone.extend(coverage.whole.into_iter().map(|file| file.path));
    }
    let mut change = Change::overwrite(gone, added)
        .read_at(read_at)
        .of_table(table.uuid())
        .of_schema(table.current_schema());
    change = match condition {
        Some(condition) => change.forbid_new_rows_of(condition.clone()),
        None => change.forbid_new_rows(),
    };
    change.target = target.clone();
    Ok(change)
}

#[cfg(test)]
mod tests;
