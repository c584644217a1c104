//! Data files are compared with their checksums while they are read, so that a bit that changed on a disk or on its way is an error
//! and not a wrong row.

mod ahead;
mod footer;
mod misordered;
mod opened;
mod reader;
#[cfg(test)]
mod tests;
mod texts;
mod uncounted;

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use object_store::ObjectStore;
use tidewater_table::AtHand;

use self::ahead::Ahead;
use self::opened::Opened;
use self::reader::CheckedReader;

/// Where bytes come as soon as they are asked for, so that nothing is gained by asking before.
const NEAR: [&str; 2] = ["file:", "memory:"];

/// Makes readers that compare what they read, and keep footers in memory.
#[derive(Debug)]
pub(crate) struct CheckedReads {
    inner: DefaultParquetFileReaderFactory,
    store: Arc<dyn ObjectStore>,
    /// What is read ahead is charged to this; none where nothing is.
    ahead: Option<Arc<dyn MemoryPool>>,
    footers: Arc<FileMetadataCache>,
    /// The columns that are read of the files.
    columns: SchemaRef,
    /// Who wants to know which footers were at hand.
    at_hand: Option<Arc<AtHand>>,
}

impl CheckedReads {
    /// For the files of one object store, of which `columns` are read.
    ///
    /// # Errors
    /// No such store.
    pub(crate) fn new(runtime: &RuntimeEnv, store: &ObjectStoreUrl, columns: &SchemaRef) -> Result<Self> {
        let near = NEAR.iter().any(|scheme| store.as_str().starts_with(scheme));
        let ahead = (!near).then(|| Arc::clone(&runtime.memory_pool));
        let store = runtime.object_store(store)?;
        Ok(Self {
            ahead,
            inner: DefaultParquetFileReaderFactory::new(Arc::clone(&store)),
            store,
            footers: runtime.cache_manager.get_file_metadata_cache(),
            columns: Arc::clone(columns),
            at_hand: None,
        })
    }

    /// The same for a statement that is watched: `store` is the same one, which tells of its blocks.
    pub(crate) fn telling(self, store: Arc<dyn ObjectStore>, at_hand: Arc<AtHand>) -> Self {
        Self {
            inner: DefaultParquetFileReaderFactory::new(Arc::clone(&store)),
            store,
            at_hand: Some(at_hand),
            ..self
        }
    }
}

impl ParquetFileReaderFactory for CheckedReads {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let meta = file.object_meta.clone();
        let ahead = self.ahead.as_ref().map(|pool| {
            let bytes = MetricBuilder::new(metrics).with_new_label("filename", meta.location.to_string());
            let bytes = bytes.counter("bytes_scanned", partition_index);
            Ahead::new(Arc::clone(&self.store), pool, bytes)
        });
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition_index);
        let opened = Opened {
            kept: counter("footers_kept"),
            read: counter("footers_read"),
            at_hand: self.at_hand.clone(),
        };
        let inner = self
            .inner
            .create_reader(partition_index, file, metadata_size_hint, metrics)?;
        let (store, footers) = (Arc::clone(&self.store), Arc::clone(&self.footers));
        Ok(Box::new(
            CheckedReader::new(inner, store, meta, footers)
                .with_ahead(ahead)
                .of_columns(Arc::clone(&self.columns))
                .telling(opened),
        ))
    }
}
