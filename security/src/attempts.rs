//! A limit on guessed passwords: whoever fails often waits, longer each time.
//!
//! Two counts are kept for each try: of the user from that address, and of the user from anywhere. The second is the laxer one, so
//! that a stranger who guesses delays the user's own logins by little.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::SecurityError;

/// Failures before the first wait, from one address.
const FREE: u32 = 5;

/// Longest wait, of one address.
const WAIT_MS_MAX: i64 = 5 * 60 * 1000;

/// Failures before the first wait, from all addresses together.
const FREE_ANYWHERE: u32 = 10;

/// Longest wait that others can cause a user.
const WAIT_ANYWHERE_MS_MAX: i64 = 60 * 1000;

/// Without a failure for so long, all is forgotten.
const FORGET_MS: i64 = 15 * 60 * 1000;

/// Counts that are held; the one that failed least recently goes first. 64 bytes each.
const COUNTS_MAX: usize = 10_000;

/// Names are hashed: they are the sender's, of any length.
type Key = [u8; 32];

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    last_ms: i64,
    until_ms: i64,
}

/// Failed logins, in this process's memory.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<Key, Count>>);

impl Attempts {
    /// Refuses a try that comes too early. To be asked before the password is looked at: a refusal costs nothing then.
    pub fn check(&self, user: &str, address: Option<IpAddr>, now_ms: i64) -> Result<(), SecurityError> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = keys(user, address).filter_map(|(key, _, _)| counts.get(&key));
        let until = until.map(|count| count.until_ms).max().unwrap_or(i64::MIN);
        if until <= now_ms {
            return Ok(());
        }
        let wait = Duration::from_millis(u64::try_from(until.saturating_sub(now_ms)).unwrap_or_default());
        Err(SecurityError::TooManyAttempts {
            seconds: wait.as_secs() + 1,
        })
    }

    /// Takes note of a wrong password.
    pub fn failed(&self, user: &str, address: Option<IpAddr>, now_ms: i64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, free, wait_max) in keys(user, address) {
            if counts.len() >= COUNTS_MAX && !counts.contains_key(&key) {
                let oldest = counts
                    .iter()
                    .min_by_key(|(_, count)| count.last_ms)
                    .map(|(key, _)| *key);
                oldest.and_then(|oldest| counts.remove(&oldest));
            }
            let count = counts.entry(key).or_insert(Count {
                failures: 0,
                last_ms: now_ms,
                until_ms: i64::MIN,
            });
            if now_ms.saturating_sub(count.last_ms) > FORGET_MS {
                count.failures = 0;
            }
            count.failures = count.failures.saturating_add(1);
            count.last_ms = now_ms;
            if let Some(over) = count.failures.checked_sub(free) {
                let wait = 1_000_i64.checked_shl(over.min(30)).unwrap_or(wait_max).min(wait_max);
                count.until_ms = now_ms.saturating_add(wait);
            }
        }
    }

    /// The right password: what this address did is forgotten. What others did is not, they may go on.
    pub fn succeeded(&self, user: &str, address: Option<IpAddr>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((key, _, _)) = keys(user, address).next() {
            counts.remove(&key);
        }
    }
}

/// What is counted, with the failures that are free and the longest wait.
fn keys(user: &str, address: Option<IpAddr>) -> impl Iterator<Item = (Key, u32, i64)> {
    let hash = |address: &str| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(address.as_bytes()).update(&[0]).update(user.as_bytes());
        *hasher.finalize().as_bytes()
    };
    let there = address.map(|address| (hash(&address.to_string()), FREE, WAIT_MS_MAX));
    there
        .into_iter()
        .chain([(hash(""), FREE_ANYWHERE, WAIT_ANYWHERE_MS_MAX)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    // Goal: at most about ten passwords a minute are looked at, from one address and from many. Method: a guesser who tries every
    // 100 ms for an hour, and one with 200 addresses.
    #[test]
    fn guessing_is_slow() {
        for addresses in [1_u8, 200] {
            let (attempts, mut looked_at) = (Attempts::default(), 0);
            for step in 0..36_000_i64 {
                let (now_ms, address) = (step * 100, from((step % i64::from(addresses)) as u8));
                if attempts.check("ana", address, now_ms).is_ok() {
                    attempts.failed("ana", address, now_ms);
                    looked_at += 1;
                }
            }
            assert!(
                (10..=110).contains(&looked_at),
                "{looked_at} tries in an hour from {addresses}"
            );
        }
    }

    // Goal: others' guesses harm nobody for long, and time heals. Method: many failures from one address, then the user from another.
    #[test]
    fn others_are_let_in() {
        let attempts = Attempts::default();
        for at in 0..6 {
            attempts.failed("ana", from(1), at);
        }
        assert!(attempts.check("ana", from(1), 10).is_err());
        assert!(attempts.check("ana", from(2), 10).is_ok());
        assert!(attempts.check("bob", from(1), 10).is_ok());
        attempts.succeeded("ana", from(1));
        assert!(attempts.check("ana", from(1), 10).is_ok());
        for at in 0..40 {
            attempts.failed("ana", from(3), at);
        }
        assert!(attempts.check("ana", from(2), 40).is_err());
        assert!(attempts.check("ana", from(2), 40 + WAIT_ANYWHERE_MS_MAX).is_ok());
        assert!(attempts.check("ana", from(3), 40 + WAIT_ANYWHERE_MS_MAX).is_err());
        assert!(attempts.check("ana", from(3), 40 + WAIT_MS_MAX).is_ok());
    }

    // Goal: memory is bounded. Method: more names than may be held, the newest of which still counts.
    #[test]
    fn counts_are_bounded() {
        let attempts = Attempts::default();
        for at in 0..i64::try_from(COUNTS_MAX).expect("small") + 500 {
            attempts.failed(&format!("user {at}"), None, at);
        }
        assert_eq!(attempts.0.lock().expect("no panic").len(), COUNTS_MAX);
    }
}
