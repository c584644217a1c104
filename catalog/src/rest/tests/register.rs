//! Tables that come and go with their files.

use serde_json::{Value, json};

use super::kit::{Kit, TABLE, TABLES, new_table, request, set};
use crate::store::MetadataStore;

const REGISTER: &str = "/v1/namespaces/a/register";

// Goal: a table that was unregistered is gone and its files are not; it can be registered again. Method: unregister twice under one key, register,
// commit.
#[tokio::test]
async fn unregistered_tables_keep_their_files() {
    let kit = Kit::with_table().await;
    assert_eq!(kit.update(set("x", "1")).await.status, 200);
    let table = kit.get(TABLE).await.body;
    let files = kit.store.len();
    let path = format!("{TABLE}/unregister");
    for _ in 0..2 {
        let gone = kit
            .send(request("POST", &path, None, Some(uuid::Uuid::from_u128(1))))
            .await;
        assert_eq!(gone.status, 200, "{}", gone.body);
        assert_eq!(
            gone.body,
            json!({"metadata-location": table["metadata-location"], "metadata": table["metadata"]})
        );
    }
    let missing = kit.call("POST", &path, None).await;
    assert_eq!((missing.status, missing.kind()), (404, "NoSuchTableException"));
    assert_eq!(kit.get(TABLE).await.status, 404);
    assert_eq!(kit.store.len(), files);
    let body = json!({"name": "t", "metadata-location": table["metadata-location"]});
    let back = kit.post(REGISTER, body).await;
    assert_eq!((back.status, &back.body["metadata"]), (200, &table["metadata"]));
    assert_eq!(kit.update(set("y", "1")).await.status, 200);
}

// Goal: overwriting by registration replaces what the name stands for, only when asked to, and makes a table that is not there. Method: an older file
// of the same table, a taken name, a missing one after the table was unregistered, a missing namespace.
#[tokio::test]
async fn registration_overwrites_when_asked_to() {
    let kit = Kit::with_table().await;
    let old = kit.get(TABLE).await.body["metadata-location"].clone();
    assert_eq!(kit.update(set("x", "1")).await.status, 200);
    let register =
        |name: &str, overwrite: Value| json!({"name": name, "metadata-location": old, "overwrite": overwrite});
    for overwrite in [json!(false), Value::Null] {
        let refused = kit.post(REGISTER, register("t", overwrite)).await;
        assert_eq!((refused.status, refused.kind()), (409, "AlreadyExistsException"));
    }
    let replaced = kit.post(REGISTER, register("t", json!(true))).await;
    assert_eq!(replaced.status, 200, "{}", replaced.body);
    assert_eq!(replaced.headers["etag"], kit.get(TABLE).await.headers["etag"]);
    assert_eq!(kit.properties().await, Value::Null);
    assert_eq!(
        kit.update(set("y", "1")).await.body["metadata"]["properties"],
        json!({"y": "1"})
    );
    let gone = kit.call("POST", &format!("{TABLE}/unregister"), None).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    assert_eq!(kit.post(REGISTER, register("new", json!(true))).await.status, 200);
    assert_eq!(
        kit.post("/v1/namespaces/none/register", register("t", json!(true)))
            .await
            .status,
        404
    );
}

// Goal: an overwritten table's place is free for others, the new one's is taken. Method: register over it the file of a table that was given up, then make
// tables in both places.
#[tokio::test]
async fn an_overwritten_table_leaves_its_place() {
    let kit = Kit::with_table().await;
    assert_eq!(kit.post(TABLES, new_table("u")).await.status, 200);
    let place = kit.get(TABLE).await.body["metadata"]["location"].clone();
    let other = kit.get("/v1/namespaces/a/tables/u").await.body;
    let gone = kit.call("POST", "/v1/namespaces/a/tables/u/unregister", None).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    let body = json!({"name": "t", "metadata-location": other["metadata-location"], "overwrite": true});
    assert_eq!(kit.post(REGISTER, body).await.status, 200);
    let mut new = new_table("w");
    new["location"] = other["metadata"]["location"].clone();
    assert_eq!(kit.post(TABLES, new.clone()).await.status, 400);
    new["location"] = place;
    assert_eq!(kit.post(TABLES, new).await.status, 200);
}

// Goal: no table has two names, by whatever file of it, and whoever is refused is told which name it has and how to go on. Method: its newest
// metadata file, an older one, and a copy of it in another place, each registered under a free name and over another table's; then over its own name.
#[tokio::test]
async fn a_table_has_one_name() {
    let kit = Kit::with_table().await;
    assert_eq!(kit.post(TABLES, new_table("u")).await.status, 200);
    let old = kit.get(TABLE).await.body;
    assert_eq!(kit.update(set("x", "1")).await.status, 200);
    let newest = kit.get(TABLE).await.body;
    let mut copy = newest["metadata"].clone();
    copy["location"] = json!("memory:///lake/a/copy");
    let elsewhere = "memory:///lake/a/copy/metadata/1.metadata.json";
    let written = kit.store.put_new(elsewhere, copy.to_string().into()).await;
    written.expect("a new file");
    let before = [
        kit.get(TABLE).await.body,
        kit.get("/v1/namespaces/a/tables/u").await.body,
    ];
    for file in [
        &newest["metadata-location"],
        &old["metadata-location"],
        &json!(elsewhere),
    ] {
        for (name, overwrite) in [("second", false), ("second", true), ("u", true)] {
            let body = json!({"name": name, "metadata-location": file, "overwrite": overwrite});
            let refused = kit.post(REGISTER, body).await;
            assert_eq!(
                (refused.status, refused.kind()),
                (409, "AlreadyExistsException"),
                "{name} {file}: {}",
                refused.body
            );
            assert_eq!(refused.body["error"]["error-code"], "CAT-1023");
            assert!(refused.message().contains("a.t"), "{}", refused.message());
            let hint = refused.body["error"]["hint"].as_str().unwrap_or_default();
            assert!(hint.contains("without a purge") && hint.contains("overwrite"), "{hint}");
        }
    }
    let after = [
        kit.get(TABLE).await.body,
        kit.get("/v1/namespaces/a/tables/u").await.body,
    ];
    assert_eq!(after, before);
    let body = json!({"name": "t", "metadata-location": old["metadata-location"], "overwrite": true});
    assert_eq!(kit.post(REGISTER, body).await.status, 200);
}

// Goal: a table that was dropped and kept can be registered under another name, and then does not come back beside it, which the answer says
// by name; when that one has gone, it does. Method: drop, register, undrop, drop, undrop.
#[tokio::test]
async fn a_dropped_table_does_not_come_back_beside_itself() {
    let kit = Kit::with_table().await;
    let file = kit.get(TABLE).await.body["metadata-location"].clone();
    assert_eq!(kit.call("DELETE", TABLE, None).await.status, 204);
    let body = json!({"name": "second", "metadata-location": file});
    let registered = kit.post(REGISTER, body).await;
    assert_eq!(registered.status, 200, "{}", registered.body);
    let undrop = json!({"namespace": ["a"], "name": "t"});
    let refused = kit.post("/internal/v1/dropped/undrop", undrop.clone()).await;
    assert_eq!(
        (refused.status, &refused.body["error"]["error-code"]),
        (409, &json!("CAT-1023")),
        "{}",
        refused.body
    );
    assert!(refused.message().contains("a.second"), "{}", refused.message());
    assert_eq!(kit.get(TABLE).await.status, 404);
    let second = "/v1/namespaces/a/tables/second";
    assert_eq!(kit.call("DELETE", second, None).await.status, 204);
    assert_eq!(kit.post("/internal/v1/dropped/undrop", undrop).await.status, 200);
    assert_eq!((kit.get(TABLE).await.status, kit.get(second).await.status), (200, 404));
}
