//! What commits do to tables.

use bytes::Bytes;
use serde_json::{Value, json};

use super::kit::{Kit, TABLE, TABLES, append, new_table, schema, set};
use crate::store::MetadataStore;

fn change(name: &str, requirements: Value, updates: Value) -> Value {
    json!({"identifier": {"namespace": ["a"], "name": name}, "requirements": requirements, "updates": updates})
}

pub(super) fn staged(name: &str, location: &str) -> Value {
    let updates = json!([
        {"action": "assign-uuid", "uuid": "11111111-1111-4111-8111-111111111111"},
        {"action": "upgrade-format-version", "format-version": 2},
        {"action": "add-schema", "schema": schema()},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {"spec-id": 0, "fields": [{"source-id": 2, "name": "day", "transform": "day"}]}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-location", "location": location}]);
    change(name, json!([{"type": "assert-create"}]), updates)
}

// Goal: a transaction changes all of its tables or none, tables it makes included. Method: good and bad transactions over one table and a new one.
#[tokio::test]
async fn transactions_are_all_or_nothing() {
    let kit = Kit::with_table().await;
    let wrong = json!([{"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 1}]);
    let files = kit.store.len();
    let place = "memory:///lake/a/new";
    let bad = json!({"table-changes": [staged("new", place), change("t", wrong, set("x", "1"))]});
    let refused = kit.post("/v1/transactions/commit", bad).await;
    assert_eq!((refused.status, refused.kind()), (409, "CommitFailedException"));
    assert_eq!(kit.get("/v1/namespaces/a/tables/new").await.status, 404);
    assert_eq!(kit.store.len(), files);
    let good = json!({"table-changes": [staged("new", place), change("t", json!([]), set("x", "1"))]});
    assert_eq!(kit.post("/v1/transactions/commit", good.clone()).await.status, 204);
    assert_eq!(kit.properties().await, json!({"x": "1"}));
    let made = kit.get("/v1/namespaces/a/tables/new").await;
    let metadata = &made.body["metadata"];
    assert_eq!(
        metadata["partition-specs"][0]["fields"][0]["field-id"], 1000,
        "{metadata}"
    );
    assert_eq!(
        (&metadata["default-spec-id"], &metadata["last-partition-id"]),
        (&json!(0), &json!(1000))
    );
    assert_eq!(metadata["current-schema-id"], 0);
    // A second one finds the table there.
    assert_eq!(kit.post("/v1/transactions/commit", good).await.status, 409);
    let nameless = json!({"table-changes": [{"requirements": [], "updates": []}]});
    assert_eq!(kit.post("/v1/transactions/commit", nameless).await.status, 400);
    let twice =
        json!({"table-changes": [change("t", json!([]), set("x", "1")), change("t", json!([]), set("x", "2"))]});
    assert_eq!(kit.post("/v1/transactions/commit", twice).await.status, 400);
}

// Goal: staging keeps nothing, and the staged table can be made. Method: stage, look, commit what was staged.
#[tokio::test]
async fn staged_tables_are_made_by_their_commit() {
    let kit = Kit::with_table().await;
    let files = kit.store.len();
    let mut body = new_table("s");
    body["stage-create"] = json!(true);
    let stage = kit.post(TABLES, body).await;
    assert_eq!((stage.status, &stage.body["metadata-location"]), (200, &Value::Null));
    assert_eq!(kit.store.len(), files);
    assert_eq!(kit.get("/v1/namespaces/a/tables/s").await.status, 404);
    let location = stage.body["metadata"]["location"].as_str().expect("a location");
    let commit = staged("s", location);
    let made = kit.post("/v1/namespaces/a/tables/s", commit).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.body["metadata"]["location"], location);
    assert_eq!(
        made.body["metadata"]["schemas"][0]["fields"],
        stage.body["metadata"]["schemas"][0]["fields"]
    );
}

// Goal: partition field ids are never used for two fields: readers would answer wrongly. Method: specs without ids, with a taken id, with an
// equal field.
#[tokio::test]
async fn partition_field_ids_are_given_once() {
    let kit = Kit::with_table().await;
    let spec = |fields: Value| json!([{"action": "add-spec", "spec": {"fields": fields}}, {"action": "set-default-spec", "spec-id": -1}]);
    let fields = |reply: &Value| {
        reply["metadata"]["partition-specs"]
            .as_array()
            .expect("specs")
            .last()
            .expect("one")["fields"]
            .clone()
    };
    let day = json!({"source-id": 2, "name": "day", "transform": "day"});
    let first = kit.update(spec(json!([day]))).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let bucket = json!({"source-id": 1, "name": "bucket", "transform": "bucket[4]"});
    let second = kit.update(spec(json!([bucket, day]))).await;
    assert_eq!(second.status, 200, "{}", second.body);
    let ids: Vec<Option<i64>> = second.body["metadata"]["partition-specs"]
        .as_array()
        .expect("specs")
        .iter()
        .flat_map(|spec| {
            spec["fields"]
                .as_array()
                .expect("fields")
                .iter()
                .map(|field| field["field-id"].as_i64())
        })
        .collect();
    assert!(
        ids.contains(&Some(1000)) && ids.contains(&Some(1001)),
        "{ids:?} {}",
        fields(&second.body)
    );
    assert_eq!(second.body["metadata"]["last-partition-id"], 1001);
    let taken = json!({"source-id": 1, "name": "again", "transform": "identity", "field-id": 1000});
    let refused = kit.update(spec(json!([taken]))).await;
    assert_eq!((refused.status, refused.kind()), (400, "BadRequestException"));
    assert!(refused.message().contains("1000"), "{}", refused.message());
}

// Goal: a table goes from days to months as Spark does it, over a spec that has both, and what is wrong is still refused.
// Method: the specs one after the other, read back; the same fields again, which are found; a column that is no time.
#[tokio::test]
async fn days_and_months_of_one_column() {
    let kit = Kit::with_table().await;
    let spec = |fields: Value| json!([{"action": "add-spec", "spec": {"fields": fields}}, {"action": "set-default-spec", "spec-id": -1}]);
    let day = json!({"source-id": 2, "name": "at_day", "transform": "day"});
    let month = json!({"source-id": 2, "name": "at_month", "transform": "month"});
    let mut made = Value::Null;
    for fields in [json!([day]), json!([day, month]), json!([month]), json!([day, month])] {
        let reply = kit.update(spec(fields)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        made = kit.get(TABLE).await.body["metadata"].clone();
    }
    let mut specs = made["partition-specs"].as_array().expect("specs").clone();
    specs.sort_by_key(|spec| spec["spec-id"].as_i64());
    let transforms = |spec: &Value| -> Vec<(String, i64)> {
        let fields = spec["fields"].as_array().expect("fields").iter();
        fields
            .map(|field| {
                let transform = field["transform"].as_str().expect("text").to_owned();
                (transform, field["field-id"].as_i64().expect("an id"))
            })
            .collect()
    };
    let (days, months) = (("day".to_owned(), 1_000), ("month".to_owned(), 1_001));
    let both = specs
        .iter()
        .find(|spec| spec["spec-id"] == made["default-spec-id"])
        .expect("the default one");
    assert_eq!(transforms(both), [days.clone(), months.clone()]);
    assert!(
        specs.iter().any(|spec| transforms(spec) == [months.clone()]),
        "{specs:?}"
    );
    assert_eq!(made["last-partition-id"], 1_001, "equal fields are found again");
    let wrong =
        json!([{"source-id": 1, "name": "d", "transform": "day"}, {"source-id": 1, "name": "m", "transform": "month"}]);
    let refused = kit.update(spec(wrong)).await;
    assert_eq!((refused.status, refused.kind()), (400, "BadRequestException"));
    let twice = json!([day, {"source-id": 2, "name": "again", "transform": "day"}, month]);
    assert_eq!(kit.update(spec(twice)).await.status, 400);
}

// Goal: metadata of a newer engine is served as it is and never trimmed. Method: register a file with unknown fields, load it, commit to it.
#[tokio::test]
async fn unknown_fields_are_not_lost() {
    let kit = Kit::with_table().await;
    let table = kit.get(TABLE).await;
    for (at, path) in ["/odd", "/schemas/0/odd"].into_iter().enumerate() {
        let mut metadata = table.body["metadata"].clone();
        let (parent, _) = path.rsplit_once('/').expect("a path");
        metadata.pointer_mut(parent).expect("there")["odd"] = json!({"x": [1]});
        metadata["location"] = json!(format!("memory:///lake/a/odd-{at}"));
        metadata["table-uuid"] = json!(format!("22222222-2222-4222-8222-22222222222{at}"));
        let file = format!("memory:///lake/a/odd-{at}/metadata/1.metadata.json");
        kit.store
            .put_new(&file, Bytes::from(metadata.to_string()))
            .await
            .expect("a new file");
        let body = json!({"name": format!("odd{at}"), "metadata-location": file});
        let registered = kit.post("/v1/namespaces/a/register", body).await;
        assert_eq!(registered.status, 200, "{}", registered.body);
        assert_eq!(registered.body["metadata"], metadata);
        let odd = format!("/v1/namespaces/a/tables/odd{at}");
        let refused = kit.post(&odd, json!({"updates": set("x", "1")})).await;
        assert_eq!((refused.status, refused.kind()), (406, "UnsupportedOperationException"));
        assert!(refused.message().contains("odd"), "{}", refused.message());
        assert_eq!(kit.get(&odd).await.body["metadata"], metadata);
    }
}

// Goal: tables with types that nobody here knows register, load and change without losing them. Method: a column of an unheard-of
// type, and another one, which a commit may not add.
#[tokio::test]
async fn unknown_types_still_load() {
    let kit = Kit::with_table().await;
    let mut metadata = kit.get(TABLE).await.body["metadata"].clone();
    metadata["schemas"][0]["fields"][0]["type"] = json!("hologram");
    metadata["location"] = json!("memory:///lake/a/new");
    metadata["table-uuid"] = json!("22222222-2222-4222-8222-222222222222");
    let file = "memory:///lake/a/new/metadata/1.metadata.json";
    kit.store
        .put_new(file, Bytes::from(metadata.to_string()))
        .await
        .expect("a new file");
    let body = json!({"name": "new", "metadata-location": file});
    assert_eq!(kit.post("/v1/namespaces/a/register", body).await.status, 200);
    assert_eq!(kit.get("/v1/namespaces/a/tables/new").await.body["metadata"], metadata);
    let new = "/v1/namespaces/a/tables/new";
    let changed = kit.post(new, json!({"updates": set("x", "1")})).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.body["metadata"]["schemas"], metadata["schemas"]);
    let mut schema = metadata["schemas"][0].clone();
    schema["fields"][1]["type"] = json!("hologram");
    let refused = kit
        .post(new, json!({"updates": [{"action": "add-schema", "schema": schema}]}))
        .await;
    assert_eq!(refused.status, 400, "{}", refused.body);
}

// Goal: what this catalog wrote, it can change again. Method: write a file with everything in it, forget the parsed form, commit.
#[tokio::test]
async fn own_files_lose_nothing() {
    let kit = Kit::with_table().await;
    assert_eq!(kit.update(append(1, None, 1)).await.status, 200);
    assert_eq!(kit.update(set("x", "1")).await.status, 200);
    let loaded = kit.get(TABLE).await;
    let raw = Bytes::from(loaded.body["metadata"].to_string());
    let mut metadata = loaded.body["metadata"].clone();
    metadata["location"] = json!("memory:///lake/a/copy");
    metadata["table-uuid"] = json!("22222222-2222-4222-8222-222222222222");
    let file = "memory:///lake/a/copy/metadata/00001-x.metadata.json";
    assert!(!raw.is_empty());
    kit.store
        .put_new(file, Bytes::from(metadata.to_string()))
        .await
        .expect("a new file");
    let body = json!({"name": "copy", "metadata-location": file});
    assert_eq!(kit.post("/v1/namespaces/a/register", body).await.status, 200);
    let changed = kit
        .post("/v1/namespaces/a/tables/copy", json!({"updates": set("y", "1")}))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let location = changed.body["metadata-location"].as_str().expect("a location");
    assert!(
        location.starts_with("memory:///lake/a/copy/metadata/00002-"),
        "{location}"
    );
}

// Goal: many writers of one table all get through when nothing stands against it, each exactly once. Method: 32 at a time.
#[tokio::test]
async fn writers_of_one_table_queue() {
    let kit = Kit::with_table().await;
    let names: Vec<String> = (0..32).map(|number| format!("p{number}")).collect();
    let commits = names.iter().map(|name| kit.update(set(name, "1")));
    for reply in futures::future::join_all(commits).await {
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    let properties = kit.properties().await;
    assert!(names.iter().all(|name| properties[name] == "1"), "{properties}");
}

// Goal: a table that asks for it keeps only so many metadata files. Method: more commits than it keeps, with and without the property.
#[tokio::test]
async fn old_metadata_files_go_when_asked_for() {
    let kit = Kit::with_table().await;
    for number in 0..5 {
        assert_eq!(kit.update(set("n", &number.to_string())).await.status, 200);
    }
    assert_eq!(kit.store.len(), 6);
    let keep_two = json!([{"action": "set-properties", "updates": {
        "write.metadata.delete-after-commit.enabled": "true", "write.metadata.previous-versions-max": "2"}}]);
    assert_eq!(kit.update(keep_two).await.status, 200);
    let gone = async {
        while kit.store.len() > 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone)
        .await
        .expect("deleted in time");
    assert_eq!(kit.get(TABLE).await.status, 200);
}

// Goal: purge deletes what the table names and nothing else. Method: drop with purge beside a file that no metadata names, let the worker work, look at the
// folder and the neighbour.
#[tokio::test]
async fn purge_leaves_what_the_table_does_not_name() {
    let kit = Kit::with_table().await;
    assert_eq!(kit.post(TABLES, new_table("u")).await.status, 200);
    assert_eq!(kit.update(set("n", "1")).await.status, 200);
    let location = kit.get(TABLE).await.body["metadata"]["location"]
        .as_str()
        .expect("a location")
        .to_owned();
    let stray = format!("{location}/data/x.parquet");
    kit.store
        .put_new(&stray, Bytes::from_static(b"x"))
        .await
        .expect("a new file");
    assert_eq!(kit.store.list(&location).await.expect("a list").len(), 3);
    let dropped = kit.call("DELETE", &format!("{TABLE}?purgeRequested=True"), None).await;
    assert_eq!(dropped.status, 204);
    kit.work_on_drops().await;
    assert_eq!(kit.store.list(&location).await.expect("a list"), [stray]);
    assert_eq!(kit.store.len(), 2);
    assert_eq!(kit.get("/v1/namespaces/a/tables/u").await.status, 200);
}
