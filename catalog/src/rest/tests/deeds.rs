//! What is kept of changes of the policy, of drops and of operations.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use super::kit::{Kit, TABLES, new_table, request};
use crate::rest::{Remote, Working};
use crate::server::Access;
use tidewater_core::{SystemClock, SystemRng};
use tidewater_security::{
    AuditFilter, AuditLog, AuditOptions, Authenticator, Peer, PolicyChange, Principal, Role, StoredPassword, TokenKey,
    UserAction, UserChange, UserSettings, audit,
};

const POLICY: &str = "/internal/v1/policy";

/// An administrator of the configuration, whom no grant binds.
fn users() -> Arc<Authenticator> {
    let root = UserSettings {
        name: "root".into(),
        password_hash: String::new(),
        scram: None,
        role: Role::Admin,
    };
    let users = Authenticator::new(vec![root], TokenKey::derive(b"users"), SystemClock::shared());
    Arc::new(users.expect("users"))
}

fn change_of(user: &str, action: UserAction) -> Option<Value> {
    let user = user.to_owned();
    let change = PolicyChange::User(UserChange { user, action });
    Some(serde_json::to_value(change).expect("JSON"))
}

// Goal: who changed what users may do, dropped a table or asked for a backup is kept, with where they asked from and what became of it, also
// where they were refused; nothing of a password is, nor what nobody could read, and who showed no token fills no log. Method: changes with the
// token of a node and of an administrator, a broken one and one without a token, a drop, and a backup without the operator's token; then the
// lines of the log.
#[tokio::test]
async fn deeds_are_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let folder = dir.path().join("audit");
    let options = AuditOptions {
        directory: folder.clone(),
        keep: Duration::from_secs(3_600),
        bytes_max: 1 << 20,
        required: false,
        process: "lake-1".to_owned(),
    };
    let log = AuditLog::start(options, SystemClock::shared()).expect("a log");
    let users = users();
    let kit = Kit::at("memory:///lake", |options| {
        options.access = Access::Users {
            users: Arc::clone(&users),
            nodes: Some(TokenKey::for_nodes(b"nodes")),
        };
        options.operators = Some(TokenKey::for_operators(b"nodes"));
        options.audit = Some(log.clone());
    });
    let node = TokenKey::for_nodes(b"nodes").issue(&Principal::named("cli"), i64::MAX);
    let root = users.issue(&Principal::named("root"));
    let call = async |token: &str, method: &str, path: &str, body: Option<Value>| {
        let mut request = request(method, path, body, None);
        let value = format!("Bearer {token}").parse().expect("a header");
        request.headers_mut().insert("authorization", value);
        let remote = Remote {
            peer: Peer::at(Some(SocketAddr::from(([10, 0, 0, 7], 4_000)))),
            working: Working::default(),
        };
        request.extensions_mut().insert(ConnectInfo(remote));
        kit.send(request).await.status
    };
    let made = json!({"namespace": ["a"]});
    assert_eq!(call(&node, "POST", "/v1/namespaces", Some(made)).await, 200);
    assert_eq!(call(&node, "POST", TABLES, Some(new_table("t"))).await, 200);

    let password = StoredPassword::new("correct horse", &SystemRng::shared()).expect("a hash");
    let hash = password.hash.clone();
    let add = UserAction::Add {
        id: Uuid::from_u128(1),
        password: Some(password),
        roles: Vec::new(),
    };
    let grant = json!({"do": "grant", "privileges": ["select"], "on": {"object": {"namespace": ["a"], "name": "t"}},
        "to": [{"user": "ben"}]});
    let broken = json!({"do": "nothing", "password": "Canary"});
    let table = "/v1/namespaces/a/tables/t?purgeRequested=true";
    for (token, method, path, body, status) in [
        (&node, "POST", POLICY, change_of("ben", add), 200),
        (&root, "POST", POLICY, change_of("ben", UserAction::Drop), 403),
        (&node, "POST", POLICY, Some(grant), 200),
        (&node, "POST", POLICY, change_of("eve", UserAction::Disable), 404),
        (&node, "POST", POLICY, Some(broken), 400),
        (
            &String::new(),
            "POST",
            POLICY,
            change_of("ben", UserAction::Disable),
            401,
        ),
        (&root, "DELETE", table, None, 204),
        (&root, "GET", "/internal/v1/cluster/backup", None, 401),
    ] {
        assert_eq!(call(token, method, path, body).await, status, "{method} {path}");
    }
    log.flush().await.expect("kept");

    let mut lines = Vec::new();
    audit::read(&folder, &AuditFilter::default(), |line| lines.push(line)).expect("a folder");
    let told: Vec<String> = lines
        .iter()
        .map(|line| {
            assert_eq!(line["address"], "10.0.0.7", "{line}");
            let text = line.to_string();
            assert!(!text.contains("Canary") && !text.contains(&hash), "{line}");
            let word = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
            let words = ["event", "by", "user", "outcome", "error", "statement"].map(word);
            format!("{} {}", words.join(" "), line["tables"])
        })
        .collect();
    let expected = [
        "policy nodes cli ok - CREATE USER ben WITH PASSWORD []",
        "policy user root denied SEC-0008 DROP USER ben []",
        r#"policy nodes cli ok - GRANT SELECT ON TABLE a.t TO USER ben ["a.t"]"#,
        "policy nodes cli failed SEC-0026 ALTER USER eve DISABLE []",
        "policy nodes cli failed CAT-0008 POST /internal/v1/policy []",
        r#"operation user root ok - DELETE /v1/namespaces/a/tables/t?purgeRequested=true ["a.t"]"#,
        "operation user root denied CAT-0023 GET /internal/v1/cluster/backup []",
    ];
    assert_eq!(told, expected);
}

// Goal: what nobody waited for until its end may have been done, and is kept as that. Method: a change of the policy that is given up before
// it is answered.
#[tokio::test]
async fn what_is_given_up_is_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let folder = dir.path().join("audit");
    let options = AuditOptions {
        directory: folder.clone(),
        keep: Duration::from_secs(3_600),
        bytes_max: 1 << 20,
        required: false,
        process: "lake-1".to_owned(),
    };
    let log = AuditLog::start(options, SystemClock::shared()).expect("a log");
    let (began, begins) = tokio::sync::oneshot::channel::<()>();
    let began = Arc::new(Mutex::new(Some(began)));
    let handler = move || {
        let began = began.lock().expect("no panic").take();
        async move {
            drop(began);
            std::future::pending::<()>().await;
        }
    };
    let keeping = from_fn_with_state(Some(log.clone()), crate::rest::keep_deeds);
    let router: Router = Router::new().route(POLICY, post(handler)).layer(keeping);
    let body = json!({"do": "create_role", "role": "analyst"});
    let asking = router.oneshot(request("POST", POLICY, Some(body), None));
    tokio::select! {
        _ = asking => panic!("it was answered"),
        _ = begins => {}
    }
    log.flush().await.expect("kept");
    let mut lines = Vec::new();
    audit::read(&folder, &AuditFilter::default(), |line| lines.push(line)).expect("a folder");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let told = ["event", "outcome", "error", "statement"].map(|key| lines[0][key].as_str().unwrap_or("-"));
    assert_eq!(told, ["policy", "unknown", "CAT-1002", "CREATE ROLE analyst"]);
}

// Goal: nobody pushes out what was kept by a request that names a table at great length. Method: a table of a long name is brought back, and
// granted on; the lines are read back.
#[tokio::test]
async fn long_names_are_cut() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let folder = dir.path().join("audit");
    let options = AuditOptions {
        directory: folder.clone(),
        keep: Duration::from_secs(3_600),
        bytes_max: 1 << 24,
        required: false,
        process: "lake-1".to_owned(),
    };
    let log = AuditLog::start(options, SystemClock::shared()).expect("a log");
    let kit = Kit::at("memory:///lake", |options| options.audit = Some(log.clone()));
    let name = "é".repeat(1 << 20);
    let undrop = json!({"namespace": ["a"], "name": name});
    let grant = json!({"do": "grant", "privileges": ["select"], "on": {"object": {"namespace": ["a"], "name": name}},
        "to": [{"user": "ben"}]});
    for (path, body) in [("/internal/v1/dropped/undrop", undrop), (POLICY, grant)] {
        let status = kit.send(request("POST", path, Some(body), None)).await.status;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    log.flush().await.expect("kept");
    let mut lines = Vec::new();
    audit::read(&folder, &AuditFilter::default(), |line| lines.push(line)).expect("a folder");
    assert_eq!(lines.len(), 2);
    for line in lines {
        let length = line.to_string().len();
        assert!(length < 64 << 10, "{length}");
        let told = line["tables"][0].as_str().expect("a table");
        assert!(told.starts_with("a.éé") && told.ends_with("é…"), "{told:.20}");
    }
}
