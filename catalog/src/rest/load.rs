//! Loading a table: raw bytes from the cache, with an ETag.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::extract::{InTable, Query};
use super::respond::{Answer, json_bytes, no_content};
use crate::credentials::{Grant, Wish};
use crate::error::{CatalogError, Result};
use crate::metadata::CachedMetadata;

/// Which snapshots are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Snapshots {
    /// Every one.
    #[default]
    All,
    /// Those that a branch or tag names.
    Refs,
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    snapshots: Snapshots,
}

/// `GET /v1/namespaces/{namespace}/tables/{table}`
pub(super) async fn load(
    State(service): Shared,
    InTable(table): InTable,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Answer {
    let row = service.table(&table).await?;
    let location = &row.pointer.metadata_location;
    let tag = etag(location, wanted.snapshots);
    if is_known(&headers, &tag) {
        service.cache.require_local(location).await?;
        return Ok(not_modified(&tag));
    }
    service.cache.require(location).await?;
    let file = service.cache.load(location).await?;
    let grant = service
        .grant(Wish::of(&headers), &row.name, row.pointer.uuid, &row.pointer.location)
        .await?;
    table_answer(&file, wanted.snapshots, &grant)
}

/// `HEAD /v1/namespaces/{namespace}/tables/{table}`
pub(super) async fn exists(State(service): Shared, InTable(table): InTable) -> Answer {
    service.table(&table).await?;
    Ok(no_content())
}

/// A table as clients get it.
pub(super) fn table_answer(file: &CachedMetadata, snapshots: Snapshots, grant: &Grant) -> Answer {
    let metadata = match snapshots {
        Snapshots::All => file.raw().clone(),
        Snapshots::Refs => file.refs_only()?,
    };
    let access = access(grant)?;
    let mut response = json_bytes(StatusCode::OK, splice(Some(file.location()), &metadata, &access)?);
    set_etag(&mut response, &etag(file.location(), snapshots));
    Ok(response)
}

/// A view as clients get it.
pub(super) fn view_answer(file: &CachedMetadata) -> Answer {
    let body = splice(Some(file.location()), file.raw(), ",\"config\":{}")?;
    Ok(json_bytes(StatusCode::OK, body))
}

/// A table that is no longer the catalog's: what another catalog needs to register it.
pub(super) fn unregistered_answer(file: &CachedMetadata) -> Answer {
    let body = splice(Some(file.location()), file.raw(), "")?;
    Ok(json_bytes(StatusCode::OK, body))
}

/// A staged table: it has no file yet.
pub(super) fn staged_answer(metadata: &[u8], grant: &Grant) -> Answer {
    Ok(json_bytes(StatusCode::OK, splice(None, metadata, &access(grant)?)?))
}

/// Puts the metadata's own bytes into the answer, further `members` after them.
fn splice(location: Option<&str>, metadata: &[u8], members: &str) -> Result<Bytes> {
    let location = written(&location)?;
    let mut body = BytesMut::with_capacity(metadata.len() + location.len() + members.len() + 64);
    body.put_slice(b"{\"metadata-location\":");
    body.put_slice(location.as_bytes());
    body.put_slice(b",\"metadata\":");
    body.put_slice(metadata);
    body.put_slice(members.as_bytes());
    body.put_u8(b'}');
    Ok(body.freeze())
}

/// The tag of a table with all its snapshots, as [`load`] sends it.
pub(crate) fn etag_of(metadata_location: &str) -> String {
    etag(metadata_location, Snapshots::All)
}

/// How the client reaches the table's files, as members of the answer.
fn access(grant: &Grant) -> Result<String> {
    let mut members = format!(",\"config\":{}", written(&grant.config)?);
    if !grant.credentials.is_empty() {
        members += &format!(",\"storage-credentials\":{}", written(&grant.credentials)?);
    }
    if let Some(properties) = &grant.signing {
        members += &format!(",\"remote-signing-config\":{{\"properties\":{}}}", written(properties)?);
    }
    Ok(members)
}

fn written<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| CatalogError::internal(error.to_string()))
}

/// Changes with the metadata file, and differs between the two ways to send it.
fn etag(metadata_location: &str, snapshots: Snapshots) -> String {
    let hash = blake3::hash(metadata_location.as_bytes()).to_hex();
    let mode = match snapshots {
        Snapshots::All => "all",
        Snapshots::Refs => "refs",
    };
    format!("\"{}-{mode}\"", hash.get(..16).unwrap_or(&hash))
}

/// Whether the client has what this tag stands for.
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut tags = given.flat_map(|value| value.split(','));
    tags.any(|given| given.trim().trim_start_matches("W/") == tag)
}

/// That the client has it.
pub(crate) fn not_modified(tag: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    set_etag(&mut response, tag);
    response
}

/// Puts the tag of an answer on it.
pub(crate) fn set_etag(response: &mut Response, tag: &str) {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
}
