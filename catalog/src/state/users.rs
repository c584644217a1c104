//! Users and service accounts: they stand in the policy, since whoever decides by it has to know of them as soon.

use super::policy::{add_members, checked_name};
use crate::command::{PolicyRefusal, Refusal};
use tidewater_security::policy::STORED_BYTES_MAX;
use tidewater_security::{Grantee, Policy, StoredPassword, UserAction, UserChange, UserRow};

/// Users and service accounts there may be: some 4 MB in memory and in each front's copy.
pub const USERS_MAX: usize = 10_000;

pub(super) fn change_user(policy: &mut Policy, change: UserChange, now_ms: i64) -> Result<(), Refusal> {
    let UserChange { user, action } = change;
    if let Some(password) = action.password() {
        checked_password(password)?;
    }
    match action {
        UserAction::Add { id, password, roles } => {
            checked_name(&user)?;
            if policy.users.contains_key(&user) {
                return Err(PolicyRefusal::UserExists { user }.into());
            }
            if !roles.is_empty() {
                add_members(policy, &roles, &[Grantee::User(user.clone())])?;
            }
            policy.users.insert(
                user,
                UserRow {
                    id,
                    password,
                    disabled: false,
                    made_ms: now_ms,
                    enabled_ms: None,
                },
            );
        }
        UserAction::SetPassword { password } => row(policy, &user)?.password = Some(password),
        UserAction::Disable => row(policy, &user)?.disabled = true,
        UserAction::Enable => {
            let row = row(policy, &user)?;
            if row.disabled {
                row.disabled = false;
                row.enabled_ms = Some(now_ms);
            }
        }
        UserAction::Drop => {
            if policy.users.remove(&user).is_none() {
                return Err(PolicyRefusal::NoSuchUser { user }.into());
            }
            for token in policy.tokens.iter_mut().filter(|token| token.subject == user) {
                token.revoked = true;
            }
            // Whoever is made under the name is somebody else.
            let gone = Grantee::User(user);
            policy.members.retain(|found| found.member != gone);
            policy.grants.retain(|grant| grant.to != gone);
        }
    }
    Ok(())
}

fn row<'a>(policy: &'a mut Policy, user: &str) -> Result<&'a mut UserRow, Refusal> {
    let found = policy.users.get_mut(user);
    found.ok_or_else(|| PolicyRefusal::NoSuchUser { user: user.to_owned() }.into())
}

fn checked_password(password: &StoredPassword) -> Result<(), Refusal> {
    match password.hash.len().max(password.scram.len()) {
        0..=STORED_BYTES_MAX => Ok(()),
        _ => Err(Refusal::Full {
            limit: format!("what is kept of a password has at most {STORED_BYTES_MAX} bytes"),
        }),
    }
}
