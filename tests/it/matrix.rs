//! Every door of a whole process with every kind of key: what the routes are is read from where they are made, so that a new one that
//! nobody thought of here fails the test.

mod bodies;
mod caller;
mod calls;
mod commands;
mod handles;
mod postgres;
mod rights;
mod routes;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::kit::issuer::{Issuer, now_s};
use crate::kit::{Node, NodeBuilder};
use crate::oidc::flight;

/// What is shown at a door.
const KEYS: [&str; 5] = ["none", "garbage", "expired", "audience", "role"];

/// The keys by name; `none` is none. The last is good, and its bearer may do nothing.
fn keys(issuer: &Issuer) -> BTreeMap<&'static str, Option<String>> {
    let with = |key: &str, value: serde_json::Value| {
        let mut claims = issuer.claims("ana");
        claims[key] = value;
        issuer.sign(&claims)
    };
    BTreeMap::from([
        ("none", None),
        ("garbage", Some("garbage".to_owned())),
        ("expired", Some(with("exp", json!(now_s() - 300)))),
        ("audience", Some(with("aud", json!("others")))),
        ("role", Some(issuer.token("ana"))),
    ])
}

/// A token of somebody whom no grant binds.
fn steward(issuer: &Issuer) -> String {
    let mut claims = issuer.claims("root");
    claims["groups"] = json!(["stewards"]);
    issuer.sign(&claims)
}

/// A process with an issuer's users, the secret of nodes, and one grant, so that grants decide.
fn lake(dir: &Path, issuer: &Issuer) -> Node {
    let secret = "[security]\nnode_secret = \"an installation's own 32 bytes or more\"\n";
    let node = NodeBuilder::up(dir)
        .config(&format!("{secret}{}", issuer.config()))
        .start();
    let root = steward(issuer);
    for sql in ["CREATE SCHEMA g", "CREATE TABLE g.t (id BIGINT)", "CREATE ROLE analyst"] {
        flight(&node, &root, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    node
}
