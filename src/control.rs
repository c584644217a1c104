//! The control endpoint of a process: health, status, and the operations of its roles, for operators and the command line.

mod coded;
mod connections;
mod executors;
mod jobs;
mod queries;
mod scrape;
mod siblings;
mod tables;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use tidewater_catalog::Connections;
use tidewater_core::{Coded, Secret, SharedClock};
use tidewater_flight_sql::http::{HttpOptions, status_of};
use tidewater_pipelines::{Pipelines, RunOptions, Selection};
use tidewater_security::TokenKey;

use self::connections::{Bodies, Line};
pub(crate) use self::executors::DrainRequest;
pub(crate) use self::jobs::{attempt_of, name_of};
pub(crate) use self::siblings::PATH as SIBLINGS_PATH;
pub(crate) use self::tables::{CompactRequest, ExpireRequest};
use crate::cli::failure::{Failure, Reason, words};
use crate::readiness::{self, Check};
use crate::roles::{Parts, Role, Running};
use crate::settings::Settings;

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

/// Serves on `listener`; answers 503 until the roles are published. Where the nodes have a secret, or there are users, only those who bear
/// a token of the secret, or of the machine's own, are answered; whether the process is alive and ready is told to everybody, and the
/// metrics where the nodes have no secret.
pub(crate) fn serve(listener: TcpListener, parts: &Parts) -> Ready {
    let (clock, tasks) = (&parts.clock, &parts.tasks);
    let ready = Ready::default();
    // Of an unknown address everybody may be behind it.
    let address = listener.local_addr().unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
    let guard = |key| Guard {
        key,
        metrics_token: parts.settings.http.metrics_token.clone(),
        clock: Arc::clone(clock),
    };
    let scrape = scrape::Scrape::new(ready.clone(), parts);
    let routes = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/ingest", get(ingest))
        .route("/v1/pipelines", get(pipelines))
        .route("/v1/pipelines/plan", post(plan))
        .route("/v1/pipelines/run", post(run))
        .route("/v1/tables/compact", post(tables::compact))
        .route("/v1/tables/expire", post(tables::expire))
        .route("/v1/executors", get(executors::list))
        .route("/v1/executors/drain", post(executors::drain))
        .route("/v1/jobs", get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::show))
        .route("/v1/jobs/{id}/logs", get(jobs::logs))
        .route("/v1/jobs/{id}/retry", post(jobs::retry))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/queries", get(queries::list))
        .route("/v1/queries/{id}/cancel", post(queries::cancel))
        .layer(from_fn_with_state(guard(parts.settings.catalog_key()), authenticate))
        .route("/health", get(health))
        .route("/ready", get(ready_for_work))
        .with_state(ready.clone())
        .merge(scrape::routes(scrape, guard(parts.settings.node_key())))
        .merge(siblings::routes(&ready, parts))
        .merge(sql(&ready, address, parts))
        .layer(from_fn_with_state(Bodies::new(clock), connections::read_body));
    let routes = match parts.settings.http.require_tls {
        true => routes.layer(from_fn(connections::refuse_plain)),
        false => routes,
    };
    let routes = routes
        .layer(map_response(coded::give_code))
        .layer(from_fn(connections::tell_peer));
    // TLS for clients that begin with it; all others go on without, from anywhere and whatever `allow_plain` says: probes and scrapes do.
    // Passwords are another matter: where statements come in, they are taken without TLS from this machine only.
    let connections = Connections::new(listener, parts.tls.clone(), Arc::clone(clock)).either_way();
    let (stop, clock) = (tasks.token(), Arc::clone(clock));
    tasks.spawn("control", async move {
        let served = axum::serve(connections, routes.into_make_service_with_connect_info::<Line>())
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future();
        let late = async {
            stop.cancelled().await;
            clock.sleep(CLOSE_DEADLINE).await;
        };
        tokio::select! {
            () = late => tracing::info!("requests that did not end in time are broken off"),
            ended = served => if let Err(error) = ended {
                tracing::error!(%error, "control listener ended");
            }
        }
    });
    ready
}

/// Statements over HTTP, for users and not for operators: the query service asks who they are.
fn sql(ready: &Ready, address: SocketAddr, parts: &Parts) -> Router {
    let (ready, settings) = (ready.clone(), &parts.settings);
    let tls = settings.security.tls.as_ref();
    let options = HttpOptions {
        origins: settings.http.cors_origins.clone(),
        plain_passwords: tls.is_some_and(|tls| tls.allow_plain),
    };
    let find = Arc::new(move || ready.0.get()?.queries.clone());
    tidewater_flight_sql::http::routes(find, address, options, &parts.tasks)
}

/// Who may call.
#[derive(Clone)]
struct Guard {
    key: Option<TokenKey>,
    /// Opens the metrics and nothing else.
    metrics_token: Option<Secret>,
    clock: SharedClock,
}

async fn authenticate(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Some(key) = &guard.key else {
        return next.run(request).await;
    };
    match key.verify(bearer(&request), guard.clock.now_ms()) {
        Ok(_) => next.run(request).await,
        Err(error) => {
            let hint =
                "use the configuration and the data directory of a node, or a token of tidewater user token".to_owned();
            Refusal::new(StatusCode::UNAUTHORIZED, error.code(), error.to_string(), Some(hint)).into_response()
        }
    }
}

fn bearer(request: &Request) -> &str {
    let header = request.headers().get(AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    header.strip_prefix("Bearer ").unwrap_or_default().trim()
}

/// A refusal as clients see it.
struct Refusal(StatusCode, Value);

impl Refusal {
    fn new(status: StatusCode, code: &str, message: impl Into<String>, hint: Option<String>) -> Self {
        let hint = hint.unwrap_or_else(|| format!("see docs/errors/{code}.md"));
        Self(
            status,
            json!({"error": {"code": code, "message": message.into(), "hint": hint}}),
        )
    }

    /// With what may be the reason, behind its hint.
    fn with(mut self, warnings: &[String]) -> Self {
        if let Some(hint) = self.1.pointer_mut("/error/hint").filter(|_| !warnings.is_empty()) {
            let told = hint.as_str().unwrap_or_default();
            *hint = Value::String(format!("{told}; {}", warnings.join("; ")));
        }
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl<E: Coded> From<E> for Refusal {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut next = error.source();
        while let Some(source) = next {
            message = format!("{message}: {source}");
            next = source.source();
        }
        Self::new(status_of(error.kind()), error.code(), message, error.hint())
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

/// The process is alive: it answers.
async fn health() -> &'static str {
    "ok"
}

/// The process can do its work, or what keeps it from it.
async fn ready_for_work(State(ready): State<Ready>) -> Response {
    let checks = match running(&ready) {
        Ok(running) => readiness::checks(running).await,
        Err(_) => vec![Check::of("start", Err("still starting".into()))],
    };
    if checks.iter().all(|check| check.ok) {
        return Json(json!({"ready": true, "checks": checks})).into_response();
    }
    let failing = checks.iter().filter(|check| !check.ok);
    let failing: Vec<&str> = failing.map(|check| check.name).collect();
    let message = format!("not ready: {}", failing.join(", "));
    let error = json!({"code": "CTL-0012", "message": message, "hint": "see docs/errors/CTL-0012.md"});
    let told = json!({"ready": false, "checks": checks, "error": error});
    (StatusCode::SERVICE_UNAVAILABLE, Json(told)).into_response()
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
        "leads": running.leadership.as_ref().map(crate::roles::leadership::Leadership::leads),
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
    let warnings = warnings(pipelines).await;
    Ok(Json(json!({"models": pipelines.status().await?, "warnings": warnings})))
}

async fn plan(State(ready): State<Ready>, Json(request): Json<RunRequest>) -> Result<Json<Value>, Refusal> {
    let pipelines = running(&ready)?.pipelines.as_ref().ok_or_else(no_pipelines)?;
    let warnings = warnings(pipelines).await;
    let selection = Selection::of(request.models.clone());
    match pipelines.plan(&selection, options(&request)).await {
        Ok(plans) => Ok(Json(json!({"models": plans, "warnings": warnings}))),
        Err(error) => Err(Refusal::from(error).with(&warnings)),
    }
}

async fn run(State(ready): State<Ready>, Json(request): Json<RunRequest>) -> Result<Json<Value>, Refusal> {
    let asked = options(&request);
    run_models(running(&ready)?, Selection::of(request.models), asked).await
}

/// Goes on if whoever asked goes away: it is ended by `job cancel`.
async fn run_models(running: &Running, selection: Selection, options: RunOptions) -> Result<Json<Value>, Refusal> {
    let pipelines = running.pipelines.as_ref().ok_or_else(no_pipelines)?;
    let tasks = running.parts.tasks.child("asked");
    let report = pipelines.run_in(&tasks, selection, options).await;
    let warnings = warnings(pipelines).await;
    match report {
        Ok(report) => {
            let succeeded = report.succeeded();
            Ok(Json(
                json!({"succeeded": succeeded, "models": report.models, "warnings": warnings}),
            ))
        }
        Err(error) => Err(Refusal::from(error).with(&warnings)),
    }
}

/// What is not as whoever edits models may think: a process works with the project that it was started with.
async fn warnings(pipelines: &Pipelines) -> Vec<String> {
    let pipelines = pipelines.clone();
    let looked = tokio::task::spawn_blocking(move || pipelines.project().changed_files()).await;
    // Nobody ends it; without an answer nothing is warned of.
    let changed = looked.unwrap_or_default();
    if changed.is_empty() {
        return Vec::new();
    }
    let told: Vec<String> = changed
        .iter()
        .take(FILES_TOLD_MAX)
        .map(|path| path.display().to_string())
        .collect();
    let more = match changed.len().saturating_sub(FILES_TOLD_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    vec![format!(
        "changed since this process started, which goes on with what was there then: {}{more}; start it again",
        told.join(", ")
    )]
}

fn options(request: &RunRequest) -> RunOptions {
    RunOptions {
        full_refresh: request.full_refresh,
        as_of_ms: request.as_of_ms,
    }
}

/// Files of a project that are named when they have changed: as many as a person reads.
const FILES_TOLD_MAX: usize = 5;

/// How long requests that are at work may go on when the process is told to stop: less than it takes to end all its tasks.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// How long connecting to a process may take, which is on this machine or near.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How long an answer may take that needs no work: the process may be busy, and a plan reads metadata of every model.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// What to look at where something else listens.
const OTHER_PORT: &str = "http.listen has to be the HTTP port of a process (8080 unless it was set), not that of the catalog, of Flight SQL or of the PostgreSQL wire";

/// Asks the control endpoint of a running process.
pub(crate) async fn ask(settings: &Settings, path: &str) -> Result<Value, Failure> {
    ask_within(settings, path, None::<&()>, Some(ANSWER_DEADLINE)).await
}

/// Asks it about something.
pub(crate) async fn ask_about<B: Serialize>(settings: &Settings, path: &str, body: &B) -> Result<Value, Failure> {
    ask_within(settings, path, Some(body), Some(ANSWER_DEADLINE)).await
}

/// Has the control endpoint do work that takes as long as it takes: its steps have deadlines of their own.
pub(crate) async fn order<B: Serialize>(settings: &Settings, path: &str, body: &B) -> Result<Value, Failure> {
    ask_within(settings, path, Some(body), None).await
}

async fn ask_within<B: Serialize>(
    settings: &Settings,
    path: &str,
    body: Option<&B>,
    deadline: Option<Duration>,
) -> Result<Value, Failure> {
    let address = settings.http.listen;
    let url = format!("http://{address}{path}");
    let unreachable = |error: reqwest::Error| match error.is_timeout() {
        true => Failure::of(Reason::Unreachable, format!("{address} does not answer in time"))
            .hint("the process is overloaded or hangs: look at its log"),
        false if error.is_connect() => Failure::of(Reason::Unreachable, format!("nobody answers at {address}"))
            .hint("start it with: tidewater up, or set http.listen to where it is"),
        false => {
            let message = format!("{address} does not answer as the HTTP port does: {}", words(&error));
            Failure::of(Reason::Unreachable, message).hint(OTHER_PORT)
        }
    };
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_DEADLINE)
        .no_proxy()
        .build()
        .map_err(unreachable)?;
    let mut request = match body {
        Some(body) => client.post(&url).json(body),
        None => client.get(&url),
    };
    if let Some(deadline) = deadline {
        request = request.timeout(deadline);
    }
    if let Some(bearer) = settings.bearer() {
        request = request.bearer_auth(bearer.token());
    }
    let response = request.send().await.map_err(unreachable)?;
    let succeeded = response.status().is_success();
    let answer: BTreeMap<String, Value> = response.json().await.map_err(unreachable)?;
    if succeeded {
        return Ok(answer.into_iter().collect::<serde_json::Map<_, _>>().into());
    }
    let error = answer.get("error").cloned().unwrap_or_default();
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let message = text("message").unwrap_or_default();
    let Some(code) = text("code") else {
        let message = format!("what answers at {address} is not the HTTP port: {message}");
        return Err(Failure::of(Reason::Answer, message).hint(OTHER_PORT));
    };
    let failure = Failure::told(&format!("{code} {message}"));
    Err(match text("hint") {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

#[cfg(test)]
mod tests {
    use tidewater_core::ErrorKind;

    use super::*;

    // Goal: a caller can tell its own mistake from ours. Method: kinds on both sides.
    #[test]
    fn kinds_have_their_status() {
        for (kind, status) in [
            (ErrorKind::Invalid, 400),
            (ErrorKind::NotFound, 404),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Internal, 500),
        ] {
            assert_eq!(status_of(kind).as_u16(), status, "{kind:?}");
        }
    }
}
