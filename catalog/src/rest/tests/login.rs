//! The token endpoint of old clients.

use std::sync::Arc;

use axum::body::Body;
use http::Request;

use super::kit::{Kit, Reply, request};
use crate::server::Access;
use tidewater_core::{Clock, ManualClock, SharedRng, SystemRng};
use tidewater_security::authenticator::{TOKEN_TTL_MS, hash_password};
use tidewater_security::{Authenticator, Principal, Role, TokenKey, UserSettings};

const TOKENS: &str = "/v1/oauth/tokens";
const EXCHANGE: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
    &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&subject_token=";

fn with_users(clock: &Arc<ManualClock>) -> Kit {
    let rng: SharedRng = SystemRng::shared();
    let users = vec![UserSettings {
        name: "ana".into(),
        password_hash: hash_password("correct horse", &rng).expect("a hash"),
        scram: None,
        role: Role::Reader,
    }];
    let clock: Arc<dyn Clock> = clock.clone();
    let users = Authenticator::new(users, TokenKey::derive(b"secret"), clock).expect("good users");
    Kit::with_access(Access::Users {
        users: Arc::new(users),
        nodes: Some(TokenKey::for_nodes(b"nodes")),
    })
}

async fn post(kit: &Kit, form: &str, basic: Option<&str>) -> Reply {
    let mut request = Request::post(TOKENS).header("content-type", "application/x-www-form-urlencoded");
    if let Some(basic) = basic {
        request = request.header("authorization", format!("Basic {basic}"));
    }
    kit.send(request.body(Body::from(form.to_owned())).expect("a request"))
        .await
}

async fn namespaces(kit: &Kit, token: &str) -> u16 {
    let mut request = request("GET", "/v1/namespaces", None, None);
    let value = format!("Bearer {token}").parse().expect("a header");
    request.headers_mut().insert("authorization", value);
    kit.send(request).await.status
}

// Goal: users get tokens that are good until they expire, by password and by an earlier token; nobody else does. Method: both grants, right and wrong;
// the clock past the end.
#[tokio::test]
async fn users_log_in() {
    let clock = Arc::new(ManualClock::new(1_000));
    let kit = with_users(&clock);
    assert_eq!(kit.get("/v1/namespaces").await.status, 401);
    // Nodes come in with tokens of their own key; somebody who is no user does not by the users' key.
    let node = Principal::named("node");
    for (key, status) in [
        (TokenKey::for_nodes(b"nodes"), 200),
        (TokenKey::for_nodes(b"others"), 401),
        (TokenKey::for_operators(b"nodes"), 401),
        (TokenKey::derive(b"secret"), 401),
    ] {
        assert_eq!(namespaces(&kit, &key.issue(&node, i64::MAX)).await, status);
    }
    let login = post(
        &kit,
        "grant_type=client_credentials&client_id=ana&client_secret=correct+horse&scope=catalog",
        None,
    )
    .await;
    assert_eq!(login.status, 200, "{}", login.body);
    assert_eq!(
        (login.body["token_type"].as_str(), login.body["expires_in"].as_i64()),
        (Some("bearer"), Some(TOKEN_TTL_MS / 1_000))
    );
    assert_eq!(login.headers["cache-control"], "no-store");
    let token = login.body["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(namespaces(&kit, &token).await, 200);
    let basic = post(&kit, "grant_type=client_credentials", Some("YW5hOmNvcnJlY3QgaG9yc2U=")).await;
    assert_eq!(basic.status, 200, "{}", basic.body);
    clock.advance(std::time::Duration::from_secs(60));
    let exchanged = post(&kit, &format!("{EXCHANGE}{token}"), None).await;
    assert_eq!(exchanged.status, 200, "{}", exchanged.body);
    let newer = exchanged.body["access_token"].as_str().expect("a token").to_owned();
    assert_ne!(newer, token);
    for (form, status, error) in [
        (
            "grant_type=client_credentials&client_id=ana&client_secret=wrong",
            401,
            "invalid_client",
        ),
        (
            "grant_type=client_credentials&client_id=bob&client_secret=x",
            401,
            "invalid_client",
        ),
        ("grant_type=client_credentials&client_id=ana", 400, "invalid_request"),
        ("grant_type=password&username=ana", 400, "unsupported_grant_type"),
        ("client_id=ana", 400, "invalid_request"),
        ("", 400, "invalid_request"),
        (&format!("{EXCHANGE}x"), 401, "invalid_client"),
        (EXCHANGE, 400, "invalid_request"),
        (
            &format!("grant_type=x&y={}", "z".repeat(70_000)),
            400,
            "invalid_request",
        ),
    ] {
        let reply = post(&kit, form, None).await;
        assert_eq!(
            (reply.status, reply.body["error"].as_str()),
            (status, Some(error)),
            "{form:.80}"
        );
        assert!(
            reply.body["error_description"]
                .as_str()
                .is_some_and(|says| !says.is_empty()),
            "{form:.80}"
        );
    }
    clock.advance(std::time::Duration::from_millis(
        u64::try_from(TOKEN_TTL_MS).expect("positive") - 30_000,
    ));
    assert_eq!(
        (namespaces(&kit, &token).await, namespaces(&kit, &newer).await),
        (419, 200)
    );
    let late = post(&kit, &format!("{EXCHANGE}{token}"), None).await;
    assert_eq!(late.status, 401);
}

// Goal: where nobody can log in the caller is told why and what to do. Method: a catalog without users, and one that takes tokens only.
#[tokio::test]
async fn without_users_nobody_logs_in() {
    for access in [Access::Open, Access::Tokens(TokenKey::derive(b"secret"))] {
        let kit = Kit::with_access(access);
        let reply = post(
            &kit,
            "grant_type=client_credentials&client_id=ana&client_secret=x",
            None,
        )
        .await;
        assert_eq!(
            (reply.status, reply.body["error"].as_str()),
            (400, Some("unauthorized_client"))
        );
        let says = reply.body["error_description"].as_str().unwrap_or_default();
        assert!(says.contains("no users"), "{says}");
    }
}
