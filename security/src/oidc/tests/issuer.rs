//! An issuer of the tests' own: keys, tokens that they sign, and documents that are fetched from it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

use super::super::{Fetch, Fetched};

/// A key of nobody else, for tests only.
const RSA: &[u8] = include_bytes!("rsa.pk8");

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn compact(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let (header, claims) = (header.to_string(), claims.to_string());
    let parts = [header.as_bytes(), claims.as_bytes(), signature].map(encode);
    parts.join(".")
}

pub(super) fn hmac(key: &[u8], header: &Value, claims: &Value) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    let unsigned = compact(header, claims, b"");
    let signed = unsigned.trim_end_matches('.');
    format!(
        "{signed}.{}",
        encode(ring::hmac::sign(&key, signed.as_bytes()).as_ref())
    )
}

enum Private {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// Who signs tokens.
pub(super) struct Signer {
    pub(super) id: String,
    private: Private,
}

impl Signer {
    pub(super) fn rsa(id: &str) -> Self {
        let pair = RsaKeyPair::from_pkcs8(RSA).expect("a key");
        Self::new(id, Private::Rsa(Box::new(pair)))
    }

    pub(super) fn ec(id: &str) -> Self {
        let (rng, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &rng).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &rng).expect("a key");
        Self::new(id, Private::Ec(pair))
    }

    pub(super) fn ed(id: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self::new(
            id,
            Private::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key")),
        )
    }

    fn new(id: &str, private: Private) -> Self {
        Self {
            id: id.to_owned(),
            private,
        }
    }

    pub(super) fn algorithms(&self) -> &'static [&'static str] {
        match self.private {
            Private::Rsa(_) => &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
            Private::Ec(_) => &["ES256"],
            Private::Ed(_) => &["EdDSA"],
        }
    }

    /// The half that everybody may know, as it lies in memory.
    pub(super) fn public(&self) -> Vec<u8> {
        match &self.private {
            Private::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Private::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Private::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    pub(super) fn jwk(&self) -> Value {
        let public = self.public();
        match &self.private {
            Private::Rsa(pair) => {
                let key = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "kid": self.id, "use": "sig", "n": encode(&key.n), "e": encode(&key.e)})
            }
            Private::Ec(_) => {
                let (x, y) = public[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.id, "alg": "ES256", "x": encode(x), "y": encode(y)})
            }
            Private::Ed(_) => json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": encode(&public)}),
        }
    }

    /// A token, signed as its header says.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let said = header["alg"].as_str().unwrap_or_default();
        let algorithm = self.algorithms().iter().find(|name| **name == said);
        self.sign_as(algorithm.unwrap_or_else(|| &self.algorithms()[0]), header, claims)
    }

    /// A token, signed otherwise than its header may say.
    pub(super) fn sign_as(&self, algorithm: &str, header: &Value, claims: &Value) -> String {
        let (header, claims) = (
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes()),
        );
        self.finish(algorithm, &header, &claims)
    }

    /// Two parts as they are, signed.
    pub(super) fn sign_raw(&self, header: &str, claims: &str) -> String {
        self.finish(self.algorithms()[0], header, claims)
    }

    fn finish(&self, algorithm: &str, header: &str, claims: &str) -> String {
        let signed = format!("{header}.{claims}");
        let (message, rng) = (signed.as_bytes(), SystemRandom::new());
        let signature = match &self.private {
            Private::Rsa(pair) => {
                let encoding: &dyn RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &rng, message, &mut signature).expect("a signature");
                signature
            }
            Private::Ec(pair) => pair.sign(&rng, message).expect("a signature").as_ref().to_vec(),
            Private::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        };
        format!("{signed}.{}", encode(&signature))
    }
}

/// What is fetched from issuers.
#[derive(Debug, Default)]
pub(super) struct Documents(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
    fails: bool,
}

impl Documents {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on an issuer has these keys.
    pub(super) fn publish(&self, issuer: &str, keys: &[Value]) {
        let at = format!("{issuer}/keys");
        let discovery = json!({"issuer": issuer, "jwks_uri": at});
        let mut state = self.lock();
        let well_known = format!("{issuer}/.well-known/openid-configuration");
        state.documents.insert(well_known, discovery.to_string().into_bytes());
        state
            .documents
            .insert(at, json!({"keys": keys}).to_string().into_bytes());
    }

    /// From now on nothing is answered.
    pub(super) fn fail(&self) {
        self.lock().fails = true;
    }

    pub(super) fn count(&self) -> usize {
        self.lock().asked.len()
    }

    pub(super) fn asked_only(&self, issuers: &[&str]) -> bool {
        let state = self.lock();
        state
            .asked
            .iter()
            .all(|url| issuers.iter().any(|issuer| url.starts_with(issuer)))
    }
}

impl Fetch for Documents {
    fn fetch<'a>(&'a self, url: &'a str, bytes_max: usize) -> Fetched<'a> {
        Box::pin(async move {
            let mut state = self.lock();
            state.asked.push(url.to_owned());
            let found = state.documents.get(url).filter(|_| !state.fails);
            let found = found.ok_or_else(|| "not found".to_owned())?;
            (found.len() <= bytes_max)
                .then(|| found.clone())
                .ok_or_else(|| "too long".to_owned())
        })
    }
}
