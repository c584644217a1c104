//! Who may come in, as the configuration has it, and a warning where nothing was granted to any of them.

use std::sync::Arc;

use tidewater_core::SharedClock;
use tidewater_security::{Authenticator, Oidc, TOKEN_TTL_MS_MAX, TokenKey};

use super::Parts;
use crate::cli::failure::{Failure, Reason};
use crate::settings::SecuritySettings;

/// Shortest life of a token: clients ask for the next one before it ends.
const LOGIN_TTL_MS_MIN: i64 = 60 * 1000;

/// The users of the configuration and those that its issuers vouch for.
pub(super) fn known(
    settings: &SecuritySettings,
    key: TokenKey,
    oidc: Option<Arc<Oidc>>,
    clock: &SharedClock,
) -> Result<Authenticator, Failure> {
    let users = Authenticator::new(settings.users.clone(), key, Arc::clone(clock))?;
    let users = users.believing(oidc).binding_by(settings.grants);
    match settings.login_token_ttl_s {
        Some(seconds) => Ok(users.issuing_for(login_ttl_ms(seconds)?)),
        None => Ok(users),
    }
}

fn login_ttl_ms(seconds: u64) -> Result<i64, Failure> {
    let ttl_ms = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| seconds.checked_mul(1_000));
    let within = ttl_ms.filter(|ttl_ms| (LOGIN_TTL_MS_MIN..=TOKEN_TTL_MS_MAX).contains(ttl_ms));
    within.ok_or_else(|| {
        let (least, most) = (LOGIN_TTL_MS_MIN / 1_000, TOKEN_TTL_MS_MAX / 1_000);
        Failure::of(Reason::Settings, format!("security.login_token_ttl_s is {seconds}"))
            .hint(format!(
                "it is from {least} to {most} seconds; leave it out for twelve hours"
            ))
            .exit(2)
    })
}

/// Says it when there are users and nothing was granted to anybody: they may do nothing, or more than anybody meant.
pub(super) async fn warn_of_no_grants(parts: &Parts) {
    if !parts.users.required() {
        return;
    }
    // Who cannot be asked now is heard of elsewhere: what needs the policy says so.
    let Ok(state) = parts.client.policy(None).await else {
        return;
    };
    if state.policy.is_none_or(|policy| !policy.in_force) {
        tracing::warn!("{}", parts.settings.security.without_grants());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a life of tokens that nobody can have meant is refused. Method: the ends of what may be, and what lies beyond them.
    #[test]
    fn lives_of_tokens_have_their_bounds() {
        for (seconds, ttl_ms) in [
            (0, None),
            (59, None),
            (60, Some(60_000)),
            (43_200, Some(43_200_000)),
            (366 * 86_400, Some(TOKEN_TTL_MS_MAX)),
            (366 * 86_400 + 1, None),
            (u64::MAX, None),
        ] {
            assert_eq!(login_ttl_ms(seconds).ok(), ttl_ms, "{seconds}");
        }
    }
}
