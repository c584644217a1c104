//! Whether the rows of a snapshot can be read with the columns that the table has now.

use iceberg::spec::{DataFile, NestedField, Schema, SchemaRef, Snapshot, TableMetadata};

use super::{Wish, refused};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::scan::{Scan, ScanFile};

/// Whether a snapshot is of before its table was replaced: none of its columns is one of the table's now, whatever they are called. Read
/// with the table's columns, all of its values would be null.
pub fn is_before_replacement(table: &TableMetadata, snapshot: &Snapshot) -> bool {
    schema_of(table, snapshot).is_some_and(|own| is_replaced(table, own))
}

/// Whether none of a schema's columns is left.
fn is_replaced(table: &TableMetadata, then: &Schema) -> bool {
    let (now, fields) = (table.current_schema(), then.as_struct().fields());
    !fields.is_empty() && fields.iter().all(|field| now.field_by_id(field.id).is_none())
}

/// Why rows do not go to such a branch.
pub fn before_replacement(branch: &str) -> TableError {
    refused(
        format!("writing to {branch}"),
        "its rows are of before the table was replaced, and have none of its columns",
        "read it, insert what is wanted of it into the table, and drop it",
    )
}

/// Whether a name is to be a branch at another snapshot than now. Tags are read with the columns of their snapshots.
pub(super) fn moves_branch(table: &TableMetadata, (name, wanted): &Wish) -> Option<i64> {
    let wanted = wanted.as_ref().filter(|reference| reference.is_branch())?;
    let now = table.snapshot_for_ref(name).map(|snapshot| snapshot.snapshot_id());
    Some(wanted.snapshot_id).filter(|to| now != Some(*to))
}

/// Refuses a snapshot that could not be read as the table is now.
pub(super) async fn require_fit(store: &FileStore, table: &TableMetadata, snapshot_id: i64) -> Result<()> {
    let snapshot = table.snapshot_by_id(snapshot_id);
    let snapshot = snapshot.ok_or(TableError::SnapshotNotFound { snapshot_id })?;
    // It is what the table is.
    if table.current_snapshot_id() == Some(snapshot_id) {
        return Ok(());
    }
    let columns = to_prove(table, snapshot)?;
    if columns.is_empty() {
        return Ok(());
    }
    let scan = Scan::new(store, table).snapshot(Some(snapshot_id)).with_deletes();
    let files = scan.plan().await?;
    require_values(snapshot_id, &columns, files.iter().map(ScanFile::data_file))
}

/// Columns that must not be null now and of which the snapshot's schema does not say so, by id and name.
pub(super) fn to_prove(table: &TableMetadata, snapshot: &Snapshot) -> Result<Vec<(i32, String)>> {
    let own = schema_of(table, snapshot);
    if snapshot.schema_id() == Some(table.current_schema_id()) {
        return Ok(Vec::new());
    }
    let is_before = match own {
        Some(own) => is_replaced(table, own),
        // Which one it was written with is not known.
        None => table.schemas_iter().any(|schema| is_replaced(table, schema)),
    };
    if is_before {
        return Err(refused(
            going_to(snapshot.snapshot_id()),
            "it is of before the table was replaced, and has none of its columns",
            "read it FOR VERSION AS OF its id, and insert what is wanted of it",
        ));
    }
    let is_open = |field: &NestedField| match own {
        Some(own) => !has_values(own, field),
        None => !table.schemas_iter().all(|schema| has_values(schema, field)),
    };
    let fields = table.current_schema().as_struct().fields().iter();
    let open = fields.filter(|field| field.required && is_open(field));
    Ok(open.map(|field| (field.id, field.name.clone())).collect())
}

/// Refuses files that may have rows without a value in one of these columns, as far as their statistics tell.
pub(super) fn require_values<'a>(
    snapshot_id: i64,
    columns: &[(i32, String)],
    files: impl Iterator<Item = &'a DataFile>,
) -> Result<()> {
    for file in files {
        let lacks = columns.iter().find(|(id, _)| {
            file.null_value_counts().get(id) != Some(&0) || file.value_counts().get(id) != Some(&file.record_count())
        });
        if let Some((_, name)) = lacks {
            return Err(refused(
                going_to(snapshot_id),
                format!("it may have rows without a value in {name}"),
                format!("ALTER COLUMN {name} DROP NOT NULL first"),
            ));
        }
    }
    Ok(())
}

/// Whether all rows that were written with a schema have a value in a column of the table's.
fn has_values(then: &Schema, field: &NestedField) -> bool {
    match then.field_by_id(field.id) {
        Some(before) => before.required,
        None => field.initial_default.is_some(),
    }
}

fn schema_of<'a>(table: &'a TableMetadata, snapshot: &Snapshot) -> Option<&'a SchemaRef> {
    snapshot.schema_id().and_then(|id| table.schema_by_id(id))
}

fn going_to(snapshot_id: i64) -> String {
    format!("bringing snapshot {snapshot_id} to a branch")
}

#[cfg(test)]
mod tests;
