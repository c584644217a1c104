//! Views: stored queries, as the catalog keeps them.

use std::collections::{BTreeMap, HashMap};

use iceberg::spec::Schema;
use uuid::Uuid;

use tidewater_core::{Namespace, TableName};

/// A view as it was at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// Its name at that moment.
    pub name: TableName,
    /// Stays the same whatever it is renamed or replaced with.
    pub uuid: Uuid,
    /// Its current version; grows with each replacement that changes something.
    pub version_id: i32,
    /// When the current version was made, milliseconds since the Unix epoch.
    pub version_ms: i64,
    /// What it answers with.
    pub schema: Schema,
    /// What the query's names are looked up in.
    pub default_catalog: Option<String>,
    /// What the query's bare names are looked up in; `None` if the view does not say.
    pub default_namespace: Option<Namespace>,
    /// The query, by dialect in lower case.
    pub queries: BTreeMap<String, String>,
    /// Free properties; `comment` describes it.
    pub properties: HashMap<String, String>,
}

/// A view to be made, or the next version of one.
#[derive(Debug, Clone)]
pub struct NewView {
    /// Its name.
    pub name: TableName,
    /// What it answers with.
    pub schema: Schema,
    /// What the query's names are looked up in.
    pub default_catalog: Option<String>,
    /// What the query's bare names are looked up in.
    pub default_namespace: Option<Namespace>,
    /// The query, by dialect; at least one.
    pub queries: BTreeMap<String, String>,
    /// Free properties. In a replacement: those to be set, the others stay.
    pub properties: HashMap<String, String>,
}

impl NewView {
    /// A view of one query, whose bare names mean what lies beside the view.
    pub fn new(name: TableName, schema: Schema, dialect: impl Into<String>, sql: impl Into<String>) -> Self {
        Self {
            default_namespace: Some(name.namespace().clone()),
            name,
            schema,
            default_catalog: None,
            queries: BTreeMap::from([(dialect.into(), sql.into())]),
            properties: HashMap::new(),
        }
    }
}
