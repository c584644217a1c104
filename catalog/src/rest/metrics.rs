//! Reports of clients about their scans and commits.

use axum::extract::State;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Shared;
use super::extract::{Body, InTable};
use super::respond::{Answer, no_content};
use crate::error::CatalogError;
use crate::reports::REPORT_BYTES_MAX;

/// What every report says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Head {
    report_type: String,
}

/// `POST /v1/namespaces/{namespace}/tables/{table}/metrics`: kept in memory, the newest of all tables; `GET /internal/v1/metrics-reports`
/// tells them.
pub(super) async fn report(State(service): Shared, InTable(table): InTable, body: Body<Box<RawValue>>) -> Answer {
    let report = body.value;
    if report.get().len() > REPORT_BYTES_MAX {
        return Err(CatalogError::TooLarge {
            what: "a metrics report",
            limit: REPORT_BYTES_MAX,
        });
    }
    let head: Head = serde_json::from_str(report.get())
        .map_err(|error| CatalogError::bad_request(format!("the body is no metrics report: {error}")))?;
    if !matches!(head.report_type.as_str(), "scan-report" | "commit-report") {
        let reason = "the report-type is neither scan-report nor commit-report";
        return Err(CatalogError::bad_request(reason));
    }
    service.table(&table).await?;
    let now_ms = service.clock.now_ms();
    service.reports.keep(now_ms, table, head.report_type, report);
    Ok(no_content())
}
