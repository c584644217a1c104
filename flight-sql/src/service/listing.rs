//! What there is to query: namespaces and tables, for the metadata calls of every front.

use std::collections::{BTreeSet, HashMap};

use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt, stream};

use tidewater_core::{Namespace, TableName};
use tidewater_engine::EngineError;
use tidewater_security::{Access, Principal};
use tidewater_table::iceberg::spec::Schema as IcebergSchema;
use tidewater_table::{CatalogFault, TableError};
use uuid::Uuid;

use super::QueryService;
use crate::error::QueryError;

/// Tables that are described at once: enough to hide the round trips, too few to starve queries.
const LOADS_AT_ONCE: usize = 16;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// A table of the catalog.
    Table,
    /// A query under a name.
    View,
}

/// One table or view.
#[derive(Debug, Clone)]
pub struct TableEntry {
    /// Its namespace, levels joined by dots.
    pub schema: String,
    /// Its name within the schema.
    pub name: String,
    /// Table or view.
    pub kind: TableKind,
    /// Its columns as they are stored; the wire may carry them as other types.
    pub columns: SchemaRef,
    /// Names of the identifier fields; none for a view.
    pub key: Vec<String>,
    /// What is said of the columns, by their names.
    pub comments: HashMap<String, String>,
}

impl QueryService {
    /// The schemas a user may see, by name.
    pub async fn schemas(&self, principal: &Principal) -> Result<Vec<String>, QueryError> {
        let access = self.access(principal)?;
        let catalog = self.0.engine.catalog();
        let mut names: BTreeSet<String> = catalog
            .list_namespaces()
            .await
            .map_err(unlisted)?
            .iter()
            .map(ToString::to_string)
            .collect();
        let views = self.0.sessions.view_names().await;
        names.extend(views.iter().map(|view| view.namespace().to_string()));
        let sees = |name: &String| {
            let namespace: Result<Namespace, _> = name.parse();
            let seen = |access: &Access| namespace.is_ok_and(|namespace| access.sees_namespace(namespace.levels()));
            access.as_deref().is_none_or(seen)
        };
        Ok(names.into_iter().filter(sees).collect())
    }

    /// The tables and views a user may see with their columns, by schema and name.
    pub async fn tables(&self, principal: &Principal) -> Result<Vec<TableEntry>, QueryError> {
        self.entries(principal, |_| true).await
    }

    /// The tables and views of this name that a user may see, in one schema or in all.
    pub async fn tables_named(
        &self,
        principal: &Principal,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Vec<TableEntry>, QueryError> {
        self.entries(principal, |table| {
            table.name() == name && schema.is_none_or(|schema| table.namespace().to_string() == schema)
        })
        .await
    }

    async fn entries(
        &self,
        principal: &Principal,
        wanted: impl Fn(&TableName) -> bool,
    ) -> Result<Vec<TableEntry>, QueryError> {
        let access = self.access(principal)?;
        let access = access.as_deref();
        let wanted = |name: &TableName| wanted(name) && Self::sees(access, name);
        let catalog = self.0.engine.catalog();
        let (mut names, mut of_catalog) = (Vec::new(), Vec::new());
        for namespace in catalog.list_namespaces().await.map_err(unlisted)? {
            names.extend(catalog.list_tables(&namespace).await.map_err(unlisted)?);
            // A catalog that has no views says so by an error.
            of_catalog.extend(catalog.list_views(&namespace).await.unwrap_or_default());
        }
        names.retain(&wanted);
        of_catalog.retain(&wanted);
        let mut views = Vec::new();
        if self.0.sessions.view_names().await.iter().any(&wanted) {
            views = self.0.sessions.views().await;
            views.retain(|(name, _)| wanted(name));
        }
        // Statements that name a view mean it, whatever the catalog has there.
        names.retain(|name| views.iter().all(|(view, _)| view != name));
        of_catalog.retain(|name| views.iter().all(|(view, _)| view != name));
        let described = stream::iter(names)
            .map(|name| async move { self.describe(access, name).await })
            .buffered(LOADS_AT_ONCE)
            .try_collect::<Vec<Option<TableEntry>>>()
            .await?;
        let of_catalog = stream::iter(of_catalog)
            .map(|name| async move { self.describe_view(access, name).await })
            .buffered(LOADS_AT_ONCE)
            .try_collect::<Vec<Option<TableEntry>>>()
            .await?;
        let mut tables: Vec<TableEntry> = described.into_iter().chain(of_catalog).flatten().collect();
        tables.extend(views.into_iter().map(|(name, columns)| TableEntry {
            schema: name.namespace().to_string(),
            name: name.name().to_owned(),
            kind: TableKind::View,
            columns,
            key: Vec::new(),
            comments: HashMap::new(),
        }));
        tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        Ok(tables)
    }

    /// `None` when it was dropped since it was listed.
    async fn describe_view(&self, access: Option<&Access>, name: TableName) -> Result<Option<TableEntry>, QueryError> {
        let Some(view) = self.0.engine.catalog().load_view(&name).await.map_err(unlisted)? else {
            return Ok(None);
        };
        entry(access, &name, TableKind::View, view.uuid, &view.schema).map(Some)
    }

    /// `None` when it was dropped since it was listed.
    async fn describe(&self, access: Option<&Access>, name: TableName) -> Result<Option<TableEntry>, QueryError> {
        let Some(table) = self.0.engine.catalog().load_table(&name).await.map_err(unlisted)? else {
            return Ok(None);
        };
        let (uuid, schema) = (table.metadata.uuid(), table.metadata.current_schema());
        entry(access, &name, TableKind::Table, uuid, schema).map(Some)
    }
}

/// What somebody may know of a table or view.
fn entry(
    access: Option<&Access>,
    name: &TableName,
    kind: TableKind,
    uuid: Uuid,
    schema: &IcebergSchema,
) -> Result<TableEntry, QueryError> {
    let columns = known(access, name, uuid, schema)?;
    let is_known = |name: &str| columns.index_of(name).is_ok();
    let key = schema
        .identifier_field_ids()
        .filter_map(|id| schema.name_by_field_id(id));
    let key = key.filter(|name| is_known(name)).map(str::to_owned).collect();
    let fields = schema.as_struct().fields().iter();
    let comments = fields.filter(|field| is_known(&field.name));
    let comments = comments
        .filter_map(|field| Some((field.name.clone(), field.doc.clone()?)))
        .collect();
    Ok(TableEntry {
        schema: name.namespace().to_string(),
        name: name.name().to_owned(),
        kind,
        columns: columns.into(),
        key,
        comments,
    })
}

/// The columns that somebody may know of.
fn known(access: Option<&Access>, name: &TableName, uuid: Uuid, schema: &IcebergSchema) -> Result<Schema, QueryError> {
    let columns = tidewater_table::schema::to_arrow(schema).map_err(EngineError::from)?;
    let levels = name.namespace().levels();
    let Some(access) = access.filter(|access| !access.sees_shape(levels, name.name())) else {
        return Ok(columns);
    };
    let readable = access.readable(levels, name.name(), Some(uuid));
    let has = |field: &FieldRef| tidewater_table::schema::field_id(field).is_some_and(|id| readable.has(id));
    let fields = columns.fields().iter().filter(|field| has(field));
    Ok(Schema::new(fields.cloned().collect::<Vec<_>>()))
}

fn unlisted(fault: CatalogFault) -> QueryError {
    EngineError::from(TableError::from(fault)).into()
}
