//! Tokens that somebody else issued: signed JSON Web Tokens of OpenID Connect providers, checked here and asked of nobody.
//!
//! A token is believed when one of the configured issuers signed it, with one of the asymmetric algorithms that are allowed for it,
//! for this installation, now. Nothing in a token says where its key is: keys come from the issuer's own address, are kept, and are
//! fetched again when an unknown one is named, not more often than every half minute. Provider and algorithms are few enough that
//! `ring`, which signs everything else here, does the work ([ADR 030](../../docs/adr/030-who-others-vouch-for.md)).

mod claims;
mod fetch;
mod json;
mod jwks;
mod jws;
mod keys;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use tidewater_core::SharedClock;

pub use self::fetch::{Fetch, Fetched};
pub use self::jws::Algorithm;

use self::claims::Identity;
use self::jws::Jws;
use self::keys::Keys;
use crate::authenticator::Role;
use crate::error::SecurityError;
use crate::policy::Policy;
use crate::principal::Principal;

/// Longest token that is looked at: claims with some hundred groups.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Longest name of a user.
const NAME_BYTES_MAX: usize = 256;

/// Roles that a token may bring.
const ROLES_MAX: usize = 64;

/// Clocks may differ by no more, whatever is configured.
const SKEW_S_MAX: u64 = 300;

/// An issuer as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// Exactly as its tokens have it in `iss`.
    pub issuer: String,
    /// What its tokens have to be for: one of these in `aud`.
    pub audience: Vec<String>,
    /// What they may be signed with.
    #[serde(default = "all_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are; none means where its discovery document says.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// By how much its clock may differ from ours.
    #[serde(default = "skew")]
    pub clock_skew_s: u64,
    /// Longest time from now until a token's end; what is good for longer is refused.
    #[serde(default = "lifetime")]
    pub lifetime_s_max: u64,
    /// The claim that is the user's name.
    #[serde(default = "subject")]
    pub user_claim: String,
    /// What stands before the names of its users, so that they are nobody else's.
    #[serde(default)]
    pub user_prefix: String,
    /// The claim with the user's groups; dots lead into objects (`realm_access.roles`).
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// Roles, as `CREATE ROLE` makes them, of each group. Groups that are not here mean nothing.
    #[serde(default)]
    pub roles: BTreeMap<String, BTreeSet<String>>,
    /// Groups whose users may change tables by SQL as long as nothing was granted.
    #[serde(default)]
    pub writers: BTreeSet<String>,
    /// Groups whose users no grant binds.
    #[serde(default)]
    pub admins: BTreeSet<String>,
}

fn all_algorithms() -> Vec<Algorithm> {
    Algorithm::ALL.to_vec()
}

fn skew() -> u64 {
    60
}

fn lifetime() -> u64 {
    24 * 60 * 60
}

fn subject() -> String {
    "sub".into()
}

impl OidcSettings {
    /// Whether it can be used as it is.
    ///
    /// # Errors
    /// [`SecurityError::BadIssuer`] with what is wrong.
    pub fn check(&self) -> Result<(), SecurityError> {
        let bad = |reason: &'static str| {
            Err(SecurityError::BadIssuer {
                issuer: self.issuer.clone(),
                reason,
            })
        };
        let addresses = [Some(&self.issuer), self.jwks_url.as_ref()];
        if !addresses.into_iter().flatten().all(|url| is_safe(url)) {
            return bad("issuer and jwks_url are https addresses, or http ones of this machine");
        }
        if self.audience.is_empty() || self.audience.iter().any(String::is_empty) {
            return bad("audience names nobody: tokens that the issuer made for others would be taken");
        }
        if self.algorithms.is_empty() {
            return bad("algorithms is empty");
        }
        if self.clock_skew_s > SKEW_S_MAX {
            return bad("clock_skew_s is more than 300");
        }
        if self.user_claim.is_empty() {
            return bad("user_claim is empty");
        }
        let grouped = !self.roles.is_empty() || !self.writers.is_empty() || !self.admins.is_empty();
        if grouped && self.groups_claim.is_none() {
            return bad("roles, writers or admins name groups, and groups_claim does not say where tokens have them");
        }
        Ok(())
    }
}

/// Who reads the wire between here and the issuer could put keys of his own there.
fn is_safe(url: &str) -> bool {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let here = local.iter().any(|host| {
        let rest = url.strip_prefix(host);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    });
    here || url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
}

/// The issuers that are believed.
pub struct Oidc {
    issuers: Vec<Issuer>,
    clock: SharedClock,
}

struct Issuer {
    settings: OidcSettings,
    keys: Keys,
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers = self.issuers.iter().map(|issuer| &issuer.settings.issuer);
        f.debug_list().entries(issuers).finish()
    }
}

impl Oidc {
    /// Believes these, and has their keys fetched by `fetch`.
    ///
    /// # Errors
    /// [`SecurityError::BadIssuer`] if one cannot be used, or is there twice.
    pub fn new(issuers: Vec<OidcSettings>, fetch: Arc<dyn Fetch>, clock: SharedClock) -> Result<Self, SecurityError> {
        let mut seen = BTreeSet::new();
        let mut believed = Vec::with_capacity(issuers.len());
        for settings in issuers {
            settings.check()?;
            if !seen.insert(settings.issuer.clone()) {
                return Err(SecurityError::BadIssuer {
                    issuer: settings.issuer,
                    reason: "it is configured twice",
                });
            }
            let keys = Keys::new(&settings, Arc::clone(&fetch), Arc::clone(&clock));
            believed.push(Issuer { settings, keys });
        }
        Ok(Self {
            issuers: believed,
            clock,
        })
    }

    /// Whether a text may be such a token. Those that this installation makes have no dots.
    pub fn may_be(token: &str) -> bool {
        token.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// Whom a token speaks for.
    ///
    /// # Errors
    /// [`SecurityError::ForeignToken`] with the reason, [`SecurityError::ExpiredToken`], [`SecurityError::RevokedToken`] by this
    /// policy, [`SecurityError::KeysUnknown`] when the issuer's keys cannot be had now.
    pub async fn verify(&self, token: &str, policy: &Policy) -> Result<Principal, SecurityError> {
        let jws = Jws::parse(token)?;
        // Whose it says it is decides only whose key it is tried with.
        let said = jws.claims()?;
        let issuer = said
            .issuer()
            .and_then(|name| self.issuers.iter().find(|one| one.settings.issuer == name));
        let issuer = issuer.ok_or_else(|| refused("its issuer is not one that is believed"))?;
        let settings = &issuer.settings;
        if !settings.algorithms.contains(&jws.algorithm) {
            return Err(refused("its algorithm is not allowed for its issuer"));
        }
        let key = issuer.keys.find(jws.key_id.as_deref(), jws.algorithm).await?;
        jws.verify(&key)?;
        let identity = Identity::of(&said, settings, self.clock.now_ms())?;
        let ended = policy.tokens_from_ms.get(&identity.principal.name);
        if ended.is_some_and(|ended| identity.issued_ms <= *ended) {
            return Err(SecurityError::RevokedToken);
        }
        Ok(identity.principal)
    }
}

/// What a user's groups make of them.
fn role_of(settings: &OidcSettings, groups: &BTreeSet<String>) -> Role {
    match (
        groups.is_disjoint(&settings.admins),
        groups.is_disjoint(&settings.writers),
    ) {
        (false, _) => Role::Admin,
        (true, false) => Role::Writer,
        (true, true) => Role::Reader,
    }
}

fn refused(reason: &'static str) -> SecurityError {
    SecurityError::ForeignToken { reason }
}
