//! States of tables that the catalog has no more: as their metadata files hold them, or as newer ones still tell.

use std::sync::Arc;

use iceberg::spec::{FormatVersion, MAIN_BRANCH, Snapshot, TableMetadata};
use serde_json::{Value, json};

use crate::catalog::{LoadedTable, TablePointer};
use crate::digest::check_whole;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::schema::LostDefaults;
use tidewater_core::TableName;

impl LoadedTable {
    /// The state that the metadata file at `location` holds, of a table that had this name then.
    ///
    /// # Errors
    /// [`TableError::FileNotFound`] if the file is gone; others if it cannot be read or is none.
    pub async fn stored(store: &FileStore, name: &TableName, location: &str) -> Result<Self> {
        let bytes = store.get(location).await?;
        check_whole(location, &bytes)?;
        let document = std::str::from_utf8(&bytes).map_err(|error| damaged(location, &error.to_string()))?;
        let metadata: TableMetadata =
            serde_json::from_str(document).map_err(|error| damaged(location, &error.to_string()))?;
        let lost_defaults =
            LostDefaults::of(document, &metadata).map_err(|error| damaged(location, &error.to_string()))?;
        Ok(Self {
            name: name.clone(),
            metadata: Arc::new(metadata),
            metadata_location: location.to_owned(),
            lost_defaults,
        })
    }

    /// This table as it was when it stood at `pointer`, without its later snapshots; `None` if it does not tell that any more: the
    /// snapshot is gone, its columns were others, or it is another table. Properties, partitioning and sort order are those of now.
    /// Where branches and tags other than `main` stood then is not told: there are none.
    pub fn back_at(&self, pointer: &TablePointer) -> Option<Self> {
        let now: &TableMetadata = &self.metadata;
        let snapshot = now.snapshot_by_id(pointer.snapshot_id?)?;
        let columns = now.current_schema_id();
        let is_told = now.uuid() == pointer.uuid
            // The order of snapshots in version 1 is told by clocks only, also when the table has another version by now.
            && now.format_version() != FormatVersion::V1
            && snapshot.sequence_number() > 0
            && snapshot.schema_id() == Some(columns)
            // Other columns may have come after the snapshot and gone again.
            && now.schemas_iter().all(|schema| schema.schema_id() <= columns);
        if !is_told {
            return None;
        }
        let mut document = serde_json::to_value(now).ok()?;
        rewind(&mut document, snapshot, &pointer.metadata_location)?;
        Some(Self {
            name: self.name.clone(),
            metadata: Arc::new(serde_json::from_str(&document.to_string()).ok()?),
            metadata_location: pointer.metadata_location.clone(),
            lost_defaults: self.lost_defaults.clone(),
        })
    }
}

/// Takes from a document of metadata what came after a snapshot, at which `main` stands then, and after the file at `location`.
fn rewind(document: &mut Value, snapshot: &Snapshot, location: &str) -> Option<()> {
    let (snapshot_id, sequence_number) = (snapshot.snapshot_id(), snapshot.sequence_number());
    let members = document.as_object_mut()?;
    let snapshots = members.get_mut("snapshots")?.as_array_mut()?;
    snapshots.retain(|snapshot| {
        let number = snapshot.get("sequence-number").and_then(Value::as_i64);
        number.is_some_and(|number| number <= sequence_number)
    });
    let log = members.get_mut("snapshot-log")?.as_array_mut()?;
    let last = log.iter().rposition(|entry| id_of(entry) == Some(snapshot_id))?;
    log.truncate(last + 1);
    let mut updated_ms = log.last()?.get("timestamp-ms")?.clone();
    if let Some(files) = members.get_mut("metadata-log").and_then(Value::as_array_mut) {
        let is_at = |entry: &Value| entry.get("metadata-file").and_then(Value::as_str) == Some(location);
        let at = files.iter().position(is_at);
        if let Some(time) = at.and_then(|at| files.get(at)?.get("timestamp-ms")) {
            updated_ms = time.clone();
        }
        // The oldest ones leave the log first: without this file it has newer ones only.
        files.truncate(at.unwrap_or_default());
    }
    members.insert("last-updated-ms".into(), updated_ms);
    let references = members.get_mut("refs")?.as_object_mut()?;
    let main = references.get_mut(MAIN_BRANCH)?.as_object_mut()?;
    main.insert("snapshot-id".into(), json!(snapshot_id));
    references.retain(|name, _| name == MAIN_BRANCH);
    members.insert("current-snapshot-id".into(), json!(snapshot_id));
    Some(())
}

fn id_of(value: &Value) -> Option<i64> {
    value.get("snapshot-id").and_then(Value::as_i64)
}

fn damaged(location: &str, reason: &str) -> TableError {
    TableError::Damaged {
        reason: format!("{location}: {reason}"),
    }
}

#[cfg(test)]
mod tests;
