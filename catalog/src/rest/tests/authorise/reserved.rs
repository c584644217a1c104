//! Schemas of processes and nodes, and what nodes keep there.

use super::*;

const NAMESPACES: &str = "/v1/namespaces";
const TABLES_OF_OPS: &str = "/v1/namespaces/ops/tables";
const KEYS: &str = "/v1/namespaces/ops/tables/tombstones__silver__patients";

// Goal: nobody makes a schema that shows what processes know of themselves, or that is PostgreSQL's, unless they may do everything. Method: a
// user who may make schemas asks for each of them, in other cases and within, and for one beside; then a node, and the user with ADMIN.
#[tokio::test]
async fn reserved_schemas_take_the_warehouse() {
    let lake = Lake::new().await;
    lake.grant(&["create"], &[], json!("warehouse"), "ana").await;
    let named = |levels: &[&str]| Some(json!({ "namespace": levels }));
    for levels in [
        &["ops"][..],
        &["OPS"],
        &["pg_catalog"],
        &["information_schema"],
        &["ops", "mine"],
    ] {
        let refused = lake.call("ana", "POST", NAMESPACES, named(levels)).await;
        assert_eq!(refused.status, 403, "{levels:?}: {}", refused.body);
        assert!(refused.message().contains("ADMIN"), "{}", refused.body);
    }
    assert_eq!(lake.status("ana", "POST", NAMESPACES, named(&["opsy"])).await, 200);
    lake.node("POST", NAMESPACES, json!({"namespace": ["ops"]})).await;
    lake.grant(&["admin"], &[], json!("warehouse"), "ana").await;
    let within = named(&["ops", "mine"]);
    assert_eq!(lake.status("ana", "POST", NAMESPACES, within).await, 200);
}

// Goal: keys of deleted rows are not there for whoever was granted their schema, or them. Method: a user with ADMIN on the schema and on the table,
// and SELECT on the warehouse, who lists, loads, asks for credentials, commits and drops; the same of a table beside it, and with ADMIN on the
// warehouse.
#[tokio::test]
async fn deleted_keys_are_not_granted() {
    let lake = Lake::new().await;
    lake.node("POST", NAMESPACES, json!({"namespace": ["ops"]})).await;
    lake.node("POST", TABLES_OF_OPS, new_table("tombstones__silver__patients"))
        .await;
    lake.node("POST", TABLES_OF_OPS, new_table("runs")).await;
    lake.grant(&["admin"], &[], json!({"namespace": ["ops"]}), "ana").await;
    lake.grant(&["admin"], &[], table("ops", "tombstones__silver__patients"), "ana")
        .await;
    lake.grant(&["select"], &[], json!("warehouse"), "ana").await;
    let listed = lake.call("ana", "GET", TABLES_OF_OPS, None).await;
    assert_eq!(listed.status, 200, "{}", listed.body);
    assert_eq!(
        listed.body["identifiers"],
        json!([{"namespace": ["ops"], "name": "runs"}]),
        "{}",
        listed.body
    );
    let commit = json!({"requirements": [], "updates": append(1, None, 1)});
    let credentials = format!("{KEYS}/credentials");
    for (method, path, body) in [
        ("GET", KEYS, None),
        ("HEAD", KEYS, None),
        ("GET", credentials.as_str(), None),
        ("POST", KEYS, Some(commit)),
        ("DELETE", KEYS, None),
    ] {
        assert_eq!(lake.status("ana", method, path, body).await, 404, "{method} {path}");
    }
    let runs = format!("{TABLES_OF_OPS}/runs");
    assert_eq!(lake.status("ana", "GET", &runs, None).await, 200);
    lake.grant(&["admin"], &[], json!("warehouse"), "ana").await;
    assert_eq!(lake.status("ana", "GET", KEYS, None).await, 200);
    assert_eq!(lake.status("ana", "DELETE", KEYS, None).await, 204);
}
