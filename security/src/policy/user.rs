//! Users and service accounts that the catalog keeps, beside those of the configuration.

use std::fmt;

use argon2::password_hash::PasswordHash;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use tidewater_core::SharedRng;

use crate::authenticator::hash_password;
use crate::error::SecurityError;
use crate::scram::ScramVerifier;

/// Longest hash or verifier: both have some hundred bytes.
pub const STORED_BYTES_MAX: usize = 512;

/// Longest name of a role or user.
pub const NAME_BYTES_MAX: usize = 256;

/// What is kept of a password: nobody can log in with it, but whoever has it can guess at leisure.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPassword {
    /// Argon2 hash in PHC form.
    pub hash: String,
    /// What SCRAM-SHA-256 needs, in PostgreSQL's form.
    pub scram: String,
}

impl fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredPassword(secret)")
    }
}

impl StoredPassword {
    /// Of a password. Takes tens of milliseconds of CPU by design.
    ///
    /// # Errors
    /// If it cannot be hashed.
    pub fn new(password: &str, rng: &SharedRng) -> Result<Self, SecurityError> {
        Ok(Self {
            hash: hash_password(password, rng)?,
            scram: ScramVerifier::new(password, rng).to_string(),
        })
    }

    /// Refuses what nobody could log in by. `user` is whose it is to be.
    ///
    /// # Errors
    /// [`SecurityError::BadHash`], [`SecurityError::BadVerifier`].
    pub fn check(&self, user: &str) -> Result<(), SecurityError> {
        if self.hash.len() > STORED_BYTES_MAX || PasswordHash::new(&self.hash).is_err() {
            return Err(SecurityError::BadHash { user: user.to_owned() });
        }
        if self.scram.len() > STORED_BYTES_MAX || ScramVerifier::parse(&self.scram).is_none() {
            return Err(SecurityError::BadVerifier { user: user.to_owned() });
        }
        Ok(())
    }
}

/// A user or service account of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// Tells them from whoever has the name before or after them: their tokens bear it.
    pub id: Uuid,
    /// None for a service account, which has tokens only.
    pub password: Option<StoredPassword>,
    /// Whether nobody is let in as them.
    pub disabled: bool,
    /// When they were made, milliseconds since the Unix epoch.
    pub made_ms: i64,
    /// When they were enabled again last: tokens of that moment or before are good no more.
    pub enabled_ms: Option<i64>,
}

impl UserRow {
    /// Whether a token that they were given at that moment is good, as far as it is for them to say.
    pub fn heeds_token_of(&self, issued_ms: i64) -> bool {
        !self.disabled && self.enabled_ms.is_none_or(|from| issued_ms > from)
    }
}

/// A change of one user or service account of the catalog. Hashes are made by whoever asks for it: no password is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserChange {
    /// Whom.
    pub user: String,
    /// What becomes of them.
    pub action: UserAction,
}

impl UserChange {
    /// Refuses to make somebody by whose name nobody could log in. Whoever was made by one before can be dropped.
    ///
    /// # Errors
    /// [`SecurityError::BadName`].
    pub fn check_name(&self) -> Result<(), SecurityError> {
        if !matches!(self.action, UserAction::Add { .. }) {
            return Ok(());
        }
        check_name(&self.user)?;
        let reason = match self.user.as_str() {
            // Basic ends the name with the first one.
            user if user.contains(':') => "a name with a colon cannot log in over HTTP",
            user if user.contains(char::is_control) => "it has control characters",
            _ => return Ok(()),
        };
        Err(SecurityError::BadName {
            name: self.user.clone(),
            reason,
        })
    }
}

/// Refuses a name of a user or role that is not kept.
///
/// # Errors
/// [`SecurityError::BadName`].
pub fn check_name(name: &str) -> Result<(), SecurityError> {
    match name.len() {
        1..=NAME_BYTES_MAX => Ok(()),
        _ => Err(SecurityError::BadName {
            name: name.to_owned(),
            reason: "a name has 1 to 256 bytes",
        }),
    }
}

/// What becomes of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserAction {
    /// They are made.
    Add {
        /// Their id, which nobody had before.
        id: Uuid,
        /// None for a service account.
        password: Option<StoredPassword>,
        /// Roles that they get.
        roles: Vec<String>,
    },
    /// They get another password. Their tokens stay good.
    SetPassword {
        /// The new one.
        password: StoredPassword,
    },
    /// Nobody is let in as them until they are enabled.
    Disable,
    /// They are let in again, but not by tokens of before.
    Enable,
    /// They are gone, with their tokens, grants and memberships.
    Drop,
}

impl UserAction {
    /// What clients are told that was done.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Add { .. } => "CREATE USER",
            Self::SetPassword { .. } | Self::Disable | Self::Enable => "ALTER USER",
            Self::Drop => "DROP USER",
        }
    }

    /// The password that comes with it.
    pub fn password(&self) -> Option<&StoredPassword> {
        match self {
            Self::Add { password, .. } => password.as_ref(),
            Self::SetPassword { password } => Some(password),
            Self::Disable | Self::Enable | Self::Drop => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidewater_core::SeededRng;

    use super::*;

    // Goal: nobody is made by a name that cannot log in, and who was may be dropped. Method: names of both kinds, added and dropped.
    #[test]
    fn names_of_new_users_can_log_in() {
        let long = "x".repeat(NAME_BYTES_MAX);
        let checks = |user: &str, action: UserAction| {
            let user = user.to_owned();
            UserChange { user, action }.check_name()
        };
        let add = || UserAction::Add {
            id: Uuid::nil(),
            password: None,
            roles: Vec::new(),
        };
        for good in ["ana", "ana@example.org", "Ä b", &long] {
            assert!(checks(good, add()).is_ok(), "{good:?}");
        }
        for bad in ["", "a:b", "a\nb", "\u{7f}", &(long + "x")] {
            let refused = checks(bad, add());
            assert!(matches!(refused, Err(SecurityError::BadName { .. })), "{bad:?}");
            assert!(checks(bad, UserAction::Drop).is_ok(), "{bad:?}");
        }
    }

    // Goal: what is kept of a password is neither shown nor taken unread. Method: a good one printed; broken and endless ones checked.
    #[test]
    fn stored_passwords_are_checked_and_not_shown() {
        let rng: SharedRng = Arc::new(SeededRng::new(1));
        let good = StoredPassword::new("correct horse", &rng).expect("a hash");
        assert!(good.check("ana").is_ok());
        let row = UserRow {
            id: Uuid::from_u128(1),
            password: Some(good.clone()),
            disabled: false,
            made_ms: 1,
            enabled_ms: None,
        };
        let shown = format!("{row:?}");
        assert!(!shown.contains("argon2") && !shown.contains("SCRAM"), "{shown}");
        for hash in [
            "correct horse".to_owned(),
            good.hash.clone() + &"A".repeat(STORED_BYTES_MAX),
        ] {
            let bad = StoredPassword { hash, ..good.clone() };
            assert!(matches!(bad.check("ana"), Err(SecurityError::BadHash { .. })));
        }
        let scram = good.hash.clone();
        let bad = StoredPassword { scram, ..good };
        assert!(matches!(bad.check("ana"), Err(SecurityError::BadVerifier { .. })));
    }
}
