//! The error map: for each row a request, the status and the type.

use serde_json::{Value, json};

use super::kit::{Kit, TABLE, TABLES, append, new_table, set};
use crate::raft::ConsensusError;

// Goal: every refusal has the status and type that clients act on, and the error model as its body. Method: one request a row.
#[tokio::test]
async fn refusals_have_their_status_and_type() {
    let kit = Kit::with_table().await;
    let commit = |requirement: Value, updates: Value| Some(json!({"requirements": [requirement], "updates": updates}));
    let wrong_ref = json!({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 9});
    let rename = |from: &str, to: &str| {
        Some(json!({"source": {"namespace": ["a"], "name": from}, "destination": {"namespace": ["a"], "name": to}}))
    };
    let rows: Vec<(&str, &str, Option<Value>, u16, &str)> = vec![
        ("GET", "/v1/namespaces/none", None, 404, "NoSuchNamespaceException"),
        ("DELETE", "/v1/namespaces/none", None, 404, "NoSuchNamespaceException"),
        (
            "GET",
            "/v1/namespaces?parent=none",
            None,
            404,
            "NoSuchNamespaceException",
        ),
        (
            "GET",
            "/v1/namespaces/none/tables",
            None,
            404,
            "NoSuchNamespaceException",
        ),
        (
            "POST",
            "/v1/namespaces/none/tables",
            Some(new_table("t")),
            404,
            "NoSuchNamespaceException",
        ),
        (
            "POST",
            "/v1/namespaces",
            Some(json!({"namespace": ["none", "x"]})),
            404,
            "NoSuchNamespaceException",
        ),
        (
            "POST",
            "/v1/namespaces",
            Some(json!({"namespace": ["a"]})),
            409,
            "AlreadyExistsException",
        ),
        ("DELETE", "/v1/namespaces/a", None, 409, "NamespaceNotEmptyException"),
        ("GET", "/v1/namespaces/a/tables/none", None, 404, "NoSuchTableException"),
        (
            "DELETE",
            "/v1/namespaces/a/tables/none",
            None,
            404,
            "NoSuchTableException",
        ),
        (
            "POST",
            "/v1/namespaces/a/tables/none",
            Some(json!({"updates": []})),
            404,
            "NoSuchTableException",
        ),
        ("POST", TABLES, Some(new_table("t")), 409, "AlreadyExistsException"),
        (
            "POST",
            "/v1/tables/rename",
            rename("none", "u"),
            404,
            "NoSuchTableException",
        ),
        (
            "POST",
            "/v1/tables/rename",
            rename("t", "t"),
            409,
            "AlreadyExistsException",
        ),
        (
            "POST",
            TABLE,
            commit(wrong_ref.clone(), json!([])),
            409,
            "CommitFailedException",
        ),
        (
            "POST",
            TABLE,
            commit(json!({"type": "assert-create"}), json!([])),
            409,
            "CommitFailedException",
        ),
        (
            "POST",
            TABLE,
            commit(json!({"type": "assert-unheard-of"}), json!([])),
            400,
            "BadRequestException",
        ),
        (
            "POST",
            TABLE,
            Some(json!({"updates": [{"action": "no-such-update"}]})),
            400,
            "BadRequestException",
        ),
        (
            "POST",
            TABLE,
            Some(json!({"updates": set("format-version", "1")})),
            400,
            "BadRequestException",
        ),
        (
            "POST",
            TABLE,
            Some(json!({"updates": [{"action": "assign-uuid", "uuid": "00000000-0000-0000-0000-000000000001"}]})),
            400,
            "BadRequestException",
        ),
        (
            "POST",
            TABLE,
            Some(json!({"updates": [{"action": "set-current-schema", "schema-id": 77}]})),
            400,
            "BadRequestException",
        ),
        (
            "POST",
            "/v1/namespaces/a/properties",
            Some(json!({"removals": ["x"], "updates": {"x": "1"}})),
            422,
            "UnprocessableEntityException",
        ),
        (
            "GET",
            "/v1/config?warehouse=other",
            None,
            404,
            "NoSuchWarehouseException",
        ),
        ("GET", "/v1/namespaces//tables/t", None, 404, "NoSuchTableException"),
        ("PATCH", TABLE, None, 404, "NoSuchEndpointException"),
        ("GET", "/v1/nothing", None, 404, "NoSuchEndpointException"),
        (
            "POST",
            "/v1/namespaces/none/properties",
            Some(json!({"updates": {"x": "1"}})),
            404,
            "NoSuchNamespaceException",
        ),
        (
            "POST",
            "/v1/tables/rename",
            Some(
                json!({"source": {"namespace": ["a"], "name": "t"}, "destination": {"namespace": ["none"], "name": "t"}}),
            ),
            404,
            "NoSuchNamespaceException",
        ),
        ("POST", TABLE, Some(json!({"updates": 1})), 400, "BadRequestException"),
        (
            "POST",
            TABLE,
            Some(json!({"identifier": {"namespace": ["a"], "name": "other"}, "updates": []})),
            400,
            "BadRequestException",
        ),
        (
            "POST",
            "/v1/transactions/commit",
            Some(json!({"table-changes": []})),
            400,
            "BadRequestException",
        ),
        (
            "GET",
            "/internal/v1/jobs/00000000-0000-0000-0000-000000000001",
            None,
            404,
            "NoSuchJobException",
        ),
    ];
    for (method, path, body, status, kind) in rows {
        let shown = format!("{method} {path} {body:?}");
        let reply = kit.call(method, path, body).await;
        assert_eq!((reply.status, reply.kind()), (status, kind), "{shown} {}", reply.body);
        assert_eq!(reply.body["error"]["code"], status, "{shown}");
        assert!(!reply.message().is_empty(), "{shown}");
    }
    for path in ["/v1/namespaces/none", "/v1/namespaces/a/tables/none"] {
        let reply = kit.call("HEAD", path, None).await;
        assert_eq!((reply.status, reply.body), (404, Value::Null), "{path}");
    }
}

// Goal: a writer that was overtaken is told to plan again (409), not that it is wrong (400). Method: a sequence number from before the head.
#[tokio::test]
async fn a_stale_sequence_number_is_a_conflict() {
    let kit = Kit::with_table().await;
    assert_eq!(kit.update(append(1, None, 1)).await.status, 200);
    assert_eq!(kit.update(append(2, Some(1), 2)).await.status, 200);
    let stale = kit.update(append(3, Some(1), 2)).await;
    assert_eq!(
        (stale.status, stale.kind()),
        (409, "CommitFailedException"),
        "{}",
        stale.body
    );
}

// Goal: a lost answer is an unknown state (500), a refused proposal is safe to repeat (503), and files follow suit. Method: a log that fails.
#[tokio::test]
async fn unknown_and_unavailable_are_told_apart() {
    let kit = Kit::with_table().await;
    let files = kit.store.len();
    kit.consensus.fail_next_write(ConsensusError::OutcomeUnknown {
        reason: "cut off".into(),
    });
    let unknown = kit.update(set("x", "1")).await;
    assert_eq!((unknown.status, unknown.kind()), (500, "CommitStateUnknownException"));
    assert_eq!(
        kit.properties().await,
        json!({"x": "1"}),
        "the file that may be in use is kept"
    );
    assert_eq!(kit.store.len(), files + 1);
    kit.consensus
        .fail_next_write(ConsensusError::NoQuorum { reason: "alone".into() });
    let refused = kit.update(set("x", "2")).await;
    assert_eq!((refused.status, refused.kind()), (503, "ServiceUnavailableException"));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(kit.store.len(), files + 1, "the file for nothing is gone");
}

// Goal: limits are refused with their name. Method: a body, a depth and a count over the limit.
#[tokio::test]
async fn limits_are_named() {
    let kit = Kit::with_table().await;
    let large = kit.update(set("x", &"y".repeat(17 << 20))).await;
    assert_eq!((large.status, large.kind()), (413, "RequestTooLargeException"));
    assert!(large.message().contains("16777216"), "{}", large.message());
    let mut deep = json!(1);
    for _ in 0..101 {
        deep = json!([deep]);
    }
    let deep = kit.post("/v1/namespaces", json!({"namespace": ["b"], "x": deep})).await;
    assert_eq!(deep.status, 400);
    assert!(deep.message().contains("100"), "{}", deep.message());
    let updates: Vec<Value> = (0..10_001)
        .map(|_| json!({"action": "remove-properties", "removals": []}))
        .collect();
    let many = kit.update(json!(updates)).await;
    assert_eq!(many.status, 413);
    assert!(
        many.message().contains("updates") && many.message().contains("10000"),
        "{}",
        many.message()
    );
    let requirements: Vec<Value> = (0..10_001).map(|_| json!({"type": "assert-create"})).collect();
    let many = kit
        .post(TABLE, json!({"requirements": requirements, "updates": []}))
        .await;
    assert_eq!(many.status, 413);
    assert!(many.message().contains("requirements"), "{}", many.message());
    let changes: Vec<Value> = (0..1_001)
        .map(|number| json!({"identifier": {"namespace": ["a"], "name": format!("t{number}")}, "requirements": [], "updates": []}))
        .collect();
    let many = kit
        .post("/v1/transactions/commit", json!({"table-changes": changes}))
        .await;
    assert_eq!(many.status, 413);
    assert!(many.message().contains("1000"), "{}", many.message());
    let long = kit.post(TABLES, new_table(&"x".repeat(256))).await;
    assert_eq!(long.status, 400);
    assert!(long.message().contains("255"), "{}", long.message());
    let deep = kit.post("/v1/namespaces", json!({"namespace": vec!["x"; 9]})).await;
    assert!(deep.message().contains('8'), "{}", deep.message());
    let token = kit.get(&format!("{TABLES}?pageToken={}", "x".repeat(256))).await;
    assert_eq!(token.status, 400);
    assert!(token.message().contains("pageToken"), "{}", token.message());
}

// Goal: a writer whose clock runs ahead cannot block the others. Method: a snapshot two minutes from now, then an ordinary commit.
#[tokio::test]
async fn snapshots_from_the_future_are_refused() {
    let kit = Kit::with_table().await;
    let mut updates = append(1, None, 1);
    let at_ms = updates[0]["snapshot"]["timestamp-ms"].as_i64().expect("a time");
    updates[0]["snapshot"]["timestamp-ms"] = json!(at_ms + 120_000);
    let refused = kit.update(updates).await;
    assert_eq!((refused.status, refused.kind()), (400, "BadRequestException"));
    assert_eq!(kit.update(set("x", "1")).await.status, 200);
}

// Goal: a namespace does not outgrow its limit by small steps. Method: properties in two calls, then in place of others.
#[tokio::test]
async fn properties_are_limited_in_all() {
    let kit = Kit::with_table().await;
    let some =
        |from: usize, to: usize| -> Value { (from..to).map(|number| (format!("p{number}"), json!("1"))).collect() };
    let path = "/v1/namespaces/a/properties";
    assert_eq!(kit.post(path, json!({"updates": some(0, 900)})).await.status, 200);
    let refused = kit.post(path, json!({"updates": some(900, 1_001)})).await;
    assert_eq!((refused.status, refused.kind()), (413, "RequestTooLargeException"));
    assert!(refused.message().contains("1000"), "{}", refused.message());
    let removals: Vec<String> = (0..10).map(|number| format!("p{number}")).collect();
    let body = json!({"updates": some(900, 1_001), "removals": removals});
    assert_eq!(kit.post(path, body).await.status, 200);
}
