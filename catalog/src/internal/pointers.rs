//! Where every table stands, all at one moment.

use std::sync::{Mutex, PoisonError};

use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use imbl::OrdMap;
use uuid::Uuid;

use crate::error::{CatalogError, Result};
use crate::rest::{Answer, Shared, is_known, json_bytes, not_modified, set_etag};
use crate::state::{Shared as Row, TableRow};
use tidewater_catalog_client::dto;

/// Most tables that are told of at once: some 35 MB. Far more than a lake has whose tools begin transactions.
const TABLES_MAX: usize = 100_000;

/// The catalog's tables, as its state keeps them.
type Rows = OrdMap<Uuid, Row<TableRow>>;

/// The answer of last time. While no table has moved, nobody has to wait until it is made again.
#[derive(Debug, Default)]
pub(crate) struct LastPointers(Mutex<Option<Told>>);

#[derive(Debug, Clone)]
struct Told {
    rows: Rows,
    /// Stands for the answer and for nothing else, whichever node gives it.
    tag: String,
    body: Bytes,
}

impl LastPointers {
    fn of(&self, rows: &Rows) -> Result<Told> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(told) = last.filter(|told| told.rows.ptr_eq(rows)) {
            return Ok(told);
        }
        let told = Told::of(rows)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(told.clone());
        Ok(told)
    }
}

impl Told {
    fn of(rows: &Rows) -> Result<Self> {
        if rows.len() > TABLES_MAX {
            return Err(CatalogError::TooLarge {
                what: "the list of all tables",
                limit: TABLES_MAX,
            });
        }
        let tables = rows.values().map(|row| dto::TablePointer {
            namespace: row.name.namespace.clone(),
            name: row.name.name.clone(),
            uuid: row.pointer.uuid,
            metadata_location: row.pointer.metadata_location.clone(),
            snapshot_id: row.pointer.snapshot_id,
        });
        let all = dto::TablePointers {
            tables: tables.collect(),
        };
        let body = serde_json::to_vec(&all).map_err(|error| CatalogError::internal(error.to_string()))?;
        Ok(Self {
            rows: rows.clone(),
            tag: format!("\"{}\"", blake3::hash(&body).to_hex()),
            body: body.into(),
        })
    }
}

/// `GET /internal/v1/pointers`: all tables in the state after one entry of the log.
pub(super) async fn list(State(service): Shared, headers: HeaderMap) -> Answer {
    let state = service.fresh_state().await?;
    let told = service.pointers.of(state.table_rows())?;
    if is_known(&headers, &told.tag) {
        return Ok(not_modified(&told.tag));
    }
    let mut response = json_bytes(StatusCode::OK, told.body);
    set_etag(&mut response, &told.tag);
    Ok(response)
}
