//! Roles, grants, revoked tokens and users.
//!
//! They change seldom and are read with every request, so they are one shared value that is copied for a change. Grants on tables
//! and views bear ids that are never given again: what is left of them after a drop means nothing, and goes with the next change.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tables::TableRow;
use super::users::{USERS_MAX, change_user};
use super::{Shared, State};
use crate::command::{GrantOn, Outcome, PolicyOp, PolicyRefusal, Refusal};
use tidewater_core::reserved::OPS;
use tidewater_security::policy::{NAME_BYTES_MAX, PUBLIC};
use tidewater_security::{
    Grant, Grantee, Membership, Object, Policy, Privilege, PrivilegeSet, Resource, TOKEN_TTL_MS_MAX, TokenRow,
};

/// Roles there may be. They are compiled for each principal in one pass.
pub const ROLES_MAX: usize = 1_000;

/// Memberships there may be.
pub const MEMBERSHIPS_MAX: usize = 10_000;

/// Grants there may be, a column counting as one: some 10 MB in memory and in each front's copy.
pub const GRANTS_MAX: usize = 50_000;

/// Tokens that are remembered until their end.
pub const TOKENS_MAX: usize = 10_000;

/// Longest name of a role or user.
pub const GRANTEE_BYTES_MAX: usize = NAME_BYTES_MAX;

/// What is kept: the policy without the names of its objects, which are the tables' and views' own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Kept(Shared<Policy>);

impl Default for Kept {
    fn default() -> Self {
        Self(Shared::new(Policy::default()))
    }
}

impl Kept {
    /// The table or view is called otherwise, or is another one, or is gone: whoever compiled the policy has to do it anew.
    pub(super) fn touch(&mut self, object: Uuid) {
        let names = |grant: &Grant| match &grant.on {
            Resource::Object(id) | Resource::Column { object: id, .. } => *id == object,
            _ => false,
        };
        if self.0.grants.iter().any(names) {
            let mut policy = (*self.0).clone();
            policy.version += 1;
            self.0 = Shared::new(policy);
        }
    }

    /// A namespace that is made again under this name is another one.
    pub(super) fn forget_namespace(&mut self, levels: &[String]) {
        let on = Resource::Namespace(levels.to_vec());
        if self.0.grants.iter().any(|grant| grant.on == on) {
            let mut policy = (*self.0).clone();
            policy.grants.retain(|grant| grant.on != on);
            policy.version += 1;
            self.0 = Shared::new(policy);
        }
    }
}

impl State {
    /// Raised by every change of what [`Self::policy`] answers.
    pub fn policy_version(&self) -> u64 {
        self.policy.0.version
    }

    /// Who may do what, with the tables and views that grants name as they are called now.
    pub fn policy(&self) -> Policy {
        let mut policy = (*self.policy.0).clone();
        let named = policy.grants.iter().filter_map(|grant| match &grant.on {
            Resource::Object(id) | Resource::Column { object: id, .. } => Some(*id),
            _ => None,
        });
        let ids: BTreeSet<Uuid> = named.collect();
        let found = ids.into_iter().filter_map(|id| self.object(id));
        policy.objects = found
            .map(|row| Object {
                id: row.id,
                uuid: row.pointer.uuid,
                namespace: row.name.namespace.clone(),
                name: row.name.name.clone(),
            })
            .collect();
        policy
    }

    /// A table or view by its id.
    pub fn object(&self, id: Uuid) -> Option<&TableRow> {
        self.table_by_id(id).or_else(|| self.view_by_id(id))
    }

    pub(super) fn policy_op(&mut self, op: PolicyOp) -> Result<Outcome, Refusal> {
        let mut policy = (*self.policy.0).clone();
        self.clean(&mut policy);
        self.change_policy(&mut policy, op)?;
        for (count, limit, of) in [
            (policy.roles.len(), ROLES_MAX, "roles"),
            (policy.members.len(), MEMBERSHIPS_MAX, "memberships of roles"),
            (policy.grants.len(), GRANTS_MAX, "grants"),
            (policy.tokens.len(), TOKENS_MAX, "tokens"),
            (policy.users.len(), USERS_MAX, "users"),
            (
                policy.tokens_from_ms.len(),
                TOKENS_MAX,
                "users whose tokens were revoked",
            ),
        ] {
            if count > limit {
                return Err(Refusal::Full {
                    limit: format!("{limit} {of}"),
                });
            }
        }
        policy.version += 1;
        self.policy.0 = Shared::new(policy);
        Ok(Outcome::Done)
    }

    /// Forgets what has no meaning any more.
    fn clean(&self, policy: &mut Policy) {
        let now_ms = self.now_ms;
        policy.tokens.retain(|token| token.until_ms > now_ms);
        policy
            .tokens_from_ms
            .retain(|_, from| from.saturating_add(TOKEN_TTL_MS_MAX) > now_ms);
        // A dropped table may come back, and its grants with it.
        policy.grants.retain(|grant| match &grant.on {
            Resource::Object(id) | Resource::Column { object: id, .. } => {
                self.object(*id).is_some() || self.dropped(*id).is_some()
            }
            _ => true,
        });
    }

    fn change_policy(&self, policy: &mut Policy, op: PolicyOp) -> Result<(), Refusal> {
        match op {
            PolicyOp::CreateRole { role, if_not_exists } => {
                checked_name(&role)?;
                let new = role != PUBLIC && policy.roles.insert(role.clone());
                if !new && !if_not_exists {
                    return Err(PolicyRefusal::RoleExists { role }.into());
                }
                policy.in_force = true;
            }
            PolicyOp::DropRole { role, if_exists } => {
                if !policy.roles.remove(&role) && !if_exists {
                    return Err(PolicyRefusal::NoSuchRole { role }.into());
                }
                let gone = Grantee::Role(role.clone());
                policy
                    .members
                    .retain(|found| found.role != role && found.member != gone);
                // PUBLIC was never made, so it is not unmade.
                if role != PUBLIC {
                    policy.grants.retain(|grant| grant.to != gone);
                }
            }
            PolicyOp::Grant { grants, to } => {
                for grantee in &to {
                    require(policy, grantee)?;
                }
                for GrantOn { on, privileges } in grants {
                    self.require_resource(&on)?;
                    for grantee in &to {
                        give(policy, grantee, &on, privileges);
                    }
                }
                policy.in_force = true;
            }
            PolicyOp::Revoke { grants, from } => {
                for GrantOn { on, privileges } in grants {
                    for grantee in &from {
                        take(policy, grantee, &on, privileges);
                    }
                }
            }
            PolicyOp::AddMember { roles, to } => {
                add_members(policy, &roles, &to)?;
            }
            PolicyOp::RemoveMember { roles, from } => {
                policy
                    .members
                    .retain(|found| !(roles.contains(&found.role) && from.contains(&found.member)));
            }
            PolicyOp::NoteToken(row) => {
                checked_name(&row.subject)?;
                policy.tokens.retain(|other| other.id != row.id);
                policy.tokens.push(row);
            }
            PolicyOp::RevokeToken { id, until_ms } => match policy.tokens.iter_mut().find(|row| row.id == id) {
                Some(row) => row.revoked = true,
                None => policy.tokens.push(TokenRow {
                    id,
                    subject: String::new(),
                    issued_ms: 0,
                    until_ms: until_ms.min(self.now_ms.saturating_add(TOKEN_TTL_MS_MAX)),
                    revoked: true,
                }),
            },
            PolicyOp::RevokeTokensOf { user } => {
                checked_name(&user)?;
                policy.tokens_from_ms.insert(user, self.now_ms);
            }
            PolicyOp::User(change) => change_user(policy, change, self.now_ms)?,
        }
        Ok(())
    }

    fn require_resource(&self, on: &Resource) -> Result<(), Refusal> {
        match on {
            Resource::Warehouse => Ok(()),
            // SQL has tables in it, the catalog need not have it.
            Resource::Namespace(levels) if levels.iter().eq([OPS]) => Ok(()),
            Resource::Namespace(levels) => self.require_namespace(levels),
            Resource::Object(id) | Resource::Column { object: id, .. } => match self.object(*id) {
                Some(_) => Ok(()),
                None => Err(PolicyRefusal::Gone { object: *id }.into()),
            },
        }
    }
}

impl From<PolicyRefusal> for Refusal {
    fn from(refusal: PolicyRefusal) -> Self {
        Self::Policy(refusal)
    }
}

/// Gives roles, which puts grants in force.
pub(super) fn add_members(policy: &mut Policy, roles: &[String], to: &[Grantee]) -> Result<(), Refusal> {
    for (role, member) in roles
        .iter()
        .flat_map(|role| to.iter().map(move |member| (role, member)))
    {
        require(policy, &Grantee::Role(role.clone()))?;
        require(policy, member)?;
        if role == PUBLIC || policy.closes_circle(role, member) {
            return Err(PolicyRefusal::Circle {
                role: role.clone(),
                member: member.name().to_owned(),
            }
            .into());
        }
        policy.members.insert(Membership {
            role: role.clone(),
            member: member.clone(),
        });
    }
    policy.in_force = true;
    Ok(())
}

pub(super) fn checked_name(name: &str) -> Result<(), Refusal> {
    match name.len() {
        1..=GRANTEE_BYTES_MAX => Ok(()),
        _ => Err(Refusal::Full {
            limit: format!("a name has 1 to {GRANTEE_BYTES_MAX} bytes"),
        }),
    }
}

/// Users are the configuration's and other issuers' too: any name may be one.
fn require(policy: &Policy, grantee: &Grantee) -> Result<(), Refusal> {
    match grantee {
        Grantee::User(name) => checked_name(name),
        Grantee::Role(role) if role == PUBLIC || policy.roles.contains(role) => Ok(()),
        Grantee::Role(role) => Err(PolicyRefusal::NoSuchRole { role: role.clone() }.into()),
    }
}

fn give(policy: &mut Policy, to: &Grantee, on: &Resource, privileges: PrivilegeSet) {
    if privileges.is_empty() {
        return;
    }
    match policy
        .grants
        .iter_mut()
        .find(|grant| grant.to == *to && grant.on == *on)
    {
        Some(grant) => grant.privileges = grant.privileges.and(privileges),
        None => policy.grants.push(Grant {
            to: to.clone(),
            on: on.clone(),
            privileges,
        }),
    }
}

fn take(policy: &mut Policy, from: &Grantee, on: &Resource, privileges: PrivilegeSet) {
    for grant in policy.grants.iter_mut().filter(|grant| grant.to == *from) {
        let is_column_of = |on: &Resource| match (&grant.on, on) {
            (Resource::Column { object, .. }, Resource::Object(id)) => object == id,
            _ => false,
        };
        if grant.on == *on || (privileges.has(Privilege::Select) && is_column_of(on)) {
            grant.privileges = grant.privileges.without(privileges);
        }
    }
    policy.grants.retain(|grant| !grant.privileges.is_empty());
}
