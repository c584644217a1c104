//! Bodies that say what is asked for are read in one way.

use super::*;

async fn send(lake: &Lake, user: &str, path: &str, body: &str) -> Reply {
    let request = Request::builder().method("POST").uri(path);
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    lake.kit.send(Lake::bearer(request, &lake.token(user))).await
}

/// A member that has the route read a body by way of a tree, where the last member of a name counts.
const ODD: &str = r#""zz":{"fields":[{"type":"variant"}]}"#;

// Goal: nobody gets more by a body that reads in two ways. Method: members that stand twice, at the top, deeper and spelled in two ways, in each
// request whose body decides, by a user who lacks what one of the readings takes; and the same once only, which goes on.
#[tokio::test]
async fn a_body_has_one_reading() {
    let lake = Lake::new().await;
    lake.grant(&["alter"], &[], table("a", "t"), "ana").await;
    lake.grant(&["insert", "update", "delete"], &[], table("b", "t"), "ana")
        .await;
    lake.grant(&["create"], &[], json!({"namespace": ["b"]}), "ana").await;
    let mut deletes = append(1, None, 1);
    deletes[0]["snapshot"]["summary"]["operation"] = json!("delete");
    let named = r#""identifier":{"namespace":["a"],"name":"t"}"#;
    let twice = format!(r#""requirements":[],"updates":[],"updates":{deletes}"#);
    for (path, body) in [
        (TABLE, format!("{{{twice},{ODD}}}")),
        (
            "/v1/transactions/commit",
            format!(r#"{{"table-changes":[{{{named},{twice}}}],{ODD}}}"#),
        ),
        (
            "/v1/namespaces/b/tables/t/sign",
            format!(r#"{{"method":"PUT","method":"GET","uri":"http://x/y",{ODD}}}"#),
        ),
        (
            TABLE,
            r#"{"updates":[{"action":"set-properties","updates":{"k":"v"},"\u0061ction":"add-snapshot"}]}"#.to_owned(),
        ),
        (
            "/v1/tables/rename",
            r#"{"source":{"namespace":["a"],"name":"t"},"destination":{"namespace":["a"],"name":"x","name":"y"}}"#
                .to_owned(),
        ),
        (
            "/v1/namespaces",
            r#"{"namespace":["b","x"],"namespace":["y"]}"#.to_owned(),
        ),
        (
            "/v1/namespaces/b/tables",
            format!(r#"{{"name":"x","name":"y","schema":{}}}"#, schema()),
        ),
    ] {
        let refused = send(&lake, "ana", path, &body).await;
        assert_eq!(refused.status, 400, "{path} {body}: {}", refused.body);
        assert!(refused.message().contains("twice"), "{path}: {}", refused.body);
    }
    let once =
        format!(r#"{{"requirements":[],"updates":[{{"action":"set-properties","updates":{{"k":"v"}}}}],{ODD}}}"#);
    let changed = send(&lake, "ana", TABLE, &once).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let mut of_format_3 = new_table("odd");
    of_format_3["properties"] = json!({"format-version": "3"});
    of_format_3["schema"]["fields"][1]["type"] = json!("variant");
    let made = lake
        .call("ana", "POST", "/v1/namespaces/b/tables", Some(of_format_3))
        .await;
    assert_eq!(made.status, 200, "{}", made.body);
}

// Goal: what cannot be read by who decides is carried out for nobody but who may do everything. Method: bodies of another form, by a user with
// every privilege that the request could take, and by one with all on the warehouse.
#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let lake = Lake::new().await;
    for namespace in ["a", "b"] {
        lake.grant(&["admin"], &[], json!({"namespace": [namespace]}), "ana")
            .await;
    }
    lake.grant(&["admin"], &[], json!("warehouse"), "eve").await;
    let sign = format!("{TABLE}/sign");
    for (path, body) in [
        (TABLE, r#"{"requirements":[],"updates":{}}"#),
        (TABLE, "no JSON"),
        ("/v1/transactions/commit", "{}"),
        ("/v1/tables/rename", "{}"),
        ("/v1/views/rename", "{}"),
        ("/v1/namespaces", "{}"),
        (TABLES, "{}"),
        (sign.as_str(), "{}"),
    ] {
        for (user, status) in [("ana", 403), ("eve", 400)] {
            let refused = send(&lake, user, path, body).await;
            assert_eq!(refused.status, status, "{user} at {path}: {}", refused.body);
        }
    }
}

// Goal: what no reader of JSON takes does not hide what stands twice behind it. Method: members that the routes leave out, with half a
// character and bytes that are no text, before a member that stands twice, by a user with ALTER.
#[tokio::test]
async fn nothing_hides_behind_what_is_no_json() {
    let lake = Lake::new().await;
    lake.grant(&["alter"], &[], table("a", "t"), "ana").await;
    let rest: &[u8] = br#","requirements":[],"updates":[{"action":"set-properties","updates":{"k":"v","k":"w"}}]}"#;
    for odd in [&br#""\ud800""#[..], &b"\"\xff\""[..]] {
        let body = [&br#"{"zz":"#[..], odd, rest].concat();
        let request = Request::builder().method("POST").uri(TABLE);
        let request = request.body(Body::from(body)).expect("a request");
        let refused = lake.kit.send(Lake::bearer(request, &lake.token("ana"))).await;
        assert_eq!(refused.status, 403, "{odd:?}: {}", refused.body);
        assert!(refused.message().contains("lacks ADMIN"), "{}", refused.body);
    }
}
