//! Rows to data files: split by partition, encoded as Parquet, described with every metric Iceberg has.

mod conform;
mod encode;
mod metrics;
mod metrics_mode;
mod options;
mod partition;
mod run;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::TableMetadata;

pub use self::conform::conformed;
use self::encode::{Encoder, Finished};
use self::metrics_mode::MetricsModes;
pub use self::options::{ParquetCodec, WriteOptions, check_write_properties};
use self::partition::Splitter;
pub use self::run::{WriteRun, sweep_run};
use crate::change::Added;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::schema::to_arrow;

/// Files put, or removed, at the same time: enough to hide a store's latency, few enough not to hold many files' bytes twice.
const UPLOADS_MAX: usize = 4;

/// Writes batches of one table with its current schema and default partition spec.
#[derive(Debug)]
pub struct DataFileWriter {
    store: FileStore,
    schema: SchemaRef,
    /// Away while it works, and gone for good after a failure.
    encoder: Option<Box<Encoder>>,
    held_bytes: u64,
    added: Vec<Added>,
}

impl DataFileWriter {
    /// For this state of the table.
    pub fn new(store: FileStore, table: &TableMetadata, options: WriteOptions) -> Result<Self> {
        let schema = Arc::new(to_arrow(table.current_schema())?);
        let spec = table.default_partition_spec();
        let directory = directory(table);
        let encoder = Encoder {
            schema: table.current_schema().clone(),
            arrow: schema.clone(),
            splitter: Splitter::new(spec, table.current_schema(), &schema)?,
            modes: MetricsModes::of(table),
            spec_id: spec.spec_id(),
            sort_order_id: i32::try_from(table.default_sort_order_id()).unwrap_or(0),
            directory,
            run: None,
            options,
            clock: store.clock().clone(),
            rng: store.rng().clone(),
            open: BTreeMap::new(),
        };
        Ok(Self {
            store,
            schema,
            encoder: Some(Box::new(encoder)),
            held_bytes: 0,
            added: Vec::new(),
        })
    }

    /// As part of this run, which the names of its files tell.
    #[must_use]
    pub fn of_run(mut self, run: WriteRun) -> Self {
        if let Some(encoder) = &mut self.encoder {
            encoder.run = Some(run);
        }
        self
    }

    /// The table's columns as Arrow, with field ids. Batches are matched to it by name and cast; missing optional columns are null.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes rows in. Files that are full are written out. After a failure the writer takes no more rows.
    pub async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let finished = self.compute(move |encoder| encoder.write(&batch)).await?;
        self.put(finished).await
    }

    /// About the memory that files hold which are not closed yet.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Closes files early, the largest first, until the others hold no more than this. After a failure the writer takes no more rows.
    pub async fn close_beyond(&mut self, bytes_max: u64) -> Result<()> {
        let finished = self.compute(move |encoder| encoder.close_beyond(bytes_max)).await?;
        self.put(finished).await
    }

    /// Writes what is left and describes all files. They are durable, and part of no snapshot yet.
    pub async fn close(mut self) -> Result<Vec<Added>> {
        let finished = self.compute(Encoder::close).await?;
        self.put(finished).await?;
        Ok(self.added)
    }

    /// Removes the files written so far. What it held in memory is free at once.
    pub async fn abort(mut self) -> Result<()> {
        self.encoder = None;
        discard(&self.store, &self.added).await
    }

    /// Encoding takes milliseconds and more: not on a thread that others wait for.
    async fn compute(
        &mut self,
        work: impl FnOnce(&mut Encoder) -> Result<Vec<Finished>> + Send + 'static,
    ) -> Result<Vec<Finished>> {
        let Some(mut encoder) = self.encoder.take() else {
            return Err(TableError::Unsupported {
                what: "writing on after a failure".into(),
            });
        };
        let task = tokio::task::spawn_blocking(move || {
            let finished = work(&mut encoder);
            let held_bytes = encoder.held_bytes();
            (encoder, finished, held_bytes)
        });
        let (encoder, finished, held_bytes) = task.await.map_err(TableError::encode("encode rows"))?;
        let finished = finished?;
        self.encoder = Some(encoder);
        self.held_bytes = held_bytes;
        Ok(finished)
    }

    async fn put(&mut self, finished: Vec<Finished>) -> Result<()> {
        let store = &self.store;
        // Described first: what a failed upload may have left behind is known to `abort`.
        self.added.extend(finished.iter().map(|file| file.added.clone()));
        let uploads = finished
            .into_iter()
            .map(|file| async move { store.put_new(&file.location, file.bytes).await });
        stream::iter(uploads)
            .buffer_unordered(UPLOADS_MAX)
            .try_collect::<()>()
            .await
    }
}

/// Where a table's data files and delete files go.
pub(crate) fn directory(table: &TableMetadata) -> String {
    match table.properties().get("write.data.path") {
        Some(path) => path.trim_end_matches('/').to_owned(),
        None => format!("{}/data", table.location().trim_end_matches('/')),
    }
}

/// Removes data files that will not be committed. They must be in no snapshot.
pub async fn discard(store: &FileStore, files: &[Added]) -> Result<()> {
    let removals: Vec<_> = files.iter().map(|added| store.delete(added.file.file_path())).collect();
    stream::iter(removals)
        .buffer_unordered(UPLOADS_MAX)
        .try_collect::<()>()
        .await
}

#[cfg(test)]
mod tests;
