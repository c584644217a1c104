//! The calls of tidewater's own roles, under `/internal/v1`.

mod changes;
mod cluster;
mod ingest;
mod jobs;
mod reports;
mod tables;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::service::Service;

/// The routes of the internal calls.
pub(crate) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/internal/v1/ingest/commit", post(ingest::commit))
        .route("/internal/v1/ingest/leases", post(ingest::leases))
        .route("/internal/v1/ingest/offsets", get(ingest::offsets))
        .route("/internal/v1/jobs", get(jobs::list))
        .route("/internal/v1/jobs/{job}", get(jobs::load).put(jobs::put))
        .route("/internal/v1/tables", get(tables::load))
        .route("/internal/v1/metrics-reports", get(reports::list))
        .route("/internal/v1/changes", get(changes::follow))
        .route("/internal/v1/namespaces", get(cluster::namespaces))
        .route("/internal/v1/cluster", get(cluster::status))
}
