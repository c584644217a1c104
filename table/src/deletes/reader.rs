//! A Parquet file in a store, read in parts with the store's deadlines.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::file_store::FileStore;

pub(crate) struct StoredParquet {
    store: FileStore,
    location: String,
    size_bytes: u64,
}

impl StoredParquet {
    pub(crate) fn new(store: &FileStore, location: &str, size_bytes: u64) -> Self {
        Self {
            store: store.clone(),
            location: location.to_owned(),
            size_bytes,
        }
    }
}

impl AsyncFileReader for StoredParquet {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        let read = self.store.get_range(&self.location, range);
        read.map(|read| read.map_err(|error| ParquetError::External(Box::new(error))))
            .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let size_bytes = self.size_bytes;
        async move {
            let read = ParquetMetaDataReader::new().load_and_finish(self, size_bytes).await;
            read.map(Arc::new)
        }
        .boxed()
    }
}
