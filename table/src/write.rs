//! Rows to data files: split by partition, encoded as Parquet, described with every metric Iceberg has.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use iceberg::spec::TableMetadata;

use crate::change::Added;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;

/// How data files are written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// A file is closed once it is about this large.
    pub target_file_size_bytes: u64,
    /// Most rows of a row group.
    pub row_group_rows_max: usize,
    /// Memory for files that are not closed yet: beyond it the largest is closed early.
    pub buffered_bytes_max: u64,
    /// zstd level.
    pub compression_level: i32,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            target_file_size_bytes: 128 << 20,
            row_group_rows_max: 1 << 20,
            buffered_bytes_max: 256 << 20,
            compression_level: 1,
        }
    }
}

/// Writes batches of one table with its current schema and default partition spec.
#[derive(Debug)]
pub struct DataFileWriter {
    schema: SchemaRef,
}

impl DataFileWriter {
    /// For this state of the table.
    pub fn new(_store: FileStore, _table: &TableMetadata, _options: WriteOptions) -> Result<Self> {
        Err(TableError::Unsupported { what: "DataFileWriter".into() })
    }

    /// The table's columns as Arrow, with field ids. Batches are matched to it by name and cast; missing optional columns are null.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes rows in. Files that are full are written out.
    pub async fn write(&mut self, _batch: RecordBatch) -> Result<()> {
        Err(TableError::Unsupported { what: "DataFileWriter".into() })
    }

    /// Writes what is left and describes all files. They are durable, and part of no snapshot yet.
    pub async fn close(self) -> Result<Vec<Added>> {
        Err(TableError::Unsupported { what: "DataFileWriter".into() })
    }

    /// Removes the files written so far.
    pub async fn abort(self) -> Result<()> {
        Err(TableError::Unsupported { what: "DataFileWriter".into() })
    }
}

/// Removes data files that will not be committed. They must be in no snapshot.
pub async fn discard(store: &FileStore, files: &[Added]) -> Result<()> {
    for added in files {
        store.delete(added.file.file_path()).await?;
    }
    Ok(())
}
