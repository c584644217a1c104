//! Every requirement of the protocol.

use serde_json::{Value, json};

use super::kit::{Kit, TABLE, append, set};

// Goal: each of the protocol's 8 requirements is checked: what holds goes through, what does not is a failed commit that changes nothing. Method:
// each once as it is and once otherwise.
#[tokio::test]
async fn each_requirement_is_checked() {
    let kit = Kit::with_table().await;
    assert_eq!(kit.update(append(1, None, 1)).await.status, 200);
    let uuid = kit.get(TABLE).await.body["metadata"]["table-uuid"].clone();
    let rows = [
        (
            "assert-table-uuid",
            "uuid",
            uuid,
            json!("00000000-0000-0000-0000-000000000001"),
        ),
        (
            "assert-last-assigned-field-id",
            "last-assigned-field-id",
            json!(2),
            json!(3),
        ),
        ("assert-current-schema-id", "current-schema-id", json!(0), json!(1)),
        (
            "assert-last-assigned-partition-id",
            "last-assigned-partition-id",
            json!(999),
            json!(1000),
        ),
        ("assert-default-spec-id", "default-spec-id", json!(0), json!(1)),
        (
            "assert-default-sort-order-id",
            "default-sort-order-id",
            json!(0),
            json!(1),
        ),
    ];
    let mut requirements: Vec<(Value, bool)> = Vec::new();
    for (kind, field, good, bad) in rows {
        requirements.push((json!({"type": kind, field: good}), true));
        requirements.push((json!({"type": kind, field: bad}), false));
    }
    let reference = |name: &str, id: Value| json!({"type": "assert-ref-snapshot-id", "ref": name, "snapshot-id": id});
    requirements.push((reference("main", json!(1)), true));
    requirements.push((reference("none", Value::Null), true));
    requirements.push((reference("main", json!(2)), false));
    requirements.push((reference("main", Value::Null), false));
    requirements.push((reference("none", json!(1)), false));
    requirements.push((json!({"type": "assert-create"}), false));
    for (number, (requirement, holds)) in requirements.into_iter().enumerate() {
        let before = kit.properties().await;
        let body = json!({"requirements": [requirement], "updates": set("n", &number.to_string())});
        let reply = kit.post(TABLE, body).await;
        if holds {
            assert_eq!(reply.status, 200, "{requirement} {}", reply.body);
            continue;
        }
        assert_eq!(
            (reply.status, reply.kind()),
            (409, "CommitFailedException"),
            "{requirement}"
        );
        assert!(
            reply.message().starts_with("Requirement failed: "),
            "{}",
            reply.message()
        );
        assert_eq!(kit.properties().await, before);
    }
}
