//! What the secret of the nodes lets in, and what it keeps out.

use std::path::Path;

use crate::kit::{Node, NodeBuilder, free_port, node};

const SECRET: &str = "an installation's own 32 bytes or more";

/// Catalog nodes on addresses of their own, as machines have them.
fn catalog(dir: &Path, number: usize, ports: &[(u16, u16)], secret: &str) -> NodeBuilder {
    let peers: Vec<String> = ports
        .iter()
        .enumerate()
        .map(|(at, (catalog, raft))| {
            let host = format!("127.0.0.{}", at + 1);
            format!(
                "\"{}\" = {{ raft = \"{host}:{raft}\", catalog = \"http://{host}:{catalog}\" }}",
                at + 1
            )
        })
        .collect();
    let (catalog, raft) = ports[number - 1];
    let mut builder = NodeBuilder::serve(dir, "catalog").config(&format!(
        "[catalog]\nlisten = \"127.0.0.{number}:{catalog}\"\nwarehouse = \"file://{}\"\n\
         [raft]\nnode_id = {number}\nlisten = \"127.0.0.{number}:{raft}\"\npeers = {{ {} }}\n\
         [security]\nnode_secret = \"{secret}\"\n",
        dir.join("lake").display(),
        peers.join(", "),
    ));
    builder.name = format!("node-{number}");
    builder
}

fn ports() -> Vec<(u16, u16)> {
    (0..3).map(|_| (free_port(), free_port())).collect()
}

fn members(node: &Node) -> Option<usize> {
    let status: serde_json::Value = serde_json::from_str(&node.cli(&["status", "--output", "json"]).ok()?).ok()?;
    Some(status["catalog"]["members"].as_array()?.len())
}

// Goal: three nodes on three addresses form a group with their secret, and answer only those who know it. Method: three catalogs;
// calls with the configuration of a node, without a token, and with a token that another secret signed.
#[test]
fn nodes_know_each_other_by_their_secret() {
    let dir = tempfile::tempdir().unwrap();
    let ports = ports();
    let mut nodes: Vec<Node> = (1..=3)
        .map(|number| catalog(dir.path(), number, &ports, SECRET).spawn())
        .collect();
    for node in &mut nodes {
        node.wait_ready();
    }
    for node in &nodes {
        assert_eq!(members(node), Some(3));
        assert!(node.cli(&["table", "ls"]).is_ok());
        assert_eq!(
            node::get(&node.ready_url()).unwrap().0,
            200,
            "whether it is ready is told to everybody"
        );
        let status = node.ready_url().replace("/ready", "/v1/status");
        assert_eq!(
            node::get(&status).unwrap().0,
            401,
            "the control endpoint asks for a token"
        );
    }
    let url = format!("http://127.0.0.1:{}/v1/namespaces", ports[0].0);
    assert_eq!(node::get(&url).unwrap().0, 401, "the catalog asks for a token");
    let token = nodes[0].cli(&["user", "token", "spark"]).unwrap();
    let with = |token: &str| {
        let request = reqwest::blocking::Client::new().get(&url).bearer_auth(token);
        request.send().unwrap().status().as_u16()
    };
    assert_eq!(with(token.trim()), 200);
    assert_eq!(with(&format!("{}x", token.trim())), 401);
}

// Goal: who has another secret takes no part. Method: one of three nodes comes back with another secret: it is refused and ends with
// the way out, and the two others go on.
#[test]
fn another_secret_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ports = ports();
    let mut nodes: Vec<Node> = (1..=3)
        .map(|number| catalog(dir.path(), number, &ports, SECRET).spawn())
        .collect();
    for node in &mut nodes {
        node.wait_ready();
    }
    let mut other = nodes.remove(2).kill();
    other.config = other.config.replace(SECRET, "another text that is 32 bytes long too");
    let (other, code) = other.spawn().wait_end();
    assert_eq!(code, Some(1), "{}", other.log());
    assert!(other.log().contains("security.node_secret"), "{}", other.log());
    assert!(nodes[0].cli(&["table", "ls"]).is_ok(), "the two go on");
}

// Goal: where users are configured nobody reads or writes the catalog without being one: users come in with their passwords,
// and the process itself and commands on its data directory go on. Method: a whole process with one user and no secret; REST
// without a token, with a wrong password, with the right one by both ways; a table listed and a query; a restart.
#[test]
fn users_close_the_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let builder = NodeBuilder::up(dir.path());
    let hash = crate::kit::password_hash("correct horse");
    let user = format!("[[security.users]]\nname = \"ana\"\npassword_hash = \"{hash}\"\n");
    let mut builder = builder.config(&user);
    for start in ["new", "again"] {
        let node = builder.start();
        let base = format!("http://127.0.0.1:{}/v1", node.ports().catalog);
        let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        for path in ["namespaces", "config"] {
            assert_eq!(node::get(&format!("{base}/{path}")).unwrap().0, 401, "{start} {path}");
        }
        let login = |password: &str| {
            client
                .post(format!("{base}/oauth/tokens"))
                .basic_auth("ana", Some(password))
                .form(&[("grant_type", "client_credentials")])
                .send()
                .unwrap()
        };
        assert_eq!(login("wrong").status(), 401);
        let answer: serde_json::Value = login("correct horse").json().unwrap();
        let token = answer["access_token"].as_str().unwrap();
        let listed = client
            .get(format!("{base}/namespaces"))
            .bearer_auth(token)
            .send()
            .unwrap();
        assert_eq!(listed.status(), 200, "{start}");
        // The token is one of Flight SQL too, which takes it for the password.
        let sql = std::process::Command::new(env!("CARGO_BIN_EXE_tidewater"))
            .args(["query", "SELECT 1", "--user", "ana", "--config"])
            .arg(dir.path().join("tidewater.toml"))
            .env("TIDEWATER_PASSWORD", token)
            .output()
            .unwrap();
        assert!(sql.status.success(), "{}", String::from_utf8_lossy(&sql.stderr));
        assert!(
            node.builder().cli(&["table", "ls"]).is_ok(),
            "a command on the data directory"
        );
        let refused = node.cli(&["table", "ls"]).unwrap_err();
        assert!(refused.contains("CAT-0023"), "a command elsewhere: {refused}");
        builder = node.stop().0;
    }
}

// Goal: with the secret a whole installation listens beyond loopback and works, its own calls included. Method: every port of the
// node plane on 0.0.0.0, a role in a process of its own, and a query.
#[test]
fn ports_leave_loopback_with_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    let builder = NodeBuilder::serve(dir.path(), "catalog");
    let (catalog, http) = (builder.ports.catalog, builder.ports.http);
    let security = format!("[security]\nnode_secret = \"{SECRET}\"\n");
    let first = builder
        .config(&format!(
            "[catalog]\nlisten = \"0.0.0.0:{catalog}\"\nadvertise = \"http://127.0.0.1:{catalog}\"\n[http]\nlisten = \"0.0.0.0:{http}\"\n{security}"
        ))
        .start();
    assert_eq!(members(&first), Some(1));
    let serving = NodeBuilder::serve(dir.path(), "flight-sql");
    let config = format!("[catalog]\nendpoints = [\"http://127.0.0.1:{catalog}\"]\n");
    let (refused, code) = serving.config(&config).spawn().wait_end();
    assert_eq!(code, Some(1), "{}", refused.log());
    assert!(refused.log().contains("security.node_secret"), "{}", refused.log());
    let token = first.cli(&["user", "token", "serving"]).unwrap();
    for (name, extra) in [
        ("secret", security),
        ("token", format!("token = \"{}\"\n", token.trim())),
    ] {
        let mut role = NodeBuilder::serve(dir.path(), "flight-sql").config(&format!("{config}{extra}"));
        role.name = name.into();
        let role = role.start();
        assert_eq!(role.number("SELECT 1"), Some(1), "{name}");
    }
}
