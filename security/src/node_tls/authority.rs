//! The CA of a cluster, and the certificates that it issues to nodes.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;

use super::verifier::{NodesOnly, Own};
use super::{DAY, NODE_NAME, NodeTlsSettings, since_epoch};
use crate::error::SecurityError;
use crate::tls::{certificates, read, refused};
use tidewater_core::Clock;

/// A certificate is good from so long before it was made: clocks of nodes differ.
const SKEW: Duration = Duration::from_secs(60 * 60);

/// Who may read a key, and who a certificate.
const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;

/// The CA of a cluster: a folder with `ca.pem` and `ca-key.pem`.
pub struct Authority {
    ca: PathBuf,
    pem: Vec<u8>,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("ca", &self.ca)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// A new CA in this folder, which is made if it is not there. Nodes do not look at when a CA ends; `days` is for other programs.
    ///
    /// # Errors
    /// [`SecurityError::CertificateExists`] if there is one, [`SecurityError::CertificateNotWritten`] if it cannot be written.
    pub fn create(dir: &Path, days: u32, clock: &dyn Clock) -> Result<Self, SecurityError> {
        let key = KeyPair::generate().map_err(|source| not_issued("a CA", source))?;
        let mut params = authority_params(&key);
        validity(&mut params, days, clock);
        let certificate = params.self_signed(&key).map_err(|source| not_issued("a CA", source))?;
        let (ca, ca_key, pem) = (dir.join("ca.pem"), dir.join("ca-key.pem"), certificate.pem());
        write_new(&[(&ca_key, &key.serialize_pem(), KEY_MODE), (&ca, &pem, CERTIFICATE_MODE)])?;
        Ok(Self {
            ca,
            pem: pem.into_bytes(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The CA that [`Self::create`] wrote to this folder.
    ///
    /// # Errors
    /// [`SecurityError::BadCertificate`] if a file cannot be read.
    pub fn open(dir: &Path) -> Result<Self, SecurityError> {
        let (ca, ca_key) = (dir.join("ca.pem"), dir.join("ca-key.pem"));
        let pem = read(&ca)?;
        certificates(&ca, &pem)?;
        let key = String::from_utf8(read(&ca_key)?).map_err(|source| refused(&ca_key, source))?;
        let key = KeyPair::from_pem(&key).map_err(|source| refused(&ca_key, source))?;
        Ok(Self {
            ca,
            pem,
            issuer: Issuer::new(authority_params(&key), key),
        })
    }

    /// Where its certificate lies.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// Writes to `out`, which is made if it is not there, all that a node with these names or addresses needs: `ca.pem`, `node.pem`
    /// and `node-key.pem`. The certificate is good for `days`.
    ///
    /// # Errors
    /// [`SecurityError::NotIssued`] if a name is none, or `ca-key.pem` is not the key of `ca.pem`;
    /// [`SecurityError::CertificateExists`] if one of the files is there, [`SecurityError::CertificateNotWritten`] if it cannot be
    /// written.
    pub fn issue(
        &self,
        names: &[String],
        days: u32,
        out: &Path,
        clock: &dyn Clock,
    ) -> Result<NodeTlsSettings, SecurityError> {
        for name in names {
            ServerName::try_from(name.as_str()).map_err(|source| not_issued(name, source))?;
        }
        let what = names.first().map_or(NODE_NAME, String::as_str);
        let alternatives: Vec<String> = [NODE_NAME]
            .into_iter()
            .map(str::to_owned)
            .chain(names.iter().cloned())
            .collect();
        let mut params = CertificateParams::new(alternatives).map_err(|source| not_issued(what, source))?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, what);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, days, clock);
        let key = KeyPair::generate().map_err(|source| not_issued(what, source))?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|source| not_issued(what, source))?;

        let mut roots = RootCertStore::empty();
        for root in certificates(&self.ca, &self.pem)? {
            roots.add(root).map_err(|source| refused(&self.ca, source))?;
        }
        let nodes = NodesOnly::new(Arc::new(roots), Arc::new(default_provider()));
        let nodes = nodes.map_err(|source| refused(&self.ca, source))?;
        let issued = Own::new(Arc::new(nodes), vec![certificate.der().clone()]);
        let checked = issued.check(since_epoch(clock.now_ms()));
        checked.map_err(|source| not_issued(what, source))?;

        let written = NodeTlsSettings {
            ca: out.join("ca.pem"),
            cert: out.join("node.pem"),
            key: out.join("node-key.pem"),
        };
        let ca = String::from_utf8(self.pem.clone()).map_err(|source| refused(&self.ca, source))?;
        write_new(&[
            (&written.key, &key.serialize_pem(), KEY_MODE),
            (&written.cert, &certificate.pem(), CERTIFICATE_MODE),
            (&written.ca, &ca, CERTIFICATE_MODE),
        ])?;
        Ok(written)
    }
}

/// What a CA with this key says of itself. Its name tells it from the one that takes its place.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mark = blake3::hash(key.public_key_raw()).to_hex();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = format!("tidewater cluster CA {}", &mark[..8]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn validity(params: &mut CertificateParams, days: u32, clock: &dyn Clock) {
    let now = since_epoch(clock.now_ms());
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(SKEW);
    params.not_after = epoch + (now + DAY * days);
}

fn not_issued(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SecurityError {
    SecurityError::NotIssued {
        what: what.to_owned(),
        source: source.into(),
    }
}

/// Writes files that are not there yet. Nothing is written if one is.
fn write_new(files: &[(&PathBuf, &str, u32)]) -> Result<(), SecurityError> {
    for (file, ..) in files {
        if fs::symlink_metadata(file).is_ok() {
            return Err(SecurityError::CertificateExists {
                file: file.to_path_buf(),
            });
        }
    }
    for (file, text, mode) in files {
        let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let mut opened = OpenOptions::new().write(true).create_new(true).mode(*mode).open(file)?;
            opened.write_all(text.as_bytes())?;
            opened.sync_all()
        });
        written.map_err(|source| SecurityError::CertificateNotWritten {
            file: file.to_path_buf(),
            source,
        })?;
    }
    Ok(())
}
