//! What stands before a store: a part of a file that ends early is no answer.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result, coalesce_ranges,
};

/// A store whose parts of files are as long as it says that they are. A body that ends early without an error, which what stands between
/// may make of one that did not, is gone on with once, and is then an error. Whole files are compared by who reads them.
#[derive(Debug)]
pub(super) struct WholeParts {
    store: Arc<dyn ObjectStore>,
}

impl WholeParts {
    pub(super) fn over(store: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        Arc::new(Self { store })
    }

    /// One request, and another for what is missing of its answer. The answer is in memory then, as nobody reads a part otherwise.
    async fn part(&self, path: &Path, asked: &GetRange, options: GetOptions) -> Result<GetResult> {
        let found = self.store.get_opts(path, options.clone()).await?;
        let (meta, range, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
        if !asked.as_range(meta.size).is_ok_and(|expected| expected == range) {
            return Err(failed(format!(
                "{path}: {range:?} came of a file of {} bytes",
                meta.size
            )));
        }
        let first = found.bytes().await?;
        let missing = range.start.saturating_add(first.len() as u64)..range.end;
        let mut pieces: Vec<Result<Bytes>> = vec![Ok(first)];
        if missing.start != missing.end {
            pieces.push(Ok(self.rest(path, &meta, missing, options).await?));
        }
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::iter(pieces).boxed()),
            meta,
            range,
            attributes,
        })
    }

    /// What a body that ended early left out. Of the same object only: without a tag nobody knows.
    async fn rest(&self, path: &Path, of: &ObjectMeta, missing: Range<u64>, options: GetOptions) -> Result<Bytes> {
        if missing.start > missing.end || of.e_tag.is_none() {
            return Err(failed(format!(
                "{path}: the answer ended at byte {} and not {}",
                missing.start, missing.end
            )));
        }
        tracing::warn!(%path, ?missing, "a part of a file ended early, the rest is asked for");
        let options = GetOptions {
            range: Some(missing.clone().into()),
            ..options
        };
        let found = self.store.get_opts(path, options).await?;
        let is_same = found.meta.e_tag == of.e_tag && found.range == missing;
        let bytes = found.bytes().await?;
        if is_same && bytes.len() as u64 == missing.end - missing.start {
            return Ok(bytes);
        }
        Err(failed(format!(
            "{path}: answers ended early twice, {} bytes came of {missing:?}",
            bytes.len()
        )))
    }

    /// The bytes of some of `ranges` that are neighbours. An error where one of them begins behind the file's end, as if it were asked
    /// for alone: whoever cuts them out relies on each having a beginning.
    async fn neighbours(&self, path: &Path, ranges: &[Range<u64>], asked: Range<u64>) -> Result<Bytes> {
        let options = GetOptions {
            range: Some(asked.clone().into()),
            ..GetOptions::default()
        };
        let bytes = self.get_opts(path, options).await?.bytes().await?;
        let end = asked.start.saturating_add(bytes.len() as u64);
        let of_these = asked.start..=asked.end;
        let mut beyond = ranges.iter().filter(|range| range.start >= end && range.end > end);
        match beyond.find(|range| of_these.contains(&range.start)) {
            Some(beyond) => Err(failed(format!(
                "{path}: {beyond:?} was asked for, and the file ends at {end}"
            ))),
            None => Ok(bytes),
        }
    }
}

#[async_trait]
impl ObjectStore for WholeParts {
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        match options.range.clone().filter(|_| !options.head) {
            Some(asked) => self.part(path, &asked, options).await,
            None => self.store.get_opts(path, options).await,
        }
    }

    // What a store does by itself cuts ranges out of whatever came, and panics where that is too short.
    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let neighbours = |asked| self.neighbours(path, ranges, asked);
        coalesce_ranges(ranges, neighbours, OBJECT_STORE_COALESCE_DEFAULT).await
    }

    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.store.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

impl fmt::Display for WholeParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.store, f)
    }
}

fn failed(reason: String) -> Error {
    Error::Generic {
        store: "file",
        source: reason.into(),
    }
}

#[cfg(test)]
mod tests;
