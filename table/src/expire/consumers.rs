//! Who reads a table's changes, and how far they have come: snapshots that they have not read stay.
//!
//! A consumer is a table whose newest snapshots say, under [`CONSUMED_KEY`], from which snapshots of its inputs its rows come. So it is
//! registered by what it commits, and no longer when it is dropped.

use std::collections::BTreeMap;

use iceberg::spec::TableMetadata;
use serde::Deserialize;
use tidewater_core::TableName;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::error::Result;
use crate::marks::MODEL_KIND_KEY;

/// Key of a snapshot's summary: JSON with `inputs`, which has for each table its `uuid` and `snapshot-id`.
pub const CONSUMED_KEY: &str = "tidewater.refresh-state";

/// Whoever has committed nothing for so long is not waited for.
const SILENT_MAX_MS: i64 = 7 * 24 * 3_600_000;

/// Tables that are loaded at a time.
const LOADS_MAX: usize = 100;

/// The consumers of a catalog's tables.
#[derive(Debug, Clone, Default)]
pub struct Consumers {
    /// The snapshots that were read last.
    read: BTreeMap<Uuid, Vec<i64>>,
}

#[derive(Deserialize)]
struct Consumed {
    inputs: BTreeMap<String, Input>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Input {
    uuid: Uuid,
    snapshot_id: Option<i64>,
}

impl Consumers {
    /// Those of all tables, which are loaded for it.
    pub async fn of(catalog: &dyn Catalog, now_ms: i64) -> Result<Self> {
        let mut names: Vec<TableName> = Vec::new();
        for namespace in catalog.list_namespaces().await? {
            names.extend(catalog.list_tables(&namespace).await?);
        }
        let mut consumers = Self::default();
        for some in names.chunks(LOADS_MAX) {
            for table in catalog.load_tables(some).await?.into_iter().flatten() {
                consumers.note(&table.metadata, now_ms);
            }
        }
        Ok(consumers)
    }

    /// Takes note of what a table has consumed, if it has anything.
    pub fn note(&mut self, table: &TableMetadata, now_ms: i64) {
        // It is made anew of its inputs as they are, and needs no older snapshot.
        if table
            .properties()
            .get(MODEL_KIND_KEY)
            .is_some_and(|kind| kind == "table")
        {
            return;
        }
        let mut at = table.current_snapshot();
        for _ in 0..table.snapshots().len() {
            let Some(snapshot) = at else { return };
            if now_ms.saturating_sub(snapshot.timestamp_ms()) > SILENT_MAX_MS {
                return;
            }
            // Compactions say nothing of it.
            let said = snapshot.summary().additional_properties.get(CONSUMED_KEY);
            if let Some(consumed) = said.and_then(|json| serde_json::from_str::<Consumed>(json).ok()) {
                for input in consumed.inputs.into_values() {
                    self.read.entry(input.uuid).or_default().extend(input.snapshot_id);
                }
                return;
            }
            at = snapshot.parent_snapshot_id().and_then(|id| table.snapshot_by_id(id));
        }
    }

    /// How many of main's newest snapshots they need: up to the oldest that one of them has read last, from which on it asks for
    /// changes. 0 where nobody reads.
    pub fn need(&self, table: &TableMetadata) -> u32 {
        let Some(read) = self.read.get(&table.uuid()) else {
            return 0;
        };
        let (mut need, mut count) = (0, 0);
        let mut at = table.current_snapshot();
        while let Some(snapshot) = at {
            count += 1;
            if read.contains(&snapshot.snapshot_id()) {
                need = count;
            }
            at = snapshot.parent_snapshot_id().and_then(|id| table.snapshot_by_id(id));
        }
        need
    }
}
