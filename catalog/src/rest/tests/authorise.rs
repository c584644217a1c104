//! Users, roles and grants at the protocol.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use uuid::Uuid;

use super::kit::{Kit, Reply, TABLE, TABLES, append, new_table, request};
use crate::server::{Access, CatalogOptions};
use tidewater_core::{Clock, ManualClock, SystemClock, SystemRng};
use tidewater_security::{
    Authenticator, Grants, PolicyChange, Principal, Role, StoredPassword, TokenKey, UserAction, UserChange,
    UserSettings,
};

mod bodies;
mod granted;
mod late;
mod marks;
mod places;
mod reserved;
mod taken;
mod users;

const SECRET: &[u8] = b"users";
const NODES: &[u8] = b"nodes";
const POLICY: &str = "/internal/v1/policy";

/// A catalog with users `ana`, `eve` and the administrator `root`.
struct Lake {
    kit: Kit,
    users: Arc<Authenticator>,
    clock: Arc<ManualClock>,
}

impl Lake {
    /// With the namespaces `a` and `b`, a table `t` and a view `v` in each, where grants bind once one is made.
    async fn new() -> Self {
        Self::binding_by(Grants::WhenMade).await
    }

    async fn binding_by(grants: Grants) -> Self {
        Self::over(grants, |_| ()).await
    }

    /// The same, of which `change` sets what else is wanted.
    async fn over(grants: Grants, change: impl FnOnce(&mut CatalogOptions)) -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock::shared().now_ms()));
        let user = |name: &str, role| UserSettings {
            name: name.into(),
            password_hash: String::new(),
            scram: None,
            role,
        };
        let users = vec![
            user("ana", Role::Reader),
            user("eve", Role::Writer),
            user("root", Role::Admin),
        ];
        let shared: Arc<dyn Clock> = clock.clone();
        let users = Authenticator::new(users, TokenKey::derive(SECRET), Arc::clone(&shared)).expect("users");
        let users = Arc::new(users.binding_by(grants));
        let access = Access::Users {
            users: Arc::clone(&users),
            nodes: Some(TokenKey::for_nodes(NODES)),
        };
        let kit = Kit::at("memory:///lake", |options| {
            options.access = access;
            options.clock = shared;
            change(options);
        });
        let lake = Self { kit, users, clock };
        for namespace in ["a", "b"] {
            lake.node("POST", "/v1/namespaces", json!({"namespace": [namespace]}))
                .await;
            let tables = format!("/v1/namespaces/{namespace}/tables");
            lake.node("POST", &tables, new_table("t")).await;
            let view = json!({"name": "v", "schema": schema(), "properties": {}, "view-version": {"version-id": 1,
                "timestamp-ms": 1, "schema-id": 0, "summary": {"engine-name": "x"}, "default-namespace": [namespace],
                "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}]}});
            lake.node("POST", &format!("/v1/namespaces/{namespace}/views"), view)
                .await;
        }
        lake
    }

    fn bearer(mut request: Request<Body>, token: &str) -> Request<Body> {
        let value = format!("Bearer {token}").parse().expect("a header");
        request.headers_mut().insert("authorization", value);
        request
    }

    fn node_token(&self) -> String {
        let principal = Principal::named("node");
        TokenKey::for_nodes(NODES).issue(&principal, i64::MAX)
    }

    fn token(&self, user: &str) -> String {
        self.users.issue(&Principal::named(user))
    }

    async fn with(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.kit
            .send(Self::bearer(request(method, path, body, None), token))
            .await
    }

    async fn node(&self, method: &str, path: &str, body: Value) -> Reply {
        let reply = self.with(&self.node_token(), method, path, Some(body)).await;
        assert!(reply.status < 300, "{method} {path}: {} {}", reply.status, reply.body);
        reply
    }

    async fn call(&self, user: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.with(&self.token(user), method, path, body).await
    }

    async fn status(&self, user: &str, method: &str, path: &str, body: Option<Value>) -> u16 {
        self.call(user, method, path, body).await.status
    }

    async fn grant(&self, privileges: &[&str], columns: &[&str], on: Value, user: &str) {
        let change = json!({"do": "grant", "privileges": privileges, "columns": columns, "on": on,
            "to": [{"user": user}]});
        self.node("POST", POLICY, change).await;
    }
}

fn schema() -> Value {
    json!({"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id", "required": true, "type": "long"},
        {"id": 2, "name": "ssn", "required": false, "type": "string"}]})
}

fn table(namespace: &str, name: &str) -> Value {
    json!({"object": {"namespace": [namespace], "name": name}})
}

/// Every route of the server with its methods, as its own source registers them.
fn routes() -> BTreeMap<String, Vec<&'static str>> {
    let mut routes = BTreeMap::new();
    for source in [include_str!("../../rest.rs"), include_str!("../../internal.rs")] {
        for call in source.split(".route(").skip(1) {
            let (path, handlers) = call.split_once(',').expect("a path and its handlers");
            let path = match path.trim() {
                "oauth::PATH" => "/v1/oauth/tokens",
                literal => literal.trim_matches('"'),
            };
            let end = handlers.find("\n        .").unwrap_or(handlers.len());
            let end = handlers.find(";\n").unwrap_or(end).min(end.max(1));
            let handlers = &handlers[..handlers.find(".route").unwrap_or(handlers.len()).min(handlers.len())];
            let mut methods: Vec<&'static str> = Vec::new();
            for (word, method) in [
                ("get(", "GET"),
                ("head(", "HEAD"),
                ("post(", "POST"),
                ("put(", "PUT"),
                ("delete(", "DELETE"),
            ] {
                if handlers.contains(word) {
                    methods.push(method);
                }
            }
            assert!(!methods.is_empty() && end > 0, "{path} has no method");
            routes.insert(path.to_owned(), methods);
        }
    }
    routes
}

/// A path of a route, with names of what is there.
fn path_of(route: &str) -> String {
    let path = route
        .replace("{namespace}", "a")
        .replace("{table}", "t")
        .replace("{view}", "v");
    let path = path.replace("{plan}", "p").replace("{node}", "1");
    path.replace("{job}", "00000000-0000-0000-0000-000000000001")
}

// Goal: no route answers somebody who is not who they say, or may do nothing. Method: every route of the router with its methods × no
// token, garbage, an expired one, one for another purpose, one of a user without grants; and what only nodes may ask × a user with all
// grants there are.
#[tokio::test]
async fn no_route_is_open() {
    let lake = Lake::new().await;
    lake.grant(&["select"], &[], json!("warehouse"), "root").await;
    lake.grant(&["admin"], &[], json!("warehouse"), "ana").await;
    let expired = lake.token("ana");
    lake.clock.advance(std::time::Duration::from_secs(13 * 3_600));
    let ana = Principal::named("ana");
    let operator = TokenKey::for_operators(NODES).issue(&ana, i64::MAX);
    let other = TokenKey::for_nodes(SECRET).issue(&ana, i64::MAX);
    let older = TokenKey::derive(SECRET).issue(&ana, i64::MAX);
    let stranger = lake.users.issue(&Principal::named("mallory"));
    let nothing = lake.token("eve");
    let everything = lake.token("ana");
    let routes = routes();
    assert!(routes.len() >= 40, "{} routes", routes.len());
    let (mut checked, mut closed) = (0, 0);
    for (route, methods) in &routes {
        let path = path_of(route);
        for method in methods {
            let body = (*method == "POST" || *method == "PUT").then(|| json!({}));
            let at = format!("{method} {route}");
            let call = async |token: Option<&str>| {
                let request = request(method, &path, body.clone(), None);
                let request = match token {
                    Some(token) => Lake::bearer(request, token),
                    None => request,
                };
                let response = tower::ServiceExt::oneshot(lake.kit.router.clone(), request).await;
                response.expect("the router always answers").status().as_u16()
            };
            if route == "/v1/oauth/tokens" {
                assert_eq!(call(None).await, 400, "{at}");
                continue;
            }
            assert_eq!(call(None).await, 401, "{at} without a token");
            for (name, token) in [
                ("garbage", "garbage"),
                ("an operator's", &operator),
                ("another secret's", &other),
                ("the older form's", &older),
                ("a stranger's", &stranger),
            ] {
                assert_eq!(call(Some(token)).await, 401, "{at} with {name} token");
            }
            assert_eq!(call(Some(&expired)).await, 419, "{at} with an expired token");
            let status = call(Some(&nothing)).await;
            match route.as_str() {
                "/v1/config" | "/v1/namespaces" if *method == "GET" => assert_eq!(status, 200, "{at}"),
                _ => {
                    assert!(matches!(status, 403 | 404), "{at} without grants: {status}");
                    closed += 1;
                }
            }
            if route.starts_with("/internal/") {
                assert_eq!(call(Some(&everything)).await, 403, "{at} with all grants");
            }
            checked += 1;
        }
    }
    assert!(checked >= 55 && closed >= 50, "{checked} checked, {closed} closed");
    println!("{} routes, {checked} with their methods × 8 callers", routes.len());
}
