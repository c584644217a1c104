//! How far a model has read its inputs. The state stands in the summary of the snapshot it belongs to, so rows and progress
//! are committed together.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::{SnapshotRef, TableMetadata};
use serde::{Deserialize, Serialize};
use tidewater_core::TableName;
use tidewater_table::CONSUMED_KEY;
use uuid::Uuid;

use crate::columns;
use crate::error::{PipelineError, Result};

/// Summary key of the state. Expiry reads it too, so that no input loses the snapshots from which the next run asks for changes.
pub const REFRESH_STATE_KEY: &str = CONSUMED_KEY;

/// Which state of an input the rows rest on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Watermark {
    /// The table; a table made anew under the same name is another one.
    pub uuid: Uuid,
    /// Its snapshot; none if it had none.
    pub snapshot_id: Option<i64>,
}

/// Which tombstones are those of a `cdc` model's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Generation {
    /// Of the full refresh that the rows go back to. Their tombstones bear it.
    pub id: Uuid,
    /// How often they were written, as far as these rows know.
    pub buried: u64,
}

/// Progress of a model, and what is needed to go on from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RefreshState {
    /// The model.
    pub model: TableName,
    /// What the model meant.
    pub fingerprint: String,
    /// `full` or `incremental`.
    pub mode: String,
    /// Time of the run as `run_ts()` told it, milliseconds since the Unix epoch.
    pub run_ms: i64,
    /// What was read.
    pub inputs: BTreeMap<TableName, Watermark>,
    /// `cdc`: the sequence of the newest truncate; changes that are not newer were removed by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<Vec<i64>>,
    /// `cdc`: columns that the source left out at least once.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub carried: BTreeSet<String>,
    /// `cdc`: the tombstones that belong to the rows. Earlier versions told none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// Columns that the table had beside the model's, which are others' to change. Earlier versions told none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub beside: BTreeSet<String>,
}

impl RefreshState {
    /// For a snapshot summary.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|source| PipelineError::State {
            model: self.model.clone(),
            source,
        })
    }

    /// The newest state in the table's history: snapshots of compaction carry none and are passed over.
    pub fn newest(model: &TableName, table: &TableMetadata) -> Result<Option<Self>> {
        let Some((_, json)) = told(table) else {
            return Ok(None);
        };
        let state = serde_json::from_str(json).map_err(|source| PipelineError::State {
            model: model.clone(),
            source,
        })?;
        Ok(Some(state))
    }

    /// A column of the model that the table has no longer, or under another name, since the run of this state, which is the newest.
    pub(crate) fn lost_column<'a>(&self, table: &'a TableMetadata) -> Option<&'a str> {
        let (snapshot, _) = told(table)?;
        let then = table.schema_by_id(snapshot.schema_id()?)?;
        let lost = columns::lost(then, table.current_schema());
        lost.filter(|name| !columns::is_within(name, &self.beside)).min()
    }
}

/// The newest snapshot of the table's history that tells a state, and what it tells.
fn told(table: &TableMetadata) -> Option<(&SnapshotRef, &str)> {
    let mut snapshot = table.current_snapshot();
    for _ in 0..table.snapshots().len() {
        let current = snapshot?;
        if let Some(json) = current.summary().additional_properties.get(REFRESH_STATE_KEY) {
            return Some((current, json.as_str()));
        }
        snapshot = current
            .parent_snapshot_id()
            .and_then(|parent| table.snapshot_by_id(parent));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: states written by this version can be read by later ones, and those of earlier ones by this. Method: golden texts, there and
    // back.
    #[test]
    fn golden_state() -> Result<(), Box<dyn std::error::Error>> {
        let earlier = r#"{"model":"silver.users","fingerprint":"f00","mode":"incremental","run-ms":7,"inputs":{"bronze.users":{"uuid":"00000000-0000-0000-0000-000000000001","snapshot-id":42}},"truncated":[9,4],"carried":["notes"]}"#;
        let generation = r#","generation":{"id":"00000000-0000-0000-0000-000000000002","buried":3}}"#;
        let golden = format!("{}{generation}", earlier.trim_end_matches('}'));
        let beside = format!(
            r#"{},"beside":["extra"]}}"#,
            golden.strip_suffix('}').unwrap_or_default()
        );
        for golden in [earlier, golden.as_str(), beside.as_str()] {
            let state: RefreshState = serde_json::from_str(golden)?;
            assert_eq!(state.to_json()?, golden);
        }
        Ok(())
    }
}
