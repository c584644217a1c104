//! Metadata files in memory, bounded by bytes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use iceberg::spec::{TableMetadata, ViewMetadata};
use moka::future::Cache;

use super::{json, lossless, raw, read_compared};
use crate::command::Ident;
use crate::error::{CatalogError, Result};
use crate::store::MetadataStore;
use tidewater_table::disguise;

/// Largest metadata file that is read or written: beyond it every load costs seconds; snapshots have to be expired.
pub(crate) const METADATA_BYTES_MAX: usize = 128 << 20;

/// A parsed file takes about this many times its bytes.
const PARSED_FACTOR: usize = 4;

/// How long a file is taken to be in the store after it was seen there. Files never change; this finds those that somebody deleted.
const SEEN_MAX: Duration = Duration::from_secs(10);

/// How many files are remembered to be there.
const SEEN_FILES_MAX: u64 = 100_000;

/// One metadata file.
#[derive(Debug)]
pub(crate) struct CachedMetadata {
    location: String,
    raw: Bytes,
    parsed: OnceLock<std::result::Result<Arc<TableMetadata>, String>>,
    refs_only: OnceLock<Bytes>,
    lost: OnceLock<Option<String>>,
}

impl CachedMetadata {
    /// A file of which nothing but its bytes is known.
    pub(crate) fn read(location: &str, raw: Bytes) -> Self {
        Self {
            location: location.to_owned(),
            raw,
            parsed: OnceLock::new(),
            refs_only: OnceLock::new(),
            lost: OnceLock::new(),
        }
    }

    /// A file that this catalog has just made from `metadata`.
    pub(crate) fn written(location: &str, raw: Bytes, metadata: Arc<TableMetadata>) -> Self {
        let cached = Self::read(location, raw);
        let _first = cached.parsed.set(Ok(metadata));
        let _first = cached.lost.set(None);
        cached
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    pub(crate) fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The file without the snapshots that no branch or tag names.
    pub(crate) fn refs_only(&self) -> Result<Bytes> {
        if let Some(bytes) = self.refs_only.get() {
            return Ok(bytes.clone());
        }
        let bytes = raw::only_referenced(&self.raw).map_err(|error| self.damaged(error.to_string()))?;
        Ok(self.refs_only.get_or_init(|| bytes).clone())
    }

    /// The parsed file, for reading only. Columns of a kind that the `iceberg` crate does not know are in disguise.
    pub(crate) fn parsed(&self, table: &Ident) -> Result<Arc<TableMetadata>> {
        let parse = || json::parse(&self.raw).map(Arc::new).map_err(|error| error.to_string());
        match self.parsed.get_or_init(parse) {
            Ok(metadata) => Ok(Arc::clone(metadata)),
            Err(error) => Err(CatalogError::Unsupported {
                what: format!("changing table {table}, whose metadata holds what this catalog cannot parse ({error}),"),
            }),
        }
    }

    /// The parsed file, if writing it out again loses nothing.
    pub(crate) fn parsed_to_change(&self, table: &Ident) -> Result<Arc<TableMetadata>> {
        let metadata = self.parsed(table)?;
        let find = || match json::to_json(&metadata) {
            Ok(after) => lossless::first_lost(&self.raw, &after),
            Err(error) => Some(error.to_string()),
        };
        match self.lost.get_or_init(find) {
            None => Ok(metadata),
            Some(field) => Err(CatalogError::Unsupported {
                what: format!("changing table {table}: its metadata holds {field:?}, which would be lost, and that"),
            }),
        }
    }

    /// The parsed file of a view, if writing it out again loses nothing. Not kept: views are small and change rarely.
    pub(crate) fn parsed_view_to_change(&self, view: &Ident) -> Result<ViewMetadata> {
        let unclear = |error: serde_json::Error| CatalogError::Unsupported {
            what: format!("changing view {view}, whose metadata holds what this catalog cannot parse ({error}),"),
        };
        let metadata: ViewMetadata = json::parse(&self.raw).map_err(unclear)?;
        let mut after = serde_json::to_value(&metadata).map_err(unclear)?;
        disguise::reveal(&mut after);
        match lossless::first_lost(&self.raw, &after) {
            None => Ok(metadata),
            Some(field) => Err(CatalogError::Unsupported {
                what: format!("changing view {view}: its metadata holds {field:?}, which would be lost, and that"),
            }),
        }
    }

    fn damaged(&self, reason: String) -> CatalogError {
        CatalogError::Damaged {
            location: self.location.clone(),
            reason,
        }
    }

    fn weight(&self) -> u32 {
        u32::try_from(self.raw.len().saturating_mul(PARSED_FACTOR)).unwrap_or(u32::MAX)
    }
}

/// The newest metadata files.
#[derive(Debug)]
pub(crate) struct MetadataCache {
    files: Cache<String, Arc<CachedMetadata>>,
    seen: Cache<String, ()>,
    store: Arc<dyn MetadataStore>,
}

impl MetadataCache {
    pub(crate) fn new(store: Arc<dyn MetadataStore>, bytes_max: u64) -> Self {
        let weigh = |_: &String, file: &Arc<CachedMetadata>| file.weight();
        Self {
            seen: Cache::builder()
                .max_capacity(SEEN_FILES_MAX)
                .time_to_live(SEEN_MAX)
                .build(),
            files: Cache::builder().max_capacity(bytes_max).weigher(weigh).build(),
            store,
        }
    }

    /// The file at `location`. Many who ask at once cause one read.
    pub(crate) async fn load(&self, location: &str) -> Result<Arc<CachedMetadata>> {
        if let Some(file) = self.files.get(location).await {
            return Ok(file);
        }
        let read = async {
            let Some(raw) = read_compared(&*self.store, location).await? else {
                return Err(CatalogError::MissingFile {
                    location: location.to_owned(),
                });
            };
            if raw.len() > METADATA_BYTES_MAX {
                return Err(damaged(location, "it is larger than 128 MiB"));
            }
            if raw.starts_with(&[0x1f, 0x8b]) {
                return Err(CatalogError::Unsupported {
                    what: "a compressed metadata file".into(),
                });
            }
            Ok(Arc::new(CachedMetadata::read(location, raw)))
        };
        self.files
            .try_get_with(location.to_owned(), read)
            .await
            .map_err(|error| match &*error {
                CatalogError::Store { action, location, .. } => CatalogError::Store {
                    action,
                    location: location.clone(),
                    source: error.to_string().into(),
                },
                CatalogError::Unsupported { what } => CatalogError::Unsupported { what: what.clone() },
                CatalogError::MissingFile { location } => CatalogError::MissingFile {
                    location: location.clone(),
                },
                CatalogError::Damaged { location, reason } => damaged(location, reason.as_str()),
                other => damaged(location, other.to_string()),
            })
    }

    /// Refuses when the file at `location` is not in the store: a client that is sent there must find it. A local file is looked for each
    /// time, which costs microseconds; for others it is enough that they were there not long ago.
    pub(crate) async fn require(&self, location: &str) -> Result<()> {
        let is_local = location.starts_with("file:");
        if !is_local && self.seen.contains_key(location) {
            return Ok(());
        }
        if !self.store.exists(location).await? {
            self.files.invalidate(location).await;
            return Err(CatalogError::MissingFile {
                location: location.to_owned(),
            });
        }
        if !is_local {
            self.seen.insert(location.to_owned(), ()).await;
        }
        Ok(())
    }

    /// The same for a client that has the file already: nothing is asked of an object store.
    pub(crate) async fn require_local(&self, location: &str) -> Result<()> {
        match location.starts_with("file:") {
            true => self.require(location).await,
            false => Ok(()),
        }
    }

    /// Forgets all files, as a node that was just started.
    #[cfg(test)]
    pub(crate) async fn forget(&self) {
        self.files.invalidate_all();
        self.files.run_pending_tasks().await;
    }

    /// Keeps a file that was just written.
    pub(crate) async fn keep(&self, file: Arc<CachedMetadata>) {
        self.files.insert(file.location().to_owned(), file).await;
    }
}

fn damaged(location: &str, reason: impl Into<String>) -> CatalogError {
    CatalogError::Damaged {
        location: location.to_owned(),
        reason: reason.into(),
    }
}
