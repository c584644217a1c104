//! An append that lost its race, put on the new head: by the catalog, in place of the writer.
//!
//! An append conflicts with nothing, so that all a writer would do after a refusal is to list its own manifests behind those of the new
//! head. What it wrote is judged by what it does, not by what it says: a list that leaves out or rewrites anything of the head it was
//! planned on is no mere append.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use iceberg::spec::{
    FormatVersion, Manifest, ManifestContentType, ManifestFile, ManifestList, ManifestStatus, Operation, Snapshot,
    Summary, TableMetadata,
};

use super::plan::next_sequence;
use super::sweep;
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest::{self, Holds, MetadataWriter};
use crate::refs::{PUBLISHED_WAP_ID, SOURCE};

/// Snapshots between the head that an append was planned on and the new one. A writer that is further behind plans again.
const SNAPSHOTS_BEHIND_MAX: usize = 10_000;

/// Manifests of one append: one for each partition spec, and some more for large ones.
const OWN_MANIFESTS_MAX: usize = 16;

/// Largest manifest, and list, that is read for it.
const READ_BYTES_MAX: u64 = 16 << 20;

/// How the keys begin under which the sink of Kafka Connect says up to which offsets a table has its rows.
const OFFSETS_OF_SINK: &str = "kafka.connect.offsets.";

/// Totals of a summary, and the entries that add to them.
const TOTALS: [(&str, &str, &str); 6] = [
    ("total-data-files", "added-data-files", "deleted-data-files"),
    ("total-records", "added-records", "deleted-records"),
    ("total-files-size", "added-files-size", "removed-files-size"),
    ("total-delete-files", "added-delete-files", "removed-delete-files"),
    (
        "total-position-deletes",
        "added-position-deletes",
        "removed-position-deletes",
    ),
    (
        "total-equality-deletes",
        "added-equality-deletes",
        "removed-equality-deletes",
    ),
];

/// An append that lost its race.
#[derive(Debug, Clone, Copy)]
pub struct LostAppend<'a> {
    /// The snapshot as its writer made it.
    pub snapshot: &'a Snapshot,
    /// The branch that it was meant for.
    pub branch: &'a str,
    /// The head of the branch that it was planned on; none if there was no branch.
    pub base: Option<i64>,
}

/// What became of it.
#[derive(Debug, Clone)]
pub enum Rebase {
    /// It is a snapshot on the new head now. Its list is written and nothing is visible before the catalog points to it.
    Done {
        /// Under the id that its writer gave it.
        snapshot: Box<Snapshot>,
        /// The new list; to be deleted if the commit is known to be lost.
        written: Vec<String>,
    },
    /// It is no mere append, or the branch did more than go on.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Puts an append on the head of its branch. No file that its writer named is read unless `may_read` says so.
///
/// # Errors
/// If the lists cannot be read or the new one cannot be written.
pub async fn rebase_append(
    store: &FileStore,
    table: &TableMetadata,
    lost: LostAppend<'_>,
    may_read: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<Rebase> {
    match rebased(store, table, lost, may_read).await? {
        Ok((snapshot, written)) => Ok(Rebase::Done {
            snapshot: Box::new(snapshot),
            written,
        }),
        Err(reason) => Ok(Rebase::Refused { reason }),
    }
}

type OrReason<T> = std::result::Result<T, String>;

async fn rebased(
    store: &FileStore,
    table: &TableMetadata,
    lost: LostAppend<'_>,
    may_read: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<OrReason<(Snapshot, Vec<String>)>> {
    let head = match went_on(table, lost) {
        Ok(head) => head,
        Err(reason) => return Ok(Err(reason)),
    };
    let base = lost.base.and_then(|id| table.snapshot_by_id(id));
    let mut lists = [Some(lost.snapshot), base.map(AsRef::as_ref), head.map(AsRef::as_ref)]
        .into_iter()
        .flatten();
    if lists.any(|snapshot| !may_read(snapshot.manifest_list())) {
        return Ok(Err("a manifest list lies where it may not be read".into()));
    }
    let mine = match read_list(store, table, lost.snapshot.manifest_list()).await? {
        Ok(list) => list,
        Err(reason) => return Ok(Err(reason)),
    };
    let before = manifest::list(store, table, base.map(AsRef::as_ref)).await?;
    let own = match own_manifests(table, lost.snapshot, mine, &before) {
        Ok(own) => own,
        Err(reason) => return Ok(Err(reason)),
    };
    for manifest in &own {
        if !may_read(&manifest.manifest_path) {
            return Ok(Err(format!(
                "its manifest {} lies where it may not be read",
                manifest.manifest_path
            )));
        }
        if let Err(reason) = only_adds(store, table, manifest).await? {
            return Ok(Err(reason));
        }
    }
    let parent = head.map(|head| head.snapshot_id());
    let sequence = next_sequence(table);
    let mut manifests: Vec<ManifestFile> = own.into_iter().map(|own| on_commit(own, sequence)).collect();
    let others = manifest::list(store, table, head.map(AsRef::as_ref)).await?;
    manifests.extend(others.into_iter().filter(lives));
    let mut writer = MetadataWriter::new(store, table, lost.snapshot.snapshot_id());
    match writer.list(manifests, parent, sequence).await {
        Ok((list, row_ids)) => {
            let summary = carried_on(lost.snapshot, head.map(AsRef::as_ref));
            let snapshot = described(table, lost.snapshot, parent, sequence, list, row_ids, summary);
            Ok(Ok((snapshot, writer.into_written())))
        }
        Err(error) => {
            sweep(store, &writer.into_written()).await;
            Err(error)
        }
    }
}

/// The new head, if the branch only went on from the old one.
fn went_on<'t>(table: &'t TableMetadata, lost: LostAppend<'_>) -> OrReason<Option<&'t Arc<Snapshot>>> {
    let snapshot = lost.snapshot;
    if snapshot.summary().operation != Operation::Append {
        return Err("it is no append".into());
    }
    if snapshot.parent_snapshot_id() != lost.base {
        return Err("its parent is not the head it demands".into());
    }
    if snapshot.encryption_key_id().is_some() {
        return Err("its manifest list is encrypted".into());
    }
    if table.snapshot_by_id(snapshot.snapshot_id()).is_some() {
        return Err("its snapshot is in the table".into());
    }
    let mut said = snapshot.summary().additional_properties.keys();
    if let Some(key) = said.find(|key| is_looked_for(key)) {
        return Err(format!(
            "its writer has to look whether what {key} says was done meanwhile"
        ));
    }
    let head = table.snapshot_for_ref(lost.branch);
    let mut at = head;
    for _ in 0..SNAPSHOTS_BEHIND_MAX {
        let id = at.map(|snapshot| snapshot.snapshot_id());
        if id == lost.base {
            return Ok(head);
        }
        let Some(snapshot) = at else { break };
        at = match snapshot.parent_snapshot_id() {
            None => None,
            Some(parent) => match table.snapshot_by_id(parent) {
                Some(parent) => Some(parent),
                None => return Err("the snapshots since are not all kept".into()),
            },
        };
    }
    Err("the branch was set back or replaced".into())
}

/// Whether writers that say this in a summary look for it in the history before each attempt: it keeps rows from coming twice. Picked
/// snapshots and published ones say whose rows they took.
fn is_looked_for(key: &str) -> bool {
    [SOURCE, PUBLISHED_WAP_ID].contains(&key) || key.starts_with(OFFSETS_OF_SINK)
}

async fn read_list(store: &FileStore, table: &TableMetadata, location: &str) -> Result<OrReason<Vec<ManifestFile>>> {
    if location.is_empty() {
        return Ok(Err("it has no manifest list".into()));
    }
    let bytes = store.size(location).await?;
    if bytes > READ_BYTES_MAX {
        return Ok(Err(format!(
            "its manifest list has {bytes} bytes, over {READ_BYTES_MAX}"
        )));
    }
    // Not through the cache: nobody reads it again.
    let bytes = store.get(location).await?;
    // What a client wrote badly is his fault and no damage of the table.
    let version = table.format_version();
    let read = location.to_owned();
    // One that is compressed may take seconds.
    let parsed = tokio::task::spawn_blocking(move || {
        manifest::unless_it_gives_up(&read, &bytes, Holds::Manifests, |plain| {
            ManifestList::parse_with_version(plain, version)
        })
    })
    .await;
    let Ok(list) = parsed.map_err(TableError::encode("read a manifest list"))? else {
        return Ok(Err("its manifest list cannot be read".to_owned()));
    };
    Ok(list
        .map(|list| list.consume_entries().into_iter().collect())
        .map_err(|error| format!("its manifest list cannot be read: {error}")))
}

fn lives(manifest: &ManifestFile) -> bool {
    manifest.has_added_files() || manifest.has_existing_files()
}

/// The manifests that the append brought, if the others are those that were there, all of them.
fn own_manifests(
    table: &TableMetadata,
    snapshot: &Snapshot,
    mine: Vec<ManifestFile>,
    before: &[ManifestFile],
) -> OrReason<Vec<ManifestFile>> {
    let (own, rest): (Vec<_>, Vec<_>) = mine
        .into_iter()
        .partition(|manifest| manifest.added_snapshot_id == snapshot.snapshot_id());
    let there: BTreeMap<&str, &ManifestFile> = before.iter().map(|one| (one.manifest_path.as_str(), one)).collect();
    let kept: BTreeSet<&str> = rest.iter().map(|one| one.manifest_path.as_str()).collect();
    if kept.iter().any(|path| !there.contains_key(path)) {
        return Err("it lists manifests that are neither its own nor the old head's".into());
    }
    if before
        .iter()
        .any(|one| lives(one) && !kept.contains(one.manifest_path.as_str()))
    {
        return Err("it rewrote or left out manifests of the old head".into());
    }
    if own.is_empty() || own.len() > OWN_MANIFESTS_MAX {
        return Err(format!("it has {} manifests of its own", own.len()));
    }
    let adds = |manifest: &ManifestFile| {
        manifest.content == ManifestContentType::Data
            && manifest.key_metadata.is_none()
            && table.partition_spec_by_id(manifest.partition_spec_id).is_some()
            && !manifest.has_existing_files()
            && !manifest.has_deleted_files()
    };
    match own.iter().all(adds) {
        true => Ok(own),
        false => Err("a manifest of its own does more than add data files of a known partition spec".into()),
    }
}

/// Entries that say their own sequence numbers or row ids cannot be given others by the list.
async fn only_adds(store: &FileStore, table: &TableMetadata, file: &ManifestFile) -> Result<OrReason<()>> {
    let path = &file.manifest_path;
    let bytes = store.size(path).await?;
    if bytes > READ_BYTES_MAX {
        return Ok(Err(format!(
            "its manifest {path} has {bytes} bytes, over {READ_BYTES_MAX}"
        )));
    }
    let bytes = store.get(path).await?;
    let read = path.clone();
    let parsed = tokio::task::spawn_blocking(move || {
        manifest::unless_it_gives_up(&read, &bytes, Holds::Files, Manifest::parse_avro)
    })
    .await;
    let parsed = match parsed.map_err(TableError::encode("read a manifest"))? {
        Ok(Ok(parsed)) => parsed,
        Err(_) => return Ok(Err(format!("its manifest {path} cannot be read"))),
        Ok(Err(error)) => return Ok(Err(format!("its manifest {path} cannot be read: {error}"))),
    };
    // Format 1 writes no sequence numbers; they are read as 0.
    let is_first = table.format_version() == FormatVersion::V1;
    let inherits = |number: Option<i64>| number.is_none_or(|number| is_first && number == 0);
    let plain = parsed.entries().iter().all(|entry| {
        entry.status() == ManifestStatus::Added
            && inherits(entry.sequence_number())
            && inherits(entry.file_sequence_number)
            && entry.data_file().first_row_id().is_none()
    });
    Ok(match plain {
        true => Ok(()),
        false => Err(format!(
            "an entry of its manifest {path} has a sequence number or row ids of its own"
        )),
    })
}

/// The manifest with what the list gives it, for this commit.
fn on_commit(mut own: ManifestFile, sequence: i64) -> ManifestFile {
    own.sequence_number = sequence;
    own.min_sequence_number = sequence;
    own.first_row_id = None;
    own
}

/// The summary with the totals of the new head.
fn carried_on(snapshot: &Snapshot, head: Option<&Snapshot>) -> HashMap<String, String> {
    let mut summary = snapshot.summary().additional_properties.clone();
    for (total, plus, minus) in TOTALS {
        if !summary.contains_key(total) {
            continue;
        }
        let number =
            |from: &HashMap<String, String>, name: &str| from.get(name).and_then(|text| text.parse::<u64>().ok());
        let before = match head {
            Some(head) => number(&head.summary().additional_properties, total),
            None => Some(0),
        };
        let (plus, minus) = (number(&summary, plus), number(&summary, minus));
        let after = before
            .and_then(|before| before.checked_add(plus.unwrap_or(0)))
            .and_then(|sum| sum.checked_sub(minus.unwrap_or(0)));
        match after {
            Some(after) => summary.insert(total.into(), after.to_string()),
            // Unknown from here on, as after a parent without it.
            None => summary.remove(total),
        };
    }
    summary
}

fn described(
    table: &TableMetadata,
    lost: &Snapshot,
    parent: Option<i64>,
    sequence: i64,
    list: String,
    row_ids: u64,
    summary: HashMap<String, String>,
) -> Snapshot {
    let builder = Snapshot::builder()
        .with_snapshot_id(lost.snapshot_id())
        .with_parent_snapshot_id(parent)
        .with_sequence_number(sequence)
        // History must not run backwards.
        .with_timestamp_ms(lost.timestamp_ms().max(table.last_updated_ms()))
        .with_manifest_list(list)
        .with_summary(Summary {
            operation: Operation::Append,
            additional_properties: summary,
        });
    let builder = builder.schema_id_opt(lost.schema_id());
    match table.format_version() {
        FormatVersion::V3 => builder.with_row_range(table.next_row_id(), row_ids).build(),
        _ => builder.build(),
    }
}
