//! Snapshots that are named to go.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::{SnapshotReference, TableMetadata};

use crate::error::{Result, TableError};
use crate::refs::{SOURCE, refused};

/// Adds named snapshots to those that leave anyway, where `names` are the branches and tags that stay.
///
/// # Errors
/// If one is not there, is what a branch or tag names, or took the rows of one that stays. And if it stands between others that stay: whoever follows a history goes
/// from each snapshot to the one before it, and would take those before a gap for none of it.
pub(super) fn add(
    table: &TableMetadata,
    names: &BTreeMap<String, SnapshotReference>,
    named: &[i64],
    leaving: &mut Vec<i64>,
) -> Result<()> {
    for id in named {
        if table.snapshot_by_id(*id).is_none() {
            return Err(TableError::SnapshotNotFound { snapshot_id: *id });
        }
        let by = names.iter().find(|(_, reference)| reference.snapshot_id == *id);
        let by = by.map(|(name, _)| name.as_str());
        // Version 1 has no names that are told.
        let by = by.or_else(|| (table.current_snapshot_id() == Some(*id)).then_some("the table"));
        if let Some(by) = by {
            return Err(refused(
                format!("expiring snapshot {id}"),
                format!("{by} stands at it"),
                "drop the branch or tag first, or let it stand elsewhere",
            ));
        }
        if !leaving.contains(id) {
            leaving.push(*id);
        }
    }
    let gone: BTreeSet<i64> = leaving.iter().copied().collect();
    for id in named {
        if let Some(source) = source_of(table, *id).filter(|source| !gone.contains(source)) {
            return Err(refused(
                format!("expiring snapshot {id}"),
                format!("it alone tells that the rows of snapshot {source} are in the table"),
                "name that one as well",
            ));
        }
        let is_followed = table
            .snapshots()
            .any(|other| other.parent_snapshot_id() == Some(*id) && !gone.contains(&other.snapshot_id()));
        if is_followed && let Some(older) = older(table, names, &gone, *id) {
            return Err(refused(
                format!("expiring snapshot {id}"),
                format!("it stands between snapshot {older} and later ones, which all stay"),
                "name the older ones as well, or tell older_than",
            ));
        }
    }
    Ok(())
}

/// The snapshot whose rows this one took, if it is still there: it would be taken again.
fn source_of(table: &TableMetadata, id: i64) -> Option<i64> {
    let snapshot = table.snapshot_by_id(id)?;
    let source = snapshot.summary().additional_properties.get(SOURCE)?;
    let source = source.parse::<i64>().ok()?;
    table.snapshot_by_id(source).map(|source| source.snapshot_id())
}

/// The next snapshot before this one that stays for the sake of what came after it. What a branch or tag stands at stays by itself.
fn older(
    table: &TableMetadata,
    names: &BTreeMap<String, SnapshotReference>,
    gone: &BTreeSet<i64>,
    id: i64,
) -> Option<i64> {
    let before = |id: i64| {
        table
            .snapshot_by_id(id)
            .and_then(|snapshot| snapshot.parent_snapshot_id())
    };
    let mut at = before(id);
    while let Some(id) = at {
        // It may have gone long ago.
        table.snapshot_by_id(id)?;
        let is_named = names.values().any(|reference| reference.snapshot_id == id);
        if !gone.contains(&id) && !is_named {
            return Some(id);
        }
        at = before(id);
    }
    None
}
