//! What a statement's names stand for, all at one moment: tables, and the catalog's views, whose texts are planned in their
//! places.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::catalog::{CatalogProviderList, MemoryCatalogProviderList, TableProvider};
use datafusion::common::ToDFSchema;
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use datafusion::sql::parser::Statement;
use tidewater_core::{Namespace, TableName};
use tidewater_table::{TableError, View};

use super::parse::parse;
use super::{CATALOG, named, planned_view};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::lake::{LakeCatalog, Moment};
use crate::pg_catalog;

/// Views over views over views: no deeper.
const DEPTH_MAX: usize = 16;

/// The dialects that are read, best first: those of others are much the same for what a view should say.
const DIALECTS: &[&str] = &["tidewater", "spark", "trino"];

/// What decides what a view comes to, besides its name. The number of its version is not enough: a catalog may give one again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    queries: BTreeMap<String, String>,
    default_namespace: Option<Namespace>,
}

impl Said {
    pub(super) fn by(view: &View) -> Self {
        Self {
            queries: view.queries.clone(),
            default_namespace: view.default_namespace.clone(),
        }
    }
}

/// What names stand for.
#[derive(Default)]
pub(crate) struct Resolved {
    /// Tables, and names of neither a table nor a view.
    pub(crate) tables: Moment,
    /// Views.
    pub(crate) views: HashMap<TableName, Arc<dyn TableProvider>>,
    /// What they say.
    pub(super) said: BTreeMap<TableName, Said>,
}

/// A view with the statement that it is.
struct Text {
    state: SessionState,
    sql: String,
    statement: Statement,
    names: BTreeSet<TableName>,
    said: Said,
}

impl Engine {
    /// What these names stand for. Tables that are reached through views are of the same moment as all others.
    pub(crate) async fn resolve(
        &self,
        state: &SessionState,
        lake: &LakeCatalog,
        names: BTreeSet<TableName>,
    ) -> Result<Resolved> {
        let mut wanted: BTreeSet<TableName> = names.into_iter().filter(|name| lake.asks_for(name)).collect();
        let mut missing = BTreeSet::new();
        let mut texts: BTreeMap<TableName, Text> = BTreeMap::new();
        for _ in 0..DEPTH_MAX {
            let tables: Vec<TableName> = wanted
                .iter()
                .filter(|name| !texts.contains_key(*name))
                .cloned()
                .collect();
            let tables = lake.tables(tables).await?;
            let absent = tables
                .iter()
                .filter(|(name, table)| table.is_none() && !missing.contains(*name));
            let absent: Vec<TableName> = absent.map(|(name, _)| name.clone()).collect();
            let before = wanted.len();
            for name in absent {
                match self.catalog().load_view(&name).await.map_err(TableError::from)? {
                    None => {
                        missing.insert(name);
                    }
                    Some(view) => {
                        let text = text(state, &view)?;
                        wanted.extend(text.names.iter().filter(|name| lake.asks_for(name)).cloned());
                        texts.insert(name, text);
                    }
                }
            }
            if wanted.len() == before {
                let tables = tables
                    .into_iter()
                    .filter(|(name, _)| !texts.contains_key(name))
                    .collect();
                return self.planned(lake, tables, texts).await;
            }
        }
        Err(EngineError::statement(format!("views lie more than {DEPTH_MAX} deep")))
    }

    /// Views of the catalog as they are listed: their columns and what they say, and no rows.
    pub(super) async fn listed_views(&self, lake: &LakeCatalog) -> Result<HashMap<TableName, Arc<dyn TableProvider>>> {
        let catalog = self.catalog();
        let mut listed: HashMap<TableName, Arc<dyn TableProvider>> = HashMap::new();
        for namespace in catalog.list_namespaces().await.map_err(TableError::from)? {
            // A catalog that has no views says so by an error.
            let names = catalog.list_views(&namespace).await.unwrap_or_default();
            for name in names.into_iter().filter(|name| lake.asks_for(name)) {
                if let Some(view) = catalog.load_view(&name).await.map_err(TableError::from)? {
                    // What has columns of types that are not read is not listed, and no reason to list nothing.
                    let Ok(columns) = tidewater_table::schema::to_arrow(&view.schema) else {
                        continue;
                    };
                    let nothing = LogicalPlan::EmptyRelation(EmptyRelation {
                        produce_one_row: false,
                        schema: Arc::new(columns.to_dfschema()?),
                    });
                    let says = said(&view).or_else(|| view.queries.values().next());
                    listed.insert(name, Arc::new(ViewTable::new(nothing, says.cloned())));
                }
            }
        }
        Ok(listed)
    }

    /// Plans views, each after those that it names.
    async fn planned(
        &self,
        lake: &LakeCatalog,
        tables: Moment,
        mut texts: BTreeMap<TableName, Text>,
    ) -> Result<Resolved> {
        let mut resolved = Resolved {
            tables,
            ..Resolved::default()
        };
        while !texts.is_empty() {
            let ready = texts
                .iter()
                .find(|(_, text)| !text.names.iter().any(|name| texts.contains_key(name)));
            let Some(name) = ready.map(|(name, _)| name.clone()) else {
                let names: Vec<String> = texts.keys().map(ToString::to_string).collect();
                return Err(EngineError::statement(format!(
                    "views name each other in a circle: {}",
                    names.join(", ")
                )));
            };
            if let Some(text) = texts.remove(&name) {
                let mut state = text.state;
                look_up(&mut state, lake.at(&resolved));
                let mut statement = text.statement;
                let plan = planned_view(&state, &mut statement).await?;
                resolved.said.insert(name.clone(), text.said);
                resolved
                    .views
                    .insert(name, Arc::new(ViewTable::new(plan, Some(text.sql))));
            }
        }
        Ok(resolved)
    }
}

/// What it says, in a dialect that is read.
fn said(view: &View) -> Option<&String> {
    DIALECTS.iter().find_map(|dialect| view.queries.get(*dialect))
}

fn text(state: &SessionState, view: &View) -> Result<Text> {
    let sql = said(view).ok_or_else(|| {
        let dialects: Vec<String> = view.queries.keys().cloned().collect();
        EngineError::Unsupported {
            what: format!("view {}, whose text is of {}", view.name, dialects.join(", ")),
        }
    })?;
    let mut state = state.clone();
    let default = view.default_namespace.as_ref().unwrap_or_else(|| view.name.namespace());
    state.config_mut().options_mut().catalog.default_schema = default.to_string();
    pg_catalog::reads_view(&mut state);
    let statement = parse(&state, sql)?.statement;
    let named = named(&state, &statement)?;
    // What there is is told to whoever asks by what they may know of, and in a view it would stand as for whoever reads tables.
    if named.information_schema {
        return Err(EngineError::Unsupported {
            what: format!("view {} over information_schema", view.name),
        });
    }
    Ok(Text {
        state,
        sql: sql.clone(),
        statement,
        names: named.tables,
        said: Said::by(view),
    })
}

/// Lets a state look names up in `lake`, and whatever else it knows where it did.
pub(super) fn look_up(state: &mut SessionState, lake: LakeCatalog) {
    let list = state.catalog_list().clone();
    let pinned = Arc::new(MemoryCatalogProviderList::new());
    for name in list.catalog_names() {
        if let Some(other) = list.catalog(&name) {
            pinned.register_catalog(name, other);
        }
    }
    pinned.register_catalog(CATALOG.to_owned(), Arc::new(lake));
    state.register_catalog_list(pinned);
}

#[cfg(test)]
mod tests {
    use tidewater_table::iceberg::spec::Schema;
    use uuid::Uuid;

    use super::*;

    fn view(version_id: i32, sql: &str, namespace: Option<&str>) -> View {
        View {
            name: "s.v".parse().expect("a name"),
            uuid: Uuid::from_u128(1),
            version_id,
            version_ms: 7,
            schema: Schema::builder().build().expect("a schema"),
            default_catalog: None,
            default_namespace: namespace.map(|name| name.parse().expect("a namespace")),
            queries: BTreeMap::from([("spark".to_owned(), sql.to_owned())]),
            properties: HashMap::new(),
        }
    }

    // Goal: a view is another one when it says something else, whatever number its version has. Method: two texts and two namespaces under
    // one number, and one text under two numbers.
    #[test]
    fn views_are_told_apart_by_what_they_say() {
        let one = Said::by(&view(2, "SELECT * FROM a", Some("s")));
        assert_eq!(one, Said::by(&view(3, "SELECT * FROM a", Some("s"))));
        assert_ne!(one, Said::by(&view(2, "SELECT * FROM b", Some("s"))));
        assert_ne!(one, Said::by(&view(2, "SELECT * FROM a", Some("t"))));
        assert_ne!(one, Said::by(&view(2, "SELECT * FROM a", None)));
    }
}
