//! Who may call.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::AUTHORIZATION;

use super::oauth;
use crate::error::{CatalogError, Result};
use crate::server::Access;
use tidewater_core::SharedClock;
use tidewater_security::SecurityError;

/// What the check needs.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) access: Access,
    pub(crate) clock: SharedClock,
}

/// Lets a request in that bears a good token, or every request when no token is wanted. Logging in needs none.
pub(crate) async fn authenticate(State(guard): State<Guard>, request: Request, next: Next) -> Result<Response> {
    if request.uri().path() == oauth::PATH {
        return Ok(next.run(request).await);
    }
    let refused = |reason: &str| CatalogError::Unauthenticated { reason: reason.into() };
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer "));
    let token = || {
        token
            .map(str::trim)
            .ok_or_else(|| refused("the request bears no token"))
    };
    let checked = match &guard.access {
        Access::Open => return Ok(next.run(request).await),
        Access::Tokens(key) => key.verify(token()?, guard.clock.now_ms()),
        Access::Users { users, nodes } => match (users.verify(token()?), nodes) {
            // Signed by neither key, or by the nodes'.
            (Err(SecurityError::BadToken), Some(nodes)) => nodes.verify(token()?, guard.clock.now_ms()),
            (checked, _) => checked,
        },
    };
    match checked {
        Ok(_) => Ok(next.run(request).await),
        Err(SecurityError::ExpiredToken) => Err(CatalogError::TokenExpired),
        Err(error) => Err(refused(&error.to_string())),
    }
}
