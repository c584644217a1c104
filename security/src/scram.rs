//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: a proof that somebody knows a password, without the password on the wire.
//!
//! What is kept is PostgreSQL's own form of a verifier, so that those of a PostgreSQL can be taken over. Nobody can log in with
//! a verifier, but whoever has it can pretend to be the server.

use std::fmt;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

use tidewater_core::SharedRng;

use crate::error::SecurityError;
use crate::token::TokenKey;

/// The name of the mechanism.
pub const MECHANISM: &str = "SCRAM-SHA-256";

/// Rounds of hashing for new verifiers, as PostgreSQL has them: clients compute them at every login.
const ITERATIONS: NonZeroU32 = match NonZeroU32::new(4_096) {
    Some(count) => count,
    None => NonZeroU32::MIN,
};

/// More rounds than anybody asks for: a verifier must not keep clients busy for minutes.
const ITERATIONS_MAX: u32 = 10_000_000;

const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: [u8; KEY_BYTES],
    server_key: [u8; KEY_BYTES],
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramVerifier(secret)")
    }
}

/// `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, as `pg_authid` has it.
impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{MECHANISM}${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key)
        )
    }
}

impl ScramVerifier {
    /// Of a password.
    pub fn new(password: &str, rng: &SharedRng) -> Self {
        Self::salted(password, rng.uuid().as_bytes(), ITERATIONS)
    }

    fn salted(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        // What cannot be prepared is taken as it is, as PostgreSQL and its clients do.
        let prepared = stringprep::saslprep(password);
        let prepared = prepared.as_deref().unwrap_or(password);
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            salt,
            prepared.as_bytes(),
            &mut salted,
        );
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: sha256(&hmac_sha256(&salted, b"Client Key")),
            server_key: hmac_sha256(&salted, b"Server Key"),
        }
    }

    /// Reads the written form.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(MECHANISM)?.strip_prefix('$')?;
        let (parameters, keys) = rest.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let key = |text: &str| <[u8; KEY_BYTES]>::try_from(STANDARD.decode(text).ok()?).ok();
        let iterations: NonZeroU32 = iterations.parse().ok()?;
        let salt = STANDARD.decode(salt).ok()?;
        if iterations.get() > ITERATIONS_MAX || salt.is_empty() {
            return None;
        }
        Some(Self {
            iterations,
            salt,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// For a user who is not there: the same at each try, so that nobody tells it from one who is.
    fn nobodys(user: &str, key: &TokenKey) -> Self {
        let hash = |what: &str| key.sign(format!("{what}\0{user}").as_bytes());
        Self {
            iterations: ITERATIONS,
            salt: hash("scram salt").into_iter().take(SALT_BYTES).collect(),
            stored_key: hash("scram stored key"),
            server_key: hash("scram server key"),
        }
    }
}

/// A login that has begun.
pub struct ScramExchange {
    verifier: ScramVerifier,
    /// Whether there is such a user.
    known: bool,
    /// The client's first message without its header, and ours: what is signed, but for the last part.
    signed: String,
    /// The nonce of both sides.
    nonce: String,
    /// What the client has to repeat of how it began.
    header: String,
}

impl fmt::Debug for ScramExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramExchange").finish_non_exhaustive()
    }
}

impl ScramExchange {
    /// Answers the client's first message. Without a verifier the exchange goes on to its end, and fails there.
    ///
    /// # Errors
    /// [`SecurityError::BadExchange`] for what is no message of the mechanism.
    pub(crate) fn begin(
        user: &str,
        verifier: Option<&ScramVerifier>,
        first: &[u8],
        key: &TokenKey,
        rng: &SharedRng,
    ) -> Result<(Self, String), SecurityError> {
        let first = std::str::from_utf8(first).map_err(|_| bad("not UTF-8"))?;
        // `n,,n=user,r=nonce`: the user that counts was named before.
        let mut parts = first.splitn(3, ',');
        let (binding, authorization, bare) = match (parts.next(), parts.next(), parts.next()) {
            (Some(binding), Some(authorization), Some(bare)) => (binding, authorization, bare),
            _ => return Err(bad("no header")),
        };
        match binding {
            // `y`: it would bind to TLS if this side offered it, which it does not.
            "n" | "y" => {}
            _ => return Err(bad("channel binding was not offered")),
        }
        if !(authorization.is_empty() || authorization.starts_with("a=")) {
            return Err(bad("no identity where one belongs"));
        }
        let mut attributes = bare.split(',');
        if !attributes.next().is_some_and(|name| name.starts_with("n=")) {
            return Err(bad("extensions that are not known"));
        }
        let theirs = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        let theirs = theirs.filter(|nonce| !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_graphic()));
        let theirs = theirs.ok_or_else(|| bad("no nonce"))?;
        let ours = [rng.uuid(), rng.uuid()]
            .map(|half| STANDARD.encode(half.as_bytes()))
            .concat();
        let nonce = format!("{theirs}{ours}");
        let known = verifier.is_some();
        let verifier = verifier.cloned().unwrap_or_else(|| ScramVerifier::nobodys(user, key));
        let answer = format!(
            "r={nonce},s={},i={}",
            STANDARD.encode(&verifier.salt),
            verifier.iterations
        );
        let exchange = Self {
            verifier,
            known,
            signed: format!("{bare},{answer}"),
            nonce,
            header: format!("{binding},{authorization},"),
        };
        Ok((exchange, answer))
    }

    /// Whether this is the verifier that the login began with.
    pub(crate) fn is_by(&self, verifier: &ScramVerifier) -> bool {
        self.known && self.verifier == *verifier
    }

    /// Checks the client's proof; the answer proves that this side has the verifier.
    pub(crate) fn finish(self, last: &[u8]) -> Result<String, SecurityError> {
        let last = std::str::from_utf8(last).map_err(|_| bad("not UTF-8"))?;
        let (without_proof, proof) = last.rsplit_once(",p=").ok_or_else(|| bad("no proof"))?;
        let mut attributes = without_proof.split(',');
        let header = attributes.next().and_then(|header| header.strip_prefix("c="));
        if header != Some(STANDARD.encode(&self.header).as_str()) {
            return Err(bad("another header than at the beginning"));
        }
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        if nonce != Some(self.nonce.as_str()) {
            return Err(bad("another nonce"));
        }
        let proof = STANDARD.decode(proof).ok();
        let proof = proof.and_then(|proof| <[u8; KEY_BYTES]>::try_from(proof).ok());
        let proof = proof.ok_or_else(|| bad("a proof of another length"))?;
        let signed = format!("{},{without_proof}", self.signed);
        let signature = hmac_sha256(&self.verifier.stored_key, signed.as_bytes());
        let mut client_key = proof;
        client_key
            .iter_mut()
            .zip(signature)
            .for_each(|(byte, signed)| *byte ^= signed);
        // blake3 compares hashes in constant time.
        let stored = blake3::Hash::from_bytes(self.verifier.stored_key);
        let right = blake3::Hash::from_bytes(sha256(&client_key)) == stored;
        if !(right && self.known) {
            return Err(SecurityError::BadCredentials);
        }
        let ours = hmac_sha256(&self.verifier.server_key, signed.as_bytes());
        Ok(format!("v={}", STANDARD.encode(ours)))
    }
}

fn bad(reason: &'static str) -> SecurityError {
    SecurityError::BadExchange { reason }
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    fixed(tag.as_ref())
}

fn sha256(data: &[u8]) -> [u8; KEY_BYTES] {
    fixed(digest::digest(&digest::SHA256, data).as_ref())
}

fn fixed(bytes: &[u8]) -> [u8; KEY_BYTES] {
    bytes.try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidewater_core::SeededRng;

    use super::*;

    const PASSWORD: &str = "pencil";

    fn exchange(verifier: &ScramVerifier, nonce: &str, signed: &str) -> ScramExchange {
        ScramExchange {
            verifier: verifier.clone(),
            known: true,
            signed: signed.into(),
            nonce: nonce.into(),
            header: "n,,".into(),
        }
    }

    /// What a client of RFC 5802 says last.
    fn proof(password: &str, first: &str, answer: &str) -> String {
        let value = |name: &str| {
            answer
                .split(',')
                .find_map(|part| part.strip_prefix(name))
                .expect("a part")
        };
        let salt = STANDARD.decode(value("s=")).expect("a salt");
        let mut salted = [0; KEY_BYTES];
        let iterations = value("i=").parse().expect("a number");
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            &salt,
            password.as_bytes(),
            &mut salted,
        );
        let client_key = hmac_sha256(&salted, b"Client Key");
        let without = format!("c=biws,r={}", value("r="));
        let signature = hmac_sha256(&sha256(&client_key), format!("{first},{answer},{without}").as_bytes());
        let mut proof = client_key;
        proof
            .iter_mut()
            .zip(signature)
            .for_each(|(byte, signed)| *byte ^= signed);
        format!("{without},p={}", STANDARD.encode(proof))
    }

    // Goal: keys, proof and answer are those of the standard. Method: the example of RFC 7677.
    #[test]
    fn the_example_of_the_standard() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("a salt");
        let verifier = ScramVerifier::salted(PASSWORD, &salt, ITERATIONS);
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signed = format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let last = format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let answer = exchange(&verifier, nonce, &signed)
            .finish(last.as_bytes())
            .expect("the right proof");
        assert_eq!(answer, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let read = ScramVerifier::parse(&verifier.to_string()).expect("its own form");
        assert_eq!(read, verifier);
    }

    // Goal: nobody is let in but with the right password, and nobody learns who is there. Method: the right password, a wrong
    // one, a user who is not there twice; and messages with one part changed.
    #[test]
    fn only_the_right_password_lets_in() {
        let rng: SharedRng = Arc::new(SeededRng::new(3));
        let key = TokenKey::derive(b"k");
        let verifier = ScramVerifier::new(PASSWORD, &rng);
        let bare = "n=,r=abc";
        let begin = |verifier: Option<&ScramVerifier>| {
            ScramExchange::begin("ana", verifier, format!("n,,{bare}").as_bytes(), &key, &rng).expect("a first message")
        };
        let (exchange, answer) = begin(Some(&verifier));
        assert!(exchange.finish(proof(PASSWORD, bare, &answer).as_bytes()).is_ok());
        for (password, verifier) in [("wrong", Some(&verifier)), (PASSWORD, None)] {
            let (exchange, answer) = begin(verifier);
            let ended = exchange.finish(proof(password, bare, &answer).as_bytes());
            assert!(matches!(ended, Err(SecurityError::BadCredentials)));
        }
        let salt = |answer: String| answer.split(',').nth(1).map(str::to_owned);
        assert_eq!(
            salt(begin(None).1),
            salt(begin(None).1),
            "a salt that changes tells that nobody is there"
        );
        for (from, to) in [("c=biws", "c=eSws"), ("r=abc", "r=abd"), (",p=", ",q=")] {
            let (exchange, answer) = begin(Some(&verifier));
            let last = proof(PASSWORD, bare, &answer).replacen(from, to, 1);
            let ended = exchange.finish(last.as_bytes());
            assert!(matches!(ended, Err(SecurityError::BadExchange { .. })), "{to}");
        }
        for first in [
            "",
            "n,,",
            "n,,r=abc",
            "n,,n=,r=",
            "p=tls-unique,,n=,r=abc",
            "n,x,n=,r=abc",
            "n,,m=x,n=,r=abc",
        ] {
            let begun = ScramExchange::begin("ana", Some(&verifier), first.as_bytes(), &key, &rng);
            assert!(begun.is_err(), "{first}");
        }
    }

    // Goal: what is no verifier is told. Method: the parts of one, left out or damaged.
    #[test]
    fn damaged_verifiers_are_refused() {
        let good = ScramVerifier::salted(PASSWORD, b"0123456789abcdef", ITERATIONS).to_string();
        assert!(ScramVerifier::parse(&good).is_some());
        for (from, to) in [
            ("SCRAM-SHA-256", "SCRAM-SHA-1"),
            ("$4096", "$0"),
            ("$4096", "$99999999"),
            (":", ";"),
            ("=", "!"),
        ] {
            assert!(ScramVerifier::parse(&good.replacen(from, to, 1)).is_none(), "{to}");
        }
    }
}
