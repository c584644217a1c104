//! What is done to tables, views and schemas by their names.

use std::collections::{BTreeMap, HashMap};

use tidewater_core::{Namespace, TableName};
use tidewater_table::{CatalogFault, TableError};

use super::{Done, Workshop, missing, writable};
use crate::error::Result;
use crate::sql::{Name, Object};

impl Workshop<'_> {
    /// Drops a table, a view or a schema.
    pub(super) async fn drop(&self, what: Object, name: &Name, if_exists: bool, all: bool) -> Result<Done> {
        let catalog = self.engine.catalog();
        let dropped = match what {
            Object::Table => {
                let table = self.table_name(name)?;
                match catalog.load_table(&table).await.map_err(TableError::from)? {
                    Some(loaded) => {
                        writable(&loaded)?;
                        catalog.drop_table(&table, all).await
                    }
                    None if if_exists => Ok(()),
                    None => return Err(missing(&table)),
                }
            }
            Object::View => catalog.drop_view(&self.table_name(name)?).await,
            Object::Schema => {
                let namespace = name.schema()?;
                match catalog.namespace_properties(&namespace).await {
                    Err(CatalogFault::NotFound { .. }) if if_exists => return Ok(Done::default()),
                    Err(fault) => return Err(TableError::from(fault).into()),
                    Ok(_) if all => self.empty(&namespace).await?,
                    Ok(_) => {}
                }
                catalog.drop_namespace(&namespace).await
            }
        };
        match dropped {
            Err(CatalogFault::NotFound { .. }) if if_exists => Ok(Done::default()),
            Err(fault) => Err(TableError::from(fault).into()),
            Ok(()) => Ok(Done::default()),
        }
    }

    /// Drops what is in a schema. Nothing is dropped if one of its tables must not be.
    async fn empty(&self, namespace: &Namespace) -> Result<()> {
        let catalog = self.engine.catalog();
        let tables = catalog.list_tables(namespace).await.map_err(TableError::from)?;
        for table in catalog
            .load_tables(&tables)
            .await
            .map_err(TableError::from)?
            .into_iter()
            .flatten()
        {
            writable(&table)?;
        }
        for table in tables {
            catalog.drop_table(&table, false).await.map_err(TableError::from)?;
        }
        for view in catalog.list_views(namespace).await.map_err(TableError::from)? {
            catalog.drop_view(&view).await.map_err(TableError::from)?;
        }
        Ok(())
    }

    /// Renames a table or a view, within its schema unless another is given.
    pub(super) async fn rename(&self, what: Object, from: &Name, to: &Name) -> Result<Done> {
        let from = self.table_name(from)?;
        let to: TableName = to.table(&from.namespace().to_string())?;
        let catalog = self.engine.catalog();
        let renamed = match what {
            Object::View => catalog.rename_view(&from, &to).await,
            Object::Table | Object::Schema => match catalog.load_table(&from).await.map_err(TableError::from)? {
                Some(table) => {
                    writable(&table)?;
                    catalog.rename_table(&from, &to).await
                }
                // PostgreSQL takes `ALTER TABLE` for views too.
                None => match catalog.load_view(&from).await.map_err(TableError::from)? {
                    Some(_) => catalog.rename_view(&from, &to).await,
                    None => return Err(missing(&from)),
                },
            },
        };
        renamed.map_err(TableError::from)?;
        Ok(Done::default())
    }

    /// Sets properties of a view or a schema.
    pub(super) async fn set_properties(
        &self,
        what: Object,
        name: &Name,
        properties: &BTreeMap<String, Option<String>>,
    ) -> Result<Done> {
        let catalog = self.engine.catalog();
        let removals: Vec<String> = properties
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(key, _)| key.clone())
            .collect();
        let updates: HashMap<String, String> = properties
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect();
        match what {
            Object::View => {
                let view = self.table_name(name)?;
                catalog
                    .update_view_properties(&view, removals, updates)
                    .await
                    .map_err(TableError::from)?;
            }
            Object::Schema | Object::Table => {
                let namespace = name.schema()?;
                catalog
                    .update_namespace_properties(&namespace, removals, updates)
                    .await
                    .map_err(TableError::from)?;
            }
        }
        Ok(Done::default())
    }
}
