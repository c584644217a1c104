//! The snapshot producer: one attempt on one state of the table.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use iceberg::TableUpdate;
use iceberg::spec::{
    DataContentType, DataFile, FormatVersion, ManifestContentType, ManifestFile, Operation, Snapshot, Summary,
    TableMetadata,
};

use super::names::{require_target, requirements_of, updates};
use super::{CommitOptions, Tail, summary, sweep, validate};
use crate::catalog::{LoadedTable, TableCommit};
use crate::change::{Added, Change};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::{self, Description, Entry, MetadataWriter};

/// A tail of this size takes about 20 ms to write anew: 100 entries of 15 columns, fewer of more.
const TAIL_BYTES_MAX: i64 = 64 << 10;

/// One attempt: its metadata files are written, nothing is visible before the catalog accepts it.
#[derive(Debug, Clone)]
pub struct PlannedCommit {
    /// For [`crate::Catalog::commit`], alone or with other tables'.
    pub commit: TableCommit,
    /// The snapshot it makes.
    pub snapshot_id: i64,
    /// Metadata files written; to be deleted if the commit is known to be lost.
    pub written: Vec<String>,
}

/// Writes the metadata files of one attempt on this state of the table. Refuses with [`TableError::Conflict`] if the change
/// must be computed anew.
pub async fn plan_commit(
    store: &FileStore,
    table: &LoadedTable,
    change: &Change,
    options: &CommitOptions,
) -> Result<PlannedCommit> {
    if let Some(reason) = validate::conflict(store, &table.metadata, change).await? {
        return Err(TableError::Conflict {
            table: table.name.clone(),
            reason,
        });
    }
    let metadata = table.metadata.as_ref();
    require_target(metadata, change)?;
    let mut writer = MetadataWriter::new(store, metadata, fresh_snapshot_id(store, metadata));
    let lost = |path: &str| TableError::Conflict {
        table: table.name.clone(),
        reason: format!("{path} is not in the table"),
    };
    let made = match snapshot(&mut writer, store, metadata, change, options.tail, lost).await {
        Ok(made) => updates(metadata, made, &change.target, options.keep_snapshots),
        Err(error) => Err(error),
    };
    match made {
        Ok(updates) => Ok(PlannedCommit {
            commit: TableCommit {
                name: table.name.clone(),
                requirements: requirements_of(metadata, change),
                updates,
            },
            snapshot_id: writer.snapshot_id(),
            written: writer.into_written(),
        }),
        Err(error) => {
            sweep(store, &writer.into_written()).await;
            Err(error)
        }
    }
}

/// An append to a table that is known by its metadata only: for the catalog itself, whose names are wider than [`LoadedTable`]'s.
#[derive(Debug, Clone)]
pub struct PlannedAppend {
    /// What to commit.
    pub updates: Vec<TableUpdate>,
    /// The snapshot it makes.
    pub snapshot_id: i64,
    /// Its sequence number.
    pub sequence: i64,
    /// Metadata files written; to be deleted if the commit is known to be lost.
    pub written: Vec<String>,
}

/// Writes the metadata files of an append on this state of the table. It rests on nothing, but is right on this head only.
pub async fn plan_append(
    store: &FileStore,
    metadata: &TableMetadata,
    change: &Change,
    options: &CommitOptions,
) -> Result<PlannedAppend> {
    require_target(metadata, change)?;
    let mut writer = MetadataWriter::new(store, metadata, fresh_snapshot_id(store, metadata));
    let lost = |path: &str| TableError::damaged(format!("an append that removes {path}"));
    let made = match snapshot(&mut writer, store, metadata, change, options.tail, lost).await {
        Ok(made) => {
            let sequence = made.sequence_number();
            updates(metadata, made, &change.target, options.keep_snapshots).map(|updates| (updates, sequence))
        }
        Err(error) => Err(error),
    };
    match made {
        Ok((updates, sequence)) => Ok(PlannedAppend {
            updates,
            snapshot_id: writer.snapshot_id(),
            sequence,
            written: writer.into_written(),
        }),
        Err(error) => {
            sweep(store, &writer.into_written()).await;
            Err(error)
        }
    }
}

/// Positive and not in use.
pub(super) fn fresh_snapshot_id(store: &FileStore, table: &TableMetadata) -> i64 {
    loop {
        let id = (store.rng().next_u64() >> 1).cast_signed();
        if id != 0 && table.snapshot_by_id(id).is_none() {
            return id;
        }
    }
}

async fn snapshot(
    writer: &mut MetadataWriter<'_>,
    store: &FileStore,
    metadata: &TableMetadata,
    change: &Change,
    tail: Tail,
    conflict: impl FnOnce(&str) -> TableError,
) -> Result<Snapshot> {
    let parent = change.target.parent(metadata);
    let sequence = next_sequence(metadata);
    // A manifest of deleted entries alone has told its story in the snapshot that wrote it.
    let before = manifest::list(store, metadata, parent.map(AsRef::as_ref)).await?;
    let (data, deletes): (Vec<_>, Vec<_>) = before
        .into_iter()
        .filter(|m| m.has_added_files() || m.has_existing_files())
        .partition(|m| m.content == ManifestContentType::Data);

    // An append reads no manifest but the one it folds in.
    let (data, removed) = match change.removed.is_empty() {
        true => (data, Vec::new()),
        false => remove(writer, store, data, |file| change.removed.contains(file.file_path())).await?,
    };
    if let Some(lost) = missing(&change.removed, &removed) {
        return Err(conflict(lost));
    }
    // Not every writer tells in its snapshot which files it leaves out: rows that are in others by now would stay there.
    if let Some(lost) = not_live(store, &data, &change.touched).await? {
        return Err(conflict(lost));
    }
    // Deletes of a data file that goes, go with it; those of one that stays are replaced. Deletes by value are about their whole
    // partition, whatever file their description names.
    let goes = |file: &Description| {
        file.content_type() == DataContentType::PositionDeletes
            && file.referenced_data_file().is_some_and(|path| change.needs(&path))
    };
    let (deletes, removed_deletes) = match change.needs_nothing() {
        true => (deletes, Vec::new()),
        false => remove(writer, store, deletes, goes).await?,
    };
    let (new_data, new_deletes): (Vec<Added>, Vec<Added>) = change
        .added
        .iter()
        .cloned()
        .partition(|new| new.file.content_type() == DataContentType::Data);
    let mut manifests = add(writer, store, data, &new_data, tail).await?;
    for (spec_id, files) in by_spec(&new_deletes) {
        let content = ManifestContentType::Deletes;
        manifests.push(writer.manifest(content, spec_id, &files, &[], &[]).await?);
    }
    manifests.extend(deletes);

    let (list, row_ids) = writer
        .list(manifests, parent.map(|p| p.snapshot_id()), sequence)
        .await?;
    let added: Vec<&DataFile> = change.added.iter().map(|new| &new.file).collect();
    let removed = removed.iter().chain(&removed_deletes);
    let removed: Vec<Cow<'_, DataFile>> = removed.map(|entry| entry.file.whole()).collect();
    let removed: Vec<&DataFile> = removed.iter().map(AsRef::as_ref).collect();
    let properties = summary::build(parent.map(AsRef::as_ref), &added, &removed, &change.properties);
    let described = Described {
        id: writer.snapshot_id(),
        parent: parent.map(|parent| parent.snapshot_id()),
        sequence,
        list,
        row_ids,
        operation: change.operation.clone(),
        properties,
        now_ms: store.clock().now_ms(),
    };
    Ok(described.build(metadata))
}

/// Format 1 knows no sequence numbers.
pub(super) fn next_sequence(table: &TableMetadata) -> i64 {
    match table.format_version() {
        FormatVersion::V1 => 0,
        _ => table.last_sequence_number() + 1,
    }
}

fn missing<'a>(wanted: &'a BTreeSet<String>, found: &[Arc<Entry>]) -> Option<&'a String> {
    let found: BTreeSet<&str> = found.iter().map(|entry| entry.file.file_path()).collect();
    wanted.iter().find(|path| !found.contains(path.as_str()))
}

/// One of these data files that no manifest lists as the table's.
async fn not_live<'a>(
    store: &FileStore,
    manifests: &[ManifestFile],
    wanted: &'a BTreeSet<String>,
) -> Result<Option<&'a str>> {
    let mut left: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    for file in manifests {
        if left.is_empty() {
            break;
        }
        for entry in manifest::live(store, file).await? {
            left.remove(entry.file.file_path());
        }
    }
    Ok(left.pop_first())
}

/// Reads the manifests and writes anew those that hold a file to be removed; the others are carried over as they are.
async fn remove(
    writer: &mut MetadataWriter<'_>,
    store: &FileStore,
    manifests: Vec<ManifestFile>,
    gone: impl Fn(&Description) -> bool,
) -> Result<(Vec<ManifestFile>, Vec<Arc<Entry>>)> {
    let (mut kept, mut removed) = (Vec::new(), Vec::new());
    for file in manifests {
        let entries = manifest::live(store, &file).await?;
        let (deleted, existing): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| gone(&entry.file));
        if deleted.is_empty() {
            kept.push(file);
            continue;
        }
        kept.push(
            writer
                .manifest(file.content, file.partition_spec_id, &[], &existing, &deleted)
                .await?,
        );
        removed.extend(deleted);
    }
    Ok((kept, removed))
}

/// Adds new data files, a manifest for each spec, folding the newest older manifest in as `tail` says.
async fn add(
    writer: &mut MetadataWriter<'_>,
    store: &FileStore,
    data: Vec<ManifestFile>,
    added: &[Added],
    tail: Tail,
) -> Result<Vec<ManifestFile>> {
    let mut kept = data;
    let mut fresh = Vec::new();
    for (spec_id, files) in by_spec(added) {
        let existing = match fold(writer, &mut kept, spec_id, files.len(), tail) {
            Some(folded) => manifest::live(store, &folded).await?,
            None => Vec::new(),
        };
        fresh.push(
            writer
                .manifest(ManifestContentType::Data, spec_id, &files, &existing, &[])
                .await?,
        );
    }
    fresh.extend(kept);
    Ok(fresh)
}

/// Takes out of `kept` the manifest that the new one is to absorb. Those of this very commit hold deleted entries and must stay; and what
/// lies outside of the table's location may be another table's, of whose rows the table's own manifest would tell.
fn fold(
    writer: &MetadataWriter<'_>,
    kept: &mut Vec<ManifestFile>,
    spec_id: i32,
    new: usize,
    tail: Tail,
) -> Option<ManifestFile> {
    let Tail::Roll(entries_max) = tail else { return None };
    let usable = |m: &ManifestFile| {
        let is_older = m.added_snapshot_id != writer.snapshot_id();
        m.partition_spec_id == spec_id && is_older && writer.owns(&m.manifest_path)
    };
    // Format 1 has no sequence numbers: there the newest stands first, as `add` puts it.
    let (at, newest) = kept
        .iter()
        .enumerate()
        .filter(|(_, m)| usable(m))
        .max_by_key(|(at, m)| (m.sequence_number, Reverse(*at)))?;
    if newest.manifest_length > TAIL_BYTES_MAX {
        return None;
    }
    let held = u64::from(newest.added_files_count?) + u64::from(newest.existing_files_count?);
    (held + new as u64 <= u64::from(entries_max)).then(|| kept.remove(at))
}

fn by_spec(files: &[Added]) -> BTreeMap<i32, Vec<Added>> {
    let mut specs: BTreeMap<i32, Vec<Added>> = BTreeMap::new();
    for new in files {
        specs.entry(new.spec_id).or_default().push(new.clone());
    }
    specs
}

/// A snapshot to be made.
pub(super) struct Described {
    pub(super) id: i64,
    pub(super) parent: Option<i64>,
    pub(super) sequence: i64,
    pub(super) list: String,
    /// What the list handed out.
    pub(super) row_ids: u64,
    pub(super) operation: Operation,
    pub(super) properties: HashMap<String, String>,
    pub(super) now_ms: i64,
}

impl Described {
    pub(super) fn build(self, table: &TableMetadata) -> Snapshot {
        let builder = Snapshot::builder()
            .with_snapshot_id(self.id)
            .with_parent_snapshot_id(self.parent)
            .with_sequence_number(self.sequence)
            // Clocks differ between machines; history must not run backwards.
            .with_timestamp_ms(self.now_ms.max(table.last_updated_ms()))
            .with_manifest_list(self.list)
            .with_summary(Summary {
                operation: self.operation,
                additional_properties: self.properties,
            })
            .with_schema_id(table.current_schema_id());
        match table.format_version() {
            // Rows of re-written manifests take ids too, so this is what the list handed out, not the rows added.
            FormatVersion::V3 => builder.with_row_range(table.next_row_id(), self.row_ids).build(),
            _ => builder.build(),
        }
    }
}
