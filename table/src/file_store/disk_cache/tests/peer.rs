//! A store that counts what it is asked, and waits or fails when it is told to.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Peer {
    inner: InMemory,
    calls: AtomicU64,
    asked: Mutex<Vec<(String, Range<u64>)>>,
    is_shut: watch::Sender<bool>,
    fails: AtomicBool,
}

impl Peer {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            calls: AtomicU64::new(0),
            asked: Mutex::default(),
            is_shut: watch::Sender::new(false),
            fails: AtomicBool::new(false),
        })
    }

    /// Reads since the beginning, of every kind.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Bounded ranges that were asked for since the last look.
    pub(super) fn asked(&self) -> Vec<(String, Range<u64>)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// Lets reads wait, or lets them go on.
    pub(super) fn shut(&self, is_shut: bool) {
        self.is_shut.send_replace(is_shut);
    }

    /// Lets reads fail.
    pub(super) fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("peer")
    }
}

#[async_trait]
impl ObjectStore for Peer {
    async fn put_opts(&self, to: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(to, payload, options).await
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(GetRange::Bounded(range)) = &options.range {
            self.asked.lock().unwrap().push((from.to_string(), range.clone()));
        }
        self.is_shut.subscribe().wait_for(|is_shut| !is_shut).await.unwrap();
        if self.fails.load(Ordering::SeqCst) {
            let source = "503".into();
            return Err(Error::Generic { store: "peer", source });
        }
        self.inner.get_opts(from, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
