//! Which snapshot a name such as `people@5`, `people@audit` or `people@@1767225600000` means.

use std::collections::BTreeMap;

use tidewater_core::config::nearest;
use tidewater_table::iceberg::spec::TableMetadata;
use tidewater_table::{LoadedTable, TableError, is_before_replacement};

use crate::error::{EngineError, Result};
use crate::session::MOMENT;

/// The branch that a table without a version is read from.
const MAIN: &str = "main";

/// A state of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// As it is now.
    Current,
    /// A snapshot, with the columns that it was written with.
    Snapshot(i64),
    /// The newest snapshot of a branch, with the table's current columns.
    Branch(i64),
}

impl Version {
    /// The snapshot, if one was asked for.
    pub(crate) fn snapshot_id(self) -> Option<i64> {
        match self {
            Self::Current => None,
            Self::Snapshot(id) | Self::Branch(id) => Some(id),
        }
    }
}

/// A name that a table has for one of its snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) snapshot_id: i64,
    pub(crate) is_branch: bool,
    pub(crate) max_reference_age_ms: Option<i64>,
    pub(crate) min_snapshots_to_keep: Option<i64>,
    pub(crate) max_snapshot_age_ms: Option<i64>,
}

/// The state that `version` names. A branch that was left behind when the table was replaced is a snapshot like others.
pub(crate) fn resolve(table: &LoadedTable, version: &str) -> Result<Version> {
    let metadata = &table.metadata;
    if let Some(milliseconds) = version.strip_prefix(MOMENT) {
        let Ok(at_ms) = milliseconds.parse() else {
            return Err(unknown(table, version)?);
        };
        return Ok(Version::Snapshot(at(table, at_ms)?));
    }
    let number = version.parse::<i64>().ok();
    if let Some(snapshot_id) = number.filter(|id| metadata.snapshot_by_id(*id).is_some()) {
        return Ok(Version::Snapshot(snapshot_id));
    }
    if let Some(head) = metadata.snapshot_for_ref(version)
        && let Some(reference) = references(metadata)?.get(version)
    {
        return Ok(match reference.is_branch && !is_before_replacement(metadata, head) {
            true => Version::Branch(reference.snapshot_id),
            false => Version::Snapshot(reference.snapshot_id),
        });
    }
    match number {
        Some(snapshot_id) => Err(TableError::SnapshotNotFound { snapshot_id }.into()),
        // The main branch of a table without any snapshot is not written down.
        None if version == MAIN && metadata.current_snapshot_id().is_none() => Ok(Version::Current),
        None => Err(unknown(table, version)?),
    }
}

fn unknown(table: &LoadedTable, version: &str) -> Result<EngineError> {
    let references = references(&table.metadata)?;
    let known: Vec<&str> = references.keys().map(String::as_str).collect();
    Ok(EngineError::VersionNotFound {
        table: table.name.clone(),
        version: version.into(),
        nearest: nearest(version, &known).map(str::to_owned),
    })
}

/// The snapshot that was the current one then.
fn at(table: &LoadedTable, at_ms: i64) -> Result<i64> {
    let log = table.metadata.history();
    let newest = log.iter().rev().find(|entry| entry.timestamp_ms() <= at_ms);
    match newest {
        Some(entry) => Ok(entry.snapshot_id),
        None => Err(EngineError::BeforeHistory {
            table: table.name.clone(),
            at: told(at_ms),
            oldest: log.first().map(|entry| told(entry.timestamp_ms())),
        }),
    }
}

fn told(milliseconds: i64) -> String {
    match chrono::DateTime::from_timestamp_millis(milliseconds) {
        Some(moment) => moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        None => format!("{milliseconds} ms"),
    }
}

/// All branches and tags. The metadata library shows them one by one only, its JSON all of them.
pub(crate) fn references(table: &TableMetadata) -> Result<BTreeMap<String, Reference>> {
    let json = serde_json::to_value(table).map_err(|error| {
        EngineError::Table(TableError::Damaged {
            reason: error.to_string(),
        })
    })?;
    let all = json.get("refs").and_then(serde_json::Value::as_object);
    let all = all.into_iter().flatten().filter_map(|(name, value)| {
        let number = |key: &str| value.get(key).and_then(serde_json::Value::as_i64);
        let reference = Reference {
            snapshot_id: number("snapshot-id")?,
            is_branch: value.get("type").and_then(serde_json::Value::as_str) != Some("tag"),
            max_reference_age_ms: number("max-ref-age-ms"),
            min_snapshots_to_keep: number("min-snapshots-to-keep"),
            max_snapshot_age_ms: number("max-snapshot-age-ms"),
        };
        Some((name.clone(), reference))
    });
    Ok(all.collect())
}
