//! Takes the rows that a snapshot added onto another head, and publishes snapshots that were staged for an audit.

use std::collections::BTreeSet;

use iceberg::spec::{
    MAIN_BRANCH, ManifestContentType, ManifestStatus, Operation, Snapshot, SnapshotReference, SnapshotRetention,
    TableMetadata,
};

use super::head::ancestors;
use super::{Wish, fits, move_refs, refs_of, refused};
use crate::catalog::{Catalog, LoadedTable};
use crate::change::{Added, Change};
use crate::commit::{CommitOptions, commit_change};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::manifest;
use crate::scan::Scan;
use tidewater_core::TableName;

/// Summary key that names a staged snapshot.
pub(crate) const WAP_ID: &str = "wap.id";

/// Summary key of a snapshot that published a staged one.
pub(crate) const PUBLISHED_WAP_ID: &str = "published-wap-id";

/// Summary key of a snapshot that took the rows of another one.
pub(crate) const SOURCE: &str = "source-snapshot-id";

/// The table property without which nothing is staged.
const WAP_ENABLED: &str = "write.wap.enabled";

/// Each round lost means that somebody else committed to main in between.
const ROUNDS_MAX: u32 = 20;

/// Whether snapshots may be staged, to be published later.
pub fn is_wap_enabled(table: &TableMetadata) -> bool {
    let value = table.properties().get(WAP_ENABLED);
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The snapshots that were staged under an id and are not published, the oldest first.
pub fn staged_as(table: &TableMetadata, wap_id: &str) -> Vec<i64> {
    let said = |snapshot: &Snapshot, key| {
        let found = snapshot.summary().additional_properties.get(key);
        found.is_some_and(|id| id == wap_id)
    };
    let in_main: BTreeSet<i64> = ancestors(table, table.current_snapshot_id()).collect();
    let published = table
        .snapshots()
        .any(|snapshot| said(snapshot, PUBLISHED_WAP_ID) && in_main.contains(&snapshot.snapshot_id()));
    let mut found: Vec<_> = table
        .snapshots()
        .filter(|snapshot| said(snapshot, WAP_ID) && !published && !in_main.contains(&snapshot.snapshot_id()))
        .collect();
    found.sort_by_key(|snapshot| snapshot.timestamp_ms());
    found.iter().map(|snapshot| snapshot.snapshot_id()).collect()
}

/// The snapshot whose rows a new one takes, if the table has it no more: an expiry that was faster removed its files perhaps. Nothing
/// else of the table tells it, as an expiry moves no branch.
pub fn lost_source(table: &TableMetadata, made: &Snapshot) -> Option<i64> {
    let source = made.summary().additional_properties.get(SOURCE)?;
    let source = source.parse::<i64>().ok()?;
    table.snapshot_by_id(source).is_none().then_some(source)
}

/// A snapshot whose rows are in main.
#[derive(Debug, Clone)]
pub struct Picked {
    /// The table after it.
    pub table: LoadedTable,
    /// The snapshot of main that holds the rows: the picked one itself if main could be forwarded to it.
    pub snapshot_id: i64,
}

/// Brings into main what a snapshot added: one of another branch, one that was rolled back, one that was staged.
///
/// # Errors
/// If the snapshot did more than append and main is not where it began; if it is in main already, or was picked or published
/// before; if its rows cannot be read with the table's columns.
pub async fn cherry_pick(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    snapshot_id: i64,
) -> Result<Picked> {
    for _ in 0..ROUNDS_MAX {
        let missing = || TableError::TableNotFound { table: name.clone() };
        let table = catalog.load_table(name).await?.ok_or_else(missing)?;
        let metadata = &table.metadata;
        let head = metadata.current_snapshot_id();
        let picked = metadata
            .snapshot_by_id(snapshot_id)
            .ok_or(TableError::SnapshotNotFound { snapshot_id })?;
        if picked.parent_snapshot_id() == head {
            if let Some(table) = forward(catalog, store, name, head, snapshot_id).await? {
                return Ok(Picked { table, snapshot_id });
            }
            continue;
        }
        require_new(metadata, picked)?;
        let columns = fits::to_prove(metadata, picked)?;
        let added = added_files(store, metadata, picked).await?;
        require_absent(store, metadata, picked, &added).await?;
        fits::require_values(snapshot_id, &columns, added.iter().map(|added| &added.file))?;
        let mut change = Change::append(added)
            .read_at(head)
            .exact_head()
            .exact_schema(metadata.current_schema_id())
            .files_of(snapshot_id)
            .of_table(metadata.uuid())
            .property(SOURCE, snapshot_id.to_string());
        if let Some(id) = wap_id(picked) {
            change = change.property(PUBLISHED_WAP_ID, id);
        }
        match commit_change(catalog, store, name, &change, &CommitOptions::default()).await {
            Ok(committed) => {
                return Ok(Picked {
                    table: committed.table,
                    snapshot_id: committed.snapshot_id,
                });
            }
            // Main went on: whether the snapshot still fits is asked anew.
            Err(TableError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(TableError::Contention {
        table: name.clone(),
        attempts: ROUNDS_MAX,
    })
}

/// `None` if main went on in the meantime.
async fn forward(
    catalog: &dyn Catalog,
    store: &FileStore,
    name: &TableName,
    head: Option<i64>,
    to: i64,
) -> Result<Option<LoadedTable>> {
    let plan = |table: &TableMetadata| -> Result<Vec<Wish>> {
        if table.current_snapshot_id() != head {
            return Ok(Vec::new());
        }
        let there = refs_of(table)?.remove(MAIN_BRANCH);
        let retention = there.map_or_else(
            || SnapshotRetention::branch(None, None, None),
            |reference| reference.retention,
        );
        Ok(vec![(MAIN_BRANCH.into(), Some(SnapshotReference::new(to, retention)))])
    };
    let table = move_refs(catalog, store, name, &plan).await?;
    Ok((table.metadata.current_snapshot_id() == Some(to)).then_some(table))
}

fn wap_id(snapshot: &Snapshot) -> Option<&String> {
    snapshot.summary().additional_properties.get(WAP_ID)
}

/// Refuses what can't be picked, in the words of what stands against it.
fn require_new(table: &TableMetadata, picked: &Snapshot) -> Result<()> {
    let id = picked.snapshot_id();
    let what = || format!("picking snapshot {id}");
    if picked.summary().operation != Operation::Append {
        return Err(refused(
            what(),
            "it did more than append, and main is not where it began",
            "write the change anew on main",
        ));
    }
    let source = id.to_string();
    for ancestor in ancestors(table, table.current_snapshot_id()) {
        let Some(snapshot) = table.snapshot_by_id(ancestor) else {
            continue;
        };
        let said = &snapshot.summary().additional_properties;
        if ancestor == id {
            return Err(refused(what(), "it is in main already", "nothing is left to be done"));
        }
        if said.get(SOURCE) == Some(&source) {
            return Err(refused(
                what(),
                format!("snapshot {ancestor} took its rows already"),
                "nothing is left to be done",
            ));
        }
        let Some(wap_id) = wap_id(picked) else { continue };
        if [WAP_ID, PUBLISHED_WAP_ID]
            .iter()
            .any(|key| said.get(*key) == Some(wap_id))
        {
            return Err(refused(
                what(),
                format!("snapshot {ancestor} published {WAP_ID} {wap_id} already"),
                "nothing is left to be done",
            ));
        }
    }
    Ok(())
}

/// Refuses rows that are in main although no summary there names their snapshot: another one was picked that had taken them, or too much
/// of main's history is gone.
async fn require_absent(store: &FileStore, table: &TableMetadata, picked: &Snapshot, added: &[Added]) -> Result<()> {
    let live = Scan::new(store, table).with_deletes().plan().await?;
    let brought: BTreeSet<&str> = added.iter().map(|added| added.file.file_path()).collect();
    match live.iter().find(|file| brought.contains(file.path.as_str())) {
        None => Ok(()),
        Some(file) => Err(refused(
            format!("picking snapshot {}", picked.snapshot_id()),
            format!("its file {} is in main already", file.path),
            "nothing is left to be done",
        )),
    }
}

/// Files that a snapshot brought, as if they were new: row ids are given anew.
async fn added_files(store: &FileStore, table: &TableMetadata, picked: &Snapshot) -> Result<Vec<Added>> {
    let mut added = Vec::new();
    for file in manifest::list(store, table, Some(picked)).await? {
        if file.added_snapshot_id != picked.snapshot_id() || !file.has_added_files() {
            continue;
        }
        if file.content == ManifestContentType::Deletes {
            return Err(refused(
                format!("picking snapshot {}", picked.snapshot_id()),
                "it deleted rows",
                "write the change anew on main",
            ));
        }
        for entry in manifest::entries(store, &file).await?.iter() {
            if entry.status == ManifestStatus::Added && entry.snapshot_id == picked.snapshot_id() {
                let plain = manifest::without_first_row_id(&entry.file.whole(), entry.spec_id)?;
                added.push(Added::new(plain, entry.spec_id));
            }
        }
    }
    Ok(added)
}
