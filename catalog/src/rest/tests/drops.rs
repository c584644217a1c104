//! Dropped tables and whole namespaces, as they are asked for.

use serde_json::json;

use super::kit::{Kit, TABLE, TABLES, new_table};

// Goal: a dropped table is listed and comes back under a name that is free; a whole namespace goes as a job that can be looked at. Method: the calls of
// the command line, one after the other.
#[tokio::test]
async fn drops_are_taken_back_and_followed() {
    let kit = Kit::with_table().await;
    assert_eq!(kit.call("DELETE", TABLE, None).await.status, 204);
    let listed = kit.get("/internal/v1/dropped").await.body;
    assert_eq!(
        (&listed["count"], &listed["tables"][0]["name"]),
        (&json!(1), &json!("t"))
    );
    assert_eq!(listed["tables"][0]["restorable"], true);
    assert_eq!(kit.post(TABLES, new_table("t")).await.status, 200);
    let undrop = |to: serde_json::Value| json!({"namespace": ["a"], "name": "t", "to": to});
    let taken = kit.post("/internal/v1/dropped/undrop", undrop(json!(null))).await;
    assert_eq!((taken.status, taken.kind()), (409, "AlreadyExistsException"));
    let to = json!({"namespace": ["a"], "name": "back"});
    let back = kit.post("/internal/v1/dropped/undrop", undrop(to.clone())).await;
    assert_eq!(back.status, 200, "{}", back.body);
    assert_eq!(kit.get("/v1/namespaces/a/tables/back").await.status, 200);
    let gone = kit.post("/internal/v1/dropped/undrop", undrop(to)).await;
    assert_eq!((gone.status, gone.kind()), (404, "NoSuchTableException"));

    let full = kit.call("DELETE", "/v1/namespaces/a", None).await;
    assert_eq!((full.status, full.kind()), (409, "NamespaceNotEmptyException"));
    let begun = kit
        .post(
            "/internal/v1/namespaces/drop",
            json!({"namespace": ["a"], "purge": true}),
        )
        .await;
    let job = begun.body["job"].as_str().expect("a job").to_owned();
    kit.work_on_drops().await;
    let row = kit.get(&format!("/internal/v1/jobs/{job}")).await.body;
    assert_eq!(
        (&row["phase"], &row["body"]["dropped"]),
        (&json!("succeeded"), &json!(3)),
        "{row}"
    );
    assert_eq!(kit.get("/v1/namespaces/a").await.status, 404);
    let purges = kit.get("/internal/v1/jobs?kind=purge").await.body;
    assert_eq!(purges["jobs"].as_array().map(Vec::len), Some(2), "{purges}");
    assert!(kit.store.is_empty());
}
