//! Who came in and who did not: counted by way and outcome, and told in the log and in the audit log, though no more often than somebody can
//! read: who guesses must not be able to push out what was kept before.
//!
//! Neither passwords nor tokens come here. Names do, which are the sender's: they are cut, and no label of a metric.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Serialize;
use serde_json::json;

use tidewater_core::{Coded, ErrorKind};

use crate::audit::AuditLog;
use crate::error::SecurityError;

/// Within such a time the same user's same login from the same address is told once.
const WINDOW_MS: u64 = 60 * 1000;

/// Failures that are told in this time, whoever guesses: one a second.
const FAILURES_MAX: usize = 60;

/// Successes that are told in this time: what a person's tools and a team's dashboards make, apart from failures so that nobody can hide
/// one behind guesses.
const SUCCESSES_MAX: usize = 600;

/// Longest part of a name that is told, in characters.
const NAME_CHARS_MAX: usize = 64;

/// What somebody showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A password.
    Password,
    /// The proof of a password.
    Scram,
    /// A token of ours, or of an issuer that is believed.
    Token,
    /// A certificate.
    Certificate,
}

impl Way {
    const ALL: [Self; 4] = [Self::Password, Self::Scram, Self::Token, Self::Certificate];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Scram => "scram",
            Self::Token => "token",
            Self::Certificate => "certificate",
        }
    }
}

/// What became of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// They are in.
    Succeeded,
    /// They are not who they say, or nobody here.
    Denied,
    /// They have to wait, and were not looked at.
    Throttled,
    /// It could not be decided.
    Failed,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Succeeded, Self::Denied, Self::Throttled, Self::Failed];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "ok",
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
        }
    }

    fn of(error: Option<&SecurityError>) -> Self {
        match error.map(SecurityError::kind) {
            None => Self::Succeeded,
            Some(ErrorKind::Denied) => Self::Denied,
            Some(ErrorKind::Exhausted) => Self::Throttled,
            Some(_) => Self::Failed,
        }
    }
}

/// Logins of this process since its start.
#[derive(Debug, Default)]
pub struct Logins {
    counts: [[AtomicU64; Outcome::ALL.len()]; Way::ALL.len()],
    told: Mutex<Told>,
    /// Where they are kept, if they are.
    audit: OnceLock<AuditLog>,
}

/// A login as it is kept.
#[derive(Serialize)]
struct Kept<'a> {
    way: &'static str,
    outcome: &'static str,
    user: Option<&'a str>,
    address: Option<IpAddr>,
    error: Option<&'static str>,
}

/// What was told in the time that goes on.
#[derive(Debug, Default)]
struct Told {
    began_ms: i64,
    failures: HashSet<[u8; 32]>,
    successes: HashSet<[u8; 32]>,
    left_out: u64,
}

impl Logins {
    /// Keeps them in this log from now on. The first one that is given counts.
    pub fn keep_in(&self, audit: AuditLog) {
        self.audit.get_or_init(|| audit);
    }

    /// Takes note of a login, with the error if it failed. The user is who they say they are, where they say it.
    pub fn note(
        &self,
        way: Way,
        user: Option<&str>,
        address: Option<IpAddr>,
        error: Option<&SecurityError>,
        now_ms: i64,
    ) {
        let outcome = Outcome::of(error);
        if let Some(count) = self.counts.get(way as usize).and_then(|of| of.get(outcome as usize)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let (tells, left_out) = self.tells(way, user, address, error.is_some(), now_ms);
        if left_out > 0 {
            tracing::warn!(
                left_out,
                "more logins than are told one by one: these were counted only"
            );
            if let Some(audit) = self.audit.get() {
                audit.keep("logins_left_out", &json!({"logins": left_out}));
            }
        }
        if !tells {
            return;
        }
        let user = user.map(|name| name.chars().take(NAME_CHARS_MAX).collect::<String>());
        if let Some(audit) = self.audit.get() {
            let kept = Kept {
                way: way.name(),
                outcome: outcome.name(),
                user: user.as_deref(),
                address,
                error: error.map(SecurityError::code),
            };
            audit.keep("login", &kept);
        }
        let peer = address.map(|address| address.to_string());
        match error {
            None => tracing::info!(way = way.name(), user, peer, "logged in"),
            Some(error) => {
                tracing::warn!(way = way.name(), user, peer, code = error.code(), %error, "a login was refused");
            }
        }
    }

    /// Whether a login is to be told, and how many were not in the time that is over.
    fn tells(
        &self,
        way: Way,
        user: Option<&str>,
        address: Option<IpAddr>,
        is_failure: bool,
        now_ms: i64,
    ) -> (bool, u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = 0;
        if now_ms.saturating_sub(told.began_ms).unsigned_abs() >= WINDOW_MS {
            left_out = told.left_out;
            *told = Told {
                began_ms: now_ms,
                ..Told::default()
            };
        }
        let (of, most) = match is_failure {
            true => (&mut told.failures, FAILURES_MAX),
            false => (&mut told.successes, SUCCESSES_MAX),
        };
        let key = key(way, user, address);
        if of.contains(&key) {
            // The count tells of the same again.
            return (false, left_out);
        }
        let tells = of.len() < most;
        match tells {
            true => {
                of.insert(key);
            }
            false => told.left_out = told.left_out.saturating_add(1),
        }
        (tells, left_out)
    }

    /// How many there were, by way and outcome.
    pub fn counts(&self) -> Vec<(Way, Outcome, u64)> {
        let ways = Way::ALL.into_iter().zip(&self.counts);
        ways.flat_map(|(way, of)| {
            let outcomes = Outcome::ALL.into_iter().zip(of);
            outcomes.map(move |(outcome, count)| (way, outcome, count.load(Ordering::Relaxed)))
        })
        .collect()
    }
}

/// Names are hashed: they are the sender's, of any length.
fn key(way: Way, user: Option<&str>, address: Option<IpAddr>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(way.name().as_bytes()).update(&[0]);
    if let Some(address) = address {
        hasher.update(address.to_string().as_bytes());
    }
    hasher.update(&[0]);
    if let Some(user) = user {
        hasher.update(&[1]).update(user.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    // Goal: every login is counted, under what became of it. Method: one of each outcome by two ways, then the sums.
    #[test]
    fn logins_are_counted() {
        let logins = Logins::default();
        let wait = SecurityError::TooManyAttempts { seconds: 1 };
        let unknown = SecurityError::KeysUnknown { issuer: "x".into() };
        for way in [Way::Password, Way::Certificate] {
            for error in [None, Some(&SecurityError::BadCredentials), Some(&wait), Some(&unknown)] {
                logins.note(way, Some("ana"), from(1), error, 0);
            }
        }
        logins.note(Way::Password, Some("ana"), from(1), None, 0);
        for (way, outcome, count) in logins.counts() {
            let expected = match (way, outcome) {
                (Way::Password, Outcome::Succeeded) => 2,
                (Way::Password | Way::Certificate, _) => 1,
                (Way::Scram | Way::Token, _) => 0,
            };
            assert_eq!(count, expected, "{way:?} {outcome:?}");
        }
    }

    // Goal: guesses do not flood the log nor hide a success, what was left out is told, and memory is bounded. Method: 10,000 failures of
    // as many names within a minute, one user's success twice, then a failure in the next minute.
    #[test]
    fn guesses_do_not_flood() {
        let logins = Logins::default();
        let tells =
            |user: &str, is_failure, now_ms| logins.tells(Way::Password, Some(user), from(1), is_failure, now_ms);
        let told = (0..10_000_i64).filter(|at| tells(&format!("user {at}"), true, 100_000 + *at).0);
        assert_eq!(told.count(), FAILURES_MAX);
        assert_eq!(tells("ana", false, 110_000), (true, 0));
        assert_eq!(tells("ana", false, 110_001), (false, 0));
        assert_eq!(tells("user 1", true, 170_000), (true, 10_000 - FAILURES_MAX as u64));
        assert_eq!(tells("user 1", true, 170_001), (false, 0));
        assert_eq!(tells("user 2", true, 170_002), (true, 0));
    }

    // Goal: what is told is kept too, with who, whence and why, and what is not told as a number. Method: a success, a refusal and a flood of
    // them into a log, whose lines are read back.
    #[tokio::test]
    async fn logins_are_kept() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = crate::AuditOptions {
            directory: dir.path().to_owned(),
            keep: std::time::Duration::from_secs(3_600),
            bytes_max: 1 << 20,
            required: false,
            process: "lake-1".to_owned(),
        };
        let audit = AuditLog::start(options, tidewater_core::SystemClock::shared()).expect("a log");
        let logins = Logins::default();
        logins.keep_in(audit.clone());
        let wrong = Some(&SecurityError::BadCredentials);
        logins.note(Way::Token, Some("ana"), from(1), None, 100_000);
        logins.note(Way::Password, Some("eve"), from(2), wrong, 100_001);
        for at in 0..1_000_i64 {
            logins.note(Way::Password, Some(&format!("guess {at}")), None, wrong, 100_002 + at);
        }
        logins.note(Way::Password, Some("eve"), from(2), wrong, 170_000);
        audit.flush().await.expect("kept");
        let mut kept = Vec::new();
        crate::audit::read(dir.path(), &crate::AuditFilter::default(), |line| kept.push(line)).expect("a folder");
        let text = |at: usize, key: &str| kept[at][key].as_str().map(str::to_owned);
        assert_eq!(
            (text(0, "user"), text(0, "outcome")),
            (Some("ana".into()), Some("ok".into()))
        );
        assert_eq!((text(0, "address"), text(0, "error")), (Some("10.0.0.1".into()), None));
        assert_eq!(
            (text(1, "user"), text(1, "outcome")),
            (Some("eve".into()), Some("denied".into()))
        );
        assert_eq!(text(1, "error").as_deref(), Some(SecurityError::BadCredentials.code()));
        assert_eq!(kept.len(), 1 + FAILURES_MAX + 2);
        let left_out = &kept[1 + FAILURES_MAX];
        assert_eq!(
            (&left_out["event"], &left_out["logins"]),
            (&"logins_left_out".into(), &941.into())
        );
    }

    // Goal: the same user from elsewhere, or by another way, is told too. Method: one of each beside the first.
    #[test]
    fn others_are_told() {
        let logins = Logins::default();
        let tells = |way, user, address| logins.tells(way, user, address, true, 1).0;
        assert!(tells(Way::Password, Some("ana"), from(1)));
        assert!(!tells(Way::Password, Some("ana"), from(1)));
        assert!(tells(Way::Password, Some("ana"), from(2)));
        assert!(tells(Way::Scram, Some("ana"), from(1)));
        assert!(tells(Way::Token, None, from(1)));
        assert!(tells(Way::Token, None, None));
    }
}
