//! Passwords and tokens to principals.

use std::collections::BTreeMap;
use std::fmt;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use serde::{Deserialize, Serialize};

use tidewater_core::{SharedClock, SharedRng};

use crate::error::SecurityError;
use crate::principal::Principal;
use crate::token::TokenKey;

/// How long a token is good for: a working day.
pub const TOKEN_TTL_MS: i64 = 12 * 60 * 60 * 1000;

/// A user as configured.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSettings {
    /// Login name.
    pub name: String,
    /// Argon2 hash in PHC form (`$argon2id$…`).
    pub password_hash: String,
    /// What they may do.
    #[serde(default)]
    pub role: Role,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Query.
    #[default]
    Reader,
    /// Query, and change tables, views and schemas by SQL.
    Writer,
}

impl fmt::Debug for UserSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserSettings")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Lets users in. Without users it lets everybody in as [`Principal::local`]: only loopback is served then.
pub struct Authenticator {
    users: BTreeMap<String, (String, Role)>,
    key: TokenKey,
    clock: SharedClock,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("users", &self.users.keys())
            .finish_non_exhaustive()
    }
}

impl Authenticator {
    /// For these users. Errors when a hash cannot be read.
    pub fn new(users: Vec<UserSettings>, key: TokenKey, clock: SharedClock) -> Result<Self, SecurityError> {
        for user in &users {
            PasswordHash::new(&user.password_hash).map_err(|_| SecurityError::BadHash {
                user: user.name.clone(),
            })?;
        }
        let users = users.into_iter().map(|u| (u.name, (u.password_hash, u.role))).collect();
        Ok(Self { users, key, clock })
    }

    /// Whether anybody has to say who they are.
    pub fn required(&self) -> bool {
        !self.users.is_empty()
    }

    /// Whether somebody may change data by SQL. Where nobody has to say who they are, everybody may: only loopback is served then.
    pub fn may_write(&self, principal: &Principal) -> bool {
        !self.required()
            || self
                .users
                .get(&principal.name)
                .is_some_and(|(_, role)| *role == Role::Writer)
    }

    /// Checks a password. Takes tens of milliseconds of CPU by design: call it off the async threads.
    /// A token is accepted in place of the password, since many tools only know passwords.
    pub fn login(&self, user: &str, password: &str) -> Result<Principal, SecurityError> {
        if !self.required() {
            return Ok(Principal::local());
        }
        if let Ok(principal) = self.verify(password)
            && principal.name == user
        {
            return Ok(principal);
        }
        let (hash, _) = self.users.get(user).ok_or(SecurityError::BadCredentials)?;
        let hash = PasswordHash::new(hash).map_err(|_| SecurityError::BadHash { user: user.into() })?;
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .map_err(|_| SecurityError::BadCredentials)?;
        Ok(Principal { name: user.into() })
    }

    /// A token for a principal who is in.
    pub fn issue(&self, principal: &Principal) -> String {
        self.key
            .issue(principal, self.clock.now_ms().saturating_add(TOKEN_TTL_MS))
    }

    /// The principal of a token.
    pub fn verify(&self, token: &str) -> Result<Principal, SecurityError> {
        let principal = self.key.verify(token, self.clock.now_ms())?;
        // Who was taken out of the configuration is out, whatever tokens they hold.
        if self.required() && !self.users.contains_key(&principal.name) {
            return Err(SecurityError::BadToken);
        }
        Ok(principal)
    }
}

/// The hash to put into the configuration for `password`.
pub fn hash_password(password: &str, rng: &SharedRng) -> Result<String, SecurityError> {
    let salt = SaltString::encode_b64(rng.uuid().as_bytes()).map_err(|_| SecurityError::BadCredentials)?;
    let hash = Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map_err(|_| SecurityError::BadCredentials)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tidewater_core::{ManualClock, SeededRng};

    use super::*;

    // Goal: only the right password and live tokens let in. Method: each wrong way once, beside the right one.
    #[test]
    fn passwords_and_tokens() {
        let rng: SharedRng = Arc::new(SeededRng::new(1));
        let clock = Arc::new(ManualClock::new(0));
        let hash = hash_password("correct horse", &rng).expect("a hash");
        let users = vec![UserSettings {
            name: "ana".into(),
            password_hash: hash,
            role: Role::Reader,
        }];
        let door = Authenticator::new(users, TokenKey::derive(b"k"), clock.clone()).expect("good users");
        assert!(door.required());
        assert!(matches!(door.login("ana", "wrong"), Err(SecurityError::BadCredentials)));
        assert!(matches!(
            door.login("bob", "correct horse"),
            Err(SecurityError::BadCredentials)
        ));
        let ana = door.login("ana", "correct horse").expect("the right password");
        assert!(!door.may_write(&ana));
        let token = door.issue(&ana);
        assert_eq!(door.verify(&token).expect("a good token"), ana);
        assert_eq!(door.login("ana", &token).expect("a token as password"), ana);
        clock.advance(Duration::from_secs(13 * 3600));
        assert!(matches!(door.verify(&token), Err(SecurityError::ExpiredToken)));
    }

    // Goal: a hash nobody can read is told at start. Method: plain text where a hash belongs.
    #[test]
    fn plain_passwords_are_refused() {
        let users = vec![UserSettings {
            name: "ana".into(),
            password_hash: "secret".into(),
            role: Role::Reader,
        }];
        let clock = Arc::new(ManualClock::new(0));
        assert!(matches!(
            Authenticator::new(users, TokenKey::derive(b"k"), clock),
            Err(SecurityError::BadHash { .. })
        ));
    }
}
