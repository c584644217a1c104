//! Tokens of principals, and the principals of tokens.

use std::sync::atomic::Ordering;

use super::Authenticator;
use crate::error::SecurityError;
use crate::oidc::Oidc;
use crate::policy::Policy;
use crate::principal::Principal;
use crate::token::Claims;

impl Authenticator {
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
}
