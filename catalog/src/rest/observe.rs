//! Counts requests by route.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::metrics::CatalogMetrics;
use tidewater_core::SharedClock;

/// The route of a path that is none of ours.
const NO_ROUTE: &str = "none";

/// Counts a request by its route, never by its path: paths hold names.
pub(crate) async fn observe(
    State((metrics, clock)): State<(CatalogMetrics, SharedClock)>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let began = clock.monotonic();
    let response = next.run(request).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let took = clock.monotonic().saturating_sub(began);
    metrics.answered(&method, route, response.status(), took);
    response
}
