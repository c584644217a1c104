//! Metrics of files by the names of columns, with bounds of their types.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use tidewater_table::iceberg::spec::{Datum, NestedField, Schema, Type};
use tidewater_table::inspect::ManifestEntry;
use tidewater_table::schema::to_arrow;

use super::columns::{long, longs, nested};
use super::table::Column;
use super::values;
use crate::error::{EngineError, Result};

/// The column `readable_metrics`; none for a table without plain columns.
pub(super) fn readable(schema: &Schema) -> Result<Option<Column<ManifestEntry>>> {
    let mut leaves: Vec<(&str, i32, Type)> = schema
        .field_id_to_fields()
        .iter()
        .filter(|(_, field)| field.field_type.is_primitive())
        .filter_map(|(id, field)| Some((schema.name_by_field_id(*id)?, *id, field.field_type.as_ref().clone())))
        .collect();
    leaves.sort_unstable_by(|one, other| one.0.cmp(other.0));
    if leaves.is_empty() {
        return Ok(None);
    }
    let columns = leaves.into_iter().map(|(name, id, of)| leaf(name, id, of));
    nested("readable_metrics", columns.collect::<Result<_>>()?).map(Some)
}

fn leaf(name: &str, id: i32, of: Type) -> Result<Column<ManifestEntry>> {
    let data_type = data_type(id, of)?;
    let count = |name: &str, of: fn(&ManifestEntry, i32) -> Option<u64>| {
        longs(name, true, move |entry: &ManifestEntry| of(entry, id).map(long))
    };
    let bound = |name: &str, of: fn(&ManifestEntry, i32) -> Option<&Datum>| {
        let data_type = data_type.clone();
        Column::new(name, true, move |rows: &[ManifestEntry]| {
            let values = rows.iter().map(|entry| {
                let value = of(entry, id).map(Datum::literal);
                values::scalar(value, &data_type)
            });
            values::array(values.collect::<Result<_>>()?, &data_type)
        })
    };
    nested(
        name,
        vec![
            count("column_size", |entry, id| entry.file().column_sizes().get(&id).copied())?,
            count("value_count", |entry, id| entry.file().value_counts().get(&id).copied())?,
            count("null_value_count", |entry, id| {
                entry.file().null_value_counts().get(&id).copied()
            })?,
            count("nan_value_count", |entry, id| {
                entry.file().nan_value_counts().get(&id).copied()
            })?,
            bound("lower_bound", |entry, id| entry.file().lower_bounds().get(&id))?,
            bound("upper_bound", |entry, id| entry.file().upper_bounds().get(&id))?,
        ],
    )
}

fn data_type(id: i32, of: Type) -> Result<DataType> {
    let field = Arc::new(NestedField::optional(id, "value", of));
    let schema = Schema::builder().with_fields([field]).build().map_err(|error| {
        EngineError::Table(tidewater_table::TableError::Metadata {
            operation: "read the type of a column".into(),
            source: Box::new(error),
        })
    })?;
    Ok(to_arrow(&schema)?.field(0).data_type().clone())
}
