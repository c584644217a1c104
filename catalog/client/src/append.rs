//! Appending data files through the catalog, which folds what many producers append into one snapshot.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::ops::Range;

use iceberg::spec::{DataFile, DataFileFormat, TableMetadata};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::CatalogClient;
use crate::error::{ClientError, Result};
use crate::path;
use tidewater_core::TableName;
use tidewater_table::{Added, partition_value};

/// What a producer appends.
#[derive(Debug, Clone)]
pub struct AppendFiles<'a> {
    /// The producer's name for itself; the same in every run that reads the same input.
    pub producer: &'a str,
    /// The part of its input that the files hold.
    pub range: Range<u64>,
    /// The files.
    pub files: &'a [Added],
    /// Entries for the snapshot's summary.
    pub summary: BTreeMap<String, String>,
}

/// A range that is in the table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Appended {
    /// The snapshot that holds its files, and others' perhaps.
    pub snapshot_id: i64,
    /// The snapshot's sequence number; 0 in format 1.
    pub sequence_number: i64,
    /// The metadata file that was written with it.
    pub metadata_location: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Body<'a> {
    producer_id: &'a str,
    range: RangeJson,
    data_files: Vec<Value>,
    summary: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct RangeJson {
    from: u64,
    to: u64,
}

impl CatalogClient {
    /// Appends files to a table, whose metadata the caller knows well enough to have written them. The same range may be sent again at
    /// any time, after [`ClientError::Unknown`] above all: it is appended once and answered alike.
    ///
    /// # Errors
    /// `AppendOverlapException` if the producer appended some of the range in another one, `BadDataFileException` if a file cannot join
    /// the table; or if no node took it.
    pub async fn append_files(
        &self,
        table: &TableName,
        metadata: &TableMetadata,
        append: &AppendFiles<'_>,
    ) -> Result<Appended> {
        let path = format!("{}/append-files", path::table(table));
        let encode = |source| ClientError::Encode {
            call: format!("POST {path}"),
            source,
        };
        let files: serde_json::Result<Vec<Value>> = append.files.iter().map(|file| described(file, metadata)).collect();
        let body = Body {
            producer_id: append.producer,
            range: RangeJson {
                from: append.range.start,
                to: append.range.end,
            },
            data_files: files.map_err(encode)?,
            summary: &append.summary,
        };
        self.mutate(Method::POST, path.clone(), Some(&body)).await?.json()
    }
}

/// The protocol's `DataFile`.
fn described(added: &Added, table: &TableMetadata) -> serde_json::Result<Value> {
    let file = &added.file;
    let format = match file.file_format() {
        DataFileFormat::Parquet => "parquet".to_owned(),
        other => other.to_string().to_lowercase(),
    };
    let mut value = json!({
        "content": "data",
        "file-path": file.file_path(),
        "file-format": format,
        "spec-id": added.spec_id,
        "partition": partition(added, table)?,
        "file-size-in-bytes": file.file_size_in_bytes(),
        "record-count": file.record_count(),
        "column-sizes": columns(file.column_sizes(), |count| json!(count)),
        "value-counts": columns(file.value_counts(), |count| json!(count)),
        "null-value-counts": columns(file.null_value_counts(), |count| json!(count)),
        "nan-value-counts": columns(file.nan_value_counts(), |count| json!(count)),
    });
    if let Some(members) = value.as_object_mut() {
        more(file, members);
    }
    Ok(value)
}

fn more(file: &DataFile, members: &mut Map<String, Value>) {
    for (name, bounds) in [
        ("lower-bounds", file.lower_bounds()),
        ("upper-bounds", file.upper_bounds()),
    ] {
        let mut written: HashMap<i32, String> = HashMap::new();
        for (column, bound) in bounds {
            // A bound that cannot be written is left out: it only helps to skip the file.
            if let Ok(bytes) = bound.to_bytes() {
                written.insert(*column, hex(&bytes));
            }
        }
        members.insert(name.into(), columns(&written, |bytes| json!(bytes)));
    }
    if let Some(offsets) = file.split_offsets() {
        members.insert("split-offsets".into(), json!(offsets));
    }
    if let Some(order) = file.sort_order_id() {
        members.insert("sort-order-id".into(), json!(order));
    }
}

fn partition(added: &Added, table: &TableMetadata) -> serde_json::Result<Vec<Value>> {
    use serde::ser::Error as _;
    let wrong = |reason: String| serde_json::Error::custom(reason);
    let spec = table
        .partition_spec_by_id(added.spec_id)
        .ok_or_else(|| wrong(format!("the table has no partition spec {}", added.spec_id)))?;
    let types = spec
        .partition_type(table.current_schema())
        .map_err(|error| wrong(error.to_string()))?;
    let values = types.fields().iter().zip(added.file.partition().fields());
    let written = values.map(|(field, value)| {
        partition_value::to_json(value.as_ref(), &field.field_type).map_err(|error| wrong(error.to_string()))
    });
    written.collect()
}

fn columns<T>(values: &HashMap<i32, T>, write: impl Fn(&T) -> Value) -> Value {
    let (keys, values): (Vec<i32>, Vec<Value>) = values.iter().map(|(id, value)| (*id, write(value))).unzip();
    json!({"keys": keys, "values": values})
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}
