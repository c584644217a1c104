//! Who may only read changes nothing.

use super::*;

// Goal: who may only read changes nothing. Method: a service with users, a statement of a reader's and the same of a writer's.
#[tokio::test]
async fn readers_change_nothing() {
    let lake = Lake::new().await;
    let rng: tidewater_core::SharedRng = Arc::new(SeededRng::new(9));
    let user = |name: &str, role| UserSettings {
        name: name.to_owned(),
        password_hash: tidewater_security::authenticator::hash_password("x", &rng).expect("a hash"),
        scram: None,
        role,
    };
    let users = vec![
        user("ana", tidewater_security::Role::Reader),
        user("ben", tidewater_security::Role::Writer),
    ];
    let inner = &lake.service.0;
    let authenticator = Authenticator::new(users, inner.key.clone(), SystemClock::shared()).expect("good users");
    let service = QueryService::new(
        inner.engine.clone(),
        inner.runner.clone(),
        authenticator,
        inner.key.clone(),
        inner.options.clone(),
        inner.sessions.clone(),
    );
    let statement = Statement::new("DELETE FROM numbers WHERE id = 3");
    let as_user = |name: &str| Principal::named(name);
    for name in ["ana", "nobody"] {
        let refused = service.change(&as_user(name), &statement).await.expect_err("a reader");
        assert_eq!(refused.code(), "SQL-0007");
        assert_eq!(
            service
                .prepare(&as_user(name), &statement.sql)
                .await
                .expect_err("a reader")
                .code(),
            "SQL-0007"
        );
    }
    assert_eq!(lake.rows("SELECT count(*) FROM numbers").await, ["10"]);
    let changed = service.change(&as_user("ben"), &statement).await.expect("a writer");
    assert_eq!(changed.expect("a command").rows(), 1);
}
