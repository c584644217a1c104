//! Requests that come twice.

use serde_json::json;

use super::kit::{Kit, TABLE, TABLES, new_table, set};
use crate::raft::ConsensusError;

// Goal: a repeated request gives the first answer and changes nothing. Method: create, commit, rename and drop twice under one key each.
#[tokio::test]
async fn repetitions_change_nothing() {
    let kit = Kit::with_table().await;
    let create = kit.post_once(1, TABLES, new_table("u")).await;
    let again = kit.post_once(1, TABLES, new_table("u")).await;
    assert_eq!((create.status, again.status), (200, 200), "{}", again.body);
    assert_eq!(create.body, again.body);
    let body = json!({"updates": set("n", "1")});
    let commit = kit.post_once(2, TABLE, body.clone()).await;
    assert_eq!(kit.update(set("n", "2")).await.status, 200);
    let again = kit.post_once(2, TABLE, body).await;
    assert_eq!(commit.body, again.body);
    assert_eq!(kit.properties().await, json!({"n": "2"}));
    let rename = json!({"source": {"namespace": ["a"], "name": "u"}, "destination": {"namespace": ["a"], "name": "v"}});
    for _ in 0..2 {
        assert_eq!(kit.post_once(3, "/v1/tables/rename", rename.clone()).await.status, 204);
    }
    let files = kit.store.len();
    for _ in 0..2 {
        let reply = kit
            .send(super::kit::request(
                "DELETE",
                TABLE,
                None,
                Some(uuid::Uuid::from_u128(4)),
            ))
            .await;
        assert_eq!(reply.status, 204);
    }
    assert_eq!(kit.store.len(), files);
}

// Goal: what is done to the table of a uuid is done to that one and once, and stays refused to another. Method: a rename and a drop, each twice
// under one key, with another uuid and with the table's own.
#[tokio::test]
async fn repetitions_mean_the_same_table() {
    let kit = Kit::with_table().await;
    let table = kit.get(TABLE).await.body;
    let own = table["metadata"]["table-uuid"].as_str().expect("a uuid");
    let other = uuid::Uuid::from_u128(9).to_string();
    let rename = json!({"source": {"namespace": ["a"], "name": "t"}, "destination": {"namespace": ["a"], "name": "v"}});
    for (key, meant, status) in [(1, other.as_str(), 409), (2, own, 204)] {
        let path = format!("/v1/tables/rename?uuid={meant}");
        for _ in 0..2 {
            assert_eq!(kit.post_once(key, &path, rename.clone()).await.status, status, "{path}");
        }
    }
    for (key, meant, status) in [(3, other.as_str(), 409), (4, own, 204)] {
        let path = format!("{TABLES}/v?uuid={meant}");
        for _ in 0..2 {
            let drop = super::kit::request("DELETE", &path, None, Some(uuid::Uuid::from_u128(key)));
            assert_eq!(kit.send(drop).await.status, status, "{path}");
        }
    }
    assert_eq!(kit.get(&format!("{TABLES}/v")).await.status, 404);
}

// Goal: a refusal stays a refusal, though the state would allow it by now. Method: a failed requirement, mended, then repeated.
#[tokio::test]
async fn refusals_are_remembered() {
    let kit = Kit::empty();
    assert_eq!(kit.post_once(1, TABLES, new_table("t")).await.status, 404);
    assert_eq!(
        kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await.status,
        200
    );
    let again = kit.post_once(1, TABLES, new_table("t")).await;
    assert_eq!((again.status, again.kind()), (404, "NoSuchNamespaceException"));
    assert_eq!(kit.post_once(2, TABLES, new_table("t")).await.status, 200);
}

// Goal: a request with a key whose answer is lost finds out by itself what happened, and so does its repetition. Method: lose the
// answer of an applied commit; its requirement no longer holds by then. Without a key nobody knows.
#[tokio::test]
async fn a_lost_answer_is_found_again() {
    let kit = Kit::with_table().await;
    let body = json!({"requirements": [{"type": "assert-last-assigned-field-id", "last-assigned-field-id": 2}],
        "updates": [{"action": "add-schema", "schema": {"type": "struct", "schema-id": 1, "fields": [
            {"id": 1, "name": "id", "type": "long", "required": true},
            {"id": 3, "name": "new", "type": "string", "required": false}]}}]});
    kit.consensus.fail_next_write(ConsensusError::OutcomeUnknown {
        reason: "cut off".into(),
    });
    let found = kit.post_once(1, TABLE, body.clone()).await;
    assert_eq!(found.status, 200, "{}", found.body);
    let files = kit.store.len();
    let again = kit.post_once(1, TABLE, body.clone()).await;
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(again.body["metadata"]["last-column-id"], 3);
    assert_eq!(again.body, found.body);
    assert_eq!(kit.store.len(), files);
    assert_eq!(kit.post_once(2, TABLE, body).await.status, 409);
    kit.consensus.fail_next_write(ConsensusError::OutcomeUnknown {
        reason: "cut off".into(),
    });
    let unknown = kit.post(TABLE, json!({"updates": set("n", "1")})).await;
    assert_eq!((unknown.status, unknown.kind()), (500, "CommitStateUnknownException"));
}

// Goal: keys are checked. Method: no UUID; a key used for something else.
#[tokio::test]
async fn keys_are_checked() {
    let kit = Kit::with_table().await;
    assert_eq!(
        kit.post_once(1, TABLE, json!({"updates": set("n", "1")})).await.status,
        200
    );
    let reused = kit.post_once(1, TABLE, json!({"updates": set("n", "2")})).await;
    assert_eq!((reused.status, reused.kind()), (422, "UnprocessableEntityException"));
    let mut request = super::kit::request("DELETE", TABLE, None, None);
    request
        .headers_mut()
        .insert("Idempotency-Key", http::HeaderValue::from_static("once"));
    assert_eq!(kit.send(request).await.status, 400);
}
