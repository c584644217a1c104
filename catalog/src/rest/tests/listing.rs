//! Listing and loading.

use serde_json::json;

use super::kit::{Kit, TABLE, TABLES, append, new_table, request, set};

// Goal: clients learn what this catalog can do. Method: config names endpoints, and each of them is served.
#[tokio::test]
async fn config_names_the_endpoints() {
    let kit = Kit::empty();
    for warehouse in ["", "?warehouse=", "?warehouse=lake"] {
        let config = kit.get(&format!("/v1/config{warehouse}")).await;
        assert_eq!(config.status, 200);
        assert_eq!(config.body["idempotency-key-lifetime"], "PT30M");
        for endpoint in config.body["endpoints"].as_array().expect("a list") {
            let (method, path) = endpoint
                .as_str()
                .and_then(|text| text.split_once(' '))
                .expect("method and path");
            let path = path
                .replace("/{prefix}", "")
                .replace("{namespace}", "a")
                .replace("{table}", "t")
                .replace("{view}", "v");
            let reply = kit.call(method, &path, Some(json!({}))).await;
            assert_ne!(reply.kind(), "NoSuchEndpointException", "{endpoint}");
        }
    }
}

// Goal: pages cover everything once. Method: all at once without a token, then pages of two.
#[tokio::test]
async fn listings_come_in_pages() {
    let kit = Kit::with_table().await;
    for name in ["u", "v", "w", "x"] {
        assert_eq!(kit.post(TABLES, new_table(name)).await.status, 200);
        assert_eq!(
            kit.post("/v1/namespaces", json!({"namespace": ["a", name]}))
                .await
                .status,
            200
        );
    }
    let all = kit.get(&format!("{TABLES}?pageSize=2")).await;
    assert_eq!(all.body["identifiers"].as_array().map(Vec::len), Some(5));
    for (path, list, count) in [
        (format!("{TABLES}?"), "identifiers", 5),
        ("/v1/namespaces?parent=a&".into(), "namespaces", 4),
    ] {
        let (mut token, mut seen) = (String::new(), Vec::new());
        loop {
            let page = kit.get(&format!("{path}pageSize=2&pageToken={token}")).await;
            let entries = page.body[list].as_array().expect("a list").clone();
            assert!(entries.len() <= 2);
            seen.extend(entries);
            match page.body["next-page-token"].as_str() {
                Some(next) => token = next.to_owned(),
                None => break,
            }
        }
        seen.dedup();
        assert_eq!(seen.len(), count, "{list}");
    }
    assert_eq!(kit.get(&format!("{TABLES}?pageToken=&pageSize=0")).await.status, 400);
    let advertised = kit.get("/v1/config").await.body["overrides"]["namespace-separator"].clone();
    let advertised = advertised.as_str().expect("a separator");
    assert_ne!(advertised, "%1F");
    for separator in ["%1F", advertised] {
        let nested = kit.get(&format!("/v1/namespaces/a{separator}u")).await;
        assert_eq!(nested.body["namespace"], json!(["a", "u"]), "{separator}");
        let under = kit.get(&format!("/v1/namespaces?parent=a{separator}u")).await;
        assert_eq!(
            (under.status, &under.body["namespaces"]),
            (200, &json!([])),
            "{separator}"
        );
        assert_eq!(
            kit.post(&format!("/v1/namespaces/a{separator}u/tables"), new_table("n"))
                .await
                .status,
            200 + u16::from(separator != "%1F") * 209
        );
    }
}

// Goal: an unchanged table is not sent again; refs and all are told apart. Method: ETags before and after a commit.
#[tokio::test]
async fn etags_follow_the_table() {
    let kit = Kit::with_table().await;
    for sequence in 1..4 {
        let parent = (sequence > 1).then_some(sequence - 1);
        assert_eq!(kit.update(append(sequence, parent, sequence)).await.status, 200);
    }
    let all = kit.get(TABLE).await;
    let refs = kit.get(&format!("{TABLE}?snapshots=refs")).await;
    assert_eq!(all.body["metadata"]["snapshots"].as_array().map(Vec::len), Some(3));
    assert_eq!(refs.body["metadata"]["snapshots"].as_array().map(Vec::len), Some(1));
    assert_ne!(all.headers["etag"], refs.headers["etag"]);
    let tag = all.headers["etag"].clone();
    let ask = |path: &str| {
        let mut request = request("GET", path, None, None);
        request.headers_mut().insert("if-none-match", tag.clone());
        request
    };
    let known = kit.send(ask(TABLE)).await;
    assert_eq!((known.status, known.body.is_null()), (304, true));
    assert_eq!(kit.send(ask(&format!("{TABLE}?snapshots=refs"))).await.status, 200);
    let committed = kit.update(set("x", "1")).await;
    let changed = kit.send(ask(TABLE)).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.headers["etag"], committed.headers["etag"]);
}
