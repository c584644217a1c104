//! Statements about roles and grants: who may, and what they are answered with.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use tidewater_core::{Namespace, TableName};
use tidewater_engine::{Done, EngineError, SessionOptions};
use tidewater_security::{
    Access, Authorizer, GrantStatement, Grantee, Object, Policy, PolicyChange, Principal, Privilege, Resource, Target,
};
use tidewater_table::TableError;

use super::{denied, denied_on};
use crate::error::QueryError;
use crate::service::QueryService;

/// The columns of SHOW GRANTS.
const GRANTS: [&str; 5] = ["grantee", "grantee_type", "privilege", "resource_type", "resource"];

impl QueryService {
    /// The columns of a statement about grants; `None` if it is about something else.
    pub(in crate::service) fn grants_schema(&self, sql: &str) -> Result<Option<SchemaRef>, QueryError> {
        Ok(GrantStatement::parse(sql)?.map(|statement| match statement {
            GrantStatement::Change(_) => Arc::new(Schema::empty()),
            GrantStatement::ShowRoles => schema(&["role"]),
            GrantStatement::ShowGrants { .. } => schema(&GRANTS),
        }))
    }

    /// Carries a statement about grants out.
    pub(in crate::service) async fn grants(
        &self,
        principal: &Principal,
        options: &SessionOptions,
        statement: GrantStatement,
    ) -> Result<Done, QueryError> {
        let Some(source) = &self.0.policy else {
            return Err(QueryError::Statement {
                statement: statement.verb().to_owned(),
            });
        };
        self.0.authenticator.still_lets(principal)?;
        let authorizer = source.authorizer()?;
        let default = options
            .default_schema
            .as_deref()
            .unwrap_or_else(|| self.default_schema());
        let default: Namespace = default.parse().map_err(|source| EngineError::Name {
            name: default.to_owned(),
            source,
        })?;
        let answer = match statement {
            GrantStatement::Change(mut change) => {
                change.in_namespace(default.levels());
                self.may_grant(principal, authorizer, &change)?;
                source.change(&change).await?;
                tracing::info!(user = %principal.name, verb = change.verb(), "the policy was changed");
                return Ok(Done::default());
            }
            GrantStatement::ShowRoles => {
                let policy = authorizer.policy();
                let mine = policy.roles_with(&principal.name, principal.roles());
                let all = manages(principal, authorizer);
                let roles = policy.roles.iter().filter(|role| all || mine.contains(*role));
                rows(&["role"], roles.map(|role| [role.clone()]).collect())?
            }
            GrantStatement::ShowGrants { to, mut on } => {
                let policy = authorizer.policy();
                if let Some(on) = &mut on {
                    on.in_namespace(default.levels());
                }
                let to = to.map(|whom| whom.settled(&policy));
                self.listed(principal, authorizer, &policy, to.as_ref(), on.as_ref())
                    .await?
            }
        };
        Ok(Done {
            answer: Some(answer),
            ..Done::default()
        })
    }

    /// Warnings of users whom nobody knows, after a change. Where there are issuers, theirs are not known here; where nobody has to say who
    /// they are, nobody is known at all.
    pub(in crate::service) fn strangers(&self, change: &PolicyChange) -> Vec<String> {
        let users = &self.0.authenticator;
        if users.believes() || !users.required() {
            return Vec::new();
        }
        match self.0.policy.as_ref().map(|source| source.authorizer()) {
            Some(Ok(authorizer)) => change.warnings(&authorizer.policy(), |name| users.configures(name)),
            _ => Vec::new(),
        }
    }

    /// Whoever manages grants of something may give and take them there; roles are everybody's, so they are the warehouse's.
    fn may_grant(
        &self,
        principal: &Principal,
        authorizer: &Authorizer,
        change: &PolicyChange,
    ) -> Result<(), QueryError> {
        if authorizer.is_admin(principal) {
            return Ok(());
        }
        if !authorizer.in_force() {
            // Nobody was given anything yet, so nobody was given the right to give.
            return Err(denied_on(principal, Privilege::ManageGrants, "the warehouse"));
        }
        let access = authorizer.access(principal);
        match change.target() {
            Target::Warehouse => match access.on_warehouse().has(Privilege::ManageGrants) {
                true => Ok(()),
                false => Err(denied_on(principal, Privilege::ManageGrants, "the warehouse")),
            },
            Target::Namespace(levels) => match access.on_namespace(levels).has(Privilege::ManageGrants) {
                true => Ok(()),
                false => Err(denied_on(
                    principal,
                    Privilege::ManageGrants,
                    &format!("schema {}", levels.join(".")),
                )),
            },
            Target::Object { namespace, name } => {
                let table = table_name(namespace, name)?;
                if !QueryService::sees(Some(&access), &table) {
                    return Err(EngineError::TableNotFound { table }.into());
                }
                match access.on_object(namespace, name, None).has(Privilege::ManageGrants) {
                    true => Ok(()),
                    false => Err(denied(principal, Privilege::ManageGrants, &table)),
                }
            }
        }
    }

    /// Grants and memberships: all for who manages grants of everything, else one's own and those on what one manages.
    async fn listed(
        &self,
        principal: &Principal,
        authorizer: &Authorizer,
        policy: &Policy,
        to: Option<&Grantee>,
        on: Option<&Target>,
    ) -> Result<RecordBatch, QueryError> {
        let all = manages(principal, authorizer);
        let access = authorizer.access(principal);
        let roles = policy.roles_with(&principal.name, principal.roles());
        let mine = |grantee: &Grantee| match grantee {
            Grantee::User(name) => *name == principal.name,
            Grantee::Role(role) => roles.contains(role),
        };
        let kind = |grantee: &Grantee| match grantee {
            Grantee::Role(_) => "role".to_owned(),
            Grantee::User(_) => "user".to_owned(),
        };
        let wanted = |grantee: &Grantee| to.is_none_or(|to| to == grantee);
        let mut found: Vec<[String; 5]> = Vec::new();
        for grant in policy.grants.iter().filter(|grant| wanted(&grant.to)) {
            let object = |id: &uuid::Uuid| policy.objects.iter().find(|object| object.id == *id);
            let (kind_of, name, target) = match &grant.on {
                Resource::Warehouse => ("warehouse", "lake".to_owned(), Target::Warehouse),
                Resource::Namespace(levels) => ("schema", levels.join("."), Target::Namespace(levels.clone())),
                Resource::Object(id) | Resource::Column { object: id, .. } => {
                    // Of a table that was dropped and may come back.
                    let Some(of) = object(id) else { continue };
                    let target = Target::Object {
                        namespace: of.namespace.clone(),
                        name: of.name.clone(),
                    };
                    match &grant.on {
                        Resource::Column { field, .. } => ("column", self.column(of, *field).await?, target),
                        _ => ("table", format!("{}.{}", of.namespace.join("."), of.name), target),
                    }
                }
            };
            let shown = all || mine(&grant.to) || manages_on(&access, &target);
            if shown && on.is_none_or(|on| *on == target) {
                found.extend(grant.privileges.iter().map(|one| {
                    [
                        grant.to.name().to_owned(),
                        kind(&grant.to),
                        one.to_string(),
                        kind_of.to_owned(),
                        name.clone(),
                    ]
                }));
            }
        }
        let members = policy
            .members
            .iter()
            .filter(|found| wanted(&found.member) && on.is_none());
        found.extend(members.filter(|found| all || mine(&found.member)).map(|found| {
            [
                found.member.name().to_owned(),
                kind(&found.member),
                "MEMBER".to_owned(),
                "role".to_owned(),
                found.role.clone(),
            ]
        }));
        found.sort();
        rows(&GRANTS, found)
    }

    /// A column as it is called now.
    async fn column(&self, of: &Object, field: i32) -> Result<String, QueryError> {
        let table = table_name(&of.namespace, &of.name)?;
        let loaded = self.0.engine.catalog().load_table(&table).await;
        let loaded = loaded.map_err(|fault| EngineError::from(TableError::from(fault)))?;
        let name = loaded.and_then(|table| {
            let name = table.metadata.current_schema().name_by_field_id(field);
            name.map(str::to_owned)
        });
        Ok(format!("{table}.{}", name.unwrap_or_else(|| format!("#{field}"))))
    }
}

fn table_name(namespace: &[String], name: &str) -> Result<TableName, QueryError> {
    let refused = |source| EngineError::Name {
        name: format!("{}.{name}", namespace.join(".")),
        source,
    };
    let namespace = Namespace::new(namespace.to_vec()).map_err(refused)?;
    Ok(TableName::new(namespace, name).map_err(refused)?)
}

/// Whether somebody manages grants of everything.
pub(super) fn manages(principal: &Principal, authorizer: &Authorizer) -> bool {
    let on_all = || authorizer.access(principal).on_warehouse().has(Privilege::ManageGrants);
    authorizer.is_admin(principal) || (authorizer.in_force() && on_all())
}

fn manages_on(access: &Access, target: &Target) -> bool {
    match target {
        Target::Warehouse => access.on_warehouse(),
        Target::Namespace(levels) => access.on_namespace(levels),
        Target::Object { namespace, name } => access.on_object(namespace, name, None),
    }
    .has(Privilege::ManageGrants)
}

fn schema(columns: &[&str]) -> SchemaRef {
    let fields = columns.iter().map(|name| Field::new(*name, DataType::Utf8, false));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn rows<const N: usize>(columns: &[&str; N], rows: Vec<[String; N]>) -> Result<RecordBatch, QueryError> {
    let arrays = (0..N).map(|at| -> ArrayRef {
        let values = rows.iter().map(|row| row.get(at).map(String::as_str));
        Arc::new(values.collect::<StringArray>())
    });
    RecordBatch::try_new(schema(columns), arrays.collect()).map_err(QueryError::encoding)
}
