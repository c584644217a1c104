//! What operators have done to tables, by the process that schedules.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use tidewater_core::TableName;
use tidewater_scheduler::Maintenance;

use super::{Ready, Refusal, running};

/// What `table compact` asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CompactRequest {
    pub(crate) table: TableName,
    /// Whatever is small, not only what is due.
    pub(crate) everything: bool,
    /// Only tell what would be done.
    pub(crate) dry_run: bool,
}

/// What `table expire` asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ExpireRequest {
    pub(crate) table: TableName,
    /// How many of the newest snapshots stay; `None`: what the table's retention keeps.
    #[serde(default)]
    pub(crate) keep: Option<u32>,
    /// Only tell what would be done.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

fn maintenance(ready: &Ready) -> Result<&Maintenance, Refusal> {
    running(ready)?.maintenance.as_ref().ok_or_else(|| {
        let hint = "ask the process that has the scheduler role (http.listen)".to_owned();
        Refusal::new(
            StatusCode::NOT_FOUND,
            "CTL-0004",
            "this process does not look after tables",
            Some(hint),
        )
    })
}

pub(super) async fn compact(
    State(ready): State<Ready>,
    Json(request): Json<CompactRequest>,
) -> Result<Json<Value>, Refusal> {
    let maintenance = maintenance(&ready)?;
    let visit = match request.dry_run {
        true => maintenance.plan(&request.table, request.everything).await?,
        false => maintenance.compact(&request.table, request.everything).await?,
    };
    Ok(Json(json!({"visit": visit})))
}

pub(super) async fn expire(
    State(ready): State<Ready>,
    Json(request): Json<ExpireRequest>,
) -> Result<Json<Value>, Refusal> {
    let (maintenance, keep) = (maintenance(&ready)?, request.keep.map(|keep| keep.max(1)));
    let visit = match request.dry_run {
        true => maintenance.plan_expiry(&request.table, keep).await?,
        false => maintenance.expire(&request.table, keep).await?,
    };
    Ok(Json(json!({"visit": visit})))
}
