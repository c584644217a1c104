//! The signed form of a token: three parts in base64, the first of which says with what it is signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::claims::Claims;
use super::jwks::Public;
use super::{TOKEN_BYTES_MAX, json, refused};
use crate::error::SecurityError;

/// Longest name of a key.
const KEY_ID_BYTES_MAX: usize = 256;

/// How a token may be signed: with a key that only its issuer has, and that nobody could mistake for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "their names are those of RFC 7518")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDsa,
    ];

    /// As tokens and keys name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }
}

/// A token taken apart, whose signature nobody has looked at yet.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, SecurityError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused("it is longer than 16 KiB"));
        }
        let malformed = || refused("it is not in the form of a signed token");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(malformed());
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let header = json::object(&decode(header)?).ok_or_else(malformed)?;
        let (algorithm, key_id) = read(&header)?;
        Ok(Self {
            algorithm,
            key_id,
            signed,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// What it says, whoever signed it.
    pub(super) fn claims(&self) -> Result<Claims, SecurityError> {
        json::object(&self.payload)
            .map(Claims::new)
            .ok_or_else(|| refused("its claims are not one JSON object with each key once"))
    }

    /// Whether this key signed it.
    pub(super) fn verify(&self, key: &Public) -> Result<(), SecurityError> {
        let (message, signature) = (self.signed.as_bytes(), self.signature.as_slice());
        let verified = match (key, self.algorithm) {
            (Public::Rsa { n, e }, algorithm) if algorithm.rsa().is_some() => {
                let parameters = algorithm.rsa();
                parameters.is_some_and(|parameters| {
                    let key = RsaPublicKeyComponents { n, e };
                    key.verify(parameters, message, signature).is_ok()
                })
            }
            (Public::P256(point), Algorithm::ES256) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
                .is_ok(),
            (Public::P384(point), Algorithm::ES384) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)
                .verify(message, signature)
                .is_ok(),
            (Public::Ed25519(key), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
            }
            _ => false,
        };
        match verified {
            true => Ok(()),
            false => Err(refused("its signature is not its issuer's")),
        }
    }
}

/// What the header says of the signature. Keys and addresses of keys in it (`jwk`, `jku`, `x5c`, `x5u`) are not read: who signs
/// could write what he likes there.
fn read(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), SecurityError> {
    // What has to be understood is not: RFC 7515, 4.1.11.
    if ["crit", "b64", "zip", "enc"]
        .iter()
        .any(|key| header.contains_key(*key))
    {
        return Err(refused("its header asks for what is not understood here"));
    }
    let name = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
    let algorithm = algorithm.ok_or_else(|| refused("its algorithm is none that is believed"))?;
    let of_type = match header.get("typ") {
        None => true,
        Some(Value::String(text)) => {
            let text = text.to_ascii_lowercase();
            matches!(text.strip_prefix("application/").unwrap_or(&text), "jwt" | "at+jwt")
        }
        Some(_) => false,
    };
    if !of_type {
        return Err(refused("it is another kind of token"));
    }
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) if !id.is_empty() && id.len() <= KEY_ID_BYTES_MAX => Some(id.clone()),
        Some(_) => return Err(refused("its key id is not a text")),
    };
    Ok((algorithm, key_id))
}
