//! Blocks that are asked of the store: neighbours in one request, and each by one who asks, whoever else wants it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectMeta, ObjectStore};

use super::{DiskCache, State};
use crate::at_hand::{AtHand, Met};

/// Blocks of one request: more come sooner as several requests at once.
pub(super) const RUN_BLOCKS_MAX: u64 = 8;

/// What a request ends with, for all who wait for it.
type Answer = Result<Arc<Run>, Arc<Error>>;

/// A request that is under way. Whoever waits moves it on, and it ends when nobody does: no task owns it.
pub(super) type Coming = Shared<BoxFuture<'static, Answer>>;

/// An object of a store, and what it is called here.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    /// Bucket and path.
    pub(super) name: Arc<str>,
    /// Who asks, if it wants to know what was at hand.
    pub(super) at_hand: Option<Arc<AtHand>>,
}

impl Source {
    pub(super) fn tell(&self, what: impl FnOnce(&AtHand)) {
        if let Some(at_hand) = &self.at_hand {
            what(at_hand);
        }
    }
}

/// Where a block is that does not lie on the disk.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) fetch: u64,
    pub(super) at: At,
}

#[derive(Debug)]
pub(super) enum At {
    /// Asked for. Weak, so that nobody's request ends.
    Store(WeakShared<BoxFuture<'static, Answer>>),
    /// Waits for the disk.
    Memory(Arc<Run>),
}

/// Neighbouring blocks as the store gave them.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) fetch: u64,
    pub(super) meta: ObjectMeta,
    first: u64,
    bytes: Bytes,
    block_bytes: u64,
}

impl Run {
    /// Its blocks by number. The last one of an object is shorter.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (u64, Bytes)> + '_ {
        let step = usize::try_from(self.block_bytes).unwrap_or(usize::MAX);
        let starts = (0..self.bytes.len()).step_by(step);
        let cut = move |start: usize| {
            self.bytes
                .slice(start..start.saturating_add(step).min(self.bytes.len()))
        };
        (self.first..).zip(starts.map(cut))
    }

    /// How many blocks it has.
    pub(super) fn count(&self) -> u64 {
        (self.bytes.len() as u64).div_ceil(self.block_bytes)
    }
}

/// Whose turn it is to bring some blocks. When it ends, nobody waits for it any more.
pub(super) struct Duty {
    cache: DiskCache,
    pub(super) name: Arc<str>,
    numbers: Range<u64>,
    fetch: u64,
}

impl Drop for Duty {
    fn drop(&mut self) {
        let mut state = self.cache.state();
        for number in self.numbers.clone() {
            if state.is_pending(&self.name, number, self.fetch) {
                state.pending.remove(&(Arc::clone(&self.name), number));
            }
        }
    }
}

impl State {
    /// Whether a block is still the duty of this request: an object that was forgotten is nobody's.
    pub(super) fn is_pending(&self, name: &Arc<str>, number: u64, fetch: u64) -> bool {
        let pending = self.pending.get(&(Arc::clone(name), number));
        pending.is_some_and(|pending| pending.fetch == fetch)
    }
}

impl DiskCache {
    /// Makes a request for neighbouring blocks, which begins when somebody waits for it. Others find it in `state`.
    pub(super) fn fetch(&self, state: &mut State, source: &Source, numbers: Range<u64>) -> Coming {
        state.fetches += 1;
        let fetch = state.fetches;
        let duty = Duty {
            cache: self.clone(),
            name: Arc::clone(&source.name),
            numbers: numbers.clone(),
            fetch,
        };
        let request = self.clone().request(source.clone(), duty);
        let coming = request.boxed().shared();
        for number in numbers {
            if let Some(weak) = coming.downgrade() {
                let pending = Pending {
                    fetch,
                    at: At::Store(weak),
                };
                state.pending.insert((Arc::clone(&source.name), number), pending);
            }
        }
        coming
    }

    async fn request(self, source: Source, duty: Duty) -> Answer {
        let (fetch, numbers) = (duty.fetch, duty.numbers.clone());
        let block_bytes = self.inner.block_bytes;
        let asked = numbers.start.saturating_mul(block_bytes)..numbers.end.saturating_mul(block_bytes);
        let (meta, bytes) = match ask(&source, asked).await {
            Ok(found) => found,
            Err(error) => {
                if matches!(error, Error::NotFound { .. }) {
                    self.forget(&source.name);
                }
                return Err(Arc::new(error));
            }
        };
        let run = Arc::new(Run {
            fetch,
            meta,
            first: numbers.start,
            bytes,
            block_bytes,
        });
        self.inner.counters.misses.add(run.count());
        source.tell(|at_hand| at_hand.blocks(run.count(), Met::Read));
        self.inner.counters.miss_bytes.add(run.bytes.len() as u64);
        self.keep(&run, duty);
        Ok(run)
    }
}

/// A range of an object, up to its end at most; all of it or an error.
async fn ask(source: &Source, range: Range<u64>) -> object_store::Result<(ObjectMeta, Bytes)> {
    let options = GetOptions {
        range: Some(range.clone().into()),
        ..GetOptions::default()
    };
    let found = source.store.get_opts(&source.path, options).await?;
    let (meta, told) = (found.meta.clone(), found.range.clone());
    let bytes = found.bytes().await?;
    let expected = range.start..range.end.min(meta.size);
    if told == expected && told.end.checked_sub(told.start) == Some(bytes.len() as u64) {
        return Ok((meta, bytes));
    }
    Err(Error::Generic {
        store: "disk cache",
        source: format!(
            "{}: {} bytes came as {told:?} of {expected:?}",
            source.path,
            bytes.len()
        )
        .into(),
    })
}

/// An error once more, for the next who waited for the same: of the same kind, with the first as its source.
pub(super) fn again(error: &Arc<Error>) -> Error {
    let source = Box::new(Arc::clone(error));
    match &**error {
        Error::NotFound { path, .. } => Error::NotFound {
            path: path.clone(),
            source,
        },
        Error::PermissionDenied { path, .. } => Error::PermissionDenied {
            path: path.clone(),
            source,
        },
        Error::Unauthenticated { path, .. } => Error::Unauthenticated {
            path: path.clone(),
            source,
        },
        Error::Precondition { path, .. } => Error::Precondition {
            path: path.clone(),
            source,
        },
        Error::NotSupported { .. } => Error::NotSupported { source },
        _ => Error::Generic {
            store: "disk cache",
            source,
        },
    }
}
