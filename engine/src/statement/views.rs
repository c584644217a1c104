//! Making views, and giving them another text.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Query;
use tidewater_core::{Namespace, TableName};
use tidewater_table::iceberg::spec::Schema;
use tidewater_table::{CatalogFault, NewView, TableError, View};

use super::create::{built, of_query};
use super::{Done, Made, Workshop};
use crate::error::{EngineError, Result};
use crate::pg_catalog;
use crate::sql::{CreateView, Existing, Name};

/// Those whose engines read a view's text. It is the same for all but for how names are quoted: what else differs between them, a
/// view had better not use.
const DIALECTS: &[&str] = &["tidewater", "spark", "trino"];

/// Property of a view: what other engines call this catalog. Spark takes its own name for it if nothing is said, Trino must be told.
/// Without it the view gets that of [`crate::EngineOptions::view_default_catalog`].
const DEFAULT_CATALOG: &str = "tidewater.default-catalog";

/// What a statement says of a view.
struct Wanted<'a> {
    query: &'a Query,
    /// Names and comments of its columns; those of the query if there are none.
    columns: &'a [(String, Option<String>)],
    /// Properties that it gets; others that it has stay.
    properties: &'a BTreeMap<String, String>,
}

impl Workshop<'_> {
    /// Makes a view, which Spark and Trino read as we do.
    pub(super) async fn create_view(&self, create: &CreateView) -> Result<Done> {
        let name = self.table_name(&create.name)?;
        let wanted = Wanted {
            query: &create.query,
            columns: &create.columns,
            properties: &create.properties,
        };
        let catalog = self.engine.catalog();
        let there = catalog.load_view(&name).await.map_err(TableError::from)?;
        let view = self.new_view(name, &wanted, there.as_ref()).await?;
        match (create.existing, there) {
            (Existing::Keep, Some(_)) => Ok(Done::default()),
            (Existing::Replace, Some(_)) => {
                catalog.replace_view(view).await.map_err(TableError::from)?;
                Ok(Done::default())
            }
            _ => {
                let made = catalog.create_view(view).await.map_err(TableError::from)?;
                Ok(Done::made(Made::Object(made.uuid)))
            }
        }
    }

    /// Gives a view another query. Its columns are those of the query, without the comments they had; its properties stay.
    ///
    /// # Errors
    /// [`CatalogFault::NotFound`] for a view that is not there, a table of that name included.
    pub(super) async fn alter_view(&self, name: &Name, query: &Query) -> Result<Done> {
        let name = self.table_name(name)?;
        let catalog = self.engine.catalog();
        let Some(there) = catalog.load_view(&name).await.map_err(TableError::from)? else {
            let missing = CatalogFault::NotFound {
                what: format!("view {name}"),
            };
            return Err(TableError::from(missing).into());
        };
        let wanted = Wanted {
            query,
            columns: &[],
            properties: &BTreeMap::new(),
        };
        let view = self.new_view(name, &wanted, Some(&there)).await?;
        catalog.replace_view(view).await.map_err(TableError::from)?;
        Ok(Done::default())
    }

    /// The view as it is to be, in the place of the one that is there.
    async fn new_view(&self, name: TableName, wanted: &Wanted<'_>, there: Option<&View>) -> Result<NewView> {
        let session = self.session(self.options);
        pg_catalog::reads_view(&mut session.state_ref().write());
        let mut sql = wanted.query.to_string();
        let named = self.engine.named(self.options, &sql)?;
        if named.information_schema || named.tables.iter().any(pg_catalog::is_made) {
            return Err(EngineError::Unsupported {
                what: format!("view {name} over information_schema or pg_catalog"),
            });
        }
        if !wanted.columns.is_empty() {
            let plan = self.engine.plan(&session, &sql).await?;
            sql = renamed(&sql, &plan, &name, wanted.columns)?;
        }
        let plan = self.engine.plan(&session, &sql).await?;
        let schema = commented(&of_query(&plan, &[])?, wanted.columns)?;
        let schema_of_names = self
            .options
            .default_schema
            .as_deref()
            .unwrap_or(&self.engine.options().default_schema);
        let default: Namespace = schema_of_names.parse().map_err(|source| EngineError::Name {
            name: schema_of_names.to_owned(),
            source,
        })?;
        // A property that stays is heard as if it were given anew.
        let kept = there.and_then(|view| view.properties.get(DEFAULT_CATALOG));
        let said = wanted.properties.get(DEFAULT_CATALOG).or(kept);
        let default_catalog = said.or_else(|| self.engine.options().view_default_catalog.as_ref());
        Ok(NewView {
            name,
            schema,
            default_catalog: default_catalog.cloned(),
            default_namespace: Some(default),
            queries: DIALECTS
                .iter()
                .map(|dialect| ((*dialect).to_owned(), crate::sql::in_dialect(&sql, dialect)))
                .collect(),
            properties: wanted.properties.clone().into_iter().collect(),
        })
    }
}

/// The view's query with its columns renamed.
fn renamed(sql: &str, plan: &LogicalPlan, view: &TableName, names: &[(String, Option<String>)]) -> Result<String> {
    let columns = plan.schema().fields().len();
    if columns != names.len() {
        return Err(EngineError::statement(format!(
            "view {view} has {} columns, and its query {columns}",
            names.len()
        )));
    }
    let names: Vec<String> = names.iter().map(|(name, _)| crate::sql::quoted(name)).collect();
    Ok(format!("SELECT * FROM ({sql}) AS \"v\" ({})", names.join(", ")))
}

fn commented(schema: &Schema, columns: &[(String, Option<String>)]) -> Result<Schema> {
    let fields = schema.as_struct().fields().iter().map(|field| {
        let mut field = field.as_ref().clone();
        field.required = false;
        field.doc = columns
            .iter()
            .find(|(name, _)| *name == field.name)
            .and_then(|(_, comment)| comment.clone());
        Arc::new(field)
    });
    built(fields.collect(), &[])
}
