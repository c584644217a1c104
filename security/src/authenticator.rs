//! Passwords, tokens and certificates to principals.

mod passwords;
mod tokens;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use argon2::password_hash::PasswordHash;
use serde::{Deserialize, Serialize};

use tidewater_core::SharedClock;

pub use self::passwords::hash_password;
use crate::attempts::Attempts;
use crate::authorizer::Grants;
use crate::error::SecurityError;
use crate::logins::{Logins, Way};
use crate::oidc::Oidc;
use crate::policy::Policy;
use crate::principal::Principal;
use crate::scram::ScramVerifier;
use crate::token::TokenKey;

/// How long the token of a login is good for where nobody says otherwise: a working day.
pub const TOKEN_TTL_MS: i64 = 12 * 60 * 60 * 1000;

/// A user as configured.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSettings {
    /// Login name.
    pub name: String,
    /// Argon2 hash in PHC form (`$argon2id$…`). Empty for a service account, which has tokens only.
    #[serde(default)]
    pub password_hash: String,
    /// What SCRAM-SHA-256 needs of the password, in PostgreSQL's form; none means that they cannot log in by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram: Option<String>,
    /// What they may do.
    #[serde(default)]
    pub role: Role,
}

/// A user as they are known.
struct User {
    password_hash: String,
    scram: Option<ScramVerifier>,
    role: Role,
}

/// A user who may come in now, whoever keeps them.
struct Found {
    principal: Principal,
    /// Empty for a service account.
    password_hash: String,
    scram: Option<ScramVerifier>,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Query.
    #[default]
    Reader,
    /// Query, and change tables, views and schemas by SQL.
    Writer,
    /// Everything, whatever was granted; roles and grants among it.
    Admin,
}

impl fmt::Debug for UserSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserSettings")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Lets users in: those of the configuration, and those of the policy that it was told last whose names the configuration has not.
/// Without any in the configuration it lets everybody in as [`Principal::local`]: only loopback is served then.
pub struct Authenticator {
    users: BTreeMap<String, User>,
    key: TokenKey,
    clock: SharedClock,
    attempts: Attempts,
    /// Tokens made by this process: tells apart those of one moment.
    issued: AtomicU64,
    /// Says which tokens were taken back and which users the catalog keeps, where somebody tells.
    policy: RwLock<Arc<Policy>>,
    /// Whose word counts beside the configuration's.
    oidc: Option<Arc<Oidc>>,
    grants: Grants,
    logins: Arc<Logins>,
    login_ttl_ms: i64,
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
        let mut known = BTreeMap::new();
        for user in users {
            let account = user.password_hash.is_empty();
            if !account && PasswordHash::new(&user.password_hash).is_err() {
                return Err(SecurityError::BadHash { user: user.name });
            }
            let scram = user.scram.as_deref().map(ScramVerifier::parse);
            if let Some(None) = scram {
                return Err(SecurityError::BadVerifier { user: user.name });
            }
            let (password_hash, role) = (user.password_hash, user.role);
            known.insert(
                user.name,
                User {
                    password_hash,
                    scram: scram.flatten(),
                    role,
                },
            );
        }
        Ok(Self {
            users: known,
            key,
            clock,
            attempts: Attempts::default(),
            issued: AtomicU64::default(),
            policy: RwLock::default(),
            oidc: None,
            grants: Grants::default(),
            logins: Arc::default(),
            login_ttl_ms: TOKEN_TTL_MS,
        })
    }

    /// With issuers whose tokens let in too.
    #[must_use]
    pub fn believing(mut self, oidc: Option<Arc<Oidc>>) -> Self {
        self.oidc = oidc;
        self
    }

    /// With this said of when grants decide.
    #[must_use]
    pub fn binding_by(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// With tokens of logins that are good for so long, at most [`TOKEN_TTL_MS_MAX`](crate::TOKEN_TTL_MS_MAX).
    #[must_use]
    pub fn issuing_for(mut self, login_ttl_ms: i64) -> Self {
        self.login_ttl_ms = login_ttl_ms.min(crate::TOKEN_TTL_MS_MAX);
        self
    }

    /// With logins counted among these, as others of the process are.
    #[must_use]
    pub fn counting_in(mut self, logins: Arc<Logins>) -> Self {
        self.logins = logins;
        self
    }

    /// Who came in and who did not.
    pub fn logins(&self) -> &Arc<Logins> {
        &self.logins
    }

    /// Takes note of what became of a login that was decided elsewhere, and hands it on.
    ///
    /// # Errors
    /// The login's own.
    pub fn noted<T>(
        &self,
        way: Way,
        user: Option<&str>,
        address: Option<IpAddr>,
        login: Result<T, SecurityError>,
    ) -> Result<T, SecurityError> {
        let now_ms = self.clock.now_ms();
        self.logins.note(way, user, address, login.as_ref().err(), now_ms);
        login
    }

    /// The same for what is shown with each call, of which only refusals are worth a note.
    ///
    /// # Errors
    /// What was shown is not good.
    pub fn noted_if_refused<T>(
        &self,
        way: Way,
        user: Option<&str>,
        address: Option<IpAddr>,
        shown: Result<T, SecurityError>,
    ) -> Result<T, SecurityError> {
        match shown {
            Ok(principal) => Ok(principal),
            refused => self.noted(way, user, address, refused),
        }
    }

    /// From when on what is not granted is denied.
    pub fn grants(&self) -> Grants {
        self.grants
    }

    /// Whether anybody has to say who they are.
    pub fn required(&self) -> bool {
        !self.users.is_empty() || self.oidc.is_some()
    }

    /// Whether there are issuers whose users are not known here.
    pub fn believes(&self) -> bool {
        self.oidc.is_some()
    }

    /// Whether somebody may change data by SQL, as long as nothing was granted to anybody. Where nobody has to say who they are,
    /// everybody may: only loopback is served then.
    pub fn may_write(&self, principal: &Principal) -> bool {
        let configured = || self.users.get(&principal.name).map(|user| user.role);
        let role = principal.role().or_else(configured);
        !self.required() || matches!(role, Some(Role::Writer | Role::Admin))
    }

    /// The users whose configured role this is.
    pub fn with_role(&self, wanted: Role) -> impl Iterator<Item = &str> {
        let users = self.users.iter().filter(move |(_, user)| user.role == wanted);
        users.map(|(name, _)| name.as_str())
    }

    /// Whether there is a user or service account of this name, be they disabled.
    pub fn knows(&self, user: &str) -> bool {
        self.configures(user) || self.policy().users.contains_key(user)
    }

    /// Whether the configuration has a user or service account of this name.
    pub fn configures(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// Who somebody of this name is; none for a stranger, and for who is disabled.
    pub fn principal(&self, user: &str) -> Option<Principal> {
        self.find(user, &self.policy()).map(|found| found.principal)
    }

    /// The configuration's user of this name, else the catalog's, unless they are disabled.
    fn find(&self, user: &str, policy: &Policy) -> Option<Found> {
        if let Some(known) = self.users.get(user) {
            return Some(Found {
                principal: Principal::named(user),
                password_hash: known.password_hash.clone(),
                scram: known.scram.clone(),
            });
        }
        let row = policy.users.get(user).filter(|row| !row.disabled)?;
        let password = row.password.as_ref();
        Some(Found {
            principal: Principal::kept(user, row),
            password_hash: password.map(|password| password.hash.clone()).unwrap_or_default(),
            scram: password.and_then(|password| ScramVerifier::parse(&password.scram)),
        })
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether somebody who came in may go on: users of the catalog may have been disabled or dropped since, be they enabled again, and
    /// a name that an issuer gave may have become one of theirs.
    ///
    /// # Errors
    /// [`SecurityError::UserGone`] if so.
    pub fn still_lets(&self, principal: &Principal) -> Result<(), SecurityError> {
        let policy = self.policy();
        let lets = match (principal.account(), policy.users.get(&principal.name)) {
            (Some(_), Some(row)) => principal.is(row) && !row.disabled,
            (Some(_), None) => false,
            // What is granted to the name is granted to whom the catalog keeps, not to an issuer's.
            (None, Some(_)) => !principal.is_vouched(),
            (None, None) => true,
        };
        match lets {
            true => Ok(()),
            false => Err(SecurityError::UserGone {
                user: principal.name.clone(),
            }),
        }
    }

    /// The principal that a client's certificate names.
    ///
    /// # Errors
    /// [`SecurityError::UnknownCertificate`] for who is no user, or is disabled.
    pub fn certified(&self, user: &str) -> Result<Principal, SecurityError> {
        self.certified_by(user, &self.policy())
    }

    /// The same by a policy that the caller has at hand.
    ///
    /// # Errors
    /// As [`Self::certified`].
    pub fn certified_by(&self, user: &str, policy: &Policy) -> Result<Principal, SecurityError> {
        match self.find(user, policy) {
            Some(found) => Ok(found.principal),
            None => Err(SecurityError::UnknownCertificate { user: user.to_owned() }),
        }
    }

    /// From now on tokens that this policy takes back are refused, and the users that it keeps are let in. One that is older than what
    /// is known changes nothing: who was disabled must not come in by it.
    pub fn heed(&self, policy: Arc<Policy>) {
        let mut known = self.policy.write().unwrap_or_else(PoisonError::into_inner);
        if policy.version >= known.version {
            *known = policy;
        }
    }
}

#[cfg(test)]
mod tests;
