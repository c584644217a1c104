//! Tokens of another issuer, and certificates of clients, at every front of a whole process.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::issuer::{Issuer, now_s};
use crate::kit::wire::{Said, Wire};
use crate::kit::{Node, NodeBuilder, wait_for};

/// Not fetched more often than every half minute; a busy machine is slow.
const NEW_KEY_DEADLINE: Duration = Duration::from_secs(120);

/// How long a grant may take to be known everywhere.
const KNOWN_DEADLINE: Duration = Duration::from_secs(30);

/// One statement through Flight SQL with a token.
pub fn flight(node: &Node, token: &str, sql: &str) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_tidewater"))
        .args(["query", sql, "--output", "json"])
        .args(["--endpoint", &format!("127.0.0.1:{}", node.ports().flight)])
        .env("TIDEWATER_TOKEN", token)
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn http(url: &str, token: &str, sql: Option<&str>) -> (u16, String) {
    let client = reqwest::blocking::Client::new();
    let request = match sql {
        Some(sql) => client
            .post(url)
            .header("content-type", "text/plain")
            .body(sql.to_owned()),
        None => client.get(url),
    };
    let answer = request.bearer_auth(token).send().unwrap();
    (answer.status().as_u16(), answer.text().unwrap())
}

/// What each front says to a token: whether its bearer is in.
fn admitted(node: &Node, user: &str, token: &str) -> [bool; 4] {
    let ports = node.ports();
    let sql = format!("http://127.0.0.1:{}/api/v1/sql", ports.http);
    let rest = format!("http://127.0.0.1:{}/v1/config", ports.catalog);
    let (asked, _) = http(&sql, token, Some("SELECT 1"));
    let (listed, _) = http(&rest, token, None);
    assert!(
        [200, 401, 419].contains(&asked) && [200, 401, 419].contains(&listed),
        "{asked} {listed}"
    );
    [
        flight(node, token, "SELECT 1").is_ok(),
        Wire::open(ports.postgres).log_in(user, token) == Said::Welcome,
        asked == 200,
        listed == 200,
    ]
}

// Goal: who bears a token of a believed issuer is in at every front, under the issuer's name for them and with the roles of their groups,
// and nobody else is; a key that the issuer adds is good, and what is taken back is not. Method: a whole process and an issuer on this
// machine; good tokens, six bad ones, a new key, grants to a role that only a group has, and a revocation.
#[test]
fn tokens_of_an_issuer_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::start();
    let node = NodeBuilder::up(dir.path()).config(&issuer.config()).start();
    let good = issuer.token("ana");
    assert_eq!(admitted(&node, "corp/ana", &good), [true; 4]);
    assert_eq!(
        Wire::open(node.ports().postgres).log_in("corp/bob", &good),
        Said::Refused("28P01".into()),
        "it is somebody else's"
    );
    let with = |key: &str, value: Value| {
        let mut claims = issuer.claims("ana");
        claims[key] = value;
        issuer.sign(&claims)
    };
    let evil = Issuer::start();
    let bad = [
        with("aud", json!("others")),
        with("exp", json!(now_s() - 120)),
        with("nbf", json!(now_s() + 3_600)),
        with("iss", json!(evil.url)),
        evil.sign(&issuer.claims("ana")),
        format!("{}x", good),
    ];
    for token in &bad {
        assert_eq!(admitted(&node, "corp/ana", token), [false; 4], "{token}");
    }

    issuer.add("second");
    let rotated = issuer.sign_by("second", &issuer.claims("ana"));
    wait_for("the new key is good", NEW_KEY_DEADLINE, || {
        flight(&node, &rotated, "SELECT 1").ok()
    });
    assert_eq!(admitted(&node, "corp/ana", &rotated), [true; 4]);

    let grouped = |user: &str, group: &str| {
        let mut claims = issuer.claims(user);
        claims["groups"] = json!([group, "others"]);
        issuer.sign(&claims)
    };
    let root = grouped("root", "stewards");
    for sql in [
        "CREATE SCHEMA g",
        "CREATE TABLE g.t (id BIGINT)",
        "INSERT INTO g.t VALUES (1), (2)",
        "CREATE ROLE analyst",
        "GRANT SELECT ON TABLE g.t TO ROLE analyst",
    ] {
        flight(&node, &root, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let (analyst, other) = (grouped("eve", "analysts"), grouped("eve", "nobody's"));
    wait_for("the grant is known", KNOWN_DEADLINE, || {
        flight(&node, &analyst, "SELECT * FROM g.t").ok()
    });
    wait_for("who has no role sees nothing", KNOWN_DEADLINE, || {
        flight(&node, &other, "SELECT * FROM g.t").err()
    });
    assert!(flight(&node, &analyst, "INSERT INTO g.t VALUES (3)").is_err());
    let mut wire = Wire::open(node.ports().postgres);
    assert_eq!(wire.log_in("corp/eve", &analyst), Said::Welcome);
    let told = wire.row(
        "SELECT has_table_privilege('g.t', 'select'), has_table_privilege('g.t', 'insert'), has_any_column_privilege('g.t', 'select'), \
         has_schema_privilege('g', 'usage'), has_schema_privilege('g', 'create'), has_table_privilege('root', 'g.t', 'select')",
    );
    assert_eq!(
        told.unwrap(),
        ["t", "f", "t", "t", "f", "f"],
        "what tools are told is what grants say"
    );
    let table = format!("http://127.0.0.1:{}/v1/namespaces/g/tables/t", node.ports().catalog);
    assert_eq!(http(&table, &analyst, None).0, 200);
    assert_eq!(http(&table, &other, None).0, 404);

    node.builder().cli(&["token", "revoke", "--user", "corp/ana"]).unwrap();
    wait_for("what was taken back is gone", KNOWN_DEADLINE, || {
        (admitted(&node, "corp/ana", &good) == [false; 4]).then_some(())
    });
}

/// A certificate authority, and certificates that it vouches for, in files.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: rcgen::Issuer::new(params, key),
            pem,
        }
    }

    /// Certificate and key for this common name and these DNS names.
    fn vouch(&self, name: &str, dns: &[&str]) -> (String, String) {
        use rcgen::{CertificateParams, DnType, KeyPair};
        let key = KeyPair::generate().unwrap();
        let dns: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(dns).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// The answers of Flight SQL, the catalog and HTTP to a client with this certificate and no password.
fn certified(
    node: &Node,
    dir: &Path,
    ca: &str,
    name: &str,
    (cert, key): &(String, String),
) -> [Result<String, String>; 3] {
    let file = |suffix: &str| dir.join(format!("{name}.{suffix}"));
    std::fs::write(file("pem"), cert).unwrap();
    std::fs::write(file("key"), key).unwrap();
    std::fs::write(dir.join("server-ca.pem"), ca).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tidewater"))
        .args(["query", "SELECT 40 + 2 AS answer", "--output", "json"])
        .args(["--endpoint", &format!("https://127.0.0.1:{}", node.ports().flight)])
        .arg("--ca")
        .arg(dir.join("server-ca.pem"))
        .arg("--cert")
        .arg(file("pem"))
        .arg("--key")
        .arg(file("key"))
        .output()
        .unwrap();
    let flight = match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    };
    let client = reqwest::blocking::Client::builder()
        .add_root_certificate(reqwest::Certificate::from_pem(ca.as_bytes()).unwrap())
        .identity(reqwest::Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap())
        .build()
        .unwrap();
    let told = |request: reqwest::blocking::RequestBuilder| {
        let answer = request.send().map_err(|error| error.to_string())?;
        match answer.status().as_u16() {
            200 => Ok(answer.text().unwrap()),
            status => Err(format!("{status} {}", answer.text().unwrap())),
        }
    };
    let ports = node.ports();
    let rest = client.get(format!("https://127.0.0.1:{}/v1/config", ports.catalog));
    let sql = client.post(format!("https://127.0.0.1:{}/api/v1/sql", ports.http));
    let sql = sql.header("content-type", "text/plain").body("SELECT 40 + 2 AS answer");
    [flight, told(rest), told(sql)]
}

// Goal: a client's certificate is its user at Flight SQL, the catalog and HTTP, and says nothing where it names nobody or another CA
// vouches for it. Method: certificates of a user, a stranger and another authority; TLS of the command line's own and of another client.
#[test]
fn certificates_name_users() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (cert, key) = ours.vouch("tidewater", &["localhost", "127.0.0.1"]);
    std::fs::write(dir.path().join("cert.pem"), cert).unwrap();
    std::fs::write(dir.path().join("server-key.pem"), key).unwrap();
    std::fs::write(dir.path().join("ca.pem"), &ours.pem).unwrap();
    let at = |name: &str| dir.path().join(name);
    let config = format!(
        "[security.tls]\ncert = {:?}\nkey = {:?}\nclient_ca = {:?}\n[security.tls.client_names]\nby = \"dns\"\n\
         users = {{ \"etl.lake.example\" = \"etl\", \"gone.lake.example\" = \"gone\" }}\n[[security.users]]\nname = \"etl\"\n",
        at("cert.pem"),
        at("server-key.pem"),
        at("ca.pem")
    );
    let node = NodeBuilder::up(dir.path()).config(&config).start();
    let answers = |name: &str, identity: &(String, String)| certified(&node, dir.path(), &ours.pem, name, identity);
    let [flight, rest, sql] = answers("etl", &ours.vouch("x", &["etl.lake.example"]));
    assert!(flight.as_ref().is_ok_and(|rows| rows.contains("42")), "{flight:?}");
    assert!(rest.is_ok(), "{rest:?}");
    assert!(sql.as_ref().is_ok_and(|rows| rows.contains("42")), "{sql:?}");
    for (name, identity) in [
        ("stranger", ours.vouch("etl", &["other.lake.example"])),
        ("gone", ours.vouch("x", &["gone.lake.example"])),
        ("two", ours.vouch("x", &["etl.lake.example", "other.lake.example"])),
        ("forged", theirs.vouch("x", &["etl.lake.example"])),
    ] {
        for answer in answers(name, &identity) {
            assert!(answer.is_err(), "{name}: {answer:?}");
        }
    }
}
