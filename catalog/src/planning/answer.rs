//! Files as the protocol describes them.

use std::collections::HashMap;
use std::fmt::Write as _;

use iceberg::spec::{DataContentType, DataFile, Struct, TableMetadata};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::expression::Filter;
use crate::error::{CatalogError, Result};
use tidewater_table::{DeleteFile, ScanFile, partition_value};

/// Tasks and the delete files that they name by place.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    files: Vec<Value>,
    deletes: Vec<Value>,
    /// A file of deletion vectors holds many, each at its own offset.
    places: HashMap<(String, Option<i64>), usize>,
}

/// How files are described.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style<'a> {
    pub(super) table: &'a TableMetadata,
    /// Columns whose statistics are sent.
    pub(super) stats: &'a [i32],
    /// Whether the client can read a null among partition values. PyIceberg cannot, and needs no partition either.
    pub(super) null_partitions: bool,
}

impl Tasks {
    pub(super) fn push(&mut self, file: &ScanFile, residual: Option<&Filter>, style: Style<'_>) -> Result<()> {
        let mut described = described(file.data_file(), file.spec_id, &file.partition, style)?;
        statistics(&mut described, file.data_file(), style.stats);
        if let Some(first) = file.data_file().first_row_id() {
            described.insert("first-row-id".into(), json!(first));
        }
        let mut task = Map::new();
        task.insert("data-file".into(), Value::Object(described));
        if !file.deletes.is_empty() {
            let places: Result<Vec<usize>> = file.deletes.iter().map(|delete| self.place(delete, style)).collect();
            task.insert("delete-file-references".into(), json!(places?));
        }
        if let Some(residual) = residual {
            task.insert("residual-filter".into(), residual.to_json());
        }
        self.files.push(Value::Object(task));
        Ok(())
    }

    fn place(&mut self, delete: &DeleteFile, style: Style<'_>) -> Result<usize> {
        let file = delete.data_file();
        let key = (delete.path.clone(), file.content_offset());
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        let mut value = described(file, delete.spec_id(), file.partition(), style)?;
        for (name, found) in [
            ("referenced-data-file", file.referenced_data_file().map(Value::String)),
            ("content-offset", file.content_offset().map(|offset| json!(offset))),
            (
                "content-size-in-bytes",
                file.content_size_in_bytes().map(|size| json!(size)),
            ),
            ("equality-ids", file.equality_ids().map(|ids| json!(ids))),
        ] {
            if let Some(found) = found {
                value.insert(name.into(), found);
            }
        }
        let place = self.deletes.len();
        self.deletes.push(Value::Object(value));
        self.places.insert(key, place);
        Ok(place)
    }

    /// Puts the tasks into an answer.
    pub(super) fn into_answer(self, answer: &mut Map<String, Value>) {
        answer.insert("file-scan-tasks".into(), Value::Array(self.files));
        if !self.deletes.is_empty() {
            answer.insert("delete-files".into(), Value::Array(self.deletes));
        }
    }
}

fn described(file: &DataFile, spec_id: i32, partition: &Struct, style: Style<'_>) -> Result<Map<String, Value>> {
    let content = match file.content_type() {
        DataContentType::Data => "data",
        DataContentType::PositionDeletes => "position-deletes",
        DataContentType::EqualityDeletes => "equality-deletes",
    };
    let mut value = Map::new();
    value.insert("spec-id".into(), json!(spec_id));
    value.insert("content".into(), json!(content));
    value.insert("file-path".into(), json!(file.file_path()));
    value.insert(
        "file-format".into(),
        json!(file.file_format().to_string().to_lowercase()),
    );
    value.insert("file-size-in-bytes".into(), json!(file.file_size_in_bytes()));
    value.insert("record-count".into(), json!(file.record_count()));
    if let Some(values) = partition_values(spec_id, partition, style)? {
        value.insert("partition".into(), Value::Array(values));
    }
    if let Some(offsets) = file.split_offsets() {
        value.insert("split-offsets".into(), json!(offsets));
    }
    if let Some(order) = file.sort_order_id() {
        value.insert("sort-order-id".into(), json!(order));
    }
    if let Some(key) = file.key_metadata() {
        value.insert("key-metadata".into(), json!(hex(key)));
    }
    Ok(value)
}

fn partition_values(spec_id: i32, partition: &Struct, style: Style<'_>) -> Result<Option<Vec<Value>>> {
    let table = style.table;
    let damaged = |reason: String| CatalogError::Damaged {
        location: table.location().to_owned(),
        reason,
    };
    let spec = table
        .partition_spec_by_id(spec_id)
        .ok_or_else(|| damaged(format!("a file has partition spec {spec_id}, which the table lacks")))?;
    // A column that was dropped since is still in an older schema.
    let schemas = std::iter::once(table.current_schema()).chain(table.schemas_iter());
    let types = schemas.filter_map(|schema| spec.partition_type(schema).ok()).next();
    let Some(types) = types else {
        return Ok(None);
    };
    if !style.null_partitions && partition.fields().iter().any(Option::is_none) {
        return Ok(None);
    }
    let written = types
        .fields()
        .iter()
        .zip(partition.fields())
        .map(|(field, value)| match value {
            None => Ok(Value::Null),
            Some(value) if partition_value::name(value).is_some() => Err(CatalogError::Unsupported {
                what:
                    "planning a scan of partitions whose value is NaN or infinite, which the protocol has no JSON for"
                        .into(),
            }),
            Some(value) => value
                .clone()
                .try_into_json(&field.field_type)
                .map_err(|error| damaged(error.to_string())),
        });
    written.collect::<Result<Vec<Value>>>().map(Some)
}

fn statistics(value: &mut Map<String, Value>, file: &DataFile, columns: &[i32]) {
    if columns.is_empty() {
        return;
    }
    fn chosen<T, V: Serialize>(from: &HashMap<i32, T>, columns: &[i32], write: impl Fn(&T) -> Option<V>) -> Value {
        let known = columns.iter().filter_map(|id| Some((*id, write(from.get(id)?)?)));
        let (keys, values): (Vec<i32>, Vec<V>) = known.unzip();
        json!({"keys": keys, "values": values})
    }
    let count = |count: &u64| Some(*count);
    // The reference client reads bounds as the bytes that the table format writes, in hexadecimal.
    let bound = |bound: &iceberg::spec::Datum| bound.to_bytes().ok().map(|bytes| hex(&bytes));
    for (name, map) in [
        ("column-sizes", file.column_sizes()),
        ("value-counts", file.value_counts()),
        ("null-value-counts", file.null_value_counts()),
        ("nan-value-counts", file.nan_value_counts()),
    ] {
        value.insert(name.into(), chosen(map, columns, count));
    }
    value.insert("lower-bounds".into(), chosen(file.lower_bounds(), columns, bound));
    value.insert("upper-bounds".into(), chosen(file.upper_bounds(), columns, bound));
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}
