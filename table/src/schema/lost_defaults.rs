//! Defaults that the `iceberg` crate drops without a word when it reads a table's metadata: those of nanoseconds, and those that are
//! written otherwise than it expects. Files that are older than such a column would have nulls in the place of its default.

use std::collections::BTreeSet;
use std::sync::Arc;

use iceberg::spec::{Schema, TableMetadata};
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Result, TableError};
use crate::scan::ScanFile;

const INITIAL_DEFAULT: &str = "initial-default";

/// What of a document of metadata tells of defaults.
#[derive(Deserialize)]
struct Schemas {
    #[serde(default)]
    schemas: Value,
}

/// The columns of a table, fields within others among them, whose default for older files was not read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LostDefaults(Arc<BTreeSet<i32>>);

impl LostDefaults {
    /// Those of a document that was read as `table`. A default that any of its schemas has counts: a schema that was made of what was
    /// read lacks it.
    ///
    /// # Errors
    /// If the document is none.
    pub fn of(document: &str, table: &TableMetadata) -> serde_json::Result<Self> {
        if !document.contains(INITIAL_DEFAULT) {
            return Ok(Self::default());
        }
        let document: Schemas = serde_json::from_str(document)?;
        let mut written = BTreeSet::new();
        note(&document.schemas, &mut written);
        let is_read = |id: &i32| {
            let mut columns = table.schemas_iter().filter_map(|schema| schema.field_by_id(*id));
            columns.any(|column| column.initial_default.is_some())
        };
        written.retain(|id| !is_read(id));
        Ok(Self(Arc::new(written)))
    }

    /// Refuses files that may lack one of these columns.
    ///
    /// # Errors
    /// [`TableError::DefaultLost`] for the first such file.
    pub fn require_none(&self, columns: &Schema, files: &[ScanFile]) -> Result<()> {
        for id in self.0.iter() {
            let Some(column) = columns.name_by_field_id(*id) else {
                continue;
            };
            if let Some(file) = files.iter().find(|file| !file.counts_values(*id)) {
                return Err(TableError::DefaultLost {
                    column: column.to_owned(),
                    path: file.path.clone(),
                });
            }
        }
        Ok(())
    }
}

/// The ids of columns that have a default, at any depth.
fn note(of: &Value, ids: &mut BTreeSet<i32>) {
    match of {
        Value::Array(elements) => elements.iter().for_each(|element| note(element, ids)),
        Value::Object(members) => {
            let has_default = members.get(INITIAL_DEFAULT).is_some_and(|default| !default.is_null());
            let id = members.get("id").and_then(Value::as_i64);
            if has_default && let Some(id) = id.and_then(|id| i32::try_from(id).ok()) {
                ids.insert(id);
            }
            members.values().for_each(|member| note(member, ids));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a default is lost exactly where the crate reads none. Method: a document with defaults of several types at several depths,
    // of which some are in an older schema alone, as the crate reads it.
    #[test]
    fn what_is_not_read_is_lost() {
        let document = r#"{"format-version": 3, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "memory://lake/t",
            "last-sequence-number": 0, "last-updated-ms": 1602638573590, "last-column-id": 8, "current-schema-id": 1, "next-row-id": 0,
            "schemas": [
                {"type": "struct", "schema-id": 0, "fields": [
                    {"id": 1, "name": "id", "required": false, "type": "long", "initial-default": 7},
                    {"id": 2, "name": "at", "required": false, "type": "timestamp_ns", "initial-default": "2026-01-01T00:00:00.000000001"}
                ]},
                {"type": "struct", "schema-id": 1, "fields": [
                    {"id": 1, "name": "id", "required": false, "type": "long", "initial-default": 7},
                    {"id": 2, "name": "at", "required": false, "type": "timestamp_ns"},
                    {"id": 3, "name": "none", "required": false, "type": "timestamp_ns", "initial-default": null},
                    {"id": 4, "name": "visits", "required": false, "type": {"type": "list", "element-id": 5, "element-required": false,
                        "element": {"type": "struct", "fields": [
                            {"id": 6, "name": "seen", "required": false, "type": "timestamptz_ns",
                                "initial-default": "2026-01-01T00:00:00.000000001+00:00"},
                            {"id": 7, "name": "note", "required": false, "type": "string", "initial-default": "x"}]}}},
                    {"id": 8, "name": "day", "required": false, "type": "date", "initial-default": "2026-01-01"}
                ]}
            ],
            "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
            "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}]}"#;
        let table: TableMetadata = serde_json::from_str(document).expect("metadata");
        let lost = LostDefaults::of(document, &table).expect("a document");
        assert_eq!(*lost.0, BTreeSet::from([2, 6]));
        let plain = document.replace(INITIAL_DEFAULT, "doc-of-a-default");
        assert_eq!(
            LostDefaults::of(&plain, &table).expect("a document"),
            LostDefaults::default()
        );
    }
}
