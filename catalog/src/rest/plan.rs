//! Scan planning: `plan`, a plan by its id, and `tasks`.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::HeaderMap;
use http::header::USER_AGENT;
use iceberg::spec::TableMetadata;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::extract::{Body, InTable};
use super::respond::{Answer, json as answered, no_content};
use crate::command::Ident;
use crate::credentials::Wish;
use crate::error::{CatalogError, Result};
use crate::planning::{Pinned, PlanRequest, Planned, Planner};
use crate::service::{Service, find};
use crate::state::{State as CatalogState, TableRow};

/// `POST /v1/namespaces/{namespace}/tables/{table}/plan`: done at once, so nothing has to be kept or asked for again.
pub(super) async fn plan(
    State(service): Shared,
    InTable(table): InTable,
    headers: HeaderMap,
    body: Body<PlanRequest>,
) -> Answer {
    let (state, row, metadata) = current(&service, &table).await?;
    let pinned = body.value.pin(&metadata)?;
    let planner = planner(&service, &state, &row, &metadata, &headers)?;
    let planned = planner.plan(&pinned).await?;
    with_credentials(&service, &row, &headers, planned).await
}

#[derive(Debug, Deserialize)]
pub(super) struct OfPlan {
    plan: String,
}

/// `GET /v1/namespaces/{namespace}/tables/{table}/plan/{plan}`
pub(super) async fn result(
    State(service): Shared,
    InTable(table): InTable,
    Path(of): Path<OfPlan>,
    headers: HeaderMap,
) -> Answer {
    let (state, row, metadata) = current(&service, &table).await?;
    let pinned = Pinned::read(&of.plan, "plan", &metadata)?;
    let planner = planner(&service, &state, &row, &metadata, &headers)?;
    let planned = planner.plan(&pinned).await?;
    with_credentials(&service, &row, &headers, planned).await
}

/// `DELETE /v1/namespaces/{namespace}/tables/{table}/plan/{plan}`: there is nothing to stop and nothing to forget.
pub(super) async fn cancel(State(service): Shared, InTable(table): InTable, Path(of): Path<OfPlan>) -> Answer {
    let (_, _, metadata) = current(&service, &table).await?;
    Pinned::read(&of.plan, "plan", &metadata)?;
    Ok(no_content())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Fetch {
    plan_task: String,
}

/// `POST /v1/namespaces/{namespace}/tables/{table}/tasks`
pub(super) async fn tasks(
    State(service): Shared,
    InTable(table): InTable,
    headers: HeaderMap,
    body: Body<Fetch>,
) -> Answer {
    let (state, row, metadata) = current(&service, &table).await?;
    let pinned = Pinned::read(&body.value.plan_task, "plan task", &metadata)?;
    let planner = planner(&service, &state, &row, &metadata, &headers)?;
    let planned = planner.task(&pinned).await?;
    answered(&planned)
}

async fn current(service: &Service, table: &Ident) -> Result<(CatalogState, TableRow, Arc<TableMetadata>)> {
    let state = service.fresh_state().await?;
    let row = find(&state, table)?.clone();
    let metadata = service
        .cache
        .load(&row.pointer.metadata_location)
        .await?
        .parsed(table)?;
    Ok((state, row, metadata))
}

fn planner<'a>(
    service: &'a Service,
    state: &'a CatalogState,
    row: &'a TableRow,
    table: &'a TableMetadata,
    headers: &HeaderMap,
) -> Result<Planner<'a>> {
    let store = service.store.files().ok_or_else(|| CatalogError::Unsupported {
        what: "planning scans on this store".into(),
    })?;
    let files = service.files_of(state, Some(row.id), &row.pointer.location);
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    Ok(Planner {
        store,
        warehouse: &service.warehouse,
        files: files.grants.then_some(files),
        table,
        null_partitions: !agent.is_some_and(|agent| agent.starts_with("PyIceberg/")),
        files_max: service.plan_files_max,
    })
}

async fn with_credentials(service: &Service, row: &TableRow, headers: &HeaderMap, mut planned: Planned) -> Answer {
    let grant = service
        .grant(Wish::of(headers), &row.name, row.pointer.uuid, &row.pointer.location)
        .await?;
    if !grant.credentials.is_empty() {
        planned.insert("storage-credentials".into(), json!(grant.credentials));
    }
    answered(&planned)
}
