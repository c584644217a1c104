//! What other processes ask that answer statements: to end one that runs here. Only for them, whatever else the nodes' secret opens, as
//! the user that they name is believed.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};

use tidewater_core::{Coded, SharedClock};
use tidewater_flight_sql::siblings::{Answer, Ask};
use tidewater_security::TokenKey;

use super::{Ready, Refusal, bearer, queries};
use crate::roles::Parts;

/// Where it is asked.
pub(crate) const PATH: &str = "/internal/v1/siblings";

/// Who may ask.
#[derive(Clone)]
struct Known {
    /// None where nodes have no secret: then nobody may.
    key: Option<TokenKey>,
    clock: SharedClock,
}

pub(super) fn routes(ready: &Ready, parts: &Parts) -> Router {
    let known = Known {
        key: parts.settings.sibling_key(),
        clock: SharedClock::clone(&parts.clock),
    };
    Router::new()
        .route(PATH, post(heed))
        .route_layer(from_fn_with_state(known, admit))
        .with_state(ready.clone())
}

async fn heed(State(ready): State<Ready>, Json(ask): Json<Ask>) -> Result<Json<Answer>, Refusal> {
    Ok(Json(queries::queries(&ready)?.heed(&ask)))
}

async fn admit(State(known): State<Known>, request: Request, next: Next) -> Response {
    let refused = |code: &str, text: String| {
        let hint = "only processes that name this one in flight_sql.siblings ask it".to_owned();
        Refusal::new(StatusCode::UNAUTHORIZED, code, text, Some(hint)).into_response()
    };
    let Some(key) = &known.key else {
        return refused(
            "CTL-0017",
            "the nodes have no secret that siblings could be known by".to_owned(),
        );
    };
    match key.verify(bearer(&request), known.clock.now_ms()) {
        Ok(_) => next.run(request).await,
        Err(error) => refused(error.code(), error.to_string()),
    }
}
