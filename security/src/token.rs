//! Tokens that carry their subject and end, signed with a key that all nodes share; nothing else has to be kept to know a good one.
//!
//! Nodes and operators show tokens of [`TokenKey`] itself, made for each call. Users have [`Claims`], which can be taken back.

mod claims;
mod kept;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::SecurityError;
use crate::principal::Principal;

pub use claims::{Claims, TOKEN_TTL_MS_MAX};

/// Domain of the derived key: a key for tokens signs nothing else.
const DOMAIN: &str = "tidewater 2026 bearer tokens v1";

/// Domain of the key of the nodes: a user's token opens no port of theirs, even if both secrets are the same text.
const NODE_DOMAIN: &str = "tidewater 2026 node tokens v1";

/// Domain of the key of operators: a token that opens the nodes' ports does not change their group.
const OPERATOR_DOMAIN: &str = "tidewater 2026 operator tokens v1";

/// Domain of the key of processes that have each other end statements: a token that a node gave to somebody speaks for no other user.
const SIBLING_DOMAIN: &str = "tidewater 2026 sibling tokens v1";

/// Signs and checks tokens.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(secret)")
    }
}

impl TokenKey {
    /// Derives the key from a secret of the installation.
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key(DOMAIN, secret))
    }

    /// Derives the key of the tokens that nodes show each other from the secret they share.
    pub fn for_nodes(secret: &[u8]) -> Self {
        Self(blake3::derive_key(NODE_DOMAIN, secret))
    }

    /// Derives the key of the tokens of those who change the group of nodes, from the secret that the nodes share.
    pub fn for_operators(secret: &[u8]) -> Self {
        Self(blake3::derive_key(OPERATOR_DOMAIN, secret))
    }

    /// Derives the key of the tokens that processes show each other which answer statements, from the secret that the nodes share. Who
    /// bears one is believed whose statement is to end.
    pub fn for_siblings(secret: &[u8]) -> Self {
        Self(blake3::derive_key(SIBLING_DOMAIN, secret))
    }

    /// The signature of `body`, for handles that other crates make.
    pub fn sign(&self, body: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, body).as_bytes()
    }

    /// Whether `signature` is the one of `body`.
    pub fn signed(&self, body: &[u8], signature: &[u8]) -> bool {
        // blake3 compares hashes in constant time.
        <[u8; 32]>::try_from(signature).is_ok_and(|signature| blake3::keyed_hash(&self.0, body) == signature)
    }

    /// A token for `principal` that is good until `until_ms` (milliseconds since the Unix epoch).
    pub fn issue(&self, principal: &Principal, until_ms: i64) -> String {
        let mut body = until_ms.to_be_bytes().to_vec();
        body.extend_from_slice(principal.name.as_bytes());
        let mut token = self.sign(&body).to_vec();
        token.extend_from_slice(&body);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The principal a token was issued for.
    pub fn verify(&self, token: &str, now_ms: i64) -> Result<Principal, SecurityError> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| SecurityError::BadToken)?;
        let (signature, body) = bytes.split_at_checked(32).ok_or(SecurityError::BadToken)?;
        if !self.signed(body, signature) {
            return Err(SecurityError::BadToken);
        }
        let (until, name) = body.split_at_checked(8).ok_or(SecurityError::BadToken)?;
        let until_ms = i64::from_be_bytes(until.try_into().map_err(|_| SecurityError::BadToken)?);
        if now_ms >= until_ms {
            return Err(SecurityError::ExpiredToken);
        }
        let name = String::from_utf8(name.to_vec()).map_err(|_| SecurityError::BadToken)?;
        Ok(Principal::named(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: only what was issued is accepted, and only until its end. Method: flip every byte; pass the end.
    #[test]
    fn altered_and_expired_tokens_name_nobody() {
        let key = TokenKey::derive(b"secret");
        let principal = Principal::named("ana");
        let token = key.issue(&principal, 1_000);
        assert_eq!(key.verify(&token, 999).expect("a good token"), principal);
        assert!(matches!(key.verify(&token, 1_000), Err(SecurityError::ExpiredToken)));
        assert!(TokenKey::derive(b"other").verify(&token, 0).is_err());
        assert!(TokenKey::for_nodes(b"secret").verify(&token, 0).is_err());
        let node = TokenKey::for_nodes(b"secret").issue(&principal, 1_000);
        let operator = TokenKey::for_operators(b"secret").issue(&principal, 1_000);
        assert!(TokenKey::for_operators(b"secret").verify(&node, 0).is_err());
        for other in [&token, &node, &operator] {
            assert!(TokenKey::for_siblings(b"secret").verify(other, 0).is_err());
        }
        let bytes = URL_SAFE_NO_PAD.decode(&token).expect("our own encoding");
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(key.verify(&URL_SAFE_NO_PAD.encode(altered), 0).is_err(), "byte {at}");
        }
        assert!(key.verify("", 0).is_err());
    }
}
