//! What a data file's partition tells of columns that rows are compared by, for files that lack them. It travels as one row of Arrow's
//! own format: JSON has no place for some of its values.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use iceberg::spec::{Schema, TableMetadata};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Result;
use crate::scan::{PartitionColumns, ScanFile};
use crate::schema::to_arrow;

/// One value for each column that the file may lack, by field id.
pub(super) fn of<'a>(
    file: &ScanFile,
    table: &TableMetadata,
    compared: impl Iterator<Item = &'a Schema>,
) -> Result<Vec<(i32, ArrayRef)>> {
    let mut told = BTreeMap::new();
    for columns in compared {
        let constants = PartitionColumns::new(table, &to_arrow(columns)?).of(file)?;
        told.extend(
            constants
                .into_iter()
                .map(|constant| (constant.field_id, constant.value)),
        );
    }
    Ok(told.into_iter().collect())
}

pub(super) fn serialize<S: Serializer>(
    told: &[(i32, ArrayRef)],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let bytes = written(told).map_err(S::Error::custom)?;
    bytes.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<(i32, ArrayRef)>, D::Error> {
    let bytes = Vec::<u8>::deserialize(deserializer)?;
    let row = read(&bytes).map_err(D::Error::custom)?;
    let schema = row.schema();
    let ids = schema.fields().iter().map(|field| field.name().parse::<i32>());
    let ids = ids.collect::<std::result::Result<Vec<i32>, _>>();
    let ids = ids.map_err(D::Error::custom)?;
    Ok(ids.into_iter().zip(row.columns().iter().cloned()).collect())
}

fn written(told: &[(i32, ArrayRef)]) -> std::result::Result<Vec<u8>, ArrowError> {
    let named = told.iter().map(|(id, value)| (id.to_string(), value.clone(), true));
    let row = RecordBatch::try_from_iter_with_nullable(named)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &row.schema())?;
    writer.write(&row)?;
    writer.into_inner()
}

fn read(bytes: &[u8]) -> std::result::Result<RecordBatch, ArrowError> {
    let mut rows = StreamReader::try_new(bytes, None)?;
    let none = || ArrowError::IpcError("values without a row".into());
    rows.next().ok_or_else(none)?
}
