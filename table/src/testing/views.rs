//! The views of the catalog in memory.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::catalog::CatalogFault;
use crate::view::{NewView, View};
use tidewater_core::{Namespace, TableName};

#[derive(Debug, Default)]
pub(super) struct Views(BTreeMap<TableName, View>);

impl Views {
    pub(super) fn get(&self, name: &TableName) -> Option<View> {
        self.0.get(name).cloned()
    }

    pub(super) fn of(&self, namespace: &Namespace) -> Vec<TableName> {
        let names = self.0.keys().filter(|name| name.namespace() == namespace);
        names.cloned().collect()
    }

    pub(super) fn create(&mut self, new: NewView, uuid: Uuid, now_ms: i64) -> Result<View, CatalogFault> {
        if self.0.contains_key(&new.name) {
            let what = format!("view {}", new.name);
            return Err(CatalogFault::AlreadyExists { what });
        }
        let view = View {
            name: new.name.clone(),
            uuid,
            version_id: 1,
            version_ms: now_ms,
            schema: new.schema,
            default_catalog: new.default_catalog,
            default_namespace: new.default_namespace,
            queries: new.queries,
            properties: new.properties,
        };
        self.0.insert(new.name, view.clone());
        Ok(view)
    }

    pub(super) fn replace(&mut self, new: NewView, now_ms: i64) -> Result<View, CatalogFault> {
        let view = self.known(&new.name)?;
        view.version_id += 1;
        view.version_ms = now_ms;
        view.schema = new.schema;
        view.default_catalog = new.default_catalog;
        view.default_namespace = new.default_namespace;
        view.queries = new.queries;
        view.properties.extend(new.properties);
        Ok(view.clone())
    }

    pub(super) fn update(
        &mut self,
        name: &TableName,
        removals: &[String],
        updates: HashMap<String, String>,
    ) -> Result<View, CatalogFault> {
        let view = self.known(name)?;
        view.properties.retain(|key, _| !removals.contains(key));
        view.properties.extend(updates);
        Ok(view.clone())
    }

    pub(super) fn remove(&mut self, name: &TableName) -> Result<View, CatalogFault> {
        self.0.remove(name).ok_or_else(|| missing(name))
    }

    pub(super) fn rename(&mut self, from: &TableName, to: &TableName) -> Result<(), CatalogFault> {
        if self.0.contains_key(to) {
            let what = format!("view {to}");
            return Err(CatalogFault::AlreadyExists { what });
        }
        let mut view = self.remove(from)?;
        view.name = to.clone();
        self.0.insert(to.clone(), view);
        Ok(())
    }

    fn known(&mut self, name: &TableName) -> Result<&mut View, CatalogFault> {
        self.0.get_mut(name).ok_or_else(|| missing(name))
    }
}

fn missing(name: &TableName) -> CatalogFault {
    CatalogFault::NotFound {
        what: format!("view {name}"),
    }
}
