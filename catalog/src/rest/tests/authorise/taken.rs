//! What somebody may not take or learn by asking for a name or a place.

use super::super::commits::staged;
use super::places::RANDOM;
use super::*;

// Goal: nobody takes a table or view by moving it to where they may do everything, and grants stay with what they were made on. Method: a user with
// ALTER on two of them and everything in a namespace of their own, who renames them into it and within theirs; the same with ADMIN.
#[tokio::test]
async fn nothing_is_taken_by_a_rename() {
    let lake = Lake::new().await;
    lake.grant(&["admin"], &[], json!({"namespace": ["b"]}), "ana").await;
    let rename = |from: (&str, &str), to: (&str, &str)| {
        Some(json!({"source": {"namespace": [from.0], "name": from.1},
            "destination": {"namespace": [to.0], "name": to.1}}))
    };
    for (what, name, body) in [("tables", "t", new_table("old")), ("views", "v", Value::Null)] {
        lake.grant(&["alter"], &[], table("a", name), "ana").await;
        let path = format!("/v1/{what}/rename");
        let taken = lake
            .call("ana", "POST", &path, rename(("a", name), ("b", "taken")))
            .await;
        assert_eq!(taken.status, 403, "{what}: {}", taken.body);
        assert!(taken.message().contains("ADMIN"), "{}", taken.body);
        let read = format!("/v1/namespaces/a/{what}/{name}");
        assert_eq!(lake.status("ana", "GET", &read, None).await, 403, "it stays: {what}");
        if what == "tables" {
            // Another table of the new name was theirs to read.
            lake.node("POST", "/v1/namespaces/a/tables", body).await;
            lake.grant(&["select"], &[], table("a", "old"), "ana").await;
            let old = "/v1/namespaces/a/tables/old";
            assert_eq!(lake.status("ana", "GET", old, None).await, 200);
            let gone = lake.with(&lake.node_token(), "DELETE", old, None).await;
            assert_eq!(gone.status, 204, "{}", gone.body);
        }
        let within = rename(("a", name), ("a", "old"));
        assert_eq!(lake.status("ana", "POST", &path, within).await, 204, "{what}");
        let read = format!("/v1/namespaces/a/{what}/old");
        assert_eq!(
            lake.status("ana", "GET", &read, None).await,
            403,
            "grants stay with what they were made on: {what}"
        );
        lake.grant(&["admin"], &[], table("a", "old"), "ana").await;
        let moved = format!("moved_{name}");
        let away = rename(("a", "old"), ("b", moved.as_str()));
        assert_eq!(lake.status("ana", "POST", &path, away).await, 204, "{what}");
        let read = format!("/v1/namespaces/b/{what}/{moved}");
        assert_eq!(lake.status("ana", "GET", &read, None).await, 200, "{what}");
    }
}

// Goal: a location that is refused tells nobody whose it is. Method: a user who may make tables in a namespace of their own asks for one that they
// may have but for a table there that they may not know of, at once and staged.
#[tokio::test]
async fn a_taken_location_names_nobody() {
    let lake = Lake::new().await;
    lake.grant(&["create"], &[], json!({"namespace": ["b"]}), "ana").await;
    let location = format!("memory:///lake/b/mine-{RANDOM}");
    let mut hidden = new_table("hidden");
    hidden["location"] = json!(location);
    lake.node("POST", TABLES, hidden).await;
    for staged in [false, true] {
        let mut wanted = new_table("mine");
        wanted["location"] = json!(location);
        wanted["stage-create"] = json!(staged);
        let refused = lake.call("ana", "POST", "/v1/namespaces/b/tables", Some(wanted)).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        let message = refused.message();
        assert!(message.contains("another table or view"), "{message}");
        assert!(!message.contains("hidden"), "{message}");
    }
}

// Goal: nobody keeps a dropped table from coming back by a view in its place. Method: a user who may make views in a namespace of their own
// asks for the place of one such table for a new one, and moves one to that of another; then the tables come back.
#[tokio::test]
async fn no_view_takes_a_dropped_tables_place() {
    let lake = Lake::new().await;
    lake.grant(&["create"], &[], json!({"namespace": ["b"]}), "ana").await;
    let token = lake.node_token();
    let place = |name: &str| json!(format!("memory:///lake/b/{name}-{RANDOM}"));
    for (table, view) in [("one", "mine"), ("two", "other")] {
        let mut dropped = new_table(table);
        dropped["location"] = place(view);
        lake.node("POST", TABLES, dropped).await;
        let gone = lake.with(&token, "DELETE", &format!("{TABLES}/{table}"), None).await;
        assert_eq!(gone.status, 204, "{}", gone.body);
    }
    let views = "/v1/namespaces/b/views";
    let mut wanted = json!({"name": "mine", "schema": schema(), "properties": {}, "view-version": {"version-id": 1,
        "timestamp-ms": 1, "schema-id": 0, "summary": {"engine-name": "x"}, "default-namespace": ["b"],
        "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}]}});
    let made = lake.call("ana", "POST", views, Some(wanted.clone())).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let moves = json!({"requirements": [], "updates": [{"action": "set-location", "location": place("mine")}]});
    let moved = lake.call("ana", "POST", &format!("{views}/mine"), Some(moves)).await;
    wanted["name"] = json!("other");
    wanted["location"] = place("other");
    let other = lake.call("ana", "POST", views, Some(wanted)).await;
    for refused in [moved, other] {
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.message().contains("dropped table"), "{}", refused.body);
    }
    for table in ["one", "two"] {
        let back = json!({"namespace": ["a"], "name": table, "to": null});
        lake.node("POST", "/internal/v1/dropped/undrop", back).await;
    }
}

// Goal: who may make tables and knows where one of the same name was dropped gets none of its files and does not keep it from coming back; who
// may do everything may have the place. Method: a user who may make tables and views in a schema asks in each way for the places of two that
// were dropped there, one that the catalog chose and one that a client did, and elsewhere for the uuid of the former; then the tables come
// back, and once more dropped, their places are asked for by an administrator.
#[tokio::test]
async fn no_namesake_takes_a_dropped_tables_place() {
    let lake = Lake::new().await;
    lake.grant(&["create"], &[], json!({"namespace": ["b"]}), "ana").await;
    lake.grant(&["admin"], &[], json!("warehouse"), "eve").await;
    let token = lake.node_token();
    let tables = "/v1/namespaces/b/tables";
    let (first, second) = (format!("{tables}/first"), format!("{tables}/second"));
    let made = lake.node("POST", tables, new_table("first")).await.body["metadata"].clone();
    let uuid = made["table-uuid"].as_str().expect("a uuid");
    let chosen = made["location"].as_str().expect("a location");
    let random = format!("memory:///lake/b/second-{RANDOM}");
    let mut wanted = new_table("second");
    wanted["location"] = json!(random);
    lake.node("POST", tables, wanted.clone()).await;
    let drop_both = async || {
        for path in [&first, &second] {
            let gone = lake.with(&token, "DELETE", path, None).await;
            assert_eq!(gone.status, 204, "{}", gone.body);
        }
    };
    drop_both().await;
    let making = |name: &str, location: &str, uuid: &str| {
        let mut commit = staged(name, location);
        commit["identifier"]["namespace"] = json!(["b"]);
        commit["updates"][0]["uuid"] = json!(uuid);
        commit
    };
    // The place tells the end of the uuid, and what goes before may be anything.
    let end = &uuid[28..];
    assert!(chosen.ends_with(end), "{chosen}");
    let alike = format!("22222222-2222-4222-8222-2222{end}");
    let claim = making("first", chosen, &alike);
    let mut stage = wanted.clone();
    stage["stage-create"] = json!(true);
    let view = json!({"name": "second", "location": random, "schema": schema(), "properties": {}, "view-version":
        {"version-id": 1, "timestamp-ms": 1, "schema-id": 0, "summary": {"engine-name": "x"},
        "default-namespace": ["b"], "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}]}});
    for (path, body) in [
        (first.as_str(), claim.clone()),
        ("/v1/transactions/commit", json!({"table-changes": [claim]})),
        (second.as_str(), making("second", &random, &alike)),
        (tables, wanted.clone()),
        (tables, stage),
        ("/v1/namespaces/b/views", view),
    ] {
        let refused = lake.call("ana", "POST", path, Some(body)).await;
        assert_eq!(refused.status, 400, "{path}: {}", refused.body);
        assert!(refused.message().contains("dropped table"), "{path}: {}", refused.body);
    }
    let elsewhere = making("other", &format!("memory:///lake/b/other-{end}"), uuid);
    let twin = lake
        .call("ana", "POST", &format!("{tables}/other"), Some(elsewhere))
        .await;
    assert_eq!(twin.status, 409, "{}", twin.body);
    assert_eq!(twin.body["error"]["error-code"], "CAT-1023");
    for name in ["first", "second"] {
        let back = json!({"namespace": ["b"], "name": name, "to": null});
        lake.node("POST", "/internal/v1/dropped/undrop", back).await;
    }
    drop_both().await;
    for (path, body) in [(first.as_str(), claim), (tables, wanted)] {
        let made = lake.call("eve", "POST", path, Some(body)).await;
        assert_eq!(made.status, 200, "{path}: {}", made.body);
    }
}

// Goal: whoever makes tables under the name of dropped ones is refused none, and a request that comes again is answered as it was. Method: a
// user makes a table and drops it again and again, where the catalog places it, by a commit of what was staged, and in folders of their own;
// then the first of those commits once more under its key.
#[tokio::test]
async fn a_name_is_used_again() {
    let lake = Lake::new().await;
    lake.grant(&["create"], &[], json!({"namespace": ["b"]}), "ana").await;
    let tables = "/v1/namespaces/b/tables";
    let there = format!("{tables}/again");
    let commit_once = async |key: u128, body: &Value| {
        let asked = request("POST", &there, Some(body.clone()), Some(Uuid::from_u128(key)));
        let answer = lake.kit.send(Lake::bearer(asked, &lake.token("ana"))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    };
    let make = async |body: Value| {
        let made = lake.call("ana", "POST", tables, Some(body)).await;
        assert_eq!(made.status, 200, "{}", made.body);
        made.body["metadata"].clone()
    };
    let drop_it = async || assert_eq!(lake.status("ana", "DELETE", &there, None).await, 204);
    let mut first = None;
    for (key, digit) in [(1, "a"), (2, "b")] {
        make(new_table("again")).await;
        drop_it().await;
        let own = format!("memory:///lake/b/again-{}", RANDOM.replace('0', digit));
        for location in [Value::Null, json!(own)] {
            let mut stage = new_table("again");
            (stage["location"], stage["stage-create"]) = (location.clone(), json!(true));
            let metadata = make(stage).await;
            let mut commit = staged("again", metadata["location"].as_str().expect("a location"));
            commit["identifier"]["namespace"] = json!(["b"]);
            commit["updates"][0]["uuid"] = metadata["table-uuid"].clone();
            let key = key + if location.is_null() { 0 } else { 10 };
            let made = commit_once(key, &commit).await;
            drop_it().await;
            first.get_or_insert((key, commit, made));
        }
    }
    let (key, commit, made) = first.expect("a commit");
    assert_eq!(commit_once(key, &commit).await, made);
    assert_eq!(lake.status("ana", "GET", &there, None).await, 404);
    let dropped = lake.with(&lake.node_token(), "GET", "/internal/v1/dropped", None).await;
    assert_eq!(dropped.body["count"], 6, "{}", dropped.body);
}

// Goal: an answer that is given again gives nobody rights to what bears its name by now. Method: a user makes a table, a view and a
// namespace under keys and drops them, others make such of the same names, and the user repeats the requests.
#[tokio::test]
async fn a_repeated_request_takes_nothing() {
    let lake = Lake::new().await;
    let token = lake.token("ana");
    let once = async |key: u128, path: &str, body: &Value| {
        let asked = request("POST", path, Some(body.clone()), Some(Uuid::from_u128(key)));
        let answer = lake.kit.send(Lake::bearer(asked, &token)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    };
    lake.grant(&["create"], &[], json!({"namespace": ["b"]}), "ana").await;
    let view = json!({"name": "again", "schema": schema(), "properties": {}, "view-version": {"version-id": 1,
        "timestamp-ms": 1, "schema-id": 0, "summary": {"engine-name": "x"}, "default-namespace": ["b"],
        "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}]}});
    for (key, what, body) in [(1, "tables", new_table("again")), (2, "views", view)] {
        let made = format!("/v1/namespaces/b/{what}");
        let named = format!("{made}/again");
        let first = once(key, made.as_str(), &body).await;
        assert_eq!(
            lake.status("ana", "GET", &named, None).await,
            200,
            "who makes it has it"
        );
        assert_eq!(lake.status("ana", "DELETE", &named, None).await, 204);
        lake.node("POST", &made, body.clone()).await;
        assert_eq!(once(key, made.as_str(), &body).await, first, "{what}");
        assert_eq!(lake.status("ana", "GET", &named, None).await, 404, "{what}");
        let gone = lake.with(&lake.node_token(), "DELETE", &named, None).await;
        assert_eq!(gone.status, 204, "{}", gone.body);
    }
    lake.grant(&["create"], &[], json!("warehouse"), "ana").await;
    let body = json!({"namespace": ["own"]});
    once(3, "/v1/namespaces", &body).await;
    let own = "/v1/namespaces/own";
    assert_eq!(
        lake.status("ana", "DELETE", own, None).await,
        204,
        "who makes it has it"
    );
    lake.node("POST", "/v1/namespaces", body.clone()).await;
    once(3, "/v1/namespaces", &body).await;
    let dropped = lake.status("ana", "DELETE", own, None).await;
    assert!(matches!(dropped, 403 | 404), "{dropped}");
}

// Goal: all that a transaction makes is its maker's. Method: two tables in one, read by their maker and by another user.
#[tokio::test]
async fn all_tables_of_a_transaction_are_their_makers() {
    let lake = Lake::new().await;
    lake.grant(&["create"], &[], json!({"namespace": ["a"]}), "ana").await;
    let names = ["one", "two"];
    let changes = names.map(|name| {
        // Each has its own, and the place that the catalog chooses for it.
        let uuid = Uuid::from_u128(u128::from(name.as_bytes()[0]));
        let digits = uuid.simple().to_string();
        let mut change = staged(name, &format!("memory:///lake/a/{name}-{}", &digits[24..]));
        change["updates"][0]["uuid"] = json!(uuid);
        change
    });
    let commit = Some(json!({"table-changes": changes}));
    let made = lake.call("ana", "POST", "/v1/transactions/commit", commit).await;
    assert_eq!(made.status, 204, "{}", made.body);
    for name in names {
        let path = format!("/v1/namespaces/a/tables/{name}");
        assert_eq!(lake.status("ana", "GET", &path, None).await, 200, "{name}");
        assert_eq!(lake.status("eve", "GET", &path, None).await, 404, "{name}");
    }
}

// Goal: nobody is let through to a name that nothing bears, which may be another's table when the route looks. Method: a user who may know of all
// in a namespace and one who may read all of it ask for a plan of a table that is not there, in words that the route refuses.
#[tokio::test]
async fn a_name_that_is_free_lets_nobody_through() {
    let lake = Lake::new().await;
    lake.grant(&["usage"], &[], json!({"namespace": ["b"]}), "ana").await;
    lake.grant(&["select"], &[], json!({"namespace": ["b"]}), "eve").await;
    for (user, status) in [("ana", 404), ("eve", 400)] {
        let path = "/v1/namespaces/b/tables/x/plan";
        let reply = lake.call(user, "POST", path, Some(json!("none"))).await;
        assert_eq!(reply.status, status, "{user}: {}", reply.body);
    }
}

// Goal: what somebody made is given them only as long as it is that which bears the name. Method: as a statement's process asks for it, the grant
// on a table and on a view that was dropped and made anew by another, by the uuid of the former and by that of the present one.
#[tokio::test]
async fn a_grant_by_uuid_is_on_that_one_alone() {
    let lake = Lake::new().await;
    lake.grant(&["usage"], &[], json!({"namespace": ["a"]}), "ana").await;
    let view = json!({"name": "v", "schema": schema(), "properties": {}, "view-version": {"version-id": 1,
        "timestamp-ms": 1, "schema-id": 0, "summary": {"engine-name": "x"}, "default-namespace": ["a"],
        "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}]}});
    for (what, name, key, new) in [
        ("tables", "t", "table-uuid", new_table("t")),
        ("views", "v", "view-uuid", view),
    ] {
        let path = format!("/v1/namespaces/a/{what}/{name}");
        let loaded = async || {
            let token = lake.node_token();
            lake.with(&token, "GET", &path, None).await.body["metadata"][key].clone()
        };
        let give = async |uuid: &Value| {
            let change = json!({"do": "grant", "privileges": ["admin"], "on": table("a", name), "uuid": uuid,
                "to": [{"user": "ana"}]});
            lake.with(&lake.node_token(), "POST", POLICY, Some(change)).await
        };
        let former = loaded().await;
        assert!(former.is_string(), "{former}");
        let gone = lake.with(&lake.node_token(), "DELETE", &path, None).await;
        assert_eq!(gone.status, 204, "{}", gone.body);
        lake.node("POST", &format!("/v1/namespaces/a/{what}"), new).await;
        let late = give(&former).await;
        assert_eq!(
            (late.status, late.kind()),
            (404, "NoSuchTableException"),
            "{}",
            late.body
        );
        assert_eq!(lake.status("ana", "GET", &path, None).await, 403, "{name}");
        let right = give(&loaded().await).await;
        assert_eq!(right.status, 200, "{}", right.body);
        assert_eq!(lake.status("ana", "GET", &path, None).await, 200, "{name}");
    }
}
