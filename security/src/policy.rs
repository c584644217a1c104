//! What is agreed on about who may do what: roles, their members, grants on the resource tree, and users that the catalog keeps.
//!
//! The catalog keeps it in its log and gives it to every front as one document. Whoever makes a decision compiles it first, see
//! [`crate::Access`].

mod privilege;
mod user;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use privilege::{Privilege, PrivilegeSet};
pub use user::{NAME_BYTES_MAX, STORED_BYTES_MAX, StoredPassword, UserAction, UserChange, UserRow, check_name};

/// The role that everybody has.
pub const PUBLIC: &str = "public";

/// Whom something is granted to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grantee {
    /// A role.
    Role(String),
    /// A user or a service account.
    User(String),
}

impl Grantee {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Role(name) | Self::User(name) => name,
        }
    }
}

impl std::fmt::Display for Grantee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Role(name) => write!(f, "role {name}"),
            Self::User(name) => write!(f, "user {name}"),
        }
    }
}

/// A node of the tree that grants are made on. What is granted on a node holds for everything below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Everything.
    Warehouse,
    /// A namespace by its levels.
    Namespace(Vec<String>),
    /// A table or view by the id that the catalog gave it, so that a grant goes with a rename and not with the name.
    Object(Uuid),
    /// A column by the id of its field, for the same reason.
    Column {
        /// The table.
        object: Uuid,
        /// The field.
        field: i32,
    },
}

/// What somebody may do on a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who.
    pub to: Grantee,
    /// On what.
    pub on: Resource,
    /// What.
    pub privileges: PrivilegeSet,
}

/// That somebody has a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Membership {
    /// The role.
    pub role: String,
    /// Who has it.
    pub member: Grantee,
}

/// A table or view that is the resource of a grant, as it is called now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The id that grants name.
    pub id: Uuid,
    /// The uuid in its metadata: another table that took its name has another one.
    pub uuid: Uuid,
    /// The levels of its namespace.
    pub namespace: Vec<String>,
    /// Its name.
    pub name: String,
}

/// A token that was given out for longer, or one that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// The token's id.
    pub id: Uuid,
    /// Whom it speaks for; empty where only the id is known.
    pub subject: String,
    /// When it was given out, milliseconds since the Unix epoch.
    pub issued_ms: i64,
    /// When it ends; the row is forgotten then.
    pub until_ms: i64,
    /// Whether it is good no more.
    pub revoked: bool,
}

/// All that is agreed on, as of one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Raised by every change.
    pub version: u64,
    /// Whether what is not granted is denied. False until the first role or grant is made, and true ever after; whoever
    /// decides may be told to deny it before ([`crate::Grants`]).
    pub in_force: bool,
    /// The roles there are.
    pub roles: BTreeSet<String>,
    /// Who has which.
    pub members: BTreeSet<Membership>,
    /// What may be done.
    pub grants: Vec<Grant>,
    /// The tables and views that grants name and that are there.
    pub objects: Vec<Object>,
    /// Tokens that were given out for longer or taken back, until their end.
    pub tokens: Vec<TokenRow>,
    /// Tokens of these users that were given out at this moment or before are good no more.
    pub tokens_from_ms: BTreeMap<String, i64>,
    /// Users and service accounts by name. A name of the configuration is the configuration's, whoever is here.
    #[serde(default)]
    pub users: BTreeMap<String, UserRow>,
}

impl Policy {
    /// The roles of somebody, those that come with other roles among them.
    pub fn roles_of(&self, user: &str) -> BTreeSet<String> {
        self.roles_with(user, [])
    }

    /// The same for somebody who has these roles beside what was granted. A role that nobody made, or that was dropped, is none.
    pub fn roles_with<'a>(&self, user: &str, more: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let mut roles = BTreeSet::from([PUBLIC.to_owned()]);
        let mut next = vec![Grantee::User(user.to_owned()), Grantee::Role(PUBLIC.to_owned())];
        for role in more.into_iter().filter(|role| self.roles.contains(*role)) {
            if roles.insert(role.to_owned()) {
                next.push(Grantee::Role(role.to_owned()));
            }
        }
        while let Some(member) = next.pop() {
            for found in self.members.iter().filter(|found| found.member == member) {
                if roles.insert(found.role.clone()) {
                    next.push(Grantee::Role(found.role.clone()));
                }
            }
        }
        roles
    }

    /// Whether `role` would become a member of itself if `member` had it.
    pub fn closes_circle(&self, role: &str, member: &Grantee) -> bool {
        let Grantee::Role(member) = member else { return false };
        let (mut next, mut seen) = (vec![role.to_owned()], BTreeSet::new());
        while let Some(found) = next.pop() {
            if found == *member {
                return true;
            }
            if seen.insert(found.clone()) {
                let above = self
                    .members
                    .iter()
                    .filter(|other| other.member == Grantee::Role(found.clone()));
                next.extend(above.map(|other| other.role.clone()));
            }
        }
        false
    }

    /// What a name without the word `ROLE` or `USER` before it means: a role if there is one, else a user.
    pub fn grantee(&self, name: &str) -> Grantee {
        match name == PUBLIC || self.roles.contains(name) {
            true => Grantee::Role(name.to_owned()),
            false => Grantee::User(name.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a role never contains itself. Method: a chain of three, closed at its ends and in its middle.
    #[test]
    fn circles_are_found() {
        let member = |role: &str, member: &str| Membership {
            role: role.into(),
            member: Grantee::Role(member.into()),
        };
        let policy = Policy {
            members: BTreeSet::from([member("a", "b"), member("b", "c")]),
            ..Policy::default()
        };
        let role = |name: &str| Grantee::Role(name.into());
        for (of, to, closes) in [
            ("c", role("a"), true),
            ("b", role("a"), true),
            ("c", role("c"), true),
            ("a", role("c"), false),
            ("c", role("d"), false),
            ("c", Grantee::User("a".into()), false),
        ] {
            assert_eq!(policy.closes_circle(of, &to), closes, "{of} to {to}");
        }
    }
}
