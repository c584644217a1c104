//! Views through the router.

mod hostile;

use bytes::Bytes;
use serde_json::{Value, json};

use super::kit::{Kit, TABLE, TABLES, new_table, request, schema, set};
use crate::raft::ConsensusError;
use crate::store::MetadataStore;
use tidewater_core::SystemClock;

const VIEWS: &str = "/v1/namespaces/a/views";
const VIEW: &str = "/v1/namespaces/a/views/v";

fn version(id: i32, sql: &str, dialects: &[&str]) -> Value {
    let representations: Vec<Value> = dialects
        .iter()
        .map(|dialect| json!({"type": "sql", "sql": sql, "dialect": dialect}))
        .collect();
    json!({"version-id": id, "schema-id": 0, "timestamp-ms": SystemClock::shared().now_ms(),
        "summary": {"engine-name": "test"}, "representations": representations, "default-namespace": ["a"]})
}

fn new_view(name: &str) -> Value {
    json!({"name": name, "schema": schema(), "view-version": version(1, "SELECT 1", &["spark"]), "properties": {"k": "v"}})
}

fn replace(sql: &str) -> Value {
    json!([{"action": "add-view-version", "view-version": version(2, sql, &["spark"])},
        {"action": "set-current-view-version", "view-version-id": -1}])
}

/// With namespace `a`, table `a.t` and view `a.v`.
async fn with_view() -> Kit {
    let kit = Kit::with_table().await;
    let made = kit.post(VIEWS, new_view("v")).await;
    assert_eq!(made.status, 200, "{}", made.body);
    kit
}

// Goal: a view can be made, listed, loaded, replaced, renamed and dropped, and its file is what is served. Method: one life of a view.
#[tokio::test]
async fn the_life_of_a_view() {
    let kit = Kit::with_table().await;
    let made = kit.post(VIEWS, new_view("v")).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let metadata = &made.body["metadata"];
    assert_eq!(
        (&metadata["current-version-id"], &metadata["format-version"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(metadata["properties"], json!({"k": "v"}));
    assert_eq!(metadata["versions"][0]["representations"][0]["sql"], "SELECT 1");
    let file = made.body["metadata-location"].as_str().expect("a location");
    let location = metadata["location"].as_str().expect("a location");
    assert!(file.starts_with(&format!("{location}/metadata/00000-")), "{file}");
    assert_eq!(kit.get(VIEW).await.body, made.body);
    assert_eq!(kit.call("HEAD", VIEW, None).await.status, 204);
    let listed = kit.get(VIEWS).await;
    assert_eq!(listed.body["identifiers"], json!([{"namespace": ["a"], "name": "v"}]));
    assert_eq!(
        kit.get(TABLES).await.body["identifiers"].as_array().map(Vec::len),
        Some(1)
    );
    let uuid = metadata["view-uuid"].clone();
    let body = json!({"requirements": [{"type": "assert-view-uuid", "uuid": uuid}], "updates": replace("SELECT 2")});
    let replaced = kit.post(VIEW, body).await;
    assert_eq!(replaced.status, 200, "{}", replaced.body);
    let metadata = &replaced.body["metadata"];
    assert_eq!(
        (&metadata["current-version-id"], &metadata["view-uuid"]),
        (&json!(2), &uuid)
    );
    let ids: Vec<&Value> = metadata["versions"]
        .as_array()
        .expect("versions")
        .iter()
        .map(|version| &version["version-id"])
        .collect();
    assert_eq!(ids, [&json!(1), &json!(2)]);
    assert_eq!(metadata["version-log"].as_array().map(Vec::len), Some(2));
    let rename = json!({"source": {"namespace": ["a"], "name": "v"}, "destination": {"namespace": ["a"], "name": "w"}});
    assert_eq!(kit.post("/v1/views/rename", rename).await.status, 204);
    assert_eq!(kit.get(VIEW).await.kind(), "NoSuchViewException");
    let moved = format!("{VIEWS}/w");
    assert_eq!(kit.get(&moved).await.body["metadata"], *metadata);
    assert_eq!(kit.call("DELETE", &moved, None).await.status, 204);
    assert_eq!(kit.call("HEAD", &moved, None).await.status, 404);
    let changes = kit.get("/internal/v1/changes?after=0").await;
    let told: Vec<&str> = changes.body["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .filter(|change| change["view"].is_object())
        .filter_map(|change| change["change"].as_str())
        .collect();
    assert_eq!(told, ["view-created", "view-updated", "view-renamed", "view-dropped"]);
}

// Goal: every update to a view does what it says. Method: each alone on a fresh view, and what became of the metadata.
#[tokio::test]
async fn view_updates() {
    let wide = json!({"type": "struct", "schema-id": 1, "fields": [{"id": 1, "name": "x", "type": "string", "required": false}]});
    let mut with_schema = version(2, "SELECT x", &["spark"]);
    with_schema["schema-id"] = json!(-1);
    let rows = [
        (
            json!([{"action": "upgrade-format-version", "format-version": 1}]),
            "/format-version",
            json!(1),
        ),
        (
            json!([{"action": "add-schema", "schema": wide}]),
            "/schemas/1/fields/0/name",
            json!("x"),
        ),
        (
            json!([{"action": "set-location", "location": "memory:///lake/a/elsewhere"}]),
            "/location",
            json!("memory:///lake/a/elsewhere"),
        ),
        (
            json!([{"action": "set-properties", "updates": {"n": "1"}}]),
            "/properties",
            json!({"k": "v", "n": "1"}),
        ),
        (
            json!([{"action": "remove-properties", "removals": ["k", "none"]}]),
            "/properties",
            json!({}),
        ),
        (
            json!([{"action": "add-view-version", "view-version": version(2, "SELECT 2", &["spark", "trino"])}]),
            "/versions/1/representations/1/dialect",
            json!("trino"),
        ),
        (replace("SELECT 3"), "/current-version-id", json!(2)),
        (
            json!([{"action": "add-schema", "schema": wide}, {"action": "add-view-version", "view-version": with_schema},
            {"action": "set-current-view-version", "view-version-id": -1}]),
            "/versions/1/schema-id",
            json!(1),
        ),
        (json!([]), "/current-version-id", json!(1)),
    ];
    for (updates, place, expected) in rows {
        let kit = with_view().await;
        let reply = kit.post(VIEW, json!({"updates": updates})).await;
        assert_eq!(reply.status, 200, "{updates} {}", reply.body);
        let loaded = kit.get(VIEW).await;
        assert_eq!(loaded.body, reply.body);
        assert_eq!(
            loaded.body["metadata"].pointer(place),
            Some(&expected),
            "{updates} {}",
            loaded.body
        );
    }
    let kit = with_view().await;
    let uuid = kit.get(VIEW).await.body["metadata"]["view-uuid"].clone();
    let same = json!({"updates": [{"action": "assign-uuid", "uuid": uuid}]});
    assert_eq!(kit.post(VIEW, same).await.status, 200);
}

// Goal: every refusal about views has its status and type. Method: one request a row.
#[tokio::test]
async fn view_refusals() {
    let kit = with_view().await;
    let update = |update: Value| Some(json!({"updates": [update]}));
    let rename = |from: &str, to: &str, namespace: &str| {
        Some(
            json!({"source": {"namespace": ["a"], "name": from}, "destination": {"namespace": [namespace], "name": to}}),
        )
    };
    let mut ahead = version(2, "SELECT 2", &["spark"]);
    ahead["timestamp-ms"] = json!(SystemClock::shared().now_ms() + 120_000);
    let mut negative = ahead.clone();
    negative["timestamp-ms"] = json!(i64::MIN);
    let mut twice = new_view("w");
    twice["view-version"] = version(1, "SELECT 1", &["spark", "SPARK"]);
    let mut empty = new_view("w");
    empty["view-version"]["representations"] = json!([]);
    let add = |version: Value| update(json!({"action": "add-view-version", "view-version": version}));
    let drops = json!([{"action": "add-view-version", "view-version": version(2, "x", &["trino"])},
        {"action": "set-current-view-version", "view-version-id": -1}]);
    let other = json!({"requirements": [{"type": "assert-view-uuid", "uuid": "00000000-0000-0000-0000-000000000001"}], "updates": []});
    let exists = "AlreadyExistsException";
    let invalid = "IllegalArgumentException";
    let wrong = "BadRequestException";
    let rows = [
        (
            "GET",
            "/v1/namespaces/none/views",
            None,
            404,
            "NoSuchNamespaceException",
        ),
        (
            "POST",
            "/v1/namespaces/none/views",
            Some(new_view("v")),
            404,
            "NoSuchNamespaceException",
        ),
        ("GET", "/v1/namespaces/none/views/v", None, 404, "NoSuchViewException"),
        ("GET", "/v1/namespaces//views/v", None, 404, "NoSuchViewException"),
        ("GET", "/v1/namespaces/a/views/none", None, 404, "NoSuchViewException"),
        (
            "DELETE",
            "/v1/namespaces/a/views/none",
            None,
            404,
            "NoSuchViewException",
        ),
        (
            "POST",
            "/v1/namespaces/a/views/none",
            Some(json!({"updates": []})),
            404,
            "NoSuchViewException",
        ),
        ("GET", "/v1/namespaces/a/views/t", None, 404, "NoSuchViewException"),
        ("GET", "/v1/namespaces/a/tables/v", None, 404, "NoSuchTableException"),
        ("DELETE", "/v1/namespaces/a/tables/v", None, 404, "NoSuchTableException"),
        (
            "POST",
            "/v1/namespaces/a/tables/v",
            Some(json!({"updates": set("x", "1")})),
            404,
            "NoSuchTableException",
        ),
        ("POST", VIEWS, Some(new_view("v")), 409, exists),
        ("POST", VIEWS, Some(new_view("t")), 409, exists),
        ("POST", TABLES, Some(new_table("v")), 409, exists),
        ("POST", "/v1/views/rename", rename("v", "v", "a"), 409, exists),
        ("POST", "/v1/views/rename", rename("v", "t", "a"), 409, exists),
        ("POST", "/v1/tables/rename", rename("t", "v", "a"), 409, exists),
        (
            "POST",
            "/v1/views/rename",
            rename("v", "w", "none"),
            404,
            "NoSuchNamespaceException",
        ),
        (
            "POST",
            "/v1/views/rename",
            rename("none", "w", "a"),
            404,
            "NoSuchViewException",
        ),
        (
            "POST",
            "/v1/views/rename",
            rename("t", "w", "a"),
            404,
            "NoSuchViewException",
        ),
        ("POST", VIEW, Some(other), 409, "CommitFailedException"),
        (
            "POST",
            VIEW,
            Some(json!({"requirements": [{"type": "assert-unheard-of"}], "updates": []})),
            400,
            wrong,
        ),
        ("POST", VIEW, Some(json!({"requirements": []})), 400, wrong),
        ("POST", VIEW, update(json!({"action": "no-such-update"})), 400, wrong),
        (
            "POST",
            VIEW,
            update(json!({"action": "upgrade-format-version", "format-version": 2})),
            400,
            wrong,
        ),
        (
            "POST",
            VIEW,
            update(json!({"action": "assign-uuid", "uuid": "00000000-0000-0000-0000-000000000001"})),
            400,
            wrong,
        ),
        (
            "POST",
            VIEW,
            update(json!({"action": "set-location", "location": "memory:///other"})),
            400,
            wrong,
        ),
        (
            "POST",
            VIEW,
            update(json!({"action": "set-properties", "updates": {"write.metadata.path": "memory:///lake/b"}})),
            400,
            wrong,
        ),
        (
            "POST",
            VIEW,
            update(json!({"action": "set-current-view-version", "view-version-id": 77})),
            400,
            invalid,
        ),
        (
            "POST",
            VIEW,
            update(json!({"action": "set-current-view-version", "view-version-id": -1})),
            400,
            invalid,
        ),
        ("POST", VIEW, add(ahead), 400, invalid),
        ("POST", VIEW, add(negative), 400, invalid),
        ("POST", VIEW, Some(json!({"updates": drops})), 400, invalid),
        ("POST", VIEWS, Some(twice), 400, invalid),
        ("POST", VIEWS, Some(empty), 400, invalid),
        (
            "POST",
            VIEWS,
            Some(json!({"name": "w", "schema": schema()})),
            400,
            wrong,
        ),
        ("DELETE", "/v1/namespaces/a", None, 409, "NamespaceNotEmptyException"),
    ];
    let files = kit.store.len();
    for (method, path, body, status, kind) in rows {
        let shown = format!("{method} {path} {body:?}");
        let reply = kit.call(method, path, body).await;
        assert_eq!((reply.status, reply.kind()), (status, kind), "{shown} {}", reply.body);
    }
    assert_eq!(kit.store.len(), files, "a refused request leaves no file");
    assert_eq!(kit.call("DELETE", TABLE, None).await.status, 204);
    assert_eq!(
        kit.call("DELETE", "/v1/namespaces/a", None).await.kind(),
        "NamespaceNotEmptyException"
    );
    assert_eq!(kit.call("DELETE", VIEW, None).await.status, 204);
    assert_eq!(kit.call("DELETE", "/v1/namespaces/a", None).await.status, 204);
}

// Goal: no view is made by way of a table's commit, nor leaves anything behind. Method: a staged table under a view's name, alone and in a transaction.
#[tokio::test]
async fn staged_tables_do_not_take_a_views_name() {
    let kit = with_view().await;
    let updates = json!([
        {"action": "assign-uuid", "uuid": "11111111-1111-4111-8111-111111111111"},
        {"action": "upgrade-format-version", "format-version": 2},
        {"action": "add-schema", "schema": schema()},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "set-location", "location": "memory:///lake/a/new"}]);
    let change = json!({"identifier": {"namespace": ["a"], "name": "v"}, "requirements": [{"type": "assert-create"}], "updates": updates});
    let files = kit.store.len();
    let alone = kit.post("/v1/namespaces/a/tables/v", change.clone()).await;
    assert_eq!(
        (alone.status, alone.kind()),
        (409, "AlreadyExistsException"),
        "{}",
        alone.body
    );
    assert_eq!(alone.message(), "View with same name already exists: a.v");
    let both = json!({"table-changes": [change, {"identifier": {"namespace": ["a"], "name": "t"}, "requirements": [], "updates": set("x", "1")}]});
    assert_eq!(kit.post("/v1/transactions/commit", both).await.status, 409);
    assert_eq!(kit.properties().await, Value::Null);
    assert_eq!(kit.store.len(), files);
}

// Goal: a repeated request about a view gives its first answer; a lost answer is found again. Method: each mutation twice under one key.
#[tokio::test]
async fn view_mutations_happen_once() {
    let kit = Kit::with_table().await;
    let new = new_view("v");
    let first = kit.post_once(1, VIEWS, new.clone()).await;
    let body = kit.post_once(1, VIEWS, new).await.body;
    assert_eq!((first.status, &first.body), (200, &body));
    let change = json!({"updates": replace("SELECT 2")});
    kit.consensus.fail_next_write(ConsensusError::OutcomeUnknown {
        reason: "cut off".into(),
    });
    for _ in 0..2 {
        let found = kit.post_once(2, VIEW, change.clone()).await;
        assert_eq!(
            (found.status, &found.body["metadata"]["current-version-id"]),
            (200, &json!(2))
        );
    }
    let rename = json!({"source": {"namespace": ["a"], "name": "v"}, "destination": {"namespace": ["a"], "name": "w"}});
    for _ in 0..2 {
        assert_eq!(kit.post_once(3, "/v1/views/rename", rename.clone()).await.status, 204);
        let drop = request(
            "DELETE",
            "/v1/namespaces/a/views/none",
            None,
            Some(uuid::Uuid::from_u128(4)),
        );
        assert_eq!(kit.send(drop).await.kind(), "NoSuchViewException");
    }
    for _ in 0..2 {
        let drop = request(
            "DELETE",
            "/v1/namespaces/a/views/w",
            None,
            Some(uuid::Uuid::from_u128(5)),
        );
        assert_eq!(kit.send(drop).await.status, 204);
    }
    kit.consensus
        .fail_next_write(ConsensusError::NoQuorum { reason: "alone".into() });
    let files = kit.store.len();
    let refused = kit.post(VIEWS, new_view("x")).await;
    assert_eq!((refused.status, refused.kind()), (503, "ServiceUnavailableException"));
    assert_eq!(kit.store.len(), files);
}

// Goal: writers of one view queue and lose nothing. Method: 16 replacements at a time.
#[tokio::test]
async fn writers_of_one_view_queue() {
    let kit = with_view().await;
    let keep_all =
        json!({"updates": [{"action": "set-properties", "updates": {"version.history.num-entries": "100"}}]});
    assert_eq!(kit.post(VIEW, keep_all).await.status, 200);
    let bodies: Vec<Value> = (0..16)
        .map(|number| json!({"updates": replace(&format!("SELECT {number} + 2"))}))
        .collect();
    let posts = bodies.iter().map(|body| kit.post(VIEW, body.clone()));
    for reply in futures::future::join_all(posts).await {
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    let metadata = kit.get(VIEW).await.body["metadata"].clone();
    assert_eq!(metadata["versions"].as_array().map(Vec::len), Some(17));
    assert_eq!(metadata["current-version-id"], 17);
}

// Goal: metadata of a view goes where its property says, inside of the view's folder. Method: the property at creation, then a commit.
#[tokio::test]
async fn view_metadata_has_its_place() {
    let kit = Kit::with_table().await;
    let mut new = new_view("v");
    new["location"] = json!("memory:///lake/a/v/");
    new["properties"]["write.metadata.path"] = json!("memory:///lake/a/v/custom/");
    for reply in [
        kit.post(VIEWS, new).await,
        kit.post(VIEW, json!({"updates": replace("SELECT 2")})).await,
    ] {
        assert_eq!(reply.status, 200, "{}", reply.body);
        let file = reply.body["metadata-location"].as_str().expect("a location");
        assert!(file.starts_with("memory:///lake/a/v/custom/0000"), "{file}");
    }
}

// Goal: a metadata file of a view can be registered; others cannot, nor can a taken name. Method: a view's own file after it was dropped, with
// an unknown field, and files that are none.
#[tokio::test]
async fn views_are_registered() {
    let kit = with_view().await;
    let view = kit.get(VIEW).await.body;
    let register = |name: &str, file: &Value| json!({"name": name, "metadata-location": file});
    let path = "/v1/namespaces/a/register-view";
    let taken = kit.post(path, register("v", &view["metadata-location"])).await;
    assert_eq!((taken.status, taken.message()), (409, "View already exists: a.v"));
    let taken = kit.post(path, register("t", &view["metadata-location"])).await;
    assert_eq!(
        (taken.status, taken.message()),
        (409, "Table with same name already exists: a.t")
    );
    let taken = kit
        .post("/v1/namespaces/a/register", register("v", &view["metadata-location"]))
        .await;
    assert_eq!(
        (taken.status, taken.message()),
        (409, "View with same name already exists: a.v")
    );
    assert_eq!(kit.call("DELETE", VIEW, None).await.status, 204);
    let again = kit.post(path, register("v", &view["metadata-location"])).await;
    assert_eq!((again.status, &again.body), (200, &view));
    let table = kit.get(TABLE).await.body;
    for (path, file) in [
        (path, &table["metadata-location"]),
        ("/v1/namespaces/a/register", &view["metadata-location"]),
    ] {
        let refused = kit.post(path, register("x", file)).await;
        assert_eq!(
            (refused.status, refused.kind()),
            (400, "BadRequestException"),
            "{}",
            refused.body
        );
    }
    let missing = json!("memory:///lake/a/none/1.metadata.json");
    assert_eq!(kit.post(path, register("x", &missing)).await.status, 400);
    assert_eq!(
        kit.post(path, register("x", &json!("memory:///other/1.metadata.json")))
            .await
            .status,
        400
    );
    let mut odd = view["metadata"].clone();
    odd["versions"][0]["odd"] = json!([1]);
    odd["location"] = json!("memory:///lake/a/odd");
    let file = "memory:///lake/a/odd/metadata/1.metadata.json";
    kit.store
        .put_new(file, Bytes::from(odd.to_string()))
        .await
        .expect("a new file");
    assert_eq!(
        kit.post(path, register("odd", &json!(file))).await.body["metadata"],
        odd
    );
    let refused = kit
        .post("/v1/namespaces/a/views/odd", json!({"updates": replace("SELECT 2")}))
        .await;
    assert_eq!((refused.status, refused.kind()), (406, "UnsupportedOperationException"));
    assert!(refused.message().contains("odd"), "{}", refused.message());
}
