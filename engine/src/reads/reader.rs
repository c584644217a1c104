//! One data file that is read in parts, each compared with its checksum.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result};
use datafusion::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{GetOptions, ObjectMeta, ObjectStore};
use tidewater_table::digest::{ChunkChecksums, Tail, check_whole};
use tidewater_table::{Met, ReadAnew, TableError};

use super::ahead::Ahead;
use super::footer::{Footer, Parsed, parse};
use super::opened::Opened;
use super::texts::annotated;

/// What is read first of a file that does not tell how long its footer is: a few columns' footer and indexes, and small files whole.
const FOOTER_BYTES: u64 = 64 << 10;

/// Requests that a footer may take: its length, itself, and its indexes.
const FOOTER_READS_MAX: usize = 4;

/// Bytes that are wrong are read once more, as they may have changed on their way only.
#[derive(Debug, Clone, Copy)]
enum Attempt {
    First,
    Anew,
}

/// Reads of whole column chunks are compared each time. Of a chunk that was not compared yet a part is not read alone: the whole is
/// read, and remembered beside the footer to be right.
pub(super) struct CheckedReader {
    inner: Box<dyn AsyncFileReader + Send>,
    store: Arc<dyn ObjectStore>,
    file: ObjectMeta,
    footers: Arc<FileMetadataCache>,
    footer: Option<Footer>,
    ahead: Option<Ahead>,
    columns: Option<SchemaRef>,
    opened: Opened,
}

impl CheckedReader {
    /// `inner` reads and counts; the store behind it is asked for what came wrong.
    pub(super) fn new(
        inner: Box<dyn AsyncFileReader + Send>,
        store: Arc<dyn ObjectStore>,
        file: ObjectMeta,
        footers: Arc<FileMetadataCache>,
    ) -> Self {
        Self {
            inner,
            store,
            file,
            footers,
            footer: None,
            ahead: None,
            columns: None,
            opened: Opened::default(),
        }
    }

    /// The same, which reads ahead.
    pub(super) fn with_ahead(mut self, ahead: Option<Ahead>) -> Self {
        self.ahead = ahead;
        self
    }

    /// The same, which says of these columns that they are texts where the file does not.
    pub(super) fn of_columns(mut self, columns: SchemaRef) -> Self {
        self.columns = Some(columns);
        self
    }

    /// The same, which tells whether the footer was at hand.
    pub(super) fn telling(mut self, opened: Opened) -> Self {
        self.opened = opened;
        self
    }

    fn kept(&self) -> Option<Footer> {
        let kept = self.footers.get(&self.file.location)?;
        let footer = kept.file_metadata.as_any().downcast_ref::<Footer>()?;
        kept.is_valid_for(&self.file).then(|| footer.clone())
    }

    async fn footer(&mut self, indexes: PageIndexPolicy) -> Result<Footer> {
        if let Some(footer) = self.kept()
            && (indexes == PageIndexPolicy::Skip || footer.has_page_indexes())
        {
            self.opened.tell(&self.file.location, Met::Kept);
            return Ok(footer);
        }
        self.opened.tell(&self.file.location, Met::Read);
        let footer = match self.read_footer(indexes, Attempt::First).await {
            Ok(footer) => footer,
            Err(error) => {
                tracing::warn!(file = %self.file.location, %error, "a footer is read once more");
                self.read_footer(indexes, Attempt::Anew).await?
            }
        };
        let entry = CachedFileMetadataEntry::new(self.file.clone(), Arc::new(footer.clone()));
        self.footers.put(&self.file.location, entry);
        Ok(footer)
    }

    async fn read_footer(&mut self, indexes: PageIndexPolicy, attempt: Attempt) -> Result<Footer> {
        let location = self.file.location.as_ref().to_owned();
        let size = self.file.size;
        let tail = Tail::told(&location);
        // The indexes of a file that tells its tail are at hand with its footer; of others they are another request.
        let indexes = if tail.is_some() {
            PageIndexPolicy::Optional
        } else {
            indexes
        };
        let mut start = size.saturating_sub(tail.map_or(FOOTER_BYTES, |tail| tail.bytes));
        for _ in 0..FOOTER_READS_MAX {
            let bytes = match attempt {
                Attempt::First => self.inner.get_bytes(start..size).await?,
                Attempt::Anew => self.anew(start..size).await?,
            };
            match tail {
                Some(tail) => tail.check(&location, &bytes).map_err(external)?,
                None if start == 0 => check_whole(&location, &bytes).map_err(external)?,
                None => {}
            }
            match parse(&location, start..size, bytes, indexes)? {
                Parsed::Footer(footer) => return Ok(footer),
                Parsed::Longer(from) => start = from,
            }
        }
        Err(ParquetError::General(format!("the footer of {location} has no end")))
    }

    async fn compared(&mut self, ranges: &[Range<u64>], checksums: &ChunkChecksums) -> Result<Vec<Bytes>> {
        let mut needed: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
        let mut places = Vec::with_capacity(ranges.len());
        for range in ranges {
            let chunk = checksums.holding(range).filter(|chunk| !chunk.was_compared());
            let read = chunk.map_or_else(|| range.clone(), |chunk| chunk.range());
            if needed.last() != Some(&read) {
                needed.push(read);
            }
            places.push(needed.len() - 1);
        }
        let mut read = self.read(&needed).await?;
        for (range, bytes) in needed.iter().zip(&mut read) {
            self.compare(range, bytes, checksums).await?;
        }
        let parts = ranges.iter().zip(places).map(|(range, place)| {
            let whole = needed.get(place).zip(read.get(place));
            whole.and_then(|(whole, bytes)| part(bytes, whole, range))
        });
        parts.collect::<Option<Vec<Bytes>>>().ok_or_else(|| self.too_short())
    }

    fn too_short(&self) -> ParquetError {
        ParquetError::General(format!("{} is shorter than its footer tells", self.file.location))
    }

    async fn read(&mut self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let Some(ahead) = &mut self.ahead else {
            return self.inner.get_byte_ranges(ranges.to_vec()).await;
        };
        let read = match ahead.take(ranges).await {
            Some(read) => read,
            None => self.inner.get_byte_ranges(ranges.to_vec()).await?,
        };
        if let Some(footer) = &self.footer {
            ahead.follow(ranges, &footer.metadata, &self.file.location);
        }
        Ok(read)
    }

    /// Compares bytes that are a whole chunk; parts and indexes pass.
    async fn compare(&mut self, range: &Range<u64>, bytes: &mut Bytes, checksums: &ChunkChecksums) -> Result<()> {
        let Some(chunk) = checksums.holding(range).filter(|chunk| chunk.range() == *range) else {
            return Ok(());
        };
        if chunk.holds(bytes) {
            return Ok(());
        }
        let column = self.footer.as_ref().map(|footer| chunk.column(&footer.metadata));
        let column = column.unwrap_or_default();
        tracing::warn!(file = %self.file.location, column, "bytes are not those that were written, and are read once more");
        *bytes = self.anew(range.clone()).await?;
        if chunk.holds(bytes) {
            return Ok(());
        }
        Err(external(TableError::BytesChanged {
            what: format!("column {column} of {}", self.file.location),
        }))
    }

    /// Bytes from the store itself, as those that came before were wrong.
    fn anew(&self, range: Range<u64>) -> impl Future<Output = Result<Bytes>> + Send + use<> {
        let (store, location) = (Arc::clone(&self.store), self.file.location.clone());
        let mut options = GetOptions {
            range: Some(range.into()),
            ..GetOptions::default()
        };
        options.extensions.insert(ReadAnew);
        let read = async move { store.get_opts(&location, options).await?.bytes().await };
        read.map(|read| read.map_err(|error: object_store::Error| ParquetError::External(Box::new(error))))
    }
}

/// These bytes of a longer read, which is let go of unless they are the whole of it.
fn part(bytes: &Bytes, read: &Range<u64>, range: &Range<u64>) -> Option<Bytes> {
    if read == range {
        return Some(bytes.clone());
    }
    let start = usize::try_from(range.start.checked_sub(read.start)?).ok()?;
    let end = usize::try_from(range.end.checked_sub(read.start)?).ok()?;
    bytes.get(start..end).map(Bytes::copy_from_slice)
}

fn external(error: TableError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for CheckedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            let mut read = self.get_byte_ranges(vec![range]).await?;
            let bytes = read.pop();
            bytes.ok_or_else(|| ParquetError::General("a read without an answer".into()))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move {
            // Between its filters and its rows the reader of a file is replaced by another, which nobody asks for the footer.
            let footer = match &self.footer {
                Some(footer) => footer.clone(),
                None => self.footer(PageIndexPolicy::Skip).await?,
            };
            let checksums = footer.checksums.clone();
            self.footer = Some(footer);
            let read = match checksums {
                Some(checksums) => self.compared(&ranges, &checksums).await?,
                None => self.read(&ranges).await?,
            };
            // What decodes a chunk relies on its length. A file of another engine, and a part of a chunk, are compared with nothing else.
            let is_whole =
                |(range, bytes): (&Range<u64>, &Bytes)| range.end.checked_sub(range.start) == Some(bytes.len() as u64);
            if read.len() != ranges.len() || !ranges.iter().zip(&read).all(is_whole) {
                return Err(self.too_short());
            }
            Ok(read)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let indexes = options.map_or(PageIndexPolicy::Optional, ArrowReaderOptions::column_index_policy);
        async move {
            let footer = self.footer(indexes).await?;
            let metadata = match &self.columns {
                Some(columns) => annotated(&footer.metadata, columns)?,
                None => Arc::clone(&footer.metadata),
            };
            self.footer = Some(footer);
            Ok(metadata)
        }
        .boxed()
    }
}
