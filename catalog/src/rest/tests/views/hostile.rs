//! Bodies, names and locations of views that are odd or mean harm.

use super::*;

// Goal: no body makes the catalog fail, and no view is stuck after it. Method: good requests with each of their places replaced by odd values.
#[tokio::test]
async fn odd_view_bodies_are_refused_or_applied() {
    let updates = json!([{"action": "add-schema", "schema": schema()},
        {"action": "add-view-version", "view-version": version(2, "SELECT 2", &["spark"])},
        {"action": "set-current-view-version", "view-version-id": -1},
        {"action": "set-properties", "updates": {"version.history.num-entries": "2"}},
        {"action": "remove-properties", "removals": ["k"]}, {"action": "upgrade-format-version", "format-version": 1}]);
    let odd = [
        Value::Null,
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!("x\u{0}"),
        json!([[]]),
        json!({"x": {"y": []}}),
    ];
    let mut failures = Vec::new();
    for (path, body) in [
        (VIEWS, new_view("w")),
        (VIEW, json!({"requirements": [], "updates": updates})),
    ] {
        let mut found = Vec::new();
        crate::rest::tests::hostile::places(&body, "", &mut found);
        let mut kit = with_view().await;
        for place in found {
            for value in &odd {
                let mut changed = body.clone();
                *changed.pointer_mut(&place).expect("found there") = value.clone();
                let reply = kit.post(path, changed).await;
                if reply.status >= 500 {
                    failures.push(format!("{path} {place} = {value}: {}", reply.body));
                }
                let after = kit
                    .post(
                        VIEW,
                        json!({"updates": [{"action": "set-properties", "updates": {"x": "1"}}]}),
                    )
                    .await;
                if kit.get(VIEW).await.status != 200 || after.status != 200 {
                    failures.push(format!("{path} {place} = {value}: the view is stuck: {}", after.body));
                }
                // An odd value that is applied must not shield the next.
                if !(400..500).contains(&reply.status) {
                    kit = with_view().await;
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

// Goal: no view points outside of the warehouse or has a name that gets out of its folder. Method: hostile names and locations wherever one is taken.
#[tokio::test]
async fn hostile_views_are_refused() {
    let kit = with_view().await;
    let files = kit.store.len();
    for location in crate::rest::tests::hostile::LOCATIONS {
        let mut new = new_view("w");
        new["location"] = json!(location);
        let register = json!({"name": "w", "metadata-location": format!("{location}/x.metadata.json")});
        for (path, body) in [
            (VIEWS, new),
            ("/v1/namespaces/a/register-view", register),
            (
                VIEW,
                json!({"updates": [{"action": "set-location", "location": location}]}),
            ),
        ] {
            let reply = kit.post(path, body).await;
            assert_eq!(
                (reply.status, reply.kind()),
                (400, "BadRequestException"),
                "{path} {location}"
            );
        }
    }
    for name in [
        "",
        "..",
        "a/b",
        "%2e%2e",
        "a\u{0}b",
        "a\u{1f}b",
        "*",
        "a'b",
        "\u{202e}x",
    ] {
        assert_eq!(kit.post(VIEWS, new_view(name)).await.status, 400, "{name:?}");
        let rename =
            json!({"source": {"namespace": ["a"], "name": "v"}, "destination": {"namespace": ["a"], "name": name}});
        assert_eq!(kit.post("/v1/views/rename", rename).await.status, 400, "{name:?}");
    }
    assert_eq!(kit.store.len(), files);
}
