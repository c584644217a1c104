//! Parsed manifests and manifest lists by path. Neither ever changes once written, so nothing is ever invalidated.

use std::fmt;
use std::sync::Arc;

use iceberg::spec::ManifestFile;
use moka::future::Cache;

use super::Entry;

/// Parsed entries take about this many times the bytes of their Avro file (maps of boxed bounds).
const MEMORY_PER_FILE_BYTE: usize = 4;

/// Lists get this part of the memory: they are small, but every scan and every commit reads one.
const LIST_SHARE: u64 = 8;

type Entries = Arc<[Arc<Entry>]>;
type Manifests = Arc<[ManifestFile]>;

pub(crate) struct ManifestCache {
    manifests: Cache<String, (Entries, u32)>,
    lists: Cache<String, (Manifests, u32)>,
}

impl fmt::Debug for ManifestCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestCache")
            .field("manifests", &self.manifests.entry_count())
            .field("lists", &self.lists.entry_count())
            .finish()
    }
}

impl ManifestCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let lists_max = bytes_max / LIST_SHARE;
        Self {
            manifests: bounded(bytes_max - lists_max),
            lists: bounded(lists_max),
        }
    }

    pub(super) async fn known(&self, path: &str) -> Option<Entries> {
        self.manifests.get(path).await.map(|(entries, _)| entries)
    }

    pub(super) async fn keep(&self, path: &str, entries: &Entries, file_bytes: usize) {
        self.manifests
            .insert(path.to_owned(), (entries.clone(), memory_bytes(file_bytes)))
            .await;
    }

    pub(super) async fn known_list(&self, path: &str) -> Option<Manifests> {
        self.lists.get(path).await.map(|(manifests, _)| manifests)
    }

    pub(super) async fn keep_list(&self, path: &str, manifests: &Manifests, file_bytes: usize) {
        self.lists
            .insert(path.to_owned(), (manifests.clone(), memory_bytes(file_bytes)))
            .await;
    }
}

fn bounded<T: Clone + Send + Sync + 'static>(bytes_max: u64) -> Cache<String, (T, u32)> {
    Cache::builder()
        .max_capacity(bytes_max)
        .weigher(|path: &String, (_, bytes): &(T, u32)| {
            bytes.saturating_add(u32::try_from(path.len()).unwrap_or(u32::MAX))
        })
        .build()
}

fn memory_bytes(file_bytes: usize) -> u32 {
    u32::try_from(file_bytes.saturating_mul(MEMORY_PER_FILE_BYTE)).unwrap_or(u32::MAX)
}
