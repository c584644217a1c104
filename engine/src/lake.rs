//! The catalog's tables as DataFusion looks them up: loaded when a statement names them, and not before.

mod narrow;
pub(crate) mod version;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::{TableType, ViewTable};
use tidewater_core::{Namespace, TableName};
use tidewater_security::{Access, Readable};
use tidewater_table::{LoadedTable, TableError};

pub use self::narrow::Narrow;
use self::version::Version;
use crate::engine::Parts;
use crate::error::{EngineError, Result};
use crate::metadata_tables;
use crate::one_moment::{self, OneMoment};
use crate::policy::{self, RowPolicies, RowPolicy};
use crate::provider::IcebergTable;
use crate::session::{CATALOG, Resolved};

/// What a session has under these names, whatever the catalog has there.
pub(crate) type Overlay = HashMap<TableName, Arc<dyn TableProvider>>;

/// Tables as they stood at one moment; `None` for a name that stood for nothing then.
pub type Moment = HashMap<TableName, Option<LoadedTable>>;

/// All namespaces.
pub(crate) struct LakeCatalog {
    parts: Arc<Parts>,
    overlay: Arc<Overlay>,
    moment: Arc<Moment>,
    one_moment: Option<Arc<OneMoment>>,
    seen: Seen,
}

/// What whoever asks may know of.
#[derive(Clone, Default)]
struct Seen {
    access: Option<Arc<Access>>,
    /// What they may see of rows; none where that is all of them.
    policies: Option<Arc<dyn RowPolicies>>,
    /// Whether tables show the columns only that may be read, as listings do. Statements that read a table are told about the
    /// others that they may not be read.
    narrow: bool,
    /// Whether it is asked what there is. Views say what they read then to those only who may read them; a statement that describes one
    /// is refused to others.
    lists: bool,
}

/// Schemas of what a session knows of itself, which is made for whoever asks.
const OWN_SCHEMAS: [&str; 2] = ["pg_catalog", "information_schema"];

impl Seen {
    fn schema(&self, namespace: &Namespace) -> bool {
        let levels = namespace.levels();
        let own = || matches!(levels, [only] if OWN_SCHEMAS.contains(&only.as_str()));
        self.access
            .as_ref()
            .is_none_or(|access| own() || access.sees_namespace(levels))
    }

    fn table(&self, namespace: &Namespace, name: &str) -> bool {
        let levels = namespace.levels();
        let own = || matches!(levels, [only] if OWN_SCHEMAS.contains(&only.as_str()));
        let base = base_name(name);
        self.access
            .as_ref()
            .is_none_or(|access| own() || access.sees_object(levels, base))
    }

    /// The table, asked for by this name, with the rows that may be seen and the columns that may be known.
    fn shape(&self, table: IcebergTable, asked: TableReference) -> Result<Arc<dyn TableProvider>> {
        let name = &table.table().name;
        let (levels, uuid) = (name.namespace().levels(), table.table().metadata.uuid());
        let access = self.access.as_ref().filter(|_| self.narrow);
        let access = access.filter(|access| !access.sees_shape(levels, name.name()));
        let readable = access.map(|access| access.readable(levels, name.name(), Some(uuid)));
        let table: Arc<dyn TableProvider> = match self.policy(table.table()) {
            Some(policy) => policy::left(table, asked, policy)?,
            None => Arc::new(table),
        };
        Ok(match readable {
            Some(Readable::Only(fields)) => narrow::columns(table, |field| fields.contains(&field)),
            Some(Readable::Nothing) => narrow::columns(table, |_| false),
            Some(Readable::All) | None => table,
        })
    }

    /// What the session has under this name. What a view says in a list may have values in it, and names of tables that nobody else tells.
    fn overlaid(&self, name: &TableName, table: &Arc<dyn TableProvider>) -> Arc<dyn TableProvider> {
        let access = self.access.as_ref().filter(|_| self.lists);
        let reads = |access: &Arc<Access>| {
            let readable = access.readable(name.namespace().levels(), name.name(), None);
            readable == Readable::All
        };
        match table.get_logical_plan() {
            Some(plan) if !access.is_none_or(reads) => Arc::new(ViewTable::new(plan.into_owned(), None)),
            _ => Arc::clone(table),
        }
    }

    /// Whether what is told of a table may tell of all of its columns.
    fn tells_all(&self, table: &LoadedTable) -> bool {
        let access = self.access.as_ref().filter(|_| self.narrow);
        access.is_none_or(|access| access.sees_shape(table.name.namespace().levels(), table.name.name()))
    }

    /// Whether rights on its name are rights on this table: another one may bear the name by now.
    fn is_meant(&self, table: &LoadedTable) -> bool {
        let (levels, name) = (table.name.namespace().levels(), table.name.name());
        let uuid = Some(table.metadata.uuid());
        self.access.as_ref().is_none_or(|access| {
            access.on_object(levels, name, None) == access.on_object(levels, name, uuid)
                && access.readable(levels, name, None) == access.readable(levels, name, uuid)
        })
    }

    /// What is left of a table; none where that is all of it.
    fn policy(&self, table: &LoadedTable) -> Option<RowPolicy> {
        self.policies.as_ref()?.of(table)
    }
}

impl LakeCatalog {
    pub(crate) fn new(parts: Arc<Parts>, overlay: Overlay, moment: Arc<Moment>) -> Self {
        Self {
            parts,
            overlay: Arc::new(overlay),
            moment,
            one_moment: None,
            seen: Seen::default(),
        }
    }

    /// The same with all other tables as they stood then.
    pub(crate) fn standing_at(mut self, one_moment: Option<Arc<OneMoment>>) -> Self {
        self.one_moment = one_moment;
        self
    }

    /// The same for somebody who may know of this, and see of rows what policies leave.
    pub(crate) fn seen_by(mut self, access: Option<Arc<Access>>, policies: Option<Arc<dyn RowPolicies>>) -> Self {
        self.seen = Seen {
            access,
            policies,
            narrow: true,
            lists: false,
        };
        self
    }

    /// The same for a statement that asks what there is, or that does not.
    pub(crate) fn listing(mut self, lists: bool) -> Self {
        self.seen.narrow = lists;
        self.seen.lists = lists;
        self
    }

    /// The same for a statement that describes a table or a view.
    pub(crate) fn describing(mut self) -> Self {
        self.seen.narrow = true;
        self
    }

    /// Whether looking this table up asks the catalog. What may not be known of is not asked for.
    pub(crate) fn asks_for(&self, name: &TableName) -> bool {
        !self.overlay.contains_key(name) && !self.moment.contains_key(name) && !self.hides(name)
    }

    /// These tables as the catalog has them, all at one moment.
    pub(crate) async fn tables(&self, names: Vec<TableName>) -> Result<Moment> {
        one_moment::tables(&self.parts, self.one_moment.as_deref(), names).await
    }

    /// Whether this name stands for nothing, whatever the catalog has there.
    pub(crate) fn hides(&self, name: &TableName) -> bool {
        !self.seen.table(name.namespace(), name.name())
    }

    /// Whether all of the table or view of this name may be known: its columns, and what it says.
    pub(crate) fn shows(&self, name: &TableName) -> bool {
        let levels = name.namespace().levels();
        self.seen
            .access
            .as_ref()
            .is_none_or(|access| access.sees_shape(levels, name.name()))
    }

    /// Whether this name stands for a table or a view of this session.
    pub(crate) fn overlays(&self, name: &TableName) -> bool {
        self.overlay.contains_key(name)
    }

    /// All that stands for tables and views of this session.
    pub(crate) fn overlay(&self) -> &Arc<Overlay> {
        &self.overlay
    }

    /// What is pinned.
    pub(crate) fn pinned(&self) -> &Moment {
        &self.moment
    }

    /// The same for all who may know of the same; nothing where no grant binds.
    pub(crate) fn seen(&self) -> Option<[u8; 32]> {
        self.seen.access.as_ref().map(|access| access.fingerprint())
    }

    /// The same for all who see the same of rows; nothing where no policy binds.
    pub(crate) fn policies(&self) -> Option<[u8; 32]> {
        self.seen.policies.as_ref().map(|policies| policies.fingerprint())
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
            one_moment: self.one_moment.clone(),
            seen: Seen {
                narrow: false,
                ..self.seen.clone()
            },
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
        let seen = |name: &String| name.parse().is_ok_and(|namespace| self.seen.schema(&namespace));
        all.into_iter().filter(seen).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        // Whether it exists is not asked: that would have to wait. An unknown one has no tables.
        let namespace = name.parse().ok()?;
        Some(Arc::new(LakeSchema {
            parts: self.parts.clone(),
            overlay: self.overlay.clone(),
            moment: self.moment.clone(),
            one_moment: self.one_moment.clone(),
            seen: self.seen.clone(),
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
    one_moment: Option<Arc<OneMoment>>,
    seen: Seen,
    namespace: Namespace,
}

impl LakeSchema {
    async fn resolve(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !self.seen.table(&self.namespace, name) {
            return Ok(None);
        }
        let full = TableName::new(self.namespace.clone(), name).ok();
        if let Some((full, table)) = full.and_then(|full| self.overlay.get_key_value(&full)) {
            return Ok(Some(self.seen.overlaid(full, table)));
        }
        let (base, version, part) = parts(name);
        // A name that cannot exist does not exist.
        let Ok(base) = TableName::new(self.namespace.clone(), base) else {
            return Ok(None);
        };
        let table = match (self.moment.get(&base), &self.one_moment) {
            (Some(table), _) => table.clone(),
            (None, Some(at)) => {
                let found = Box::pin(at.tables(&self.parts, vec![base.clone()])).await;
                found?.remove(&base).flatten()
            }
            (None, None) => self.parts.catalog.load_table(&base).await.map_err(TableError::from)?,
        };
        let Some(table) = table else {
            return Ok(None);
        };
        if self.one_moment.is_some() && !self.seen.is_meant(&table) {
            return Ok(None);
        }
        let version = match version {
            Some(version) => version::resolve(&table, version)?,
            None => Version::Current,
        };
        match part {
            // Its columns are made of those of the table, or called like them.
            Some(_) if !self.seen.tells_all(&table) => Ok(None),
            // It tells of all rows: how many, their bounds, and which came and went.
            Some(part) if self.seen.policy(&table).is_some() => {
                Err(policy::refused(table.name, format!("reading ${part}")))
            }
            Some(part) => {
                let bound = self.seen.access.is_some();
                metadata_tables::open(&self.parts, &table, version, part, bound).await
            }
            None => {
                let table = IcebergTable::at(self.parts.clone(), table, version)?.bound(self.seen.access.is_some());
                let asked = TableReference::full(CATALOG, self.namespace.to_string(), name);
                Ok(Some(self.seen.shape(table, asked)?))
            }
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
        let seen = |name: &String| self.seen.table(&self.namespace, name);
        all.into_iter().filter(seen).collect()
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

#[cfg(test)]
mod tests;
