//! Nodes that do not lead, and callers who are not known.

use http::HeaderValue;
use serde_json::json;

use super::kit::{Kit, TABLE, request, set};
use crate::raft::Consensus;
use crate::server::Access;
use tidewater_security::{Principal, TokenKey};

// Goal: a follower sends who wants to be sent to the leader, path and query kept; without a leader it says to come again; what every
// node knows it answers itself. Method: a log that follows somebody, then nobody.
#[tokio::test]
async fn followers_send_on() {
    let kit = Kit::with_table().await;
    kit.consensus.follow(Some("http://leader:8181/"));
    let path = format!("{TABLE}?snapshots=refs");
    for (method, body) in [
        ("GET", None),
        ("HEAD", None),
        ("POST", Some(json!({"updates": set("x", "1")}))),
    ] {
        let mut request = request(method, &path, body, None);
        request
            .headers_mut()
            .insert("x-tidewater-redirect", HeaderValue::from_static("1"));
        let reply = kit.send(request).await;
        assert_eq!(reply.status, 307, "{method}");
        let target = reply.headers.get("location").and_then(|target| target.to_str().ok());
        assert_eq!(target, Some(format!("http://leader:8181{path}").as_str()));
    }
    let mut login = request("POST", "/v1/oauth/tokens", None, None);
    login
        .headers_mut()
        .insert("x-tidewater-redirect", HeaderValue::from_static("1"));
    assert_eq!(kit.send(login).await.status, 400, "a password does not travel");
    for path in ["/v1/config", "/internal/v1/cluster", "/internal/v1/changes?after=0"] {
        assert_eq!(kit.get(path).await.status, 200, "{path}");
    }
    kit.consensus.follow(None);
    let reply = kit.get(TABLE).await;
    assert_eq!((reply.status, reply.kind()), (503, "ServiceUnavailableException"));
    assert!(reply.headers.contains_key("retry-after"));
}

// Goal: a request that was sent on once is not sent on again, and the node that sent it learns that nothing was done. Method: one with
// the mark of another node, read and write, at a node that follows.
#[tokio::test]
async fn nothing_is_sent_on_twice() {
    let kit = Kit::with_table().await;
    kit.consensus.follow(Some("http://leader:8181/"));
    for (method, body) in [("GET", None), ("POST", Some(json!({"updates": set("x", "1")})))] {
        let mut request = request(method, TABLE, body, None);
        request
            .headers_mut()
            .insert("x-tidewater-forwarded", HeaderValue::from_static("3"));
        let reply = kit.send(request).await;
        assert_eq!(reply.status, 503, "{method}");
        assert!(reply.headers.contains_key("x-tidewater-not-leader"), "{method}");
    }
}

// Goal: who operates the group shows the group's secret. Method: each operator's call without, with a foreign and with a good token; a
// read of the status needs none.
#[tokio::test]
async fn operators_show_the_secret() {
    let key = TokenKey::derive(b"tide");
    let kit = Kit::with_operators(key.clone());
    assert_eq!(kit.get("/internal/v1/cluster").await.status, 200);
    let principal = Principal::named("operator");
    for (token, is_let_in) in [
        (None, false),
        (Some(TokenKey::derive(b"ebb").issue(&principal, i64::MAX)), false),
        (Some(key.issue(&principal, i64::MAX)), true),
    ] {
        for (method, path, body) in [
            ("POST", "/internal/v1/cluster/nodes", json!({})),
            ("PUT", "/internal/v1/cluster/nodes/2", json!({"raft": "r", "api": "a"})),
            ("POST", "/internal/v1/cluster/promote", json!({"nodes": [2]})),
            ("POST", "/internal/v1/cluster/remove", json!({"nodes": [2]})),
            ("POST", "/internal/v1/cluster/transfer", json!({})),
            ("POST", "/internal/v1/cluster/snapshot", json!({})),
            ("GET", "/internal/v1/cluster/backup", json!({})),
        ] {
            let mut request = request(method, path, Some(body), None);
            if let Some(token) = &token {
                request
                    .headers_mut()
                    .insert("x-tidewater-operator", token.parse().expect("a header"));
            }
            let status = kit.send(request).await.status;
            assert_eq!(status != 401, is_let_in, "{method} {path}: {status}");
        }
    }
}

// Goal: nobody joins a catalog that others cannot reach, no number is given out, and it is told how to go on. Method: a number is asked of a
// node without an address for others.
#[tokio::test]
async fn a_catalog_that_was_begun_alone_is_not_joined() {
    let kit = Kit::empty();
    let before = kit.consensus.state().index;
    let reply = kit.post("/internal/v1/cluster/nodes", json!({})).await;
    assert_eq!((reply.status, reply.kind()), (409, "ClusterConflictException"));
    assert_eq!(reply.body["error"]["error-code"], "CAT-1022");
    let hint = reply.body["error"]["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("tidewater cluster init"), "{hint}");
    assert_eq!(kit.consensus.state().index, before);
}

// Goal: without a good token nothing is told or done. Method: no token, a foreign one, a good one, on protocol and internal paths.
#[tokio::test]
async fn tokens_are_wanted() {
    let key = TokenKey::derive(b"secret");
    let kit = Kit::with_access(Access::Tokens(key.clone()));
    let principal = Principal::named("ana");
    let foreign = TokenKey::derive(b"other").issue(&principal, i64::MAX);
    for (token, status) in [
        (None, 401),
        (Some(foreign), 401),
        (Some(key.issue(&principal, i64::MAX)), 200),
    ] {
        for path in [
            "/v1/config",
            "/v1/namespaces",
            "/internal/v1/cluster",
            "/internal/v1/jobs",
        ] {
            let mut request = request("GET", path, None, None);
            if let Some(token) = &token {
                let value = format!("Bearer {token}").parse().expect("a header");
                request.headers_mut().insert("authorization", value);
            }
            assert_eq!(kit.send(request).await.status, status, "{path}");
        }
    }
}
