//! TLS on the ports of clients, with a certificate authority of the test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use crate::kit::{Node, NodeBuilder, wait_for};

const USER: &str = "ana";
const PASSWORD: &str = "correct horse: battery";

/// A process looks at its files every 20 s; a busy machine is slow.
const RELOAD_DEADLINE: Duration = Duration::from_secs(90);

/// A certificate authority with its own certificate in a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let file = dir.join(name);
        fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            file,
        }
    }

    /// Writes a certificate for this machine where a process looks for it.
    fn vouch(&self, dir: &Path) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        // One that is called like its authority would count as its own.
        params.distinguished_name.push(DnType::CommonName, "tidewater");
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
        fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    }
}

/// What psql shows of a certificate: a client's, called so.
fn shown_by(authority: &Authority, dir: &Path, name: &str) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    // No blanks and quotes, which connection strings take for their own.
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let issuer = authority.file.file_stem().unwrap().to_string_lossy();
    let files = dir.join(format!("{letters}-by-{issuer}"));
    let (cert, key_file) = (files.with_extension("crt"), files.with_extension("key"));
    fs::write(&cert, certificate.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    // psql takes no key that others may read.
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
    format!("sslcert={} sslkey={}", cert.display(), key_file.display())
}

/// A process with a certificate and one user who has a SCRAM verifier.
fn start(dir: &Path) -> Node {
    let hashed = crate::kit::hashed(PASSWORD);
    let (hash, scram) = (
        hashed["password_hash"].as_str().unwrap(),
        hashed["scram"].as_str().unwrap(),
    );
    let config = format!(
        "[security.tls]\ncert = {:?}\nkey = {:?}\n[[security.users]]\nname = \"{USER}\"\npassword_hash = \"{hash}\"\nscram = \"{scram}\"\n",
        dir.join("cert.pem"),
        dir.join("key.pem"),
    );
    NodeBuilder::up(dir).config(&config).start()
}

fn psql(node: &Node, password: &str, more: &str) -> Result<String, String> {
    let port = node.ports().postgres;
    let output = Command::new("psql")
        .args(["-X", "-At", "-c", r"\conninfo", "-c", "SELECT 1 + 1"])
        .arg(format!(
            "host=localhost hostaddr=127.0.0.1 port={port} user={USER} dbname=lake {more}"
        ))
        .env("PGPASSWORD", password)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn trusting(authority: &Authority) -> String {
    format!("sslmode=verify-full sslrootcert={}", authority.file.display())
}

// Goal: clients that insist on TLS and on the right certificate get both on every port of theirs, a new certificate is used without
// a restart, and a password is proved without being sent. Method: psql, and HTTPS to the catalog, with two authorities one after
// the other and a broken file between them; wrong passwords and a plain connection beside them.
#[test]
#[ignore = "scripts/interop runs it: it needs psql"]
fn certificates_and_passwords() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (
        Authority::new(dir.path(), "first.pem"),
        Authority::new(dir.path(), "second.pem"),
    );
    first.vouch(dir.path());
    let node = start(dir.path());

    let said = psql(&node, PASSWORD, &trusting(&first)).unwrap();
    assert!(said.contains("TLSv1.3") && said.ends_with("2\n"), "{said}");
    assert!(
        psql(&node, PASSWORD, &trusting(&second))
            .unwrap_err()
            .contains("certificate verify failed")
    );
    assert!(
        psql(&node, "wrong", &trusting(&first))
            .unwrap_err()
            .contains("password authentication failed")
    );
    assert!(
        psql(&node, PASSWORD, "sslmode=disable").is_ok(),
        "this machine may go on without"
    );
    let old = "ssl_min_protocol_version=TLSv1.1 ssl_max_protocol_version=TLSv1.1";
    assert!(psql(&node, PASSWORD, &format!("{} {old}", trusting(&first))).is_err());
    assert_eq!(
        catalog(&node, &first),
        Some(401),
        "HTTPS, and nobody is let in without a token"
    );

    fs::write(dir.path().join("key.pem"), "no key").unwrap();
    wait_for("a broken key is told of", RELOAD_DEADLINE, || {
        node.log().contains("SEC-0011").then_some(())
    });
    assert!(psql(&node, PASSWORD, &trusting(&first)).is_ok());

    second.vouch(dir.path());
    wait_for("the new certificate is used", RELOAD_DEADLINE, || {
        psql(&node, PASSWORD, &trusting(&second)).ok()
    });
    assert_eq!(catalog(&node, &second), Some(401));
    assert_eq!(catalog(&node, &first), None);
    assert_eq!(node.log().matches("SEC-0011").count(), 1, "told once");
}

// Goal: on the PostgreSQL wire a certificate of the right authority is asked for, lets its user in without a password, and nobody else.
// Method: psql with certificates that name a user, another user, nobody and come from another authority, with none, and with a
// password that counts before the certificate's name.
#[test]
#[ignore = "scripts/interop runs it: it needs psql"]
fn certificates_name_users() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, foreign) = (
        Authority::new(dir.path(), "ours.pem"),
        Authority::new(dir.path(), "foreign.pem"),
    );
    ours.vouch(dir.path());
    let hashed = crate::kit::hashed(PASSWORD);
    let scram = hashed["scram"].as_str().unwrap();
    let config = format!(
        "[security.tls]\ncert = {:?}\nkey = {:?}\nclient_ca = {:?}\n[security.tls.client_names]\nby = \"cn\"\n\
         users = {{ \"etl of the lake\" = \"{USER}\", \"bob's\" = \"bob\" }}\n\
         [[security.users]]\nname = \"{USER}\"\n[[security.users]]\nname = \"bob\"\nscram = \"{scram}\"\n",
        dir.path().join("cert.pem"),
        dir.path().join("key.pem"),
        ours.file,
    );
    let node = NodeBuilder::up(dir.path()).config(&config).start();
    let with =
        |authority: &Authority, name: &str| format!("{} {}", trusting(&ours), shown_by(authority, dir.path(), name));
    let said = psql(&node, "", &with(&ours, "etl of the lake")).unwrap();
    assert!(said.contains("TLSv1.3") && said.ends_with("2\n"), "{said}");
    let none = format!("{} sslcert=none sslkey=none", trusting(&ours));
    for (what, shown) in [
        ("another user's", with(&ours, "bob's")),
        ("nobody's", with(&ours, "somebody")),
        ("the user's name itself", with(&ours, USER)),
        ("a foreign authority's", with(&foreign, "etl of the lake")),
        ("none", none),
    ] {
        let refused = psql(&node, "", &shown);
        assert!(refused.is_err(), "{what}: {refused:?}");
    }
    let as_bob = format!("user=bob {}", with(&ours, "etl of the lake"));
    assert!(psql(&node, PASSWORD, &as_bob).is_ok(), "a password counts first");
    assert!(psql(&node, "wrong", &as_bob).is_err());
}

/// The status with which the catalog answers over HTTPS somebody who trusts this authority.
fn catalog(node: &Node, authority: &Authority) -> Option<u16> {
    let root = reqwest::Certificate::from_pem(&fs::read(&authority.file).unwrap()).unwrap();
    let client = reqwest::blocking::Client::builder()
        .add_root_certificate(root)
        .no_proxy()
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/v1/config", node.ports().catalog);
    client.get(url).send().ok().map(|answer| answer.status().as_u16())
}

// Goal: drivers of others speak TLS with every port of theirs. Method: pgjdbc and ADBC, with the test's authority as the only one
// they trust.
#[test]
#[ignore = "scripts/interop runs it: it needs drivers"]
fn drivers_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "ca.pem");
    authority.vouch(dir.path());
    let node = start(dir.path());
    let ports = node.ports();
    let bi = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/bi/bi");
    let ca = authority.file.display();
    let url = format!(
        "jdbc:postgresql://localhost:{}/lake?sslmode=verify-full&sslrootcert={ca}",
        ports.postgres
    );
    let output = Command::new(&bi)
        .args(["jdbc", &url, USER, PASSWORD, "SELECT 40 + 2 AS n"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("42"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let script = "import sys, adbc_driver_flightsql.dbapi as d\n\
        uri, ca, user, password = sys.argv[1:]\n\
        options = {'adbc.flight.sql.client_option.tls_root_certs': open(ca).read(), 'username': user, 'password': password}\n\
        with d.connect(uri, db_kwargs=options, autocommit=True) as c, c.cursor() as s:\n    s.execute('SELECT 40 + 2')\n    print(s.fetchall())\n";
    let peers = std::env::var_os("TIDEWATER_PEERS").unwrap();
    let output = Command::new(Path::new(&peers).join("bi/py/bin/python"))
        .args(["-c", script, &format!("grpc+tls://localhost:{}", ports.flight)])
        .arg(&authority.file)
        .args([USER, PASSWORD])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("42"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
