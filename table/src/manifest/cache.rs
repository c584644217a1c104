//! Parsed manifests and manifest lists by path. Neither ever changes once written, so nothing is ever invalidated.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iceberg::spec::{FieldSummary, ManifestFile};
use moka::future::Cache;

use super::Entry;
use super::shape::Shapes;

/// Lists get this part of the memory: they are small, but every scan and every commit reads one.
const LIST_SHARE: u64 = 8;

/// What the cache itself needs for one that it holds, and the allocator for one piece of memory.
const HELD_BYTES: usize = 256;
const ALLOCATION_BYTES: usize = 32;

/// How many are known to stay in a folder, some 40 MB of them.
const AT_HOME_MAX: usize = 1 << 20;

type Entries = Arc<[Arc<Entry>]>;
type Manifests = Arc<[ManifestFile]>;

pub(crate) struct ManifestCache {
    manifests: Cache<String, (Entries, u32)>,
    lists: Cache<String, (Manifests, u32)>,
    shapes: Shapes,
    at_home: AtHome,
}

impl fmt::Debug for ManifestCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestCache")
            .field("manifests", &self.manifests.entry_count())
            .field("lists", &self.lists.entry_count())
            .finish_non_exhaustive()
    }
}

impl ManifestCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let lists_max = bytes_max / LIST_SHARE;
        Self {
            manifests: bounded(bytes_max - lists_max),
            lists: bounded(lists_max),
            shapes: Shapes::default(),
            at_home: AtHome::default(),
        }
    }

    pub(crate) fn at_home(&self) -> &AtHome {
        &self.at_home
    }

    /// What headers of manifests say; bounded by their number.
    pub(super) fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    pub(super) async fn known(&self, path: &str) -> Option<Entries> {
        self.manifests.get(path).await.map(|(entries, _)| entries)
    }

    pub(super) async fn keep(&self, path: &str, entries: &Entries) {
        // Besides its own bytes, three pieces: the entry, what was read of it, and its partition.
        let each = entries.iter().map(|entry| entry.memory_bytes() + 3 * ALLOCATION_BYTES);
        let held = (entries.clone(), memory_bytes(path, each.sum()));
        self.manifests.insert(path.to_owned(), held).await;
    }

    pub(super) async fn known_list(&self, path: &str) -> Option<Manifests> {
        self.lists.get(path).await.map(|(manifests, _)| manifests)
    }

    pub(super) async fn keep_list(&self, path: &str, manifests: &Manifests) {
        let held = (
            manifests.clone(),
            memory_bytes(path, manifests.iter().map(described_bytes).sum()),
        );
        self.lists.insert(path.to_owned(), held).await;
    }
}

/// Manifests and lists of which all that they name, and what that names, lies in a folder.
#[derive(Debug, Default)]
pub(crate) struct AtHome {
    known: Mutex<HashSet<u128>>,
}

impl AtHome {
    pub(crate) fn knows(&self, path: &str, folder: &str) -> bool {
        self.lock().contains(&print(path, folder))
    }

    pub(crate) fn keep(&self, path: &str, folder: &str) {
        let mut known = self.lock();
        if known.len() >= AT_HOME_MAX {
            known.clear();
        }
        known.insert(print(path, folder));
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u128>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn print(path: &str, folder: &str) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(path.len() as u64).to_le_bytes());
    hasher.update(path.as_bytes()).update(folder.as_bytes());
    let mut print = [0; 16];
    hasher.finalize_xof().fill(&mut print);
    u128::from_le_bytes(print)
}

fn bounded<T: Clone + Send + Sync + 'static>(bytes_max: u64) -> Cache<String, (T, u32)> {
    Cache::builder()
        .max_capacity(bytes_max)
        .weigher(|_: &String, (_, bytes): &(T, u32)| *bytes)
        .build()
}

fn memory_bytes(path: &str, bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_add(path.len()).saturating_add(HELD_BYTES)).unwrap_or(u32::MAX)
}

fn described_bytes(manifest: &ManifestFile) -> usize {
    let summary = |summary: &FieldSummary| {
        let bounds = [&summary.lower_bound, &summary.upper_bound].into_iter().flatten();
        size_of::<FieldSummary>() + bounds.map(|bound| bound.len() + ALLOCATION_BYTES).sum::<usize>()
    };
    let summaries: usize = manifest.partitions.iter().flatten().map(summary).sum();
    size_of::<ManifestFile>() + manifest.manifest_path.len() + 2 * ALLOCATION_BYTES + summaries
}
