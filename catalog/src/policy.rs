//! Who may do what, between requests and the log: names become ids, and the state's policy becomes what one caller may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::command::{GrantOn, Ident, Op, Outcome, PolicyOp};
use crate::error::{CatalogError, Result};
use crate::service::{Service, Ticket};
use crate::state::{State, TableRow};
use tidewater_security::policy::check_name;
use tidewater_security::{
    Access, Authorizer, Grantee, Policy, PolicyChange, Principal, Privilege, PrivilegeSet, Resource, SecurityError,
    Target, UserAction, UserChange, Whom,
};

/// The parts of a metadata file that tell columns.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Shape {
    #[serde(default)]
    current_schema_id: Option<i64>,
    #[serde(default)]
    current_version_id: Option<i64>,
    #[serde(default)]
    versions: Vec<ViewVersion>,
    #[serde(default)]
    schemas: Vec<Schema>,
    schema: Option<Schema>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ViewVersion {
    version_id: i64,
    schema_id: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Schema {
    #[serde(default)]
    schema_id: i64,
    fields: Vec<Field>,
}

#[derive(Debug, Deserialize)]
struct Field {
    id: i32,
    name: String,
    #[serde(rename = "type")]
    _of: Value,
}

impl Shape {
    /// Field ids of the columns at the top level, by name.
    fn columns(self) -> BTreeMap<String, i32> {
        let of_view = self
            .versions
            .iter()
            .find(|version| Some(version.version_id) == self.current_version_id);
        let id = self
            .current_schema_id
            .or_else(|| of_view.map(|version| version.schema_id));
        let mut schemas = self.schemas.into_iter().filter(|schema| Some(schema.schema_id) == id);
        // The first form of the format has one schema and no number for it.
        let schema = schemas.next_back().or(self.schema);
        let fields = schema.into_iter().flat_map(|schema| schema.fields);
        fields.map(|field| (field.name, field.id)).collect()
    }
}

/// What a policy lets a principal do, compiled once for each version.
pub(crate) fn access_in(authorizer: &Authorizer, state: &State, principal: &Principal) -> Arc<Access> {
    let known = known(authorizer, state);
    authorizer.access_by(&known, principal)
}

/// The state's policy, made once for each version.
pub(crate) fn known(authorizer: &Authorizer, state: &State) -> Arc<Policy> {
    let known = authorizer.policy();
    if known.version == state.policy_version() {
        return known;
    }
    authorizer.update(state.policy());
    authorizer.policy()
}

impl Service {
    /// Changes the policy as a caller asked for it by names.
    pub(crate) async fn change_policy(&self, ticket: &Ticket, change: PolicyChange) -> Result<Outcome> {
        let state = self.fresh_state().await?;
        let op = self.settled(&state, change).await?;
        let (kind, version) = (kind_of(&op), state.policy_version());
        let outcome = self.propose(ticket, Op::Policy(op)).await?;
        tracing::info!(kind, version, "the policy was changed");
        Ok(outcome)
    }

    /// Gives who made something everything on what they made, as nobody else could.
    pub(crate) async fn give_to_maker(&self, maker: &Principal, made: Resource) -> Result<()> {
        let op = PolicyOp::Grant {
            grants: vec![GrantOn {
                on: made,
                privileges: Privilege::Admin.into(),
            }],
            to: vec![Grantee::User(maker.name.clone())],
        };
        self.propose(&Ticket::default(), Op::Policy(op)).await.map(|_| ())
    }

    async fn settled(&self, state: &State, change: PolicyChange) -> Result<PolicyOp> {
        let policy = state.policy();
        let whom = |names: Vec<Whom>| names.iter().map(|name| name.settled(&policy)).collect();
        Ok(match change {
            PolicyChange::CreateRole { role, if_not_exists } => {
                check_name(&role)?;
                PolicyOp::CreateRole { role, if_not_exists }
            }
            PolicyChange::DropRole { role, if_exists } => PolicyOp::DropRole { role, if_exists },
            PolicyChange::Grant {
                privileges,
                columns,
                on,
                uuid,
                to,
            } => PolicyOp::Grant {
                grants: self.resources(state, privileges, columns, on, uuid).await?,
                to: whom(to),
            },
            PolicyChange::Revoke {
                privileges,
                columns,
                on,
                from,
            } => PolicyOp::Revoke {
                grants: self.resources(state, privileges, columns, on, None).await?,
                from: whom(from),
            },
            PolicyChange::AddMember { roles, to } => PolicyOp::AddMember { roles, to: whom(to) },
            PolicyChange::RemoveMember { roles, from } => PolicyOp::RemoveMember {
                roles,
                from: whom(from),
            },
            PolicyChange::NoteToken(row) => PolicyOp::NoteToken(row),
            PolicyChange::RevokeToken { id, until_ms } => PolicyOp::RevokeToken { id, until_ms },
            PolicyChange::RevokeTokensOf { user } => PolicyOp::RevokeTokensOf { user },
            PolicyChange::User(change) => {
                self.may_keep(&policy, &change)?;
                PolicyOp::User(change)
            }
        })
    }

    /// Refuses a change of a user who would not be who the name stands for, or could not log in.
    fn may_keep(&self, policy: &Policy, change: &UserChange) -> Result<()> {
        let user = || change.user.clone();
        match &self.logins {
            Some(logins) if logins.configures(&change.user) => {
                return Err(SecurityError::UserConfigured { user: user() }.into());
            }
            None if matches!(change.action, UserAction::Add { .. }) => {
                return Err(SecurityError::NobodyIsAsked { user: user() }.into());
            }
            _ => {}
        }
        change.check_name()?;
        let row = policy.users.get(&change.user);
        if matches!(change.action, UserAction::SetPassword { .. }) && row.is_some_and(|row| row.password.is_none()) {
            return Err(SecurityError::ServiceAccount { user: user() }.into());
        }
        match change.action.password() {
            Some(password) => Ok(password.check(&change.user)?),
            None => Ok(()),
        }
    }

    async fn resources(
        &self,
        state: &State,
        privileges: PrivilegeSet,
        columns: Vec<String>,
        on: Target,
        uuid: Option<Uuid>,
    ) -> Result<Vec<GrantOn>> {
        let (resource, row) = match on {
            Target::Warehouse | Target::Namespace(_) if uuid.is_some() => {
                return Err(CatalogError::bad_request("only tables and views have a uuid"));
            }
            Target::Warehouse => (Resource::Warehouse, None),
            Target::Namespace(levels) => (Resource::Namespace(levels), None),
            Target::Object { namespace, name } => {
                let row = object(state, Ident { namespace, name })?;
                if uuid.is_some_and(|uuid| uuid != row.pointer.uuid) {
                    let table = row.name.clone();
                    return Err(CatalogError::NoSuchTable { table });
                }
                (Resource::Object(row.id), Some(row))
            }
        };
        let mut grants = Vec::new();
        if let Some(row) = row.filter(|_| !columns.is_empty()) {
            let known = self.columns_of(row).await?;
            for column in columns {
                let field = known.get(&column).ok_or_else(|| SecurityError::BadStatement {
                    reason: format!("{} has no column {column:?} at its top level", row.name),
                })?;
                grants.push(GrantOn {
                    on: Resource::Column {
                        object: row.id,
                        field: *field,
                    },
                    privileges: Privilege::Select.into(),
                });
            }
        }
        if !privileges.is_empty() {
            grants.push(GrantOn {
                on: resource,
                privileges,
            });
        }
        Ok(grants)
    }

    /// The columns of a table or view with the ids of their fields.
    pub(crate) async fn columns_of(&self, row: &TableRow) -> Result<BTreeMap<String, i32>> {
        let file = self.cache.load(&row.pointer.metadata_location).await?;
        let shape: Shape = serde_json::from_slice(file.raw()).map_err(|error| CatalogError::Damaged {
            location: row.pointer.metadata_location.clone(),
            reason: error.to_string(),
        })?;
        Ok(shape.columns())
    }
}

/// The table or view of this name.
pub(crate) fn object(state: &State, name: Ident) -> Result<&TableRow> {
    match state.table(&name).or_else(|| state.view(&name)) {
        Some(row) => Ok(row),
        None => Err(CatalogError::NoSuchTable { table: name }),
    }
}

fn kind_of(op: &PolicyOp) -> &'static str {
    match op {
        PolicyOp::CreateRole { .. } => "create role",
        PolicyOp::DropRole { .. } => "drop role",
        PolicyOp::Grant { .. } => "grant",
        PolicyOp::Revoke { .. } => "revoke",
        PolicyOp::AddMember { .. } => "grant role",
        PolicyOp::RemoveMember { .. } => "revoke role",
        PolicyOp::NoteToken(_) => "note token",
        PolicyOp::RevokeToken { .. } => "revoke token",
        PolicyOp::RevokeTokensOf { .. } => "revoke tokens of a user",
        PolicyOp::User(change) => match change.action {
            UserAction::Add { .. } => "add user",
            UserAction::SetPassword { .. } => "set password",
            UserAction::Disable => "disable user",
            UserAction::Enable => "enable user",
            UserAction::Drop => "drop user",
        },
    }
}
