//! Files that producers append: ours alone, no part of the protocol.

use std::sync::Arc;

use axum::extract::State;
use serde_json::json;

use super::Shared;
use super::extract::{Body, InTable};
use super::respond::{Answer, json as answered};
use crate::append::AppendRequest;

/// `POST /v1/namespaces/{namespace}/tables/{table}/append-files`. An idempotency key is taken and not needed: the producer's range is one.
pub(super) async fn append_files(State(service): Shared, InTable(table): InTable, body: Body<AppendRequest>) -> Answer {
    let worker = Arc::clone(&service);
    let work = async move { worker.append_files(&table, body.value).await };
    let appended = service.detached("append-files", work).await?;
    answered(&json!({
        "snapshot-id": appended.snapshot_id,
        "sequence-number": appended.sequence,
        "metadata-location": appended.metadata_location,
    }))
}
