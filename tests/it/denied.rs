//! What users may do before anything was granted, at every front of a whole process, and how the first grant is made.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::wire::Wire;
use crate::kit::{Node, NodeBuilder, password_hash, wait_for};

const PASSWORD: &str = "correct-horse";

/// How long a grant, or a line of the log, may take on a machine that does other things.
const KNOWN_DEADLINE: Duration = Duration::from_secs(30);

/// The configuration with these users and their roles, behind this.
fn users(before: &str, users: &[(&str, &str)]) -> String {
    let hash = password_hash(PASSWORD);
    let users = users.iter().map(|(name, role)| {
        format!("[[security.users]]\nname = \"{name}\"\npassword_hash = \"{hash}\"\nrole = \"{role}\"\n")
    });
    before.to_owned() + &users.collect::<Vec<String>>().concat()
}

fn enter(node: &Node, user: &str) -> Wire {
    Wire::enter(node.ports().postgres, user, PASSWORD).0
}

/// One statement through Flight SQL.
fn flight(node: &Node, user: &str, sql: &str) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_tidewater"))
        .args(["query", sql, "--output", "json", "--user", user])
        .args(["--endpoint", &format!("127.0.0.1:{}", node.ports().flight)])
        .env("TIDEWATER_PASSWORD", PASSWORD)
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn client() -> reqwest::blocking::Client {
    reqwest::blocking::Client::builder().no_proxy().build().unwrap()
}

/// The status, and the body if it is JSON.
fn told(answer: reqwest::blocking::Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let body = answer.text().unwrap();
    (status, serde_json::from_str(&body).unwrap_or_default())
}

/// One statement at the control endpoint.
fn http(node: &Node, user: &str, sql: &str) -> (u16, Value) {
    let url = format!("http://127.0.0.1:{}/api/v1/sql", node.ports().http);
    let request = client().post(url).header("content-type", "text/plain");
    let request = request.basic_auth(user, Some(PASSWORD)).body(sql.to_owned());
    told(request.send().unwrap())
}

/// What the catalog answers a user.
fn rest(node: &Node, user: &str, path: &str) -> (u16, Value) {
    let base = format!("http://127.0.0.1:{}/v1", node.ports().catalog);
    let login = client().post(format!("{base}/oauth/tokens"));
    let login = login.basic_auth(user, Some(PASSWORD));
    let login = login.form(&[("grant_type", "client_credentials")]).send().unwrap();
    let (status, answer) = told(login);
    assert_eq!(status, 200, "{answer}");
    let token = answer["access_token"].as_str().unwrap();
    told(
        client()
            .get(format!("{base}/{path}"))
            .bearer_auth(token)
            .send()
            .unwrap(),
    )
}

/// Has these carried out.
fn carry_out(user: &mut Wire, statements: &[&str]) {
    for sql in statements {
        user.asked(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

const TABLE: [&str; 3] = [
    "CREATE SCHEMA g",
    "CREATE TABLE g.t (id int)",
    "INSERT INTO g.t VALUES (1), (2)",
];
const COUNT: &str = "SELECT count(*) FROM g.t";

// Goal: where nobody says when grants bind, a user who was granted nothing may do nothing at any front, is told why and what to type, and sees
// empty lists, while an administrator works; the log says it once; with a grant the user reads, and nothing else. Method: a whole process with an
// administrator and a writer, by the PostgreSQL wire, Flight SQL, HTTP and REST, before and after a grant by the command line.
#[test]
fn nothing_is_allowed_before_a_grant() {
    let dir = tempfile::tempdir().unwrap();
    let config = users("", &[("root", "admin"), ("ana", "writer")]);
    let node = NodeBuilder::up(dir.path()).config(&config).start();
    let (mut root, mut ana) = (enter(&node, "root"), enter(&node, "ana"));
    carry_out(&mut root, &TABLE);
    let denied = Err("42501".to_owned());
    for sql in [
        COUNT,
        "SELECT * FROM g.nosuch",
        "INSERT INTO g.t VALUES (3)",
        "DELETE FROM g.t",
        "DROP TABLE g.t",
        "CREATE SCHEMA mine",
        "GRANT SELECT ON g.t TO USER ana",
    ] {
        assert_eq!(ana.asked(sql), denied, "{sql}");
    }
    for listing in [
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'g'",
        "SELECT count(*) FROM pg_catalog.pg_class WHERE relname = 't'",
    ] {
        assert_eq!(ana.asked(listing).unwrap(), ["0"], "{listing}");
        assert_eq!(root.asked(listing).unwrap(), ["1"], "{listing}");
    }
    let says = |text: &str| text.contains("SEC-0032") && text.contains("role grant") && text.contains("when_made");
    let refused = flight(&node, "ana", COUNT).unwrap_err();
    assert!(says(&refused), "{refused}");
    let (status, answer) = http(&node, "ana", COUNT);
    assert!(status == 403 && says(&answer.to_string()), "{status} {answer}");
    for path in [
        "namespaces/g/tables/t",
        "namespaces/g/tables/nosuch",
        "namespaces/g/tables",
    ] {
        let (status, answer) = rest(&node, "ana", path);
        assert!(status == 403 && says(&answer.to_string()), "{path}: {status} {answer}");
    }
    assert_eq!(rest(&node, "ana", "namespaces").1["namespaces"], json!([]));
    let all = rest(&node, "root", "namespaces").1;
    assert!(all["namespaces"].as_array().unwrap().contains(&json!(["g"])), "{all}");
    assert_eq!(root.asked(COUNT).unwrap(), ["2"]);
    wait_for("the log says it", KNOWN_DEADLINE, || {
        node.log().contains("NOTHING WAS GRANTED YET").then_some(())
    });
    assert_eq!(node.log().matches("NOTHING WAS GRANTED YET").count(), 1);

    let grant = ["role", "grant", "SELECT", "--on", "schema g", "--to", "user ana"];
    node.builder().cli(&grant).unwrap();
    wait_for("the grant is known", KNOWN_DEADLINE, || ana.asked(COUNT).ok());
    flight(&node, "ana", COUNT).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(http(&node, "ana", COUNT).0, 200);
    assert_eq!(rest(&node, "ana", "namespaces/g/tables/t").0, 200);
    assert_eq!(rest(&node, "ana", "namespaces/g/tables/nosuch").0, 404);
    assert_eq!(ana.asked("SELECT * FROM g.nosuch"), Err("42P01".to_owned()));
    assert_eq!(ana.asked("INSERT INTO g.t VALUES (3)"), denied);
}

// Goal: an installation without an administrator says at its start what to type, and that makes the first grant, with the secret of the machine
// as with that of the nodes. Method: a whole process with one writer under either; the log, a refusal, the command that the log names, and what
// who was granted everything does then.
#[test]
fn the_first_grant_is_made_from_the_command_line() {
    let secret = "[security]\nnode_secret = \"an installation's own 32 bytes or more\"\n";
    for before in ["", secret] {
        let dir = tempfile::tempdir().unwrap();
        let node = NodeBuilder::up(dir.path())
            .config(&users(before, &[("ana", "writer")]))
            .start();
        wait_for("the log says what to type", KNOWN_DEADLINE, || {
            let log = node.log();
            (log.contains("NO ADMINISTRATOR IS CONFIGURED") && log.contains("tidewater role grant ALL --on warehouse"))
                .then_some(())
        });
        let mut ana = enter(&node, "ana");
        assert_eq!(ana.asked("CREATE SCHEMA g"), Err("42501".to_owned()));
        let grant = ["role", "grant", "ALL", "--on", "warehouse", "--to", "user ana"];
        node.builder().cli(&grant).unwrap();
        wait_for("the grant is known", KNOWN_DEADLINE, || ana.asked(TABLE[0]).ok());
        carry_out(&mut ana, &TABLE[1..]);
        carry_out(
            &mut ana,
            &["CREATE ROLE analyst", "GRANT SELECT ON SCHEMA g TO ROLE analyst"],
        );
        assert_eq!(ana.asked(COUNT).unwrap(), ["2"]);
    }
}

// Goal: where it is written that grants bind once one is made, roles of the configuration decide until then, and not after it. Method: a whole
// process with a reader and a writer, by the PostgreSQL wire and REST, before and after a role is made.
#[test]
fn roles_decide_until_the_first_grant_where_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let config = users(
        "[security]\ngrants = \"when_made\"\n",
        &[("ben", "writer"), ("ana", "reader")],
    );
    let node = NodeBuilder::up(dir.path()).config(&config).start();
    let (mut ben, mut ana) = (enter(&node, "ben"), enter(&node, "ana"));
    carry_out(&mut ben, &TABLE);
    assert_eq!(ana.asked(COUNT).unwrap(), ["2"]);
    assert_eq!(ana.asked("DELETE FROM g.t"), Err("42501".to_owned()));
    assert_eq!(rest(&node, "ana", "namespaces/g/tables/t").0, 200);
    node.builder().cli(&["role", "create", "analyst"]).unwrap();
    for user in [&mut ana, &mut ben] {
        wait_for("grants bind", KNOWN_DEADLINE, || user.asked(COUNT).err());
        assert_eq!(user.asked(COUNT), Err("42P01".to_owned()));
    }
    assert_eq!(rest(&node, "ana", "namespaces/g/tables/t").0, 404);
}
