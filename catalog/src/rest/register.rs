//! Registering a metadata file as a table.

use std::sync::Arc;

use axum::extract::State;
use http::HeaderMap;
use serde::Deserialize;

use super::Shared;
use super::extract::{Body, InNamespace};
use super::respond::Answer;
use super::tables::answer_committed;
use crate::command::{Expect, Ident, Op, Outcome, Pointer, TableChange};
use crate::credentials::Wish;
use crate::error::{CatalogError, Result};
use crate::metadata::Head;
use crate::names::checked_ident;
use crate::service::{Service, Ticket, require_namespace};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Register {
    name: String,
    metadata_location: String,
    #[serde(default)]
    overwrite: Option<bool>,
}

/// `POST /v1/namespaces/{namespace}/register`
pub(super) async fn register(
    State(service): Shared,
    InNamespace(namespace): InNamespace,
    headers: HeaderMap,
    body: Body<Register>,
) -> Answer {
    let table = checked_ident(namespace, body.value.name)?;
    // Checked before anything is read: a file outside of the warehouse is none of the client's business.
    let location = service.warehouse.checked(&body.value.metadata_location)?;
    if !location.ends_with(".metadata.json") {
        return Err(CatalogError::bad_request("a metadata file is named *.metadata.json"));
    }
    let overwrite = body.value.overwrite.unwrap_or(false);
    let ticket = body.ticket;
    let worker = Arc::clone(&service);
    let made = table.clone();
    let run = async move {
        worker
            .once(&ticket, run(&worker, &ticket, table, location, overwrite))
            .await
    };
    let outcome = service.detached("register", run).await?;
    answer_committed(&service, outcome, Some((&made, Wish::of(&headers)))).await
}

async fn run(service: &Service, ticket: &Ticket, table: Ident, location: String, overwrite: bool) -> Result<Outcome> {
    let state = service.fresh_state().await?;
    require_namespace(&state, &table.namespace)?;
    if state.table(&table).is_some() && !overwrite {
        return Err(CatalogError::TableExists { table });
    }
    let _turn = service.queue.turn([&table]).await?;
    let file = match service.cache.load(&location).await {
        Err(CatalogError::Damaged { reason, .. }) => {
            return Err(CatalogError::BadLocation { location, reason });
        }
        Err(CatalogError::MissingFile { .. }) => {
            let reason = "there is no such file".into();
            return Err(CatalogError::BadLocation { location, reason });
        }
        loaded => loaded?,
    };
    let head = Head::parse(file.raw()).map_err(|error| CatalogError::BadLocation {
        location: location.clone(),
        reason: format!("it is no table metadata: {error}"),
    })?;
    service.warehouse.check_properties(&head.location, &head.properties)?;
    let id = service.rng.uuid_v7(service.clock.now_ms());
    let pointer = Pointer {
        uuid: head.table_uuid,
        location: service.warehouse.checked(&head.location)?,
        metadata_location: location,
        snapshot_id: head.snapshot_id(),
    };
    let expect = if overwrite {
        Expect::Any { id }
    } else {
        Expect::Absent { id }
    };
    let change = TableChange { table, expect, pointer };
    let op = Op::Commit { changes: vec![change] };
    service.propose(ticket, op).await
}
