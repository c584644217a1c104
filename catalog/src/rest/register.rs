//! Registering a metadata file as a table or view, and giving a table up without touching its files.

use std::sync::Arc;

use axum::extract::State;
use http::HeaderMap;
use serde::Deserialize;

use super::Shared;
use super::extract::{Body, InNamespace, InTable, Keyed};
use super::load::unregistered_answer;
use super::respond::Answer;
use super::{tables, views};
use crate::command::{Expect, Ident, Op, Outcome, Pointer, Relation, TableChange};
use crate::credentials::Wish;
use crate::error::{CatalogError, Result};
use crate::metadata::{CachedMetadata, Head, ViewHead};
use crate::names::checked_ident;
use crate::service::{Service, Ticket, require_free, require_namespace};

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
    let location = checked_file(&service, &body.value.metadata_location)?;
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
    tables::answer_committed(&service, outcome, Some((&made, Wish::of(&headers)))).await
}

/// Checked before anything is read: a file outside of the warehouse is none of the client's business.
fn checked_file(service: &Service, location: &str) -> Result<String> {
    let location = service.warehouse.checked(location)?;
    if !location.ends_with(".metadata.json") {
        return Err(CatalogError::bad_request("a metadata file is named *.metadata.json"));
    }
    Ok(location)
}

async fn run(service: &Service, ticket: &Ticket, table: Ident, location: String, overwrite: bool) -> Result<Outcome> {
    let state = service.fresh_state().await?;
    match overwrite && state.table(&table).is_some() {
        true => require_namespace(&state, &table.namespace)?,
        false => require_free(&state, Relation::Table, &table)?,
    }
    let _turn = service.queue.turn([&table]).await?;
    let file = read(service, &location).await?;
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
        Expect::Replaced { id }
    } else {
        Expect::New { id }
    };
    let change = TableChange { table, expect, pointer };
    let op = Op::Commit { changes: vec![change] };
    // Registering takes what lets one see every table.
    let outcome = service.propose(ticket, op).await;
    outcome.map_err(|error| service.with_holder(error))
}

/// The file to register. That it is not there or no metadata is the request's fault here, not the store's.
async fn read(service: &Service, location: &str) -> Result<Arc<CachedMetadata>> {
    let reason = match service.cache.load(location).await {
        Err(CatalogError::Damaged { reason, .. }) => reason,
        Err(CatalogError::MissingFile { .. }) => "there is no such file".into(),
        loaded => return loaded,
    };
    let location = location.to_owned();
    Err(CatalogError::BadLocation { location, reason })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RegisterView {
    name: String,
    metadata_location: String,
}

/// `POST /v1/namespaces/{namespace}/register-view`
pub(super) async fn register_view(
    State(service): Shared,
    InNamespace(namespace): InNamespace,
    body: Body<RegisterView>,
) -> Answer {
    let view = checked_ident(namespace, body.value.name)?;
    let location = checked_file(&service, &body.value.metadata_location)?;
    let ticket = body.ticket;
    let worker = Arc::clone(&service);
    let run = async move { worker.once(&ticket, run_view(&worker, &ticket, view, location)).await };
    let outcome = service.detached("register-view", run).await?;
    views::answer_committed(&service, outcome).await
}

async fn run_view(service: &Service, ticket: &Ticket, view: Ident, location: String) -> Result<Outcome> {
    require_free(&service.fresh_state().await?, Relation::View, &view)?;
    let _turn = service.queue.turn([&view]).await?;
    let file = read(service, &location).await?;
    let head = ViewHead::parse(file.raw()).map_err(|error| CatalogError::BadLocation {
        location: location.clone(),
        reason: format!("it is no view metadata: {error}"),
    })?;
    let id = service.rng.uuid_v7(service.clock.now_ms());
    let change = TableChange {
        table: view,
        expect: Expect::Absent { id },
        pointer: Pointer {
            uuid: head.view_uuid,
            location: service.warehouse.checked(&head.location)?,
            metadata_location: location,
            snapshot_id: None,
        },
    };
    service.propose(ticket, Op::CommitView { change }).await
}

/// `POST /v1/namespaces/{namespace}/tables/{table}/unregister`
pub(super) async fn unregister(State(service): Shared, InTable(table): InTable, Keyed(ticket): Keyed) -> Answer {
    let work = async {
        let row = service.table(&table).await?;
        // The answer is the file: a table whose file cannot be read stays.
        service.cache.load(&row.pointer.metadata_location).await?;
        let op = Op::DropTable {
            id: Some(row.id),
            table: table.clone(),
        };
        service.propose(&ticket, op).await
    };
    match service.once(&ticket, work).await? {
        Outcome::Dropped(table) => unregistered_answer(&*service.cache.load(&table.metadata_location).await?),
        other => Err(CatalogError::internal(format!("unexpected outcome {other:?}"))),
    }
}
