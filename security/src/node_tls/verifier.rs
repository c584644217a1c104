//! Whose certificates nodes take: those of the CA that have the name of nodes.

use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::{node_name, since_epoch};
use tidewater_core::SharedClock;

/// Lets in who shows a certificate of the CA that is a node's.
#[derive(Debug)]
pub(super) struct NodesOnly {
    as_client: Arc<dyn ClientCertVerifier>,
    as_server: Arc<WebPkiServerVerifier>,
}

impl NodesOnly {
    /// # Errors
    /// If there is no CA among `roots`.
    pub(super) fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Result<Self, VerifierBuilderError> {
        let as_client = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        Ok(Self {
            as_client: as_client.build()?,
            as_server: WebPkiServerVerifier::builder_with_provider(roots, provider).build()?,
        })
    }
}

impl ClientCertVerifier for NodesOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.as_client.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.as_client.verify_client_cert(end_entity, intermediates, now)?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, &node_name())?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.as_client.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.as_client.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.as_client.supported_verify_schemes()
    }
}

/// This node's own certificate, as the other nodes look at it.
#[derive(Clone)]
pub(super) struct Own {
    nodes: Arc<NodesOnly>,
    chain: Vec<CertificateDer<'static>>,
}

impl Own {
    /// `chain` begins with the certificate.
    pub(super) fn new(nodes: Arc<NodesOnly>, chain: Vec<CertificateDer<'static>>) -> Self {
        Self { nodes, chain }
    }

    /// Whether other nodes take it at this time since the Unix epoch, on both sides.
    ///
    /// # Errors
    /// Why they do not.
    pub(super) fn check(&self, at: Duration) -> Result<(), Error> {
        let (certificate, between) = self.chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let at = UnixTime::since_unix_epoch(at);
        self.nodes.verify_client_cert(certificate, between, at)?;
        let as_server = &self.nodes.as_server;
        as_server.verify_server_cert(certificate, between, &node_name(), &[], at)?;
        Ok(())
    }
}

/// The clock as TLS asks for the time.
#[derive(Debug)]
pub(super) struct Time(pub(super) SharedClock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(since_epoch(self.0.now_ms())))
    }
}
