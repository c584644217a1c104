//! A scan cut into parts that can be planned one at a time, anywhere: files never change, so a part means the same on each node.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{ManifestContentType, ManifestFile, ManifestStatus, Operation, SnapshotRef, TableMetadata};
use serde::{Deserialize, Serialize};

use super::deletes::Deletes;
use super::pruning::Pruner;
use super::{MANIFEST_READS_MAX, Scan, ScanFile, holds_live, reads_at_once};
use crate::changelog::history;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::{self, Entry};
use crate::predicate::Predicate;

/// Some of a scan's manifests, or some entries of one. Means the same for every scan of the same snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The first manifest, counted in the scan's whole list.
    pub first: usize,
    /// One after the last manifest.
    pub end: usize,
    /// Entries left out at the beginning, of those that are part of the scan before any filter.
    pub skip: usize,
    /// Entries taken after them.
    pub take: usize,
}

/// What a condition is for all rows of a file, as far as its partition tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds for each row.
    EveryRow,
    /// It holds for none.
    NoRow,
    /// The rows have to be looked at.
    Unknown,
}

/// A scan whose list of manifests is known.
#[derive(Debug)]
pub struct ScanParts<'a> {
    store: &'a FileStore,
    table: &'a TableMetadata,
    pruner: Pruner<'a>,
    manifests: Vec<ManifestFile>,
    /// For a scan of appends: the snapshots whose files count.
    appends: Option<HashSet<i64>>,
}

impl<'a> Scan<'a> {
    /// Reads the list of manifests and no manifest. The caller promises to apply [`ScanFile::deletes`].
    pub async fn parts(self) -> Result<ScanParts<'a>> {
        let pruner = Pruner::new(self.table, self.filter);
        let snapshot = match self.snapshot {
            Some(snapshot_id) => Some(
                self.table
                    .snapshot_by_id(snapshot_id)
                    .ok_or(TableError::SnapshotNotFound { snapshot_id })?,
            ),
            None => self.table.current_snapshot(),
        };
        let (manifests, appends) = match (self.appended_after, snapshot) {
            (None, snapshot) => {
                let snapshot = snapshot.map(AsRef::as_ref);
                (manifest::list(self.store, self.table, snapshot).await?, None)
            }
            (Some(_), None) => (Vec::new(), Some(HashSet::new())),
            (Some(from), Some(to)) => {
                let mut snapshots = history(self.table, from, to.snapshot_id())?;
                snapshots.retain(|snapshot| snapshot.summary().operation == Operation::Append);
                let ids: HashSet<i64> = snapshots.iter().map(|snapshot| snapshot.snapshot_id()).collect();
                (written_by(self.store, self.table, &snapshots, &ids).await?, Some(ids))
            }
        };
        Ok(ScanParts {
            store: self.store,
            table: self.table,
            pruner,
            manifests,
            appends,
        })
    }
}

/// The data manifests that these snapshots wrote. A later snapshot may have merged them away, so each list is read.
async fn written_by(
    store: &FileStore,
    table: &TableMetadata,
    snapshots: &[SnapshotRef],
    ids: &HashSet<i64>,
) -> Result<Vec<ManifestFile>> {
    // Collected: a closure that lives across an await makes this future not `Send` in general.
    let reads: Vec<_> = snapshots
        .iter()
        .map(|snapshot| manifest::list(store, table, Some(snapshot)))
        .collect();
    let lists: Vec<Vec<ManifestFile>> = stream::iter(reads).buffered(MANIFEST_READS_MAX).try_collect().await?;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for manifest in lists.into_iter().flatten() {
        let theirs = manifest.content == ManifestContentType::Data && ids.contains(&manifest.added_snapshot_id);
        if theirs && seen.insert(manifest.manifest_path.clone()) {
            found.push(manifest);
        }
    }
    Ok(found)
}

impl ScanParts<'_> {
    /// Where the manifests are, for who must not read just anything.
    pub fn manifest_paths(&self) -> impl Iterator<Item = &str> {
        self.manifests.iter().map(|manifest| manifest.manifest_path.as_str())
    }

    /// Cuts the scan so that no part has more than `files_max` files. Manifests that hold no row of the filter are left out.
    pub fn cut(&self, files_max: usize) -> Vec<Part> {
        let files_max = files_max.max(1);
        let mut parts: Vec<Part> = Vec::new();
        let mut filled = 0;
        for (at, manifest) in self.manifests.iter().enumerate() {
            if !self.wants(manifest) {
                continue;
            }
            let files = files(manifest);
            match parts.last_mut() {
                Some(last) if filled + files <= files_max => {
                    last.end = at + 1;
                    filled += files;
                    continue;
                }
                _ => {}
            }
            filled = files.min(files_max);
            // A manifest that does not say how many files it lists is one part, whatever it holds.
            let starts = (0..files.max(1)).step_by(files_max);
            let last = starts.len() - 1;
            parts.extend(starts.enumerate().map(|(number, skip)| Part {
                first: at,
                end: at + 1,
                skip,
                take: if number == last { usize::MAX } else { files_max },
            }));
            if last > 0 {
                // A part that begins within a manifest takes no other.
                filled = files_max;
            }
        }
        parts
    }

    /// The files of a part that may hold rows of the filter.
    pub async fn read(&self, part: Part) -> Result<Vec<ScanFile>> {
        let deletes = match self.appends {
            None => self.deletes().await?,
            Some(_) => Deletes::new(self.table, Vec::new()),
        };
        let end = part.end.min(self.manifests.len());
        let some = self.manifests.get(part.first.min(end)..end).unwrap_or_default();
        let wanted: Vec<&ManifestFile> = some.iter().filter(|manifest| self.wants(manifest)).collect();
        let at_once = reads_at_once(wanted.iter().copied());
        let reads: Vec<_> = wanted
            .into_iter()
            .map(|manifest| manifest::entries(self.store, manifest))
            .collect();
        let mut lists = stream::iter(reads).buffered(at_once);
        let (mut left_out, mut files) = (part.skip, Vec::new());
        let mut to_take = part.take;
        while let Some(entries) = lists.try_next().await? {
            for entry in entries.iter().filter(|entry| self.counts(entry)) {
                if left_out > 0 {
                    left_out -= 1;
                    continue;
                }
                if to_take == 0 {
                    return Ok(files);
                }
                to_take -= 1;
                if self.pruner.keeps_file(entry) {
                    files.push(ScanFile::of(entry, deletes.of(entry)));
                }
            }
        }
        Ok(files)
    }

    /// What the partition of a file says of a condition on its rows. Needs the scan to have a filter.
    pub fn verdict(&self, condition: &Predicate, file: &ScanFile) -> Verdict {
        self.pruner.verdict(condition, file)
    }

    fn wants(&self, manifest: &ManifestFile) -> bool {
        holds_live(manifest, ManifestContentType::Data) && self.pruner.keeps_manifest(manifest)
    }

    fn counts(&self, entry: &Entry) -> bool {
        match &self.appends {
            None => entry.is_live(),
            Some(ids) => entry.status == ManifestStatus::Added && ids.contains(&entry.snapshot_id),
        }
    }

    async fn deletes(&self) -> Result<Deletes> {
        Deletes::read(self.store, self.table, &self.manifests).await
    }
}

/// How many files of the scan a manifest lists at most.
fn files(manifest: &ManifestFile) -> usize {
    let counts = [manifest.added_files_count, manifest.existing_files_count];
    counts.into_iter().flatten().map(|count| count as usize).sum()
}

#[cfg(test)]
mod tests;
