//! Who may operate the group of nodes: who knows its secret.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::error::{CatalogError, Result};
use tidewater_core::SharedClock;
use tidewater_security::TokenKey;

/// The header with the operator's token. It stands beside the user's own, which says who asks.
const OPERATOR: &str = "x-tidewater-operator";

/// What the check needs.
#[derive(Debug, Clone)]
pub(crate) struct Operators {
    pub(crate) key: Option<TokenKey>,
    pub(crate) clock: SharedClock,
}

/// Lets a request in that bears a token of the group's secret, or every request when there is no secret.
pub(super) async fn admit(State(operators): State<Operators>, request: Request, next: Next) -> Result<Response> {
    if let Some(key) = &operators.key {
        let refused = |reason: &str| CatalogError::Unauthenticated { reason: reason.into() };
        let token = request.headers().get(OPERATOR).and_then(|value| value.to_str().ok());
        let token = token.ok_or_else(|| refused("the request bears no operator's token"))?;
        let checked = key.verify(token.trim(), operators.clock.now_ms());
        checked.map_err(|error| refused(&error.to_string()))?;
    }
    Ok(next.run(request).await)
}
