//! How many requests are worked on at a time.

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

/// The places for requests.
#[derive(Debug, Clone)]
pub(crate) struct Admission(Arc<Semaphore>);

impl Default for Admission {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(REQUESTS_AT_ONCE)))
    }
}

/// Lets a request in when there is a place for it.
pub(crate) async fn admit(
    State(Admission(places)): State<Admission>,
    request: Request,
    next: Next,
) -> Result<Response> {
    let Ok(Ok(_place)) = tokio::time::timeout(WAIT_MAX, places.acquire()).await else {
        return Err(CatalogError::from(ConsensusError::Overloaded {
            what: "requests",
            waited: WAIT_MAX,
        }));
    };
    Ok(next.run(request).await)
}
