//! What somebody sees and may do once something was granted, and before.

use super::*;

// Goal: before the first grant all is as it was, and after it one sees what one was granted and nothing else. Method: a user with SELECT
// on one table of two, beside one with a column of it, one with nothing and the administrator.
#[tokio::test]
async fn one_sees_what_was_granted() {
    let lake = Lake::new().await;
    assert_eq!(lake.status("eve", "GET", TABLE, None).await, 200);
    assert_eq!(
        lake.status("eve", "POST", POLICY, Some(json!({"do": "create_role", "role": "x"})))
            .await,
        403
    );
    lake.grant(&["select"], &[], table("a", "t"), "ana").await;
    let names = |reply: &Reply, of: &str| reply.body[of].as_array().map_or(0, Vec::len);
    for (user, namespaces, tables, views) in [("ana", 1, 1, 0), ("eve", 0, 0, 0), ("root", 2, 1, 1)] {
        assert_eq!(
            names(&lake.call(user, "GET", "/v1/namespaces", None).await, "namespaces"),
            namespaces,
            "{user}"
        );
        assert_eq!(
            names(&lake.call(user, "GET", TABLES, None).await, "identifiers"),
            tables,
            "{user}"
        );
        let found = lake.call(user, "GET", "/v1/namespaces/a/views", None).await;
        assert_eq!(names(&found, "identifiers"), views, "{user}");
    }
    // What is hidden answers as what is not there does, word by word.
    for (method, hidden, missing, named) in [
        ("GET", "b/tables/t", "b/tables/x", ["b.t", "b.x"]),
        ("HEAD", "b/tables/t", "b/tables/x", ["b.t", "b.x"]),
        ("GET", "b", "x", ["b", "x"]),
        ("GET", "b/tables", "x/tables", ["b", "x"]),
        ("GET", "a/views/v", "a/views/x", ["a.v", "a.x"]),
        ("DELETE", "b/tables/t", "b/tables/x", ["b.t", "b.x"]),
        ("DELETE", "b", "x", ["b", "x"]),
        ("POST", "b/tables/t", "b/tables/x", ["b.t", "b.x"]),
    ] {
        let body = (method == "POST").then(|| json!({"requirements": [], "updates": append(1, None, 1)}));
        let call = async |path: &str| {
            let path = format!("/v1/namespaces/{path}");
            lake.call("ana", method, &path, body.clone()).await
        };
        let (one, two) = (call(hidden).await, call(missing).await);
        assert_eq!(
            (one.status, two.status),
            (404, 404),
            "{hidden}: {} {}",
            one.body,
            two.body
        );
        let [of_hidden, of_missing] = named.map(|name| format!(": {name}\""));
        let one = one.body.to_string().replace(&of_hidden, &of_missing);
        assert_eq!(one, two.body.to_string(), "{hidden}");
    }
    let hidden = lake.call("ana", "GET", "/v1/namespaces?parent=b", None).await;
    assert_eq!((hidden.status, hidden.message()), (404, "Namespace does not exist: b"));
    assert_eq!(lake.status("ana", "GET", TABLE, None).await, 200);
    assert_eq!(lake.status("ana", "HEAD", TABLE, None).await, 204);
    // What one knows of and may not do is refused.
    let commit = json!({"requirements": [], "updates": [{"action": "set-properties", "updates": {"k": "v"}}]});
    for (method, path, body) in [
        ("DELETE", TABLE, None),
        ("POST", TABLE, Some(commit.clone())),
        (
            "POST",
            TABLE,
            Some(json!({"requirements": [], "updates": append(1, None, 1)})),
        ),
        ("POST", TABLES, Some(new_table("mine"))),
        ("DELETE", "/v1/namespaces/a", None),
        ("POST", "/v1/namespaces", Some(json!({"namespace": ["mine"]}))),
        (
            "POST",
            "/v1/transactions/commit",
            Some(
                json!({"table-changes": [{"identifier": {"namespace": ["a"], "name": "t"},
            "requirements": [], "updates": commit["updates"]}]}),
            ),
        ),
        (
            "POST",
            "/v1/namespaces/a/register",
            Some(json!({"name": "r", "metadata-location": "memory:///lake/x.metadata.json"})),
        ),
    ] {
        let reply = lake.call("ana", method, path, body).await;
        assert_eq!(
            (reply.status, reply.kind()),
            (403, "ForbiddenException"),
            "{method} {path}: {}",
            reply.body
        );
    }
    // Columns are less than a table: files have them all.
    lake.grant(&[], &["id"], table("b", "t"), "eve").await;
    assert_eq!(lake.status("eve", "HEAD", "/v1/namespaces/b/tables/t", None).await, 204);
    assert_eq!(lake.status("eve", "GET", "/v1/namespaces/b/tables/t", None).await, 403);
    let unknown =
        json!({"do": "grant", "privileges": [], "columns": ["nope"], "on": table("b", "t"), "to": [{"user": "eve"}]});
    let reply = lake.with(&lake.node_token(), "POST", POLICY, Some(unknown)).await;
    assert!(reply.message().contains("nope"), "{}", reply.body);
}

// Goal: writing takes what is written, makers own what they make, and a rename takes grants along. Method: a user with INSERT on a table
// and CREATE on a namespace.
#[tokio::test]
async fn writers_and_makers() {
    let lake = Lake::new().await;
    lake.grant(&["insert"], &[], table("a", "t"), "ana").await;
    lake.grant(&["create"], &[], json!({"namespace": ["b"]}), "ana").await;
    let commit = |updates: Value| Some(json!({"requirements": [], "updates": updates}));
    assert_eq!(lake.status("ana", "POST", TABLE, commit(append(1, None, 1))).await, 200);
    let mut overwrite = append(2, Some(1), 2);
    overwrite[0]["snapshot"]["summary"]["operation"] = json!("overwrite");
    assert_eq!(lake.status("ana", "POST", TABLE, commit(overwrite)).await, 403);
    // An append is no cover for anything else.
    for smuggled in [
        json!({"action": "set-properties", "updates": {"k": "v"}}),
        json!({"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 1}),
        json!({"action": "set-snapshot-ref", "ref-name": "other", "type": "branch", "snapshot-id": 3}),
        json!({"action": "remove-snapshots", "snapshot-ids": [1]}),
    ] {
        let mut updates = append(3, Some(1), 3);
        updates.as_array_mut().expect("a list").push(smuggled.clone());
        assert_eq!(
            lake.status("ana", "POST", TABLE, commit(updates)).await,
            403,
            "{smuggled}"
        );
    }
    assert_eq!(lake.status("ana", "GET", "/v1/namespaces/b/tables/t", None).await, 404);
    assert_eq!(
        lake.status("ana", "POST", "/v1/namespaces/b/tables", Some(new_table("mine")))
            .await,
        200
    );
    let mine = "/v1/namespaces/b/tables/mine";
    assert_eq!(lake.status("ana", "GET", mine, None).await, 200);
    assert_eq!(
        lake.status(
            "ana",
            "POST",
            mine,
            commit(json!([{"action": "set-properties", "updates": {"k": "v"}}]))
        )
        .await,
        200
    );
    assert_eq!(lake.status("eve", "GET", mine, None).await, 404);
    let rename = |from: &str, to: &str, into: &str| {
        Some(json!({"source": {"namespace": ["b"], "name": from}, "destination": {"namespace": [into], "name": to}}))
    };
    assert_eq!(
        lake.status("ana", "POST", "/v1/tables/rename", rename("mine", "moved", "a"))
            .await,
        403
    );
    assert_eq!(
        lake.status("ana", "POST", "/v1/tables/rename", rename("t", "taken", "b"))
            .await,
        404
    );
    assert_eq!(
        lake.status("ana", "POST", "/v1/tables/rename", rename("mine", "moved", "b"))
            .await,
        204
    );
    assert_eq!(
        lake.status("ana", "GET", "/v1/namespaces/b/tables/moved", None).await,
        200
    );
    assert_eq!(
        lake.status("ana", "DELETE", "/v1/namespaces/b/tables/moved", None)
            .await,
        204
    );
    // Another table of that name is another's.
    lake.node("POST", "/v1/namespaces/b/tables", new_table("moved")).await;
    assert_eq!(
        lake.status("ana", "GET", "/v1/namespaces/b/tables/moved", None).await,
        404
    );
}

// Goal: where nobody says when grants bind, and where they are required, nobody may do anything before they were given it, not even know
// what is there, and is told that this is why; else all may. Method: reads and changes by a reader, a writer and an administrator before any
// grant, then one grant.
#[tokio::test]
async fn grants_are_required_from_the_start() {
    let made = || Some(json!({"namespace": ["c"]}));
    for (grants, loads, creates) in [
        (Grants::WhenMade, 200, 200),
        (Grants::Required, 403, 403),
        (Grants::default(), 403, 403),
    ] {
        let lake = Lake::binding_by(grants).await;
        if loads == 403 {
            for path in [
                "a",
                "x",
                "a/tables",
                "a/tables/t",
                "a/tables/x",
                "a/views/v",
                "x/tables/t",
            ] {
                let reply = lake.call("ana", "GET", &format!("/v1/namespaces/{path}"), None).await;
                let code = reply.body["error"]["error-code"].as_str();
                assert_eq!((reply.status, code), (403, Some("SEC-0032")), "{path}: {}", reply.body);
                let hint = reply.body["error"]["hint"].as_str().unwrap_or_default();
                assert!(hint.contains("role grant") && hint.contains("when_made"), "{hint}");
            }
            assert_eq!(lake.status("ana", "DELETE", TABLE, None).await, 403);
        }
        assert_eq!(lake.status("ana", "GET", TABLE, None).await, loads, "{grants:?}");
        assert_eq!(lake.status("eve", "GET", TABLE, None).await, loads, "{grants:?}");
        let reply = lake.call("eve", "POST", "/v1/namespaces", made()).await;
        assert_eq!(reply.status, creates, "{grants:?}: {}", reply.body);
        let listed = lake.call("ana", "GET", "/v1/namespaces", None).await;
        let any = listed.body["namespaces"]
            .as_array()
            .is_some_and(|found| !found.is_empty());
        assert_eq!(any, grants == Grants::WhenMade, "{}", listed.body);
        assert_eq!(lake.status("root", "GET", TABLE, None).await, 200, "{grants:?}");
        lake.grant(&["select"], &[], table("a", "t"), "ana").await;
        assert_eq!(lake.status("ana", "GET", TABLE, None).await, 200, "{grants:?}");
        assert_eq!(lake.status("eve", "GET", TABLE, None).await, 404, "{grants:?}");
    }
}
