//! Requests that reach the wrong node are sent to the leader.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use super::respond::LedElsewhere;

/// Answers 307 with the leader's address when this node does not lead; 503 stays when nobody does.
pub(crate) async fn follow_leader(request: Request, next: Next) -> Response {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let response = next.run(request).await;
    let elsewhere = response
        .extensions()
        .get::<LedElsewhere>()
        .and_then(|led| led.api.clone());
    let Some(api) = elsewhere else { return response };
    let target = format!("{}{path}", api.trim_end_matches('/'));
    match HeaderValue::from_str(&target) {
        Ok(target) => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, target)]).into_response(),
        Err(_) => response,
    }
}
