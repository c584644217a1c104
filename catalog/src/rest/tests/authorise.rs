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
mod late;
mod marks;
mod places;
mod reserved;
mod taken;

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

// Goal: a user of the catalog comes in by password and token, and once disabled, or dropped, is nobody at every route, as is who had the
// name before another one. Method: login, every route of the router, and a token in the place of the password, before and after each
// change; changes of the configuration's users and of strangers are refused.
#[tokio::test]
async fn users_of_the_catalog_come_and_go() {
    let lake = Lake::new().await;
    let change = |user: &str, action: UserAction| {
        let user = user.to_owned();
        serde_json::to_value(PolicyChange::User(UserChange { user, action })).expect("JSON")
    };
    let add = |id: u128| UserAction::Add {
        id: Uuid::from_u128(id),
        password: Some(StoredPassword::new("correct horse", &SystemRng::shared()).expect("a hash")),
        roles: Vec::new(),
    };
    let login = async |secret: &str| {
        let form = format!("grant_type=client_credentials&client_id=ben&client_secret={secret}");
        let request = Request::post("/v1/oauth/tokens").header("content-type", "application/x-www-form-urlencoded");
        let reply = lake.kit.send(request.body(Body::from(form)).expect("a request")).await;
        (reply.status, reply.body["access_token"].as_str().map(str::to_owned))
    };
    let reads = async |token: &str| lake.with(token, "GET", TABLE, None).await.status;
    assert_eq!(login("correct+horse").await, (401, None));
    lake.node("POST", POLICY, change("ben", add(1))).await;
    assert_eq!(login("wrong").await, (401, None));
    let token = login("correct+horse").await.1.expect("a token");
    assert_eq!((reads(&token).await, login(&token).await.0), (200, 200));
    lake.node("POST", POLICY, change("ben", UserAction::Disable)).await;
    let mut checked = 0;
    for (route, methods) in &routes() {
        for method in methods.iter().filter(|_| route != "/v1/oauth/tokens") {
            let body = (*method == "POST" || *method == "PUT").then(|| json!({}));
            let request = Lake::bearer(request(method, &path_of(route), body, None), &token);
            let response = tower::ServiceExt::oneshot(lake.kit.router.clone(), request).await;
            let status = response.expect("the router always answers").status();
            assert_eq!(status.as_u16(), 401, "{method} {route}");
            checked += 1;
        }
    }
    assert!(checked >= 55, "{checked} checked");
    assert_eq!((login("correct+horse").await.0, login(&token).await.0), (401, 401));
    lake.node("POST", POLICY, change("ben", UserAction::Enable)).await;
    lake.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!((reads(&token).await, login(&token).await.0), (401, 401));
    let token = login("correct+horse").await.1.expect("a token");
    assert_eq!(reads(&token).await, 200);
    lake.node("POST", POLICY, change("ben", UserAction::Drop)).await;
    assert_eq!((reads(&token).await, login("correct+horse").await.0), (401, 401));
    lake.node("POST", POLICY, change("ben", add(2))).await;
    assert_eq!(reads(&token).await, 401, "the token was another one's");
    assert_eq!(login("correct+horse").await.0, 200);
    let service = UserAction::Add {
        id: Uuid::from_u128(4),
        password: None,
        roles: Vec::new(),
    };
    lake.node("POST", POLICY, change("etl", service)).await;
    let password = StoredPassword::new("correct horse", &SystemRng::shared()).expect("a hash");
    for (user, action, status, says) in [
        ("", add(3), 400, "1 to 256 bytes"),
        ("b:n", add(3), 400, "colon"),
        ("b\nn", add(3), 400, "control"),
        ("etl", UserAction::SetPassword { password }, 409, "service account"),
        ("ben", add(3), 409, "already"),
        ("ana", add(3), 409, "configuration"),
        ("ana", UserAction::Disable, 409, "configuration"),
        ("mallory", UserAction::Disable, 404, "no user"),
    ] {
        let reply = lake
            .with(&lake.node_token(), "POST", POLICY, Some(change(user, action)))
            .await;
        assert_eq!(reply.status, status, "{user}: {}", reply.body);
        assert!(reply.message().contains(says), "{user}: {}", reply.body);
    }
    let plain = StoredPassword {
        hash: "correct horse".into(),
        scram: String::new(),
    };
    let plain = change("ben", UserAction::SetPassword { password: plain });
    assert_eq!(
        lake.with(&lake.node_token(), "POST", POLICY, Some(plain)).await.status,
        400
    );
    assert_eq!(
        lake.status("root", "POST", POLICY, Some(change("ben", UserAction::Drop)))
            .await,
        403
    );
}

// Goal: before the first grant all is as it was, and after it one sees what one was granted and nothing else. Method: a user with SELECT
// on one table of two, beside one with a column of it, one with nothing and the administrator.
#[tokio::test]
async fn one_sees_what_was_granted() {
    let lake = Lake::new().await;
    assert_eq!(lake.status("eve", "GET", TABLE, None).await, 200);
    assert_eq!(
        lake.status("eve", "POST", POLICY, Some(json!({"do": "create_role", "role": "x"})))
            .await,
        403
    );
    lake.grant(&["select"], &[], table("a", "t"), "ana").await;
    let names = |reply: &Reply, of: &str| reply.body[of].as_array().map_or(0, Vec::len);
    for (user, namespaces, tables, views) in [("ana", 1, 1, 0), ("eve", 0, 0, 0), ("root", 2, 1, 1)] {
        assert_eq!(
            names(&lake.call(user, "GET", "/v1/namespaces", None).await, "namespaces"),
            namespaces,
            "{user}"
        );
        assert_eq!(
            names(&lake.call(user, "GET", TABLES, None).await, "identifiers"),
            tables,
            "{user}"
        );
        let found = lake.call(user, "GET", "/v1/namespaces/a/views", None).await;
        assert_eq!(names(&found, "identifiers"), views, "{user}");
    }
    // What is hidden answers as what is not there does, word by word.
    for (method, hidden, missing, named) in [
        ("GET", "b/tables/t", "b/tables/x", ["b.t", "b.x"]),
        ("HEAD", "b/tables/t", "b/tables/x", ["b.t", "b.x"]),
        ("GET", "b", "x", ["b", "x"]),
        ("GET", "b/tables", "x/tables", ["b", "x"]),
        ("GET", "a/views/v", "a/views/x", ["a.v", "a.x"]),
        ("DELETE", "b/tables/t", "b/tables/x", ["b.t", "b.x"]),
        ("DELETE", "b", "x", ["b", "x"]),
        ("POST", "b/tables/t", "b/tables/x", ["b.t", "b.x"]),
    ] {
        let body = (method == "POST").then(|| json!({"requirements": [], "updates": append(1, None, 1)}));
        let call = async |path: &str| {
            let path = format!("/v1/namespaces/{path}");
            lake.call("ana", method, &path, body.clone()).await
        };
        let (one, two) = (call(hidden).await, call(missing).await);
        assert_eq!(
            (one.status, two.status),
            (404, 404),
            "{hidden}: {} {}",
            one.body,
            two.body
        );
        let [of_hidden, of_missing] = named.map(|name| format!(": {name}\""));
        let one = one.body.to_string().replace(&of_hidden, &of_missing);
        assert_eq!(one, two.body.to_string(), "{hidden}");
    }
    let hidden = lake.call("ana", "GET", "/v1/namespaces?parent=b", None).await;
    assert_eq!((hidden.status, hidden.message()), (404, "Namespace does not exist: b"));
    assert_eq!(lake.status("ana", "GET", TABLE, None).await, 200);
    assert_eq!(lake.status("ana", "HEAD", TABLE, None).await, 204);
    // What one knows of and may not do is refused.
    let commit = json!({"requirements": [], "updates": [{"action": "set-properties", "updates": {"k": "v"}}]});
    for (method, path, body) in [
        ("DELETE", TABLE, None),
        ("POST", TABLE, Some(commit.clone())),
        (
            "POST",
            TABLE,
            Some(json!({"requirements": [], "updates": append(1, None, 1)})),
        ),
        ("POST", TABLES, Some(new_table("mine"))),
        ("DELETE", "/v1/namespaces/a", None),
        ("POST", "/v1/namespaces", Some(json!({"namespace": ["mine"]}))),
        (
            "POST",
            "/v1/transactions/commit",
            Some(
                json!({"table-changes": [{"identifier": {"namespace": ["a"], "name": "t"},
            "requirements": [], "updates": commit["updates"]}]}),
            ),
        ),
        (
            "POST",
            "/v1/namespaces/a/register",
            Some(json!({"name": "r", "metadata-location": "memory:///lake/x.metadata.json"})),
        ),
    ] {
        let reply = lake.call("ana", method, path, body).await;
        assert_eq!(
            (reply.status, reply.kind()),
            (403, "ForbiddenException"),
            "{method} {path}: {}",
            reply.body
        );
    }
    // Columns are less than a table: files have them all.
    lake.grant(&[], &["id"], table("b", "t"), "eve").await;
    assert_eq!(lake.status("eve", "HEAD", "/v1/namespaces/b/tables/t", None).await, 204);
    assert_eq!(lake.status("eve", "GET", "/v1/namespaces/b/tables/t", None).await, 403);
    let unknown =
        json!({"do": "grant", "privileges": [], "columns": ["nope"], "on": table("b", "t"), "to": [{"user": "eve"}]});
    let reply = lake.with(&lake.node_token(), "POST", POLICY, Some(unknown)).await;
    assert!(reply.message().contains("nope"), "{}", reply.body);
}

// Goal: writing takes what is written, makers own what they make, and a rename takes grants along. Method: a user with INSERT on a table
// and CREATE on a namespace.
#[tokio::test]
async fn writers_and_makers() {
    let lake = Lake::new().await;
    lake.grant(&["insert"], &[], table("a", "t"), "ana").await;
    lake.grant(&["create"], &[], json!({"namespace": ["b"]}), "ana").await;
    let commit = |updates: Value| Some(json!({"requirements": [], "updates": updates}));
    assert_eq!(lake.status("ana", "POST", TABLE, commit(append(1, None, 1))).await, 200);
    let mut overwrite = append(2, Some(1), 2);
    overwrite[0]["snapshot"]["summary"]["operation"] = json!("overwrite");
    assert_eq!(lake.status("ana", "POST", TABLE, commit(overwrite)).await, 403);
    // An append is no cover for anything else.
    for smuggled in [
        json!({"action": "set-properties", "updates": {"k": "v"}}),
        json!({"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 1}),
        json!({"action": "set-snapshot-ref", "ref-name": "other", "type": "branch", "snapshot-id": 3}),
        json!({"action": "remove-snapshots", "snapshot-ids": [1]}),
    ] {
        let mut updates = append(3, Some(1), 3);
        updates.as_array_mut().expect("a list").push(smuggled.clone());
        assert_eq!(
            lake.status("ana", "POST", TABLE, commit(updates)).await,
            403,
            "{smuggled}"
        );
    }
    assert_eq!(lake.status("ana", "GET", "/v1/namespaces/b/tables/t", None).await, 404);
    assert_eq!(
        lake.status("ana", "POST", "/v1/namespaces/b/tables", Some(new_table("mine")))
            .await,
        200
    );
    let mine = "/v1/namespaces/b/tables/mine";
    assert_eq!(lake.status("ana", "GET", mine, None).await, 200);
    assert_eq!(
        lake.status(
            "ana",
            "POST",
            mine,
            commit(json!([{"action": "set-properties", "updates": {"k": "v"}}]))
        )
        .await,
        200
    );
    assert_eq!(lake.status("eve", "GET", mine, None).await, 404);
    let rename = |from: &str, to: &str, into: &str| {
        Some(json!({"source": {"namespace": ["b"], "name": from}, "destination": {"namespace": [into], "name": to}}))
    };
    assert_eq!(
        lake.status("ana", "POST", "/v1/tables/rename", rename("mine", "moved", "a"))
            .await,
        403
    );
    assert_eq!(
        lake.status("ana", "POST", "/v1/tables/rename", rename("t", "taken", "b"))
            .await,
        404
    );
    assert_eq!(
        lake.status("ana", "POST", "/v1/tables/rename", rename("mine", "moved", "b"))
            .await,
        204
    );
    assert_eq!(
        lake.status("ana", "GET", "/v1/namespaces/b/tables/moved", None).await,
        200
    );
    assert_eq!(
        lake.status("ana", "DELETE", "/v1/namespaces/b/tables/moved", None)
            .await,
        204
    );
    // Another table of that name is another's.
    lake.node("POST", "/v1/namespaces/b/tables", new_table("moved")).await;
    assert_eq!(
        lake.status("ana", "GET", "/v1/namespaces/b/tables/moved", None).await,
        404
    );
}

// Goal: tokens can be taken back, at once and by everybody's node. Method: by id's user, and that a later token is good.
#[tokio::test]
async fn tokens_are_taken_back() {
    let lake = Lake::new().await;
    let token = lake.token("ana");
    assert_eq!(lake.with(&token, "GET", TABLE, None).await.status, 200);
    lake.node("POST", POLICY, json!({"do": "revoke_tokens_of", "user": "ana"}))
        .await;
    let reply = lake.with(&token, "GET", TABLE, None).await;
    assert_eq!(
        (reply.status, reply.kind()),
        (401, "NotAuthorizedException"),
        "{}",
        reply.body
    );
    lake.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(lake.status("ana", "GET", TABLE, None).await, 200);
    let (claims, token) = lake.users.issue_for(&Principal::named("ana"), 60_000);
    lake.node(
        "POST",
        POLICY,
        json!({"do": "revoke_token", "id": claims.id, "until_ms": claims.until_ms}),
    )
    .await;
    assert_eq!(lake.with(&token, "GET", TABLE, None).await.status, 401);
    assert_eq!(lake.status("eve", "GET", TABLE, None).await, 200);
    let state = lake.with(&lake.node_token(), "GET", POLICY, None).await;
    assert_eq!(state.body["policy"]["in_force"], false);
}

// Goal: where nobody says when grants bind, and where they are required, nobody may do anything before they were given it, not even know
// what is there, and is told that this is why; else all may. Method: reads and changes by a reader, a writer and an administrator before any
// grant, then one grant.
#[tokio::test]
async fn grants_are_required_from_the_start() {
    let made = || Some(json!({"namespace": ["c"]}));
    for (grants, loads, creates) in [
        (Grants::WhenMade, 200, 200),
        (Grants::Required, 403, 403),
        (Grants::default(), 403, 403),
    ] {
        let lake = Lake::binding_by(grants).await;
        if loads == 403 {
            for path in [
                "a",
                "x",
                "a/tables",
                "a/tables/t",
                "a/tables/x",
                "a/views/v",
                "x/tables/t",
            ] {
                let reply = lake.call("ana", "GET", &format!("/v1/namespaces/{path}"), None).await;
                let code = reply.body["error"]["error-code"].as_str();
                assert_eq!((reply.status, code), (403, Some("SEC-0032")), "{path}: {}", reply.body);
                let hint = reply.body["error"]["hint"].as_str().unwrap_or_default();
                assert!(hint.contains("role grant") && hint.contains("when_made"), "{hint}");
            }
            assert_eq!(lake.status("ana", "DELETE", TABLE, None).await, 403);
        }
        assert_eq!(lake.status("ana", "GET", TABLE, None).await, loads, "{grants:?}");
        assert_eq!(lake.status("eve", "GET", TABLE, None).await, loads, "{grants:?}");
        let reply = lake.call("eve", "POST", "/v1/namespaces", made()).await;
        assert_eq!(reply.status, creates, "{grants:?}: {}", reply.body);
        let listed = lake.call("ana", "GET", "/v1/namespaces", None).await;
        let any = listed.body["namespaces"]
            .as_array()
            .is_some_and(|found| !found.is_empty());
        assert_eq!(any, grants == Grants::WhenMade, "{}", listed.body);
        assert_eq!(lake.status("root", "GET", TABLE, None).await, 200, "{grants:?}");
        lake.grant(&["select"], &[], table("a", "t"), "ana").await;
        assert_eq!(lake.status("ana", "GET", TABLE, None).await, 200, "{grants:?}");
        assert_eq!(lake.status("eve", "GET", TABLE, None).await, 404, "{grants:?}");
    }
}
