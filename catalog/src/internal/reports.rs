//! Metrics reports of clients, as the leader keeps them.

use axum::extract::State;
use serde::Deserialize;

use crate::error::CatalogError;
use crate::names::parse_namespace;
use crate::raft::ConsensusError;
use crate::reports::{self, Report};
use crate::rest::{Answer, Query, Shared, json};
use tidewater_catalog_client::dto;

/// Most reports of an answer.
const PER_PAGE_MAX: usize = 1_000;

/// How many when the caller does not say.
const PER_PAGE: usize = 100;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// The cursor; absent = from the oldest on.
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    namespace: Option<String>,
    table: Option<String>,
    report_type: Option<String>,
}

/// `GET /internal/v1/metrics-reports`
pub(super) async fn list(State(service): Shared, Query(wanted): Query<Wanted>) -> Answer {
    // Only the leader has them; a barrier alone would let a follower answer with none.
    let leadership = service.consensus.leadership().borrow().clone();
    if !leadership.is_leader() {
        return Err(CatalogError::from(ConsensusError::NotLeader {
            node: leadership.node,
            leader: leadership.leader,
        }));
    }
    service.consensus.barrier().await?;
    let namespace = wanted.namespace.as_deref().map(parse_namespace).transpose()?;
    let page = service.reports.page(&reports::Wanted {
        after: wanted.after,
        namespace,
        table: wanted.table,
        kind: wanted.report_type,
        limit: wanted.limit.unwrap_or(PER_PAGE).clamp(1, PER_PAGE_MAX),
    });
    json(&dto::MetricsReportPage {
        reports: page.reports.into_iter().map(from_report).collect(),
        cursor: page.cursor,
        lost: page.lost,
    })
}

fn from_report(report: Report) -> dto::MetricsReport {
    dto::MetricsReport {
        number: report.number,
        at_ms: report.at_ms,
        namespace: report.table.namespace,
        table: report.table.name,
        report_type: report.kind,
        report: report.body,
    }
}
