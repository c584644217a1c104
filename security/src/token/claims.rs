//! Tokens of users: whom they speak for, from when until when, and an id by which one can be taken back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::TokenKey;
use crate::error::SecurityError;
use crate::policy::Policy;

/// Domain of the key: nothing else that the installation signs is a token of a user.
const DOMAIN: &str = "tidewater 2026 user tokens v2";

/// Longest time that a token can be good for: so long it has to be remembered that it was taken back.
pub const TOKEN_TTL_MS_MAX: i64 = 366 * 24 * 60 * 60 * 1000;

/// First byte of the body.
const VERSION: u8 = 2;

/// The same for a user whom the catalog keeps: their id stands before the name.
const VERSION_KEPT: u8 = 3;

/// Longest token that is looked at: a name has at most 1 KiB.
const TOKEN_BYTES_MAX: usize = 2 << 10;

/// Tokens from the future are good if their maker's clock is ahead by no more.
const SKEW_MS: i64 = 60 * 1000;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Names this token and no other.
    pub id: Uuid,
    /// Whom it speaks for.
    pub subject: String,
    /// Who of those that had the name, for a user whom the catalog keeps.
    pub account: Option<Uuid>,
    /// When it was made, milliseconds since the Unix epoch.
    pub issued_ms: i64,
    /// When it ends.
    pub until_ms: i64,
}

impl Claims {
    /// For `subject` from `issued_ms` until `until_ms`. `number` tells two apart that are made in one moment.
    pub fn new(key: &TokenKey, subject: &str, issued_ms: i64, until_ms: i64, number: u64) -> Self {
        let mut seed = Vec::with_capacity(subject.len() + 32);
        for part in [issued_ms.to_be_bytes(), until_ms.to_be_bytes(), number.to_be_bytes()] {
            seed.extend_from_slice(&part);
        }
        seed.extend_from_slice(subject.as_bytes());
        let hash = own(key).sign(&seed);
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self {
            id: uuid::Builder::from_random_bytes(id).into_uuid(),
            subject: subject.to_owned(),
            account: None,
            issued_ms,
            until_ms,
        }
    }

    /// For the user whom the catalog keeps under this id.
    #[must_use]
    pub(crate) fn of_account(mut self, account: Option<Uuid>) -> Self {
        self.account = account;
        self
    }

    /// The token.
    pub fn seal(&self, key: &TokenKey) -> String {
        let mut body = vec![match self.account {
            Some(_) => VERSION_KEPT,
            None => VERSION,
        }];
        body.extend_from_slice(self.id.as_bytes());
        body.extend_from_slice(&self.issued_ms.to_be_bytes());
        body.extend_from_slice(&self.until_ms.to_be_bytes());
        if let Some(account) = &self.account {
            body.extend_from_slice(account.as_bytes());
        }
        body.extend_from_slice(self.subject.as_bytes());
        let mut token = own(key).sign(&body).to_vec();
        token.extend_from_slice(&body);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// What a token says, if this installation made it and it has not ended.
    ///
    /// # Errors
    /// [`SecurityError::BadToken`] for anything else, [`SecurityError::ExpiredToken`] after its end.
    pub fn open(key: &TokenKey, token: &str, now_ms: i64) -> Result<Self, SecurityError> {
        let claims = Self::genuine(key, token)?;
        if now_ms >= claims.until_ms {
            return Err(SecurityError::ExpiredToken);
        }
        let ttl_ms = claims.until_ms.saturating_sub(claims.issued_ms);
        if claims.issued_ms > now_ms.saturating_add(SKEW_MS) || ttl_ms > TOKEN_TTL_MS_MAX {
            return Err(SecurityError::BadToken);
        }
        Ok(claims)
    }

    /// What a token said that this installation made and that has ended; none for any other.
    pub(crate) fn open_expired(key: &TokenKey, token: &str, now_ms: i64) -> Option<Self> {
        let claims = Self::genuine(key, token).ok()?;
        (now_ms >= claims.until_ms).then_some(claims)
    }

    /// What a token says that this installation made, whatever its time.
    fn genuine(key: &TokenKey, token: &str) -> Result<Self, SecurityError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(SecurityError::BadToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| SecurityError::BadToken)?;
        let (signature, body) = bytes.split_at_checked(32).ok_or(SecurityError::BadToken)?;
        if !own(key).signed(body, signature) {
            return Err(SecurityError::BadToken);
        }
        Self::read(body).ok_or(SecurityError::BadToken)
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (version, body) = body.split_first()?;
        let (id, rest) = body.split_first_chunk::<16>()?;
        let (issued, rest) = rest.split_first_chunk::<8>()?;
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (account, subject) = match *version {
            VERSION => (None, rest),
            VERSION_KEPT => {
                let (account, subject) = rest.split_first_chunk::<16>()?;
                (Some(Uuid::from_bytes(*account)), subject)
            }
            _ => return None,
        };
        Some(Self {
            id: Uuid::from_bytes(*id),
            account,
            issued_ms: i64::from_be_bytes(*issued),
            until_ms: i64::from_be_bytes(*until),
            subject: String::from_utf8(subject.to_vec()).ok()?,
        })
    }

    /// Whether it was taken back.
    pub fn is_revoked_by(&self, policy: &Policy) -> bool {
        let ended = policy.tokens_from_ms.get(&self.subject);
        ended.is_some_and(|ended| self.issued_ms <= *ended)
            || policy.tokens.iter().any(|row| row.revoked && row.id == self.id)
    }
}

/// The key of these tokens alone, made of the one that the installation's secret gives.
fn own(key: &TokenKey) -> TokenKey {
    TokenKey(blake3::derive_key(DOMAIN, &key.0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::policy::TokenRow;
    use crate::principal::Principal;

    const NOW: i64 = 1_000_000;

    fn key() -> TokenKey {
        TokenKey::derive(b"secret")
    }

    fn claims() -> Claims {
        Claims::new(&key(), "ana", NOW, NOW + 1_000, 1)
    }

    fn encoded(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// A body with the right signature, as only a defect of ours would make it.
    fn signed(body: &[u8]) -> String {
        let mut token = own(&key()).sign(body).to_vec();
        token.extend_from_slice(body);
        encoded(&token)
    }

    fn attacks() -> Vec<(String, String)> {
        let good = claims().seal(&key());
        let bytes = URL_SAFE_NO_PAD.decode(&good).expect("our own encoding");
        let mut attacks: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, token: String| attacks.push((name.to_owned(), token));
        // Another subject, time or id under the old signature.
        for (name, at) in [
            ("version", 32),
            ("id", 33),
            ("issued", 49),
            ("until", 57),
            ("subject", 65),
        ] {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            add(&format!("altered {name}"), encoded(&altered));
        }
        for cut in [0, 1, 31, 32, 33, 64, bytes.len() - 1] {
            add(&format!("cut to {cut}"), encoded(&bytes[..cut]));
        }
        for (name, extra) in [("letter", &b"x"[..]), ("nul", b"\0"), ("another user", b",bob")] {
            add(&format!("with {name} behind"), encoded(&[&bytes, extra].concat()));
        }
        add("no signature", encoded(&bytes[32..]));
        add("signature of nulls", encoded(&[&[0; 32][..], &bytes[32..]].concat()));
        add("signature of the body's hash", {
            encoded(&[blake3::hash(&bytes[32..]).as_bytes(), &bytes[32..]].concat())
        });
        add(
            "signature after the body",
            encoded(&[&bytes[32..], &bytes[..32]].concat()),
        );
        // Keys that are near.
        for (name, other) in [
            ("another secret", TokenKey::derive(b"Secret")),
            ("no secret", TokenKey::derive(b"")),
            ("the nodes' key", TokenKey::for_nodes(b"secret")),
            ("the operators' key", TokenKey::for_operators(b"secret")),
            (
                "the raw key",
                TokenKey(*b"secret\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            ),
        ] {
            add(name, claims().seal(&other));
        }
        // What else this installation signs.
        add(
            "a token of the older form",
            key().issue(&Principal::named("ana"), i64::MAX),
        );
        let node = TokenKey::for_nodes(b"secret").issue(&Principal::named("ana"), i64::MAX);
        add("a node's token", node);
        let body = &bytes[32..];
        add(
            "the handles' signature",
            encoded(&[&key().sign(body)[..], body].concat()),
        );
        // Well signed, and wrong all the same.
        add("expired", Claims::new(&key(), "ana", NOW - 2_000, NOW, 1).seal(&key()));
        add("never good", Claims::new(&key(), "ana", NOW, i64::MIN, 1).seal(&key()));
        add(
            "from the future",
            Claims::new(&key(), "ana", NOW + 3_600_000, NOW + 7_200_000, 1).seal(&key()),
        );
        add(
            "good for ever",
            Claims::new(&key(), "ana", NOW, i64::MAX, 1).seal(&key()),
        );
        add("signed nothing", signed(b""));
        add("signed version only", signed(&[VERSION]));
        add("signed other version", signed(&[&[1][..], &body[1..]].concat()));
        add("signed without a time", signed(&body[..20]));
        add(
            "signed name that is no text",
            signed(&[&body[..33], &[0xff, 0xfe]].concat()),
        );
        // Other kinds of token.
        let jwt = |header: &str| {
            let claims = r#"{"sub":"ana","iss":"tidewater","aud":"tidewater","exp":99999999999}"#;
            format!("{}.{}.", encoded(header.as_bytes()), encoded(claims.as_bytes()))
        };
        add("JWT without signature", jwt(r#"{"alg":"none"}"#));
        add(
            "JWT with HS256",
            format!("{}{}", jwt(r#"{"alg":"HS256"}"#), encoded(&[7; 32])),
        );
        add("JWT with a key file", jwt(r#"{"alg":"HS256","kid":"../../dev/null"}"#));
        add(
            "JWT with a key's address",
            jwt(r#"{"alg":"RS256","jku":"http://127.0.0.1/keys"}"#),
        );
        // Ways to write it.
        add("with padding", format!("{good}=="));
        add("with a space", format!(" {good}"));
        add("with a line end", format!("{good}\n"));
        add("the other alphabet", good.replace(['-', '_'], "+") + "+/");
        add("twice", format!("{good}{good}"));
        add("two with a comma", format!("{good},{good}"));
        add("in upper case", good.to_uppercase());
        add("64 KiB", "A".repeat(64 << 10));
        add("good and 64 KiB", format!("{good}{}", "A".repeat(64 << 10)));
        add("not ASCII", "äöü€".to_owned());
        add("empty", String::new());
        add("Bearer twice", format!("Bearer {good}"));
        add("null", "null".into());
        attacks
    }

    // Goal: nothing but a token of a user of this installation, within its time, names anybody. Method: more than forty forgeries,
    // beside the good token and what was taken back.
    #[test]
    fn forged_tokens_name_nobody() {
        let good = claims().seal(&key());
        assert_eq!(Claims::open(&key(), &good, NOW).expect("a good token"), claims());
        let attacks = attacks();
        assert!(attacks.len() >= 40, "{} attacks", attacks.len());
        let names: std::collections::BTreeSet<&String> = attacks.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), attacks.len());
        for (name, token) in &attacks {
            assert_ne!(*token, good, "{name} is no attack");
            let opened = Claims::open(&key(), token, NOW);
            assert!(opened.is_err(), "{name} was accepted: {opened:?}");
            let is_ours = matches!(name.as_str(), "expired" | "never good");
            assert_eq!(Claims::open_expired(&key(), token, NOW).is_some(), is_ours, "{name}");
        }
        let bytes = URL_SAFE_NO_PAD.decode(&good).expect("our own encoding");
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(Claims::open(&key(), &encoded(&altered), NOW).is_err(), "bit {bit}");
        }
    }

    // Goal: the token of a user whom the catalog keeps says who of that name it is, and no other token does. Method: both forms read back;
    // the id altered, and either form's first byte on the other's body.
    #[test]
    fn tokens_say_whose_account() {
        let account = Uuid::from_u128(7);
        let kept = claims().of_account(Some(account));
        let token = kept.seal(&key());
        assert_eq!(Claims::open(&key(), &token, NOW).expect("a good token"), kept);
        let bytes = URL_SAFE_NO_PAD.decode(&token).expect("our own encoding");
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(Claims::open(&key(), &encoded(&altered), NOW).is_err(), "bit {bit}");
        }
        let body = &bytes[32..];
        let renamed = Claims::open(&key(), &signed(&[&[VERSION][..], &body[1..]].concat()), NOW);
        assert!(renamed.is_err() || renamed.is_ok_and(|other| other.account.is_none() && other.subject != "ana"));
        assert!(Claims::open(&key(), &signed(&[&[VERSION_KEPT][..], &body[1..40]].concat()), NOW).is_err());
    }

    // Goal: a token can be taken back, alone or with all of its user's. Method: by its id, by the user's moment, and others beside it.
    #[test]
    fn tokens_are_taken_back() {
        let row = |id: Uuid, revoked: bool| TokenRow {
            id,
            subject: "ana".into(),
            issued_ms: NOW,
            until_ms: NOW + 1_000,
            revoked,
        };
        let other = Claims::new(&key(), "ana", NOW, NOW + 1_000, 2);
        assert_ne!(other.id, claims().id);
        let with = |tokens: Vec<TokenRow>, moments: &[(&str, i64)]| Policy {
            tokens,
            tokens_from_ms: moments
                .iter()
                .map(|(name, at)| ((*name).to_owned(), *at))
                .collect::<BTreeMap<_, _>>(),
            ..Policy::default()
        };
        for (policy, gone) in [
            (with(vec![row(claims().id, true)], &[]), true),
            (with(vec![row(claims().id, false)], &[]), false),
            (with(vec![row(other.id, true)], &[]), false),
            (with(Vec::new(), &[("ana", NOW)]), true),
            (with(Vec::new(), &[("ana", NOW - 1)]), false),
            (with(Vec::new(), &[("bob", NOW)]), false),
        ] {
            assert_eq!(claims().is_revoked_by(&policy), gone, "{policy:?}");
        }
    }
}
