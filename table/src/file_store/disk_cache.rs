//! Parts of files of remote stores, kept on a local disk: bounded, and readable by this process only.
//!
//! An object is kept in blocks of one size. Data and delete files never change under their name, so that a block is right for as long
//! as it is there; all other files, and reads of whole files, go to the store. The disk is a help and never a condition: whatever it
//! does, the store is asked instead, and nobody gets an error or waits for long.
//!
//! `object` is what stands before a store, `read` finds blocks, `fetch` asks for those that are missing, `keep` writes them, `index`
//! knows what there is and what goes, `folder` and `seal` are the disk. Why so: ADR 034.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use object_store::ObjectStore;
use tokio::sync::Semaphore;

mod fetch;
mod figures;
mod folder;
mod index;
mod keep;
mod object;
mod read;
mod seal;

use self::fetch::Pending;
use self::figures::Counters;
pub use self::figures::DiskCacheFigures;
use self::folder::Folder;
use self::index::Index;
use self::object::CachedStore;
pub use self::object::ReadAnew;
use crate::at_hand::AtHand;
use tidewater_core::{SharedClock, SharedRng};

/// Bytes of a block. A smaller one costs more requests, a larger one reads more than was asked for: a column of a row group is
/// commonly some hundred kilobytes, and what S3 takes to begin an answer is as long as a megabyte takes to come.
const BLOCK_BYTES: u64 = 1 << 20;

/// Blocks that wait for the disk at most, which is 64 MiB of memory. Those that come meanwhile are not kept.
const WRITES_MAX: usize = 64;

/// Longest time that a read of a block may take: a hundred times what a slow disk needs, and little for who waits for a query.
const DISK_DEADLINE: Duration = Duration::from_secs(5);

/// How long nothing is asked of a disk that failed.
const OFF_FOR: Duration = Duration::from_secs(60);

/// Where parts of remote files are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskCacheOptions {
    /// Made if it is not there. Processes may share it: each has a folder of its own in it, with a bound of its own.
    pub directory: PathBuf,
    /// Most bytes that this process takes there.
    pub bytes_max: u64,
}

/// A cache for all stores of a process. Clones are the same.
#[derive(Clone)]
pub(super) struct DiskCache {
    inner: Arc<Inner>,
}

struct Inner {
    options: DiskCacheOptions,
    block_bytes: u64,
    state: Mutex<State>,
    /// Held while the folder is made, by threads that may wait for the disk.
    opening: Mutex<()>,
    writes: Arc<Semaphore>,
    counters: Counters,
    clock: SharedClock,
    rng: SharedRng,
}

#[derive(Debug)]
struct State {
    index: Index,
    /// Blocks that are on their way, by the name of their object and their number.
    pending: HashMap<(Arc<str>, u64), Pending>,
    fetches: u64,
    folder: Option<Arc<Folder>>,
    off_until: Option<Duration>,
}

impl fmt::Debug for DiskCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskCache")
            .field("options", &self.inner.options)
            .field("figures", &self.figures())
            .finish_non_exhaustive()
    }
}

impl DiskCache {
    /// Touches no disk yet: that is done when the first block is kept.
    pub(super) fn new(options: DiskCacheOptions, clock: SharedClock, rng: SharedRng) -> Self {
        Self::with_blocks(BLOCK_BYTES, options, clock, rng)
    }

    fn with_blocks(block_bytes: u64, options: DiskCacheOptions, clock: SharedClock, rng: SharedRng) -> Self {
        let state = State {
            index: Index::new(options.bytes_max),
            pending: HashMap::new(),
            fetches: 0,
            folder: None,
            off_until: None,
        };
        Self {
            inner: Arc::new(Inner {
                options,
                block_bytes,
                state: Mutex::new(state),
                opening: Mutex::new(()),
                writes: Arc::new(Semaphore::new(WRITES_MAX)),
                counters: Counters::default(),
                clock,
                rng,
            }),
        }
    }

    /// A store that is asked for what is not kept. `bucket` tells its objects from those of other stores.
    pub(super) fn over(&self, bucket: &str, store: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        Arc::new(CachedStore::new(self.clone(), bucket, store, None))
    }

    /// The same for one reader, who is told which blocks were at hand.
    pub(super) fn telling(
        &self,
        bucket: &str,
        store: Arc<dyn ObjectStore>,
        at_hand: Arc<AtHand>,
    ) -> Arc<dyn ObjectStore> {
        Arc::new(CachedStore::new(self.clone(), bucket, store, Some(at_hand)))
    }

    /// What was counted, and what is held now.
    pub(super) fn figures(&self) -> DiskCacheFigures {
        let state = self.state();
        DiskCacheFigures {
            held_bytes: state.index.taken_bytes(),
            held_blocks: state.index.blocks() as u64,
            is_off: state.is_off(self.inner.clock.monotonic()),
            ..self.inner.counters.figures()
        }
    }

    /// Lets go of what is kept of an object that is deleted or written.
    fn forget(&self, name: &str) {
        let mut state = self.state();
        state.pending.retain(|(pending, _), _| &**pending != name);
        let tickets = state.index.remove_object(name);
        let Some(folder) = state.folder.clone().filter(|_| !tickets.is_empty()) else {
            return;
        };
        drop(state);
        let cache = self.clone();
        let remove = move || {
            for ticket in tickets {
                if let Err(error) = folder.remove(ticket) {
                    return cache.switch_off(&folder, &error);
                }
            }
        };
        drop(tokio::task::spawn_blocking(remove));
    }

    /// Lets go of a folder whose disk failed, and of the disk for a while. Nothing happens if that was done before.
    fn switch_off(&self, folder: &Arc<Folder>, error: &io::Error) {
        let is_current = |state: &State| {
            state
                .folder
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, folder))
        };
        self.switch_off_if(is_current, error);
    }

    fn switch_off_if(&self, applies: impl FnOnce(&State) -> bool, error: &io::Error) {
        let mut state = self.state();
        if !applies(&state) {
            return;
        }
        state.off_until = Some(self.inner.clock.monotonic().saturating_add(OFF_FOR));
        state.index.clear();
        let folder = state.folder.take();
        drop(state);
        // Its last handle removes it, which takes a while.
        drop(folder);
        self.inner.counters.errors.add(1);
        let directory = self.inner.options.directory.display();
        tracing::warn!(%directory, %error, off_for = ?OFF_FOR, "the disk of the cache failed, all is read from the store");
    }

    /// Nothing that is computed under this lock waits for anything.
    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_off(&self, now: Duration) -> bool {
        self.off_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests;
