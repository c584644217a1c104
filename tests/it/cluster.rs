//! A group of catalog nodes, made, changed, kept and restored by the command line.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::kit::{Node, NodeBuilder, wait_for};

const SECRET: &str = "the 32 bytes or more that a group shares";

const DEADLINE: Duration = Duration::from_secs(30);

/// A catalog node that knows of no other; all share one warehouse.
fn catalog(dir: &Path, name: &str) -> NodeBuilder {
    let mut builder = NodeBuilder::serve(dir, "catalog");
    let port = builder.ports.catalog;
    builder = builder.config(&format!(
        "[catalog]\nlisten = \"127.0.0.1:{port}\"\nwarehouse = \"file://{}\"\n[security]\nnode_secret = \"{SECRET}\"\n",
        dir.join("lake").display()
    ));
    builder.name = name.into();
    builder
}

fn url(builder: &NodeBuilder) -> String {
    format!("http://127.0.0.1:{}", builder.ports.catalog)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn run(node: &NodeBuilder, args: &[&str]) -> Value {
    let args = [&["cluster"], args, &["--output", "json"]].concat();
    json(&node.cli(&args).unwrap())
}

/// Sends a request with a token of the nodes; the status and the answer.
fn call(node: &NodeBuilder, path: &str, body: Option<&Value>) -> (u16, Value) {
    let token = node.cli(&["user", "token", "test"]).unwrap();
    let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let target = format!("{}{path}", url(node));
    let request = match body {
        Some(body) => client.post(target).json(body),
        None => client.get(target),
    };
    let response = request.bearer_auth(token.trim()).timeout(DEADLINE).send().unwrap();
    (response.status().as_u16(), response.json().unwrap())
}

fn namespaces(node: &NodeBuilder) -> Value {
    call(node, "/v1/namespaces", None).1["namespaces"].clone()
}

/// Gives the node a number of the group and starts it. Waits until the group has it with everything that was written.
fn join(node: NodeBuilder, group: &NodeBuilder) -> (u64, Node) {
    let number = run(&node, &["join", "--from", &url(group)])["node"].as_u64().unwrap();
    let node = node.start();
    wait_for("the group has the node", DEADLINE, || {
        let status = run(group, &["status"]);
        let members = status["members"].as_array()?.clone();
        members
            .into_iter()
            .find(|member| member["id"] == number && member["matched"].as_u64() >= status["applied"].as_u64())
    });
    (number, node)
}

// Goal: the verbs of the command line make a group of one, grow it to three, move its leader, keep a backup, remove a node for
// good, and restore the backup elsewhere; nobody changes the group without the secret. Method: processes with a secret; each
// verb once, its effect read back by another; a token without the secret; the removed node started again.
#[test]
fn a_group_by_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let first = catalog(dir.path(), "first");
    assert_eq!(run(&first, &["init"])["node"], 1);
    let again = first.cli(&["cluster", "init"]).unwrap_err();
    assert!(again.contains("CAT-"), "{again}");
    let first = first.start();
    let group = first.builder().clone();
    let made = call(
        &group,
        "/v1/namespaces",
        Some(&serde_json::json!({"namespace": ["bronze"]})),
    );
    assert_eq!(made.0, 200, "{}", made.1);

    let (second, second_node) = join(catalog(dir.path(), "second"), &group);
    let (third, third_node) = join(catalog(dir.path(), "third"), &group);
    let [to, last] = [second, third].map(|number| number.to_string());
    let promoted = run(&group, &["promote", &to, &last]);
    let voters = promoted["members"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|member| member["voter"] == true);
    assert_eq!(voters.count(), 3, "{promoted}");

    assert_eq!(run(&group, &["transfer-leader", &to])["leader"], second);
    wait_for("the first node knows the new leader", DEADLINE, || {
        (run(&group, &["status"])["leader"] == second).then_some(())
    });
    assert!(run(&group, &["snapshot"])["index"].as_u64() > Some(0));
    assert_eq!(
        namespaces(&group),
        serde_json::json!([["bronze"]]),
        "read at a follower"
    );

    let mut stranger = catalog(dir.path(), "stranger");
    let token = group.cli(&["user", "token", "ana"]).unwrap();
    stranger.config = format!(
        "[catalog]\nendpoints = [\"{}\"]\ntoken = \"{}\"\n",
        url(&group),
        token.trim()
    );
    assert!(stranger.cli(&["cluster", "status"]).is_ok(), "who has a token may look");
    for verb in [&["remove", &last][..], &["snapshot"], &["transfer-leader"]] {
        let refused = stranger.cli(&[&["cluster"], verb].concat()).unwrap_err();
        assert!(refused.contains("CAT-0023"), "{verb:?}: {refused}");
    }

    let backup = dir.path().join("backup");
    let kept = run(&group, &["backup", "--to", backup.to_str().unwrap()]);
    assert_eq!((&kept["namespaces"], &kept["tables"]), (&1.into(), &0.into()));
    let later = call(
        &group,
        "/v1/namespaces",
        Some(&serde_json::json!({"namespace": ["later"]})),
    );
    assert_eq!(later.0, 200, "{}", later.1);

    let left = run(&group, &["remove", &last]);
    assert_eq!(left["members"].as_array().unwrap().len(), 2, "{left}");
    let (removed, code) = third_node.wait_end();
    assert_eq!(code, Some(77), "{}", removed.log());
    let (removed, code) = removed.spawn().wait_end();
    assert_eq!(code, Some(1));
    assert!(removed.log().contains("CAT-1016"), "{}", removed.log());

    for node in [first, second_node] {
        assert_eq!(node.stop().1, Some(0));
    }
    let restored = catalog(dir.path(), "restored");
    let founded = run(
        &restored,
        &["restore", "--from", backup.to_str().unwrap(), "--check-files"],
    );
    assert!(founded["node"].as_u64() > Some(third), "{founded}");
    let restored = restored.start();
    assert_eq!(
        namespaces(restored.builder()),
        serde_json::json!([["bronze"]]),
        "the state of the backup"
    );
}

// Goal: nobody joins a lake that was begun alone, which others could not reach, and it is told how to go on. Method: a node without a group,
// another that is to join it; nothing of that one is written.
#[test]
fn a_lake_begun_alone_is_not_joined() {
    let dir = tempfile::tempdir().unwrap();
    let lake = catalog(dir.path(), "lake").start();
    let other = catalog(dir.path(), "other");
    let refused = other
        .cli(&["cluster", "join", "--from", &url(lake.builder())])
        .unwrap_err();
    assert!(
        refused.contains("CAT-1022") && refused.contains("tidewater cluster init"),
        "{refused}"
    );
    assert!(!other.data_dir().join("raft/membership.json").try_exists().unwrap());
    assert_eq!(lake.stop().1, Some(0));
}

// Goal: whoever asks a place for a number where nobody listens is told so while it is tried, and in the end how to go on. Method: a node that was never
// started is asked; nothing is written.
#[test]
fn nobody_to_join_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (absent, other) = (catalog(dir.path(), "absent"), catalog(dir.path(), "other"));
    let refused = other.cli(&["cluster", "join", "--from", &url(&absent)]).unwrap_err();
    let told = refused.matches("no number from").count();
    assert!(told >= 2, "told {told} times: {refused}");
    let is_clear = refused.contains("CTL-0033") && refused.contains(&url(&absent)) && refused.contains("--from");
    assert!(is_clear, "{refused}");
    assert!(!other.data_dir().join("raft/membership.json").try_exists().unwrap());
}
