//! Data files that stay in a table while what deletes rows of them changes.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{ManifestContentType, ManifestFile, ManifestStatus, TableMetadata};

use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::{self, Entry};
use crate::scan::{DeleteFile, Deletes, MANIFEST_READS_MAX, ScanFile, holds_live};

/// Pairs of a data file that stays and a delete file that touches it, in one answer. A pair takes some hundred bytes, and a few
/// kilobytes in a plan if it deletes by value, which in a table without partitions is each such file with each older one.
const PAIRS_MAX: usize = 200_000;

/// How many pairs an answer has by now.
#[derive(Debug, Default)]
pub(super) struct Room {
    taken: AtomicUsize,
}

impl Room {
    pub(super) fn take(&self, snapshot_id: i64, pairs: usize) -> Result<()> {
        let before = self.taken.fetch_add(pairs, Ordering::Relaxed);
        match before.saturating_add(pairs) > PAIRS_MAX {
            true => Err(TableError::TooManyDeletes {
                snapshot_id,
                max: PAIRS_MAX,
            }),
            false => Ok(()),
        }
    }
}

/// What a snapshot lists.
pub(super) struct State {
    pub(super) manifests: Vec<ManifestFile>,
    pub(super) deletes: Deletes,
}

impl State {
    pub(super) async fn read(store: &FileStore, table: &TableMetadata, manifests: Vec<ManifestFile>) -> Result<Self> {
        let deletes = Deletes::read(store, table, &manifests).await?;
        Ok(Self { manifests, deletes })
    }

    fn delete_manifests(&self) -> HashSet<&str> {
        let deletes = self
            .manifests
            .iter()
            .filter(|m| m.content == ManifestContentType::Deletes);
        deletes.map(|m| m.manifest_path.as_str()).collect()
    }
}

/// Files with the rows that left and came, as in [`super::SnapshotChange`].
#[derive(Debug, Default)]
pub(super) struct Stayed {
    pub(super) deleted: Vec<ScanFile>,
    pub(super) restored: Vec<ScanFile>,
}

/// The files that this snapshot has from the one `before` it, as far as other deletes touch them than did there. If the deletes are
/// the same, no manifest is read.
pub(super) async fn stayed(
    store: &FileStore,
    table: &TableMetadata,
    snapshot_id: i64,
    before: &State,
    after: &State,
    room: &Room,
) -> Result<Stayed> {
    let mut stayed = Stayed::default();
    let changed = changed(table, before, after);
    if changed.is_empty() {
        return Ok(stayed);
    }
    let data = after.manifests.iter();
    let data = data.filter(|manifest| holds_live(manifest, ManifestContentType::Data));
    // Collected: a closure that lives across an await makes this future not `Send` in general.
    let reads: Vec<_> = data.map(|manifest| manifest::entries(store, manifest)).collect();
    let mut lists = stream::iter(reads).buffered(MANIFEST_READS_MAX);
    while let Some(entries) = lists.try_next().await? {
        for entry in entries.iter() {
            let came = entry.status == ManifestStatus::Added && entry.snapshot_id == snapshot_id;
            if !entry.is_live() || came || changed.of(entry).is_empty() {
                continue;
            }
            let (earlier, later) = (before.deletes.of(entry), after.deletes.of(entry));
            room.take(snapshot_id, earlier.len() + later.len())?;
            stayed.add(entry, earlier, later);
        }
    }
    Ok(stayed)
}

impl Stayed {
    /// A file that was touched by some deletes and is touched by others now. What both have makes no difference.
    fn add(&mut self, entry: &Arc<Entry>, earlier: Vec<DeleteFile>, later: Vec<DeleteFile>) {
        let came = without(&later, &earlier);
        let left = without(&earlier, &later);
        if !came.is_empty() {
            self.deleted.push(ScanFile::of(entry, earlier).narrowed(came));
        }
        if !left.is_empty() {
            self.restored.push(ScanFile::of(entry, later).narrowed(left));
        }
    }
}

/// The delete files that only one of them has.
fn changed(table: &TableMetadata, before: &State, after: &State) -> Deletes {
    if before.delete_manifests() == after.delete_manifests() {
        return Deletes::new(table, Vec::new());
    }
    let only = |of: &Deletes, other: &Deletes| -> Vec<Arc<Entry>> {
        let known: HashSet<_> = other.entries().iter().map(identity).collect();
        let entries = of.entries().iter();
        entries
            .filter(|entry| !known.contains(&identity(entry)))
            .cloned()
            .collect()
    };
    let mut changed = only(&before.deletes, &after.deletes);
    changed.extend(only(&after.deletes, &before.deletes));
    Deletes::new(table, changed)
}

/// What it deletes, and of which data files.
fn identity(entry: &Arc<Entry>) -> (&str, Option<i64>, i64, i32) {
    let file = &entry.file;
    (file.file_path(), file.content_offset(), entry.sequence, entry.spec_id)
}

fn without(some: &[DeleteFile], others: &[DeleteFile]) -> Vec<DeleteFile> {
    let others: HashSet<_> = others.iter().map(DeleteFile::place).collect();
    let rest = some.iter().filter(|delete| !others.contains(&delete.place()));
    rest.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewater_core::Coded;

    // Goal: an answer has a limit over all of its snapshots. Method: as many pairs as there may be, of two snapshots, and one more.
    #[test]
    fn room_is_limited() {
        let room = Room::default();
        room.take(1, PAIRS_MAX - 1).expect("room");
        room.take(2, 1).expect("room");
        let refused = room.take(3, 1).expect_err("no room");
        assert_eq!(refused.code(), "TBL-0026");
        assert!(refused.to_string().contains("snapshot 3"), "{refused}");
    }
}
