//! Where files live: local disk, S3 or memory, behind one handle that resolves absolute locations.

mod disk_cache;
mod local;
mod location;
mod names;
mod s3;
mod whole_parts;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use url::Url;

use self::disk_cache::DiskCache;
pub use self::disk_cache::{DiskCacheFigures, DiskCacheOptions, ReadAnew};
pub use self::location::Location;
use self::names::SyncedNames;
pub use self::s3::S3Options;
use self::whole_parts::WholeParts;
use crate::at_hand::AtHand;
use crate::deletes::DeleteCache;
use crate::error::{Result, TableError};
use crate::manifest::ManifestCache;
use crate::scan::ListingCache;
use tidewater_core::{SharedClock, SharedRng, SystemClock, SystemRng};

/// Longest time a single call to a store may take, retries included. A data file of 128 MiB at 2 MB/s fits in.
const CALL_DEADLINE: Duration = Duration::from_secs(120);

/// Lists of the files of scans get this part of what manifests get.
const LISTING_SHARE: u64 = 2;

/// Most entries a listing answers with: beyond it, whoever lists holds too much in memory and must list a part.
pub const LIST_ENTRIES_MAX: usize = 1_000_000;

/// How to reach the stores.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Settings of S3; what is not set comes from the environment (`AWS_*`).
    pub s3: S3Options,
    /// If not empty, only locations below one of these may be used.
    pub roots: Vec<String>,
    /// Memory for parsed manifests: one file of a table of twelve columns takes 0.8 KB. Half as much again is for lists of the files of
    /// scans, at some 0.4 KB a file, which hold on to what manifests say of them.
    pub manifest_cache_bytes: u64,
    /// Memory for what delete files say.
    pub delete_cache_bytes: u64,
    /// Where parts of data files of remote stores are kept; none means nowhere.
    pub disk_cache: Option<DiskCacheOptions>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            s3: S3Options::default(),
            roots: Vec::new(),
            // The metadata of 100,000 files stays in memory between two plans.
            manifest_cache_bytes: 128 << 20,
            delete_cache_bytes: 64 << 20,
            disk_cache: None,
        }
    }
}

/// One entry of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// Absolute location.
    pub location: String,
    /// Size of the file.
    pub size_bytes: u64,
    /// Last change, milliseconds since the Unix epoch.
    pub modified_ms: i64,
}

/// A handle on all stores; clones share connections and caches.
#[derive(Clone)]
pub struct FileStore {
    inner: Arc<Inner>,
    /// Who wants to know what reads through this handle find at hand.
    at_hand: Option<Arc<AtHand>>,
}

/// A bucket that was opened.
#[derive(Clone)]
struct Bucket {
    opened: Arc<dyn ObjectStore>,
    /// The same behind the cache on the local disk, where there is one.
    store: Arc<dyn ObjectStore>,
}

struct Inner {
    options: StoreOptions,
    /// Those of the options, taken apart; none for one that cannot be.
    roots: Vec<Option<Location>>,
    local: Arc<LocalFileSystem>,
    synced_names: Arc<SyncedNames>,
    memory: Arc<dyn ObjectStore>,
    buckets: Mutex<HashMap<String, Bucket>>,
    manifests: ManifestCache,
    listings: ListingCache,
    deletes: DeleteCache,
    disk_cache: Option<DiskCache>,
    clock: SharedClock,
    rng: SharedRng,
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

impl FileStore {
    /// Opens nothing yet: buckets are reached when first used.
    pub fn new(options: StoreOptions, clock: SharedClock, rng: SharedRng) -> Self {
        Self::over(Arc::new(InMemory::new()), options, clock, rng)
    }

    /// With a store of one's own for what lies in memory: tests let it fail.
    pub(crate) fn over(
        memory: Arc<dyn ObjectStore>,
        options: StoreOptions,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Self {
        let roots = options.roots.iter().map(|root| Location::parse(root).ok()).collect();
        let manifests = ManifestCache::new(options.manifest_cache_bytes);
        let listings = ListingCache::new(options.manifest_cache_bytes / LISTING_SHARE);
        let deletes = DeleteCache::new(options.delete_cache_bytes);
        let on_disk = options.disk_cache.clone();
        let disk_cache = on_disk.map(|on_disk| DiskCache::new(on_disk, Arc::clone(&clock), Arc::clone(&rng)));
        Self {
            inner: Arc::new(Inner {
                options,
                roots,
                local: Arc::new(LocalFileSystem::new()),
                synced_names: Arc::default(),
                memory: WholeParts::over(memory),
                buckets: Mutex::default(),
                manifests,
                listings,
                deletes,
                disk_cache,
                clock,
                rng,
            }),
            at_hand: None,
        }
    }

    /// With a store of one's own for this bucket of S3 too.
    pub(crate) fn with_bucket(self, bucket: &str, objects: Arc<dyn ObjectStore>) -> Self {
        let objects = WholeParts::over(objects);
        let known = Bucket {
            opened: Arc::clone(&objects),
            store: objects,
        };
        let mut buckets = self.inner.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.insert(bucket.to_owned(), known);
        drop(buckets);
        self
    }

    /// The same stores and caches, whose reads from now on are told to `at_hand`: manifests and their lists, and blocks of the cache on the
    /// local disk, also those of the stores that it hands out. Footers are told by who reads them.
    #[must_use]
    pub fn telling(&self, at_hand: Arc<AtHand>) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            at_hand: Some(at_hand),
        }
    }

    /// Who is told.
    pub fn at_hand(&self) -> Option<&Arc<AtHand>> {
        self.at_hand.as_ref()
    }

    pub(crate) fn tell(&self, what: impl FnOnce(&AtHand)) {
        if let Some(at_hand) = &self.at_hand {
            what(at_hand);
        }
    }

    /// With default options, the machine's clock and randomness. Each call has a memory store of its own.
    pub fn system() -> Self {
        Self::new(StoreOptions::default(), SystemClock::shared(), SystemRng::shared())
    }

    /// The clock that stamps snapshots and limits waits.
    pub fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    /// The randomness that names files and snapshots.
    pub fn rng(&self) -> &SharedRng {
        &self.inner.rng
    }

    pub(crate) fn manifests(&self) -> &ManifestCache {
        &self.inner.manifests
    }

    pub(crate) fn listings(&self) -> &ListingCache {
        &self.inner.listings
    }

    pub(crate) fn deletes(&self) -> &DeleteCache {
        &self.inner.deletes
    }

    /// How the cache on the local disk stands; none where none is configured.
    pub fn disk_cache_figures(&self) -> Option<DiskCacheFigures> {
        self.inner.disk_cache.as_ref().map(DiskCache::figures)
    }

    /// Writes a file that must not exist yet. When this returns, the file survives the loss of power.
    pub async fn put_new(&self, location: &str, bytes: Bytes) -> Result<()> {
        let resolved = self.resolve(location)?;
        match &resolved {
            Location::File { path } => {
                let temporary = self.inner.rng.uuid().simple().to_string();
                let (path, location) = (path.clone(), location.to_owned());
                let names = Arc::clone(&self.inner.synced_names);
                self.blocking("write", location.clone(), move || {
                    local::put_new(&path, &location, &temporary, &bytes, &names)
                })
                .await
            }
            Location::S3 { .. } | Location::Memory { .. } => {
                let (store, path) = self.reach(&resolved, location)?;
                let options = PutOptions::from(PutMode::Create);
                let payload = PutPayload::from_bytes(bytes.clone());
                match self
                    .call("write", location, store.put_opts(&path, payload, options))
                    .await
                {
                    Ok(_) => Ok(()),
                    // A retried upload may meet itself: the same bytes under a fresh name can only be ours.
                    Err(TableError::FileExists { .. })
                        if matches!(resolved, Location::S3 { .. }) && self.get(location).await? == bytes =>
                    {
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// The whole file.
    pub async fn get(&self, location: &str) -> Result<Bytes> {
        let (store, path) = self.reach(&self.resolve(location)?, location)?;
        let read = async {
            let found = store.get(&path).await?;
            let length = found.range.end.saturating_sub(found.range.start);
            whole(found.bytes().await?, length, location)
        };
        self.call("read", location, read).await
    }

    /// A part of a file.
    pub async fn get_range(&self, location: &str, range: Range<u64>) -> Result<Bytes> {
        let (store, path) = self.reach(&self.resolve(location)?, location)?;
        let read = async {
            let options = GetOptions {
                range: Some(range.into()),
                ..GetOptions::default()
            };
            let found = store.get_opts(&path, options).await?;
            // Shorter than what was asked for where the file ends: whoever parses it tells.
            let length = found.range.end.saturating_sub(found.range.start);
            whole(found.bytes().await?, length, location)
        };
        self.call("read", location, read).await
    }

    /// The size of a file; [`TableError::FileNotFound`] if there is none.
    pub async fn size(&self, location: &str) -> Result<u64> {
        let (store, path) = self.reach(&self.resolve(location)?, location)?;
        Ok(self.call("look at", location, store.head(&path)).await?.size)
    }

    /// Whether a file is there.
    pub async fn exists(&self, location: &str) -> Result<bool> {
        if let Location::File { path } = self.resolve(location)? {
            // On a disk of this machine it takes microseconds, far less than handing it to another thread.
            return match std::fs::metadata(&path) {
                Ok(found) => Ok(found.is_file()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
                Err(source) => Err(TableError::Disk {
                    operation: "look at",
                    location: location.into(),
                    source,
                }),
            };
        }
        match self.size(location).await {
            Ok(_) => Ok(true),
            Err(TableError::FileNotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a file; nothing happens if there is none.
    pub async fn delete(&self, location: &str) -> Result<()> {
        let (store, path) = self.reach(&self.resolve(location)?, location)?;
        match self.call("delete", location, store.delete(&path)).await {
            Err(TableError::FileNotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All files below a location, at most [`LIST_ENTRIES_MAX`]. Files that are still being written are left out.
    pub async fn list(&self, location: &str) -> Result<Vec<FileInfo>> {
        let resolved = self.resolve(location)?;
        let (store, path) = self.reach(&resolved, location)?;
        let collect = async {
            let mut found = Vec::new();
            let mut entries = store.list(Some(&path));
            while let Some(meta) = entries.try_next().await? {
                if !meta.location.filename().is_some_and(local::is_temporary) {
                    found.push(meta);
                }
                if found.len() > LIST_ENTRIES_MAX {
                    break;
                }
            }
            Ok(found)
        };
        let found = self.call("list", location, collect).await?;
        if found.len() > LIST_ENTRIES_MAX {
            return Err(TableError::Unsupported {
                what: format!("listing more than {LIST_ENTRIES_MAX} files below {location}"),
            });
        }
        let entries = found.into_iter().map(|meta| FileInfo {
            location: resolved.sibling(&meta.location),
            size_bytes: meta.size,
            modified_ms: meta.last_modified.timestamp_millis(),
        });
        Ok(entries.collect())
    }

    /// What a reader of its own needs: the base the store is registered under, the store, and the path within it.
    pub fn object_store(&self, location: &str) -> Result<(Url, Arc<dyn ObjectStore>, Path)> {
        let resolved = self.resolve(location)?;
        let (store, path) = self.reach(&resolved, location)?;
        Ok((resolved.base()?, store, path))
    }

    /// What the store of a location is registered under, and the path within it. The store is not looked at.
    pub fn place(&self, location: &str) -> Result<(Cow<'static, str>, Path)> {
        let resolved = self.resolve(location)?;
        Ok((resolved.base_text(), resolved.store_path()?))
    }

    /// The store registered under a base that [`Self::object_store`] named. The configured roots are not asked: they are
    /// when a path is.
    pub fn store_at(&self, base: &str) -> Result<Arc<dyn ObjectStore>> {
        let (store, _) = self.reach(&Location::parse(base)?, base)?;
        Ok(store)
    }

    fn resolve(&self, location: &str) -> Result<Location> {
        let resolved = Location::parse(location)?;
        let roots = &self.inner.options.roots;
        if roots.is_empty() {
            return Ok(resolved);
        }
        for (text, root) in roots.iter().zip(&self.inner.roots) {
            let is_below = match root {
                Some(root) => resolved.is_below(root),
                None => resolved.is_below(&Location::parse(text)?),
            };
            if is_below {
                return Ok(resolved);
            }
        }
        Err(TableError::Location {
            location: location.into(),
            reason: "it is outside the configured roots".into(),
        })
    }

    fn reach(&self, resolved: &Location, location: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let path = resolved.store_path()?;
        let store: Arc<dyn ObjectStore> = match resolved {
            Location::File { .. } => self.inner.local.clone(),
            Location::Memory { .. } => self.inner.memory.clone(),
            Location::S3 { bucket, .. } => self.bucket(bucket, location)?,
        };
        Ok((store, path))
    }

    fn bucket(&self, bucket: &str, location: &str) -> Result<Arc<dyn ObjectStore>> {
        let found = self.opened(bucket, location)?;
        Ok(match (&self.inner.disk_cache, &self.at_hand) {
            (Some(cache), Some(at_hand)) => cache.telling(bucket, found.opened, Arc::clone(at_hand)),
            _ => found.store,
        })
    }

    fn opened(&self, bucket: &str, location: &str) -> Result<Bucket> {
        let mut buckets = self.inner.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = buckets.get(bucket) {
            return Ok(known.clone());
        }
        let opened = s3::open(bucket, &self.inner.options.s3).map_err(|source| TableError::Store {
            operation: "open the bucket of",
            location: location.into(),
            source,
        })?;
        let opened = WholeParts::over(opened);
        let store = match &self.inner.disk_cache {
            Some(cache) => cache.over(bucket, Arc::clone(&opened)),
            None => Arc::clone(&opened),
        };
        let found = Bucket { opened, store };
        buckets.insert(bucket.to_owned(), found.clone());
        Ok(found)
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        location: &str,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            done = call => done.map_err(|source| from_store(operation, location, source)),
            () = self.inner.clock.sleep(CALL_DEADLINE) => Err(TableError::StoreTimeout {
                operation,
                location: location.into(),
                deadline: CALL_DEADLINE,
            }),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        location: String,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let task = tokio::task::spawn_blocking(work);
        tokio::select! {
            done = task => done.map_err(TableError::encode(format!("{operation} {location}")))?,
            () = self.inner.clock.sleep(CALL_DEADLINE) => Err(TableError::StoreTimeout {
                operation,
                location,
                deadline: CALL_DEADLINE,
            }),
        }
    }
}

/// A body that ended early is no file: what stands between may close a connection without a word.
fn whole(bytes: Bytes, length: u64, location: &str) -> object_store::Result<Bytes> {
    if bytes.len() as u64 == length {
        return Ok(bytes);
    }
    Err(object_store::Error::Generic {
        store: "file",
        source: format!("{location}: {} of {length} bytes came", bytes.len()).into(),
    })
}

fn from_store(operation: &'static str, location: &str, source: object_store::Error) -> TableError {
    match source {
        object_store::Error::NotFound { .. } => TableError::FileNotFound {
            location: location.into(),
        },
        object_store::Error::AlreadyExists { .. } => TableError::FileExists {
            location: location.into(),
        },
        source => TableError::Store {
            operation,
            location: location.into(),
            source,
        },
    }
}

#[cfg(test)]
mod tests;
