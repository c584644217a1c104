//! SHOW CREATE TABLE: the statement that would make such a table.

use datafusion::arrow::array::RecordBatch;
use datafusion::common::ResolvedTableReference;
use tidewater_table::LoadedTable;
use tidewater_table::iceberg::spec::TableMetadata;

use super::types::{quoted, sort_fields, sql_type, transformed};
use super::{literal, text_batch};
use crate::error::Result;

/// One row with the statement.
pub(super) fn show(name: &ResolvedTableReference, table: &LoadedTable) -> Result<RecordBatch> {
    text_batch(vec![
        ("table_catalog", vec![Some(name.catalog.to_string())]),
        ("table_schema", vec![Some(name.schema.to_string())]),
        ("table_name", vec![Some(name.table.to_string())]),
        ("definition", vec![Some(statement(table))]),
    ])
}

/// The statement that makes a table with these columns, partitions and properties.
pub(super) fn statement(table: &LoadedTable) -> String {
    let metadata = &table.metadata;
    let schema = metadata.current_schema();
    let columns = schema.as_struct().fields().iter().map(|field| {
        let required = if field.required { " NOT NULL" } else { "" };
        let comment = field.doc.as_deref().map(|doc| format!(" COMMENT {}", literal(doc)));
        let (name, of) = (quoted(&field.name), sql_type(&field.field_type));
        format!("  {name} {of}{required}{}", comment.unwrap_or_default())
    });
    let columns: Vec<String> = columns.collect();
    let (namespace, name) = (table.name.namespace().to_string(), quoted(table.name.name()));
    let mut text = format!(
        "CREATE TABLE {}.{name} (\n{}\n)",
        quoted(&namespace),
        columns.join(",\n")
    );
    let partitions = partition_fields(metadata);
    if !partitions.is_empty() {
        text.push_str(&format!("\nPARTITIONED BY ({})", partitions.join(", ")));
    }
    text.push_str(&format!("\nLOCATION {}", literal(metadata.location())));
    let properties = properties(metadata).into_iter();
    let properties: Vec<String> = properties
        .map(|(key, value)| format!("  {} = {}", literal(&key), literal(&value)))
        .collect();
    text.push_str(&format!("\nTBLPROPERTIES (\n{}\n)", properties.join(",\n")));
    text
}

/// What a table is partitioned by.
pub(super) fn partition_fields(metadata: &TableMetadata) -> Vec<String> {
    let schema = metadata.current_schema();
    let fields = metadata.default_partition_spec().fields().iter();
    let fields = fields.map(|field| {
        let column = schema.name_by_field_id(field.source_id).unwrap_or("?");
        transformed(&field.transform, column)
    });
    fields.collect()
}

/// The properties of a table, with those that Spark adds to them.
pub(super) fn properties(metadata: &TableMetadata) -> Vec<(String, String)> {
    let own = metadata.properties().iter();
    let mut all: Vec<(String, String)> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
    all.push(("format-version".into(), (metadata.format_version() as u8).to_string()));
    let order = sort_fields(metadata.default_sort_order(), metadata.current_schema());
    if !order.is_empty() {
        all.push(("sort-order".into(), order.join(", ")));
    }
    all.sort();
    all.dedup_by(|one, other| one.0 == other.0);
    all
}
