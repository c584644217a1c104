//! Executors as operators see them, and letting one go.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use tidewater_scheduler::Scheduler;

use super::{Ready, Refusal, running};

/// Longest drain that can be asked for: longer than any task should take.
const DRAIN_MAX: Duration = Duration::from_secs(6 * 3600);

/// What `executor drain` asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DrainRequest {
    /// Its name, or the beginning of it.
    pub(crate) executor: String,
    /// How long its tasks are waited for.
    pub(crate) deadline_s: u64,
}

fn scheduler(ready: &Ready) -> Result<&Scheduler, Refusal> {
    running(ready)?.scheduler.as_ref().ok_or_else(|| {
        let hint = "ask the process that has the scheduler role (http.listen)".to_owned();
        Refusal::new(
            StatusCode::NOT_FOUND,
            "CTL-0005",
            "this process schedules nothing",
            Some(hint),
        )
    })
}

/// The scheduler, if executors are with it.
fn leading(ready: &Ready) -> Result<&Scheduler, Refusal> {
    let scheduler = scheduler(ready)?;
    match &running(ready)?.leadership {
        Some(leadership) if !leadership.leads() => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "CTL-0011",
            "another process schedules",
            Some(leadership.elsewhere()),
        )),
        _ => Ok(scheduler),
    }
}

pub(super) async fn list(State(ready): State<Ready>) -> Result<Json<Value>, Refusal> {
    let scheduler = leading(&ready)?;
    let now_s = running(&ready)?.parts.clock.now_ms() / 1000;
    let mut lines = Vec::new();
    for executor in scheduler.executors().await? {
        let load = scheduler.load_of(&executor.id).await;
        let seen_s = i64::try_from(executor.last_heartbeat_s).unwrap_or(i64::MAX);
        lines.push(json!({
            "id": executor.id,
            "host": executor.host,
            "flight_port": executor.flight_port,
            "grpc_port": executor.grpc_port,
            "vcores": executor.vcores,
            "build": executor.build,
            "state": if executor.draining { "draining" } else { "active" },
            "tasks": load.tasks,
            "vcores_used": load.vcores,
            "jobs": load.jobs,
            "heartbeat_age_s": now_s.saturating_sub(seen_s).max(0),
        }));
    }
    Ok(Json(json!({"executors": lines})))
}

pub(super) async fn drain(
    State(ready): State<Ready>,
    Json(request): Json<DrainRequest>,
) -> Result<Json<Value>, Refusal> {
    let scheduler = leading(&ready)?.clone();
    let deadline = Duration::from_secs(request.deadline_s).min(DRAIN_MAX);
    // It goes on when whoever asked has gone away.
    let (done, ended) = oneshot::channel();
    running(&ready)?.parts.tasks.spawn("drain-executor", async move {
        // Nobody may be there to hear it.
        drop(done.send(scheduler.drain(&request.executor, deadline).await));
    });
    match ended.await {
        Ok(drained) => Ok(Json(json!({"drained": drained?}))),
        Err(_) => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "CTL-0001",
            "the process stops",
            None,
        )),
    }
}
