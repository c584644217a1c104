//! The log of who did what, of a whole process that is killed.

use serde_json::{Value, json};

use crate::kit::wire::{Said, Wire};
use crate::kit::{NodeBuilder, password_hash};

const PASSWORD: &str = "correct horse: battery";

/// What the command line reads of the log, whether or not the process runs.
fn log(builder: &NodeBuilder, args: &[&str]) -> Vec<Value> {
    let verb = ["query", "log", "--output", "json"];
    let text = builder.cli(&[&verb[..], args].concat()).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

// Goal: who came in, who did not, who was denied what, who read what and who changed users by the command line is there after the process was
// killed in the middle of everything, and after it was told to end; no value is. Method: a process that may do nothing that it cannot keep, killed as soon as a row has come; its log
// is read by the command line without it, then it starts again, answers statements, one of them about what was kept of the process before
// it, which it refuses to who is no administrator, and is told to end.
#[test]
fn what_was_done_is_kept_through_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let hash = password_hash(PASSWORD);
    let user = |name: &str, role: &str| {
        format!("[[security.users]]\nname = \"{name}\"\npassword_hash = \"{hash}\"\nrole = \"{role}\"\n")
    };
    let users = [user("root", "admin"), user("ana", "reader")].concat();
    // What is kept is no matter of grants: until the first, a reader reads.
    let config = format!("[audit]\nrequired = true\n[security]\ngrants = \"when_made\"\n{users}");
    let node = NodeBuilder::up(dir.path()).config(&config).start();
    node.builder().cli(&["user", "add", "robot", "--service"]).unwrap();
    node.builder().cli(&["token", "revoke", "--user", "robot"]).unwrap();
    node.builder().cli(&["user", "drop", "nobody"]).unwrap_err();
    let port = node.ports().postgres;
    let (mut root, _) = Wire::enter(port, "root", PASSWORD);
    for sql in [
        "CREATE SCHEMA g",
        "CREATE TABLE g.patients (id int, name text)",
        "INSERT INTO g.patients VALUES (1, 'Canary-Name')",
    ] {
        root.row(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let (mut ana, _) = Wire::enter(port, "ana", PASSWORD);
    let refused = Wire::open(port).log_in("ana", "not-their-password");
    assert!(matches!(refused, Said::Refused(_)), "{refused:?}");
    ana.row("DELETE FROM g.patients").unwrap_err();
    let row = ana.row("SELECT name FROM g.patients WHERE name = 'Canary-Name'");
    assert_eq!(row.unwrap(), ["Canary-Name"]);
    let builder = node.kill();

    let all = log(&builder, &[]);
    let text = serde_json::to_string(&all).unwrap();
    for secret in ["Canary-Name", "not-their-password", PASSWORD] {
        assert!(!text.contains(secret), "{secret} is told: {text}");
    }
    let logins: Vec<(&Value, &Value)> = all
        .iter()
        .filter(|line| line["event"] == "login")
        .map(|line| {
            assert_eq!(line["address"], "127.0.0.1", "{line}");
            (&line["user"], &line["outcome"])
        })
        .collect();
    for (user, outcome) in [("root", "ok"), ("ana", "ok"), ("ana", "denied")] {
        let wanted = (&json!(user), &json!(outcome));
        assert!(logins.contains(&wanted), "{wanted:?} is not in {text}");
    }
    let changes: Vec<(&Value, &Value, &Value)> = all
        .iter()
        .filter(|line| line["event"] == "policy")
        .map(|line| {
            assert_eq!((&line["by"], &line["address"]), (&json!("nodes"), &json!("127.0.0.1")));
            (&line["statement"], &line["outcome"], &line["error"])
        })
        .collect();
    let wanted = [
        (&json!("CREATE USER robot WITHOUT PASSWORD"), &json!("ok"), &Value::Null),
        (&json!("REVOKE TOKENS OF USER robot"), &json!("ok"), &Value::Null),
        (&json!("DROP USER nobody"), &json!("failed"), &json!("SEC-0026")),
    ];
    assert_eq!(changes, wanted);
    let about = ["--user", "ana", "--table", "g.patients", "--since", "1h"];
    let denied = log(&builder, &[&about[..], &["--failed"]].concat());
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert!(
        denied[0]["statement"].as_str().unwrap().starts_with("DELETE"),
        "{denied:?}"
    );
    let read = log(&builder, &about);
    let began = read.iter().find(|line| line["event"] == "began").unwrap();
    assert_eq!(
        (&began["tables"], &began["front"], &began["address"]),
        (&json!(["g.patients"]), &json!("postgres"), &json!("127.0.0.1"))
    );

    let node = builder.start();
    let (mut root, _) = Wire::enter(node.ports().postgres, "root", PASSWORD);
    root.row("SELECT count(*) FROM g.patients").unwrap();
    let read = "SELECT statement FROM ops.audit WHERE event = 'statement' AND \"user\" = 'ana' AND error IS NOT NULL \
                AND at > now() - interval '1 hour'";
    let row = root.row(read).unwrap();
    assert!(row[0].starts_with("DELETE"), "{row:?}");
    let (mut ana, _) = Wire::enter(node.ports().postgres, "ana", PASSWORD);
    ana.row("SELECT count(*) FROM ops.queries").unwrap();
    ana.row("SELECT count(*) FROM ops.audit").unwrap_err();
    let (builder, code) = node.stop();
    assert_eq!(code, Some(0));
    let of_root = log(&builder, &["--user", "root", "--table", "g.patients"]);
    let ended = |word: &str| {
        of_root.iter().any(|line| {
            let statement = line["statement"].as_str().unwrap();
            line["event"] == "statement" && line["error"].is_null() && statement.starts_with(word)
        })
    };
    assert!(ended("INSERT") && ended("SELECT count"), "{of_root:?}");
}
