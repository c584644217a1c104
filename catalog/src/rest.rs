//! The Iceberg REST protocol: one file per resource, and what they share.

mod admit;
mod append;
mod authenticate;
mod authorise;
mod body;
mod config;
mod connections;
mod credentials;
mod deeds;
mod extract;
mod follow;
mod load;
mod metrics;
mod namespaces;
mod oauth;
mod observe;
mod page;
mod place;
mod plan;
mod register;
mod respond;
mod sign;
mod tables;
mod transactions;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::error::CatalogError;
use crate::service::Service;

pub(crate) use admit::{Admission, Deadline, admit, end_in_time};
pub(crate) use authenticate::{Caller, Guard, authenticate};
pub(crate) use authorise::{authorise, may_write_files};
pub(crate) use body::{Bodies, read_body};
pub use connections::{AtWork, Connections, Remote, Working};
pub(crate) use deeds::keep_deeds;
pub(crate) use extract::{Body, Query};
pub(crate) use follow::{Follower, follow_leader};
pub(crate) use load::{etag_of, is_known, not_modified, set_etag};
pub(crate) use oauth::Logins;
pub(crate) use observe::observe;
pub(crate) use respond::{Answer, json, json_bytes};

/// The shared state of all handlers.
pub(crate) type Shared = axum::extract::State<Arc<Service>>;

/// The routes of the protocol.
pub(crate) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/config", get(config::config))
        .route("/v1/namespaces", get(namespaces::list).post(namespaces::create))
        .route(
            "/v1/namespaces/{namespace}",
            get(namespaces::load).head(namespaces::exists).delete(namespaces::drop),
        )
        .route("/v1/namespaces/{namespace}/properties", post(namespaces::update))
        .route(
            "/v1/namespaces/{namespace}/tables",
            get(tables::list).post(tables::create),
        )
        .route(
            "/v1/namespaces/{namespace}/tables/{table}",
            get(load::load)
                .head(load::exists)
                .post(tables::commit)
                .delete(tables::drop),
        )
        .route("/v1/namespaces/{namespace}/register", post(register::register))
        .route(
            "/v1/namespaces/{namespace}/tables/{table}/metrics",
            post(metrics::report),
        )
        .route(
            "/v1/namespaces/{namespace}/tables/{table}/unregister",
            post(register::unregister),
        )
        .route(
            "/v1/namespaces/{namespace}/tables/{table}/append-files",
            post(append::append_files),
        )
        .route("/v1/namespaces/{namespace}/tables/{table}/plan", post(plan::plan))
        .route(
            "/v1/namespaces/{namespace}/tables/{table}/plan/{plan}",
            get(plan::result).delete(plan::cancel),
        )
        .route("/v1/namespaces/{namespace}/tables/{table}/tasks", post(plan::tasks))
        .route(
            "/v1/namespaces/{namespace}/tables/{table}/credentials",
            get(credentials::load),
        )
        .route("/v1/namespaces/{namespace}/tables/{table}/sign", post(sign::sign))
        .route("/v1/tables/rename", post(tables::rename))
        .route("/v1/namespaces/{namespace}/views", get(views::list).post(views::create))
        .route(
            "/v1/namespaces/{namespace}/views/{view}",
            get(views::load)
                .head(views::exists)
                .post(views::commit)
                .delete(views::drop),
        )
        .route(
            "/v1/namespaces/{namespace}/register-view",
            post(register::register_view),
        )
        .route("/v1/views/rename", post(views::rename))
        .route(oauth::PATH, post(oauth::tokens))
        .route("/v1/transactions/commit", post(transactions::commit))
}

/// The answer to a path that is none of ours.
pub(crate) async fn no_such_endpoint(method: http::Method, uri: http::Uri) -> CatalogError {
    let endpoint: String = format!("{method} {}", uri.path()).chars().take(200).collect();
    CatalogError::NoSuchEndpoint { endpoint }
}

#[cfg(test)]
mod tests;
