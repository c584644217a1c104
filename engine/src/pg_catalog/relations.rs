//! What there is, as one statement sees it: schemas, tables and views with their numbers.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use tidewater_core::TableName;
use tidewater_table::{LoadedTable, TableError};

use crate::engine::Engine;
use crate::error::{EngineError, Result};

/// Numbers below are PostgreSQL's own.
const OID_FIRST: u32 = 16_384;

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub of: DataType,
    /// Whether it may be null.
    pub nullable: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// A table or a view.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its number; the same on every node as long as it has its name.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether it is a view.
    pub view: bool,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Which columns are its key, from 1.
    pub key: Vec<i16>,
    /// Its comment.
    pub comment: Option<String>,
    /// Its rows, as the catalog counts them.
    pub rows: i64,
    /// The bytes of its files.
    pub bytes: i64,
    /// The query of a view.
    pub definition: Option<String>,
}

impl Relation {
    /// The number of its key.
    pub(crate) fn key_oid(&self) -> u32 {
        hashed(&["key", &self.schema, &self.name])
    }
}

/// What there is.
#[derive(Debug, Clone, Default)]
pub struct Relations {
    /// Schemas with their numbers.
    pub schemas: BTreeMap<String, u32>,
    /// Tables and views, by schema and name.
    pub relations: Vec<Relation>,
}

impl Relations {
    /// Gives everything its number.
    pub fn new(schemas: BTreeSet<String>, mut relations: Vec<Relation>) -> Self {
        relations.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        let mut taken = BTreeSet::new();
        let mut schemas = schemas;
        schemas.extend(relations.iter().map(|relation| relation.schema.clone()));
        let schemas = schemas.into_iter().map(|name| {
            let oid = free(&mut taken, hashed(&["schema", &name]));
            (name, oid)
        });
        let schemas = schemas.collect();
        for relation in &mut relations {
            relation.oid = free(&mut taken, hashed(&["relation", &relation.schema, &relation.name]));
        }
        Self { schemas, relations }
    }

    /// The table or view of a name, which may have no schema.
    pub(crate) fn named(&self, name: &str, path: &[String]) -> Option<&Relation> {
        let parts = parts(name)?;
        let find = |schema: &str, name: &str| {
            self.relations
                .iter()
                .find(|relation| relation.schema == schema && relation.name == name)
        };
        match parts.as_slice() {
            [name] => path.iter().find_map(|schema| find(schema, name)),
            [schema, name] | [_, schema, name] => find(schema, name),
            _ => None,
        }
    }

    /// The table or view of a number.
    pub(crate) fn numbered(&self, oid: i64) -> Option<&Relation> {
        self.relations.iter().find(|relation| i64::from(relation.oid) == oid)
    }
}

/// The parts of a name, without their quotes.
fn parts(name: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => parts.last_mut()?.push('"'),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            other if quoted => parts.last_mut()?.push(other),
            other => parts.last_mut()?.extend(other.to_lowercase()),
        }
    }
    Some(parts)
}

/// A number that a name leads to, everywhere and always.
fn hashed(parts: &[&str]) -> u32 {
    // FNV-1a: it must never change, and nobody gains by names that collide.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in parts.join("\0").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let folded = u32::try_from((hash ^ (hash >> 32)) & 0x7fff_ffff).unwrap_or_default();
    folded.max(OID_FIRST)
}

fn free(taken: &mut BTreeSet<u32>, wanted: u32) -> u32 {
    let mut oid = wanted;
    while !taken.insert(oid) {
        oid = (oid % 0x7fff_ffff) + 1;
        oid = oid.max(OID_FIRST);
    }
    oid
}

impl Engine {
    /// What there is now: the catalog's tables and views, and these views beside them, which are meant where both have a name.
    pub async fn relations(&self, views: Vec<(TableName, SchemaRef)>) -> Result<Relations> {
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
        let mut relations = Vec::with_capacity(names.len());
        for (_, table) in self.moment(names).await? {
            if let Some(table) = table {
                relations.push(of_table(&table)?);
            }
        }
        for name in catalog_views {
            if let Some(view) = catalog.load_view(&name).await.map_err(TableError::from)? {
                let columns = tidewater_table::schema::to_arrow(&view.schema).map_err(EngineError::from)?;
                let mut relation = of_view(&name, &columns.into());
                relation.definition = view.queries.values().next().cloned();
                relations.push(relation);
            }
        }
        relations.extend(views.iter().map(|(name, columns)| of_view(name, columns)));
        Ok(Relations::new(schemas, relations))
    }
}

fn of_table(table: &LoadedTable) -> Result<Relation> {
    let metadata = &table.metadata;
    let schema = metadata.current_schema();
    let arrow = tidewater_table::schema::to_arrow(schema).map_err(EngineError::from)?;
    let fields = schema.as_struct().fields();
    let columns = fields.iter().zip(arrow.fields()).map(|(field, arrow)| Column {
        name: field.name.clone(),
        of: arrow.data_type().clone(),
        nullable: !field.required,
        comment: field.doc.clone(),
    });
    let place = |id| fields.iter().position(|field| field.id == id);
    let mut key: Vec<i16> = schema
        .identifier_field_ids()
        .filter_map(|id| i16::try_from(place(id)? + 1).ok())
        .collect();
    key.sort_unstable();
    let total = |name: &str| {
        let snapshot = metadata.current_snapshot()?;
        snapshot.summary().additional_properties.get(name)?.parse().ok()
    };
    Ok(Relation {
        oid: 0,
        schema: table.name.namespace().to_string(),
        name: table.name.name().to_owned(),
        view: false,
        columns: columns.collect(),
        key,
        comment: metadata.properties().get("comment").cloned(),
        rows: total("total-records").unwrap_or_default(),
        bytes: total("total-files-size").unwrap_or_default(),
        definition: None,
    })
}

fn of_view(name: &TableName, columns: &SchemaRef) -> Relation {
    let columns = columns.fields().iter().map(|field| Column {
        name: field.name().clone(),
        of: field.data_type().clone(),
        nullable: true,
        comment: None,
    });
    Relation {
        oid: 0,
        schema: name.namespace().to_string(),
        name: name.name().to_owned(),
        view: true,
        columns: columns.collect(),
        key: Vec::new(),
        comment: None,
        rows: 0,
        bytes: 0,
        definition: None,
    }
}
