//! Names that are to be those of one table or view.
//!
//! Whether somebody may do something to a table is asked before it is done, and both go by the table's name. What bears the name by then may
//! be another's. Through [`Bound`] it is done to the one that was asked about, or not at all: a table that is loaded is that one, and a commit
//! demands the uuid of what was loaded.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use iceberg::TableRequirement;
use uuid::Uuid;

use crate::catalog::{Catalog, CatalogFault, CommitOutcome, LoadedTable, NewTable, Pointers, Since, TableCommit};
use crate::view::{NewView, View};
use tidewater_core::{Namespace, TableName};

/// What a name is meant to be the name of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// The name.
    pub name: TableName,
    /// The uuid of the table or view; `None` if there was none of this name.
    pub uuid: Option<Uuid>,
}

impl Meant {
    /// Refuses another table or view of the name. What has other names may be anything.
    ///
    /// # Errors
    /// [`CatalogFault::OtherBearer`]
    pub fn require(&self, name: &TableName, uuid: Uuid) -> Result<(), CatalogFault> {
        match self.name != *name || self.uuid == Some(uuid) {
            true => Ok(()),
            false => Err(CatalogFault::OtherBearer { name: name.clone() }),
        }
    }

    /// The uuid that what bears this name has to have; one that nothing has if nothing was meant.
    pub fn of_name(&self, name: &TableName) -> Option<Uuid> {
        (self.name == *name).then(|| self.uuid.unwrap_or_default())
    }
}

/// A catalog in which one name is that of what was meant, or of nothing.
#[derive(Debug)]
pub struct Bound {
    inner: Arc<dyn Catalog>,
    meant: Meant,
    /// Whether a commit to what is meant had no answer: it may be in there, and the name does not lead to it any more.
    is_in_doubt: AtomicBool,
}

impl Bound {
    /// This catalog with the name bound.
    pub fn new(catalog: &Arc<dyn Catalog>, meant: Meant) -> Self {
        let inner = catalog.bound(&meant).unwrap_or_else(|| Arc::clone(catalog));
        Self {
            inner,
            meant,
            is_in_doubt: AtomicBool::new(false),
        }
    }

    fn require(&self, name: &TableName, uuid: Uuid) -> Result<(), CatalogFault> {
        match self.meant.require(name, uuid) {
            Err(_) if self.is_in_doubt.load(Ordering::SeqCst) => Err(CatalogFault::Timeout {
                message: format!("a commit to {name} had no answer, and the name is that of another one by now"),
            }),
            told => told,
        }
    }

    fn checked(&self, table: Option<LoadedTable>) -> Result<Option<LoadedTable>, CatalogFault> {
        if let Some(table) = &table {
            self.require(&table.name, table.metadata.uuid())?;
        }
        Ok(table)
    }

    /// Looks that nothing else bears the name.
    async fn look(&self, name: &TableName) -> Result<(), CatalogFault> {
        if self.meant.name == *name && self.load_table(name).await?.is_none() {
            self.load_view(name).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Catalog for Bound {
    async fn load_table(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogFault> {
        self.checked(self.inner.load_table(name).await?)
    }

    async fn load_tables(&self, names: &[TableName]) -> Result<Vec<Option<LoadedTable>>, CatalogFault> {
        let loaded = self.inner.load_tables(names).await?;
        loaded.into_iter().map(|table| self.checked(table)).collect()
    }

    async fn pointers(&self) -> Result<Arc<Pointers>, CatalogFault> {
        self.inner.pointers().await
    }

    async fn held_by_others(&self, table: &TableName, folders: &[String]) -> Result<Vec<bool>, CatalogFault> {
        self.inner.held_by_others(table, folders).await
    }

    async fn dropped(&self) -> Result<Vec<String>, CatalogFault> {
        self.inner.dropped().await
    }

    async fn unnameable(&self) -> Result<Vec<String>, CatalogFault> {
        self.inner.unnameable().await
    }

    // What there is is told to whom it may be told, whatever is done to one of the tables.
    async fn load_changed(&self, seen: &[(TableName, Option<String>)]) -> Result<Vec<Since>, CatalogFault> {
        self.inner.load_changed(seen).await
    }

    async fn has_grants(&self) -> Result<bool, CatalogFault> {
        self.inner.has_grants().await
    }

    async fn commit(&self, mut commits: Vec<TableCommit>) -> Result<CommitOutcome, CatalogFault> {
        for commit in &mut commits {
            let makes = commit.requirements.contains(&TableRequirement::NotExist);
            if let Some(uuid) = self.meant.of_name(&commit.name).filter(|_| !makes) {
                let requirement = TableRequirement::UuidMatch { uuid };
                if !commit.requirements.contains(&requirement) {
                    commit.requirements.push(requirement);
                }
            }
        }
        let is_about_it = commits.iter().any(|commit| commit.name == self.meant.name);
        let outcome = self.inner.commit(commits).await;
        if is_about_it && matches!(outcome, Ok(CommitOutcome::Unknown { .. })) {
            self.is_in_doubt.store(true, Ordering::SeqCst);
        }
        outcome
    }

    async fn create_table(&self, table: NewTable) -> Result<LoadedTable, CatalogFault> {
        self.inner.create_table(table).await
    }

    async fn stage_table(&self, table: &NewTable) -> Result<LoadedTable, CatalogFault> {
        self.inner.stage_table(table).await
    }

    async fn drop_table(&self, name: &TableName, purge: bool) -> Result<(), CatalogFault> {
        self.look(name).await?;
        self.inner.drop_table(name, purge).await
    }

    async fn rename_table(&self, from: &TableName, to: &TableName) -> Result<(), CatalogFault> {
        self.look(from).await?;
        self.inner.rename_table(from, to).await
    }

    async fn register_table(&self, name: &TableName, metadata_location: &str) -> Result<(), CatalogFault> {
        self.inner.register_table(name, metadata_location).await
    }

    async fn list_tables(&self, namespace: &Namespace) -> Result<Vec<TableName>, CatalogFault> {
        self.inner.list_tables(namespace).await
    }

    async fn create_namespace(&self, namespace: &Namespace) -> Result<(), CatalogFault> {
        self.inner.create_namespace(namespace).await
    }

    async fn create_namespace_with(
        &self,
        namespace: &Namespace,
        properties: HashMap<String, String>,
    ) -> Result<(), CatalogFault> {
        self.inner.create_namespace_with(namespace, properties).await
    }

    async fn list_namespaces(&self) -> Result<Vec<Namespace>, CatalogFault> {
        self.inner.list_namespaces().await
    }

    async fn drop_namespace(&self, namespace: &Namespace) -> Result<(), CatalogFault> {
        self.inner.drop_namespace(namespace).await
    }

    async fn namespace_properties(&self, namespace: &Namespace) -> Result<HashMap<String, String>, CatalogFault> {
        self.inner.namespace_properties(namespace).await
    }

    async fn update_namespace_properties(
        &self,
        namespace: &Namespace,
        removals: Vec<String>,
        updates: HashMap<String, String>,
    ) -> Result<(), CatalogFault> {
        self.inner
            .update_namespace_properties(namespace, removals, updates)
            .await
    }

    async fn load_view(&self, name: &TableName) -> Result<Option<View>, CatalogFault> {
        let view = self.inner.load_view(name).await?;
        if let Some(view) = &view {
            self.require(&view.name, view.uuid)?;
        }
        Ok(view)
    }

    async fn create_view(&self, view: NewView) -> Result<View, CatalogFault> {
        self.inner.create_view(view).await
    }

    async fn replace_view(&self, view: NewView) -> Result<View, CatalogFault> {
        self.look(&view.name).await?;
        self.inner.replace_view(view).await
    }

    async fn update_view_properties(
        &self,
        name: &TableName,
        removals: Vec<String>,
        updates: HashMap<String, String>,
    ) -> Result<View, CatalogFault> {
        self.look(name).await?;
        self.inner.update_view_properties(name, removals, updates).await
    }

    async fn drop_view(&self, name: &TableName) -> Result<(), CatalogFault> {
        self.look(name).await?;
        self.inner.drop_view(name).await
    }

    async fn rename_view(&self, from: &TableName, to: &TableName) -> Result<(), CatalogFault> {
        self.look(from).await?;
        self.inner.rename_view(from, to).await
    }

    async fn list_views(&self, namespace: &Namespace) -> Result<Vec<TableName>, CatalogFault> {
        self.inner.list_views(namespace).await
    }
}

#[cfg(test)]
mod tests;
