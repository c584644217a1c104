//! Grants to whoever made something.

use uuid::Uuid;

use tidewater_engine::{Command, Made, SessionOptions};
use tidewater_security::policy::Privilege::Admin;
use tidewater_security::{PolicyChange, Principal, PrivilegeSet, Target, Whom};

use crate::error::QueryError;
use crate::service::QueryService;

impl QueryService {
    /// What somebody made is theirs: nobody else could let them at it.
    pub(in crate::service) async fn give_to_maker(
        &self,
        principal: &Principal,
        options: &SessionOptions,
        command: &Command,
        made: Made,
    ) -> Result<(), QueryError> {
        let target = match command {
            Command::CreateTable(create) => Target::of_name(&self.table_name(options, &create.name)?),
            Command::CreateView(create) => Target::of_name(&self.table_name(options, &create.name)?),
            Command::CreateSchema { name, .. } => Target::Namespace(name.schema()?.levels().to_vec()),
            _ => return Ok(()),
        };
        let uuid = match made {
            Made::Object(uuid) => Some(uuid),
            Made::Schema => None,
        };
        self.give(principal, options, target, uuid).await
    }

    /// The same of this, if the table or view of that name still has this uuid.
    pub(in crate::service) async fn give(
        &self,
        principal: &Principal,
        options: &SessionOptions,
        made: Target,
        uuid: Option<Uuid>,
    ) -> Result<(), QueryError> {
        let (Some(access), Some(policy)) = (&options.access, &self.0.policy) else {
            return Ok(());
        };
        let on = match &made {
            Target::Object { namespace, name } => access.on_object(namespace, name, None),
            Target::Namespace(levels) => access.on_namespace(levels),
            Target::Warehouse => return Ok(()),
        };
        if on.has(Admin) {
            return Ok(());
        }
        let change = PolicyChange::Grant {
            privileges: PrivilegeSet::from(Admin),
            columns: Vec::new(),
            on: made,
            uuid,
            to: vec![Whom::User(principal.name.clone())],
        };
        Ok(policy.change(&change).await?)
    }
}
