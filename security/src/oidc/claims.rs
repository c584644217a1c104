//! What a token says of its bearer, and whether that holds here and now.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{NAME_BYTES_MAX, OidcSettings, ROLES_MAX, refused, role_of};
use crate::error::SecurityError;
use crate::principal::Principal;

/// Moments beyond this are no moments: the year 9999.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// The claims of a token.
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.0.get("iss")?.as_str()
    }

    /// A moment in milliseconds; an error if it is there and none.
    fn moment_ms(&self, name: &str) -> Result<Option<i64>, SecurityError> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        match value.as_f64().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds)) {
            #[expect(clippy::cast_possible_truncation, reason = "it is far below what fits")]
            Some(seconds) => Ok(Some((seconds * 1_000.0) as i64)),
            None => Err(refused("a moment in it is no number of seconds")),
        }
    }

    fn required_ms(&self, name: &str) -> Result<i64, SecurityError> {
        self.moment_ms(name)?
            .ok_or_else(|| refused("it does not say when it was made and when it ends"))
    }

    fn is_for(&self, audience: &[String]) -> Result<bool, SecurityError> {
        let wanted = |name: &str| audience.iter().any(|wanted| wanted == name);
        match self.0.get("aud") {
            Some(Value::String(name)) => Ok(wanted(name)),
            Some(Value::Array(names)) => {
                let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
                let names = names.ok_or_else(|| refused("its audience is not made of texts"))?;
                Ok(names.into_iter().any(wanted))
            }
            _ => Ok(false),
        }
    }

    fn groups(&self, path: &str) -> Result<BTreeSet<String>, SecurityError> {
        // A name with dots in it comes first: some issuers use addresses as names of claims.
        let found = self.0.get(path).or_else(|| {
            let mut parts = path.split('.');
            let first = self.0.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part))
        });
        let texts = match found {
            None | Some(Value::Null) => Some(BTreeSet::new()),
            Some(Value::String(group)) => Some(BTreeSet::from([group.clone()])),
            Some(Value::Array(groups)) => groups.iter().map(|group| group.as_str().map(str::to_owned)).collect(),
            Some(_) => None,
        };
        texts.ok_or_else(|| refused("its groups are not texts"))
    }
}

/// Who bears a token whose signature is good.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) principal: Principal,
    pub(super) issued_ms: i64,
}

impl Identity {
    /// Checks what the claims say against what is configured for their issuer.
    pub(super) fn of(claims: &Claims, settings: &OidcSettings, now_ms: i64) -> Result<Self, SecurityError> {
        let ms = |seconds: u64| i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let skew_ms = ms(settings.clock_skew_s);
        if !claims.is_for(&settings.audience)? {
            return Err(refused("it is for another audience"));
        }
        let (issued_ms, until_ms) = (claims.required_ms("iat")?, claims.required_ms("exp")?);
        if now_ms >= until_ms.saturating_add(skew_ms) {
            return Err(SecurityError::ExpiredToken);
        }
        let from_ms = claims.moment_ms("nbf")?.unwrap_or(issued_ms);
        if from_ms.max(issued_ms) > now_ms.saturating_add(skew_ms) {
            return Err(refused("its time has not come yet"));
        }
        let longest_ms = ms(settings.lifetime_s_max).saturating_add(skew_ms);
        if until_ms <= issued_ms || until_ms.saturating_sub(now_ms) > longest_ms {
            return Err(refused("it is good for too long"));
        }
        let name = claims.0.get(&settings.user_claim).and_then(Value::as_str);
        let name = name
            .filter(|name| is_name(name))
            .ok_or_else(|| refused("it names no user"))?;
        let groups = match &settings.groups_claim {
            Some(path) => claims.groups(path)?,
            None => BTreeSet::new(),
        };
        let roles = groups.iter().filter_map(|group| settings.roles.get(group));
        let roles: BTreeSet<String> = roles.flatten().cloned().collect();
        if roles.len() > ROLES_MAX {
            return Err(refused("it brings more than 64 roles"));
        }
        let principal = Principal::vouched(
            format!("{}{name}", settings.user_prefix),
            role_of(settings, &groups),
            roles,
        );
        Ok(Self { principal, issued_ms })
    }
}

/// Whether a text can be a user's name: one that looks like another's on a screen, or could be mistaken for two, is none.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.trim() == name && !name.chars().any(char::is_control)
}
