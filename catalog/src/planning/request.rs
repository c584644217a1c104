//! What is asked for, and the same with nothing left open.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use iceberg::spec::{Schema, SchemaRef, TableMetadata};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::expression::{Filter, Names};
use crate::error::{CatalogError, Result};
use tidewater_table::Part;

/// Longest handle that is read: the longest that is given out, with room to spare.
const HANDLE_BYTES_MAX: usize = 256 << 10;

/// The body of `POST …/plan`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PlanRequest {
    snapshot_id: Option<i64>,
    #[serde(default)]
    select: Option<Vec<String>>,
    filter: Option<Value>,
    case_sensitive: Option<bool>,
    use_snapshot_schema: Option<bool>,
    start_snapshot_id: Option<i64>,
    end_snapshot_id: Option<i64>,
    #[serde(default)]
    stats_fields: Option<Vec<String>>,
}

/// A scan that means the same whenever and wherever it is planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pinned {
    /// The table's uuid: a name may come to mean another table.
    table: Uuid,
    /// None for a table without snapshots.
    pub(super) snapshot: Option<i64>,
    /// For a scan of appends: the snapshot after which they begin.
    pub(super) after: Option<i64>,
    schema: i32,
    filter: Option<Value>,
    case_sensitive: bool,
    /// Columns whose statistics are sent.
    pub(super) stats: Vec<i32>,
    /// None: all of it.
    pub(super) part: Option<Part>,
}

impl PlanRequest {
    /// Checks names and snapshots, and leaves nothing open.
    pub(crate) fn pin(self, table: &TableMetadata) -> Result<Pinned> {
        let wrong = |reason: &str| Err(CatalogError::bad_request(reason));
        let (snapshot, after) = match (self.snapshot_id, self.start_snapshot_id, self.end_snapshot_id) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                return wrong("a scan is of one snapshot or of the appends between two, not both");
            }
            (_, Some(_), None) => return wrong("start-snapshot-id needs an end-snapshot-id"),
            (_, None, Some(_)) => return wrong("end-snapshot-id needs a start-snapshot-id"),
            (None, Some(start), Some(end)) => (Some(end), Some(start)),
            (Some(snapshot), None, None) => (Some(snapshot), None),
            (None, None, None) => (table.current_snapshot().map(|snapshot| snapshot.snapshot_id()), None),
        };
        for id in snapshot.iter().chain(&after) {
            if table.snapshot_by_id(*id).is_none() {
                return Err(CatalogError::bad_request(format!("the table has no snapshot {id}")));
            }
        }
        let schema = match (self.use_snapshot_schema, snapshot) {
            (Some(true), Some(id)) => schema_of(table, id),
            _ => table.current_schema().clone(),
        };
        let case_sensitive = self.case_sensitive.unwrap_or(true);
        let names = Names {
            schema: &schema,
            case_sensitive,
        };
        for name in self.select.iter().flatten().filter(|name| *name != "*") {
            names.field(name)?;
        }
        let stats = self.stats_fields.iter().flatten();
        let stats: Result<Vec<i32>> = stats.map(|name| names.field(name).map(|field| field.id)).collect();
        if let Some(filter) = &self.filter {
            Filter::bind(filter, names)?;
        }
        Ok(Pinned {
            table: table.uuid(),
            snapshot,
            after,
            schema: schema.schema_id(),
            filter: self.filter,
            case_sensitive,
            stats: stats?,
            part: None,
        })
    }
}

/// The schema that a snapshot was written with.
fn schema_of(table: &TableMetadata, snapshot: i64) -> SchemaRef {
    let snapshot = table.snapshot_by_id(snapshot);
    let schema = snapshot.and_then(|snapshot| table.schema_by_id(snapshot.schema_id()?));
    schema.unwrap_or_else(|| table.current_schema()).clone()
}

impl Pinned {
    /// As a handle for clients.
    pub(super) fn handle(&self) -> Result<String> {
        let bytes = serde_json::to_vec(self).map_err(|error| CatalogError::internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a handle that was given out for this table; `what` it is stands in the error.
    pub(crate) fn read(handle: &str, what: &'static str, table: &TableMetadata) -> Result<Self> {
        let gone = || CatalogError::NoSuchPlan { what };
        if handle.len() > HANDLE_BYTES_MAX {
            return Err(gone());
        }
        let bytes = URL_SAFE_NO_PAD.decode(handle).map_err(|_| gone())?;
        let pinned: Self = serde_json::from_slice(&bytes).map_err(|_| gone())?;
        // A snapshot may have been expired since.
        let known = |id: &i64| table.snapshot_by_id(*id).is_some();
        let fits = pinned.table == table.uuid()
            && pinned.snapshot.iter().chain(&pinned.after).all(known)
            && table.schema_by_id(pinned.schema).is_some();
        match fits {
            true => Ok(pinned),
            false => Err(gone()),
        }
    }

    /// The filter, bound.
    pub(super) fn bound(&self, table: &TableMetadata) -> Result<Option<Filter>> {
        let Some(filter) = &self.filter else { return Ok(None) };
        let schema: &Schema = table
            .schema_by_id(self.schema)
            .ok_or_else(|| CatalogError::internal("the schema of a plan is gone"))?;
        let names = Names {
            schema,
            case_sensitive: self.case_sensitive,
        };
        Filter::bind(filter, names).map(Some)
    }

    /// The same scan, one part of it.
    pub(super) fn of_part(&self, part: Part) -> Self {
        Self {
            part: Some(part),
            ..self.clone()
        }
    }
}
