//! Several tables of one moment.

use axum::extract::State;
use bytes::{BufMut, BytesMut};
use http::StatusCode;
use serde::Deserialize;

use crate::command::Ident;
use crate::error::{CatalogError, Result};
use crate::rest::{Answer, Query, Shared, etag_of, json_bytes};
use tidewater_catalog_client::dto;

/// Most tables in one call: far more than a statement names, and their metadata is held in memory at once.
const TABLES_PER_CALL_MAX: usize = 256;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// A list of [`dto::WantedTable`] in JSON.
    wanted: String,
}

/// `GET /internal/v1/tables`: all of them in the state after one entry of the log.
pub(super) async fn load(State(service): Shared, Query(asked): Query<Asked>) -> Answer {
    let wanted: Vec<dto::WantedTable> =
        serde_json::from_str(&asked.wanted).map_err(|error| CatalogError::bad_request(error.to_string()))?;
    if wanted.len() > TABLES_PER_CALL_MAX {
        return Err(CatalogError::TooLarge {
            what: "the list of tables",
            limit: TABLES_PER_CALL_MAX,
        });
    }
    let state = service.fresh_state().await?;
    let mut body = BytesMut::from(&b"{\"tables\":["[..]);
    for (at, table) in wanted.into_iter().enumerate() {
        if at > 0 {
            body.put_u8(b',');
        }
        let name = Ident {
            namespace: table.namespace,
            name: table.name,
        };
        let Some(row) = state.table(&name) else {
            body.put_slice(b"null");
            continue;
        };
        let location = &row.pointer.metadata_location;
        body.put_slice(b"{\"metadata-location\":");
        body.put_slice(&text(location)?);
        body.put_slice(b",\"etag\":");
        body.put_slice(&text(&etag_of(location))?);
        body.put_slice(b",\"metadata\":");
        if table.known.as_ref() == Some(location) {
            service.cache.require(location).await?;
            body.put_slice(b"null");
        } else {
            body.put_slice(service.cache.load(location).await?.raw());
        }
        body.put_u8(b'}');
    }
    body.put_slice(b"]}");
    Ok(json_bytes(StatusCode::OK, body.freeze()))
}

fn text(value: &str) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| CatalogError::internal(error.to_string()))
}
