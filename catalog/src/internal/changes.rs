//! The change feed. Any node serves it: it tells what was applied there, in the order of the log.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::jobs::from_phase;
use crate::error::{CatalogError, Result};
use crate::raft::ConsensusError;
use crate::rest::{Answer, Query, Shared, json};
use crate::service::Service;
use crate::state::{Change, ChangeKind, ChangePage, TableRow};
use tidewater_catalog_client::dto;
use tidewater_core::JobId;

/// Most changes of an answer, and how many when the caller does not say.
const CHANGES_PER_PAGE_MAX: usize = 1_000;

/// Longest wait of a call, below common time limits of proxies.
const WAIT_MS_MAX: u64 = 30_000;

/// Open streams of this process; a consumer that finds no place polls.
const STREAMS_MAX: usize = 256;
static STREAMS: Semaphore = Semaphore::const_new(STREAMS_MAX);

/// Between signs of life of a stream without changes, below common idle limits of proxies.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

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
    let after = begin(&service, wanted.after).await?;
    let limit = limit_of(&wanted);
    let wait = Duration::from_millis(wanted.wait_ms.min(WAIT_MS_MAX));
    json(&from_page(next_page(&service, after, limit, wait).await))
}

/// `GET /internal/v1/changes/stream`: the same as server-sent events. Each event is a page as the polled feed gives it,
/// under the name `changes`, or `lost` when the consumer has to load everything anew; its id is the cursor, which a
/// reconnecting consumer sends as `Last-Event-ID`.
pub(super) async fn stream(State(service): Shared, headers: HeaderMap, Query(wanted): Query<Wanted>) -> Answer {
    let place = STREAMS.try_acquire().map_err(|_| ConsensusError::Overloaded {
        what: "change streams",
        waited: Duration::ZERO,
    })?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last = last.map(|id| {
        id.trim()
            .parse()
            .map_err(|_| CatalogError::bad_request("Last-Event-ID is no cursor"))
    });
    let after = begin(&service, last.transpose()?.or(wanted.after)).await?;
    let feed = Feed {
        limit: limit_of(&wanted),
        service,
        after,
        _place: place,
    };
    let events = futures::stream::unfold(feed, |mut feed| async {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE));
    Ok(events.into_response()) as Result<Response>
}

/// A stream under way.
struct Feed {
    service: Arc<Service>,
    after: u64,
    limit: usize,
    _place: SemaphorePermit<'static>,
}

impl Feed {
    /// The next event; none when the server stops.
    async fn next(&mut self) -> Option<Event> {
        let stopping = self.service.tasks.token();
        while !stopping.is_cancelled() {
            let page = next_page(
                &self.service,
                self.after,
                self.limit,
                Duration::from_millis(WAIT_MS_MAX),
            )
            .await;
            if page.changes.is_empty() && !page.lost {
                continue;
            }
            self.after = page.cursor;
            let name = if page.lost { "lost" } else { "changes" };
            let event = Event::default().event(name).id(page.cursor.to_string());
            // Our own types always encode.
            return event.json_data(from_page(page)).ok();
        }
        None
    }
}

/// Where a consumer goes on. A cursor beyond the log of the group is of another history, before a backup was restored
/// perhaps: its owner has lost the thread.
async fn begin(service: &Service, after: Option<u64>) -> Result<u64> {
    let Some(after) = after else {
        return Ok(service.consensus.state().index);
    };
    if after > service.consensus.state().index {
        // This node may only be behind.
        service.consensus.barrier().await?;
        if after > service.consensus.state().index {
            return Ok(BEYOND);
        }
    }
    Ok(after)
}

/// The cursor of a consumer that has to begin anew.
const BEYOND: u64 = u64::MAX;

fn limit_of(wanted: &Wanted) -> usize {
    let limit = wanted.limit.unwrap_or(CHANGES_PER_PAGE_MAX);
    limit.clamp(1, CHANGES_PER_PAGE_MAX)
}

/// The changes after a cursor, as soon as there are any, or none after `wait`.
async fn next_page(service: &Service, after: u64, limit: usize, wait: Duration) -> ChangePage {
    let applied = service.consensus.state();
    if after == BEYOND {
        return ChangePage {
            changes: Vec::new(),
            cursor: applied.index,
            lost: true,
        };
    }
    let until = service.clock.monotonic() + wait;
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
    page
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
