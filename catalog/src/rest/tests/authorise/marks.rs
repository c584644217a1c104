//! Who may write that by which ingest and models know their tables.

use super::super::kit::set;
use super::*;

const MINE: &str = "/v1/namespaces/b/tables/mine";

// Goal: what ingest and models mark their tables and snapshots with takes ADMIN on the warehouse, also on one's own table. Method: a user who
// made a table sets, removes and makes marks in every request that can, and settings beside them; the same as administrator of the warehouse.
#[tokio::test]
async fn marks_take_the_warehouse() {
    let lake = Lake::new().await;
    lake.grant(&["create"], &[], json!({"namespace": ["b"]}), "ana").await;
    let tables = "/v1/namespaces/b/tables";
    assert_eq!(lake.status("ana", "POST", tables, Some(new_table("mine"))).await, 200);
    let commit = |updates: Value| json!({"requirements": [], "updates": updates});
    let made = |properties: Value, staged: bool| {
        let mut table = new_table("gold");
        table["properties"] = properties;
        table["stage-create"] = json!(staged);
        table
    };
    let marks = json!({"tidewater.model-kind": "table"});
    let topic = || set("tidewater.ingest.topic", "x");
    let mut told = append(1, None, 1);
    told[0]["snapshot"]["summary"]["tidewater.ingest.offsets"] = json!("{\"x\":{\"0\":1}}");
    let removed = json!([{"action": "remove-properties", "removals": ["tidewater.tombstones-of"]}]);
    let mut first = commit(topic());
    first["requirements"] = json!([{"type": "assert-create"}]);
    let mut named = commit(topic());
    named["identifier"] = json!({"namespace": ["b"], "name": "mine"});
    let many = json!({"table-changes": [named]});
    for (path, body) in [
        (tables, made(marks.clone(), false)),
        (tables, made(marks, true)),
        (MINE, commit(topic())),
        (MINE, commit(removed)),
        (MINE, commit(told)),
        ("/v1/namespaces/b/tables/gold", first),
        ("/v1/transactions/commit", many),
    ] {
        let reply = lake.call("ana", "POST", path, Some(body.clone())).await;
        assert_eq!(reply.status, 403, "{path} {body}: {}", reply.body);
        assert!(reply.message().contains("ADMIN"), "{}", reply.body);
    }
    let settings = commit(set("tidewater.maintenance", "true"));
    assert_eq!(lake.status("ana", "POST", MINE, Some(settings)).await, 200);
    let plain = made(json!({"comment": "x"}), false);
    assert_eq!(lake.status("ana", "POST", tables, Some(plain)).await, 200);
    lake.grant(&["admin"], &[], json!("warehouse"), "ana").await;
    assert_eq!(lake.status("ana", "POST", MINE, Some(commit(topic()))).await, 200);
}
