//! What a principal may do with one thing that a command is about.

use uuid::Uuid;

use tidewater_core::reserved::is_reserved;
use tidewater_core::{Namespace, TableName};
use tidewater_engine::EngineError;
use tidewater_engine::sql::Object;
use tidewater_security::Privilege;
use tidewater_security::policy::Privilege::{Admin, Create, Drop};
use tidewater_table::marks::is_mark;
use tidewater_table::{CatalogFault, Meant, TableError};

use super::May;
use crate::error::QueryError;
use crate::service::QueryService;
use crate::service::authorise::about::About;
use crate::service::authorise::{denied, denied_on};

impl May<'_> {
    pub(super) fn on_warehouse(&self, privilege: Privilege) -> Result<(), QueryError> {
        match self.access.on_warehouse().has(privilege) {
            true => Ok(()),
            false => Err(denied_on(self.principal, privilege, "the warehouse")),
        }
    }

    /// Refuses properties by which ingest and models know their tables: who could set them would be given other people's rows.
    pub(super) fn marks<'k>(&self, mut properties: impl Iterator<Item = &'k String>) -> Result<(), QueryError> {
        match properties.find(|property| is_mark(property)) {
            Some(_) if self.access.on_warehouse().has(Admin) => Ok(()),
            Some(mark) => {
                let what = format!("the warehouse, which the property {mark:?} takes");
                Err(denied_on(self.principal, Admin, &what))
            }
            None => Ok(()),
        }
    }

    /// Refuses schemas of processes and nodes: whoever made one would have all that is in it.
    pub(super) fn unreserved(&self, schema: &Namespace) -> Result<(), QueryError> {
        match is_reserved(schema.levels()) && !self.access.on_warehouse().has(Admin) {
            true => {
                let what = format!("the warehouse, which the schema {schema} takes");
                Err(denied_on(self.principal, Admin, &what))
            }
            false => Ok(()),
        }
    }

    pub(super) fn creates_in(&self, namespace: &Namespace) -> Result<(), QueryError> {
        self.on_schema(namespace, Create)
    }

    pub(super) fn on_schema(&self, namespace: &Namespace, privilege: Privilege) -> Result<(), QueryError> {
        let levels = namespace.levels();
        if !self.access.sees_namespace(levels) {
            return Err(missing(format!("namespace {namespace}")));
        }
        match self.access.on_namespace(levels).has(privilege) {
            true => Ok(()),
            false => Err(denied_on(self.principal, privilege, &format!("schema {namespace}"))),
        }
    }

    /// Refuses what a table or view is in the way of, in the words for what is not there if it may not be known of. Answers which one it is.
    pub(super) async fn on(&self, what: Object, name: &TableName, needs: &[Privilege]) -> Result<Meant, QueryError> {
        let not_there = || match what {
            Object::View => missing(format!("view {name}")),
            _ => EngineError::TableNotFound { table: name.clone() }.into(),
        };
        if !QueryService::sees(Some(self.access), name) && !self.exists_for_replacing(needs) {
            return Err(not_there());
        }
        let found = self.uuid(name).await?;
        // What comes to bear the name until the statement is carried out was granted to nobody by that name.
        let uuid = Some(found.unwrap_or_default());
        let levels = name.namespace().levels();
        for one in needs {
            if !self.access.on_object(levels, name.name(), uuid).has(*one) {
                return Err(match found {
                    Some(_) => denied(self.principal, *one, name),
                    None => not_there(),
                });
            }
        }
        Ok(Meant {
            name: name.clone(),
            uuid: found,
        })
    }

    /// What makes way for something new, which takes these, if anything is there.
    pub(super) async fn makes(&self, what: Object, name: &TableName, needs: &[Privilege]) -> Result<About, QueryError> {
        match self.uuid(name).await? {
            Some(_) => Ok(About::Meant(self.on(what, name, needs).await?)),
            None => Ok(About::New),
        }
    }

    /// Whoever replaces something was told by its being there that it is.
    fn exists_for_replacing(&self, needs: &[Privilege]) -> bool {
        needs.contains(&Drop) && needs.len() > 1
    }

    /// The uuid of what bears the name now.
    async fn uuid(&self, name: &TableName) -> Result<Option<Uuid>, QueryError> {
        let catalog = self.service.0.engine.catalog();
        let failed = |fault: CatalogFault| QueryError::from(EngineError::from(TableError::from(fault)));
        if let Some(table) = catalog.load_table(name).await.map_err(failed)? {
            return Ok(Some(table.metadata.uuid()));
        }
        let view = catalog.load_view(name).await.map_err(failed)?;
        Ok(view.map(|view| view.uuid))
    }
}

fn missing(what: String) -> QueryError {
    EngineError::from(TableError::from(CatalogFault::NotFound { what })).into()
}
