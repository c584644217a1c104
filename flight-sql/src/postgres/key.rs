//! Keys by which statements of connections are cancelled, by whoever shows one.

use serde::{Deserialize, Serialize};

use tidewater_core::SharedRng;
use tidewater_security::TokenKey;

/// What the half of a secret that is not random is made of.
const DOMAIN: &[u8] = b"tidewater postgres cancel key v1";

/// The number of a connection and its secret. Half of the secret is random, the other half proves to every process of an installation
/// that one of them made it: who guesses keys guesses all 63 bits, and what was guessed is not asked of others.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelKey {
    pid: i32,
    secret: i32,
}

impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CancelKey({}, secret)", self.pid)
    }
}

impl CancelKey {
    /// As a client shows it.
    pub(super) fn shown(pid: i32, secret: i32) -> Self {
        Self { pid, secret }
    }

    /// A new one, whose number is not taken.
    pub(super) fn new(rng: &SharedRng, key: &TokenKey, taken: impl Fn(i32) -> bool) -> Self {
        // Process ids are positive, and one stands for one connection.
        let number = |random: u64| i32::try_from(random & 0x7fff_ffff).unwrap_or(1).max(1);
        let mut pid = number(rng.next_u64());
        while taken(pid) {
            pid = number(rng.next_u64());
        }
        let [first, second, ..] = rng.next_u64().to_be_bytes();
        let secret = secret(key, pid, [first, second]);
        Self { pid, secret }
    }

    /// The connection.
    pub(super) fn pid(self) -> i32 {
        self.pid
    }

    /// What only its client knows.
    pub(super) fn secret(self) -> i32 {
        self.secret
    }

    /// Whether a process with this key made it.
    pub(crate) fn is_genuine(self, key: &TokenKey) -> bool {
        let [first, second, ..] = self.secret.to_be_bytes();
        self.fits(Self {
            secret: secret(key, self.pid, [first, second]),
            ..self
        })
    }

    /// Whether it is the other one, in a time that does not tell how much of it is.
    pub(super) fn fits(self, other: Self) -> bool {
        // blake3 compares hashes in constant time.
        self.pid == other.pid && blake3::hash(&self.secret.to_be_bytes()) == blake3::hash(&other.secret.to_be_bytes())
    }
}

fn secret(key: &TokenKey, pid: i32, random: [u8; 2]) -> i32 {
    let body = [DOMAIN, &pid.to_be_bytes(), &random].concat();
    let [first, second, ..] = key.sign(&body);
    let [high, low] = random;
    i32::from_be_bytes([high, low, first, second])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidewater_core::SeededRng;

    use super::*;

    // Goal: a key that no process of ours made is told from one that was, another's key fits no connection, and what is logged holds no
    // secret. Method: keys with one bit changed, under another secret of the installation, and the text of one.
    #[test]
    fn guessed_keys_are_not_genuine() {
        let rng: SharedRng = Arc::new(SeededRng::new(5));
        let ours = TokenKey::derive(b"ours");
        let made = CancelKey::new(&rng, &ours, |_| false);
        assert!(made.pid() > 0 && made.is_genuine(&ours) && made.fits(made));
        assert!(!made.is_genuine(&TokenKey::derive(b"theirs")));
        let guessed = (0..32).map(|bit| CancelKey::shown(made.pid(), made.secret() ^ (1 << bit)));
        let guessed: Vec<CancelKey> = guessed.collect();
        assert!(guessed.iter().all(|key| !key.fits(made)));
        // A changed random half asks for another proof, which sixteen bits may give by chance.
        let genuine = guessed.iter().filter(|key| key.is_genuine(&ours)).count();
        assert!(genuine <= 1, "{genuine} of 32");
        let other = CancelKey::new(&rng, &ours, |pid| pid == made.pid());
        assert!(other.pid() != made.pid() && !other.fits(made));
        assert_eq!(format!("{made:?}"), format!("CancelKey({}, secret)", made.pid()));
    }
}
