//! What a client learns first.

use axum::extract::State;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::extract::Query;
use super::respond::{Answer, json};
use crate::error::CatalogError;
use crate::names::ADVERTISED_SEPARATOR;
use crate::state::IDEMPOTENCY_LIFETIME_MS;

/// What this catalog can do. Clients take anything that is not in here for missing.
const ENDPOINTS: &[&str] = &[
    "GET /v1/{prefix}/namespaces",
    "POST /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "DELETE /v1/{prefix}/namespaces/{namespace}",
    "POST /v1/{prefix}/namespaces/{namespace}/properties",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "POST /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/unregister",
    "POST /v1/{prefix}/namespaces/{namespace}/register",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics",
    // Ours alone.
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/append-files",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan/{plan-id}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan/{plan-id}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/tasks",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/sign",
    "POST /v1/{prefix}/tables/rename",
    "POST /v1/{prefix}/transactions/commit",
    "GET /v1/{prefix}/namespaces/{namespace}/views",
    "POST /v1/{prefix}/namespaces/{namespace}/views",
    "GET /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "POST /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "POST /v1/{prefix}/namespaces/{namespace}/register-view",
    "POST /v1/{prefix}/views/rename",
    "GET /v1/config",
];

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    warehouse: String,
}

/// `GET /v1/config`
pub(super) async fn config(State(service): Shared, Query(wanted): Query<Wanted>) -> Answer {
    let warehouse = &service.warehouse;
    let known = [warehouse.name(), warehouse.location(), ""];
    if !known.contains(&wanted.warehouse.as_str()) {
        return Err(CatalogError::NoSuchWarehouse {
            warehouse: wanted.warehouse.chars().take(100).collect(),
        });
    }
    // Url-encoded, for clients put it into paths as it is.
    let separator = format!("%{:02X}", u32::from(ADVERTISED_SEPARATOR));
    let minutes = IDEMPOTENCY_LIFETIME_MS / 60_000;
    json(&json!({
        "defaults": {},
        "overrides": {"namespace-separator": separator},
        "endpoints": ENDPOINTS,
        "idempotency-key-lifetime": format!("PT{minutes}M"),
    }))
}
