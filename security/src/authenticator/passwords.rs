//! Passwords to principals, whether they are shown or proven.

use std::net::IpAddr;
use std::sync::OnceLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};

use tidewater_core::SharedRng;

use super::Authenticator;
use crate::error::SecurityError;
use crate::logins::Way;
use crate::principal::Principal;
use crate::scram::ScramExchange;

impl Authenticator {
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
