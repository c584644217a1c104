//! The columns of bronze tables and of the dead letters.
//!
//! A bronze row is the user's event (`before`, `after`, `source`, `op`, `ts_ms`, `transaction`, and `message` where there are
//! any) and what we know about the record (`_…`). All fields are optional: a change log never enforces what its source did.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use crate::decode::column_type::{ColumnType, UTC};
use crate::record::Record;

/// `_flags`: a value lies outside of what tables hold and is null; `_raw` has the record unless told otherwise.
pub const FLAG_OUT_OF_RANGE: i32 = 1;
/// `_flags`: the record was an unwrapped row, so some of what an envelope tells is missing.
pub const FLAG_UNWRAPPED: i32 = 2;
/// `_flags`: the record had no value; only its key tells what it is about.
pub const FLAG_TOMBSTONE: i32 = 4;
/// `_flags`: a value of a record without schema did not fit its column and is in `<column>__<type>`. Where a schema tells the type, `_schema_id`
/// tells that it changed.
pub const FLAG_SPLIT: i32 = 8;

/// Name of the struct field that holds a key which is no object.
pub(crate) const PLAIN_KEY: &str = "key";

/// The columns of a bronze table, in order. A table has those that its records had something for. None may have the name of one of
/// Iceberg's own metadata columns (`_file`, `_pos`, `_deleted`, `_spec_id`, `_partition`, `_row_id`, `_last_updated_sequence_number`):
/// Spark refuses to read such a table.
pub const COLUMNS: &[&str] = &[
    "before",
    "after",
    "source",
    "op",
    "ts_ms",
    "transaction",
    "message",
    "_key",
    "_topic",
    "_kafka_partition",
    "_offset",
    "_kafka_ts",
    "_ingested_at",
    "_event_ts",
    "_lsn",
    "_schema_id",
    "_unavailable",
    "_flags",
    "_raw",
];

/// Columns of `source`, in the order of a PostgreSQL connector, so that the usual record meets its columns in order.
pub(crate) fn source_columns() -> &'static [(&'static str, ColumnType)] {
    const COLUMNS: &[(&str, ColumnType)] = &[
        ("version", ColumnType::String),
        ("connector", ColumnType::String),
        ("name", ColumnType::String),
        ("ts_ms", ColumnType::Long),
        ("snapshot", ColumnType::String),
        ("db", ColumnType::String),
        ("sequence", ColumnType::String),
        ("ts_us", ColumnType::Long),
        ("ts_ns", ColumnType::Long),
        ("schema", ColumnType::String),
        ("table", ColumnType::String),
        ("txId", ColumnType::Long),
        ("lsn", ColumnType::Long),
        ("xmin", ColumnType::Long),
        ("origin", ColumnType::String),
        ("origin_lsn", ColumnType::Long),
    ];
    COLUMNS
}

/// Columns of `transaction`.
pub(crate) fn transaction_columns() -> &'static [(&'static str, ColumnType)] {
    const COLUMNS: &[(&str, ColumnType)] = &[
        ("id", ColumnType::String),
        ("total_order", ColumnType::Long),
        ("data_collection_order", ColumnType::Long),
    ];
    COLUMNS
}

/// Name of the column that tables are partitioned by, by day.
pub const PARTITION_COLUMN: &str = "_kafka_ts";

/// A record that became no row.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetter {
    pub(crate) record: Record,
    pub(crate) code: &'static str,
    pub(crate) reason: String,
    pub(crate) failed_at_ms: i64,
}

/// The columns of the table of dead letters.
pub fn dead_letter_schema() -> SchemaRef {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()));
    Arc::new(Schema::new(vec![
        Field::new("topic", DataType::Utf8, true),
        Field::new("partition", DataType::Int32, true),
        Field::new("offset", DataType::Int64, true),
        Field::new("kafka_ts", instant(), true),
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("headers", DataType::Utf8, true),
        Field::new("code", DataType::Utf8, true),
        Field::new("reason", DataType::Utf8, true),
        Field::new("failed_at", instant(), true),
    ]))
}

/// Dead letters as rows.
pub(crate) fn dead_letter_batch(letters: &[DeadLetter]) -> Result<RecordBatch, ArrowError> {
    fn column<'a, T>(letters: &'a [DeadLetter], of: impl Fn(&'a DeadLetter) -> T) -> impl Iterator<Item = T> {
        letters.iter().map(of)
    }
    let instant =
        |values: Vec<Option<i64>>| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(values).with_timezone(UTC)) };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(column(letters, |l| {
            &*l.record.partition.topic
        }))),
        Arc::new(Int32Array::from_iter_values(column(letters, |l| {
            l.record.partition.number
        }))),
        Arc::new(Int64Array::from_iter_values(column(letters, |l| l.record.offset))),
        instant(column(letters, |l| l.record.timestamp_ms.map(|ms| ms.saturating_mul(1_000))).collect()),
        Arc::new(column(letters, |l| l.record.key.as_deref()).collect::<BinaryArray>()),
        Arc::new(column(letters, |l| l.record.value.as_deref()).collect::<BinaryArray>()),
        Arc::new(column(letters, |l| l.record.headers.as_deref()).collect::<StringArray>()),
        Arc::new(StringArray::from_iter_values(column(letters, |l| l.code))),
        Arc::new(StringArray::from_iter_values(column(letters, |l| &l.reason))),
        instant(column(letters, |l| Some(l.failed_at_ms.saturating_mul(1_000))).collect()),
    ];
    RecordBatch::try_new(dead_letter_schema(), columns)
}
