//! The routes of HTTP, of the catalog and of the control endpoint, with every kind of key.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::bodies::Http;
use super::rights::{token_of_node, with_rows};
use super::{KEYS, commands, keys, lake, steward};
use crate::kit::issuer::Issuer;

/// The files that make routes of HTTP.
const SOURCES: [&str; 6] = [
    "catalog/src/internal.rs",
    "catalog/src/rest.rs",
    "flight-sql/src/http.rs",
    "src/control.rs",
    "src/control/scrape.rs",
    "src/control/siblings.rs",
];

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

// Goal: no route of HTTP lets anybody in by no key, a made-up one, one that is over or one that is for others, and who may do nothing
// gets nothing and changes nothing by a good one. Method: all routes as their sources make them, against a table of what is expected, with
// each key and with bodies that would do something (who may is answered otherwise, see rights.rs); all that they could change, before and after.
#[test]
fn every_route_with_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::start();
    let node = lake(dir.path(), &issuer);
    let root = steward(&issuer);
    with_rows(&node, &root);
    let of_node = token_of_node(&node);
    let (keys, doors) = (keys(&issuer), doors());
    let http = Http::new(&node, &root);
    let state = || [http.state(&root, &of_node), commands::state(&node, &root)];
    let before = state();
    let mut looked_at = 0;
    for file in SOURCES {
        for (method, path) in routes(file) {
            let known = doors
                .iter()
                .find(|((of, verb, at), _)| (*of, *verb, *at) == (file, method.as_str(), path.as_str()));
            let door = *known
                .unwrap_or_else(|| panic!("{method} {path} of {file} is not in the table"))
                .1;
            looked_at += 1;
            for key in KEYS {
                let (status, said) = http.ask(file, &method, &path, keys[key].as_deref());
                let expected: &[u16] = match (door, key) {
                    (Door::Open, _) => &[200],
                    (_, "none" | "garbage" | "audience") => &[401],
                    // Iceberg has a status of its own for tokens that are over.
                    (_, "expired") => &[401, 419],
                    (Door::Filtered, _) => &[200],
                    (Door::Users, _) if path == "/v1/oauth/tokens" => &[401],
                    // Not 400: nothing of what was sent is looked at before it is known who may.
                    (Door::Users, _) => &[403, 404],
                    (Door::Nodes, _) => &[401, 403],
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
    assert_eq!(state(), before);
}
