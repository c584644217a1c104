//! Dropped tables and whole namespaces.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use crate::command::{DropOp, Ident, Op, Outcome, PurgeStage};
use crate::error::{CatalogError, Result};
use crate::names::{checked_ident, checked_namespace};
use crate::rest::{Answer, Body, Query, Shared, json};
use crate::state::{DropJob, DropWork, DroppedTable, State as CatalogState};
use tidewater_catalog_client::dto;
use tidewater_core::JobId;

/// How many dropped tables are in an answer if nobody says.
const DROPPED_PER_PAGE: usize = 1_000;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// Levels of a namespace as a list in JSON; only tables that were in it.
    namespace: Option<String>,
    limit: Option<usize>,
}

/// `GET /internal/v1/dropped`: dropped tables, the last one dropped first.
pub(super) async fn list(State(service): Shared, Query(wanted): Query<Wanted>) -> Answer {
    let levels: Option<Vec<String>> = wanted
        .namespace
        .map(|text| serde_json::from_str(&text).map_err(|error| CatalogError::bad_request(error.to_string())))
        .transpose()?;
    let state = service.fresh_state().await?;
    let now_ms = service.clock.now_ms();
    let fits = |dropped: &&DroppedTable| {
        let is_there = dropped.purge.is_some() || dropped.until_ms > now_ms;
        is_there
            && levels
                .as_ref()
                .is_none_or(|levels| *levels == dropped.row.name.namespace)
    };
    let mut found: Vec<&DroppedTable> = state.dropped_tables().filter(fits).collect();
    found.sort_by_key(|dropped| std::cmp::Reverse(dropped.order));
    let limit = wanted.limit.unwrap_or(DROPPED_PER_PAGE);
    json(&dto::DroppedPage {
        count: found.len(),
        tables: found
            .into_iter()
            .take(limit)
            .map(|dropped| from_dropped(&state, dropped))
            .collect(),
    })
}

fn from_dropped(state: &CatalogState, dropped: &DroppedTable) -> dto::DroppedTable {
    dto::DroppedTable {
        namespace: dropped.row.name.namespace.clone(),
        name: dropped.row.name.name.clone(),
        id: dropped.row.id,
        uuid: dropped.row.pointer.uuid,
        location: dropped.row.pointer.location.clone(),
        metadata_location: dropped.row.pointer.metadata_location.clone(),
        dropped_at_ms: dropped.dropped_at_ms,
        until_ms: dropped.until_ms,
        purge: dropped.purge.map(JobId),
        restorable: !state.is_purge_begun(dropped),
    }
}

/// `POST /internal/v1/dropped/undrop`: brings a dropped table back.
pub(super) async fn undrop(State(service): Shared, body: Body<dto::Undrop>) -> Answer {
    let dto::Undrop {
        namespace,
        name,
        id,
        to,
    } = body.value;
    let table = checked_ident(namespace, name)?;
    let to = match to {
        Some(to) => checked_ident(to.namespace, to.name)?,
        None => table.clone(),
    };
    let (worker, name, ticket) = (Arc::clone(&service), to.clone(), body.ticket);
    let run = async move {
        let work = async {
            // Held to the end, also when the client goes away: others rely on it that the name comes to bear nothing in their turn.
            let _turn = worker.queue.turn([&name]).await?;
            let to = name.clone();
            let op = Op::Drop(DropOp::BringBack { table, id, to });
            let outcome = worker.propose(&ticket, op).await;
            outcome.map_err(|error| worker.with_holder(error))
        };
        worker.once(&ticket, work).await
    };
    match service.detached("undrop", run).await? {
        Outcome::Committed(tables) => json(&restored(&to, tables.first())?),
        other => Err(CatalogError::internal(format!("unexpected outcome {other:?}"))),
    }
}

fn restored(to: &Ident, table: Option<&crate::command::TableRef>) -> Result<dto::Undropped> {
    let table = table.ok_or_else(|| CatalogError::internal("an undrop without a table"))?;
    Ok(dto::Undropped {
        namespace: to.namespace.clone(),
        name: to.name.clone(),
        id: table.id,
        metadata_location: table.metadata_location.clone(),
    })
}

/// `POST /internal/v1/namespaces/drop`: begins to drop a namespace with all it holds.
pub(super) async fn drop_namespace(State(service): Shared, body: Body<dto::NamespaceDrop>) -> Answer {
    let dto::NamespaceDrop { namespace, purge } = body.value;
    let op = Op::Drop(DropOp::Namespace {
        namespace: checked_namespace(namespace)?,
        job: service.rng.uuid_v7(service.clock.now_ms()),
        terms: service.retention.terms(purge),
    });
    match service.once(&body.ticket, service.propose(&body.ticket, op)).await? {
        Outcome::DropJob { id } => json(&dto::NamespaceDropped { job: JobId(id) }),
        other => Err(CatalogError::internal(format!("unexpected outcome {other:?}"))),
    }
}

/// What jobs of this sort are called in listings.
pub(super) fn kind_of(job: &DropJob) -> &'static str {
    match job.work {
        DropWork::Purge { .. } => "purge",
        DropWork::Namespace { .. } => "drop-namespace",
    }
}

/// A job as all jobs are listed.
pub(super) fn from_job(job: &DropJob) -> dto::JobRow {
    let mut body = match &job.work {
        DropWork::Purge { table, progress } => json!({
            "name": table.name.to_string(),
            "table-uuid": table.pointer.uuid,
            "location": table.pointer.location,
            "metadata-location": table.pointer.metadata_location,
            "stage": match progress.stage {
                PurgeStage::Content => "content",
                PurgeStage::Manifests => "manifests",
                PurgeStage::Metadata => "metadata",
            },
            "manifests-done": progress.manifests_done,
            "manifests-count": progress.manifests_count,
            "files-deleted": progress.deleted,
            "files-left": progress.left,
            "progress": format!("{} deleted, {} left", progress.deleted, progress.left),
        }),
        DropWork::Namespace {
            levels, terms, dropped, ..
        } => json!({
            "name": levels.join("."),
            "purge": terms.purge,
            "dropped": dropped,
            "progress": format!("{dropped} dropped"),
        }),
    };
    if let Some(body) = body.as_object_mut() {
        body.insert("due-ms".into(), json!(job.due_ms));
        body.insert("problem".into(), json!(job.problem));
        body.insert("reign".into(), json!(job.fence.map(|fence| fence.to_string())));
    }
    dto::JobRow {
        id: JobId(job.id),
        kind: kind_of(job).to_owned(),
        phase: super::jobs::from_phase(job.phase),
        body,
        version: job.version,
        created_at_ms: job.created_at_ms,
        updated_at_ms: job.updated_at_ms,
    }
}
