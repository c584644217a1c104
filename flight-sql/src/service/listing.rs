//! What there is to query: namespaces, tables and views, for the metadata calls of every front.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::TableType;
use futures::{StreamExt, TryStreamExt, stream};

use tidewater_core::TableName;
use tidewater_engine::EngineError;
use tidewater_security::Principal;
use tidewater_table::{CatalogFault, TableError};

use super::QueryService;
use crate::error::QueryError;

/// Tables that are described at once: enough to hide the round trips, too few to starve queries.
const LOADS_AT_ONCE: usize = 16;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    Table,
    View,
}

/// One table or view.
#[derive(Debug, Clone)]
pub struct TableEntry {
    pub schema: String,
    pub name: String,
    pub kind: TableKind,
    pub columns: SchemaRef,
    /// Names of the identifier fields.
    pub key: Vec<String>,
}

impl QueryService {
    /// The schemas a user may see, by name.
    pub async fn schemas(&self, _: &Principal) -> Result<Vec<String>, QueryError> {
        let catalog = self.0.engine.catalog();
        let listed = catalog.list_namespaces().await.map_err(unlisted)?;
        let mut names: BTreeSet<String> = listed.iter().map(ToString::to_string).collect();
        let beside = self.0.sessions.all().await.overlay;
        names.extend(beside.keys().map(|name| name.namespace().to_string()));
        Ok(names.into_iter().collect())
    }

    /// The tables a user may see with their columns, by schema and name.
    pub async fn tables(&self, _: &Principal) -> Result<Vec<TableEntry>, QueryError> {
        self.entries(|_| true).await
    }

    /// The tables of this name that a user may see, in one schema or in all.
    pub async fn tables_named(
        &self,
        _: &Principal,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Vec<TableEntry>, QueryError> {
        self.entries(|table| {
            table.name() == name && schema.is_none_or(|schema| table.namespace().to_string() == schema)
        })
        .await
    }

    async fn entries(&self, wanted: impl Fn(&TableName) -> bool) -> Result<Vec<TableEntry>, QueryError> {
        let catalog = self.0.engine.catalog();
        let mut names = Vec::new();
        for namespace in catalog.list_namespaces().await.map_err(unlisted)? {
            names.extend(catalog.list_tables(&namespace).await.map_err(unlisted)?);
        }
        // What a session has beside the catalog stands for a table of the same name.
        let beside = self.0.sessions.all().await.overlay;
        names.retain(|name| wanted(name) && !beside.contains_key(name));
        let described = stream::iter(names)
            .map(|name| async move { self.describe(name).await })
            .buffered(LOADS_AT_ONCE)
            .try_collect::<Vec<Option<TableEntry>>>()
            .await?;
        let mut tables: Vec<TableEntry> = described.into_iter().flatten().collect();
        tables.extend(
            beside
                .iter()
                .filter(|(name, _)| wanted(name))
                .map(|(name, table)| TableEntry {
                    schema: name.namespace().to_string(),
                    name: name.name().to_owned(),
                    kind: match table.table_type() {
                        TableType::View => TableKind::View,
                        TableType::Base | TableType::Temporary => TableKind::Table,
                    },
                    columns: table.schema(),
                    key: Vec::new(),
                }),
        );
        tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        Ok(tables)
    }

    /// `None` when it was dropped since it was listed.
    async fn describe(&self, name: TableName) -> Result<Option<TableEntry>, QueryError> {
        let Some(table) = self.0.engine.catalog().load_table(&name).await.map_err(unlisted)? else {
            return Ok(None);
        };
        let schema = table.metadata.current_schema();
        let columns = tidewater_table::schema::to_arrow(schema).map_err(EngineError::from)?;
        let key = schema
            .identifier_field_ids()
            .filter_map(|id| schema.name_by_field_id(id))
            .map(str::to_owned)
            .collect();
        Ok(Some(TableEntry {
            schema: name.namespace().to_string(),
            name: name.name().to_owned(),
            kind: TableKind::Table,
            columns: columns.into(),
            key,
        }))
    }
}

fn unlisted(fault: CatalogFault) -> QueryError {
    EngineError::from(TableError::from(fault)).into()
}
