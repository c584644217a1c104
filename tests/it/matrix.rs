//! Every door of a whole process with every kind of key: what the routes are is read from where they are made, so that a new one that
//! nobody thought of here fails the test.

mod postgres;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{Any, CommandGetCatalogs, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{Action, BasicAuth, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use prost::Message;
use serde_json::json;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use crate::kit::issuer::{Issuer, now_s};
use crate::kit::{Node, NodeBuilder};
use crate::oidc::flight;

/// What is shown at a door.
const KEYS: [&str; 5] = ["none", "garbage", "expired", "audience", "role"];

/// The files that make routes of HTTP.
const SOURCES: [&str; 6] = [
    "catalog/src/internal.rs",
    "catalog/src/rest.rs",
    "flight-sql/src/http.rs",
    "src/control.rs",
    "src/control/scrape.rs",
    "src/control/siblings.rs",
];

/// The keys by name; `none` is none. The last is good, and its bearer may do nothing.
fn keys(issuer: &Issuer) -> BTreeMap<&'static str, Option<String>> {
    let with = |key: &str, value: serde_json::Value| {
        let mut claims = issuer.claims("ana");
        claims[key] = value;
        issuer.sign(&claims)
    };
    BTreeMap::from([
        ("none", None),
        ("garbage", Some("garbage".to_owned())),
        ("expired", Some(with("exp", json!(now_s() - 300)))),
        ("audience", Some(with("aud", json!("others")))),
        ("role", Some(issuer.token("ana"))),
    ])
}

/// A token of somebody whom no grant binds.
fn steward(issuer: &Issuer) -> String {
    let mut claims = issuer.claims("root");
    claims["groups"] = json!(["stewards"]);
    issuer.sign(&claims)
}

/// A process with an issuer's users, the secret of nodes, and one grant, so that grants decide.
fn lake(dir: &Path, issuer: &Issuer) -> Node {
    let secret = "[security]\nnode_secret = \"an installation's own 32 bytes or more\"\n";
    let node = NodeBuilder::up(dir)
        .config(&format!("{secret}{}", issuer.config()))
        .start();
    let root = steward(issuer);
    for sql in ["CREATE SCHEMA g", "CREATE TABLE g.t (id BIGINT)", "CREATE ROLE analyst"] {
        flight(&node, &root, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    node
}

/// A source file without its tests.
fn without_tests(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()
}

/// The files of Rust below a folder that serve HTTP, but for tests, programs beside the product, and crates of others.
fn serving(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let beside = ["benches", "examples", "target", "tests", "vendor", "xtask"];
        if path.is_symlink() || name.starts_with('.') || beside.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            serving(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") && without_tests(&path).contains("routing::") {
            found.insert(path);
        }
    }
}

// Goal: no file makes routes of HTTP that the matrix does not know of. Method: all sources of the workspace that import what routes are made
// of, beside the list.
#[test]
fn every_source_of_routes_is_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    serving(root, &mut found);
    let known: BTreeSet<PathBuf> = SOURCES.iter().map(|file| root.join(file)).collect();
    assert_eq!(found, known);
}

/// The routes that a source file makes, with their methods.
fn routes(file: &str) -> Vec<(String, String)> {
    let text = without_tests(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    let text = text.as_str();
    let constants: BTreeMap<&str, String> = BTreeMap::from([
        ("oauth::PATH", "/v1/oauth/tokens".to_owned()),
        ("PATH", "/internal/v1/siblings".to_owned()),
    ]);
    let mut found = Vec::new();
    for part in text.split(".route(").skip(1) {
        let part = part.trim_start();
        let (path, rest) = match part.strip_prefix('"') {
            Some(quoted) => {
                let (path, rest) = quoted.split_once('"').unwrap();
                (path.to_owned(), rest)
            }
            None => {
                let (name, rest) = part.split_once(',').unwrap();
                (constants[name.trim()].clone(), rest)
            }
        };
        // Up to the parenthesis that closes `.route(`.
        let mut depth = 1;
        let end = rest.find(|char| {
            depth += i32::from(char == '(') - i32::from(char == ')');
            depth == 0
        });
        let handlers = &rest[..end.unwrap()];
        let mut methods = 0;
        for method in ["get", "head", "post", "put", "delete"] {
            let named = |before: char| handlers.contains(&format!("{before}{method}("));
            if named(' ') || named('.') || named('\n') {
                found.push((method.to_uppercase(), path.clone()));
                methods += 1;
            }
        }
        assert!(methods > 0, "{file}: no method was read of {path}: {handlers}");
    }
    assert!(!found.is_empty(), "{file} makes no routes");
    found
}

/// What a door says to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// It asks nobody.
    Open,
    /// Users go through; who may do nothing learns nothing.
    Users,
    /// Users go through, and what they get holds only what they may see.
    Filtered,
    /// Only nodes, and who knows their secret.
    Nodes,
}

/// All routes of HTTP, by where they are made. A route that is not here fails the test.
fn doors() -> BTreeMap<(&'static str, &'static str, &'static str), Door> {
    use Door::{Filtered, Nodes, Open, Users};
    let rest = "catalog/src/rest.rs";
    let internal = "catalog/src/internal.rs";
    let control = "src/control.rs";
    let metrics = "src/control/scrape.rs";
    let siblings = "src/control/siblings.rs";
    let sql = "flight-sql/src/http.rs";
    let namespace = "/v1/namespaces/{namespace}";
    let table = "/v1/namespaces/{namespace}/tables/{table}";
    let view = "/v1/namespaces/{namespace}/views/{view}";
    let plan = "/v1/namespaces/{namespace}/tables/{table}/plan/{plan}";
    BTreeMap::from([
        ((rest, "GET", "/v1/config"), Filtered),
        ((rest, "GET", "/v1/namespaces"), Filtered),
        ((rest, "POST", "/v1/namespaces"), Users),
        ((rest, "GET", namespace), Users),
        ((rest, "HEAD", namespace), Users),
        ((rest, "DELETE", namespace), Users),
        ((rest, "POST", "/v1/namespaces/{namespace}/properties"), Users),
        ((rest, "GET", "/v1/namespaces/{namespace}/tables"), Users),
        ((rest, "POST", "/v1/namespaces/{namespace}/tables"), Users),
        ((rest, "GET", table), Users),
        ((rest, "HEAD", table), Users),
        ((rest, "POST", table), Users),
        ((rest, "DELETE", table), Users),
        ((rest, "POST", "/v1/namespaces/{namespace}/register"), Users),
        (
            (rest, "POST", "/v1/namespaces/{namespace}/tables/{table}/metrics"),
            Users,
        ),
        (
            (rest, "POST", "/v1/namespaces/{namespace}/tables/{table}/unregister"),
            Users,
        ),
        (
            (rest, "POST", "/v1/namespaces/{namespace}/tables/{table}/append-files"),
            Users,
        ),
        ((rest, "POST", "/v1/namespaces/{namespace}/tables/{table}/plan"), Users),
        ((rest, "GET", plan), Users),
        ((rest, "DELETE", plan), Users),
        ((rest, "POST", "/v1/namespaces/{namespace}/tables/{table}/tasks"), Users),
        (
            (rest, "GET", "/v1/namespaces/{namespace}/tables/{table}/credentials"),
            Users,
        ),
        ((rest, "POST", "/v1/namespaces/{namespace}/tables/{table}/sign"), Users),
        ((rest, "POST", "/v1/tables/rename"), Users),
        ((rest, "GET", "/v1/namespaces/{namespace}/views"), Users),
        ((rest, "POST", "/v1/namespaces/{namespace}/views"), Users),
        ((rest, "GET", view), Users),
        ((rest, "HEAD", view), Users),
        ((rest, "POST", view), Users),
        ((rest, "DELETE", view), Users),
        ((rest, "POST", "/v1/namespaces/{namespace}/register-view"), Users),
        ((rest, "POST", "/v1/views/rename"), Users),
        // It is where passwords are shown: what is no login is refused as none.
        ((rest, "POST", "/v1/oauth/tokens"), Users),
        ((rest, "POST", "/v1/transactions/commit"), Users),
        ((internal, "POST", "/internal/v1/ingest/commit"), Nodes),
        ((internal, "POST", "/internal/v1/ingest/leases"), Nodes),
        ((internal, "GET", "/internal/v1/ingest/offsets"), Nodes),
        ((internal, "GET", "/internal/v1/jobs"), Nodes),
        ((internal, "GET", "/internal/v1/jobs/{job}"), Nodes),
        ((internal, "PUT", "/internal/v1/jobs/{job}"), Nodes),
        ((internal, "GET", "/internal/v1/tables"), Nodes),
        ((internal, "GET", "/internal/v1/pointers"), Nodes),
        ((internal, "POST", "/internal/v1/locations/held"), Nodes),
        ((internal, "GET", "/internal/v1/metrics-reports"), Nodes),
        ((internal, "GET", "/internal/v1/changes"), Nodes),
        ((internal, "GET", "/internal/v1/changes/stream"), Nodes),
        ((internal, "GET", "/internal/v1/namespaces"), Nodes),
        ((internal, "GET", "/internal/v1/dropped"), Nodes),
        ((internal, "POST", "/internal/v1/dropped/undrop"), Nodes),
        ((internal, "GET", "/internal/v1/policy"), Nodes),
        ((internal, "POST", "/internal/v1/policy"), Nodes),
        ((internal, "GET", "/internal/v1/cluster"), Nodes),
        ((internal, "POST", "/internal/v1/cluster/nodes"), Nodes),
        ((internal, "PUT", "/internal/v1/cluster/nodes/{node}"), Nodes),
        ((internal, "POST", "/internal/v1/cluster/promote"), Nodes),
        ((internal, "POST", "/internal/v1/cluster/remove"), Nodes),
        ((internal, "POST", "/internal/v1/cluster/transfer"), Nodes),
        ((internal, "POST", "/internal/v1/cluster/snapshot"), Nodes),
        ((internal, "GET", "/internal/v1/cluster/backup"), Nodes),
        ((internal, "POST", "/internal/v1/namespaces/drop"), Nodes),
        ((control, "GET", "/v1/status"), Nodes),
        ((control, "GET", "/v1/ingest"), Nodes),
        ((control, "GET", "/v1/pipelines"), Nodes),
        ((control, "POST", "/v1/pipelines/plan"), Nodes),
        ((control, "POST", "/v1/pipelines/run"), Nodes),
        ((control, "POST", "/v1/tables/compact"), Nodes),
        ((control, "POST", "/v1/tables/expire"), Nodes),
        ((control, "GET", "/v1/executors"), Nodes),
        ((control, "POST", "/v1/executors/drain"), Nodes),
        ((control, "GET", "/v1/jobs"), Nodes),
        ((control, "GET", "/v1/jobs/{id}"), Nodes),
        ((control, "GET", "/v1/jobs/{id}/logs"), Nodes),
        ((control, "POST", "/v1/jobs/{id}/retry"), Nodes),
        ((control, "POST", "/v1/jobs/{id}/cancel"), Nodes),
        ((control, "GET", "/v1/queries"), Nodes),
        ((control, "POST", "/v1/queries/{id}/cancel"), Nodes),
        ((control, "GET", "/health"), Open),
        ((control, "GET", "/ready"), Open),
        ((metrics, "GET", "/metrics"), Nodes),
        ((siblings, "POST", "/internal/v1/siblings"), Nodes),
        ((sql, "POST", "/api/v1/sql"), Users),
        ((sql, "GET", "/api/v1/sql/{id}"), Users),
        ((sql, "DELETE", "/api/v1/sql/{id}"), Users),
        ((sql, "GET", "/api/v1/sql/{id}/result"), Users),
        ((sql, "GET", "/api/v1/openapi.json"), Open),
    ])
}

/// A path with things that are there in the places of names, where there are any.
fn filled(path: &str) -> String {
    [
        ("{namespace}", "g"),
        ("{table}", "t"),
        ("{view}", "v"),
        ("{plan}", "00000000-0000-4000-8000-000000000001"),
        ("{job}", "00000000-0000-4000-8000-000000000001"),
        ("{id}", "00000000-0000-4000-8000-000000000001"),
        ("{node}", "7"),
    ]
    .iter()
    .fold(path.to_owned(), |path, (place, name)| path.replace(place, name))
}

// Goal: no route of HTTP lets anybody in by no key, a made-up one, one that is over or one that is for others, and who may do nothing
// gets nothing by a good one. Method: all routes as their sources make them, against a table of what is expected, with each key.
#[test]
fn every_route_with_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::start();
    let node = lake(dir.path(), &issuer);
    let (keys, doors) = (keys(&issuer), doors());
    let client = reqwest::blocking::Client::builder()
        .timeout(std::time::Duration::from_secs(30))
        .build()
        .unwrap();
    let mut looked_at = 0;
    for file in SOURCES {
        let port = match file.starts_with("catalog") {
            true => node.ports().catalog,
            false => node.ports().http,
        };
        for (method, path) in routes(file) {
            let known = doors
                .iter()
                .find(|((of, verb, at), _)| (*of, *verb, *at) == (file, method.as_str(), path.as_str()));
            let door = *known
                .unwrap_or_else(|| panic!("{method} {path} of {file} is not in the table"))
                .1;
            looked_at += 1;
            for key in KEYS {
                let url = format!("http://127.0.0.1:{port}{}", filled(&path));
                let mut request = client.request(method.parse().unwrap(), url);
                if let Some(token) = &keys[key] {
                    request = request.bearer_auth(token);
                }
                if matches!(method.as_str(), "POST" | "PUT") {
                    request = match path.as_str() {
                        "/api/v1/sql" => request.json(&json!({"sql": "SELECT * FROM g.t"})),
                        "/v1/oauth/tokens" => request
                            .header("content-type", "application/x-www-form-urlencoded")
                            .body("grant_type=client_credentials&client_id=ana&client_secret=x"),
                        _ => request.json(&json!({})),
                    };
                }
                let answer = request.send().unwrap();
                let status = answer.status().as_u16();
                let said = answer.text().unwrap_or_default();
                let expected: &[u16] = match (door, key) {
                    (Door::Open, _) => &[200],
                    (_, "none" | "garbage" | "audience") => &[401],
                    // Iceberg has a status of its own for tokens that are over.
                    (_, "expired") => &[401, 419],
                    (Door::Filtered, _) => &[200],
                    // 400: what was sent is nothing that could be done; it was not looked for.
                    (Door::Users, _) if path == "/v1/oauth/tokens" => &[401],
                    (Door::Users, _) => &[400, 403, 404],
                    (Door::Nodes, _) => &[401, 403, 404],
                };
                assert!(
                    expected.contains(&status),
                    "{method} {path} with {key}: {status} {said}"
                );
                assert!(
                    !said.contains("\"g\""),
                    "{method} {path} with {key} tells what is there: {said}"
                );
            }
        }
    }
    assert_eq!(looked_at, doors.len(), "a route in the table is made nowhere");
}

/// In which header a call shows its key.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// The one of today.
    Bearer,
    /// That of older clients of Arrow Flight.
    Older,
}

impl Way {
    fn with<T>(self, body: T, token: Option<&str>) -> Request<T> {
        let mut request = Request::new(body);
        match (self, token) {
            (_, None) => {}
            (Self::Bearer, Some(token)) => {
                let header = format!("Bearer {token}").parse().unwrap();
                request.metadata_mut().insert("authorization", header);
            }
            (Self::Older, Some(token)) => {
                let header = MetadataValue::from_bytes(token.as_bytes());
                request.metadata_mut().insert_bin("auth-token-bin", header);
            }
        }
        request
    }
}

async fn call(
    client: &mut FlightServiceClient<Channel>,
    name: &str,
    token: Option<&str>,
    way: Way,
) -> Result<(), tonic::Status> {
    async fn drained<T>(stream: tonic::Response<tonic::Streaming<T>>) -> Result<(), tonic::Status> {
        let mut stream = stream.into_inner();
        while stream.message().await?.is_some() {}
        Ok(())
    }
    let query = CommandStatementQuery {
        query: "SELECT * FROM g.t".into(),
        transaction_id: None,
    };
    let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    let catalogs = Any::pack(&CommandGetCatalogs {}).unwrap().encode_to_vec();
    let data = FlightData::default().with_descriptor(descriptor.clone());
    match name {
        "handshake" => {
            let stream = futures::stream::iter([HandshakeRequest::default()]);
            drained(client.handshake(way.with(stream, token)).await?).await
        }
        "list_flights" => drained(client.list_flights(way.with(Criteria::default(), token)).await?).await,
        "get_flight_info" => client.get_flight_info(way.with(descriptor, token)).await.map(drop),
        "poll_flight_info" => {
            let mut next = Some(descriptor);
            while let Some(descriptor) = next {
                let polled = client.poll_flight_info(way.with(descriptor, token)).await?;
                next = polled.into_inner().flight_descriptor;
            }
            Ok(())
        }
        "get_schema" => client.get_schema(way.with(descriptor, token)).await.map(drop),
        "do_get" => drained(client.do_get(way.with(Ticket::new(catalogs), token)).await?).await,
        "do_put" => drained(client.do_put(way.with(futures::stream::iter([data]), token)).await?).await,
        "do_exchange" => {
            drained(
                client
                    .do_exchange(way.with(futures::stream::iter([data]), token))
                    .await?,
            )
            .await
        }
        "list_actions" => drained(client.list_actions(way.with(Empty {}, token)).await?).await,
        action => {
            let kind = action.strip_prefix("do_action ").unwrap();
            let action = Action {
                r#type: kind.to_owned(),
                body: Vec::new().into(),
            };
            drained(client.do_action(way.with(action, token)).await?).await
        }
    }
}

/// The calls of Flight, as its service is made of; and the actions that it lists.
fn calls() -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("flight-sql/src/flight/schema_calls.rs");
    let text = fs::read_to_string(source).unwrap();
    let names = text
        .split("async fn ")
        .skip(1)
        .map(|part| part.split('(').next().unwrap().to_owned());
    names
        .filter(|name| name != "do_action" && !name.starts_with("admitted"))
        .collect()
}

// Goal: no call and no action of Flight answers who is not in, and who may do nothing gets nothing of what is there. Method: all calls
// as the service makes them and all actions that it lists, with each key in each of the headers that are taken.
#[tokio::test]
async fn every_call_of_flight_with_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let (issuer, node, keys) = tokio::task::spawn_blocking({
        let dir = dir.path().to_owned();
        move || {
            let issuer = Issuer::start();
            let node = lake(&dir, &issuer);
            let keys = keys(&issuer);
            (issuer, node, keys)
        }
    })
    .await
    .unwrap();
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", node.ports().flight)).unwrap();
    let mut client = FlightServiceClient::new(endpoint.connect().await.unwrap());
    let mut names = calls();
    assert_eq!(names.len(), 9, "calls of Flight beside do_action: {names:?}");
    let mut request = Request::new(Empty {});
    let header = format!("Bearer {}", keys["role"].as_ref().unwrap()).parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    let mut actions = client.list_actions(request).await.unwrap().into_inner();
    while let Some(action) = actions.message().await.unwrap() {
        names.push(format!("do_action {}", action.r#type));
    }
    assert!(names.len() > 12, "{names:?}");
    for name in &names {
        for (key, way) in KEYS.iter().flat_map(|key| [(*key, Way::Bearer), (*key, Way::Older)]) {
            let answer = call(&mut client, name, keys[key].as_deref(), way).await;
            let code = answer.as_ref().err().map(tonic::Status::code);
            let expected = match key {
                "role" => match name.as_str() {
                    // What everybody who is in may ask.
                    "handshake" | "list_actions" | "do_get" => code.is_none(),
                    _ => {
                        code.is_none()
                            || code.is_some_and(|code| code != Code::Unauthenticated && code != Code::Internal)
                    }
                },
                _ => code == Some(Code::Unauthenticated),
            };
            assert!(expected, "{name} with {key} ({way:?}): {answer:?}");
            if key == "role" && matches!(name.as_str(), "get_flight_info" | "poll_flight_info" | "get_schema") {
                assert!(answer.is_err(), "{name}: a table that its caller may not know of");
            }
        }
    }
    // The login of older clients, whose message holds the key in the place of a password.
    for key in KEYS {
        let basic = BasicAuth {
            username: "corp/ana".into(),
            password: keys[key].clone().unwrap_or_default(),
        };
        let said = HandshakeRequest {
            protocol_version: 0,
            payload: basic.encode_to_vec().into(),
        };
        let answer = client.handshake(futures::stream::iter([said])).await;
        let answer = match answer {
            Ok(answer) => answer.into_inner().message().await,
            Err(refused) => Err(refused),
        };
        match key {
            "role" => assert!(answer.unwrap().is_some_and(|answer| !answer.payload.is_empty())),
            _ => assert_eq!(answer.expect_err(key).code(), Code::Unauthenticated, "{key}"),
        }
    }
    tokio::task::spawn_blocking(move || drop((issuer, node))).await.unwrap();
}
