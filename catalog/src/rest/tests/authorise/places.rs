//! Where those whom grants bind may have tables and views, and what replacing a view takes.

use super::super::commits::staged;
use super::*;

/// As clients make it that choose places for themselves.
pub(super) const RANDOM: &str = "0123456789abcdef0123456789abcdef";

fn view(name: &str, location: Option<&str>) -> Value {
    let mut view = json!({"name": name, "schema": schema(), "properties": {}, "view-version": {"version-id": 1,
        "timestamp-ms": 1, "schema-id": 0, "summary": {"engine-name": "x"}, "default-namespace": ["b"],
        "representations": [{"type": "sql", "sql": "SELECT 1", "dialect": "spark"}]}});
    if let Some(location) = location {
        view["location"] = json!(location);
    }
    view
}

fn placed(name: &str, location: &str, stage: bool) -> Value {
    let mut table = new_table(name);
    (table["location"], table["stage-create"]) = (json!(location), json!(stage));
    table
}

/// A commit that makes a table of `b`.
fn making(name: &str, location: &str) -> Value {
    let mut commit = staged(name, location);
    commit["identifier"]["namespace"] = json!(["b"]);
    commit
}

fn moves(location: &str) -> Option<Value> {
    Some(json!({"requirements": [], "updates": [{"action": "set-location", "location": location}]}))
}

// Goal: nobody claims files that others left, or the place of what others will make, by a location. Method: a user who may make tables and
// views in one schema names all sorts of places in every request that can, for new tables and views and for their own; then the same by
// somebody who may do everything.
#[tokio::test]
async fn nobody_chooses_a_place() {
    let lake = Lake::new().await;
    lake.grant(&["create"], &[], json!({"namespace": ["b"]}), "ana").await;
    lake.grant(&["admin"], &[], json!("warehouse"), "eve").await;
    let (tables, views) = ("/v1/namespaces/b/tables", "/v1/namespaces/b/views");
    let deep = format!("mine-{}", RANDOM.replace('0', "a"));
    lake.node("POST", "/v1/namespaces", json!({"namespace": ["b", deep]}))
        .await;
    for place in [
        "a/old".to_owned(),
        "fresh".to_owned(),
        "b".to_owned(),
        "b/mine".to_owned(),
        "b/mine-12345678".to_owned(),
        format!("b/{deep}"),
        format!("a/mine-{RANDOM}"),
        format!("b/other-{RANDOM}"),
        format!("b/mine-{RANDOM}/x"),
        format!("b/x/mine-{RANDOM}"),
        format!("b/mine-{}", RANDOM.to_uppercase()),
    ] {
        let place = format!("memory:///lake/{place}");
        let commit = making("mine", &place);
        for (path, body) in [
            (tables, placed("mine", &place, false)),
            (tables, placed("mine", &place, true)),
            ("/v1/namespaces/b/tables/mine", commit.clone()),
            ("/v1/transactions/commit", json!({"table-changes": [commit]})),
            (views, view("mine", Some(&place))),
        ] {
            let refused = lake.call("ana", "POST", path, Some(body)).await;
            assert_eq!(refused.status, 403, "{path} at {place}: {}", refused.body);
            assert!(refused.message().contains("lacks ADMIN"), "{}", refused.body);
        }
    }
    assert_eq!(lake.status("ana", "POST", tables, Some(new_table("own"))).await, 200);
    assert_eq!(lake.status("ana", "POST", views, Some(view("seen", None))).await, 200);
    let (own, seen) = (format!("{tables}/own"), format!("{views}/seen"));
    for place in ["memory:///lake/a/old", "memory:///lake/b/own"] {
        for path in [&own, &seen] {
            assert_eq!(
                lake.status("ana", "POST", path, moves(place)).await,
                403,
                "{path} to {place}"
            );
        }
    }
    let fresh = format!("memory:///lake/b/own-{RANDOM}");
    assert_eq!(lake.status("ana", "POST", &own, moves(&fresh)).await, 403);
    for (path, body) in [
        (tables, placed("chosen", "memory:///lake/fresh", false)),
        (tables, placed("staged", "memory:///lake/b/any", true)),
        (own.as_str(), moves("memory:///lake/a/old").expect("a commit")),
    ] {
        let made = lake.call("eve", "POST", path, Some(body)).await;
        assert_eq!(made.status, 200, "{path}: {}", made.body);
    }
}

// Goal: clients that say where a table or view is to lie can make some, if the catalog chose it, or they chose a folder that nobody else has;
// and where no grant binds, any place will do. Method: tables at once and by a commit, views and their next texts.
#[tokio::test]
async fn clients_have_their_own_places() {
    let lake = Lake::new().await;
    let tables = "/v1/namespaces/b/tables";
    let anywhere = placed("first", "memory:///lake/b/any", false);
    let made = lake.call("eve", "POST", tables, Some(anywhere)).await;
    assert_eq!(made.status, 200, "{}", made.body);
    lake.grant(&["create"], &[], json!({"namespace": ["b"]}), "ana").await;
    let made = async |path: &str, body: Option<Value>| {
        let made = lake.call("ana", "POST", path, body).await;
        assert_eq!(made.status, 200, "{path}: {}", made.body);
        made.body
    };
    let place = |name: &str| format!("memory:///lake/b/{name}-{RANDOM}");
    made(tables, Some(placed("one", &place("one"), false))).await;
    let mut plain = new_table("two");
    plain["stage-create"] = json!(true);
    for (name, stage) in [("two", plain), ("three", placed("three", &place("three"), true))] {
        let metadata = made(tables, Some(stage)).await["metadata"].clone();
        let mut commit = making(name, metadata["location"].as_str().expect("a location"));
        commit["updates"][0]["uuid"] = metadata["table-uuid"].clone();
        let there = format!("{tables}/{name}");
        let table = made(there.as_str(), Some(commit)).await;
        assert_eq!(table["metadata"]["location"], metadata["location"], "{name}");
        // To where it is, it may go.
        let stays = moves(metadata["location"].as_str().expect("a location"));
        made(there.as_str(), stays).await;
    }
    let views = "/v1/namespaces/b/views";
    made(views, Some(view("seen", Some(&place("seen"))))).await;
    let (seen, again) = (format!("{views}/seen"), place("seen").replace('0', "a"));
    for location in [again.as_str(), again.as_str()] {
        let moved = made(seen.as_str(), moves(location)).await;
        assert_eq!(moved["metadata"]["location"], location);
    }
}

// Goal: to replace a view takes what SQL asks for it, and what reading it takes, as the answer has its texts. Method: a user with ALTER on it,
// and then with CREATE in its schema and SELECT on it too, whose requests change nothing before; and renames, which tell nothing.
#[tokio::test]
async fn replacing_a_view_takes_create_and_select() {
    let lake = Lake::new().await;
    lake.grant(&["alter"], &[], table("a", "v"), "ana").await;
    let path = "/v1/namespaces/a/views/v";
    let change = json!({"updates": [{"action": "set-properties", "updates": {"k": "v"}}]});
    let refused = lake.call("ana", "POST", path, Some(change.clone())).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(refused.message().contains("lacks CREATE"), "{}", refused.body);
    let missing = lake
        .status("ana", "POST", "/v1/namespaces/b/views/v", Some(change.clone()))
        .await;
    assert_eq!(missing, 404);
    lake.grant(&["create"], &[], json!({"namespace": ["a"]}), "ana").await;
    let none = json!({"updates": []});
    for change in [&change, &none] {
        let refused = lake.call("ana", "POST", path, Some(change.clone())).await;
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert!(refused.message().contains("lacks SELECT"), "{}", refused.body);
        assert!(refused.body.get("metadata").is_none(), "{}", refused.body);
    }
    let rename = json!({"source": {"namespace": ["a"], "name": "v"}, "destination": {"namespace": ["a"], "name": "w"}});
    let renamed = lake.call("ana", "POST", "/v1/views/rename", Some(rename)).await;
    assert_eq!((renamed.status, &renamed.body), (204, &Value::Null));
    let path = "/v1/namespaces/a/views/w";
    lake.grant(&["select"], &[], table("a", "w"), "ana").await;
    let read = lake.call("ana", "GET", path, None).await;
    assert!(read.body["metadata"]["properties"].get("k").is_none(), "{}", read.body);
    let replaced = lake.call("ana", "POST", path, Some(change)).await;
    assert_eq!(replaced.status, 200, "{}", replaced.body);
    assert_eq!(replaced.body["metadata"]["properties"]["k"], "v");
}
