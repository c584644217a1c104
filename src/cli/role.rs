//! `tidewater role create|drop|ls|add|remove|grant|revoke|show`

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use tidewater_catalog_client::CatalogClient;
use tidewater_security::{GrantStatement, Grantee, Membership, Policy, PolicyChange, Resource, Whom};

use super::block_on;
use super::failure::{Failure, Reason};
use super::output::Output;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum RoleVerb {
    /// Make a role. What nobody was granted is denied; with security.grants = "when_made" from the first role or grant on
    Create {
        /// Its name
        role: String,
    },
    /// Drop a role with its grants
    Drop {
        /// Its name
        role: String,
    },
    /// List roles and who has them
    Ls,
    /// Give somebody a role
    Add {
        /// The role
        role: String,
        /// Such as "user ana", "role analyst"; without the word, a role if there is one of that name
        #[arg(long)]
        to: String,
    },
    /// Take a role from somebody
    Remove {
        /// The role
        role: String,
        /// As with `add`
        #[arg(long)]
        from: String,
    },
    /// Grant privileges
    Grant {
        /// Such as "SELECT, INSERT", "SELECT (id, name)", "ALL"
        privileges: String,
        /// Such as "table gold.x", "schema gold", "warehouse"
        #[arg(long)]
        on: String,
        /// As with `add`
        #[arg(long)]
        to: String,
    },
    /// Take privileges back
    Revoke {
        /// As with `grant`
        privileges: String,
        /// As with `grant`
        #[arg(long)]
        on: String,
        /// As with `add`
        #[arg(long)]
        from: String,
    },
    /// Show grants
    Show {
        /// Only those of this role or user
        name: Option<String>,
    },
}

#[derive(Debug, Serialize)]
struct RoleLine {
    role: String,
    members: String,
}

#[derive(Debug, Serialize)]
struct GrantLine {
    grantee: String,
    privileges: String,
    on: String,
}

pub(super) fn run(settings: &Settings, verb: RoleVerb, output: &Output) -> Result<(), Failure> {
    let client = client(settings)?;
    let sql = match verb {
        RoleVerb::Ls => return list(&client, output),
        RoleVerb::Show { name } => return show(&client, name.as_deref(), output),
        RoleVerb::Create { role } => format!("CREATE ROLE {}", quoted(&role)),
        RoleVerb::Drop { role } => format!("DROP ROLE {}", quoted(&role)),
        RoleVerb::Add { role, to } => format!("GRANT {} TO {to}", quoted(&role)),
        RoleVerb::Remove { role, from } => format!("REVOKE {} FROM {from}", quoted(&role)),
        RoleVerb::Grant { privileges, on, to } => format!("GRANT {privileges} ON {on} TO {to}"),
        RoleVerb::Revoke { privileges, on, from } => format!("REVOKE {privileges} ON {on} FROM {from}"),
    };
    let Some(GrantStatement::Change(change)) = GrantStatement::parse(&sql)? else {
        return Err(Failure::of(Reason::Usage, format!("{sql:?} is no statement about roles")).exit(2));
    };
    if let PolicyChange::RemoveMember { roles, from } = &change
        && let Some((role, member)) = no_member(&policy(&client)?, roles, from)
    {
        return Err(Failure::of(
            Reason::NotThere,
            format!("{member} does not have role {role}: nothing was changed"),
        )
        .hint("tidewater role ls tells who has which"));
    }
    apply(&client, &change, output)?;
    warn(settings, &client, &change);
    Ok(())
}

/// Warns of users whom nobody knows. Where there are issuers, theirs are not known here; where the configuration has nobody, it may be
/// another process's that has them.
#[expect(clippy::print_stderr, reason = "words go to standard error")]
fn warn(settings: &Settings, client: &CatalogClient, change: &PolicyChange) {
    let security = &settings.security;
    if security.users.is_empty() || !security.oidc.is_empty() {
        return;
    }
    // It is done already: a catalog that does not tell is no failure.
    let Ok(policy) = policy(client) else { return };
    let configured = |name: &str| security.users.iter().any(|user| user.name == name);
    for warning in change.warnings(&policy, configured) {
        eprintln!("warning: {warning}");
    }
}

/// The first who does not have a role that is to be taken.
fn no_member(policy: &Policy, roles: &[String], from: &[Whom]) -> Option<(String, Grantee)> {
    let pairs = roles.iter().flat_map(|role| from.iter().map(move |whom| (role, whom)));
    let mut memberships = pairs.map(|(role, whom)| Membership {
        role: role.clone(),
        member: whom.settled(policy),
    });
    let none = memberships.find(|membership| !policy.members.contains(membership))?;
    Some((none.role, none.member))
}

/// Sends a change as whoever knows the secret of the nodes.
pub(super) fn apply(client: &CatalogClient, change: &PolicyChange, output: &Output) -> Result<(), Failure> {
    let version = block_on(async { Ok(client.change_policy(change).await?) })?;
    output.one(&json!({"done": change.verb(), "version": version}))
}

pub(super) fn client(settings: &Settings) -> Result<CatalogClient, Failure> {
    Ok(CatalogClient::new(settings.command_client()?)?)
}

pub(super) fn policy(client: &CatalogClient) -> Result<Policy, Failure> {
    let state = block_on(async { Ok(client.policy(None).await?) })?;
    Ok(state.policy.unwrap_or_default())
}

fn list(client: &CatalogClient, output: &Output) -> Result<(), Failure> {
    let policy = policy(client)?;
    let lines: Vec<RoleLine> = policy
        .roles
        .iter()
        .map(|role| {
            let members = policy.members.iter().filter(|found| found.role == *role);
            let members: Vec<String> = members.map(|found| found.member.to_string()).collect();
            RoleLine {
                role: role.clone(),
                members: members.join(", "),
            }
        })
        .collect();
    output.rows(&["role", "members"], &lines)
}

fn show(client: &CatalogClient, name: Option<&str>, output: &Output) -> Result<(), Failure> {
    let policy = policy(client)?;
    let wanted = |grantee: &Grantee| name.is_none_or(|name| grantee.name() == name);
    let lines: Vec<GrantLine> = policy
        .grants
        .iter()
        .filter(|grant| wanted(&grant.to))
        .map(|grant| GrantLine {
            grantee: grant.to.to_string(),
            privileges: grant.privileges.to_string(),
            on: on(&policy, &grant.on),
        })
        .collect();
    output.rows(&["grantee", "privileges", "on"], &lines)
}

fn on(policy: &Policy, resource: &Resource) -> String {
    let named = |id: &uuid::Uuid| {
        let found = policy.objects.iter().find(|object| object.id == *id);
        found.map_or_else(
            || format!("a dropped table ({id})"),
            |object| format!("{}.{}", object.namespace.join("."), object.name),
        )
    };
    match resource {
        Resource::Warehouse => "warehouse".to_owned(),
        Resource::Namespace(levels) => format!("schema {}", levels.join(".")),
        Resource::Object(id) => format!("table {}", named(id)),
        Resource::Column { object, field } => format!("field {field} of table {}", named(object)),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: to take a role from somebody who does not have it is told, and not done in silence. Method: one who has it, one who has not, a
    // role that is none, both at once.
    #[test]
    fn who_has_no_role_loses_none() {
        let ana = Grantee::User("ana".into());
        let policy = Policy {
            roles: ["analyst".to_owned()].into(),
            members: [Membership {
                role: "analyst".into(),
                member: ana.clone(),
            }]
            .into(),
            ..Policy::default()
        };
        let none = |role: &str, from: &[&str]| {
            let from: Vec<Whom> = from.iter().map(|name| Whom::Either((*name).to_owned())).collect();
            no_member(&policy, &[role.to_owned()], &from)
        };
        assert_eq!(none("analyst", &["ana"]), None);
        assert_eq!(none("nurse", &["ana"]), Some(("nurse".to_owned(), ana)));
        let bob = Grantee::User("bob".into());
        assert_eq!(none("analyst", &["ana", "bob"]), Some(("analyst".to_owned(), bob)));
    }
}
