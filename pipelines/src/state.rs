//! How far a model has read its inputs. The state stands in the summary of the snapshot it belongs to, so rows and progress
//! are committed together.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::TableMetadata;
use serde::{Deserialize, Serialize};
use tidewater_core::TableName;
use tidewater_table::CONSUMED_KEY;
use uuid::Uuid;

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
        let mut snapshot = table.current_snapshot();
        for _ in 0..table.snapshots().len() {
            let Some(current) = snapshot else { break };
            if let Some(json) = current.summary().additional_properties.get(REFRESH_STATE_KEY) {
                let state = serde_json::from_str(json).map_err(|source| PipelineError::State {
                    model: model.clone(),
                    source,
                })?;
                return Ok(Some(state));
            }
            snapshot = current
                .parent_snapshot_id()
                .and_then(|parent| table.snapshot_by_id(parent));
        }
        Ok(None)
    }
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
        for golden in [earlier, golden.as_str()] {
            let state: RefreshState = serde_json::from_str(golden)?;
            assert_eq!(state.to_json()?, golden);
        }
        Ok(())
    }
}
