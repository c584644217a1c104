//! A catalog in memory and a way to call it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use crate::memory::MemoryConsensus;
use crate::purge::{Resting, Sort};
use crate::service::Service;
use crate::store::{MemoryStore, MetadataStore};
use crate::{Access, CatalogOptions, CatalogServer, Warehouse};
use tidewater_core::{SeededRng, SystemClock, Tasks};
use tidewater_security::TokenKey;

pub(super) const TABLES: &str = "/v1/namespaces/a/tables";
pub(super) const TABLE: &str = "/v1/namespaces/a/tables/t";

pub(super) struct Kit {
    pub(super) router: Router,
    pub(super) consensus: Arc<MemoryConsensus>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) service: Arc<Service>,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn kind(&self) -> &str {
        self.body["error"]["type"].as_str().unwrap_or_default()
    }

    pub(super) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

impl Kit {
    /// An empty catalog.
    pub(super) fn empty() -> Self {
        Self::with_access(Access::Open)
    }

    pub(super) fn with_access(access: Access) -> Self {
        Self::at("memory:///lake", |options| options.access = access)
    }

    pub(super) fn with_operators(key: TokenKey) -> Self {
        Self::at("memory:///lake", |options| options.operators = Some(key))
    }

    /// An empty catalog with its warehouse at `location`; `change` sets what else is wanted.
    pub(super) fn at(location: &str, change: impl FnOnce(&mut CatalogOptions)) -> Self {
        let consensus = MemoryConsensus::shared();
        let store = Arc::new(MemoryStore::default());
        let warehouse = Warehouse::new("lake", location).expect("a good location");
        let mut options = CatalogOptions::new(
            consensus.clone(),
            store.clone() as Arc<dyn MetadataStore>,
            warehouse,
            SystemClock::shared(),
            Arc::new(SeededRng::new(1)),
            Tasks::new("test"),
        );
        change(&mut options);
        let server = CatalogServer::new(options);
        Self {
            router: server.router(),
            consensus,
            store,
            service: Arc::clone(server.service()),
        }
    }

    /// With namespace `a` and table `a.t` in it.
    pub(super) async fn with_table() -> Self {
        let kit = Self::empty();
        let made = kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let made = kit.post(TABLES, new_table("t")).await;
        assert_eq!(made.status, 200, "{}", made.body);
        kit
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("the router always answers");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body in memory");
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).expect("JSON")
        };
        Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    pub(super) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.send(request(method, path, body, None)).await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Reply {
        self.call("POST", path, Some(body)).await
    }

    pub(super) async fn post_once(&self, key: u128, path: &str, body: Value) -> Reply {
        self.send(request("POST", path, Some(body), Some(Uuid::from_u128(key))))
            .await
    }

    /// Commits updates to `a.t` without requirements.
    pub(super) async fn update(&self, updates: Value) -> Reply {
        self.post(TABLE, json!({"requirements": [], "updates": updates})).await
    }

    /// Does what drops left to do.
    pub(super) async fn work_on_drops(&self) {
        for sort in [Sort::Namespaces, Sort::Tables] {
            self.service.work_on_drops(sort, &mut Resting::new()).await;
        }
    }

    pub(super) async fn properties(&self) -> Value {
        self.get(TABLE).await.body["metadata"]["properties"].clone()
    }
}

pub(super) fn request(method: &str, path: &str, body: Option<Value>, key: Option<Uuid>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key.to_string());
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    request.body(body).expect("a good request")
}

pub(super) fn new_table(name: &str) -> Value {
    json!({"name": name, "schema": schema()})
}

pub(super) fn schema() -> Value {
    json!({"type": "struct", "schema-id": 0, "fields": [
        {"id": 1, "name": "id", "type": "long", "required": true},
        {"id": 2, "name": "at", "type": "timestamp", "required": false}]})
}

pub(super) fn set(name: &str, value: &str) -> Value {
    json!([{"action": "set-properties", "updates": {name: value}}])
}

/// Adds a snapshot and makes it the head of `main`.
pub(super) fn append(id: i64, parent: Option<i64>, sequence: i64) -> Value {
    let now_ms = SystemClock::shared().now_ms();
    let snapshot = json!({"snapshot-id": id, "parent-snapshot-id": parent, "sequence-number": sequence,
        "timestamp-ms": now_ms, "manifest-list": "memory:///lake/x.avro",
        "summary": {"operation": "append"}, "schema-id": 0});
    json!([{"action": "add-snapshot", "snapshot": snapshot},
        {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": id}])
}
