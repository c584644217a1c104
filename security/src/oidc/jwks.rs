//! An issuer's keys, as it publishes them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::jws::Algorithm;

/// Keys of one issuer that are looked at.
const KEYS_MAX: usize = 100;

/// The first byte of a point that is written out.
const UNCOMPRESSED: u8 = 4;

/// Half of a point of each curve.
const P256_BYTES: usize = 32;
const P384_BYTES: usize = 48;

/// Half as long as the shortest RSA key that counts (2048 bits), and more is not taken than this.
const RSA_BYTES_MIN: usize = 256;
const RSA_BYTES_MAX: usize = 1_024;

/// The half of a key that everybody may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A key, and what it is for.
#[derive(Debug, Clone)]
pub(super) struct Key {
    id: Option<String>,
    /// The one algorithm it is for, where its issuer says so.
    algorithm: Option<String>,
    pub(super) public: Public,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a document that tokens can be checked with. Others, such as those for encryption and those that are shared secrets,
/// are left out.
pub(super) fn read(document: &[u8]) -> Option<Vec<Key>> {
    let document: Document = serde_json::from_slice(document).ok()?;
    let keys = document.keys.into_iter().take(KEYS_MAX);
    Some(
        keys.filter_map(|key| key_of(serde_json::from_value(key).ok()?))
            .collect(),
    )
}

fn key_of(jwk: Jwk) -> Option<Key> {
    let verifies = jwk.key_ops.as_ref();
    if jwk.used_for.as_deref().is_some_and(|used| used != "sig")
        || verifies.is_some_and(|uses| !uses.iter().any(|used| used == "verify"))
    {
        return None;
    }
    let part = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
    let point = |half: usize| {
        let (x, y) = (part(&jwk.x)?, part(&jwk.y)?);
        (x.len() == half && y.len() == half).then(|| [vec![UNCOMPRESSED], x, y].concat())
    };
    let public = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let n = part(&jwk.n)?;
            if !(RSA_BYTES_MIN..=RSA_BYTES_MAX).contains(&n.len()) {
                return None;
            }
            Public::Rsa { n, e: part(&jwk.e)? }
        }
        ("EC", Some("P-256")) => Public::P256(point(P256_BYTES)?),
        ("EC", Some("P-384")) => Public::P384(point(P384_BYTES)?),
        ("OKP", Some("Ed25519")) => Public::Ed25519(part(&jwk.x)?),
        _ => return None,
    };
    Some(Key {
        id: jwk.kid,
        algorithm: jwk.alg,
        public,
    })
}

impl Key {
    fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::ES256 => matches!(self.public, Public::P256(_)),
            Algorithm::ES384 => matches!(self.public, Public::P384(_)),
            Algorithm::EdDsa => matches!(self.public, Public::Ed25519(_)),
            _ => matches!(self.public, Public::Rsa { .. }),
        };
        kind && self.algorithm.as_deref().is_none_or(|name| name == algorithm.name())
    }
}

/// The key of this name for this algorithm. A token that names none is tried with the one key there is for its algorithm, if it is one.
pub(super) fn find<'a>(keys: &'a [Key], id: Option<&str>, algorithm: Algorithm) -> Option<&'a Key> {
    let mut fitting = keys.iter().filter(|key| key.fits(algorithm));
    match id {
        Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)),
        None => {
            let only = fitting.next()?;
            fitting.next().is_none().then_some(only)
        }
    }
}
