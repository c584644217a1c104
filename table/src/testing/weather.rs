//! A store in memory that fails by a seed: refusals, lost answers, bodies that end early, and slowness.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tidewater_core::{Rng, SeededRng, SystemClock};

/// What a call meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// As a 503: nothing is done.
    Refused,
    /// Done, and the connection ends before the answer.
    AnswerLost,
    /// The body ends early, and with an error.
    Reset,
    /// The body ends early without one.
    Truncated,
    /// The answer takes its time.
    Slow,
}

/// The store.
#[derive(Debug)]
pub struct Weather {
    inner: InMemory,
    rng: SeededRng,
    stormy: AtomicBool,
    met: Mutex<BTreeMap<Fault, u64>>,
    calls: Mutex<u64>,
}

impl Weather {
    /// Calm at first.
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            rng: SeededRng::new(seed),
            stormy: AtomicBool::new(false),
            met: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    /// From now on calls fail, or no longer do.
    pub fn storm(&self, stormy: bool) {
        self.stormy.store(stormy, Ordering::SeqCst);
    }

    /// How often each fault was met.
    pub fn met(&self) -> BTreeMap<Fault, u64> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls while it was stormy.
    pub fn calls(&self) -> u64 {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call in twenty-five meets something: most of what a store does is tried again by its client, this is the rest.
    async fn next(&self, possible: &[Fault]) -> Option<Fault> {
        if !self.stormy.load(Ordering::SeqCst) {
            return None;
        }
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let at = self.rng.below(25 * possible.len() as u64) as usize;
        let fault = *possible.get(at)?;
        *self
            .met
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(fault)
            .or_default() += 1;
        if fault == Fault::Slow {
            let wait = Duration::from_millis(self.rng.below(20));
            SystemClock::shared().sleep(wait).await;
        }
        Some(fault)
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("weather")
    }
}

fn failed(what: &'static str) -> object_store::Error {
    object_store::Error::Generic {
        store: "weather",
        source: what.into(),
    }
}

#[async_trait]
impl ObjectStore for Weather {
    async fn put_opts(&self, to: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.next(&[Fault::Refused, Fault::AnswerLost, Fault::Slow]).await {
            Some(Fault::Refused) => Err(failed("503")),
            Some(Fault::AnswerLost) => {
                self.inner.put_opts(to, payload, options).await?;
                Err(failed("connection reset"))
            }
            _ => self.inner.put_opts(to, payload, options).await,
        }
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        let fault = self
            .next(&[Fault::Refused, Fault::Reset, Fault::Truncated, Fault::Slow])
            .await;
        if fault == Some(Fault::Refused) || (is_head && fault == Some(Fault::Reset)) {
            return Err(failed("503"));
        }
        let mut found = self.inner.get_opts(from, options).await?;
        let (Some(Fault::Reset | Fault::Truncated), false) = (fault, is_head) else {
            return Ok(found);
        };
        let (meta, range, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
        let mut bytes = found.bytes().await?;
        bytes.truncate(self.rng.below(bytes.len() as u64) as usize);
        let mut parts = vec![Ok(bytes)];
        if fault == Some(Fault::Reset) {
            parts.push(Err(failed("connection reset")));
        }
        found = GetResult {
            payload: GetResultPayload::Stream(stream::iter(parts).boxed()),
            meta,
            range,
            attributes,
        };
        Ok(found)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // A stream of its own cannot borrow the store: only refusals, chosen before.
        let refused = self.stormy.load(Ordering::SeqCst) && self.rng.below(10) == 0;
        match refused {
            true => paths.and_then(|_| async { Err(failed("503")) }).boxed(),
            false => self.inner.delete_stream(paths),
        }
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
