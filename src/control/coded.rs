//! Refusals that come from beneath the routes, in words of their own: they get a code and the form of ours.

use axum::body::to_bytes;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::Refusal;

/// As much of their words is told: they name a path, a method, or a place in a body.
const WORDS_BYTES_MAX: usize = 16 << 10;

/// Gives a code to what has none: paths that nobody serves, methods they do not take, bodies and ids that cannot be read.
pub(super) async fn give_code(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE);
    let has_code = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if has_code || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let words = to_bytes(body, WORDS_BYTES_MAX).await.unwrap_or_default();
    let message = match String::from_utf8_lossy(&words).trim() {
        "" => nameless(status),
        words => words.to_owned(),
    };
    let hint = "docs/http.md tells what is served for SQL; the rest is the command line's".to_owned();
    let (told, body) = Refusal::new(status, "CTL-0038", message, Some(hint))
        .into_response()
        .into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.extend(told.headers);
    Response::from_parts(parts, body)
}

fn nameless(status: StatusCode) -> String {
    match status {
        StatusCode::NOT_FOUND => "nothing is served at this path".to_owned(),
        StatusCode::METHOD_NOT_ALLOWED => "this path does not take this method".to_owned(),
        other => other.canonical_reason().unwrap_or("refused").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use axum::http::header::ALLOW;
    use serde_json::{Value, json};

    use super::*;

    async fn told(response: Response) -> (Response, Value) {
        let (parts, body) = give_code(response).await.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a body in memory");
        let told = serde_json::from_slice(&bytes).unwrap_or_default();
        (Response::from_parts(parts, axum::body::Body::empty()), told)
    }

    // Goal: whatever is refused has a code and a hint, and what has them keeps its own. Method: a path that nobody serves, a method, a body
    // that could not be read, a refusal of ours, and an answer.
    #[tokio::test]
    async fn every_refusal_has_a_code() {
        let (_, none) = told(StatusCode::NOT_FOUND.into_response()).await;
        assert_eq!(none["error"]["code"], "CTL-0038");
        assert!(none["error"]["hint"].is_string(), "{none}");
        let refused = (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET")]).into_response();
        let (response, told_of) = told(refused).await;
        assert_eq!(told_of["error"]["message"], "this path does not take this method");
        assert!(response.headers().contains_key(ALLOW));
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        let (_, body) = told((StatusCode::UNPROCESSABLE_ENTITY, "missing field `table`").into_response()).await;
        assert_eq!(body["error"]["message"], "missing field `table`");

        let own = json!({"error": {"code": "CTL-0003"}});
        let (_, kept) = told((StatusCode::NOT_FOUND, Json(own.clone())).into_response()).await;
        assert_eq!(kept, own);
        let (response, _) = told("ok".into_response()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_ne!(response.headers()[CONTENT_TYPE], "application/json");
    }

    // Goal: a refusal without advice of its own names its page. Method: one of each.
    #[test]
    fn a_refusal_names_its_page() {
        let hint =
            |own: Option<String>| Refusal::new(StatusCode::NOT_FOUND, "CTL-0003", "x", own).1["error"]["hint"].clone();
        assert_eq!(hint(None), "see docs/errors/CTL-0003.md");
        assert_eq!(hint(Some("start it".into())), "start it");
    }
}
