//! SQL over HTTP: `POST /api/v1/sql` answers with the rows as Arrow, JSON, CSV or Parquet, at once or, for those who cannot wait on
//! one connection, under a name.
//!
//! It has no logic of its own but for the forms of its messages: who may ask, what runs and what is told are [`QueryService`]'s.

mod cors;
mod failure;
mod format;
mod request;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use tidewater_core::Tasks;
use tidewater_security::{Peer, Principal, SecurityError};

pub use self::cors::Origin;
use self::cors::Readers;
use self::failure::Failure;
pub use self::failure::status_of;
use self::format::Format;
use self::request::Ask;
use crate::error::QueryError;
use crate::flight::authentication;
use crate::held::{Ended, Failed, Look};
use crate::metrics;
use crate::service::{Opened, QueryService, Results};

/// The name of a statement, by which it is cancelled and found in `ops.queries`.
const QUERY_ID: HeaderName = HeaderName::from_static("x-query-id");

/// Whether the rows were kept ones.
const CACHE: HeaderName = HeaderName::from_static(authentication::CACHE_ANSWER);

/// What whoever asks has to know beside the rows.
const WARNING: HeaderName = HeaderName::from_static(authentication::WARNING_ANSWER);

/// Longest body of a request.
pub const REQUEST_BYTES_MAX: usize = 4 << 20;

/// The shortest time that a statement is given, so that it can fail with an answer.
const DEADLINE_MIN: Duration = Duration::from_millis(1);

/// What the interface is, for clients that are made from it.
const OPENAPI: &str = include_str!("http/openapi.json");

/// Finds the service: none while the process still starts, or where it answers no statements.
pub type Find = Arc<dyn Fn() -> Option<QueryService> + Send + Sync>;

/// What is a matter of choice.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// Other origins whose pages may read answers.
    pub origins: Vec<Origin>,
    /// Whether passwords from other machines are taken without TLS.
    pub plain_passwords: bool,
}

#[derive(Clone)]
struct Front {
    find: Find,
    /// Where it is served.
    address: SocketAddr,
    plain_passwords: bool,
    tasks: Tasks,
}

/// The routes below `/api/v1`, to be served at this address beside others. Beyond loopback they answer nobody where there are no users:
/// what else is served there has another key.
pub fn routes(find: Find, address: SocketAddr, options: HttpOptions, tasks: &Tasks) -> Router {
    let front = Front {
        find,
        address,
        plain_passwords: options.plain_passwords,
        tasks: tasks.child("http-sql"),
    };
    let routes = Router::new()
        .route("/api/v1/sql", post(ask))
        .route("/api/v1/sql/{id}", get(look).delete(cancel))
        .route("/api/v1/sql/{id}/result", get(result))
        .route("/api/v1/openapi.json", get(openapi))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(front);
    match options.origins.is_empty() {
        true => routes,
        false => routes.layer(from_fn_with_state(Readers::new(options.origins), cors::tell)),
    }
}

async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

impl Front {
    /// Who asks, and the service for them.
    async fn enter(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<(QueryService, Principal), Failure> {
        let service = (self.find)().ok_or_else(Failure::not_here)?;
        if !self.address.ip().is_loopback() && !service.authenticator().required() {
            let address = self.address;
            return Err(QueryError::from(SecurityError::OpenWithoutAuthentication { address }).into());
        }
        let metadata = MetadataMap::from_headers(headers.clone());
        let service = service
            .through(metrics::Front::Http)
            .of_client(authentication::client(&metadata))
            .cached(authentication::takes_kept_rows(&metadata))
            .execution(authentication::execution(&metadata));
        // Who serves this tells where requests come from; nobody does in tests of the routes alone.
        let peer = extensions.get::<Peer>().cloned().unwrap_or_default();
        if service.authenticator().required()
            && authentication::shows_password(&metadata)
            && !self.plain_passwords
            && !peer.is_private()
        {
            return Err(QueryError::from(SecurityError::PlainPassword).into());
        }
        let principal = authentication::principal(&service, &metadata, &peer).await?;
        Ok((service.at_address(peer.ip()), principal))
    }
}

async fn ask(
    State(front): State<Front>,
    extensions: Extensions,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let (service, principal) = front.enter(&headers, &extensions).await?;
    let ask = Ask::read(&headers, &body)?;
    // Before anything runs: what nobody could read is not made.
    let format = Format::accepted(&headers)?;
    let service = ask.of(service);
    let id = service.fresh_id();
    if ask.later {
        service.held().begin(&principal, id, None)?;
        front.tasks.spawn("statement", async move {
            let work = Box::pin(run_whole(&service, &principal, id, &ask));
            service.held().hold(id, work, |cut| service.cut(id, cut)).await;
        });
        let location = format!("/api/v1/sql/{id}");
        let told = Json(told(id, &Look::Runs));
        return Ok((StatusCode::ACCEPTED, [(LOCATION, location)], told).into_response());
    }
    let opened = open(&service, &principal, id, &ask).await?;
    answer(format, id, opened).await
}

async fn open(service: &QueryService, principal: &Principal, id: Uuid, ask: &Ask) -> Result<Opened, QueryError> {
    let options = ask.options(service);
    let deadline = ask.deadline(service.query_timeout());
    let opened = service.open(principal, id, &ask.sql, ask.values.clone(), &options, deadline);
    Box::pin(opened).await
}

/// Rows as a body. The first batch is waited for, so that what fails before it has a status of its own; what fails later breaks the
/// body off, so that nobody takes a part for the whole.
async fn answer(format: Format, id: Uuid, opened: Opened) -> Result<Response, Failure> {
    let (results, how) = match opened {
        Opened::Rows(results, how) => (results, how),
        Opened::Changed(changed) => {
            let told = json!({"status": changed.verb(), "rows": changed.count()});
            let mut response = Json(told).into_response();
            warn(&mut response, changed.warnings());
            return Ok(named(id, response));
        }
    };
    let warnings = results.warnings.clone();
    let mut rows = Box::pin(format.encode(results)?);
    let first = rows.next().await.transpose()?;
    let body = Body::from_stream(futures::stream::iter(first.map(Ok)).chain(rows));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(how) = how {
        headers.insert(CACHE, HeaderValue::from_static(how.word()));
        if let Some(seconds) = how.age_s() {
            headers.insert(AGE, HeaderValue::from(seconds));
        }
    }
    warn(&mut response, &warnings);
    Ok(named(id, response))
}

/// What is to be known beside the answer.
fn warn(response: &mut Response, warnings: &[String]) {
    if let Some(Ok(warnings)) = authentication::warned(warnings).map(HeaderValue::try_from) {
        response.headers_mut().insert(WARNING, warnings);
    }
}

fn named(id: Uuid, mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(QUERY_ID, value);
    }
    response
}

/// Runs a statement to its last row, for somebody who comes for it later.
async fn run_whole(service: &QueryService, principal: &Principal, id: Uuid, ask: &Ask) -> Result<Ended, Failed> {
    let basis = service.basis_of_text(principal, &ask.sql, ask.options(service))?;
    let opened = open(service, principal, id, ask).await;
    match opened.map_err(|error| Failed::new(error, basis))? {
        Opened::Changed(changed) => Ok(Ended::changed(changed.verb(), changed.count())),
        Opened::Rows(results, _) => Ended::collect(results, |cut| service.cut(id, cut)).await,
    }
}

/// What can be said of a statement that is held.
fn told(id: Uuid, look: &Look) -> Value {
    match look {
        Look::Runs => json!({"id": id, "status": "running"}),
        Look::Failed(failed) => {
            let failure = Failure::from(failed.error.as_ref());
            json!({"id": id, "status": "failed", "error": failure.told()["error"]})
        }
        Look::Done(Ended::Changed { .. }, _) => json!({"id": id, "status": "finished"}),
        Look::Done(ended, _) => json!({"id": id, "status": "finished", "rows": ended.rows()}),
    }
}

async fn look(
    State(front): State<Front>,
    extensions: Extensions,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
) -> Result<Response, Failure> {
    let (service, principal) = front.enter(&headers, &extensions).await?;
    let look = service.held().look(&principal, id)?;
    let look = service.still_theirs(&principal, id, look).await?;
    Ok(Json(told(id, &look)).into_response())
}

async fn result(
    State(front): State<Front>,
    extensions: Extensions,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
) -> Result<Response, Failure> {
    let (service, principal) = front.enter(&headers, &extensions).await?;
    let format = Format::accepted(&headers)?;
    let look = service.held().look(&principal, id)?;
    let look = service.still_theirs(&principal, id, look).await?;
    match look {
        Look::Runs => Ok((StatusCode::ACCEPTED, Json(told(id, &look))).into_response()),
        Look::Failed(failed) => Err(failed.error.as_ref().into()),
        Look::Done(Ended::Changed { status, rows }, _) => {
            Ok(named(id, Json(json!({"status": status, "rows": rows})).into_response()))
        }
        Look::Done(Ended::Rows { schema, batches, .. }, _) => {
            let batches = futures::stream::iter(batches.iter().cloned().map(Ok).collect::<Vec<_>>());
            let batches = Box::pin(batches);
            let results = Results {
                schema,
                batches,
                warnings: Vec::new(),
                basis: None,
            };
            answer(format, id, Opened::Rows(results, None)).await
        }
    }
}

/// Ends a statement, or forgets its result.
async fn cancel(
    State(front): State<Front>,
    extensions: Extensions,
    headers: HeaderMap,
    Path(id): Path<Uuid>,
) -> Result<Response, Failure> {
    let (service, principal) = front.enter(&headers, &extensions).await?;
    service.forget_anywhere(&principal, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
