//! Columns are matched by Parquet field id, never by name.
//!
//! A table's schema and a file's schema both carry `PARQUET:field_id` in the metadata of every field, nested ones included.
//! DataFusion's own adapter matches by name: a column renamed after a file was written would read as null, and a name
//! dropped and used again would read the wrong column.

mod adapter;
mod cast;
mod filled;
mod nan;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use datafusion::arrow::datatypes::{Field, Fields, Schema, SchemaRef};
use datafusion::parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use tidewater_table::iceberg::spec::TableMetadata;
use tidewater_table::schema::{Within, stands_for};

pub use adapter::FieldIdAdapterFactory;
pub(crate) use cast::FieldIdCast;

/// The field id of a column, if the schema it stands in has one.
pub fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}

/// Whether any of the fields has an id. Files of writers that know no ids have none anywhere.
pub(crate) fn has_ids(fields: &Fields) -> bool {
    fields.iter().any(|field| field_id(field).is_some())
}

/// The position of the column that `wanted` stands for: by id where `fields` have ids, else by the names that the table maps to it, or
/// by its own where the table maps none.
pub(crate) fn position(fields: &Fields, wanted: &Field) -> Option<usize> {
    match field_id(wanted) {
        Some(id) if has_ids(fields) => fields.iter().position(|field| field_id(field) == Some(id)),
        _ => fields.iter().position(|field| stands_for(wanted, field.name())),
    }
}

/// The same of a field within a column, of which `within` is known.
pub(crate) fn position_within(fields: &Fields, wanted: &Field, within: &Within) -> Option<usize> {
    match field_id(wanted) {
        Some(id) if has_ids(fields) => fields.iter().position(|field| field_id(field) == Some(id)),
        _ => fields.iter().position(|field| within.stands_for(wanted, field.name())),
    }
}

/// Top-level names that stood for another column at some time.
pub(crate) fn reused_names(table: &TableMetadata) -> HashSet<String> {
    let mut ids: HashMap<&str, i32> = HashMap::new();
    let mut reused = HashSet::new();
    for schema in table.schemas_iter() {
        for field in schema.as_struct().fields() {
            let first = *ids.entry(field.name.as_str()).or_insert(field.id);
            if first != field.id {
                reused.insert(field.name.clone());
            }
        }
    }
    reused
}

/// The schema as the Parquet reader is to see it. Before any adapter is asked the reader compares names: a binary column of a
/// file is read as text if the table has a text column of that name, and it panics on what is not UTF-8. So a name with a
/// past is hidden from it; the scan's projection gives it back.
pub(crate) fn hide_names(schema: &Schema, reused: &HashSet<String>) -> SchemaRef {
    let hide = |field: &Field| match field_id(field) {
        Some(id) if reused.contains(field.name()) => field.clone().with_name(format!("\0field-{id}")),
        _ => field.clone(),
    };
    let fields: Vec<Field> = schema.fields().iter().map(|field| hide(field)).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone()).into()
}
