//! The body of `append-files`, and what must hold of it alone.

use std::collections::{BTreeMap, BTreeSet};

use iceberg::spec::{PartitionSpecRef, TableMetadata};
use serde::Deserialize;

use super::{Append, DataFileJson, FILES_PER_REQUEST_MAX, summary};
use crate::command::{Ident, ProducerRange};
use crate::error::{CatalogError, Result};
use crate::state::TableRow;
use crate::warehouse::Warehouse;

/// Longest name of a producer: names of hosts and topics end there.
const PRODUCER_BYTES_MAX: usize = 255;

/// The body.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct AppendRequest {
    producer_id: String,
    range: RangeJson,
    data_files: Vec<DataFileJson>,
    #[serde(default)]
    summary: Option<BTreeMap<String, String>>,
}

/// From the first position up to, and without, the last.
#[derive(Debug, Deserialize)]
struct RangeJson {
    from: u64,
    to: u64,
}

impl AppendRequest {
    /// Who appends, and what of his input.
    pub(super) fn range(&self, table: &Ident) -> Result<ProducerRange> {
        let wrong = |reason: String| Err(CatalogError::bad_request(format!("append to {table}: {reason}")));
        let producer = &self.producer_id;
        if producer.is_empty() || producer.len() > PRODUCER_BYTES_MAX || producer.chars().any(char::is_control) {
            return wrong(format!(
                "a producer-id has 1 to {PRODUCER_BYTES_MAX} bytes and no control characters"
            ));
        }
        let RangeJson { from, to } = self.range;
        if from >= to {
            return wrong(format!(
                "the range {from} to {to} holds nothing; `to` is one past its last position"
            ));
        }
        Ok(ProducerRange {
            producer: producer.clone(),
            from,
            to,
        })
    }

    /// The files, if all of them can join the table as it is.
    pub(super) fn checked(
        self,
        range: ProducerRange,
        table: &Ident,
        row: &TableRow,
        metadata: &TableMetadata,
        warehouse: &Warehouse,
    ) -> Result<Append> {
        if self.data_files.is_empty() {
            return Err(CatalogError::bad_request(format!("append to {table}: no data-files")));
        }
        if self.data_files.len() > FILES_PER_REQUEST_MAX {
            return Err(CatalogError::TooLarge {
                what: "the number of files in one append",
                limit: FILES_PER_REQUEST_MAX,
            });
        }
        let summary = summary::checked(self.summary.unwrap_or_default())?;
        let mut specs: BTreeMap<i32, PartitionSpecRef> = BTreeMap::new();
        let mut paths: BTreeSet<String> = BTreeSet::new();
        let mut files = Vec::with_capacity(self.data_files.len());
        for file in self.data_files {
            let path = file.path().to_owned();
            let refused = |reason| CatalogError::bad_data_file(table, &path, reason);
            if warehouse.file_below(&row.pointer.location, &path).is_none() {
                return Err(refused(format!(
                    "it does not lie in the table's location {}",
                    row.pointer.location
                )));
            }
            let (added, spec) = file.into_added(metadata).map_err(refused)?;
            if !paths.insert(path.clone()) {
                return Err(CatalogError::bad_data_file(table, &path, "it is named twice".into()));
            }
            specs.insert(spec.spec_id(), spec);
            files.push(added);
        }
        Ok(Append {
            range,
            table: row.id,
            location: row.pointer.location.clone(),
            files,
            specs: specs.into_values().collect(),
            summary,
        })
    }
}
