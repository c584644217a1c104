//! SHOW CREATE TABLE: the statement that would make such a table or view.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Field;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::{DataFusionError, ResolvedTableReference};
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, TableMetadata};
use tidewater_table::schema::{to_arrow, write_default};
use tidewater_table::{LoadedTable, usual_name};

use super::types::{quoted, sort_fields, sql_type, transformed};
use super::{literal, text_batch};
use crate::error::Result;

/// What Spark calls the order among the properties.
const SORT_ORDER: &str = "sort-order";

/// One row with the statement.
pub(super) fn show(name: &ResolvedTableReference, statement: String) -> Result<RecordBatch> {
    text_batch(vec![
        ("table_catalog", vec![Some(name.catalog.to_string())]),
        ("table_schema", vec![Some(name.schema.to_string())]),
        ("table_name", vec![Some(name.table.to_string())]),
        ("definition", vec![Some(statement)]),
    ])
}

/// The statement that makes a view of this query.
pub(super) fn of_view(name: &ResolvedTableReference, query: &str) -> String {
    format!(
        "CREATE VIEW {}.{} AS\n{query}",
        quoted(&name.schema),
        quoted(&name.table)
    )
}

/// The statement that makes a table with these columns, key, partitions, order and properties.
pub(super) fn statement(table: &LoadedTable) -> Result<String> {
    let metadata = &table.metadata;
    let schema = metadata.current_schema();
    let arrow = to_arrow(schema)?;
    let mut columns = Vec::new();
    for (field, arrow) in schema.as_struct().fields().iter().zip(arrow.fields()) {
        let required = if field.required { " NOT NULL" } else { "" };
        let default = default_of(field, arrow)?.map(|value| format!(" DEFAULT {value}"));
        let comment = field.doc.as_deref().map(|doc| format!(" COMMENT {}", literal(doc)));
        let (name, of) = (quoted(&field.name), sql_type(&field.field_type));
        let rest = [default, comment].into_iter().flatten().collect::<String>();
        columns.push(format!("  {name} {of}{required}{rest}"));
    }
    let key = schema.identifier_field_ids();
    let key: Vec<String> = key.filter_map(|id| schema.name_by_field_id(id)).map(quoted).collect();
    if !key.is_empty() {
        columns.push(format!("  PRIMARY KEY ({})", key.join(", ")));
    }
    let (namespace, name) = (table.name.namespace().to_string(), quoted(table.name.name()));
    let mut text = format!(
        "CREATE TABLE {}.{name} (\n{}\n)",
        quoted(&namespace),
        columns.join(",\n")
    );
    let partitions = named_partition_fields(metadata);
    if !partitions.is_empty() {
        text.push_str(&format!("\nPARTITIONED BY ({})", partitions.join(", ")));
    }
    let order = sort_fields(metadata.default_sort_order(), schema);
    if !order.is_empty() {
        text.push_str(&format!("\nWRITE ORDERED BY {}", order.join(", ")));
    }
    text.push_str(&format!("\nLOCATION {}", literal(metadata.location())));
    let properties = properties(metadata).into_iter();
    let properties: Vec<String> = properties
        .filter(|(key, _)| key != SORT_ORDER)
        .map(|(key, value)| format!("  {} = {}", literal(&key), literal(&value)))
        .collect();
    text.push_str(&format!("\nTBLPROPERTIES (\n{}\n)", properties.join(",\n")));
    Ok(text)
}

/// What rows have in a column that say nothing of it, as a literal; none of values that no literal says.
pub(super) fn default_of(field: &NestedField, arrow: &Field) -> Result<Option<String>> {
    let Some(value) = write_default(arrow)? else {
        return Ok(None);
    };
    let text = array_value_to_string(&value, 0).map_err(DataFusionError::from)?;
    Ok(match field.field_type.as_primitive_type() {
        None | Some(PrimitiveType::Fixed(_) | PrimitiveType::Binary) => None,
        Some(
            PrimitiveType::Boolean
            | PrimitiveType::Int
            | PrimitiveType::Long
            | PrimitiveType::Float
            | PrimitiveType::Double
            | PrimitiveType::Decimal { .. },
        ) => Some(text),
        Some(_) => Some(literal(&text)),
    })
}

/// What a table is partitioned by, with the names of fields that have others than they would get.
fn named_partition_fields(metadata: &TableMetadata) -> Vec<String> {
    let schema = metadata.current_schema();
    let fields = metadata.default_partition_spec().fields().iter();
    let fields = fields.zip(partition_fields(metadata)).map(|(field, made)| {
        let column = schema.name_by_field_id(field.source_id).unwrap_or("?");
        match field.name == usual_name(column, field.transform) {
            true => made,
            false => format!("{made} AS {}", quoted(&field.name)),
        }
    });
    fields.collect()
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
        all.push((SORT_ORDER.into(), order.join(", ")));
    }
    all.sort();
    all.dedup_by(|one, other| one.0 == other.0);
    all
}
