//! The files of scans, kept for whoever asks the same again: one statement asks when it is decided where it runs, when that is explained,
//! and when it is planned. A snapshot's files never change, so nothing is ever invalidated; whoever asks under another filter, or with
//! the table in another state, asks something else. Nothing here hangs on who asks: what they may see of the rows is looked at later.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use iceberg::spec::{Datum, PrimitiveLiteral, SnapshotRef};
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use uuid::Uuid;

use super::{DeleteFile, Scan, ScanFile};
use crate::at_hand::Met;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::foreign::folders_outside;
use crate::manifest::partition_bytes;
use crate::predicate::Predicate;

/// For so long after somebody asked: what manifests say of the files stays in memory as long, also where their cache has no place for it.
const KEPT: Duration = Duration::from_secs(60);

/// What the cache itself needs for a list, and the allocator for one piece of memory.
const HELD_BYTES: usize = 256;
const ALLOCATION_BYTES: usize = 32;

/// What manifests say of a file is counted where these are kept, up to this: of wide tables it is many times as much, more than their
/// cache has a place for, and each list may hold on to its own.
const TOLD_BYTES: usize = 1 << 10;

/// The files of a scan, and where they are listed.
#[derive(Debug, Default)]
pub struct Listing {
    files: Vec<ScanFile>,
    /// The list of manifests; none for files that somebody named.
    list: Option<String>,
    manifests: Vec<String>,
    /// Folders of files that do not lie in the table's location, told once: most tables have none.
    outside: OnceLock<Vec<String>>,
}

impl From<Vec<ScanFile>> for Listing {
    fn from(files: Vec<ScanFile>) -> Self {
        Self {
            files,
            list: None,
            manifests: Vec::new(),
            outside: OnceLock::new(),
        }
    }
}

impl Listing {
    pub(super) fn new(files: Vec<ScanFile>, list: String, manifests: Vec<String>) -> Self {
        Self {
            files,
            list: Some(list),
            manifests,
            outside: OnceLock::new(),
        }
    }

    /// The files, in the order of the manifests.
    pub fn files(&self) -> &[ScanFile] {
        &self.files
    }

    /// The folders of files, delete files, manifests and the list of manifests that do not lie in the table's `location`, which is that of
    /// the state that was listed.
    pub fn outside(&self, location: &str) -> &[String] {
        self.outside.get_or_init(|| {
            let listed = self.list.iter().chain(&self.manifests).map(String::as_str);
            let paths = listed.chain(self.files.iter().flat_map(ScanFile::paths));
            folders_outside(location, paths)
        })
    }

    pub(super) fn into_files(self) -> Vec<ScanFile> {
        self.files
    }

    /// Tells who wants to know what did not have to be read for it.
    fn tell(&self, store: &FileStore) {
        store.tell(|at_hand| {
            if let Some(list) = &self.list {
                at_hand.list(list, Met::Kept);
            }
            for manifest in &self.manifests {
                at_hand.manifest(manifest, Met::Kept);
            }
        });
    }

    /// Memory that it takes, but for the first [`TOLD_BYTES`] of what manifests say of each file.
    fn memory_bytes(&self) -> usize {
        let names = self.list.iter().chain(&self.manifests);
        let names: usize = names.map(|name| size_of::<String>() + held_bytes(name)).sum();
        names + self.files.iter().map(file_bytes).sum::<usize>()
    }
}

fn file_bytes(file: &ScanFile) -> usize {
    let deletes = file.deletes.iter().chain(file.only.iter().flatten());
    let deletes = deletes.map(|delete| size_of::<DeleteFile>() + held_bytes(&delete.path));
    let partition = partition_bytes(&file.partition) + ALLOCATION_BYTES;
    let told = file.entry.entry().memory_bytes().saturating_sub(TOLD_BYTES);
    size_of::<ScanFile>() + held_bytes(&file.path) + partition + deletes.sum::<usize>() + told
}

fn held_bytes(text: &str) -> usize {
    text.len() + ALLOCATION_BYTES
}

/// What a list of files follows from. The table's state is part of it, as it tells what columns and partitions are: what a filter
/// excludes hangs on both.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Asked {
    table: Uuid,
    /// What lies outside of it is told with the list, and uuids are made by clients.
    location: String,
    updated_ms: i64,
    schema_id: i32,
    snapshot_id: i64,
    /// Ids of snapshots are made by clients, names of files are never used twice.
    manifest_list: String,
    filter: Option<Predicate>,
}

impl Asked {
    fn memory_bytes(&self) -> usize {
        let filter = self.filter.as_ref().map_or(0, filter_bytes);
        size_of::<Self>() + held_bytes(&self.manifest_list) + held_bytes(&self.location) + filter
    }
}

fn filter_bytes(filter: &Predicate) -> usize {
    let within: usize = match filter {
        Predicate::And(all) | Predicate::Or(all) => all.iter().map(filter_bytes).sum(),
        Predicate::Not(one) => filter_bytes(one),
        Predicate::Compare { value, .. } => text_bytes(value),
        Predicate::In { values, .. } => {
            let each = values.iter().map(|value| size_of_val(value) + text_bytes(value));
            each.sum()
        }
        Predicate::Always | Predicate::Never | Predicate::IsNull { .. } | Predicate::IsNan { .. } => 0,
    };
    size_of::<Predicate>() + ALLOCATION_BYTES + within
}

/// Not of the value as text: the library panics on some that it would print, such as times with fractions of a second before 1970.
fn text_bytes(value: &Datum) -> usize {
    match value.literal() {
        PrimitiveLiteral::String(text) => held_bytes(text),
        PrimitiveLiteral::Binary(bytes) => bytes.len() + ALLOCATION_BYTES,
        _ => 0,
    }
}

type Held = (Arc<Listing>, u32);

/// Lists of files by what was asked; those that were asked for longest ago go first. Of who asks the same at the same time, one lists.
pub(crate) struct ListingCache {
    /// None where nothing is to be kept.
    kept: Option<Cache<Asked, Held>>,
}

impl fmt::Debug for ListingCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.as_ref().map(Cache::entry_count);
        f.debug_struct("ListingCache").field("kept", &kept).finish()
    }
}

impl ListingCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let kept = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_: &Asked, (_, bytes): &Held| *bytes)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(KEPT)
            .build();
        Self {
            kept: (bytes_max > 0).then_some(kept),
        }
    }

    /// The files of a scan of this snapshot.
    pub(super) async fn of(&self, scan: &Scan<'_>, snapshot: &SnapshotRef) -> Result<Arc<Listing>> {
        let Some(kept) = &self.kept else {
            return Ok(Arc::new(scan.found(snapshot).await?));
        };
        let asked = Asked {
            table: scan.table.uuid(),
            location: scan.table.location().to_owned(),
            updated_ms: scan.table.last_updated_ms(),
            schema_id: scan.table.current_schema_id(),
            snapshot_id: snapshot.snapshot_id(),
            manifest_list: snapshot.manifest_list().to_owned(),
            filter: scan.filter.cloned(),
        };
        let asked_bytes = asked.memory_bytes() + HELD_BYTES;
        let lists = async {
            let mut listing = scan.found(snapshot).await?;
            // It grew by doubling, and stays.
            listing.files.shrink_to_fit();
            let bytes = u32::try_from(listing.memory_bytes() + asked_bytes).unwrap_or(u32::MAX);
            Ok::<Held, TableError>((Arc::new(listing), bytes))
        };
        match kept.try_get_with(asked, Box::pin(lists)).await {
            Ok((listing, _)) => {
                listing.tell(scan.store);
                Ok(listing)
            }
            // An error is its finder's alone: who waited for the same list asks for themselves.
            Err(shared) => match Arc::into_inner(shared) {
                Some(error) => Err(error),
                None => Ok(Arc::new(scan.found(snapshot).await?)),
            },
        }
    }
}

#[cfg(test)]
mod tests;
