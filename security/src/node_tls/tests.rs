use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use tidewater_core::{Clock, ManualClock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A CA of its own with the certificate of one node, good for `days`.
fn cluster(days: u32, clock: &dyn Clock) -> (tempfile::TempDir, Authority, NodeTlsSettings) {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = Authority::create(&dir.path().join("ca"), 3650, clock).expect("a CA");
    let names = ["n1.example".to_owned(), "127.0.0.1".to_owned()];
    let node = authority
        .issue(&names, days, &dir.path().join("n1"), clock)
        .expect("a certificate");
    (dir, authority, node)
}

/// The certificate of somebody who is no node: by the same CA, without the name of nodes.
fn user(authority: &Authority, dir: &Path) -> NodeTlsSettings {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["ana".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority.issuer).expect("a certificate");
    let settings = NodeTlsSettings {
        ca: authority.ca().to_owned(),
        cert: dir.join("user.pem"),
        key: dir.join("user-key.pem"),
    };
    fs::write(&settings.cert, certificate.pem()).expect("a writable folder");
    fs::write(&settings.key, key.serialize_pem()).expect("a writable folder");
    settings
}

/// Both ends of a connection.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.expect("a connection"), far.expect("a connection").0)
}

/// One byte each way; what the caller and the called end say.
async fn talk(caller: &NodeTls, called: &NodeTls) -> (io::Result<()>, io::Result<()>) {
    let (near, far) = connection().await;
    let calls = async {
        let mut stream = caller.connect(near).await?;
        stream.write_all(b"?").await?;
        stream.flush().await?;
        stream.read_exact(&mut [0]).await.map(drop)
    };
    let answers = async {
        let mut stream = called.accept(far).await?;
        stream.read_exact(&mut [0]).await?;
        stream.write_all(b"!").await?;
        stream.flush().await
    };
    tokio::join!(calls, answers)
}

fn node(settings: &NodeTlsSettings) -> NodeTls {
    NodeTls::load(settings.clone(), SystemClock::shared()).expect("a node's certificate")
}

/// One whose own certificate was not looked at, as a stranger's program would not.
fn stranger(settings: &NodeTlsSettings, as_if: &NodeTls) -> NodeTls {
    let chain = certificates(&settings.cert, &read(&settings.cert).expect("a file")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(&read(&settings.key).expect("a file")).expect("a key");
    let mut roots = RootCertStore::empty();
    for root in certificates(&settings.ca, &read(&settings.ca).expect("a file")).expect("a CA") {
        roots.add(root).expect("a CA");
    }
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key.clone_key())
        .expect("a key of the certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("a version")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .expect("a key of the certificate");
    let nodes = as_if.loaded();
    NodeTls(Arc::new(Inner {
        settings: settings.clone(),
        loaded: RwLock::new(Arc::new(Loaded {
            server: Arc::new(server),
            client: Arc::new(client),
            own: nodes.own.clone(),
            pem: Arc::clone(&nodes.pem),
        })),
        seen: Mutex::default(),
        clock: SystemClock::shared(),
    }))
}

fn secured_by(error: &io::Error) -> Option<&SecurityError> {
    error.get_ref()?.downcast_ref()
}

// Goal: nodes of one CA talk, and nobody else with them. Method: a node, another CA's node, a user of the same CA on either side.
#[tokio::test]
async fn nodes_talk_with_nodes_only() {
    let clock = SystemClock::shared();
    let (dir, authority, first) = cluster(30, clock.as_ref());
    let second = authority
        .issue(&[], 30, &dir.path().join("n2"), clock.as_ref())
        .expect("a certificate");
    let (first, second) = (node(&first), node(&second));
    let (calls, answers) = talk(&first, &second).await;
    calls.expect("a node calls");
    answers.expect("a node answers");

    let (_foreign_dir, _, foreign) = cluster(30, clock.as_ref());
    let foreign = node(&foreign);
    let (calls, answers) = talk(&foreign, &second).await;
    assert!(calls.is_err() && answers.is_err(), "another CA's node called");
    let (calls, answers) = talk(&second, &foreign).await;
    assert!(calls.is_err() && answers.is_err(), "another CA's node was called");

    let settings = user(&authority, dir.path());
    let refused = NodeTls::load(settings.clone(), Arc::clone(&clock)).expect_err("it is no node's");
    assert!(matches!(refused, SecurityError::NotANode { .. }), "{refused}");
    let user = stranger(&settings, &second);
    let (calls, answers) = talk(&user, &second).await;
    assert!(calls.is_err() && answers.is_err(), "a user called");
    let (calls, answers) = talk(&second, &user).await;
    assert!(calls.is_err() && answers.is_err(), "a user was called");
    // The user's program is in order: only the name is missing.
    let named = stranger(&node_settings(&dir, "n2"), &second);
    let (calls, answers) = talk(&named, &second).await;
    calls.expect("a node calls");
    answers.expect("a node answers");
}

fn node_settings(dir: &tempfile::TempDir, name: &str) -> NodeTlsSettings {
    let dir = dir.path().join(name);
    NodeTlsSettings {
        ca: dir.join("ca.pem"),
        cert: dir.join("node.pem"),
        key: dir.join("node-key.pem"),
    }
}

// Goal: where one end has no TLS the other says so, and a client without a certificate gets nothing. Method: each of them.
#[tokio::test]
async fn ends_without_tls_are_named() {
    let clock = SystemClock::shared();
    let (_dir, _, settings) = cluster(30, clock.as_ref());
    let tls = node(&settings);

    let (mut near, far) = connection().await;
    near.write_all(b"plain").await.expect("a connection");
    let error = tls.accept(far).await.expect_err("it is not TLS");
    assert!(
        matches!(secured_by(&error), Some(SecurityError::NoNodeTls { .. })),
        "{error}"
    );

    let (near, mut far) = connection().await;
    let answers = async {
        far.read_exact(&mut [0; 5]).await?;
        far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    };
    let (calls, answered) = tokio::join!(tls.connect(near), answers);
    answered.expect("a connection");
    let error = calls.expect_err("it is not TLS");
    assert!(
        matches!(secured_by(&error), Some(SecurityError::NoNodeTls { .. })),
        "{error}"
    );

    let mut roots = RootCertStore::empty();
    roots
        .add(certificates(&settings.ca, &tls.pem().ca).expect("a CA").remove(0))
        .expect("a CA");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = connection().await;
    let calls = async {
        let mut stream = TlsConnector::from(Arc::new(config)).connect(node_name(), near).await?;
        stream.read_exact(&mut [0]).await.map(drop)
    };
    let (calls, answers) = tokio::join!(calls, tls.accept(far));
    assert!(calls.is_err() && answers.is_err(), "a client without a certificate");
}

// Goal: a certificate that ends is seen to end, and one that takes its place is taken up; a CA is changed by a bundle of both.
// Method: a clock that is moved; files that are written anew.
#[tokio::test]
async fn certificates_and_authorities_are_replaced() {
    let clock = Arc::new(ManualClock::new(1_800_000_000_000));
    let (dir, authority, settings) = cluster(10, clock.as_ref());
    let tls = NodeTls::load(settings.clone(), clock.clone()).expect("a certificate");
    assert_eq!(tls.days_left(), 10);
    clock.advance(DAY * 3);
    assert_eq!(tls.days_left(), 7);
    let before = authority
        .issue(&[], 30, &dir.path().join("n2"), clock.as_ref())
        .expect("a certificate");
    let before = NodeTls::load(before, clock.clone()).expect("a certificate");

    // The new CA is made known beside the old one, before it issues anything.
    let new = Authority::create(&dir.path().join("ca2"), 3650, clock.as_ref()).expect("a CA");
    let both = [authority.ca(), new.ca()]
        .map(|ca| fs::read_to_string(ca).expect("a CA"))
        .concat();
    fs::write(&settings.ca, &both).expect("a writable folder");
    assert!(tls.reload().expect("a bundle"));
    fs::write(&node_settings(&dir, "n2").ca, &both).expect("a writable folder");
    assert!(before.reload().expect("a bundle"));
    let after = new
        .issue(&[], 20, &dir.path().join("after"), clock.as_ref())
        .expect("a certificate");
    fs::copy(&after.key, &settings.key).expect("a writable folder");
    assert!(
        matches!(tls.reload(), Err(SecurityError::BadCertificate { .. })),
        "half of a pair"
    );
    assert_eq!(tls.days_left(), 7, "the old one stays");
    fs::copy(&after.cert, &settings.cert).expect("a writable folder");
    assert!(tls.reload().expect("a pair"));
    assert_eq!(tls.days_left(), 20);
    for (caller, called) in [(&tls, &before), (&before, &tls)] {
        let (calls, answers) = talk(caller, called).await;
        calls.expect("a node calls");
        answers.expect("a node answers");
    }

    clock.advance(DAY * 25);
    assert_eq!(tls.days_left(), 0);
    let over = NodeTls::load(settings, clock.clone()).expect_err("it is over");
    assert!(matches!(over, SecurityError::NotANode { .. }), "{over}");
    let (calls, answers) = talk(&tls, &before).await;
    assert!(calls.is_err() && answers.is_err(), "a certificate that is over");
}

// Goal: no key is overwritten or readable by others, and a CA signs with its own key only. Method: the files, and two keys swapped.
#[test]
fn authorities_keep_their_keys() {
    use std::os::unix::fs::PermissionsExt;
    let clock = SystemClock::shared();
    let (dir, authority, settings) = cluster(30, clock.as_ref());
    let ca = dir.path().join("ca");
    for key in [&settings.key, &ca.join("ca-key.pem")] {
        let mode = fs::metadata(key).expect("a key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key:?}");
    }
    let kept = fs::read(ca.join("ca-key.pem")).expect("a key");
    let again = Authority::create(&ca, 30, clock.as_ref()).expect_err("there is one");
    assert!(matches!(again, SecurityError::CertificateExists { .. }), "{again}");
    let again = authority
        .issue(&[], 30, &dir.path().join("n1"), clock.as_ref())
        .expect_err("there is one");
    assert!(matches!(again, SecurityError::CertificateExists { .. }), "{again}");
    assert_eq!(fs::read(ca.join("ca-key.pem")).expect("a key"), kept);

    let opened = Authority::open(&ca).expect("a CA");
    opened
        .issue(&[], 30, &dir.path().join("n3"), clock.as_ref())
        .expect("a certificate");
    for name in ["../n4", "..", ".", "a b", "*.example", ""] {
        let error = opened.issue(&[name.to_owned()], 30, &dir.path().join("n4"), clock.as_ref());
        assert!(matches!(error, Err(SecurityError::NotIssued { .. })), "{name:?}");
    }
    let other = Authority::create(&dir.path().join("other"), 30, clock.as_ref()).expect("a CA");
    fs::copy(other.ca(), ca.join("ca.pem")).expect("a writable folder");
    let swapped = Authority::open(&ca).expect("files that can be read");
    let error = swapped.issue(&[], 30, &dir.path().join("n4"), clock.as_ref());
    assert!(matches!(error, Err(SecurityError::NotIssued { .. })));
    assert!(
        !dir.path().join("n4").try_exists().expect("a folder"),
        "nothing was written"
    );
}
