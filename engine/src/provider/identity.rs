//! Which row it is: the file that holds it, and its position there. What changes rows needs both.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::parquet::arrow::RowNumber;
use tidewater_core::TableName;

use crate::error::{EngineError, Result};

/// The file's path, as the table's manifests have it.
pub const FILE: &str = "_file";

/// The row's position in its file, from 0; deletes and pruning change nothing of it.
pub const POSITION: &str = "_pos";

/// The same as the Parquet reader knows them: files may have columns of any name that can be written in SQL.
const HIDDEN_FILE: &str = "\0file";
pub(super) const HIDDEN_POSITION: &str = "\0pos";

/// These columns, and after them those that tell which row it is.
pub(super) fn with_identity(table: &TableName, columns: &Schema) -> Result<Schema> {
    for name in [FILE, POSITION] {
        if columns.fields().find(name).is_some() {
            return Err(EngineError::Unsupported {
                what: format!("naming the rows of {table}, which has a column {name} of its own,"),
            });
        }
    }
    let own = columns.fields().iter().cloned();
    let fields: Fields = own.chain([file(FILE), position(POSITION)]).collect();
    Ok(Schema::new_with_metadata(fields, columns.metadata().clone()))
}

/// What the Parquet reader gives: the columns that it reads, those that partitions tell, the path as one more value that goes with each
/// file, and the position, which the reader counts itself.
pub(super) fn reader_schema(columns: SchemaRef, mut told: Vec<FieldRef>) -> TableSchema {
    told.push(file(HIDDEN_FILE));
    TableSchema::builder(columns)
        .with_table_partition_cols(told)
        .with_virtual_columns(vec![position(HIDDEN_POSITION)])
        .build()
}

fn file(name: &str) -> Arc<Field> {
    Arc::new(Field::new(name, DataType::Utf8, false))
}

fn position(name: &str) -> Arc<Field> {
    Arc::new(Field::new(name, DataType::Int64, false).with_extension_type(RowNumber))
}

#[cfg(test)]
mod tests;
