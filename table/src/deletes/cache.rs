//! Parsed delete files and masks by path. Neither ever changes once written, so nothing is ever invalidated.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use moka::future::Cache;

use super::mask::RowMask;
use super::positions::Positions;

/// Values of equality delete files, in the row format.
pub(super) type Keys = HashSet<Box<[u8]>>;

/// A kept entry costs this beside its content.
const ENTRY_BYTES: usize = 64;

#[derive(Clone)]
enum Kept {
    Mask(Arc<RowMask>),
    Positions(Arc<Positions>),
    Keys(Arc<Keys>),
}

pub(crate) struct DeleteCache {
    kept: Cache<String, (Kept, u32)>,
}

impl fmt::Debug for DeleteCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeleteCache")
            .field("entries", &self.kept.entry_count())
            .finish()
    }
}

impl DeleteCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let kept = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|key: &String, (_, bytes): &(Kept, u32)| {
                bytes.saturating_add(u32::try_from(key.len()).unwrap_or(u32::MAX))
            })
            .build();
        Self { kept }
    }

    pub(super) async fn mask(&self, key: &str) -> Option<RowMask> {
        match self.kept.get(key).await {
            Some((Kept::Mask(mask), _)) => Some(mask.as_ref().clone()),
            _ => None,
        }
    }

    pub(super) async fn keep_mask(&self, key: String, mask: &RowMask) {
        self.keep(key, Kept::Mask(Arc::new(mask.clone())), mask.size()).await;
    }

    pub(super) async fn positions(&self, path: &str) -> Option<Arc<Positions>> {
        match self.kept.get(path).await {
            Some((Kept::Positions(positions), _)) => Some(positions),
            _ => None,
        }
    }

    pub(super) async fn keep_positions(&self, path: &str, positions: &Arc<Positions>) {
        let of_file = |(path, positions): (&String, &roaring::RoaringTreemap)| {
            path.len() + positions.serialized_size() + ENTRY_BYTES
        };
        let bytes = positions.iter().map(of_file).sum();
        self.keep(path.to_owned(), Kept::Positions(positions.clone()), bytes)
            .await;
    }

    pub(super) async fn keys(&self, key: &str) -> Option<Arc<Keys>> {
        match self.kept.get(key).await {
            Some((Kept::Keys(keys), _)) => Some(keys),
            _ => None,
        }
    }

    pub(super) async fn keep_keys(&self, key: String, keys: &Arc<Keys>) {
        let bytes = keys.iter().map(|key| key.len() + ENTRY_BYTES).sum();
        self.keep(key, Kept::Keys(keys.clone()), bytes).await;
    }

    async fn keep(&self, key: String, kept: Kept, bytes: usize) {
        let bytes = u32::try_from(bytes.saturating_add(ENTRY_BYTES)).unwrap_or(u32::MAX);
        self.kept.insert(key, (kept, bytes)).await;
    }
}
