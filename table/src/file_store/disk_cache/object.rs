//! What stands before a store: reads of parts of data files come from blocks, all else goes on to it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::DiskCache;
use super::fetch::Source;
use crate::at_hand::AtHand;

/// Ends of names of files that never change: data files, and files of deletes. Metadata is parsed once and kept in memory.
const KEPT: [&str; 2] = [".parquet", ".puffin"];

/// Put into the extensions of a read, it asks the store itself, and what was kept of the object is let go of: whoever found that bytes
/// are not those that were written does not want the same ones again. Stores without a cache take no notice.
#[derive(Debug, Clone, Copy)]
pub struct ReadAnew;

/// A store with a cache before it.
#[derive(Debug)]
pub(super) struct CachedStore {
    cache: DiskCache,
    bucket: Arc<str>,
    store: Arc<dyn ObjectStore>,
    at_hand: Option<Arc<AtHand>>,
}

impl CachedStore {
    pub(super) fn new(
        cache: DiskCache,
        bucket: &str,
        store: Arc<dyn ObjectStore>,
        at_hand: Option<Arc<AtHand>>,
    ) -> Self {
        Self {
            cache,
            bucket: bucket.into(),
            store,
            at_hand,
        }
    }

    fn source(&self, path: &Path) -> Source {
        Source {
            store: Arc::clone(&self.store),
            path: path.clone(),
            name: name(&self.bucket, path).into(),
            at_hand: self.at_hand.clone(),
        }
    }

    fn forget(&self, path: &Path) {
        if is_kept(path) {
            self.cache.forget(&name(&self.bucket, path));
        }
    }

    /// None if the store is to be asked.
    async fn kept(&self, path: &Path, options: &GetOptions) -> Result<Option<GetResult>> {
        if options.extensions.get::<ReadAnew>().is_some() {
            self.forget(path);
            return Ok(None);
        }
        let Some(range) = plain_range(options).filter(|_| is_kept(path)) else {
            return Ok(None);
        };
        let Some(held) = self
            .cache
            .read(&self.source(path), std::slice::from_ref(&range))
            .await?
        else {
            return Ok(None);
        };
        let pieces = held.pieces(&range, self.cache.block_bytes());
        let (Some(pieces), Some(meta)) = (pieces, held.meta()) else {
            return Ok(None);
        };
        Ok(Some(GetResult {
            payload: GetResultPayload::Stream(stream::iter(pieces.into_iter().map(Ok)).boxed()),
            range: range.start..range.end.min(meta.size),
            meta: meta.clone(),
            attributes: Attributes::default(),
        }))
    }
}

#[async_trait]
impl ObjectStore for CachedStore {
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        match self.kept(path, &options).await? {
            Some(found) => Ok(found),
            None => self.store.get_opts(path, options).await,
        }
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if is_kept(path)
            && !ranges.is_empty()
            && let Some(held) = self.cache.read(&self.source(path), ranges).await?
        {
            let block_bytes = self.cache.block_bytes();
            let pieces = ranges.iter().map(|range| held.pieces(range, block_bytes).map(joined));
            if let Some(all) = pieces.collect() {
                return Ok(all);
            }
        }
        self.store.get_ranges(path, ranges).await
    }

    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.forget(path);
        self.store.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.forget(path);
        self.store.put_multipart_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (cache, bucket) = (self.cache.clone(), Arc::clone(&self.bucket));
        let deleted = self.store.delete_stream(paths);
        let forget = move |path: &Path| {
            if is_kept(path) {
                cache.forget(&name(&bucket, path));
            }
        };
        deleted.inspect_ok(forget).boxed()
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
        self.forget(to);
        self.store.copy_opts(from, to, options).await
    }
}

impl fmt::Display for CachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskCache({})", self.store)
    }
}

fn is_kept(path: &Path) -> bool {
    KEPT.iter().any(|end| path.as_ref().ends_with(end))
}

fn name(bucket: &str, path: &Path) -> String {
    format!("{bucket}/{path}")
}

/// The range of a request that asks for nothing else.
fn plain_range(options: &GetOptions) -> Option<Range<u64>> {
    let is_plain = !options.head
        && options.if_match.is_none()
        && options.if_none_match.is_none()
        && options.if_modified_since.is_none()
        && options.if_unmodified_since.is_none()
        && options.version.is_none();
    match &options.range {
        Some(GetRange::Bounded(range)) if is_plain => Some(range.clone()),
        _ => None,
    }
}

fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() == 1
        && let Some(only) = pieces.pop()
    {
        return only;
    }
    let length = pieces.iter().map(Bytes::len).fold(0, usize::saturating_add);
    let mut whole = BytesMut::with_capacity(length);
    for piece in pieces {
        whole.extend_from_slice(&piece);
    }
    whole.freeze()
}
