//! Users of the catalog, and their tokens.

use super::*;

// Goal: a user of the catalog comes in by password and token, and once disabled, or dropped, is nobody at every route, as is who had the
// name before another one. Method: login, every route of the router, and a token in the place of the password, before and after each
// change; changes of the configuration's users and of strangers are refused.
#[tokio::test]
async fn users_of_the_catalog_come_and_go() {
    let lake = Lake::new().await;
    let change = |user: &str, action: UserAction| {
        let user = user.to_owned();
        serde_json::to_value(PolicyChange::User(UserChange { user, action })).expect("JSON")
    };
    let add = |id: u128| UserAction::Add {
        id: Uuid::from_u128(id),
        password: Some(StoredPassword::new("correct horse", &SystemRng::shared()).expect("a hash")),
        roles: Vec::new(),
    };
    let login = async |secret: &str| {
        let form = format!("grant_type=client_credentials&client_id=ben&client_secret={secret}");
        let request = Request::post("/v1/oauth/tokens").header("content-type", "application/x-www-form-urlencoded");
        let reply = lake.kit.send(request.body(Body::from(form)).expect("a request")).await;
        (reply.status, reply.body["access_token"].as_str().map(str::to_owned))
    };
    let reads = async |token: &str| lake.with(token, "GET", TABLE, None).await.status;
    assert_eq!(login("correct+horse").await, (401, None));
    lake.node("POST", POLICY, change("ben", add(1))).await;
    assert_eq!(login("wrong").await, (401, None));
    let token = login("correct+horse").await.1.expect("a token");
    assert_eq!((reads(&token).await, login(&token).await.0), (200, 200));
    lake.node("POST", POLICY, change("ben", UserAction::Disable)).await;
    let mut checked = 0;
    for (route, methods) in &routes() {
        for method in methods.iter().filter(|_| route != "/v1/oauth/tokens") {
            let body = (*method == "POST" || *method == "PUT").then(|| json!({}));
            let request = Lake::bearer(request(method, &path_of(route), body, None), &token);
            let response = tower::ServiceExt::oneshot(lake.kit.router.clone(), request).await;
            let status = response.expect("the router always answers").status();
            assert_eq!(status.as_u16(), 401, "{method} {route}");
            checked += 1;
        }
    }
    assert!(checked >= 55, "{checked} checked");
    assert_eq!((login("correct+horse").await.0, login(&token).await.0), (401, 401));
    lake.node("POST", POLICY, change("ben", UserAction::Enable)).await;
    lake.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!((reads(&token).await, login(&token).await.0), (401, 401));
    let token = login("correct+horse").await.1.expect("a token");
    assert_eq!(reads(&token).await, 200);
    lake.node("POST", POLICY, change("ben", UserAction::Drop)).await;
    assert_eq!((reads(&token).await, login("correct+horse").await.0), (401, 401));
    lake.node("POST", POLICY, change("ben", add(2))).await;
    assert_eq!(reads(&token).await, 401, "the token was another one's");
    assert_eq!(login("correct+horse").await.0, 200);
    let service = UserAction::Add {
        id: Uuid::from_u128(4),
        password: None,
        roles: Vec::new(),
    };
    lake.node("POST", POLICY, change("etl", service)).await;
    let password = StoredPassword::new("correct horse", &SystemRng::shared()).expect("a hash");
    for (user, action, status, says) in [
        ("", add(3), 400, "1 to 256 bytes"),
        ("b:n", add(3), 400, "colon"),
        ("b\nn", add(3), 400, "control"),
        ("etl", UserAction::SetPassword { password }, 409, "service account"),
        ("ben", add(3), 409, "already"),
        ("ana", add(3), 409, "configuration"),
        ("ana", UserAction::Disable, 409, "configuration"),
        ("mallory", UserAction::Disable, 404, "no user"),
    ] {
        let reply = lake
            .with(&lake.node_token(), "POST", POLICY, Some(change(user, action)))
            .await;
        assert_eq!(reply.status, status, "{user}: {}", reply.body);
        assert!(reply.message().contains(says), "{user}: {}", reply.body);
    }
    let plain = StoredPassword {
        hash: "correct horse".into(),
        scram: String::new(),
    };
    let plain = change("ben", UserAction::SetPassword { password: plain });
    assert_eq!(
        lake.with(&lake.node_token(), "POST", POLICY, Some(plain)).await.status,
        400
    );
    assert_eq!(
        lake.status("root", "POST", POLICY, Some(change("ben", UserAction::Drop)))
            .await,
        403
    );
}

// Goal: tokens can be taken back, at once and by everybody's node. Method: by id's user, and that a later token is good.
#[tokio::test]
async fn tokens_are_taken_back() {
    let lake = Lake::new().await;
    let token = lake.token("ana");
    assert_eq!(lake.with(&token, "GET", TABLE, None).await.status, 200);
    lake.node("POST", POLICY, json!({"do": "revoke_tokens_of", "user": "ana"}))
        .await;
    let reply = lake.with(&token, "GET", TABLE, None).await;
    assert_eq!(
        (reply.status, reply.kind()),
        (401, "NotAuthorizedException"),
        "{}",
        reply.body
    );
    lake.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(lake.status("ana", "GET", TABLE, None).await, 200);
    let (claims, token) = lake.users.issue_for(&Principal::named("ana"), 60_000);
    lake.node(
        "POST",
        POLICY,
        json!({"do": "revoke_token", "id": claims.id, "until_ms": claims.until_ms}),
    )
    .await;
    assert_eq!(lake.with(&token, "GET", TABLE, None).await.status, 401);
    assert_eq!(lake.status("eve", "GET", TABLE, None).await, 200);
    let state = lake.with(&lake.node_token(), "GET", POLICY, None).await;
    assert_eq!(state.body["policy"]["in_force"], false);
}
