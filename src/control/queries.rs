//! Statements at work, here and in the processes beside this one, as operators see them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use tidewater_flight_sql::{QueryRecord, QueryService};

use super::{Ready, Refusal, running};

pub(super) fn queries(ready: &Ready) -> Result<&QueryService, Refusal> {
    running(ready)?.queries.as_ref().ok_or_else(|| {
        let hint = "ask the process that has the flight-sql role (http.listen)".to_owned();
        Refusal::new(
            StatusCode::NOT_FOUND,
            "CTL-0009",
            "this process answers no statements",
            Some(hint),
        )
    })
}

pub(super) async fn list(State(ready): State<Ready>) -> Result<Json<Value>, Refusal> {
    let everywhere = queries(&ready)?.fleet().statements(true).await;
    let mut lines: Vec<Value> = Vec::new();
    for known in &everywhere.processes {
        let process = &known.process.name;
        lines.extend(known.statements.iter().map(|query| line(process, query)));
    }
    Ok(Json(json!({"queries": lines, "missing": everywhere.missing})))
}

fn line(process: &str, query: &QueryRecord) -> Value {
    json!({
        "id": query.id,
        "user": query.user,
        "client": query.client,
        "statement": query.statement,
        "tables": query.tables,
        "route": query.route,
        "rows": query.rows,
        "began_ms": query.began_ms,
        "queue_ms": query.queue_ms,
        "cache": query.cache,
        "process": process,
    })
}

pub(super) async fn cancel(State(ready): State<Ready>, Path(id): Path<Uuid>) -> Result<Json<Value>, Refusal> {
    match queries(&ready)?.end_anywhere(id).await {
        true => Ok(Json(json!({"cancelled": id}))),
        false => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "CTL-0010",
            format!("no statement {id} is at work here"),
            Some("tidewater query ls".to_owned()),
        )),
    }
}
