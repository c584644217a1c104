//! How many requests are worked on at a time, and for how long.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::Semaphore;

use crate::error::{CatalogError, Result};
use crate::raft::ConsensusError;

/// Requests worked on at a time; more wait. Each may hold a body of 16 MiB.
const REQUESTS_AT_ONCE: usize = 1_024;

/// How long a request waits to be worked on.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Longest a request may take: a queue of commits, a slow store and an election fit in.
const REQUEST_DEADLINE: Duration = Duration::from_secs(90);

/// The places for requests.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    wait_max: Duration,
}

impl Admission {
    /// So many places, and how long to wait for one.
    pub(crate) fn new(places: usize, wait_max: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            wait_max,
        }
    }
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(REQUESTS_AT_ONCE, WAIT_MAX)
    }
}

/// Lets a request in when there is a place for it.
pub(crate) async fn admit(State(admission): State<Admission>, request: Request, next: Next) -> Result<Response> {
    let waited = admission.wait_max;
    let Ok(Ok(_place)) = tokio::time::timeout(waited, admission.places.acquire()).await else {
        let what = "requests";
        return Err(CatalogError::from(ConsensusError::Overloaded { what, waited }));
    };
    Ok(next.run(request).await)
}

/// How long a request may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Duration);

impl Default for Deadline {
    fn default() -> Self {
        Self(REQUEST_DEADLINE)
    }
}

/// Answers that the outcome is not known when it is not there in time. A commit that was begun goes on.
pub(crate) async fn end_in_time(
    State(Deadline(deadline)): State<Deadline>,
    request: Request,
    next: Next,
) -> Result<Response> {
    match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(response) => Ok(response),
        Err(_) => Err(CatalogError::DeadlineExceeded {
            seconds: deadline.as_secs(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use http::StatusCode;
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;

    async fn error(router: Router) -> (StatusCode, serde_json::Value) {
        let request = Request::get("/").body(Body::empty()).expect("a request");
        let response = router.oneshot(request).await.expect("the router always answers");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .expect("a body in memory");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    // Goal: a request over the limit waits, is told so with the limit's name, and does no harm. Method: one place, taken by a request that ends when told to.
    #[tokio::test]
    async fn requests_in_flight_are_limited() {
        let (entered, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, wait) = (Arc::clone(&entered), Arc::clone(&end));
        let handler = move || async move {
            told.notify_one();
            wait.notified().await;
            "{}"
        };
        let router = Router::new()
            .route("/", get(handler))
            .layer(from_fn_with_state(Admission::new(1, Duration::from_millis(20)), admit));
        let slow = error(router.clone());
        let others = async {
            entered.notified().await;
            let (status, body) = error(router.clone()).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
            let message = body["error"]["message"].as_str().unwrap_or_default();
            assert!(message.contains("requests"), "{body}");
            end.notify_one();
        };
        let ((status, _), ()) = tokio::join!(slow, others);
        assert_eq!(status, StatusCode::OK);
    }

    // Goal: what is not done in time has an unknown outcome, told in the error model. Method: a handler that never ends.
    #[tokio::test]
    async fn requests_end_in_time() {
        let router = Router::new()
            .route("/", get(std::future::pending::<()>))
            .layer(from_fn_with_state(Deadline(Duration::from_millis(10)), end_in_time));
        let (status, body) = error(router).await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(body["error"]["type"], "CommitStateUnknownException");
        assert_eq!(body["error"]["error-code"], "CAT-0029");
    }
}
