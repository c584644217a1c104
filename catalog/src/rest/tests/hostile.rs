//! Names and locations that try to get out.

use serde_json::{Value, json};

use super::kit::{Kit, TABLE, TABLES, append, new_table, schema, set};

pub(super) const LOCATIONS: [&str; 16] = [
    "",
    "x",
    "/etc",
    "file:///etc/passwd",
    "memory:///lake",
    "memory:///lake/",
    "memory:///lakeside/x",
    "memory:///lake/../x",
    "memory:///lake/a/../../x",
    "memory:///lake/./x",
    "memory:///lake//x",
    "memory:///lake/%2e%2e/x",
    "memory:///lake/x\u{0}",
    "memory:///lake/x*",
    "memory://host/lake/x",
    "s3://lake/x",
];

// Goal: no name gets out of its folder or breaks a path. Method: hostile names in bodies and paths; all are refused with 4xx and nothing is made.
#[tokio::test]
async fn hostile_names_are_refused() {
    let kit = Kit::with_table().await;
    let files = kit.store.len();
    let long = "x".repeat(256);
    let names = [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "%2e%2e",
        "a\u{0}b",
        "a\nb",
        "a\u{1f}b",
        "*",
        "a'b",
        " x",
        "\u{202e}x",
        &long,
    ];
    for name in names {
        let made = kit.post(TABLES, new_table(name)).await;
        assert_eq!((made.status, made.kind()), (400, "BadRequestException"), "{name:?}");
        let made = kit.post("/v1/namespaces", json!({"namespace": [name]})).await;
        assert_eq!(made.status, 400, "{name:?}");
        let to =
            json!({"source": {"namespace": ["a"], "name": "t"}, "destination": {"namespace": ["a"], "name": name}});
        assert_eq!(kit.post("/v1/tables/rename", to).await.status, 400, "{name:?}");
    }
    for path in ["%2e%2e", "a%2Fb", "%00", "a%0Ab", "%ff", "..%1F.."] {
        for path in [format!("/v1/namespaces/{path}"), format!("{TABLES}/{path}")] {
            let reply = kit.get(&path).await;
            assert!((400..500).contains(&reply.status), "{path} {}", reply.body);
            assert!(!reply.kind().is_empty(), "{path}");
        }
    }
    let deep: Vec<&str> = vec!["x"; 9];
    assert_eq!(kit.post("/v1/namespaces", json!({"namespace": deep})).await.status, 400);
    assert_eq!(kit.post("/v1/namespaces", json!({"namespace": []})).await.status, 400);
    assert_eq!(kit.store.len(), files);
}

// Goal: no table, file or property points outside of the warehouse or of the table. Method: hostile locations wherever one is taken.
#[tokio::test]
async fn hostile_locations_are_refused() {
    let kit = Kit::with_table().await;
    let files = kit.store.len();
    for location in LOCATIONS {
        let mut new = new_table("u");
        new["location"] = json!(location);
        let mut staged = new.clone();
        staged["stage-create"] = json!(true);
        let register = json!({"name": "u", "metadata-location": location});
        let register_file = json!({"name": "u", "metadata-location": format!("{location}/x.metadata.json")});
        let moved = json!({"updates": [{"action": "set-location", "location": location}]});
        let property = json!({"updates": [{"action": "set-properties", "updates": {"write.data.path": location}}]});
        for (path, body) in [
            (TABLES, new),
            (TABLES, staged),
            ("/v1/namespaces/a/register", register),
            ("/v1/namespaces/a/register", register_file),
            (TABLE, moved),
            (TABLE, property),
        ] {
            let reply = kit.post(path, body.clone()).await;
            assert_eq!(
                (reply.status, reply.kind()),
                (400, "BadRequestException"),
                "{path} {body}"
            );
        }
    }
    assert_eq!(kit.store.len(), files);
}

// Goal: no table lies in another one. Method: the same place, inside of it, around it; and a place that only looks alike.
#[tokio::test]
async fn tables_do_not_share_a_place() {
    let kit = Kit::with_table().await;
    let location = kit.get(TABLE).await.body["metadata"]["location"]
        .as_str()
        .expect("a location")
        .to_owned();
    for (place, status) in [
        (location.clone(), 400),
        (format!("{location}/"), 400),
        (format!("{location}/data"), 400),
        ("memory:///lake/a".to_owned(), 400),
        (format!("{location}x"), 200),
    ] {
        let mut new = new_table("u");
        new["location"] = json!(place);
        assert_eq!(kit.post(TABLES, new).await.status, status, "{place}");
    }
}

/// Every place in a value, as JSON pointers.
pub(super) fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, member)| places(member, &format!("{path}/{name}"), found)),
        Value::Array(elements) => {
            let numbered = elements.iter().enumerate();
            numbered.for_each(|(at, element)| places(element, &format!("{path}/{at}"), found));
        }
        _ => {}
    }
}

// Goal: no body makes the catalog fail: every one is applied or refused with 4xx. Method: good requests of each kind with each of their
// places replaced by each of some odd values.
#[tokio::test]
async fn odd_bodies_are_refused_or_applied() {
    let commit = |updates: Value| {
        (
            TABLE,
            json!({"requirements": [{"type": "assert-default-spec-id", "default-spec-id": 0}], "updates": updates}),
        )
    };
    let mut new = new_table("u");
    new["partition-spec"] =
        json!({"spec-id": 0, "fields": [{"source-id": 2, "field-id": 1000, "name": "d", "transform": "bucket[4]"}]});
    new["write-order"] = json!({"order-id": 1, "fields": [
        {"source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-first"}]});
    new["properties"] = json!({"format-version": "2", "k": "v"});
    let add_schema =
        json!([{"action": "add-schema", "schema": schema()}, {"action": "set-current-schema", "schema-id": -1}]);
    let add_spec = json!([{"action": "add-spec", "spec": {"spec-id": 1, "fields": [
        {"source-id": 1, "field-id": 1000, "name": "b", "transform": "truncate[3]"}]}}, {"action": "set-default-spec", "spec-id": -1}]);
    let add_order = json!([{"action": "add-sort-order", "sort-order": {"order-id": 1, "fields": [
        {"source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-first"}]}},
        {"action": "set-default-sort-order", "sort-order-id": -1}]);
    let small = json!([{"action": "remove-snapshots", "snapshot-ids": [1]}, {"action": "remove-snapshot-ref", "ref-name": "x"},
        {"action": "remove-schemas", "schema-ids": [7]}, {"action": "remove-partition-specs", "spec-ids": [7]},
        {"action": "upgrade-format-version", "format-version": 2}]);
    let requests = [
        (TABLES, new),
        commit(append(1, None, 1)),
        commit(add_schema),
        commit(add_spec),
        commit(add_order),
        commit(small),
        commit(set("x", "1")),
        ("/v1/namespaces", json!({"namespace": ["b"], "properties": {"k": "v"}})),
        (
            "/v1/namespaces/a/properties",
            json!({"removals": ["x"], "updates": {"k": "v"}}),
        ),
        (
            "/internal/v1/ingest/leases",
            json!({"owner": "one", "ttl_ms": 1000, "acquire": [{"topic": "t", "partition": 0}], "release": []}),
        ),
        (
            "/internal/v1/ingest/commit",
            json!({"owner": "one", "commits": [], "ranges": [
            {"topic": "t", "partition": 0, "epoch": 1, "from": 0, "to": 5}]}),
        ),
    ];
    let odd = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(""),
        json!("x\u{0}"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"x": {"y": []}}),
    ];
    let mut failures = Vec::new();
    for (path, body) in requests {
        let mut found = Vec::new();
        places(&body, "", &mut found);
        let mut kit = Kit::with_table().await;
        for place in found {
            for value in &odd {
                let mut changed = body.clone();
                *changed.pointer_mut(&place).expect("found there") = value.clone();
                let reply = kit.post(path, changed.clone()).await;
                if reply.status >= 500 {
                    failures.push(format!("{path} {place} = {value}: {}", reply.body));
                }
                if kit.get(TABLE).await.status != 200 || kit.update(set("after", "1")).await.status != 200 {
                    failures.push(format!("{path} {place} = {value}: the table is stuck"));
                }
                // An odd value that is applied must not shield the next.
                if !(400..500).contains(&reply.status) {
                    kit = Kit::with_table().await;
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let kit = Kit::with_table().await;
    for bytes in [&b""[..], b"{", b"\xff\xfe", b"nul", b"{}{}", b"[1,]"] {
        for path in [
            TABLES,
            TABLE,
            "/v1/namespaces",
            "/v1/tables/rename",
            "/v1/transactions/commit",
            "/internal/v1/ingest/commit",
        ] {
            let request = http::Request::post(path)
                .body(axum::body::Body::from(bytes.to_vec()))
                .expect("a request");
            let reply = kit.send(request).await;
            assert_eq!(reply.status, 400, "{path} {bytes:?}");
        }
    }
}
