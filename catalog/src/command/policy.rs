//! Changes of who may do what. Names were looked up by whoever proposes: what stands here are ids.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use tidewater_security::{Grantee, PrivilegeSet, Resource, TokenRow, UserChange};

/// Privileges on one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantOn {
    /// The resource.
    pub on: Resource,
    /// What is given, or taken.
    pub privileges: PrivilegeSet,
}

/// A change of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyOp {
    /// Makes a role.
    CreateRole {
        /// Its name.
        role: String,
        /// One that is there is no error.
        if_not_exists: bool,
    },
    /// Drops a role, its grants and memberships.
    DropRole {
        /// Its name.
        role: String,
        /// One that is not there is no error.
        if_exists: bool,
    },
    /// Gives privileges.
    Grant {
        /// Which.
        grants: Vec<GrantOn>,
        /// To whom, each of them.
        to: Vec<Grantee>,
    },
    /// Takes privileges back; what was not given is no error. A table's `SELECT` is that of its columns too.
    Revoke {
        /// Which.
        grants: Vec<GrantOn>,
        /// From whom, each of them.
        from: Vec<Grantee>,
    },
    /// Gives roles.
    AddMember {
        /// Which.
        roles: Vec<String>,
        /// To whom, each of them.
        to: Vec<Grantee>,
    },
    /// Takes roles.
    RemoveMember {
        /// Which.
        roles: Vec<String>,
        /// From whom, each of them.
        from: Vec<Grantee>,
    },
    /// Takes note of a token that was given out for longer.
    NoteToken(TokenRow),
    /// Takes a token back.
    RevokeToken {
        /// Its id.
        id: Uuid,
        /// When it ends at the latest.
        until_ms: i64,
    },
    /// Takes back all tokens of a user that were given out until now.
    RevokeTokensOf {
        /// The user.
        user: String,
    },
    /// Makes, changes or drops a user or service account.
    User(UserChange),
}

/// Why the policy was not changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyRefusal {
    /// The role is there already, or is everybody's.
    RoleExists {
        /// Its name.
        role: String,
    },
    /// There is no such role.
    NoSuchRole {
        /// Its name.
        role: String,
    },
    /// The role would contain itself.
    Circle {
        /// The role.
        role: String,
        /// Who was to get it.
        member: String,
    },
    /// The table or view was dropped meanwhile.
    Gone {
        /// Its id.
        object: Uuid,
    },
    /// There is a user of this name.
    UserExists {
        /// The user.
        user: String,
    },
    /// There is no user of this name.
    NoSuchUser {
        /// The user.
        user: String,
    },
}
