//! What there was when somebody asked last, so that only what has changed since is loaded and made anew.
//!
//! It never answers on its own: the catalog is asked each time what there is, and which state each table is in.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::datatypes::SchemaRef;
use tidewater_core::TableName;
use tidewater_table::{Since, TableError};

use super::relations::{Relation, Relations, of_table, of_view};
use crate::engine::Engine;
use crate::error::{EngineError, Result};

/// Shared by all sessions.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Arc<Last>>);

#[derive(Debug, Default)]
struct Last {
    /// What tables were, by the files that said so.
    tables: HashMap<TableName, (String, Relation)>,
    relations: Arc<Relations>,
}

impl Known {
    fn last(&self) -> Arc<Last> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, last: Last) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(last);
    }
}

impl Engine {
    /// What there is now: the catalog's tables and views, and these views beside them, which are meant where both have a name.
    pub async fn relations(&self, views: Vec<(TableName, SchemaRef)>) -> Result<Arc<Relations>> {
        let catalog = self.catalog();
        let mut schemas = BTreeSet::new();
        let (mut names, mut catalog_views) = (Vec::new(), Vec::new());
        for namespace in catalog.list_namespaces().await.map_err(TableError::from)? {
            schemas.insert(namespace.to_string());
            names.extend(catalog.list_tables(&namespace).await.map_err(TableError::from)?);
            // A catalog that has no views says so by an error.
            catalog_views.extend(catalog.list_views(&namespace).await.unwrap_or_default());
        }
        names.retain(|name| views.iter().all(|(view, _)| view != name));
        let last = self.parts.relations.last();
        let tables = self.tables_since(names, &last.tables).await?;
        let mut relations: Vec<Relation> = tables.values().map(|(_, relation)| relation.clone()).collect();
        for name in catalog_views {
            if let Some(view) = catalog.load_view(&name).await.map_err(TableError::from)? {
                let columns = tidewater_table::schema::to_arrow(&view.schema).map_err(EngineError::from)?;
                let mut relation = of_view(&name, &columns.into());
                relation.definition = view.queries.values().next().cloned();
                relation.comment = view.properties.get("comment").cloned();
                relations.push(relation);
            }
        }
        relations.extend(views.iter().map(|(name, columns)| of_view(name, columns)));
        let mut found = Relations::new(schemas, relations);
        if found.same(&last.relations) {
            return Ok(Arc::clone(&last.relations));
        }
        found.inherit(&last.relations);
        let relations = Arc::new(found);
        self.parts.relations.keep(Last {
            tables,
            relations: Arc::clone(&relations),
        });
        Ok(relations)
    }

    /// These tables as they are now, of which some were seen before.
    async fn tables_since(
        &self,
        names: Vec<TableName>,
        last: &HashMap<TableName, (String, Relation)>,
    ) -> Result<HashMap<TableName, (String, Relation)>> {
        let seen: Vec<(TableName, Option<String>)> = names
            .into_iter()
            .map(|name| {
                let location = last.get(&name).map(|(location, _)| location.clone());
                (name, location)
            })
            .collect();
        let since = self.catalog().load_changed(&seen).await.map_err(TableError::from)?;
        let mut tables = HashMap::with_capacity(seen.len());
        for ((name, _), since) in seen.into_iter().zip(since) {
            let before = last.get(&name);
            let now = match (since, before) {
                (Since::Changed(table), before) => {
                    let mut relation = of_table(&table)?;
                    // Columns that are what they were stay the same piece of memory, which is compared at once.
                    if let Some((_, before)) = before.filter(|(_, before)| before.columns == relation.columns) {
                        relation.columns = Arc::clone(&before.columns);
                    }
                    Some((table.metadata_location, relation))
                }
                (Since::Same, before) => before.cloned(),
                (Since::Gone, _) => None,
            };
            tables.extend(now.map(|now| (name, now)));
        }
        Ok(tables)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tidewater_table::iceberg::TableUpdate;
    use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
    use tidewater_table::{Catalog, TableCommit};

    use super::*;
    use crate::testing::{Lake, table_name};

    fn schema() -> Schema {
        let id = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
        Schema::builder().with_fields([id.into()]).build().expect("a schema")
    }

    fn named(relations: &Relations, name: &str) -> Option<Relation> {
        relations.named(name, &[]).cloned()
    }

    // Goal: what is told is what there is now, and what did not change is not made again. Method: a lake that is asked before and
    // after each kind of change.
    #[tokio::test]
    async fn changes_are_seen_and_the_rest_is_kept() {
        let lake = Lake::new();
        let ask = || async { lake.engine.relations(Vec::new()).await.expect("relations") };
        lake.create("gold.a", schema(), None).await;
        lake.create("gold.b", schema(), None).await;
        let first = ask().await;
        assert!(Arc::ptr_eq(&first, &ask().await), "nothing changed");

        let comment = TableUpdate::SetProperties {
            updates: HashMap::from([("comment".to_owned(), "rows of a".to_owned())]),
        };
        let commit = TableCommit {
            name: table_name("gold.a"),
            requirements: Vec::new(),
            updates: vec![comment],
        };
        lake.catalog.commit(vec![commit]).await.expect("a commit");
        let second = ask().await;
        let (before, after) = (named(&first, "gold.a"), named(&second, "gold.a"));
        let (before, after) = (before.expect("a table"), after.expect("a table"));
        assert_eq!(after.comment.as_deref(), Some("rows of a"));
        assert!(
            Arc::ptr_eq(&before.columns, &after.columns),
            "its columns are what they were"
        );
        assert_eq!(named(&first, "gold.b"), named(&second, "gold.b"));

        lake.catalog
            .drop_table(&table_name("gold.b"), false)
            .await
            .expect("dropped");
        let third = ask().await;
        assert!(named(&third, "gold.b").is_none());
        lake.create("gold.b", schema(), None).await;
        assert!(named(&*ask().await, "gold.b").is_some());
        let view = (
            table_name("gold.v"),
            Arc::new(datafusion::arrow::datatypes::Schema::empty()),
        );
        let views = lake.engine.relations(vec![view]).await.expect("relations");
        assert!(named(&views, "gold.v").is_some_and(|view| view.view));
        assert!(named(&*ask().await, "gold.v").is_none(), "a view is of who asks");
    }
}
