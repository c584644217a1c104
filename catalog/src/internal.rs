//! The calls of tidewater's own roles, under `/internal/v1`.

mod changes;
mod cluster;
mod drops;
mod held;
mod ingest;
mod jobs;
mod operators;
mod pointers;
mod policy;
mod reports;
mod tables;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};

use crate::service::Service;

pub(crate) use operators::Operators;
pub(crate) use pointers::LastPointers;

/// The routes of the internal calls.
pub(crate) fn routes(operators: Operators) -> Router<Arc<Service>> {
    Router::new()
        .route("/internal/v1/ingest/commit", post(ingest::commit))
        .route("/internal/v1/ingest/leases", post(ingest::leases))
        .route("/internal/v1/ingest/offsets", get(ingest::offsets))
        .route("/internal/v1/jobs", get(jobs::list))
        .route("/internal/v1/jobs/{job}", get(jobs::load).put(jobs::put))
        .route("/internal/v1/tables", get(tables::load))
        .route("/internal/v1/pointers", get(pointers::list))
        .route("/internal/v1/locations/held", post(held::ask))
        .route("/internal/v1/metrics-reports", get(reports::list))
        .route("/internal/v1/changes", get(changes::follow))
        .route("/internal/v1/changes/stream", get(changes::stream))
        .route("/internal/v1/namespaces", get(cluster::namespaces))
        .route("/internal/v1/dropped", get(drops::list))
        .route("/internal/v1/dropped/undrop", post(drops::undrop))
        .route("/internal/v1/policy", get(policy::load).post(policy::change))
        .route("/internal/v1/cluster", get(cluster::status))
        .merge(for_operators().route_layer(from_fn_with_state(operators, operators::admit)))
}

/// What changes the group of nodes, gives the whole state away, or drops a large part of it.
fn for_operators() -> Router<Arc<Service>> {
    Router::new()
        .route("/internal/v1/cluster/nodes", post(cluster::allocate))
        .route("/internal/v1/cluster/nodes/{node}", put(cluster::add))
        .route("/internal/v1/cluster/promote", post(cluster::promote))
        .route("/internal/v1/cluster/remove", post(cluster::remove))
        .route("/internal/v1/cluster/transfer", post(cluster::transfer))
        .route("/internal/v1/cluster/snapshot", post(cluster::snapshot))
        .route("/internal/v1/cluster/backup", get(cluster::backup))
        .route("/internal/v1/namespaces/drop", post(drops::drop_namespace))
}
