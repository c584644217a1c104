//! Reports of clients about their scans and commits.

use serde_json::Value;

use super::extract::{Body, InTable};
use super::respond::{Answer, no_content};

/// `POST /v1/namespaces/{namespace}/tables/{table}/metrics`: accepted, not kept.
pub(super) async fn report(InTable(table): InTable, body: Body<Value>) -> Answer {
    let kind = body
        .value
        .get("report-type")
        .and_then(Value::as_str)
        .unwrap_or("unknown");
    tracing::debug!(%table, kind, "metrics report");
    Ok(no_content())
}
