//! Jobs as operators see them: row, plans with their stages, what happened; ending one, and trying one again.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use tidewater_catalog_client::JobFilter;
use tidewater_catalog_client::dto::JobRow;
use tidewater_core::JobId;
use tidewater_pipelines::{RunOptions, Selection};
use tidewater_scheduler::PlanReport;

use super::{Ready, Refusal, run_models, running};

/// Kind of the job rows of models.
const MODEL: &str = "model";

/// Rows of a listing, unless it is said otherwise.
const ROWS: usize = 50;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    open: bool,
    limit: Option<usize>,
}

/// What a job is about, where its owner tells.
pub(crate) fn name_of(row: &JobRow) -> Option<&str> {
    row.body.get("name")?.as_str()
}

/// How many processes have worked on a job so far, where its owner tells.
pub(crate) fn attempt_of(row: &JobRow) -> Option<u64> {
    row.body.get("attempt")?.as_u64()
}

pub(super) async fn list(State(ready): State<Ready>, Query(wanted): Query<Wanted>) -> Result<Json<Value>, Refusal> {
    let filter = JobFilter {
        open: wanted.open,
        limit: Some(wanted.limit.unwrap_or(ROWS)),
        ..JobFilter::default()
    };
    let rows = running(&ready)?.parts.client.jobs(&filter).await?;
    Ok(Json(json!({"jobs": rows})))
}

pub(super) async fn show(State(ready): State<Ready>, Path(id): Path<Uuid>) -> Result<Json<Value>, Refusal> {
    let id = JobId(id);
    let row = running(&ready)?.parts.client.job(id).await?;
    let plans = plans(&ready, id)?;
    if row.is_none() && plans.is_empty() {
        return Err(unknown(id));
    }
    Ok(Json(json!({"job": row, "plans": plans})))
}

pub(super) async fn logs(State(ready): State<Ready>, Path(id): Path<Uuid>) -> Result<Json<Value>, Refusal> {
    let id = JobId(id);
    let row = running(&ready)?.parts.client.job(id).await?;
    let plans = plans(&ready, id)?;
    if row.is_none() && plans.is_empty() {
        return Err(unknown(id));
    }
    let mut lines = Vec::new();
    let mut line = |at_ms: i64, plan: Option<JobId>, text: String| {
        lines.push((at_ms, json!({"at_ms": at_ms, "plan": plan, "text": text})));
    };
    for plan in plans {
        let begins = format!(
            "begins on {}: {}; waited {} ms",
            plan.place, plan.reason, plan.waited_ms
        );
        line(plan.began_ms, Some(plan.id), begins);
        for event in plan.events {
            line(event.at_ms, Some(plan.id), event.text);
        }
        for attempt in plan.attempts {
            for stage in attempt.stages {
                let text = format!(
                    "attempt {} stage {} {}: {} tasks, {} rows, {} bytes, {} bytes spilled, skew {} %",
                    attempt.number,
                    stage.stage,
                    stage.state,
                    stage.tasks,
                    stage.rows,
                    stage.bytes,
                    stage.spilled_bytes,
                    stage.skew_percent
                );
                line(plan.ended_ms.unwrap_or(plan.began_ms), Some(plan.id), text);
            }
        }
    }
    if let Some(row) = row {
        line(row.created_at_ms, None, format!("{} accepted", row.kind));
        let mut text = format!("{:?}", row.phase).to_lowercase();
        if let Some(attempt) = attempt_of(&row).filter(|attempt| *attempt > 1) {
            text = format!("{text}, attempt {attempt} of the run");
        }
        if let Some(failure) = row.body.pointer("/run/failure").filter(|failure| !failure.is_null()) {
            let part = |key: &str| failure.get(key).and_then(Value::as_str).unwrap_or_default();
            text = format!("{text}: {} {}", part("code"), part("message"));
        }
        line(row.updated_at_ms, None, text);
    }
    lines.sort_by_key(|(at_ms, _)| *at_ms);
    let lines: Vec<Value> = lines.into_iter().map(|(_, line)| line).collect();
    Ok(Json(json!({"lines": lines})))
}

pub(super) async fn retry(State(ready): State<Ready>, Path(id): Path<Uuid>) -> Result<Json<Value>, Refusal> {
    let id = JobId(id);
    let row = running(&ready)?
        .parts
        .client
        .job(id)
        .await?
        .ok_or_else(|| unknown(id))?;
    if !row.phase.is_final() {
        let hint = "wait for its end; tidewater job show tells how far it is".to_owned();
        let text = format!("job {id} has not ended");
        return Err(Refusal::new(StatusCode::CONFLICT, "CTL-0007", text, Some(hint)));
    }
    let name = name_of(&row).filter(|_| row.kind == MODEL).ok_or_else(|| {
        let text = format!("a job of kind {} is not tried again on request", row.kind);
        let hint = "what finishes drops goes on by itself until it succeeds".to_owned();
        Refusal::new(StatusCode::NOT_IMPLEMENTED, "CTL-0008", text, Some(hint))
    })?;
    let selection = Selection::of(vec![name.to_owned()]);
    run_models(running(&ready)?, selection, RunOptions::default()).await
}

pub(super) async fn cancel(State(ready): State<Ready>, Path(id): Path<Uuid>) -> Result<Json<Value>, Refusal> {
    let id = JobId(id);
    let running = running(&ready)?;
    if let Some(pipelines) = &running.pipelines
        && pipelines.cancel(id).await
    {
        return Ok(Json(json!({"cancelled": id})));
    }
    let row = running.parts.client.job(id).await?.ok_or_else(|| unknown(id))?;
    let (text, hint) = match (row.phase.is_final(), row.kind.as_str()) {
        (true, _) => (format!("job {id} has ended"), "tidewater job show tells how"),
        (false, MODEL) => (
            format!("job {id} is not at work in this process"),
            "ask the process that has the scheduler role and leads (http.listen)",
        ),
        (false, _) => (
            format!("a job of kind {} is not cancelled", row.kind),
            "statements are ended by tidewater query cancel",
        ),
    };
    Err(Refusal::new(
        StatusCode::CONFLICT,
        "CTL-0014",
        text,
        Some(hint.to_owned()),
    ))
}

/// What this process knows of a job's plans: nothing, where it does not schedule.
fn plans(ready: &Ready, id: JobId) -> Result<Vec<PlanReport>, Refusal> {
    let scheduler = running(ready)?.scheduler.as_ref();
    Ok(scheduler
        .map(|scheduler| scheduler.history().of(id))
        .unwrap_or_default())
}

fn unknown(id: JobId) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "CTL-0006",
        format!("job {id} does not exist"),
        Some("tidewater job ls".to_owned()),
    )
}
