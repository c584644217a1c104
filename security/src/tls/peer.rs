//! Who is at the other end of a connection: where they are, and whom their certificate names.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Longest name that is taken from a certificate.
const NAME_BYTES_MAX: usize = 256;

/// What of a client's certificate is its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamedBy {
    /// The common name of its subject.
    Cn,
    /// The DNS name among its alternative names.
    Dns,
    /// The URI among its alternative names, such as a SPIFFE id.
    Uri,
}

/// Which users certificates of clients name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientNames {
    /// Where a certificate has its name.
    pub by: NamedBy,
    /// The user of each name. Where this is empty the name itself is the user's.
    #[serde(default)]
    pub users: BTreeMap<String, String>,
}

impl ClientNames {
    /// The user that a certificate names. One with several names of the kind names nobody: which of them counts would be a guess.
    pub(super) fn user_of(&self, certificate: &[u8]) -> Option<String> {
        let certificate = CertificateDer::from(certificate);
        let certificate = EndEntityCert::try_from(&certificate).ok()?;
        let names: Vec<&str> = match self.by {
            NamedBy::Cn => common_names(certificate.subject())?,
            NamedBy::Dns => certificate.valid_dns_names().collect(),
            NamedBy::Uri => certificate.valid_uri_names().collect(),
        };
        let [name] = names.as_slice() else {
            return None;
        };
        let sound = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
        match self.users.is_empty() {
            _ if !sound => None,
            true => Some((*name).to_owned()),
            false => self.users.get(*name).cloned(),
        }
    }
}

/// Tags of DER that a subject is made of.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;

/// The object id of common names, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The common names of a subject: a sequence of sets of pairs. None for what is none, and for names in other alphabets than UTF-8's.
fn common_names(mut subject: &[u8]) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    while !subject.is_empty() {
        let mut parts = take(&mut subject, &[SET])?;
        while !parts.is_empty() {
            let mut part = take(&mut parts, &[SEQUENCE])?;
            if take(&mut part, &[OBJECT_ID])? == COMMON_NAME {
                names.push(std::str::from_utf8(take(&mut part, &[UTF8, PRINTABLE])?).ok()?);
            }
        }
    }
    Some(names)
}

/// Takes one value with one of these tags from the front of `bytes`.
fn take<'a>(bytes: &mut &'a [u8], tags: &[u8]) -> Option<&'a [u8]> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        length @ ..=0x7f => (usize::from(*length), rest),
        0x81 => {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    tags.contains(tag).then_some(value)
}

/// The other end of a connection. Clones are the same: what the handshake tells is seen by all.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    address: Option<SocketAddr>,
    user: Arc<OnceLock<String>>,
    tls: Arc<AtomicBool>,
}

impl Peer {
    /// At this address, with no certificate yet.
    pub fn at(address: Option<SocketAddr>) -> Self {
        Self {
            address,
            user: Arc::default(),
            tls: Arc::default(),
        }
    }

    /// Where they are.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.map(|address| address.ip())
    }

    /// Whether nobody else can read what they send: it comes by TLS, or from this machine.
    pub fn is_private(&self) -> bool {
        let here = self.ip().is_some_and(|ip| ip.to_canonical().is_loopback());
        here || self.tls.load(Ordering::Acquire)
    }

    /// Takes note that the connection speaks TLS; at the end of the handshake.
    pub fn encrypted(&self) {
        self.tls.store(true, Ordering::Release);
    }

    /// The user that their certificate names. Its CA vouched for it in the handshake.
    pub fn user(&self) -> Option<&str> {
        self.user.get().map(String::as_str)
    }

    /// Takes note of whom the certificate names; once, at the end of the handshake.
    pub fn named(&self, user: Option<String>) {
        if let Some(user) = user {
            // A connection has one handshake.
            let _ = self.user.set(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(cn: &[&str], names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in cn {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.subject_alt_names = names;
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    // Goal: what others may read along is told from what they may not, also where the handshake comes after the first look. Method:
    // addresses of this machine and of another, before and after TLS, seen by a clone from before it; an unknown address.
    #[test]
    fn what_others_may_read_is_told() {
        let at = |address: &str| Peer::at(Some(address.parse().expect("an address")));
        for (peer, private) in [
            (at("127.0.0.1:1"), true),
            (at("[::1]:1"), true),
            (at("[::ffff:127.0.0.1]:1"), true),
            (at("192.0.2.1:1"), false),
            (at("[2001:db8::1]:1"), false),
            (Peer::at(None), false),
        ] {
            assert_eq!(peer.is_private(), private, "{peer:?}");
            let before = peer.clone();
            peer.encrypted();
            assert!(before.is_private(), "{peer:?}");
        }
    }

    // Goal: a certificate names one user or none. Method: each kind of name, alone, twice, absent, strange, and through a map.
    #[test]
    fn certificates_name_one_user_or_none() {
        let text = |text: &str| text.try_into().expect("ASCII");
        let names = vec![
            SanType::DnsName(text("ana.lake.example")),
            SanType::URI(text("spiffe://lake/ana")),
        ];
        let good = certificate(&["ana"], names);
        let by = |by| ClientNames {
            by,
            users: BTreeMap::new(),
        };
        for (kind, user) in [
            (NamedBy::Cn, "ana"),
            (NamedBy::Dns, "ana.lake.example"),
            (NamedBy::Uri, "spiffe://lake/ana"),
        ] {
            assert_eq!(by(kind).user_of(&good).as_deref(), Some(user));
        }
        let mapped = ClientNames {
            by: NamedBy::Uri,
            users: BTreeMap::from([("spiffe://lake/ana".to_owned(), "ana".to_owned())]),
        };
        assert_eq!(mapped.user_of(&good).as_deref(), Some("ana"));
        let other = certificate(&["ana"], vec![SanType::URI(text("spiffe://lake/bob"))]);
        assert_eq!(mapped.user_of(&other), None, "it is not in the map");

        let two = certificate(&[], vec![SanType::DnsName(text("ana")), SanType::DnsName(text("bob"))]);
        assert_eq!(by(NamedBy::Dns).user_of(&two), None);
        for nobody in [
            certificate(&[], Vec::new()),
            certificate(&["a\u{7}na"], Vec::new()),
            Vec::new(),
        ] {
            assert_eq!(by(NamedBy::Cn).user_of(&nobody), None);
            assert_eq!(by(NamedBy::Dns).user_of(&nobody), None);
        }
        let mut longer = good;
        longer.push(0);
        assert_eq!(
            by(NamedBy::Cn).user_of(&longer),
            None,
            "something follows the certificate"
        );
    }
}
