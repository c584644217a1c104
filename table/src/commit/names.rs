//! Where a snapshot goes: which branch must stand still for it, which name it gets, and which snapshots go for it.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::{MAIN_BRANCH, Snapshot, SnapshotReference, SnapshotRetention, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};

use crate::change::{Change, Target};
use crate::error::Result;
use crate::refs;

/// A tag is not written to, nor a branch that was left behind when the table was replaced, and nothing is staged where the table does
/// not allow it.
pub(super) fn require_target(table: &TableMetadata, change: &Change) -> Result<()> {
    match &change.target {
        Target::Main => Ok(()),
        Target::Branch(name) => {
            refs::require_names(table)?;
            let head = table.snapshot_for_ref(name);
            match head.is_some() && refs::refs_of(table)?.get(name).is_some_and(|named| !named.is_branch()) {
                true => Err(refs::refused(
                    format!("writing to {name}"),
                    "it is a tag",
                    "write to a branch",
                )),
                false if head.is_some_and(|head| refs::is_before_replacement(table, head)) => {
                    Err(refs::before_replacement(name))
                }
                false => Ok(()),
            }
        }
        Target::Staged(_) if refs::is_wap_enabled(table) => Ok(()),
        Target::Staged(id) => Err(refs::refused(
            format!("staging a snapshot as {id}"),
            "the table does not allow it",
            "set write.wap.enabled to true",
        )),
    }
}

pub(super) fn requirements(table: &TableMetadata, target: &Target) -> Vec<TableRequirement> {
    vec![
        TableRequirement::UuidMatch { uuid: table.uuid() },
        TableRequirement::RefSnapshotIdMatch {
            r#ref: target.branch().into(),
            snapshot_id: target.head(table),
        },
    ]
}

/// The same of a change, and what its conditions add.
pub(super) fn requirements_of(table: &TableMetadata, change: &Change) -> Vec<TableRequirement> {
    let mut requirements = requirements(table, &change.target);
    // A change of columns moves no branch. Whoever loses to one looks again whether the files fit.
    if change.conditions.schema.is_some() {
        requirements.push(TableRequirement::CurrentSchemaIdMatch {
            current_schema_id: table.current_schema_id(),
        });
    }
    requirements
}

pub(super) fn updates(
    table: &TableMetadata,
    snapshot: Snapshot,
    target: &Target,
    keep: Option<u32>,
) -> Result<Vec<TableUpdate>> {
    let snapshot_id = snapshot.snapshot_id();
    let mut updates = vec![TableUpdate::AddSnapshot { snapshot }];
    let names = refs::refs_of(table)?;
    if !matches!(target, Target::Staged(_)) {
        let ref_name = target.branch().to_owned();
        let retention = match names.get(&ref_name) {
            Some(there) => there.retention.clone(),
            None => SnapshotRetention::branch(None, None, None),
        };
        let reference = SnapshotReference::new(snapshot_id, retention);
        updates.push(TableUpdate::SetSnapshotRef { ref_name, reference });
    }
    let snapshot_ids = match (keep, target) {
        // The new snapshot is one of them.
        (Some(keep), Target::Main) => expired_snapshots(table, &names, keep.saturating_sub(1), None),
        _ => Vec::new(),
    };
    if !snapshot_ids.is_empty() {
        updates.push(TableUpdate::RemoveSnapshots { snapshot_ids });
    }
    Ok(updates)
}

/// Snapshots beyond the newest `keep` of the main branch. Kept as well are what tags name, what other branches have of their
/// own (at `now_ms`, if it is told, no more than their retention says), and what is staged and as young as the oldest of main's, or
/// at all where nothing of main goes.
pub(crate) fn expired_snapshots(
    table: &TableMetadata,
    names: &BTreeMap<String, SnapshotReference>,
    keep: u32,
    now_ms: Option<i64>,
) -> Vec<i64> {
    let mut kept: BTreeSet<i64> = BTreeSet::new();
    let (mut at, mut oldest_ms) = (table.current_snapshot(), i64::MAX);
    while let Some(snapshot) = at.filter(|_| kept.len() < keep as usize) {
        kept.insert(snapshot.snapshot_id());
        oldest_ms = oldest_ms.min(snapshot.timestamp_ms());
        at = snapshot.parent_snapshot_id().and_then(|id| table.snapshot_by_id(id));
    }
    if at.is_none() {
        // Where nothing of main goes, nothing is too old to wait: what is staged for a table without rows, too.
        oldest_ms = i64::MIN;
    }
    if table.snapshots().len() == kept.len() {
        return Vec::new();
    }
    // What main came from goes first; from there on a branch has nothing of its own.
    let mut of_main: BTreeSet<i64> = kept.clone();
    while let Some(snapshot) = at {
        of_main.insert(snapshot.snapshot_id());
        at = snapshot.parent_snapshot_id().and_then(|id| table.snapshot_by_id(id));
    }
    for (name, named) in names {
        if name == MAIN_BRANCH {
            continue;
        }
        kept.insert(named.snapshot_id);
        if !named.is_branch() {
            continue;
        }
        let mut at = table.snapshot_by_id(named.snapshot_id);
        let mut count = 0;
        while let Some(snapshot) = at.filter(|snapshot| !of_main.contains(&snapshot.snapshot_id())) {
            if now_ms.is_some_and(|now_ms| is_past(&named.retention, snapshot, count, now_ms)) {
                break;
            }
            kept.insert(snapshot.snapshot_id());
            count += 1;
            at = snapshot.parent_snapshot_id().and_then(|id| table.snapshot_by_id(id));
        }
    }
    let is_staged = |snapshot: &Snapshot| {
        snapshot.summary().additional_properties.contains_key(refs::WAP_ID)
            && !of_main.contains(&snapshot.snapshot_id())
            && snapshot.timestamp_ms() >= oldest_ms
    };
    let old = table
        .snapshots()
        .filter(|snapshot| !kept.contains(&snapshot.snapshot_id()) && !is_staged(snapshot));
    old.map(|snapshot| snapshot.snapshot_id()).collect()
}

/// Whether a branch's retention lets a snapshot of it go that has so many newer ones. One that says nothing lets none go.
fn is_past(retention: &SnapshotRetention, snapshot: &Snapshot, newer: i32, now_ms: i64) -> bool {
    let SnapshotRetention::Branch {
        min_snapshots_to_keep,
        max_snapshot_age_ms,
        ..
    } = retention
    else {
        return false;
    };
    let old = max_snapshot_age_ms.map(|age_ms| now_ms.saturating_sub(snapshot.timestamp_ms()) > age_ms);
    let many = min_snapshots_to_keep.map(|least| newer >= least.max(1));
    match (old, many) {
        (None, None) => false,
        (old, many) => newer > 0 && old.unwrap_or(true) && many.unwrap_or(true),
    }
}
