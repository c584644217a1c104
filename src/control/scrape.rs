//! `/metrics`, for those who may look: whoever bears the token for it or one of the nodes, and everybody on this machine where neither
//! is configured.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;

use super::{Guard, Ready, Refusal, bearer};
use crate::metrics::{Gatherer, MEDIA_TYPE, Metrics};
use crate::roles::Parts;

/// What is told to who scrapes.
#[derive(Clone)]
pub(super) struct Scrape {
    ready: Ready,
    metrics: Metrics,
    gatherer: Arc<Gatherer>,
}

impl Scrape {
    pub(super) fn new(ready: Ready, parts: &Parts) -> Self {
        Self {
            ready,
            metrics: parts.metrics.clone(),
            gatherer: Arc::new(Gatherer::new(Arc::clone(&parts.clock))),
        }
    }
}

pub(super) fn routes(scrape: Scrape, guard: Guard) -> Router {
    Router::new()
        .route("/metrics", get(tell))
        .layer(from_fn_with_state(guard, admit))
        .with_state(scrape)
}

async fn tell(State(scrape): State<Scrape>) -> Response {
    // A process that still starts has figures too.
    let gathered = match scrape.ready.0.get() {
        Some(running) => scrape.gatherer.gather(running).await,
        None => Registry::default(),
    };
    match scrape.metrics.text(&gathered) {
        Ok(text) => ([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let token = bearer(&request);
    let wanted = guard.metrics_token.as_ref();
    let open = wanted.is_none() && guard.key.is_none();
    let own = wanted.is_some_and(|wanted| tidewater_security::same_secret(wanted.expose(), token));
    let of_nodes = guard
        .key
        .as_ref()
        .is_some_and(|key| key.verify(token, guard.clock.now_ms()).is_ok());
    if open || own || of_nodes {
        return next.run(request).await;
    }
    let hint = "bear http.metrics_token, or a token of tidewater user token".to_owned();
    let text = "metrics are for those who bear a token";
    Refusal::new(StatusCode::UNAUTHORIZED, "CTL-0013", text, Some(hint)).into_response()
}
