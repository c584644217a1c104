//! Answers: JSON bodies, the error model, and what a middleware needs to know about an error.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::error::{CatalogError, Result};
use crate::raft::ConsensusError;
use tidewater_core::Coded;

/// Seconds after which a client may come again: an election takes about one.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// What a handler gives.
pub(crate) type Answer = Result<Response>;

/// Put on a response when another node leads; the middleware turns it into a redirect.
#[derive(Debug, Clone)]
pub(crate) struct LedElsewhere {
    /// Base URL of the leader; none when there is no leader now.
    pub(crate) api: Option<String>,
}

/// Put on a response when it is not known whether the request was done: its repetition under a key tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutcomeUnknown;

/// A JSON answer with status 200.
pub(crate) fn json<T: Serialize>(value: &T) -> Answer {
    let bytes = serde_json::to_vec(value).map_err(|error| CatalogError::internal(error.to_string()))?;
    Ok(json_bytes(StatusCode::OK, bytes.into()))
}

/// JSON that is there already.
pub(crate) fn json_bytes(status: StatusCode, bytes: Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Done, and there is nothing to say.
pub(crate) fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Put on a response that is an error: its code, for the audit log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorCode(pub(crate) &'static str);

impl IntoResponse for CatalogError {
    fn into_response(self) -> Response {
        let (status, kind) = self.status_and_type();
        if status >= 500 && status != 503 {
            tracing::error!(
                error = &self as &dyn std::error::Error,
                code = self.code(),
                "request failed"
            );
        }
        let own = self.itself();
        let message = match own {
            // What a defect looks like inside is for the log.
            Self::Internal { .. } => "internal error, see the catalog's log".to_owned(),
            other => other.to_string(),
        };
        // Clients of the protocol read the first three; ours read all.
        let error =
            json!({"message": message, "type": kind, "code": status, "error-code": self.code(), "hint": self.hint()});
        let mut body = json!({"error": error});
        if let Self::AppendOverlap { last, .. } = own {
            // Where the producer goes on, for programs.
            body["error"]["last-range"] = json!({"from": last.from, "to": last.to});
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json_bytes(status, body.to_string().into());
        response.extensions_mut().insert(ErrorCode(self.code()));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if kind == "CommitStateUnknownException" && status == StatusCode::INTERNAL_SERVER_ERROR {
            response.extensions_mut().insert(OutcomeUnknown);
        }
        if let Self::Consensus(ConsensusError::NotLeader { leader, .. }) = own {
            let api = leader.as_ref().map(|leader| leader.address.api.clone());
            let api = api.filter(|api| !api.is_empty());
            response.extensions_mut().insert(LedElsewhere { api });
        }
        response
    }
}
