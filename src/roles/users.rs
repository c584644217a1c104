//! Who may come in, as the configuration has it, and a warning where all of them may do everything.

use std::sync::Arc;

use tidewater_core::SharedClock;
use tidewater_security::{Authenticator, Grants, Oidc, TokenKey};

use super::Parts;
use crate::cli::failure::Failure;
use crate::settings::SecuritySettings;

/// The users of the configuration and those that its issuers vouch for.
pub(super) fn known(
    settings: &SecuritySettings,
    key: TokenKey,
    oidc: Option<Arc<Oidc>>,
    clock: &SharedClock,
) -> Result<Authenticator, Failure> {
    let users = Authenticator::new(settings.users.clone(), key, Arc::clone(clock))?;
    Ok(users.believing(oidc).binding_by(settings.grants))
}

/// Says it when there are users and nothing was granted to anybody, so that all of them may do more than anybody meant.
pub(super) async fn warn_of_no_grants(parts: &Parts) {
    if !parts.users.required() || parts.users.grants() == Grants::Required {
        return;
    }
    // Who cannot be asked now is heard of elsewhere: what needs the policy says so.
    let Ok(state) = parts.client.policy(None).await else {
        return;
    };
    if state.policy.is_none_or(|policy| !policy.in_force) {
        tracing::warn!(
            "NOTHING WAS GRANTED YET: every user reads everything and may do everything at the catalog until the first role or grant is made; make one, or set security.grants = \"required\""
        );
    }
}
