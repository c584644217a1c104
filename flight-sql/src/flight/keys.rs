//! Schemas of the key metadata calls (FlightSql.proto: CommandGetPrimaryKeys, CommandGetImportedKeys and so on).

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

/// Columns of a primary key, in the order of Arrow's libraries (C++ `SqlSchema::GetPrimaryKeysSchema`, Go, Java): the comment of the
/// protocol has the last two the other way round.
pub fn primary_key_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("key_name", DataType::Utf8, true),
    ]))
}

/// The key of one table as rows; `columns` are the table's identifier fields in order.
pub fn primary_key_rows(
    catalog: &str,
    schema: &str,
    table: &str,
    columns: &[String],
) -> Result<RecordBatch, ArrowError> {
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; columns.len()])) };
    let sequence = (1..).take(columns.len());
    RecordBatch::try_new(
        primary_key_schema(),
        vec![
            same(catalog),
            same(schema),
            same(table),
            Arc::new(StringArray::from(columns.to_vec())),
            Arc::new(Int32Array::from_iter_values(sequence)),
            same("identifier"),
        ],
    )
}

/// Columns of foreign keys, in either direction. Iceberg has none: the answer is always empty.
pub fn foreign_key_schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}
