//! The requests of HTTP in the right role, by which one sees that the wrong one is refused for its role; and statements of another user.

use std::time::Duration;

use serde_json::{Value, json};

use super::bodies::Http;
use super::{commands, lake, steward};
use crate::kit::issuer::Issuer;
use crate::kit::{Node, wait_for};
use crate::oidc::flight;

/// How long a statement may take on a machine that does other things.
const DEADLINE: Duration = Duration::from_secs(60);

const REST: &str = "catalog/src/rest.rs";
const INTERNAL: &str = "catalog/src/internal.rs";
const CONTROL: &str = "src/control.rs";
const SQL: &str = "flight-sql/src/http.rs";

/// Requests of the administrator that have to be carried out, in an order in which all of them can be.
const OF_ADMINISTRATORS: [(&str, &str, &str); 21] = [
    (REST, "GET", "/v1/namespaces/{namespace}"),
    (REST, "GET", "/v1/namespaces/{namespace}/tables"),
    (REST, "GET", "/v1/namespaces/{namespace}/tables/{table}"),
    (REST, "HEAD", "/v1/namespaces/{namespace}/tables/{table}"),
    (REST, "GET", "/v1/namespaces/{namespace}/tables/{table}/credentials"),
    (REST, "GET", "/v1/namespaces/{namespace}/views/{view}"),
    (SQL, "POST", "/api/v1/sql"),
    (REST, "POST", "/v1/namespaces"),
    (REST, "POST", "/v1/namespaces/{namespace}/properties"),
    (REST, "POST", "/v1/namespaces/{namespace}/tables"),
    (REST, "POST", "/v1/namespaces/{namespace}/views"),
    (REST, "POST", "/v1/namespaces/{namespace}/tables/{table}"),
    (REST, "POST", "/v1/namespaces/{namespace}/views/{view}"),
    (REST, "POST", "/v1/namespaces/{namespace}/tables/{table}/metrics"),
    (REST, "POST", "/v1/namespaces/{namespace}/tables/{table}/plan"),
    (REST, "POST", "/v1/transactions/commit"),
    (REST, "POST", "/v1/views/rename"),
    (REST, "POST", "/v1/tables/rename"),
    (REST, "HEAD", "/v1/namespaces/{namespace}"),
    (REST, "GET", "/v1/namespaces/{namespace}/views"),
    (REST, "GET", "/v1/namespaces"),
];

/// The same of nodes and operators.
const OF_NODES: [(&str, &str, &str); 12] = [
    (CONTROL, "GET", "/v1/status"),
    (CONTROL, "GET", "/v1/jobs"),
    (CONTROL, "GET", "/v1/queries"),
    (CONTROL, "POST", "/v1/tables/compact"),
    (CONTROL, "POST", "/v1/tables/expire"),
    (INTERNAL, "GET", "/internal/v1/policy"),
    (INTERNAL, "GET", "/internal/v1/namespaces"),
    (INTERNAL, "GET", "/internal/v1/dropped"),
    (INTERNAL, "GET", "/internal/v1/cluster"),
    (INTERNAL, "POST", "/internal/v1/locations/held"),
    (INTERNAL, "POST", "/internal/v1/policy"),
    (INTERNAL, "PUT", "/internal/v1/jobs/{job}"),
];

/// Gives the lake a row in `g.t` and a view of it, `g.v`.
pub(super) fn with_rows(node: &Node, root: &str) {
    for sql in ["INSERT INTO g.t VALUES (7)", "CREATE VIEW g.v AS SELECT id FROM g.t"] {
        flight(node, root, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// A token that the nodes' secret signs.
pub(super) fn token_of_node(node: &Node) -> String {
    let token = node.cli(&["user", "token", "operator"]).unwrap();
    token.trim().to_owned()
}

// Goal: what is refused to the wrong role is refused for the role, and not for what was sent; and statements are of who sent them. Method: the
// administrator's statement, asked for by a user without grants at each of its addresses; changes by that user, to be carried out later;
// requests with the same bodies as in the wrong role by the administrator and by a node, in an order in which each can be carried out; what
// they change is seen where the other test looks.
#[test]
fn requests_in_the_right_role() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::start();
    let node = lake(dir.path(), &issuer);
    let root = steward(&issuer);
    with_rows(&node, &root);
    let of_node = token_of_node(&node);
    let http = Http::new(&node, &root);
    statements_of_another(&node, &http, &root, &issuer.token("ana"));
    let state = || http.state(&root, &of_node);
    let before = state();
    let rows = commands::state(&node, &root);
    let carry_out = |requests: &[(&str, &str, &str)], token: &str| {
        for (file, method, path) in requests {
            let (status, said) = http.ask(file, method, path, Some(token));
            assert!(matches!(status, 200 | 201 | 204), "{method} {path}: {status} {said}");
        }
    };
    let renames = OF_ADMINISTRATORS
        .iter()
        .position(|(_, _, path)| path.ends_with("/rename"));
    let (rest, renames) = OF_ADMINISTRATORS.split_at(renames.unwrap());
    carry_out(rest, &root);
    assert_ne!(commands::state(&node, &root), rows);
    carry_out(&OF_NODES, &of_node);
    let after = state();
    let seen = |look: &str| {
        let of = |looks: &[String]| looks.iter().find(|told| told.starts_with(look)).cloned().unwrap();
        of(&before) != of(&after)
    };
    for look in [
        "/v1/namespaces:",
        "/v1/namespaces/g:",
        "/v1/namespaces/g/tables:",
        "/v1/namespaces/g/views:",
        "/internal/v1/policy:",
        "/internal/v1/jobs/",
    ] {
        assert!(seen(look), "{look} sees nothing of what was done: {after:?}");
    }
    let metadata = |looks: &[String]| looks[looks.len() - 2..].to_vec();
    for (before, after) in metadata(&before).iter().zip(metadata(&after)) {
        assert_ne!(*before, after);
    }
    carry_out(renames, &root);
}

/// Nobody sees, fetches or ends a statement that another sent, nor learns that there is one; and what is to be carried out later is refused as
/// what is carried out at once.
fn statements_of_another(node: &Node, http: &Http<'_>, root: &str, ana: &str) {
    let before = commands::state(node, root);
    let later = |sql: &str, token: &str| -> String {
        let (status, told) = http.statement(&json!({"sql": sql, "async": true}), token);
        assert_eq!(status, 202, "{sql}: {told}");
        format!("/api/v1/sql/{}", told["id"].as_str().unwrap())
    };
    let ended = |path: &str, token: &str| -> Value {
        wait_for("the statement has ended", DEADLINE, || {
            let (status, told) = http.about("GET", path, token);
            assert_eq!(status, 200, "{path}: {told}");
            (told["status"] != "running").then_some(told)
        })
    };
    let theirs = later("SELECT id FROM g.t", root);
    assert_eq!(ended(&theirs, root)["status"], "finished");
    let result = format!("{theirs}/result");
    for (method, path) in [("GET", &theirs), ("GET", &result), ("DELETE", &theirs)] {
        let (status, told) = http.about(method, path, ana);
        assert_eq!(status, 404, "{method} {path}: {told}");
        assert_eq!(told["error"]["code"], "SQL-0022", "{method} {path}: {told}");
    }
    let (status, told) = http.about("GET", &result, root);
    assert!(status == 200 && told.to_string().contains('7'), "{status} {told}");
    assert_eq!(http.about("DELETE", &theirs, root).0, 204);

    for sql in [
        "INSERT INTO g.t VALUES (8)",
        "DELETE FROM g.t",
        "DROP TABLE g.t",
        "CREATE TABLE g.made (id BIGINT)",
        "CREATE SCHEMA made",
    ] {
        let told = ended(&later(sql, ana), ana);
        assert_eq!(told["status"], "failed", "{sql}: {told}");
        let code = told["error"]["code"].as_str().unwrap();
        assert!(["ENG-0001", "TBL-0030", "SEC-0008"].contains(&code), "{sql}: {told}");
    }
    assert_eq!(commands::state(node, root), before);
    let done = ended(&later("INSERT INTO g.t VALUES (8)", root), root);
    assert_eq!(done["status"], "finished", "{done}");
    assert_ne!(commands::state(node, root), before);
}
