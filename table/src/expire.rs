//! Expiry: snapshots leave the metadata first, then the files that only they could reach leave the store.

mod consumers;
mod named;
mod retention;

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{
    DataContentType, MAIN_BRANCH, ManifestFile, Snapshot, SnapshotReference, SnapshotRetention, TableMetadata,
};
use iceberg::{TableRequirement, TableUpdate};

pub use self::consumers::{CONSUMED_KEY, Consumers};
pub use self::retention::{Retention, ToldRetention};
use crate::catalog::{Catalog, CommitOutcome, LoadedTable, TableCommit};
use crate::commit::expired_snapshots;
use crate::create::applied;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::foreign;
use crate::manifest;
use crate::refs::refs_of;
use tidewater_core::TableName;

/// Files removed at the same time.
const REMOVALS_MAX: usize = 16;

/// What an expiry keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// So many newest snapshots of main, one at least.
    pub newest: u32,
    /// Milliseconds since the Unix epoch at which branches and tags are looked at: those older than their `max-ref-age-ms` go, and of
    /// the snapshots that a branch has of its own those that its `min-snapshots-to-keep` and `max-snapshot-age-ms` do not keep.
    /// `None`: they all stay.
    pub now_ms: Option<i64>,
}

impl From<u32> for Keep {
    fn from(newest: u32) -> Self {
        Self { newest, now_ms: None }
    }
}

/// What an expiry is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// What stays.
    pub keep: Keep,
    /// Snapshots that go although they would stay.
    pub snapshots: Vec<i64>,
    /// The table's current snapshot when somebody counted what is to stay: `newest` means others once it is another. `None`: whichever
    /// it is.
    pub counted_at: Option<i64>,
}

impl From<Keep> for Expiry {
    fn from(keep: Keep) -> Self {
        Self {
            keep,
            snapshots: Vec::new(),
            counted_at: None,
        }
    }
}

impl From<u32> for Expiry {
    fn from(newest: u32) -> Self {
        Keep::from(newest).into()
    }
}

/// What a file is to its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Rows.
    Data,
    /// Which rows of others are deleted, by their places; deletion vectors too.
    PositionDeletes,
    /// Which rows of others are deleted, by their values.
    EqualityDeletes,
    /// The names of some of these.
    Manifest,
    /// The names of a snapshot's manifests.
    ManifestList,
    /// What was computed of a snapshot.
    Statistics,
}

/// What an expiry came to, or would come to.
#[derive(Debug, Clone)]
pub struct Expired {
    /// The table after it.
    pub table: LoadedTable,
    /// Branches and tags that left.
    pub refs: Vec<String>,
    /// Snapshots that left.
    pub snapshots: Vec<i64>,
    /// Files that left.
    pub files: BTreeMap<String, FileKind>,
}

/// What [`expire`] would do now. Nothing is changed.
///
/// # Errors
/// As those of [`expire`], but for the ones of a commit.
pub async fn plan_expiry(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    expiry: impl Into<Expiry>,
) -> Result<Expired> {
    let missing = || TableError::TableNotFound { table: name.clone() };
    let table = catalog.load_table(name).await?.ok_or_else(missing)?;
    let expiry: Expiry = expiry.into();
    let leaving = Leaving::of(&table.metadata, &expiry)?;
    let files = match leaving.is_empty() {
        true => BTreeMap::new(),
        false => {
            let after = applied(&table.metadata, &leaving.updates(&table.metadata))?;
            let useless = unreachable(store, &table.metadata, &after).await?;
            foreign::deletable(catalog, &table, useless).await
        }
    };
    Ok(Expired {
        table,
        refs: leaving.refs,
        snapshots: leaving.snapshots,
        files,
    })
}

/// What is to leave a table's metadata.
struct Leaving {
    refs: Vec<String>,
    snapshots: Vec<i64>,
}

impl Leaving {
    fn of(table: &TableMetadata, expiry: &Expiry) -> Result<Self> {
        let keep = expiry.keep;
        let mut names = refs_of(table)?;
        let old = |name: &str, named: &SnapshotReference| {
            let age_ms = match &named.retention {
                SnapshotRetention::Branch { max_ref_age_ms, .. } | SnapshotRetention::Tag { max_ref_age_ms } => {
                    *max_ref_age_ms
                }
            };
            let snapshot = table.snapshot_by_id(named.snapshot_id);
            let since = snapshot.and_then(|snapshot| Some(keep.now_ms? - snapshot.timestamp_ms()));
            name != MAIN_BRANCH && age_ms.zip(since).is_some_and(|(most, age)| age > most)
        };
        let refs: Vec<String> = names
            .iter()
            .filter(|(name, named)| old(name, named))
            .map(|(name, _)| name.clone())
            .collect();
        names.retain(|name, _| !refs.contains(name));
        let mut snapshots = expired_snapshots(table, &names, keep.newest.max(1), keep.now_ms);
        named::add(table, &names, &expiry.snapshots, &mut snapshots)?;
        Ok(Self { refs, snapshots })
    }

    fn is_empty(&self) -> bool {
        self.refs.is_empty() && self.snapshots.is_empty()
    }

    fn updates(&self, table: &TableMetadata) -> Vec<TableUpdate> {
        let gone = self.refs.iter().cloned();
        let gone = gone.map(|ref_name| TableUpdate::RemoveSnapshotRef { ref_name });
        gone.chain(leaving(table, &self.snapshots)).collect()
    }
}

/// Snapshots go with what was computed of them, and with what was left of those that went before.
fn leaving(table: &TableMetadata, snapshots: &[i64]) -> Vec<TableUpdate> {
    let leaves = |id: i64| snapshots.contains(&id) || table.snapshot_by_id(id).is_none();
    let statistics = table.statistics_iter().map(|file| file.snapshot_id);
    let statistics = statistics.filter(|id| leaves(*id));
    let partitions = table.partition_statistics_iter().map(|file| file.snapshot_id);
    let partitions = partitions.filter(|id| leaves(*id));
    statistics
        .map(|snapshot_id| TableUpdate::RemoveStatistics { snapshot_id })
        .chain(partitions.map(|snapshot_id| TableUpdate::RemovePartitionStatistics { snapshot_id }))
        .chain([TableUpdate::RemoveSnapshots {
            snapshot_ids: snapshots.to_vec(),
        }])
        .collect()
}

/// Keeps what it is told to and what branches and tags name; removes the other snapshots and their files.
///
/// A reader of a snapshot that goes loses its files: keep what the slowest reader needs. Of two racing expiries, one finds
/// nothing to do or is refused with [`TableError::Contention`], which may be tried again.
///
/// # Errors
/// If a snapshot that is named to go is not there, is what a branch or tag names, or stands between others that stay.
pub async fn expire(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    expiry: impl Into<Expiry>,
) -> Result<Expired> {
    let missing = || TableError::TableNotFound { table: name.clone() };
    let before = catalog.load_table(name).await?.ok_or_else(missing)?;
    let expiry: Expiry = expiry.into();
    if expiry.counted_at.is_some() && expiry.counted_at != before.metadata.current_snapshot_id() {
        return Err(TableError::Contention {
            table: name.clone(),
            attempts: 1,
        });
    }
    let leaving = Leaving::of(&before.metadata, &expiry)?;
    if leaving.is_empty() {
        return Ok(Expired {
            table: before,
            refs: leaving.refs,
            snapshots: leaving.snapshots,
            files: BTreeMap::new(),
        });
    }
    // A branch or tag that went on meanwhile is no longer what was found old.
    let named = leaving.refs.iter().map(|name| TableRequirement::RefSnapshotIdMatch {
        r#ref: name.clone(),
        snapshot_id: before
            .metadata
            .snapshot_for_ref(name)
            .map(|snapshot| snapshot.snapshot_id()),
    });
    let commit = TableCommit {
        name: name.clone(),
        requirements: [
            TableRequirement::UuidMatch {
                uuid: before.metadata.uuid(),
            },
            // A rollback to one of them would be another head.
            TableRequirement::RefSnapshotIdMatch {
                r#ref: MAIN_BRANCH.into(),
                snapshot_id: before.metadata.current_snapshot_id(),
            },
        ]
        .into_iter()
        .chain(named)
        .collect(),
        updates: leaving.updates(&before.metadata),
    };
    let after = match catalog.commit(vec![commit]).await? {
        CommitOutcome::Committed(tables) => tables.into_iter().next(),
        CommitOutcome::Conflict { .. } => {
            return Err(TableError::Contention {
                table: name.clone(),
                attempts: 1,
            });
        }
        // What it came to is seen in the table itself.
        CommitOutcome::Unknown { .. } => catalog.load_table(name).await?,
    };
    let table = after.ok_or_else(missing)?;
    let files = remove_unreachable(catalog, store, &before.metadata, &table).await?;
    Ok(Expired {
        table,
        refs: leaving.refs,
        snapshots: leaving.snapshots,
        files,
    })
}

/// Removes the files that `before` reaches and `after` does not; answers them. `after` must be the state that the commit
/// answered, or a later one: whatever joined the table meanwhile is in it. Files that lie in the location of another table are not this
/// one's, whatever names them: they stay and are not answered.
pub async fn remove_unreachable(
    catalog: &dyn Catalog,
    store: &FileStore,
    before: &TableMetadata,
    after: &LoadedTable,
) -> Result<BTreeMap<String, FileKind>> {
    if before.uuid() != after.metadata.uuid() {
        return Err(TableError::damaged("states of two different tables were compared"));
    }
    let useless = unreachable(store, before, &after.metadata).await?;
    let useless = foreign::deletable(catalog, after, useless).await;
    let removals: Vec<_> = useless.keys().map(|location| store.delete(location)).collect();
    stream::iter(removals)
        .buffer_unordered(REMOVALS_MAX)
        .try_collect::<()>()
        .await?;
    Ok(useless)
}

#[derive(Debug, Default)]
struct Reachable {
    manifests: BTreeMap<String, ManifestFile>,
    lists: BTreeSet<String>,
}

/// Content files are looked for only in manifests that go: one that stays keeps all it names.
async fn unreachable(
    store: &FileStore,
    before: &TableMetadata,
    after: &TableMetadata,
) -> Result<BTreeMap<String, FileKind>> {
    let gone: Vec<&Snapshot> = before
        .snapshots()
        .map(AsRef::as_ref)
        .filter(|s| after.snapshot_by_id(s.snapshot_id()).is_none())
        .collect();
    if gone.is_empty() {
        return Ok(BTreeMap::new());
    }
    let kept: Vec<&Snapshot> = after.snapshots().map(AsRef::as_ref).collect();
    let old = reachable(store, before, &gone).await?;
    let new = reachable(store, after, &kept).await?;
    let lists = old.lists.difference(&new.lists).cloned();
    let mut useless: BTreeMap<String, FileKind> = lists.map(|list| (list, FileKind::ManifestList)).collect();
    let needed = statistics(after);
    let computed = statistics(before).into_iter().filter(|file| !needed.contains(file));
    useless.extend(computed.map(|file| (file, FileKind::Statistics)));
    let mut content = BTreeMap::new();
    for (path, file) in old
        .manifests
        .iter()
        .filter(|(path, _)| !new.manifests.contains_key(*path))
    {
        useless.insert(path.clone(), FileKind::Manifest);
        content.extend(contents(store, file).await?);
    }
    for file in new.manifests.values() {
        if content.is_empty() {
            break;
        }
        for (path, _) in contents(store, file).await? {
            content.remove(&path);
        }
    }
    useless.extend(content);
    Ok(useless)
}

fn statistics(table: &TableMetadata) -> BTreeSet<String> {
    let columns = table.statistics_iter().map(|file| file.statistics_path.clone());
    let partitions = table
        .partition_statistics_iter()
        .map(|file| file.statistics_path.clone());
    columns.chain(partitions).collect()
}

/// The data files and delete files that a manifest keeps.
async fn contents(store: &FileStore, file: &ManifestFile) -> Result<Vec<(String, FileKind)>> {
    let kind = |content| match content {
        DataContentType::Data => FileKind::Data,
        DataContentType::PositionDeletes => FileKind::PositionDeletes,
        DataContentType::EqualityDeletes => FileKind::EqualityDeletes,
    };
    let live = manifest::live(store, file).await?.into_iter();
    Ok(live
        .map(|entry| (entry.file.file_path().to_owned(), kind(entry.file.content_type())))
        .collect())
}

async fn reachable(store: &FileStore, table: &TableMetadata, snapshots: &[&Snapshot]) -> Result<Reachable> {
    let mut found = Reachable::default();
    for snapshot in snapshots {
        found.lists.insert(snapshot.manifest_list().to_owned());
        for file in manifest::list(store, table, Some(snapshot)).await? {
            found.manifests.insert(file.manifest_path.clone(), file);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
