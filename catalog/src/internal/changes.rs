//! The change feed. Any node serves it: it tells what was applied there, in the order of the log.

use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;

use super::jobs::from_phase;
use crate::rest::{Answer, Query, Shared, json};
use crate::state::{Change, ChangeKind, ChangePage, TableRow};
use tidewater_catalog_client::dto;
use tidewater_core::JobId;

/// Most changes of an answer, and how many when the caller does not say.
const CHANGES_PER_PAGE_MAX: usize = 1_000;

/// Longest wait of a call, below common time limits of proxies.
const WAIT_MS_MAX: u64 = 30_000;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// The cursor; absent = from now on.
    after: Option<u64>,
    limit: Option<usize>,
    /// How long to wait for a change.
    #[serde(default)]
    wait_ms: u64,
}

/// `GET /internal/v1/changes`
pub(super) async fn follow(State(service): Shared, Query(wanted): Query<Wanted>) -> Answer {
    let applied = service.consensus.state();
    let after = wanted.after.unwrap_or(applied.index);
    let limit = wanted
        .limit
        .unwrap_or(CHANGES_PER_PAGE_MAX)
        .clamp(1, CHANGES_PER_PAGE_MAX);
    let until = service.clock.monotonic() + Duration::from_millis(wanted.wait_ms.min(WAIT_MS_MAX));
    let stopping = service.tasks.token();
    let (mut page, mut index) = (applied.state.changes_after(after, limit), applied.index);
    while page.changes.is_empty() && !page.lost && !stopping.is_cancelled() {
        let left = until.saturating_sub(service.clock.monotonic());
        if left.is_zero() {
            break;
        }
        tokio::select! {
            _ = service.consensus.wait_applied(index + 1, left) => {}
            () = stopping.cancelled() => {}
        }
        let applied = service.consensus.state();
        (page, index) = (applied.state.changes_after(after, limit), applied.index);
    }
    json(&from_page(page))
}

fn from_page(page: ChangePage) -> dto::ChangePage {
    dto::ChangePage {
        changes: page.changes.into_iter().map(from_change).collect(),
        cursor: page.cursor,
        lost: page.lost,
    }
}

fn from_change(change: Change) -> dto::Change {
    let kind = match change.kind {
        ChangeKind::NamespaceCreated { namespace } => dto::ChangeKind::NamespaceCreated { namespace },
        ChangeKind::NamespaceUpdated { namespace } => dto::ChangeKind::NamespaceUpdated { namespace },
        ChangeKind::NamespaceDropped { namespace } => dto::ChangeKind::NamespaceDropped { namespace },
        ChangeKind::TableCreated(table) => dto::ChangeKind::TableCreated {
            table: from_table(table),
        },
        ChangeKind::TableUpdated(table) => dto::ChangeKind::TableUpdated {
            table: from_table(table),
        },
        ChangeKind::TableRenamed { from, table } => dto::ChangeKind::TableRenamed {
            from_namespace: from.namespace,
            from_name: from.name,
            table: from_table(table),
        },
        ChangeKind::TableDropped(table) => dto::ChangeKind::TableDropped {
            table: from_table(table),
        },
        ChangeKind::ViewCreated(view) => dto::ChangeKind::ViewCreated { view: from_view(view) },
        ChangeKind::ViewUpdated(view) => dto::ChangeKind::ViewUpdated { view: from_view(view) },
        ChangeKind::ViewRenamed { from, view } => dto::ChangeKind::ViewRenamed {
            from_namespace: from.namespace,
            from_name: from.name,
            view: from_view(view),
        },
        ChangeKind::ViewDropped(view) => dto::ChangeKind::ViewDropped { view: from_view(view) },
        ChangeKind::Job { id, phase } => dto::ChangeKind::Job {
            id: JobId(id),
            phase: from_phase(phase),
        },
    };
    dto::Change {
        index: change.index,
        at_ms: change.at_ms,
        kind,
    }
}

fn from_view(row: TableRow) -> dto::ViewState {
    dto::ViewState {
        id: row.id,
        namespace: row.name.namespace,
        name: row.name.name,
        uuid: row.pointer.uuid,
        version: row.version,
        metadata_location: row.pointer.metadata_location,
    }
}

fn from_table(row: TableRow) -> dto::TableState {
    dto::TableState {
        id: row.id,
        namespace: row.name.namespace,
        name: row.name.name,
        uuid: row.pointer.uuid,
        version: row.version,
        snapshot_id: row.pointer.snapshot_id,
        metadata_location: row.pointer.metadata_location,
    }
}
