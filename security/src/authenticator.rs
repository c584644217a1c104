//! Passwords, tokens and certificates to principals.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use serde::{Deserialize, Serialize};

use tidewater_core::{SharedClock, SharedRng};

use crate::attempts::Attempts;
use crate::authorizer::Grants;
use crate::error::SecurityError;
use crate::logins::{Logins, Way};
use crate::oidc::Oidc;
use crate::policy::Policy;
use crate::principal::Principal;
use crate::scram::{ScramExchange, ScramVerifier};
use crate::token::{Claims, TokenKey};

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

    /// Checks a password. Takes tens of milliseconds of CPU by design: call it off the async threads.
    /// A token is accepted in place of the password, since many tools only know passwords.
    pub fn login(&self, user: &str, password: &str) -> Result<Principal, SecurityError> {
        self.login_from(user, password, None)
    }

    /// The same for somebody at this address, who waits after many failures from there.
    pub fn login_from(&self, user: &str, password: &str, address: Option<IpAddr>) -> Result<Principal, SecurityError> {
        if !self.required() {
            return Ok(Principal::local());
        }
        if let Ok(principal) = self.verify(password)
            && principal.name == user
        {
            return self.noted(Way::Token, Some(user), address, Ok(principal));
        }
        let login = self.try_password(user, password, address);
        self.noted(Way::Password, Some(user), address, login)
    }

    fn try_password(&self, user: &str, password: &str, address: Option<IpAddr>) -> Result<Principal, SecurityError> {
        self.attempts.check(user, address, self.clock.now_ms())?;
        let checked = self.check_password(user, password);
        match &checked {
            Ok(_) => self.attempts.succeeded(user, address),
            Err(SecurityError::BadCredentials) => self.attempts.failed(user, address, self.clock.now_ms()),
            Err(_) => {}
        }
        checked
    }

    fn check_password(&self, user: &str, password: &str) -> Result<Principal, SecurityError> {
        let found = self.find(user, &self.policy());
        // Who is no user, or is disabled, waits as long as who is one: the time must not tell.
        let found = found.filter(|found| !found.password_hash.is_empty());
        let text = match &found {
            Some(found) => found.password_hash.as_str(),
            None => nobodys_hash(),
        };
        let fits = fits(text, password).ok_or_else(|| SecurityError::BadHash { user: user.into() })?;
        match found.filter(|_| fits) {
            Some(found) => Ok(found.principal),
            None => Err(SecurityError::BadCredentials),
        }
    }

    /// Whether anybody can log in by SCRAM.
    pub fn knows_scram(&self) -> bool {
        let kept = || self.policy().users.values().any(|row| row.password.is_some());
        self.users.values().any(|user| user.scram.is_some()) || kept()
    }

    /// Whether this user can only log in with the password itself, or with a token in its place: they have no verifier, or only an
    /// issuer may know them.
    pub fn wants_password(&self, user: &str) -> bool {
        match self.users.get(user) {
            Some(user) => user.scram.is_none(),
            None => match self.policy().users.get(user) {
                Some(row) => row.password.is_none(),
                None => self.believes(),
            },
        }
    }

    /// Answers a client's first message of SCRAM-SHA-256. Whether there is such a user shows in nothing but the end.
    ///
    /// # Errors
    /// [`SecurityError::BadExchange`] for what is no message of the mechanism, [`SecurityError::TooManyAttempts`] for somebody at
    /// this address who has to wait.
    pub fn scram(
        &self,
        user: &str,
        address: Option<IpAddr>,
        first: &[u8],
        rng: &SharedRng,
    ) -> Result<(ScramExchange, String), SecurityError> {
        let begun = self.attempts.check(user, address, self.clock.now_ms()).and_then(|()| {
            let found = self.find(user, &self.policy());
            let verifier = found.as_ref().and_then(|found| found.scram.as_ref());
            ScramExchange::begin(user, verifier, first, &self.key, rng)
        });
        // That it began well is no login yet.
        self.noted_if_refused(Way::Scram, Some(user), address, begun)
    }

    /// Checks a client's proof; who it is, and what to answer.
    ///
    /// # Errors
    /// [`SecurityError::BadCredentials`] for a wrong password or a user who is not there, [`SecurityError::BadExchange`] for
    /// what is no message of the mechanism.
    pub fn proven(
        &self,
        user: &str,
        address: Option<IpAddr>,
        exchange: ScramExchange,
        last: &[u8],
    ) -> Result<(Principal, String), SecurityError> {
        // Who was disabled meanwhile, or has another password, or is another one of the name, has proven nothing.
        let found = self.find(user, &self.policy());
        let found = found.filter(|found| found.scram.as_ref().is_some_and(|now| exchange.is_by(now)));
        let finished = exchange.finish(last);
        let proven = finished.and_then(|answer| match found {
            Some(found) => Ok((found.principal, answer)),
            None => Err(SecurityError::BadCredentials),
        });
        match &proven {
            Ok(_) => self.attempts.succeeded(user, address),
            Err(_) => self.attempts.failed(user, address, self.clock.now_ms()),
        }
        self.noted(Way::Scram, Some(user), address, proven)
    }

    /// A token for a principal who is in.
    pub fn issue(&self, principal: &Principal) -> String {
        self.issue_for(principal, self.login_ttl_ms).1
    }

    /// A token for a principal who came in by what was shown. If that was one of our tokens, the new one counts as given when it was: what
    /// takes back all of before takes back both, also where that is heard of only after this one was given. With for how many milliseconds
    /// it is good: no longer than a token may be that was given then.
    pub fn issue_by(&self, principal: &Principal, shown: &str) -> (String, i64) {
        let now_ms = self.clock.now_ms();
        let shown = Claims::open(&self.key, shown, now_ms).ok();
        let shown = shown.filter(|claims| claims.subject == principal.name);
        let issued_ms = shown.map_or(now_ms, |claims| claims.issued_ms.min(now_ms));
        let longest_ms = issued_ms.saturating_add(crate::TOKEN_TTL_MS_MAX);
        let until_ms = now_ms.saturating_add(self.login_ttl_ms).min(longest_ms);
        let token = self.made(principal, issued_ms, until_ms).seal(&self.key);
        (token, until_ms.saturating_sub(now_ms))
    }

    /// A token that is good for `ttl_ms`, with what it says.
    pub fn issue_for(&self, principal: &Principal, ttl_ms: i64) -> (Claims, String) {
        let now_ms = self.clock.now_ms();
        let claims = self.made(principal, now_ms, now_ms.saturating_add(ttl_ms));
        let token = claims.seal(&self.key);
        (claims, token)
    }

    fn made(&self, principal: &Principal, issued_ms: i64, until_ms: i64) -> Claims {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        Claims::new(&self.key, &principal.name, issued_ms, until_ms, number).of_account(principal.account())
    }

    /// The principal of a token.
    pub fn verify(&self, token: &str) -> Result<Principal, SecurityError> {
        self.verify_by(token, &self.policy())
    }

    /// The same by a policy that the caller has at hand.
    pub fn verify_by(&self, token: &str, policy: &Policy) -> Result<Principal, SecurityError> {
        let claims = Claims::open(&self.key, token, self.clock.now_ms())?;
        self.named_by(claims, policy)
    }

    /// Whom a token of ours was for that has expired and is good but for that: it was not taken back, and they may come in. It lets nobody in:
    /// they have to show their password.
    pub fn subject_of_expired(&self, token: &str) -> Option<String> {
        let claims = Claims::open_expired(&self.key, token, self.clock.now_ms())?;
        let named = self.named_by(claims, &self.policy());
        named.ok().map(|principal| principal.name)
    }

    /// The principal of what a token says, whatever its time.
    fn named_by(&self, claims: Claims, policy: &Policy) -> Result<Principal, SecurityError> {
        let configured = self.configures(&claims.subject);
        let row = policy.users.get(&claims.subject).filter(|_| !configured);
        let theirs = match row {
            Some(row) => claims.account == Some(row.id) && row.heeds_token_of(claims.issued_ms),
            // Who was taken out of the configuration, or was dropped, is out, whatever tokens they hold.
            None if self.required() && !configured => return Err(SecurityError::BadToken),
            // A user of the name whom the catalog kept is another one.
            None => claims.account.is_none(),
        };
        if !theirs || claims.is_revoked_by(policy) {
            return Err(SecurityError::RevokedToken);
        }
        Ok(match row {
            Some(row) => Principal::kept(claims.subject, row),
            None => Principal::named(claims.subject),
        })
    }

    /// The principal of a token, whoever of those that are believed issued it.
    ///
    /// # Errors
    /// As [`Self::verify`] and [`Oidc::verify`]; [`SecurityError::ForeignToken`] too where an issuer calls somebody as a user of the
    /// configuration, or of the catalog, is called.
    pub async fn admit(&self, token: &str) -> Result<Principal, SecurityError> {
        let policy = self.policy();
        self.admit_by(token, &policy).await
    }

    /// The same by a policy that the caller has at hand.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub async fn admit_by(&self, token: &str, policy: &Policy) -> Result<Principal, SecurityError> {
        let oidc = match &self.oidc {
            Some(oidc) if Oidc::may_be(token) => oidc,
            _ => return self.verify_by(token, policy),
        };
        let principal = oidc.verify(token, policy).await?;
        match self.configures(&principal.name) || policy.users.contains_key(&principal.name) {
            true => Err(SecurityError::ForeignToken {
                reason: "it names one of this installation's own users",
            }),
            false => Ok(principal),
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

/// Whether a password is that of a hash; none for what is no hash.
fn fits(hash: &str, password: &str) -> Option<bool> {
    let hash = PasswordHash::new(hash).ok()?;
    Some(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// A hash that no password has, at the cost of all others.
fn nobodys_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let salt = SaltString::encode_b64(b"nobody's own salt").ok();
        let hash = salt.and_then(|salt| {
            Argon2::default()
                .hash_password(b"nobody", &salt)
                .ok()
                .map(|hash| hash.to_string())
        });
        hash.unwrap_or_default()
    })
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
mod tests;
