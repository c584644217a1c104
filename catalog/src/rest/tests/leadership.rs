//! Nodes that do not lead, and callers who are not known.

use serde_json::json;

use super::kit::{Kit, TABLE, request, set};
use crate::server::Access;
use tidewater_security::{Principal, TokenKey};

// Goal: a follower sends reads and writes to the leader, path and query kept; without a leader it says to come again; what every node
// knows it answers itself. Method: a log that follows somebody, then nobody.
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
        let reply = kit.call(method, &path, body).await;
        assert_eq!(reply.status, 307, "{method}");
        let target = reply.headers.get("location").and_then(|target| target.to_str().ok());
        assert_eq!(target, Some(format!("http://leader:8181{path}").as_str()));
    }
    for path in ["/v1/config", "/internal/v1/cluster", "/internal/v1/changes?after=0"] {
        assert_eq!(kit.get(path).await.status, 200, "{path}");
    }
    kit.consensus.follow(None);
    let reply = kit.get(TABLE).await;
    assert_eq!((reply.status, reply.kind()), (503, "ServiceUnavailableException"));
    assert!(reply.headers.contains_key("retry-after"));
}

// Goal: without a good token nothing is told or done. Method: no token, a foreign one, a good one, on protocol and internal paths.
#[tokio::test]
async fn tokens_are_wanted() {
    let key = TokenKey::derive(b"secret");
    let kit = Kit::with_access(Access::Tokens(key.clone()));
    let principal = Principal { name: "ana".into() };
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
