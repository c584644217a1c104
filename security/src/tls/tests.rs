use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tidewater_core::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion};

use super::*;

/// A CA, and a folder with the certificate of a server that it vouches for.
struct Authority {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("a CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        Self {
            dir: tempfile::tempdir().expect("a folder"),
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings {
            cert: self.dir.path().join("cert.pem"),
            key: self.dir.path().join("key.pem"),
            client_ca: None,
            client_names: None,
            allow_plain: false,
        }
    }

    /// Writes a new certificate for this name; what it is.
    fn write(&self, name: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        fs::write(self.settings().cert, certificate.pem()).expect("a writable folder");
        fs::write(self.settings().key, key.serialize_pem()).expect("a writable folder");
        certificate.der().clone()
    }

    /// The certificate that a client is shown who trusts this CA and knows the server by `name`, with the version of TLS.
    async fn shown(&self, tls: &Tls, name: &str) -> io::Result<(CertificateDer<'static>, ProtocolVersion)> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a CA");
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (near, far) = connection().await;
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let connector = TlsConnector::from(Arc::new(config));
        let (near, far) = tokio::join!(connector.connect(name, near), tls.accept_either(far, Protocol::Http));
        let (mut near, mut far) = (near?, far?);
        assert!(far.is_tls());
        far.write_all(b"x").await?;
        far.flush().await?;
        near.read_exact(&mut [0]).await?;
        let session = near.get_ref().1;
        let certificate = session
            .peer_certificates()
            .and_then(<[_]>::first)
            .expect("a certificate");
        Ok((
            certificate.clone().into_owned(),
            session.protocol_version().expect("a version"),
        ))
    }
}

/// Both ends of a connection.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.expect("a connection"), far.expect("a connection").0)
}

// Goal: clients that trust the CA get the certificate that is there now, and a broken file does not take the good one away.
// Method: certificates written one after the other, a broken one between them.
#[tokio::test]
async fn certificates_are_followed() {
    let authority = Authority::new();
    let first = authority.write("localhost");
    let tls = Tls::load(authority.settings(), SystemClock::shared()).expect("a certificate");
    let (shown, version) = authority.shown(&tls, "localhost").await.expect("a handshake");
    assert_eq!((shown, version), (first.clone(), ProtocolVersion::TLSv1_3));
    assert!(authority.shown(&tls, "elsewhere").await.is_err(), "another name");
    assert!(!tls.reload().expect("no change"), "nothing has changed");

    fs::write(authority.settings().key, "no key").expect("a writable folder");
    assert!(matches!(tls.reload(), Err(SecurityError::BadCertificate { .. })));
    assert!(!tls.reload().expect("tried already"), "the same files are tried once");
    let (shown, _) = authority.shown(&tls, "localhost").await.expect("a handshake");
    assert_eq!(shown, first);

    let second = authority.write("localhost");
    assert!(tls.reload().expect("a good one"));
    let (shown, _) = authority.shown(&tls, "localhost").await.expect("a handshake");
    assert_eq!(shown, second);
}

// Goal: a client without TLS goes on where it may. Method: one on this machine; the rule for others.
#[tokio::test]
async fn plain_clients_stay_on_this_machine() {
    let authority = Authority::new();
    authority.write("localhost");
    let tls = Tls::load(authority.settings(), SystemClock::shared()).expect("a certificate");
    let (mut near, far) = connection().await;
    near.write_all(b"GET").await.expect("a connection");
    let mut far = tls.accept_either(far, Protocol::Http).await.expect("on loopback");
    let mut read = [0; 3];
    far.read_exact(&mut read).await.expect("a connection");
    assert_eq!((&read, far.is_tls()), (b"GET", false));
    assert!(!tls.allows_plain(false));
    let mut settings = authority.settings();
    settings.allow_plain = true;
    let tls = Tls::load(settings, SystemClock::shared()).expect("a certificate");
    assert!(tls.allows_plain(false));
}

// Goal: where clients have to show a certificate, those who have none are not let in. Method: one who has none.
#[tokio::test]
async fn clients_without_a_certificate_are_refused() {
    let authority = Authority::new();
    authority.write("localhost");
    let ca = authority.dir.path().join("ca.pem");
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    base64::Engine::encode_string(
        &base64::engine::general_purpose::STANDARD,
        &authority.certificate,
        &mut pem,
    );
    pem.push_str("\n-----END CERTIFICATE-----\n");
    fs::write(&ca, pem).expect("a writable folder");
    let mut settings = authority.settings();
    settings.client_ca = Some(ca);
    let tls = Tls::load(settings, SystemClock::shared()).expect("a certificate");
    assert!(authority.shown(&tls, "localhost").await.is_err());
}
