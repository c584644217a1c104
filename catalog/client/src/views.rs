//! Views, over Iceberg REST.

use std::collections::{BTreeMap, HashMap};

use iceberg::spec::Schema;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::CatalogClient;
use crate::error::{ClientError, Result};
use crate::path;
use tidewater_core::{Namespace, TableName};
use tidewater_table::{NewView, View};

/// The catalog numbers versions and schemas itself; this says: the one that was added last.
const LAST_ADDED: i32 = -1;

#[derive(Debug, Deserialize)]
struct ViewAnswer {
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    view_uuid: Uuid,
    current_version_id: i32,
    versions: Vec<Version>,
    /// Only the current one is parsed.
    schemas: Vec<Value>,
    #[serde(default)]
    properties: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Version {
    version_id: i32,
    schema_id: i32,
    timestamp_ms: i64,
    #[serde(default)]
    default_catalog: Option<String>,
    #[serde(default)]
    default_namespace: Vec<String>,
    representations: Vec<Representation>,
}

/// Kinds other than SQL may come one day.
#[derive(Debug, Deserialize)]
struct Representation {
    sql: Option<String>,
    dialect: Option<String>,
}

#[derive(Debug, Serialize)]
struct CommitView<'a> {
    requirements: &'a [Value],
    updates: &'a [Value],
}

impl CatalogClient {
    pub(crate) async fn view(&self, name: &TableName) -> Result<Option<View>> {
        match self.get(path::view(name)).await {
            Ok(reply) => viewed(name, reply.json()?).map(Some),
            Err(error) if error.is_refusal("NoSuchViewException") || error.is_refusal("NoSuchNamespaceException") => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn make_view(&self, view: &NewView) -> Result<View> {
        let body = json!({
            "name": view.name.name(),
            "schema": view.schema,
            "view-version": self.version(view, view.schema.schema_id()),
            "properties": view.properties,
        });
        let reply = self
            .mutate(Method::POST, path::views(view.name.namespace()), Some(&body))
            .await?;
        viewed(&view.name, reply.json()?)
    }

    pub(crate) async fn next_view(&self, view: &NewView) -> Result<View> {
        let mut updates = vec![
            json!({"action": "add-schema", "schema": view.schema}),
            json!({"action": "add-view-version", "view-version": self.version(view, LAST_ADDED)}),
            json!({"action": "set-current-view-version", "view-version-id": LAST_ADDED}),
        ];
        if !view.properties.is_empty() {
            updates.push(json!({"action": "set-properties", "updates": view.properties}));
        }
        self.commit_view(&view.name, &updates).await
    }

    pub(crate) async fn view_with(
        &self,
        name: &TableName,
        removals: &[String],
        updates: &HashMap<String, String>,
    ) -> Result<View> {
        let mut changes = Vec::new();
        if !removals.is_empty() {
            changes.push(json!({"action": "remove-properties", "removals": removals}));
        }
        if !updates.is_empty() {
            changes.push(json!({"action": "set-properties", "updates": updates}));
        }
        self.commit_view(name, &changes).await
    }

    pub(crate) async fn forget_view(&self, name: &TableName) -> Result<()> {
        let path = path::meaning(path::view(name), self.meant_by(name));
        self.mutate::<()>(Method::DELETE, path, None).await?;
        Ok(())
    }

    pub(crate) async fn views_of(&self, namespace: &Namespace) -> Result<Vec<TableName>> {
        self.names(path::views(namespace), namespace).await
    }

    async fn commit_view(&self, name: &TableName, updates: &[Value]) -> Result<View> {
        let uuid = self.meant_by(name);
        let requirement = uuid.map(|uuid| json!({"type": "assert-view-uuid", "uuid": uuid}));
        let body = CommitView {
            requirements: requirement.as_slice(),
            updates,
        };
        let reply = self.mutate(Method::POST, path::view(name), Some(&body)).await?;
        viewed(name, reply.json()?)
    }

    fn version(&self, view: &NewView, schema_id: i32) -> Value {
        let queries = view.queries.iter();
        let representations: Vec<Value> = queries
            .map(|(dialect, sql)| json!({"type": "sql", "dialect": dialect, "sql": sql}))
            .collect();
        let namespace = view.default_namespace.as_ref().map_or(&[][..], Namespace::levels);
        let mut version = json!({
            "version-id": 1,
            "schema-id": schema_id,
            "timestamp-ms": self.transport.now_ms(),
            "summary": {"engine-name": "tidewater"},
            "representations": representations,
            "default-namespace": namespace,
        });
        if let (Some(catalog), Some(members)) = (&view.default_catalog, version.as_object_mut()) {
            members.insert("default-catalog".into(), json!(catalog));
        }
        version
    }
}

fn viewed(name: &TableName, answer: ViewAnswer) -> Result<View> {
    let metadata = answer.metadata;
    let wrong = |reason: String| ClientError::Answer {
        call: format!("GET {}", path::view(name)),
        source: reason.into(),
    };
    let current = metadata.current_version_id;
    let mut versions = metadata.versions.into_iter();
    let version = versions
        .find(|version| version.version_id == current)
        .ok_or_else(|| wrong(format!("view {name} has no version {current}")))?;
    let id = Some(i64::from(version.schema_id));
    let mut schemas = metadata.schemas.into_iter();
    let schema = schemas
        .find(|schema| schema.get("schema-id").and_then(Value::as_i64) == id)
        .ok_or_else(|| wrong(format!("view {name} has no schema {}", version.schema_id)))?;
    let schema: Schema = serde_json::from_value(schema).map_err(|error| wrong(error.to_string()))?;
    let sql = version.representations.into_iter();
    let queries: BTreeMap<String, String> = sql
        .filter_map(|one| Some((one.dialect?.to_lowercase(), one.sql?)))
        .collect();
    Ok(View {
        name: name.clone(),
        uuid: metadata.view_uuid,
        version_id: current,
        version_ms: version.timestamp_ms,
        schema,
        default_catalog: version.default_catalog,
        // Names that other clients gave and SQL here cannot say are as good as none.
        default_namespace: Namespace::new(version.default_namespace).ok(),
        queries,
        properties: metadata.properties,
    })
}
