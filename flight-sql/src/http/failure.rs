//! What went wrong, as HTTP tells it.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use tidewater_core::{Coded, ErrorKind, Retry};
use tidewater_security::SecurityError;

use crate::error::QueryError;
use crate::flight::status::masked;

/// Seconds after which somebody who was refused for want of room may come again.
const AGAIN_AFTER: &str = "1";

/// A refusal: `{"error": {"code", "kind", "message", "hint", "retry"}}`.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    status: StatusCode,
    code: String,
    message: String,
    hint: Option<String>,
    retry: bool,
}

impl Failure {
    fn new(status: StatusCode, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            hint: Some(hint.into()),
            retry: false,
        }
    }

    /// The request cannot be understood.
    pub(super) fn bad_request(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SQL-0020", message, hint)
    }

    /// None of the forms that the client takes can be made.
    pub(super) fn not_acceptable(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "SQL-0021", message, hint)
    }

    /// This process answers no statements, or not yet.
    pub(super) fn not_here() -> Self {
        Self {
            retry: true,
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "CTL-0009",
                "this process answers no statements, or still starts",
                "ask a process that has the flight-sql role",
            )
        }
    }

    /// The body that tells it.
    pub(super) fn told(&self) -> serde_json::Value {
        json!({"error": {
            "code": self.code, "message": self.message, "hint": self.hint, "retry": self.retry,
        }})
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::from(&error)
    }
}

impl From<&QueryError> for Failure {
    fn from(error: &QueryError) -> Self {
        let status = match error {
            QueryError::Security(
                SecurityError::PermissionDenied { .. }
                | SecurityError::NothingGranted
                | SecurityError::OpenWithoutAuthentication { .. }
                // Asked for credentials, a browser would show the password again.
                | SecurityError::PlainPassword,
            ) => StatusCode::FORBIDDEN,
            QueryError::Security(_) if error.kind() == ErrorKind::Denied => StatusCode::UNAUTHORIZED,
            _ if error.is_not_admitted() => StatusCode::TOO_MANY_REQUESTS,
            // It would be as large the next time.
            QueryError::TooLarge { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            _ => status_of(error.kind()),
        };
        Self {
            status,
            code: error.code().to_owned(),
            message: masked(error).unwrap_or_else(|| error.chain()),
            hint: Some(
                error
                    .hint()
                    .unwrap_or_else(|| format!("see docs/errors/{}.md", error.code())),
            ),
            retry: error.retry() == Retry::Safe,
        }
    }
}

/// The status of a kind of error.
pub fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict | ErrorKind::Fenced | ErrorKind::Cancelled => StatusCode::CONFLICT,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Corrupt | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.told())).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            let asked = HeaderValue::from_static("Basic realm=\"tidewater\", Bearer");
            headers.insert(WWW_AUTHENTICATE, asked);
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(AGAIN_AFTER));
        }
        response
    }
}

/// What breaks a body off.
impl From<Failure> for axum::BoxError {
    fn from(failure: Failure) -> Self {
        format!("{} {}", failure.code, failure.message).into()
    }
}
