//! The control endpoint of a process: health, status, and the operations of its roles, for operators and the command line.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use tidewater_core::{Coded, Tasks};
use tidewater_pipelines::{PipelineError, RunOptions, Selection};

use crate::roles::{Role, Running};

/// A role and where it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RoleReport {
    pub(crate) role: String,
    pub(crate) address: String,
}

impl RoleReport {
    pub(crate) fn new(role: Role, address: impl Into<String>) -> Self {
        Self {
            role: role.to_string(),
            address: address.into(),
        }
    }
}

/// What `pipeline run` asks for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct RunRequest {
    pub(crate) models: Vec<String>,
    pub(crate) full_refresh: bool,
    pub(crate) as_of_ms: Option<i64>,
}

/// Becomes ready once.
#[derive(Clone, Default)]
pub(crate) struct Ready(Arc<OnceLock<Running>>);

impl Ready {
    /// Lets requests in.
    pub(crate) fn publish(&self, running: Running) {
        // Published once: the second would be the same process again.
        drop(self.0.set(running));
    }
}

/// Serves on `listener`; answers 503 until the roles are published.
pub(crate) fn serve(listener: TcpListener, tasks: &Tasks) -> Ready {
    let ready = Ready::default();
    let routes = Router::new()
        .route("/health", get(health))
        .route("/v1/status", get(status))
        .route("/v1/ingest", get(ingest))
        .route("/v1/pipelines", get(pipelines))
        .route("/v1/pipelines/plan", post(plan))
        .route("/v1/pipelines/run", post(run))
        .with_state(ready.clone());
    let stop = tasks.token();
    tasks.spawn("control", async move {
        let served = axum::serve(listener, routes)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "control listener ended");
        }
    });
    ready
}

/// A refusal as clients see it.
struct Refusal(StatusCode, Value);

impl Refusal {
    fn new(status: StatusCode, code: &str, message: impl Into<String>, hint: Option<String>) -> Self {
        Self(
            status,
            json!({"error": {"code": code, "message": message.into(), "hint": hint}}),
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<PipelineError> for Refusal {
    fn from(error: PipelineError) -> Self {
        let mut message = error.to_string();
        let mut next = std::error::Error::source(&error);
        while let Some(source) = next {
            message = format!("{message}: {source}");
            next = source.source();
        }
        Self::new(StatusCode::BAD_REQUEST, error.code(), message, error.hint())
    }
}

fn running(ready: &Ready) -> Result<&Running, Refusal> {
    ready
        .0
        .get()
        .ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "CTL-0001", "still starting", None))
}

fn no_pipelines() -> Refusal {
    let hint = "set pipelines.project, and ask the process that has the scheduler role".to_owned();
    Refusal::new(
        StatusCode::NOT_FOUND,
        "CTL-0002",
        "this process follows no project of models",
        Some(hint),
    )
}

async fn health(State(ready): State<Ready>) -> Result<&'static str, Refusal> {
    running(&ready).map(|_| "ok")
}

async fn status(State(ready): State<Ready>) -> Result<Json<Value>, Refusal> {
    let running = running(&ready)?;
    let cluster = running.parts.client.cluster_status().await.ok();
    let executors = match &running.scheduler {
        Some(scheduler) => scheduler.executors().await.map(|executors| executors.len()).ok(),
        None => None,
    };
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "roles": running.reports,
        "catalog": cluster,
        "executors": executors,
    })))
}

async fn ingest(State(ready): State<Ready>) -> Result<Json<Value>, Refusal> {
    let running = running(&ready)?;
    match &running.ingest {
        Some(ingest) => Ok(Json(ingest.status())),
        None => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "CTL-0003",
            "this process has no ingest role",
            None,
        )),
    }
}

async fn pipelines(State(ready): State<Ready>) -> Result<Json<Value>, Refusal> {
    let pipelines = running(&ready)?.pipelines.as_ref().ok_or_else(no_pipelines)?;
    Ok(Json(json!({"models": pipelines.status().await?})))
}

async fn plan(State(ready): State<Ready>, Json(request): Json<RunRequest>) -> Result<Json<Value>, Refusal> {
    let pipelines = running(&ready)?.pipelines.as_ref().ok_or_else(no_pipelines)?;
    let plans = pipelines
        .plan(&Selection::of(request.models.clone()), options(&request))
        .await?;
    Ok(Json(json!({"models": plans})))
}

async fn run(State(ready): State<Ready>, Json(request): Json<RunRequest>) -> Result<Json<Value>, Refusal> {
    let pipelines = running(&ready)?.pipelines.as_ref().ok_or_else(no_pipelines)?;
    let report = pipelines
        .run(&Selection::of(request.models.clone()), options(&request))
        .await?;
    Ok(Json(json!({"succeeded": report.succeeded(), "models": report.models})))
}

fn options(request: &RunRequest) -> RunOptions {
    RunOptions {
        full_refresh: request.full_refresh,
        as_of_ms: request.as_of_ms,
    }
}

/// Asks the control endpoint of a running process.
pub(crate) async fn ask(
    address: std::net::SocketAddr,
    path: &str,
    body: Option<&RunRequest>,
) -> Result<Value, crate::cli::failure::Failure> {
    use crate::cli::failure::Failure;
    let url = format!("http://{address}{path}");
    let client = reqwest::Client::new();
    let request = match body {
        Some(body) => client.post(&url).json(body),
        None => client.get(&url),
    };
    let unreachable = |error: reqwest::Error| {
        Failure::new(format!("cannot reach {address}: {error}"))
            .hint("start it with: tidewater up, or set http.listen to where it is")
    };
    let response = request.send().await.map_err(unreachable)?;
    let succeeded = response.status().is_success();
    let answer: BTreeMap<String, Value> = response.json().await.map_err(unreachable)?;
    if succeeded {
        return Ok(answer.into_iter().collect::<serde_json::Map<_, _>>().into());
    }
    let error = answer.get("error").cloned().unwrap_or_default();
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let message = format!(
        "{} {}",
        text("code").unwrap_or_default(),
        text("message").unwrap_or_default()
    );
    let failure = Failure::new(message.trim().to_owned());
    Err(match text("hint") {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}
