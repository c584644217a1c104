//! The token endpoint of old clients.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use uuid::Uuid;

use super::kit::{Kit, Reply, request};
use crate::server::Access;
use tidewater_core::{Clock, ManualClock, SharedRng, SystemClock, SystemRng};
use tidewater_security::authenticator::{TOKEN_TTL_MS, hash_password};
use tidewater_security::{
    Authenticator, Claims, Outcome, PolicyChange, Principal, Role, StoredPassword, TokenKey, UserAction, UserChange,
    UserSettings, Way,
};

const TOKENS: &str = "/v1/oauth/tokens";
const EXCHANGE: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
    &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&subject_token=";

/// The users `ana` and `eve`.
fn users(clock: &Arc<ManualClock>) -> Arc<Authenticator> {
    let rng: SharedRng = SystemRng::shared();
    let user = |name: &str, password: &str| UserSettings {
        name: name.into(),
        password_hash: hash_password(password, &rng).expect("a hash"),
        scram: None,
        role: Role::Reader,
    };
    let users = vec![user("ana", "correct horse"), user("eve", "battery staple")];
    let clock: Arc<dyn Clock> = clock.clone();
    let users = Authenticator::new(users, TokenKey::derive(b"secret"), clock).expect("good users");
    Arc::new(users)
}

fn catalog_of(users: &Arc<Authenticator>) -> Kit {
    Kit::with_access(Access::Users {
        users: Arc::clone(users),
        nodes: Some(TokenKey::for_nodes(b"nodes")),
    })
}

fn counted(users: &Authenticator, way: Way, outcome: Outcome) -> u64 {
    let counts = users.logins().counts();
    let found = counts.iter().find(|(of, what, _)| (*of, *what) == (way, outcome));
    found
        .map(|(_, _, count)| *count)
        .expect("each way and outcome is counted")
}

/// The status, and what is said of it.
fn answer(reply: &Reply) -> (u16, &str) {
    let says = reply.body["error_description"].as_str().unwrap_or_default();
    (reply.status, says)
}

fn token_of(reply: &Reply) -> &str {
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body["access_token"].as_str().expect("a token")
}

/// Changes the catalog's policy, as a node may.
async fn change(kit: &Kit, change: PolicyChange) {
    let body = serde_json::to_value(change).expect("JSON");
    let mut request = request("POST", "/internal/v1/policy", Some(body), None);
    let token = TokenKey::for_nodes(b"nodes").issue(&Principal::named("node"), i64::MAX);
    let value = format!("Bearer {token}").parse().expect("a header");
    request.headers_mut().insert("authorization", value);
    let reply = kit.send(request).await;
    assert!(reply.status < 300, "{} {}", reply.status, reply.body);
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
    let kit = catalog_of(&users(&clock));
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
    clock.advance(Duration::from_secs(60));
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
    clock.advance(Duration::from_millis(
        u64::try_from(TOKEN_TTL_MS).expect("positive") - 30_000,
    ));
    assert_eq!(
        (namespaces(&kit, &token).await, namespaces(&kit, &newer).await),
        (419, 200)
    );
    let late = post(&kit, &format!("{EXCHANGE}{token}"), None).await;
    assert_eq!(late.status, 401);
}

// Goal: a session whose token has expired comes back by the password of the token's user, as Iceberg's Java client sends it then, and as by
// any login with it; nobody else comes in by an expired token. Method: the exchange alone, with the password in the header and the form, with
// others' passwords, with a forged token and one that was taken back; wrong passwords until the right one is not looked at.
#[tokio::test]
async fn an_expired_token_comes_back_by_the_password() {
    const ANA: &str = "YW5hOmNvcnJlY3QgaG9yc2U=";
    const ANA_WRONG: &str = "YW5hOndyb25n";
    const EVE: &str = "ZXZlOmJhdHRlcnkgc3RhcGxl";
    const EVE_BY_ANAS: &str = "ZXZlOmNvcnJlY3QgaG9yc2U=";
    let clock = Arc::new(ManualClock::new(1_000));
    let users = users(&clock);
    let kit = catalog_of(&users);
    let login = post(&kit, "grant_type=client_credentials", Some(ANA)).await;
    let first = format!("{EXCHANGE}{}", token_of(&login));
    // A good token is exchanged by itself, whatever comes with it.
    let good = post(&kit, &first, Some(ANA_WRONG)).await;
    assert_eq!(good.status, 200, "{}", good.body);
    clock.advance(Duration::from_secs(13 * 3_600));
    let expired = (401, "the token has expired");
    assert_eq!(answer(&post(&kit, &first, None).await), expired);
    let back = post(&kit, &first, Some(ANA)).await;
    assert_eq!(namespaces(&kit, token_of(&back)).await, 200);
    assert_eq!(back.body["expires_in"].as_i64(), Some(TOKEN_TTL_MS / 1_000));
    let form = format!("{first}&client_id=ana&client_secret=correct+horse");
    token_of(&post(&kit, &form, None).await);
    assert_eq!(counted(&users, Way::Password, Outcome::Succeeded), 3);
    assert_eq!(counted(&users, Way::Token, Outcome::Denied), 1);
    // Others' names, with whatever password, say nothing of who had the token, and no password is looked at.
    for basic in [EVE, EVE_BY_ANAS, "bm9ib2R5OmNvcnJlY3QgaG9yc2U="] {
        assert_eq!(answer(&post(&kit, &first, Some(basic)).await), expired, "{basic}");
    }
    let other = TokenKey::derive(b"other");
    let forged = Claims::new(&other, "ana", 1_000, 2_000, 1).seal(&other);
    let forged = post(&kit, &format!("{EXCHANGE}{forged}"), Some(ANA)).await;
    assert_eq!(answer(&forged), (401, "the token is not valid"));
    assert_eq!(counted(&users, Way::Token, Outcome::Denied), 5);
    assert_eq!(counted(&users, Way::Password, Outcome::Denied), 0);
    for _ in 0..10 {
        let wrong = post(&kit, &first, Some(ANA_WRONG)).await;
        assert_eq!(answer(&wrong), (401, "user name or password is wrong"));
    }
    let early = post(&kit, &first, Some(ANA)).await;
    assert!(answer(&early).1.starts_with("too many failed logins"), "{}", early.body);
    assert_eq!(early.status, 401);
    assert_eq!(counted(&users, Way::Password, Outcome::Denied), 10);
    assert_eq!(counted(&users, Way::Password, Outcome::Throttled), 1);
    clock.advance(Duration::from_secs(2));
    token_of(&post(&kit, &first, Some(ANA)).await);
    // What was taken back is exchanged for nothing, be it that the password would do alone.
    change(&kit, PolicyChange::RevokeTokensOf { user: "ana".into() }).await;
    assert_eq!(answer(&post(&kit, &first, Some(ANA)).await), expired);
    token_of(&post(&kit, "grant_type=client_credentials", Some(ANA)).await);
}

// Goal: users whom the catalog keeps come back so too, also where they never logged in, and who is disabled does not. Method: a token that
// another node gave, by a node that has heard of its user by the log only.
#[tokio::test]
async fn users_of_the_catalog_come_back_too() {
    const BEN: &str = "YmVuOmNvcnJlY3QgaG9yc2U=";
    let clock = Arc::new(ManualClock::new(SystemClock::shared().now_ms()));
    let kit = catalog_of(&users(&clock));
    let ben = |action: UserAction| {
        let user = "ben".into();
        PolicyChange::User(UserChange { user, action })
    };
    let password = StoredPassword::new("correct horse", &SystemRng::shared()).expect("a hash");
    let add = UserAction::Add {
        id: Uuid::from_u128(1),
        password: Some(password),
        roles: Vec::new(),
    };
    change(&kit, ben(add)).await;
    let elsewhere = users(&clock);
    elsewhere.heed(Arc::new(kit.service.consensus.state().state.policy()));
    let token = elsewhere.issue(&elsewhere.principal("ben").expect("a user"));
    clock.advance(Duration::from_secs(13 * 3_600));
    let form = format!("{EXCHANGE}{token}");
    let back = post(&kit, &form, Some(BEN)).await;
    assert_eq!(namespaces(&kit, token_of(&back)).await, 200);
    change(&kit, ben(UserAction::Disable)).await;
    let refused = post(&kit, &form, Some(BEN)).await;
    assert_eq!(answer(&refused), (401, "the token has expired"));
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
