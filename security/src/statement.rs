//! Statements about roles and grants: `GRANT`, `REVOKE`, `CREATE ROLE`, `DROP ROLE`, `SHOW GRANTS`, `SHOW ROLES`.

mod parse;
mod spelled;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use tidewater_core::TableName;

use crate::error::SecurityError;
use crate::policy::{Grantee, Policy, PrivilegeSet, UserChange};

/// Whom a statement names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// With the word `ROLE`, or `PUBLIC`.
    Role(String),
    /// With the word `USER`.
    User(String),
    /// With neither: a role if there is one of that name.
    Either(String),
}

impl Whom {
    /// Whom it is as things stand.
    pub fn settled(&self, policy: &Policy) -> Grantee {
        match self {
            Self::Role(name) => Grantee::Role(name.clone()),
            Self::User(name) => Grantee::User(name.clone()),
            Self::Either(name) => policy.grantee(name),
        }
    }
}

/// What a statement grants on, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// `WAREHOUSE`, `DATABASE lake`.
    Warehouse,
    /// `SCHEMA s`: a namespace by its levels.
    Namespace(Vec<String>),
    /// `TABLE s.t`, `VIEW s.v`: levels of the namespace, and the name. No levels: the session's schema is meant.
    Object {
        /// The namespace.
        namespace: Vec<String>,
        /// The table or view.
        name: String,
    },
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Warehouse => f.write_str("the warehouse"),
            Self::Namespace(levels) => write!(f, "schema {}", levels.join(".")),
            Self::Object { namespace, name } if namespace.is_empty() => write!(f, "table {name}"),
            Self::Object { namespace, name } => write!(f, "table {}.{name}", namespace.join(".")),
        }
    }
}

/// A change of the policy, by names, as it is asked of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum PolicyChange {
    /// `CREATE ROLE`.
    CreateRole {
        /// Its name.
        role: String,
        /// One that is there is no error.
        #[serde(default)]
        if_not_exists: bool,
    },
    /// `DROP ROLE`: its grants and memberships go with it.
    DropRole {
        /// Its name.
        role: String,
        /// One that is not there is no error.
        #[serde(default)]
        if_exists: bool,
    },
    /// `GRANT … ON …`.
    Grant {
        /// On the whole of it.
        privileges: PrivilegeSet,
        /// Columns that may be read, of a table.
        #[serde(default)]
        columns: Vec<String>,
        /// On what.
        on: Target,
        /// Only if the table or view has this uuid: what else came to bear its name is somebody else's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uuid: Option<uuid::Uuid>,
        /// To whom.
        to: Vec<Whom>,
    },
    /// `REVOKE … ON …`. Taking `SELECT` back from a table takes it back from its columns.
    Revoke {
        /// From the whole of it.
        privileges: PrivilegeSet,
        /// Columns that may be read no more.
        #[serde(default)]
        columns: Vec<String>,
        /// On what.
        on: Target,
        /// From whom.
        from: Vec<Whom>,
    },
    /// `GRANT role TO …`.
    AddMember {
        /// The roles.
        roles: Vec<String>,
        /// Who gets them.
        to: Vec<Whom>,
    },
    /// `REVOKE role FROM …`.
    RemoveMember {
        /// The roles.
        roles: Vec<String>,
        /// Who loses them.
        from: Vec<Whom>,
    },
    /// Takes note of a token that was given out for longer.
    NoteToken(crate::policy::TokenRow),
    /// Takes a token back.
    RevokeToken {
        /// Its id.
        id: uuid::Uuid,
        /// When it ends at the latest, milliseconds since the Unix epoch: so long it has to be remembered.
        until_ms: i64,
    },
    /// Takes back every token of a user that was given out until now.
    RevokeTokensOf {
        /// The user.
        user: String,
    },
    /// Makes, changes or drops a user of the catalog. There is no statement for it: its text would hold a password.
    User(UserChange),
}

impl PolicyChange {
    /// What clients are told that was done.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::CreateRole { .. } => "CREATE ROLE",
            Self::DropRole { .. } => "DROP ROLE",
            Self::Grant { .. } => "GRANT",
            Self::Revoke { .. } => "REVOKE",
            Self::AddMember { .. } => "GRANT ROLE",
            Self::RemoveMember { .. } => "REVOKE ROLE",
            Self::NoteToken(_) | Self::RevokeToken { .. } | Self::RevokeTokensOf { .. } => "TOKEN",
            Self::User(change) => change.action.verb(),
        }
    }

    /// Warnings of users to whom it gives something and whom nobody knows: a name may be misspelt. `configured` tells whom the configuration
    /// has.
    pub fn warnings(&self, policy: &Policy, configured: impl Fn(&str) -> bool) -> Vec<String> {
        let (Self::Grant { to, .. } | Self::AddMember { to, .. }) = self else {
            return Vec::new();
        };
        let named = to.iter().filter_map(|whom| match whom.settled(policy) {
            Grantee::User(name) if !policy.users.contains_key(&name) && !configured(&name) => Some(name),
            _ => None,
        });
        named
            .map(|name| format!("there is no user {name}: what was granted holds for whoever bears that name one day"))
            .collect()
    }

    /// What it grants on; the warehouse for what is about roles, tokens and users.
    pub fn target(&self) -> &Target {
        match self {
            Self::Grant { on, .. } | Self::Revoke { on, .. } => on,
            _ => &Target::Warehouse,
        }
    }

    /// Puts a table without a namespace into this one.
    pub fn in_namespace(&mut self, levels: &[String]) {
        if let Self::Grant { on, .. } | Self::Revoke { on, .. } = self {
            on.in_namespace(levels);
        }
    }
}

impl Target {
    /// A table or view of this name.
    pub fn of_name(name: &TableName) -> Self {
        Self::Object {
            namespace: name.namespace().levels().to_vec(),
            name: name.name().to_owned(),
        }
    }

    /// Puts a table without a namespace into this one.
    pub fn in_namespace(&mut self, levels: &[String]) {
        if let Self::Object { namespace, .. } = self
            && namespace.is_empty()
        {
            *namespace = levels.to_vec();
        }
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantStatement {
    /// It changes the policy.
    Change(PolicyChange),
    /// `SHOW GRANTS [TO r] [ON t]`.
    ShowGrants {
        /// Only what this one has.
        to: Option<Whom>,
        /// Only what is granted on this.
        on: Option<Target>,
    },
    /// `SHOW ROLES`.
    ShowRoles,
}

impl GrantStatement {
    /// The statement that a text is; `None` if it is about something else.
    ///
    /// # Errors
    /// [`SecurityError::BadStatement`] for one that begins as such a statement and goes on as none.
    pub fn parse(sql: &str) -> Result<Option<Self>, SecurityError> {
        parse::statement(sql)
    }

    /// What clients are told that was done.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Change(change) => change.verb(),
            Self::ShowGrants { .. } | Self::ShowRoles => "SHOW",
        }
    }
}
