//! Manifests written anew: entries of one partition side by side in manifests of one size, so that scans read few of them. No file
//! joins or leaves the table, and each entry keeps its numbers and, in format 3, its row ids.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{Literal, ManifestContentType, ManifestFile, Operation, TableMetadata};

use super::names::{requirements, updates};
use super::plan::{Described, PlannedCommit, fresh_snapshot_id, next_sequence};
use super::unknown::Attempts;
use super::{CommitOptions, Committed, backoff, summary, sweep};
use crate::catalog::{Catalog, CommitOutcome, LoadedTable, TableCommit};
use crate::change::{Change, Target};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::foreign::{folders_outside, require_own};
use crate::manifest::{self, Entry, MetadataWriter};
use crate::scan::MANIFEST_READS_MAX;
use tidewater_core::TableName;

/// Iceberg's own: a manifest of this size has some 30,000 entries and takes tens of milliseconds to parse.
const TARGET_BYTES: u64 = 8 << 20;

/// The table property that sets another size.
const TARGET_PROPERTY: &str = "commit.manifest.target-size-bytes";

/// Which manifests are written anew.
#[derive(Debug, Clone, Default)]
pub struct RewriteManifests {
    /// Only those of this partition spec; `None`: of all.
    pub spec_id: Option<i32>,
    /// Size of a manifest; `None`: what the table says, or 8 MiB.
    pub target_bytes: Option<u64>,
    /// Also where there are no more manifests than there have to be: their entries may be anywhere.
    pub always: bool,
}

/// What a rewrite came to.
#[derive(Debug, Clone)]
pub struct RewrittenManifests {
    /// The table after it.
    pub table: LoadedTable,
    /// The snapshot of it; `None` if nothing was worth it.
    pub snapshot_id: Option<i64>,
    /// Manifests written.
    pub created: u64,
    /// Manifests that took their places.
    pub replaced: u64,
    /// Manifests left alone.
    pub kept: u64,
    /// Entries written.
    pub entries: u64,
}

/// Writes manifests anew, those of data files and those of delete files, in one snapshot of operation `replace`.
///
/// # Errors
/// [`TableError::Contention`] if others were always faster, [`TableError::ForeignFile`] if a manifest is another table's.
pub async fn rewrite_manifests(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    rewrite: &RewriteManifests,
    options: &CommitOptions,
) -> Result<RewrittenManifests> {
    let deadline = store.clock().monotonic() + options.deadline;
    // Goes where a change of main would.
    let change = [(name.clone(), Change::append(Vec::new()))];
    let mut attempts = Attempts::default();
    let mut counts = Counts::default();
    let mut count = 0;
    while count < options.attempts_max && store.clock().monotonic() < deadline {
        let missing = || TableError::TableNotFound { table: name.clone() };
        let table = catalog.load_table(name).await?.ok_or_else(missing)?;
        let landed = attempts.landed(store, std::slice::from_ref(&table), count).await?;
        if let Some(Committed { table, snapshot_id, .. }) = landed.and_then(|done| done.into_iter().next()) {
            return Ok(counts.of(table, Some(snapshot_id)));
        }
        count += 1;
        let Some((plan, planned)) = plan(catalog, store, &table, rewrite, options).await? else {
            return Ok(Counts::default().of(table, None));
        };
        counts = planned;
        match catalog.commit(vec![plan.commit.clone()]).await {
            Ok(CommitOutcome::Committed(after)) => {
                attempts.excluded(store).await;
                let after = after.into_iter().next();
                let after = after.ok_or_else(|| TableError::damaged("a commit answered no table"))?;
                return Ok(counts.of(after, Some(plan.snapshot_id)));
            }
            Ok(CommitOutcome::Conflict { message }) => {
                tracing::debug!(table = %name, attempt = count, message, "a rewrite of manifests lost its race");
                sweep(store, &plan.written).await;
            }
            Ok(CommitOutcome::Unknown { message }) => {
                tracing::debug!(table = %name, attempt = count, message, "a rewrite of manifests: unknown outcome");
                attempts.note(&[table], &change, vec![plan]);
            }
            Err(fault) => {
                sweep(store, &plan.written).await;
                return Err(fault.into());
            }
        }
        store.clock().sleep(backoff(store, count)).await;
    }
    let table = name.clone();
    Err(match attempts.is_empty() {
        true => TableError::Contention { table, attempts: count },
        false => TableError::UnknownOutcome {
            table,
            reason: format!("no answer to {count} attempts, and a late one may still be applied"),
        },
    })
}

#[derive(Debug, Clone, Default)]
struct Counts {
    created: u64,
    replaced: u64,
    kept: u64,
    entries: u64,
}

impl Counts {
    fn of(&self, table: LoadedTable, snapshot_id: Option<i64>) -> RewrittenManifests {
        RewrittenManifests {
            table,
            snapshot_id,
            created: self.created,
            replaced: self.replaced,
            kept: self.kept,
            entries: self.entries,
        }
    }

    /// As other engines tell it.
    fn summary(&self) -> HashMap<String, String> {
        let counts = [
            ("manifests-created", self.created),
            ("manifests-replaced", self.replaced),
            ("manifests-kept", self.kept),
            ("entries-processed", self.entries),
        ];
        counts.map(|(name, count)| (name.to_owned(), count.to_string())).into()
    }
}

/// Manifests of one kind that become others.
struct Group {
    content: ManifestContentType,
    spec_id: i32,
    manifests: Vec<ManifestFile>,
    /// How many there have to be.
    wanted: usize,
}

async fn plan(
    catalog: &dyn Catalog,
    store: &FileStore,
    table: &LoadedTable,
    rewrite: &RewriteManifests,
    options: &CommitOptions,
) -> Result<Option<(PlannedCommit, Counts)>> {
    let metadata = table.metadata.as_ref();
    let Some(parent) = metadata.current_snapshot() else {
        return Ok(None);
    };
    let manifests = manifest::list(store, metadata, Some(parent)).await?;
    // Whoever asks: what another table's manifests tell of its rows would be told by this one's.
    let folders = {
        let paths = manifests.iter().map(|manifest| manifest.manifest_path.as_str());
        folders_outside(metadata.location(), paths)
    };
    require_own(catalog, &table.name, &folders).await?;
    let (groups, kept) = grouped(manifests, rewrite, target_bytes(metadata, rewrite));
    if groups.is_empty() {
        return Ok(None);
    }
    let mut writer = MetadataWriter::new(store, metadata, fresh_snapshot_id(store, metadata));
    let made = async {
        let mut counts = Counts {
            kept: kept.len() as u64,
            ..Counts::default()
        };
        let mut after = Vec::new();
        for group in &groups {
            after.extend(written(&mut writer, store, group, &mut counts).await?);
        }
        after.extend(kept);
        let sequence = next_sequence(metadata);
        let (list, row_ids) = writer.list(after, Some(parent.snapshot_id()), sequence).await?;
        let described = Described {
            id: writer.snapshot_id(),
            parent: Some(parent.snapshot_id()),
            sequence,
            list,
            row_ids,
            operation: Operation::Replace,
            properties: summary::build(Some(parent), &[], &[], &counts.summary()),
            now_ms: store.clock().now_ms(),
        };
        let updates = updates(
            metadata,
            described.build(metadata),
            &Target::Main,
            options.keep_snapshots,
        )?;
        Ok::<_, TableError>((updates, counts))
    };
    match made.await {
        Ok((updates, counts)) => {
            let commit = TableCommit {
                name: table.name.clone(),
                requirements: requirements(metadata, &Target::Main),
                updates,
            };
            let snapshot_id = writer.snapshot_id();
            let written = writer.into_written();
            let plan = PlannedCommit {
                commit,
                snapshot_id,
                written,
            };
            Ok(Some((plan, counts)))
        }
        Err(error) => {
            sweep(store, &writer.into_written()).await;
            Err(error)
        }
    }
}

fn target_bytes(table: &TableMetadata, rewrite: &RewriteManifests) -> u64 {
    let said = table
        .properties()
        .get(TARGET_PROPERTY)
        .and_then(|text| text.parse().ok());
    rewrite.target_bytes.or(said).unwrap_or(TARGET_BYTES).max(1)
}

/// Those to be written anew, by what they list, and those to be left alone. What holds no live entry goes.
fn grouped(
    manifests: Vec<ManifestFile>,
    rewrite: &RewriteManifests,
    target_bytes: u64,
) -> (Vec<Group>, Vec<ManifestFile>) {
    let mut kept = Vec::new();
    let mut by_kind: BTreeMap<(bool, i32), Vec<ManifestFile>> = BTreeMap::new();
    for file in manifests {
        if rewrite.spec_id.is_some_and(|spec| spec != file.partition_spec_id) {
            kept.push(file);
        } else {
            let is_delete = file.content == ManifestContentType::Deletes;
            by_kind
                .entry((is_delete, file.partition_spec_id))
                .or_default()
                .push(file);
        }
    }
    let mut groups = Vec::new();
    for ((_, spec_id), manifests) in by_kind {
        let bytes: u64 = manifests.iter().map(|file| file.manifest_length.unsigned_abs()).sum();
        let wanted = usize::try_from(bytes.div_ceil(target_bytes))
            .unwrap_or(usize::MAX)
            .max(1);
        match manifests.first() {
            Some(first) if manifests.len() > wanted || rewrite.always => groups.push(Group {
                content: first.content,
                spec_id,
                manifests,
                wanted,
            }),
            _ => kept.extend(manifests),
        }
    }
    (groups, kept)
}

async fn written(
    writer: &mut MetadataWriter<'_>,
    store: &FileStore,
    group: &Group,
    counts: &mut Counts,
) -> Result<Vec<ManifestFile>> {
    let reads: Vec<_> = group.manifests.iter().map(|file| manifest::live(store, file)).collect();
    let lists: Vec<Vec<Arc<Entry>>> = stream::iter(reads).buffered(MANIFEST_READS_MAX).try_collect().await?;
    let mut entries: Vec<Arc<Entry>> = lists.concat();
    // Stable: within a partition the order of the manifests stays.
    entries.sort_by(|one, other| order(one.file.partition().fields(), other.file.partition().fields()));
    counts.replaced += group.manifests.len() as u64;
    counts.entries += entries.len() as u64;
    let mut made = Vec::new();
    for some in entries.chunks(entries.len().div_ceil(group.wanted).max(1)) {
        made.push(writer.manifest(group.content, group.spec_id, &[], some, &[]).await?);
    }
    counts.created += made.len() as u64;
    Ok(made)
}

fn order(one: &[Option<Literal>], other: &[Option<Literal>]) -> Ordering {
    let pairs = one.iter().zip(other).map(|pair| match pair {
        (Some(Literal::Primitive(one)), Some(Literal::Primitive(other))) => {
            one.partial_cmp(other).unwrap_or(Ordering::Equal)
        }
        (one, other) => one.is_some().cmp(&other.is_some()),
    });
    pairs.fold(Ordering::Equal, Ordering::then)
}

#[cfg(test)]
mod tests;
