//! Signing a client's requests to the object store.

use std::collections::BTreeMap;

use axum::extract::State;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde_json::json;

use super::Shared;
use super::extract::{Body, InTable};
use super::respond::{Answer, json as answered};
use crate::credentials::SignRequest;
use crate::error::CatalogError;

/// `POST /v1/namespaces/{namespace}/tables/{table}/sign`
pub(super) async fn sign(State(service): Shared, InTable(table): InTable, body: Body<SignRequest>) -> Answer {
    let row = service.table(&table).await?;
    let pointer = &row.pointer;
    let Some(delegate) = &service.delegate else {
        return Err(CatalogError::Unsupported {
            what: "signing requests".into(),
        });
    };
    let added = delegate.sign(&service.warehouse, &body.value, pointer.uuid, &pointer.location)?;
    let headers: BTreeMap<String, [String; 1]> = added.into_iter().map(|(name, value)| (name, [value])).collect();
    let mut response = answered(&json!({"uri": body.value.uri, "headers": headers}))?;
    // Each request gets a signature of its own: one that is kept would outlive the table's move or end.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
