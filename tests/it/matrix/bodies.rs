//! Requests of HTTP with bodies that would do something if their senders were in the right role.

use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::kit::Node;

/// Far longer than any answer takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// Clients of a lake with the table `g.t` and the view `g.v`.
pub(super) struct Http<'a> {
    node: &'a Node,
    client: Client,
    /// The metadata file of `g.t`.
    metadata: String,
}

impl<'a> Http<'a> {
    /// `root` is the token of who may look.
    pub(super) fn new(node: &'a Node, root: &str) -> Self {
        let client = Client::builder().timeout(DEADLINE).build().unwrap();
        let mut http = Self {
            node,
            client,
            metadata: String::new(),
        };
        http.metadata = http.metadata_of("tables/t", root);
        http
    }

    /// Where the metadata file of a table or view of `g` is now.
    fn metadata_of(&self, what: &str, root: &str) -> String {
        let (status, said) = self.get(self.port("catalog"), &format!("/v1/namespaces/g/{what}"), root);
        assert_eq!(status, 200, "{what}: {said}");
        let loaded: Value = serde_json::from_str(&said).unwrap();
        loaded["metadata-location"].as_str().unwrap().to_owned()
    }

    /// The port that serves the routes of a source file.
    fn port(&self, file: &str) -> u16 {
        match file.starts_with("catalog") {
            true => self.node.ports().catalog,
            false => self.node.ports().http,
        }
    }

    fn request(&self, method: &str, port: u16, path: &str, token: Option<&str>) -> RequestBuilder {
        let url = format!("http://127.0.0.1:{port}{path}");
        let request = self.client.request(method.parse().unwrap(), url);
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn get(&self, port: u16, path: &str, token: &str) -> (u16, String) {
        sent(self.request("GET", port, path, Some(token)))
    }

    /// What a route of a source file says to who shows this token, to a request that would do something.
    pub(super) fn ask(&self, file: &str, method: &str, path: &str, token: Option<&str>) -> (u16, String) {
        let request = self.request(method, self.port(file), &filled(path), token);
        sent(match (method, path) {
            ("POST", "/v1/oauth/tokens") => request
                .header("content-type", "application/x-www-form-urlencoded")
                .body("grant_type=client_credentials&client_id=ana&client_secret=x"),
            ("POST" | "PUT", _) => {
                let body = self.body(path);
                request.json(&body.unwrap_or_else(|| panic!("nobody thought of what {method} {path} could do")))
            }
            _ => request,
        })
    }

    /// A statement over HTTP.
    pub(super) fn statement(&self, body: &Value, token: &str) -> (u16, Value) {
        let request = self.request("POST", self.node.ports().http, "/api/v1/sql", Some(token));
        read(sent(request.json(body)))
    }

    /// What is said about a statement that was sent before.
    pub(super) fn about(&self, method: &str, path: &str, token: &str) -> (u16, Value) {
        read(sent(self.request(method, self.node.ports().http, path, Some(token))))
    }

    /// What would do something at a route; none where nobody thought of it.
    fn body(&self, path: &str) -> Option<Value> {
        let below = path.strip_prefix("/v1/namespaces/{namespace}");
        let set = || json!({"requirements": [], "updates": [{"action": "set-properties", "updates": {"k": "v"}}]});
        let moved = |from: &str, to: &str| json!({"source": {"namespace": ["g"], "name": from}, "destination": {"namespace": ["g"], "name": to}});
        let registered = |name: &str| json!({"name": name, "metadata-location": self.metadata});
        Some(match below.unwrap_or(path) {
            "/v1/namespaces" => json!({"namespace": ["made"]}),
            "/properties" => json!({"updates": {"k": "v"}}),
            "/tables" => json!({"name": "made", "schema": schema()}),
            "/tables/{table}" | "/views/{view}" => set(),
            "/register" => registered("registered"),
            "/register-view" => registered("registered_view"),
            "/tables/{table}/metrics" => json!({"report-type": "scan-report", "table-name": "g.t", "snapshot-id": 1,
                "filter": true, "schema-id": 0, "projected-field-ids": [], "projected-field-names": [], "metrics": {}}),
            "/tables/{table}/append-files" => {
                let (location, _) = self.metadata.rsplit_once("/metadata/").unwrap();
                let file = json!({"content": "data", "file-path": format!("{location}/data/made.parquet"),
                    "file-format": "parquet", "spec-id": 0, "partition": [], "file-size-in-bytes": 4, "record-count": 1});
                json!({"producer-id": "ana", "range": {"from": 0, "to": 1}, "data-files": [file]})
            }
            "/tables/{table}/plan" => json!({"select": ["id"]}),
            "/tables/{table}/tasks" => json!({"plan-task": "0"}),
            "/tables/{table}/sign" => json!({"region": "r", "uri": self.metadata, "method": "PUT", "headers": {}}),
            "/views" => json!({"name": "seen", "schema": schema(), "properties": {}, "view-version": {"version-id": 1,
                "timestamp-ms": 1, "schema-id": 0, "summary": {"engine-name": "x"}, "default-namespace": ["g"],
                "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}]}}),
            "/v1/tables/rename" => moved("t", "moved"),
            "/v1/views/rename" => moved("v", "moved_view"),
            "/v1/transactions/commit" => {
                let mut change = set();
                change["identifier"] = json!({"namespace": ["g"], "name": "t"});
                json!({"table-changes": [change]})
            }
            "/internal/v1/ingest/commit" => {
                let range = json!({"topic": "made", "partition": 0, "epoch": 1, "from": 0, "to": 1});
                json!({"owner": "ana", "ranges": [range], "commits": []})
            }
            "/internal/v1/ingest/leases" => {
                json!({"owner": "ana", "ttl_ms": 60_000, "acquire": [{"topic": "made", "partition": 0}], "release": []})
            }
            "/internal/v1/jobs/{job}" => json!({"kind": "made", "phase": "queued", "body": {}}),
            "/internal/v1/locations/held" => json!({"namespace": ["g"], "name": "t", "folders": []}),
            "/internal/v1/dropped/undrop" => json!({"namespace": ["g"], "name": "t"}),
            "/internal/v1/policy" => json!({"do": "create_role", "role": "made"}),
            "/internal/v1/cluster/nodes/{node}" => json!({"raft": "127.0.0.1:1", "api": "http://127.0.0.1:1"}),
            "/internal/v1/cluster/promote" => json!({"nodes": [7]}),
            "/internal/v1/cluster/remove" => json!({"nodes": [1]}),
            "/internal/v1/cluster/transfer" => json!({"to": null}),
            "/internal/v1/namespaces/drop" => json!({"namespace": ["g"], "purge": true}),
            "/v1/pipelines/plan" | "/v1/pipelines/run" => json!({"models": [], "full_refresh": true, "as_of_ms": null}),
            "/v1/tables/compact" => json!({"table": "g.t", "everything": true, "dry_run": false}),
            "/v1/tables/expire" => json!({"table": "g.t", "keep": 1, "dry_run": false}),
            "/v1/executors/drain" => json!({"executor": "", "deadline_s": 1}),
            // The path names all that they take.
            "/tables/{table}/unregister"
            | "/internal/v1/cluster/nodes"
            | "/internal/v1/cluster/snapshot"
            | "/v1/jobs/{id}/retry"
            | "/v1/jobs/{id}/cancel"
            | "/v1/queries/{id}/cancel" => json!({}),
            "/internal/v1/siblings" => json!({"what": "any", "id": "00000000-0000-4000-8000-000000000001"}),
            "/api/v1/sql" => json!({"sql": "INSERT INTO g.t VALUES (8)"}),
            _ => return None,
        })
    }

    /// All that the bodies could change at the catalog, as an administrator and a node see it.
    pub(super) fn state(&self, root: &str, of_node: &str) -> Vec<String> {
        let port = self.port("catalog");
        let mut looks: Vec<String> = [
            "/v1/namespaces",
            "/v1/namespaces/g",
            "/v1/namespaces/g/tables",
            "/v1/namespaces/g/views",
            "/internal/v1/dropped",
            "/internal/v1/policy",
            "/internal/v1/jobs/00000000-0000-4000-8000-000000000001",
        ]
        .map(|path| {
            let token = if path.starts_with("/internal") { of_node } else { root };
            format!("{path}: {:?}", self.get(port, path, token))
        })
        .into();
        let (_, offsets) = read(self.get(port, "/internal/v1/ingest/offsets", of_node));
        // Who schedules here holds on to that by itself.
        let partitions = offsets["partitions"].as_array().unwrap().iter().map(|one| {
            let mut one = one.clone();
            one["expires_at_ms"].take();
            one
        });
        looks.push(Value::from_iter(partitions).to_string());
        let (_, cluster) = read(self.get(port, "/internal/v1/cluster", of_node));
        // How far each is changes by itself.
        let members = cluster["members"].as_array().unwrap().iter();
        looks.push(format!(
            "{:?}",
            members.map(|one| [&one["id"], &one["voter"]]).collect::<Vec<_>>()
        ));
        looks.extend(["tables/t", "views/v"].map(|what| self.metadata_of(what, root)));
        looks
    }
}

fn sent(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().unwrap();
    (answer.status().as_u16(), answer.text().unwrap_or_default())
}

fn read((status, said): (u16, String)) -> (u16, Value) {
    (status, serde_json::from_str(&said).unwrap_or_default())
}

fn schema() -> Value {
    json!({"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id", "type": "long", "required": false}]})
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
