//! `"t$position_deletes"`: the rows that position delete files and deletion vectors say are gone.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::new_null_array;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::catalog::TableProvider;
use tidewater_table::iceberg::spec::FormatVersion;
use tidewater_table::inspect::ManifestEntry;

use super::columns::{ints, long, longs, texts};
use super::files::Files;
use super::partition::PartitionType;
use super::table::{Column, MetadataTable, Source};
use crate::error::{EngineError, Result};

/// Rows that are held in memory at once, some 200 bytes each.
const ROWS_MAX: usize = 2_000_000;

/// A row that is gone.
#[derive(Debug, Clone)]
struct Deleted {
    file: Arc<str>,
    position: u64,
    by: ManifestEntry,
}

/// The rows that these files delete.
#[derive(Debug)]
struct Positions(Files);

#[async_trait]
impl Source<Deleted> for Positions {
    async fn rows(&self, limit: Option<usize>) -> Result<Vec<Deleted>> {
        let Self(files) = self;
        let mut found = Vec::new();
        for by in files.rows(None).await? {
            let of_files = by.deleted_positions(&files.parts.store, &files.table.metadata).await?;
            for (file, mask) in of_files {
                let file: Arc<str> = file.into();
                found.extend(mask.gone().take(ROWS_MAX + 1).map(|position| Deleted {
                    file: file.clone(),
                    position,
                    by: by.clone(),
                }));
                if limit.is_some_and(|limit| found.len() >= limit) {
                    return Ok(found);
                }
                if found.len() > ROWS_MAX {
                    return Err(EngineError::TooManyRows {
                        what: format!("position_deletes of {}", files.table.name),
                        max: ROWS_MAX,
                    });
                }
            }
        }
        Ok(found)
    }
}

/// One row for each row that is gone. Rows that are deleted by value are in none.
pub(super) fn position_deletes(files: Files) -> Result<Arc<dyn TableProvider>> {
    let metadata = files.table.metadata.clone();
    let mut columns = vec![
        texts("file_path", false, |row: &Deleted| Some(row.file.to_string()))?,
        longs("pos", false, |row: &Deleted| Some(long(row.position)))?,
        deleted_row(&files)?,
    ];
    let partition = PartitionType::of(&metadata)?;
    // As in Spark: a table without partitions has no such column.
    if !partition.is_empty() {
        columns.push(Column::new("partition", false, move |rows: &[Deleted]| {
            partition.array(rows.iter().map(|row| (row.by.spec_id(), row.by.file().partition())))
        })?);
    }
    columns.extend([
        ints("spec_id", false, |row: &Deleted| Some(row.by.spec_id()))?,
        texts("delete_file_path", false, |row: &Deleted| {
            Some(row.by.file().file_path().to_owned())
        })?,
    ]);
    if metadata.format_version() == FormatVersion::V3 {
        columns.extend([
            longs("content_offset", true, |row: &Deleted| row.by.file().content_offset())?,
            longs("content_size_in_bytes", true, |row: &Deleted| {
                row.by.file().content_size_in_bytes()
            })?,
        ]);
    }
    Ok(MetadataTable::provider(columns, Positions(files)))
}

/// The row itself, which delete files may hold, nearly none does, and the format no longer wants: null.
fn deleted_row(files: &Files) -> Result<Column<Deleted>> {
    let schema = tidewater_table::schema::to_arrow(files.table.metadata.current_schema())?;
    let fields: Fields = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), field.data_type().clone(), true))
        .collect();
    let of = DataType::Struct(fields);
    Column::new("row", true, move |rows: &[Deleted]| Ok(new_null_array(&of, rows.len())))
}
