//! Taking tokens back: `tidewater token revoke`. What is not in the list is taken back too, for it may be out in the world; that is said.

use serde_json::json;
use uuid::Uuid;

use tidewater_core::SystemClock;
use tidewater_security::{Policy, PolicyChange, TOKEN_TTL_MS_MAX};

use super::block_on;
use super::failure::Failure;
use super::output::Output;
use super::role::{client, policy};
use crate::settings::Settings;

/// One token.
pub(super) fn token(settings: &Settings, id: Uuid, output: &Output) -> Result<(), Failure> {
    let until_ms = SystemClock::shared().now_ms().saturating_add(TOKEN_TTL_MS_MAX);
    let change = PolicyChange::RevokeToken { id, until_ms };
    let note = "no token of this id is in tidewater token ls: right if a login gave it out";
    revoke(settings, &change, output, |policy| {
        let listed = policy.tokens.iter().any(|row| row.id == id);
        (!listed).then_some(note)
    })
}

/// Every token of a user.
pub(super) fn tokens_of(settings: &Settings, user: String, output: &Output) -> Result<(), Failure> {
    let note = "nobody of this name is in security.users or among the catalog's users, nor has a token that was issued: is \
                it misspelled?";
    let name = user.clone();
    let change = PolicyChange::RevokeTokensOf { user };
    revoke(settings, &change, output, |policy| {
        (!may_be_known(settings, policy, &name)).then_some(note)
    })
}

fn revoke(
    settings: &Settings,
    change: &PolicyChange,
    output: &Output,
    note: impl FnOnce(&Policy) -> Option<&'static str>,
) -> Result<(), Failure> {
    let client = client(settings)?;
    let before = policy(&client)?;
    let version = block_on(async { Ok(client.change_policy(change).await?) })?;
    let mut done = json!({"done": change.verb(), "version": version});
    if let Some(note) = note(&before) {
        done["note"] = note.into();
    }
    output.one(&done)
}

/// Whether somebody of this name can have a token. Whom issuers know, nobody here can tell.
fn may_be_known(settings: &Settings, policy: &Policy, user: &str) -> bool {
    let security = &settings.security;
    !security.oidc.is_empty()
        || security.users.iter().any(|known| known.name == user)
        || policy.users.contains_key(user)
        || policy.tokens.iter().any(|row| row.subject == user)
}

#[cfg(test)]
mod tests {
    use tidewater_security::{Role, TokenRow, UserRow, UserSettings};

    use super::*;

    // Goal: a misspelled name is told from one that may have tokens. Method: a user of the configuration, one with a token, one of the catalog, and
    // none of these.
    #[test]
    fn names_that_nobody_has_are_told() {
        let mut settings = Settings::default();
        settings.security.users = vec![UserSettings {
            name: "ana".into(),
            password_hash: String::new(),
            scram: None,
            role: Role::Reader,
        }];
        let row = TokenRow {
            id: Uuid::nil(),
            subject: "robot".into(),
            issued_ms: 0,
            until_ms: 1,
            revoked: false,
        };
        let ben = UserRow {
            id: Uuid::nil(),
            password: None,
            disabled: false,
            made_ms: 0,
            enabled_ms: None,
        };
        let policy = Policy {
            tokens: vec![row],
            users: [("ben".to_owned(), ben)].into(),
            ..Policy::default()
        };
        let known = ["ana", "robot", "ben", "anna"].map(|name| may_be_known(&settings, &policy, name));
        assert_eq!(known, [true, true, true, false]);
    }
}
