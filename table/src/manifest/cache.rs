//! Parsed manifests by path. A manifest never changes once written, so nothing is ever invalidated.

use std::fmt;
use std::sync::Arc;

use moka::future::Cache;

use super::Entry;

/// Parsed entries take about this many times the bytes of their Avro file (maps of boxed bounds).
const MEMORY_PER_FILE_BYTE: usize = 4;

type Entries = Arc<[Arc<Entry>]>;

pub(crate) struct ManifestCache {
    parsed: Cache<String, (Entries, u32)>,
}

impl fmt::Debug for ManifestCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestCache").field("entries", &self.parsed.entry_count()).finish()
    }
}

impl ManifestCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let parsed = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|path: &String, (_, bytes): &(Entries, u32)| {
                bytes.saturating_add(u32::try_from(path.len()).unwrap_or(u32::MAX))
            })
            .build();
        Self { parsed }
    }

    pub(super) async fn known(&self, path: &str) -> Option<Entries> {
        self.parsed.get(path).await.map(|(entries, _)| entries)
    }

    pub(super) async fn keep(&self, path: &str, entries: &Entries, file_bytes: usize) {
        let bytes = u32::try_from(file_bytes.saturating_mul(MEMORY_PER_FILE_BYTE)).unwrap_or(u32::MAX);
        self.parsed.insert(path.to_owned(), (entries.clone(), bytes)).await;
    }
}
