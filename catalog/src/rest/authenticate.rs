//! Who may call.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::AUTHORIZATION;

use crate::error::{CatalogError, Result};
use crate::server::Access;
use tidewater_core::SharedClock;

/// What the check needs.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) access: Access,
    pub(crate) clock: SharedClock,
}

/// Lets a request in that bears a good token, or every request when no token is wanted.
pub(crate) async fn authenticate(State(guard): State<Guard>, request: Request, next: Next) -> Result<Response> {
    let Access::Tokens(key) = &guard.access else {
        return Ok(next.run(request).await);
    };
    let refused = |reason: &str| CatalogError::Unauthenticated { reason: reason.into() };
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer "));
    let token = token.ok_or_else(|| refused("the request bears no token"))?;
    let checked = key.verify(token.trim(), guard.clock.now_ms());
    checked.map_err(|error| refused(&error.to_string()))?;
    Ok(next.run(request).await)
}
