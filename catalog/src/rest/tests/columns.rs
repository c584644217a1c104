//! Columns of kinds that the `iceberg` crate does not know.

mod model;

use serde_json::{Value, json};

use super::kit::{Kit, TABLE, TABLES, append, new_table, set};

/// Every kind at some depth, with defaults and a member that no version has yet.
fn odd() -> Value {
    json!({"type": "struct", "schema-id": 0, "fields": [
        {"id": 1, "name": "id", "type": "long", "required": true},
        {"id": 2, "name": "v", "type": "variant", "required": false, "doc": "anything"},
        {"id": 3, "name": "u", "type": "unknown", "required": false},
        {"id": 4, "name": "g", "type": "geometry(srid:4326)", "required": false},
        {"id": 5, "name": "e", "type": "geography(srid:4326, karney)", "required": false},
        {"id": 6, "name": "ns", "type": "timestamp_ns", "required": false, "initial-default": "2026-01-01T00:00:00.000000001",
            "write-default": "2026-01-01T00:00:00.000000002"},
        {"id": 7, "name": "f", "type": "float", "required": false, "initial-default": 1.1},
        {"id": 8, "name": "m", "required": false, "type": {"type": "map", "key-id": 9, "key": "string", "value-id": 10,
            "value-required": false, "value": {"type": "list", "element-id": 11, "element-required": false, "element":
                {"type": "struct", "fields": [{"id": 12, "name": "x", "type": "variant", "required": false, "later": {"a": 1}}]}}}},
    ]})
}

fn new(version: &str, schema: &Value) -> Value {
    let mut new = new_table("t");
    new["schema"] = schema.clone();
    new["properties"] = json!({"format-version": version});
    new
}

async fn with(schema: &Value) -> Kit {
    let kit = Kit::empty();
    assert_eq!(
        kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await.status,
        200
    );
    let made = kit.post(TABLES, new("3", schema)).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.body["metadata"]["schemas"], json!([schema]));
    kit
}

// Goal: a table with such columns is made, changed, staged, registered and replaced, and no type, default or member is lost.
// Method: each way once, the schemas compared with those that were sent.
#[tokio::test]
async fn tables_with_any_column_can_be_made_and_changed() {
    let kit = with(&odd()).await;
    assert_eq!(kit.update(set("k", "v")).await.status, 200);
    let mut wide = odd();
    wide["schema-id"] = json!(1);
    let columns = wide["fields"].as_array_mut().expect("columns");
    columns.push(json!({"id": 13, "name": "w", "type": "variant", "required": false}));
    let mut updates =
        json!([{"action": "add-schema", "schema": wide}, {"action": "set-current-schema", "schema-id": -1}]);
    let mut rows = append(1, None, 1);
    rows[0]["snapshot"]["first-row-id"] = json!(0);
    rows[0]["snapshot"]["added-rows"] = json!(5);
    let all = updates.as_array_mut().expect("updates");
    all.extend(rows.as_array().expect("updates").clone());
    let changed = kit.update(updates.clone()).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let both = |body: &Value| {
        let mut schemas = body["metadata"]["schemas"].as_array().expect("schemas").clone();
        schemas.sort_by_key(|schema| schema["schema-id"].as_i64());
        schemas
    };
    let loaded = kit.get(TABLE).await.body;
    assert_eq!(both(&loaded), [odd(), wide.clone()]);
    assert_eq!(loaded["metadata"]["last-column-id"], 13);
    // The same schema again is the one that is there.
    let again = kit.update(json!([{"action": "add-schema", "schema": wide}])).await;
    assert_eq!(both(&again.body).len(), 2);

    let location = again.body["metadata-location"].clone();
    let gone = kit.call("POST", &format!("{TABLE}/unregister"), None).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    let register = json!({"name": "t", "metadata-location": location});
    let back = kit.post("/v1/namespaces/a/register", register).await;
    assert_eq!(both(&back.body), [odd(), wide.clone()]);
    // As if another node had it: parsed from the file.
    kit.service.cache.forget().await;
    let changed = kit.update(set("k", "w")).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(both(&changed.body), [odd(), wide.clone()]);

    let mut staged = new("3", &odd());
    staged["name"] = json!("s");
    staged["stage-create"] = json!(true);
    let answer = kit.post(TABLES, staged).await.body["metadata"].clone();
    assert_eq!(answer["schemas"], json!([odd()]));
    let create = json!([{"action": "assign-uuid", "uuid": answer["table-uuid"]}, {"action": "upgrade-format-version", "format-version": 3},
        {"action": "add-schema", "schema": odd()}, {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {"fields": []}}, {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}}, {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-location", "location": answer["location"]}]);
    let body = json!({"requirements": [{"type": "assert-create"}], "updates": create});
    let made = kit.post("/v1/namespaces/a/tables/s", body).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.body["metadata"]["schemas"], json!([odd()]));
}

// Goal: a view may have such columns. Method: make one, change it, load it.
#[tokio::test]
async fn views_with_any_column_can_be_made_and_changed() {
    let kit = with(&odd()).await;
    let version = |id: i64, schema: i64| {
        json!({"version-id": id, "timestamp-ms": 1, "schema-id": schema, "summary": {}, "default-namespace": ["a"],
        "representations": [{"type": "sql", "sql": format!("select {id}"), "dialect": "spark"}]})
    };
    let new = json!({"name": "w", "schema": odd(), "view-version": version(1, 0), "properties": {}});
    let made = kit.post("/v1/namespaces/a/views", new).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.body["metadata"]["schemas"], json!([odd()]));
    let view = "/v1/namespaces/a/views/w";
    let schema = json!({"type": "struct", "schema-id": 1, "fields": [{"id": 1, "name": "v", "type": "variant", "required": false}]});
    let updates = json!([{"action": "add-schema", "schema": schema, "last-column-id": 1},
        {"action": "add-view-version", "view-version": version(2, -1)}, {"action": "set-current-view-version", "view-version-id": -1}]);
    let changed = kit.post(view, json!({"requirements": [], "updates": updates})).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(kit.get(view).await.body["metadata"]["schemas"], json!([odd(), schema]));
}

// Goal: what the format does not allow of such columns is refused, and in words that name the column. Method: a schema, a version,
// a spec, an order or an identifier at a time; then the same in a commit.
#[tokio::test]
async fn columns_are_checked() {
    let column = |kind: Value| json!({"id": 1, "name": "c", "required": false, "type": kind});
    let schema = |column: &Value| json!({"type": "struct", "schema-id": 0, "fields": [column]});
    let default = |kind: Value, member: &str, value: Value| {
        let mut column = column(kind);
        column[member] = value;
        column
    };
    let required = |kind: &str| json!({"id": 1, "name": "c", "required": true, "type": kind});
    let list = json!({"type": "list", "element-id": 2, "element-required": true, "element": "unknown"});
    let map =
        json!({"type": "map", "key-id": 2, "key": "unknown", "value-id": 3, "value-required": false, "value": "int"});
    let kit = Kit::with_table().await;
    let mut refused_at = Vec::new();
    let rows = [
        ("2", column(json!("variant")), false),
        ("2", column(json!("unknown")), false),
        ("2", column(json!("geometry")), false),
        ("1", column(json!("geography(srid:4326)")), false),
        ("2", column(json!("timestamp_ns")), false),
        ("3", column(json!("timestamptz_ns")), true),
        ("2", default(json!("int"), "initial-default", json!(1)), false),
        ("2", default(json!("int"), "write-default", json!(1)), true),
        ("3", default(json!("int"), "initial-default", json!(1)), true),
        ("3", default(json!("int"), "initial-default", json!("1")), false),
        ("3", default(json!("variant"), "initial-default", json!("1")), false),
        ("3", default(json!("geometry"), "write-default", json!("00")), false),
        ("3", default(json!("unknown"), "write-default", json!(null)), true),
        ("3", required("unknown"), false),
        ("3", required("variant"), true),
        ("3", column(list), false),
        ("3", column(map), false),
        ("3", column(json!("geometry(srid:4326, karney)")), false),
        ("3", column(json!("geography(srid:4326, flat)")), false),
        ("3", column(json!("geography(srid:4326, spherical)")), true),
        ("3", column(json!("fixed[9223372036854775807]")), false),
        ("3", column(json!("varient")), false),
        ("3", column(json!("decimal(9)")), false),
    ];
    for (at, (version, column, allowed)) in rows.into_iter().enumerate() {
        let mut new = new(version, &schema(&column));
        new["name"] = json!(format!("n{at}"));
        let answer = kit.post(TABLES, new).await;
        match allowed {
            true => assert_eq!(answer.status, 200, "{column}: {}", answer.body),
            false => {
                assert_eq!((answer.status, answer.kind()), (400, "BadRequestException"), "{column}");
                assert!(
                    answer.message().contains("column c") || answer.message().contains(" c"),
                    "{}",
                    answer.message()
                );
                refused_at.push((version, column));
            }
        }
    }
    for (version, column) in refused_at {
        let update = json!([{"action": "upgrade-format-version", "format-version": version.parse::<i64>().expect("a number")},
            {"action": "add-schema", "schema": schema(&column)}]);
        let updates = match version {
            "1" => json!([update[1]]),
            _ => update,
        };
        let fresh = Kit::with_table().await;
        let answer = fresh.update(updates).await;
        assert_eq!(answer.status, 400, "{column}: {}", answer.body);
    }
}

// Goal: columns without order or equality are no source of partitions, orders or identifiers, at creation and later; a void field may
// be left. Method: each use of each type.
#[tokio::test]
async fn columns_without_an_order_are_not_used() {
    for (id, name) in [(2, "v"), (3, "u"), (4, "g"), (5, "e")] {
        let kit = with(&odd()).await;
        for transform in ["identity", "bucket[4]", "truncate[2]"] {
            let spec = json!({"spec-id": 0, "fields": [{"source-id": id, "field-id": 1000, "name": "p", "transform": transform}]});
            let order = json!({"order-id": 1, "fields": [{"source-id": id, "transform": transform, "direction": "asc", "null-order": "nulls-first"}]});
            let mut staged = new("3", &odd());
            staged["name"] = json!("other");
            for (member, value) in [("partition-spec", &spec), ("write-order", &order)] {
                let mut staged = staged.clone();
                staged[member] = value.clone();
                let refused = kit.post(TABLES, staged).await;
                assert_eq!(refused.status, 400, "{name} {transform}: {}", refused.body);
                assert!(!refused.message().contains("92233720"), "{}", refused.message());
            }
            for update in [
                json!([{"action": "add-spec", "spec": spec}]),
                json!([{"action": "add-sort-order", "sort-order": order}]),
            ] {
                let refused = kit.update(update).await;
                assert_eq!(refused.status, 400, "{name} {transform}: {}", refused.body);
                assert!(!refused.message().contains("92233720"), "{}", refused.message());
            }
        }
        let mut identified = odd();
        identified["fields"][id - 1]["required"] = json!(name != "u");
        identified["identifier-field-ids"] = json!([id]);
        let refused = kit.update(
            json!([{"action": "add-schema", "schema": identified}, {"action": "set-current-schema", "schema-id": -1}]),
        );
        let refused = refused.await;
        assert_eq!(refused.status, 400, "{name}: {}", refused.body);
    }
    let kit = with(&odd()).await;
    let spec = json!({"fields": [{"source-id": 2, "name": "p", "transform": "void"}]});
    assert_eq!(
        kit.update(json!([{"action": "add-spec", "spec": spec}])).await.status,
        200
    );
}
