//! The next metadata of a table that exists.

use iceberg::TableUpdate;
use iceberg::spec::{FormatVersion, MAIN_BRANCH, Snapshot, TableMetadata};
use tidewater_table::{TableError, lost_source, refs_of};

use super::files::Files;
use super::retained::retained;
use super::row_ids::RowIds;
use super::spec_ids::SpecIds;
use super::time_fields;
use super::{TableWork, columns};
use crate::command::Ident;
use crate::error::{CatalogError, Result};

/// How far ahead of the catalog's clock a snapshot may be. The format allows this much between a snapshot and what follows it; one
/// further ahead would make every later commit by a right clock impossible until its time has come.
pub(super) const AHEAD_MS_MAX: i64 = 60_000;

/// How far a sequence number may be beyond the next one. A transaction may hold several snapshots; a number near the end of the range
/// would leave none for those after it.
const SEQUENCE_AHEAD_MAX: i64 = 1_000;

/// The table property by which older metadata files are deleted.
const DELETE_AFTER_COMMIT: &str = "write.metadata.delete-after-commit.enabled";

/// The next state of a table.
pub(super) struct Next {
    pub(super) metadata: TableMetadata,
    /// Metadata files that fell out of the log and may go once the next state counts.
    pub(super) expired: Vec<String>,
}

/// The metadata after the updates.
pub(super) fn apply(
    files: &Files<'_>,
    current: &TableMetadata,
    location: &str,
    work: &TableWork,
    now_ms: i64,
) -> Result<Next> {
    let warehouse = files.warehouse;
    let in_disguise = time_fields::needed(current, &work.updates);
    let begin = match in_disguise {
        true => time_fields::disguised(current)?,
        false => current.clone(),
    };
    // Where the table lies behind the commit, if it moves: what is written for it is there already.
    let moved = work.updates.iter().rev().find_map(|update| match update {
        TableUpdate::SetLocation { location } => Some(warehouse.accepted(location)),
        _ => None,
    });
    let moved = moved.transpose()?;
    let check = |file: &str| match (files.check(file), &moved) {
        (Err(_), Some(place)) => Files {
            location: place.as_str(),
            ..*files
        }
        .check(file),
        (checked, _) => checked,
    };
    let mut specs = SpecIds::of(&begin);
    let mut last_sequence = current.last_sequence_number();
    let mut builder = begin.into_builder(Some(location.to_owned()));
    let mut row_ids = RowIds::of(current);
    for update in work.updates.clone() {
        row_ids.check(&work.table, &update)?;
        let update = match update {
            TableUpdate::AssignUuid { uuid } if uuid != current.uuid() => {
                let reason = format!(
                    "commit to {} is not valid: the uuid of a table never changes",
                    work.table
                );
                return Err(CatalogError::bad_request(reason));
            }
            TableUpdate::SetLocation { location } => TableUpdate::SetLocation {
                location: warehouse.accepted(&location)?,
            },
            TableUpdate::AddSpec { spec } => {
                let spec = match in_disguise {
                    true => time_fields::disguised(&spec)?,
                    false => spec,
                };
                TableUpdate::AddSpec {
                    spec: specs.assign(&work.table, spec)?,
                }
            }
            TableUpdate::AddSnapshot { snapshot } => {
                check_time(&work.table, &snapshot, now_ms)?;
                check(snapshot.manifest_list())?;
                check_order(&work.table, current, last_sequence, &snapshot)?;
                check_source(work, current, &snapshot)?;
                last_sequence = last_sequence.max(snapshot.sequence_number());
                TableUpdate::AddSnapshot { snapshot }
            }
            TableUpdate::SetSnapshotRef { ref_name, reference } if ref_name == MAIN_BRANCH => {
                let reference = retained(work, current, reference)?;
                TableUpdate::SetSnapshotRef { ref_name, reference }
            }
            TableUpdate::SetStatistics { statistics } => {
                check(&statistics.statistics_path)?;
                TableUpdate::SetStatistics { statistics }
            }
            TableUpdate::SetPartitionStatistics { partition_statistics } => {
                check(&partition_statistics.statistics_path)?;
                TableUpdate::SetPartitionStatistics { partition_statistics }
            }
            update => update,
        };
        builder = update
            .apply(builder)
            .map_err(|error| CatalogError::from_iceberg(&work.table, &error))?;
    }
    let built = builder
        .build()
        .map_err(|error| CatalogError::from_iceberg(&work.table, &error))?;
    let metadata = match in_disguise {
        true => time_fields::revealed(&work.table, &built.metadata)?,
        false => built.metadata,
    };
    columns::check(&work.table, Some(current), &metadata)?;
    if metadata.location() != current.location() {
        files.check_location(&work.table, &warehouse.checked(metadata.location())?, work.choice)?;
    }
    check_names(work, current, &metadata)?;
    let adds_key = |update: &TableUpdate| matches!(update, TableUpdate::AddEncryptionKey { .. });
    if metadata.format_version() < FormatVersion::V3 && work.updates.iter().any(adds_key) {
        // They have no place in the older formats: the file would not hold them.
        let reason = format!(
            "commit to {} is not valid: encryption keys need format version 3",
            work.table
        );
        return Err(CatalogError::bad_request(reason));
    }
    let sets = |update: &TableUpdate| {
        matches!(
            update,
            TableUpdate::SetProperties { .. } | TableUpdate::SetLocation { .. }
        )
    };
    if work.updates.iter().any(sets) {
        warehouse.check_properties(metadata.location(), metadata.properties())?;
    }
    let deletes = metadata
        .properties()
        .get(DELETE_AFTER_COMMIT)
        .is_some_and(|value| value == "true");
    let expired = built.expired_metadata_logs.into_iter().map(|entry| entry.metadata_file);
    // A table that came from elsewhere may name files that are not its own.
    let own = format!("{}/metadata/", metadata.location());
    let expired = expired
        .filter(|file| deletes && file.starts_with(&own) && warehouse.checked(file).is_ok())
        .collect();
    Ok(Next { metadata, expired })
}

/// A branch or tag goes when a commit says so, not because its snapshot does: who removes snapshots has not seen a name that was given to
/// one of them meanwhile.
fn check_names(work: &TableWork, current: &TableMetadata, next: &TableMetadata) -> Result<()> {
    let removes = |update: &TableUpdate| matches!(update, TableUpdate::RemoveSnapshots { .. });
    if !work.updates.iter().any(removes) {
        return Ok(());
    }
    let read = |error: TableError| CatalogError::internal(error.to_string());
    let (before, after) = (refs_of(current).map_err(read)?, refs_of(next).map_err(read)?);
    let said = |name: &str| {
        let says =
            |update: &TableUpdate| matches!(update, TableUpdate::RemoveSnapshotRef { ref_name } if ref_name == name);
        work.updates.iter().any(says)
    };
    match before.keys().find(|name| !after.contains_key(*name) && !said(name)) {
        None => Ok(()),
        Some(name) => Err(CatalogError::CommitFailed {
            table: work.table.clone(),
            reason: format!("it removes the snapshot that {name} stands at"),
        }),
    }
}

/// Who takes the rows of a snapshot over takes its files over, which go when it expires: a lost race, which moves no branch.
fn check_source(work: &TableWork, current: &TableMetadata, snapshot: &Snapshot) -> Result<()> {
    let brings = |update: &TableUpdate, id: i64| match update {
        TableUpdate::AddSnapshot { snapshot } => snapshot.snapshot_id() == id,
        _ => false,
    };
    let lost = lost_source(current, snapshot);
    match lost.filter(|source| !work.updates.iter().any(|update| brings(update, *source))) {
        None => Ok(()),
        Some(source) => Err(CatalogError::CommitFailed {
            table: work.table.clone(),
            reason: format!("it takes the rows of snapshot {source}, which is gone"),
        }),
    }
}

/// A snapshot built on an older head is a lost race, not a wrong request: the writer has to plan again.
fn check_order(table: &Ident, metadata: &TableMetadata, last_sequence: i64, snapshot: &Snapshot) -> Result<()> {
    let failed = |reason: String| {
        Err(CatalogError::CommitFailed {
            table: table.clone(),
            reason,
        })
    };
    let version = metadata.format_version();
    let sequence = snapshot.sequence_number();
    if version != FormatVersion::V1 && sequence <= last_sequence && snapshot.parent_snapshot_id().is_some() {
        return failed(format!(
            "sequence number {sequence} is not after the table's last, {last_sequence}"
        ));
    }
    if sequence > last_sequence.saturating_add(SEQUENCE_AHEAD_MAX) {
        return Err(CatalogError::bad_request(format!(
            "commit to {table} is not valid: sequence number {sequence} is far beyond the table's last, {last_sequence}"
        )));
    }
    Ok(())
}

/// Refuses a snapshot from the future, and one with numbers that cannot be: the crate computes with them unchecked.
pub(super) fn check_time(table: &Ident, snapshot: &Snapshot, now_ms: i64) -> Result<()> {
    if snapshot.timestamp_ms() < 0 || snapshot.sequence_number() < 0 {
        return Err(CatalogError::bad_request(format!(
            "commit to {table} is not valid: its snapshot has a negative time or sequence number"
        )));
    }
    let ahead_ms = snapshot.timestamp_ms().saturating_sub(now_ms);
    if ahead_ms > AHEAD_MS_MAX {
        return Err(CatalogError::bad_request(format!(
            "commit to {table} is not valid: its snapshot is {ahead_ms} ms ahead of the catalog's clock, at most {AHEAD_MS_MAX} are allowed"
        )));
    }
    Ok(())
}
