//! Every update of the protocol, on tables of the formats that have it.

use serde_json::{Value, json};

use super::kit::{Kit, TABLE, TABLES, append, new_table, schema};

/// A table in format 3 with two snapshots, two schemas, two specs, two sort orders and a tag.
async fn rich() -> Kit {
    let kit = Kit::empty();
    assert_eq!(
        kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await.status,
        200
    );
    let mut new = new_table("t");
    new["properties"] = json!({"format-version": "3", "k": "v"});
    new["partition-spec"] =
        json!({"spec-id": 0, "fields": [{"source-id": 2, "field-id": 1000, "name": "day", "transform": "day"}]});
    assert_eq!(kit.post(TABLES, new).await.status, 200);
    for (id, parent, first_row) in [(1, None, 0), (2, Some(1), 10)] {
        let mut updates = append(id, parent, id);
        updates[0]["snapshot"]["first-row-id"] = json!(first_row);
        updates[0]["snapshot"]["added-rows"] = json!(10);
        let made = kit.update(updates).await;
        assert_eq!(made.status, 200, "{}", made.body);
    }
    let mut wide = schema();
    wide["schema-id"] = json!(1);
    wide["fields"]
        .as_array_mut()
        .expect("fields")
        .push(json!({"id": 3, "name": "note", "type": "string", "required": false}));
    let more = json!([
        {"action": "add-schema", "schema": wide}, {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {"spec-id": 1, "fields": []}}, {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 1, "fields": [
            {"source-id": 1, "transform": "identity", "direction": "asc", "null-order": "nulls-first"}]}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-snapshot-ref", "ref-name": "first", "type": "tag", "snapshot-id": 1},
        {"action": "add-encryption-key", "encryption-key": {"key-id": "one", "encrypted-key-metadata": "aWNl"}}]);
    let made = kit.update(more).await;
    assert_eq!(made.status, 200, "{}", made.body);
    kit
}

/// The crate writes these lists in no order.
fn in_order_of_ids(metadata: &mut Value) {
    for (list, id) in [
        ("schemas", "schema-id"),
        ("partition-specs", "spec-id"),
        ("sort-orders", "order-id"),
        ("snapshots", "snapshot-id"),
    ] {
        let elements = metadata[list].as_array_mut().expect("a list");
        elements.sort_by_key(|element| element[id].as_i64());
    }
    let keys = metadata.get_mut("encryption-keys").and_then(Value::as_array_mut);
    if let Some(keys) = keys {
        keys.sort_by_key(|key| key["key-id"].to_string());
    }
}

fn statistics() -> Value {
    json!({"snapshot-id": 2, "statistics-path": "memory:///lake/x.puffin", "file-size-in-bytes": 10,
        "file-footer-size-in-bytes": 4, "blob-metadata": []})
}

// Goal: each of the protocol's 23 updates to tables is applied. Method: each on a rich table, then one place of the metadata as it is loaded.
#[tokio::test]
async fn each_update_is_applied() {
    let uuid = json!("(the table's)");
    let text = json!({"type": "struct", "schema-id": 7, "fields": [{"id": 9, "name": "x", "type": "string", "required": false}]});
    let mut third = append(3, Some(2), 3);
    third[0]["snapshot"]["first-row-id"] = json!(20);
    third[0]["snapshot"]["added-rows"] = json!(5);
    let only_snapshot = json!([third[0]]);
    let statistics_file =
        json!({"snapshot-id": 2, "statistics-path": "memory:///lake/p.parquet", "file-size-in-bytes": 10});
    let set_statistics = json!({"action": "set-statistics", "snapshot-id": 2, "statistics": statistics()});
    let set_partition = json!({"action": "set-partition-statistics", "partition-statistics": statistics_file});
    let rows = [
        (
            json!([{"action": "assign-uuid", "uuid": uuid}]),
            "/table-uuid",
            uuid.clone(),
        ),
        (
            json!([{"action": "upgrade-format-version", "format-version": 3}]),
            "/format-version",
            json!(3),
        ),
        (
            json!([{"action": "add-schema", "schema": text}]),
            "/schemas/2/fields/0/name",
            json!("x"),
        ),
        (
            json!([{"action": "set-current-schema", "schema-id": 0}]),
            "/current-schema-id",
            json!(0),
        ),
        (
            json!([{"action": "add-spec", "spec": {"fields": [{"source-id": 1, "name": "b", "transform": "bucket[4]"}]}}]),
            "/last-partition-id",
            json!(1001),
        ),
        (
            json!([{"action": "set-default-spec", "spec-id": 0}]),
            "/default-spec-id",
            json!(0),
        ),
        (
            json!([{"action": "add-sort-order", "sort-order": {"order-id": 5, "fields": [
            {"source-id": 2, "transform": "identity", "direction": "desc", "null-order": "nulls-last"}]}}]),
            "/sort-orders/2/fields/0/direction",
            json!("desc"),
        ),
        (
            json!([{"action": "set-default-sort-order", "sort-order-id": 0}]),
            "/default-sort-order-id",
            json!(0),
        ),
        (only_snapshot, "/next-row-id", json!(25)),
        (
            json!([{"action": "set-snapshot-ref", "ref-name": "audit", "type": "branch", "snapshot-id": 1, "min-snapshots-to-keep": 3}]),
            "/refs/audit",
            json!({"type": "branch", "snapshot-id": 1, "min-snapshots-to-keep": 3}),
        ),
        (
            json!([{"action": "remove-snapshot-ref", "ref-name": "first"}, {"action": "remove-snapshots", "snapshot-ids": [1]}]),
            "/snapshots/0/snapshot-id",
            json!(2),
        ),
        (
            json!([{"action": "remove-snapshot-ref", "ref-name": "first"}]),
            "/refs/first",
            Value::Null,
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
            "/properties/k",
            Value::Null,
        ),
        (
            json!([set_statistics]),
            "/statistics/0/statistics-path",
            json!("memory:///lake/x.puffin"),
        ),
        (
            json!([set_statistics, {"action": "remove-statistics", "snapshot-id": 2}]),
            "/statistics/0",
            Value::Null,
        ),
        (
            json!([set_partition]),
            "/partition-statistics/0/statistics-path",
            json!("memory:///lake/p.parquet"),
        ),
        (
            json!([set_partition, {"action": "remove-partition-statistics", "snapshot-id": 2}]),
            "/partition-statistics/0",
            Value::Null,
        ),
        (
            json!([{"action": "remove-partition-specs", "spec-ids": [0]}]),
            "/partition-specs/0/spec-id",
            json!(1),
        ),
        (
            json!([{"action": "remove-schemas", "schema-ids": [0]}]),
            "/schemas/0/schema-id",
            json!(1),
        ),
        (
            json!([{"action": "add-encryption-key", "encryption-key": {"key-id": "two", "encrypted-key-metadata": "aWNl", "encrypted-by-id": "one"}}]),
            "/encryption-keys/1/key-id",
            json!("two"),
        ),
        (
            json!([{"action": "remove-encryption-key", "key-id": "one"}]),
            "/encryption-keys/0",
            Value::Null,
        ),
    ];
    let mut kinds: Vec<String> = Vec::new();
    for (updates, place, expected) in rows {
        let kit = rich().await;
        // Every table has its own.
        let own = kit.get(TABLE).await.body["metadata"]["table-uuid"].clone();
        let with_own = |value: &Value| value.to_string().replace(&uuid.to_string(), &own.to_string());
        let updates: Value = serde_json::from_str(&with_own(&updates)).expect("JSON");
        let expected: Value = serde_json::from_str(&with_own(&expected)).expect("JSON");
        let last = updates.as_array().and_then(|list| list.last()).expect("an update");
        kinds.extend(last["action"].as_str().map(str::to_owned));
        let reply = kit.update(updates.clone()).await;
        assert_eq!(reply.status, 200, "{updates} {}", reply.body);
        let loaded = kit.get(TABLE).await;
        assert_eq!(loaded.body, reply.body);
        let mut metadata = loaded.body["metadata"].clone();
        in_order_of_ids(&mut metadata);
        let found = metadata.pointer(place).unwrap_or(&Value::Null);
        assert_eq!(*found, expected, "{updates} {}", loaded.body["metadata"]);
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 23, "{kinds:?}");
}

// Goal: a tag that was given to a snapshot meanwhile does not go with it. Method: snapshots removed by who does not know of a tag, and who does.
#[tokio::test]
async fn tags_do_not_go_unsaid() {
    let kit = rich().await;
    let unaware = json!([{"action": "remove-snapshots", "snapshot-ids": [1]}]);
    let refused = kit.update(unaware.clone()).await;
    assert_eq!(
        (refused.status, refused.kind()),
        (409, "CommitFailedException"),
        "{}",
        refused.body
    );
    let loaded = kit.get(TABLE).await.body["metadata"].clone();
    assert_eq!(loaded["refs"]["first"]["snapshot-id"], 1);
    assert_eq!(loaded["snapshots"].as_array().map(Vec::len), Some(2));
    let untagged = kit
        .update(json!([{"action": "remove-snapshot-ref", "ref-name": "first"}]))
        .await;
    assert_eq!(untagged.status, 200, "{}", untagged.body);
    assert_eq!(kit.update(unaware).await.status, 200);
}

// Goal: no rows are taken of a snapshot that is gone, whose files may be gone as well. Method: a snapshot that says it took those of one that
// is not there, and of one that is.
#[tokio::test]
async fn rows_are_taken_of_what_is_there() {
    let kit = rich().await;
    let taking = |source: &str| {
        let mut updates = append(3, Some(2), 3);
        let snapshot = &mut updates[0]["snapshot"];
        snapshot["first-row-id"] = json!(20);
        snapshot["added-rows"] = json!(5);
        snapshot["summary"]["source-snapshot-id"] = json!(source);
        updates
    };
    let refused = kit.update(taking("77")).await;
    assert_eq!(
        (refused.status, refused.kind()),
        (409, "CommitFailedException"),
        "{}",
        refused.body
    );
    let taken = kit.update(taking("1")).await;
    assert_eq!(taken.status, 200, "{}", taken.body);
}

// Goal: an upgrade of the format goes up and not down, and what an older format has no place for is refused, not lost. Method: both on format 2.
#[tokio::test]
async fn formats_go_up() {
    let kit = Kit::with_table().await;
    let key = json!([{"action": "add-encryption-key", "encryption-key": {"key-id": "one", "encrypted-key-metadata": "aWNl"}}]);
    let refused = kit.update(key.clone()).await;
    assert_eq!(
        (refused.status, refused.kind()),
        (400, "BadRequestException"),
        "{}",
        refused.body
    );
    let to = |version: u8| json!([{"action": "upgrade-format-version", "format-version": version}]);
    assert_eq!(kit.update(to(1)).await.status, 400);
    assert_eq!(kit.update(to(4)).await.status, 400);
    assert_eq!(kit.update(to(3)).await.body["metadata"]["format-version"], 3);
    assert_eq!(kit.update(key).await.status, 200);
    assert_eq!(kit.update(to(2)).await.status, 400);
}

// Goal: in format 3 row ids are given once. Method: a snapshot that begins before the next row id, one that does not say, one that goes on.
#[tokio::test]
async fn row_ids_are_given_once() {
    let kit = rich().await;
    let snapshot = |first: Value, rows: Value| {
        let mut updates = append(3, Some(2), 3);
        updates[0]["snapshot"]["first-row-id"] = first;
        updates[0]["snapshot"]["added-rows"] = rows;
        updates
    };
    let before = kit.update(snapshot(json!(5), json!(5))).await;
    assert_eq!(
        (before.status, before.kind()),
        (409, "CommitFailedException"),
        "{}",
        before.body
    );
    assert_eq!(kit.update(snapshot(Value::Null, Value::Null)).await.status, 400);
    // Behind a gap the same ids would be given once more.
    assert_eq!(kit.update(snapshot(json!(21), json!(5))).await.status, 400);
    assert_eq!(kit.update(snapshot(json!(20), json!(u64::MAX))).await.status, 400);
    let two = |second: i64| {
        let mut updates = snapshot(json!(20), json!(5));
        let mut more = append(4, Some(3), 4);
        more[0]["snapshot"]["first-row-id"] = json!(second);
        more[0]["snapshot"]["added-rows"] = json!(2);
        let all = updates.as_array_mut().expect("updates");
        all.extend(more.as_array().expect("updates").clone());
        updates
    };
    assert_eq!(kit.update(two(20)).await.status, 409);
    assert_eq!(kit.update(two(26)).await.status, 400);
    let after = kit.update(two(25)).await;
    assert_eq!(
        (after.status, &after.body["metadata"]["next-row-id"]),
        (200, &json!(27)),
        "{}",
        after.body
    );
}

// Goal: a table goes from format 1 to 2 to 3 by updates and never back, and numbers its rows from there on. Method: each step, each
// way back, a snapshot under each version.
#[tokio::test]
async fn formats_go_up_and_never_down() {
    let kit = Kit::empty();
    let made = kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await;
    assert_eq!(made.status, 200);
    let mut new = new_table("t");
    new["properties"] = json!({"format-version": "1"});
    assert_eq!(kit.post(TABLES, new).await.body["metadata"]["format-version"], 1);
    let upgrade = |version: i64| json!([{"action": "upgrade-format-version", "format-version": version}]);
    let mut parent = None;
    for version in [1, 2, 3] {
        let up = kit.update(upgrade(version)).await;
        assert_eq!(
            (up.status, &up.body["metadata"]["format-version"]),
            (200, &json!(version)),
            "{}",
            up.body
        );
        for lower in 1..version {
            let down = kit.update(upgrade(lower)).await;
            assert_eq!(
                (down.status, down.kind()),
                (400, "BadRequestException"),
                "{}",
                down.body
            );
        }
        let sequence = if version == 1 { 0 } else { version - 1 };
        let mut rows = append(version, parent, sequence);
        if version == 3 {
            assert_eq!(kit.update(rows.clone()).await.status, 400, "it has no row ids");
            rows[0]["snapshot"]["first-row-id"] = json!(0);
            rows[0]["snapshot"]["added-rows"] = json!(4);
        }
        let added = kit.update(rows).await;
        assert_eq!(added.status, 200, "{}", added.body);
        parent = Some(version);
    }
    assert_eq!(kit.update(upgrade(4)).await.status, 400);
    let loaded = kit.get(TABLE).await.body["metadata"].clone();
    assert_eq!(
        (&loaded["format-version"], &loaded["next-row-id"]),
        (&json!(3), &json!(4))
    );
    assert_eq!(loaded["snapshots"].as_array().map(Vec::len), Some(3));
}
