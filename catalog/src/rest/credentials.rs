//! Credentials for a table whose first ones come to their end.

use axum::extract::State;
use serde_json::json;

use super::Shared;
use super::extract::InTable;
use super::respond::{Answer, json as answered};
use crate::credentials::Wish;

/// `GET /v1/namespaces/{namespace}/tables/{table}/credentials`
pub(super) async fn load(State(service): Shared, InTable(table): InTable) -> Answer {
    let row = service.table(&table).await?;
    let pointer = &row.pointer;
    let grant = service
        .grant(Wish::credentials(), &row.name, pointer.uuid, &pointer.location)
        .await?;
    answered(&json!({"storage-credentials": grant.credentials}))
}
