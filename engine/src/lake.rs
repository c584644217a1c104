//! The catalog's tables as DataFusion looks them up: loaded when a statement names them, and not before.

pub(crate) mod version;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use tidewater_core::{Namespace, TableName};
use tidewater_table::{LoadedTable, TableError};

use self::version::Version;
use crate::engine::Parts;
use crate::error::{EngineError, Result};
use crate::metadata_tables;
use crate::provider::IcebergTable;
use crate::session::Resolved;

type Overlay = HashMap<TableName, Arc<dyn TableProvider>>;

/// Tables as they stood at one moment; `None` for a name that stood for nothing then.
pub type Moment = HashMap<TableName, Option<LoadedTable>>;

/// All namespaces.
pub(crate) struct LakeCatalog {
    parts: Arc<Parts>,
    overlay: Arc<Overlay>,
    moment: Arc<Moment>,
}

impl LakeCatalog {
    pub(crate) fn new(parts: Arc<Parts>, overlay: Overlay, moment: Arc<Moment>) -> Self {
        Self {
            parts,
            overlay: Arc::new(overlay),
            moment,
        }
    }

    /// Whether looking this table up asks the catalog.
    pub(crate) fn asks_for(&self, name: &TableName) -> bool {
        !self.overlay.contains_key(name) && !self.moment.contains_key(name)
    }

    /// The same with what these names stand for, beside what it holds already.
    pub(crate) fn at(&self, resolved: &Resolved) -> Self {
        let mut moment = self.moment.as_ref().clone();
        moment.extend(resolved.tables.clone());
        let mut overlay = self.overlay.as_ref().clone();
        overlay.extend(resolved.views.clone());
        Self {
            parts: self.parts.clone(),
            overlay: Arc::new(overlay),
            moment: Arc::new(moment),
        }
    }
}

/// The table that a name in SQL is about: `people@3` and `people$snapshots` are about `people`.
pub(crate) fn base_name(name: &str) -> &str {
    parts(name).0
}

/// Table, version and metadata table of a name: `people`, `3` and `files` of `people@3$files`.
pub(crate) fn parts(name: &str) -> (&str, Option<&str>, Option<&str>) {
    let Some(at) = name.find(['@', '$']) else {
        return (name, None, None);
    };
    let (base, rest) = name.split_at(at);
    if let Some(part) = rest.strip_prefix('$') {
        return (base, None, Some(part));
    }
    let version = rest.strip_prefix('@').unwrap_or(rest);
    match version.rsplit_once('$') {
        // A branch may have any name.
        Some((version, part)) if metadata_tables::is_part(part) => (base, Some(version), Some(part)),
        _ => (base, Some(version), None),
    }
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        let names = self.parts.names.read().unwrap_or_else(PoisonError::into_inner);
        let overlaid = self.overlay.keys().map(|name| name.namespace().to_string());
        let all: BTreeSet<String> = names.keys().cloned().chain(overlaid).collect();
        all.into_iter().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        // Whether it exists is not asked: that would have to wait. An unknown one has no tables.
        let namespace = name.parse().ok()?;
        Some(Arc::new(LakeSchema {
            parts: self.parts.clone(),
            overlay: self.overlay.clone(),
            moment: self.moment.clone(),
            namespace,
        }))
    }
}

impl fmt::Debug for LakeCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LakeCatalog")
            .field("overlay", &self.overlay.keys())
            .finish_non_exhaustive()
    }
}

/// One namespace.
struct LakeSchema {
    parts: Arc<Parts>,
    overlay: Arc<Overlay>,
    moment: Arc<Moment>,
    namespace: Namespace,
}

impl LakeSchema {
    async fn resolve(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let full = TableName::new(self.namespace.clone(), name).ok();
        if let Some(table) = full.and_then(|full| self.overlay.get(&full)) {
            return Ok(Some(table.clone()));
        }
        let (base, version, part) = parts(name);
        // A name that cannot exist does not exist.
        let Ok(base) = TableName::new(self.namespace.clone(), base) else {
            return Ok(None);
        };
        let table = match self.moment.get(&base) {
            Some(table) => table.clone(),
            None => self.parts.catalog.load_table(&base).await.map_err(TableError::from)?,
        };
        let Some(table) = table else {
            return Ok(None);
        };
        let version = match version {
            Some(version) => version::resolve(&table, version)?,
            None => Version::Current,
        };
        match part {
            Some(part) => metadata_tables::open(&self.parts, &table, version, part).await,
            None => Ok(Some(Arc::new(IcebergTable::at(self.parts.clone(), table, version)?))),
        }
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        let names = self.parts.names.read().unwrap_or_else(PoisonError::into_inner);
        let listed = names.get(&self.namespace.to_string()).into_iter().flatten().cloned();
        let overlaid = self.overlay.keys().filter(|name| *name.namespace() == self.namespace);
        let all: BTreeSet<String> = listed.chain(overlaid.map(|name| name.name().to_owned())).collect();
        all.into_iter().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        Ok(self.resolve(name).await?)
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>, DataFusionError> {
        let overlaid = TableName::new(self.namespace.clone(), name)
            .ok()
            .and_then(|name| self.overlay.get(&name));
        Ok(Some(overlaid.map_or(TableType::Base, |table| table.table_type())))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }

    fn register_table(
        &self,
        name: String,
        _: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        Err(EngineError::Unsupported {
            what: format!("creating {}.{name} from a session", self.namespace),
        }
        .into())
    }
}

impl fmt::Debug for LakeSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LakeSchema")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Lists all namespaces and their tables.
pub(crate) async fn refresh_names(parts: &Parts) -> Result<()> {
    let mut names = BTreeMap::new();
    for namespace in parts.catalog.list_namespaces().await.map_err(TableError::from)? {
        let tables = parts.catalog.list_tables(&namespace).await.map_err(TableError::from)?;
        let tables = tables.into_iter().map(|table| table.name().to_owned()).collect();
        names.insert(namespace.to_string(), tables);
    }
    *parts.names.write().unwrap_or_else(PoisonError::into_inner) = names;
    Ok(())
}
