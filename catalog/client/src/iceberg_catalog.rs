//! Tables, over Iceberg REST, and all that the table layer asks of a catalog.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::{Schema, SortOrder, TableMetadata, UnboundPartitionSpec};
use iceberg::{TableRequirement, TableUpdate};
use reqwest::{Method, StatusCode};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::client::CatalogClient;
use crate::dto::WantedTable;
use crate::error::{ClientError, Result};
use crate::path;
use crate::transport::{Call, Reply};
use tidewater_core::{Namespace, TableName};
use tidewater_table::schema::LostDefaults;
use tidewater_table::{
    Catalog, CatalogFault, CommitOutcome, LoadedTable, Meant, NewTable, NewView, Pointers, Since, TableCommit, View,
};

/// Tables that one call asks for: their names and files have to fit into its URL.
const TABLES_PER_CALL: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TableAnswer {
    metadata_location: Option<String>,
    metadata: Read,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct TableAt {
    metadata_location: String,
    etag: String,
    /// None: the one that was known.
    metadata: Option<Read>,
}

/// Metadata, and what of it was not read.
#[derive(Debug)]
struct Read {
    metadata: TableMetadata,
    lost_defaults: LostDefaults,
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = Box::<RawValue>::deserialize(deserializer)?;
        let metadata: TableMetadata = serde_json::from_str(document.get()).map_err(D::Error::custom)?;
        let lost_defaults = LostDefaults::of(document.get(), &metadata).map_err(D::Error::custom)?;
        Ok(Self {
            metadata,
            lost_defaults,
        })
    }
}

impl Read {
    fn table(self, name: &TableName, metadata_location: String) -> LoadedTable {
        LoadedTable {
            name: name.clone(),
            metadata: Arc::new(self.metadata),
            metadata_location,
            lost_defaults: self.lost_defaults,
        }
    }
}

#[derive(Debug, Deserialize)]
struct TablesAnswer {
    tables: Vec<Option<TableAt>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct CreateTable<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
    schema: &'a Schema,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_spec: Option<&'a UnboundPartitionSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write_order: Option<&'a SortOrder>,
    stage_create: bool,
    properties: &'a HashMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RegisterTable<'a> {
    name: &'a str,
    metadata_location: &'a str,
}

#[derive(Debug, Serialize, Deserialize)]
struct Identifier {
    namespace: Vec<String>,
    name: String,
}

impl From<&TableName> for Identifier {
    fn from(name: &TableName) -> Self {
        Self {
            namespace: name.namespace().levels().to_vec(),
            name: name.name().to_owned(),
        }
    }
}

#[derive(Debug, Serialize)]
struct CommitTable<'a> {
    identifier: Identifier,
    requirements: &'a [TableRequirement],
    updates: &'a [TableUpdate],
}

impl<'a> From<&'a TableCommit> for CommitTable<'a> {
    fn from(commit: &'a TableCommit) -> Self {
        Self {
            identifier: Identifier::from(&commit.name),
            requirements: &commit.requirements,
            updates: &commit.updates,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Transaction<'a> {
    table_changes: Vec<CommitTable<'a>>,
}

#[derive(Debug, Deserialize)]
struct Identifiers {
    identifiers: Vec<Identifier>,
}

impl CatalogClient {
    /// What a table would be: its uuid, location and ids. Nothing is kept; [`crate::creation_updates`] and a commit that
    /// demands `assert-create` make it, with its first data in the same commit.
    ///
    /// # Errors
    /// As [`Catalog::create_table`].
    pub async fn stage_table(&self, table: &NewTable) -> Result<TableMetadata> {
        let answer: TableAnswer = self.post_table(table, true).await?.json()?;
        Ok(answer.metadata.metadata)
    }

    async fn rename(&self, path: &str, from: &TableName, to: &TableName) -> Result<()> {
        #[derive(Serialize)]
        struct Rename {
            source: Identifier,
            destination: Identifier,
        }
        let body = Rename {
            source: from.into(),
            destination: to.into(),
        };
        let path = path::meaning(path.into(), self.meant_by(from));
        self.mutate(Method::POST, path, Some(&body)).await?;
        Ok(())
    }

    /// Why something was not done by this name.
    fn not_done(&self, name: &TableName, error: ClientError) -> CatalogFault {
        match self.meant_by(name).is_some() && error.is_refusal("CommitFailedException") {
            true => CatalogFault::OtherBearer { name: name.clone() },
            false => error.into(),
        }
    }

    pub(crate) async fn names(&self, path: String, namespace: &Namespace) -> Result<Vec<TableName>> {
        let found: Identifiers = self.get(path).await?.json()?;
        // Names that other clients gave and SQL here cannot say are left out.
        let names = found.identifiers.into_iter();
        Ok(names
            .filter_map(|one| TableName::new(namespace.clone(), one.name).ok())
            .collect())
    }

    async fn post_table(&self, table: &NewTable, stage_create: bool) -> Result<Reply> {
        let body = CreateTable {
            name: table.name.name(),
            location: table.location.as_deref(),
            schema: &table.schema,
            partition_spec: table.partition_spec.as_ref(),
            write_order: table.sort_order.as_ref(),
            stage_create,
            properties: &table.properties,
        };
        self.mutate(Method::POST, path::tables(table.name.namespace()), Some(&body))
            .await
    }

    fn loaded(&self, name: &TableName, reply: &Reply) -> Result<LoadedTable> {
        let answer: TableAnswer = reply.json()?;
        let table = answer
            .metadata
            .table(name, answer.metadata_location.unwrap_or_default());
        self.tables.keep(reply.etag.clone(), &table);
        Ok(table)
    }

    async fn load(&self, name: &TableName) -> Result<Option<LoadedTable>> {
        let last = self.tables.last(name);
        let call = Call {
            known_etag: last.as_ref().map(|(etag, _)| etag.clone()),
            ..Call::get(path::table(name))
        };
        match (self.transport.send(&call).await, last) {
            (Ok(reply), Some((_, table))) if reply.status == StatusCode::NOT_MODIFIED => Ok(Some(table)),
            (Ok(reply), _) => self.loaded(name, &reply).map(Some),
            (Err(error), _) if is_missing(&error) => {
                self.tables.forget(name);
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// All at one entry of the catalog's log. What was loaded before and did not change is not sent.
    async fn load_at_once(&self, names: &[TableName]) -> Result<Vec<Option<LoadedTable>>> {
        let mut held: Vec<Option<LoadedTable>> = names
            .iter()
            .map(|name| self.tables.last(name).map(|(_, table)| table))
            .collect();
        let known = held
            .iter()
            .map(|held| held.as_ref().map(|table| &table.metadata_location));
        let answer = self.ask_tables(names.iter().zip(known)).await?;
        let mut found = Vec::with_capacity(names.len());
        for ((name, held), at) in names.iter().zip(held.iter_mut()).zip(answer.tables) {
            found.push(match at {
                None => {
                    self.tables.forget(name);
                    None
                }
                Some(at) => match (at.metadata, held.take()) {
                    (None, held) => held,
                    (Some(metadata), _) => {
                        let table = metadata.table(name, at.metadata_location);
                        self.tables.keep(Some(at.etag), &table);
                        Some(table)
                    }
                },
            });
        }
        Ok(found)
    }

    async fn ask_tables<'a>(
        &self,
        tables: impl Iterator<Item = (&'a TableName, Option<&'a String>)>,
    ) -> Result<TablesAnswer> {
        let wanted: Vec<WantedTable> = tables
            .map(|(name, known)| WantedTable {
                namespace: name.namespace().levels().to_vec(),
                name: name.name().to_owned(),
                known: known.cloned(),
            })
            .collect();
        let wanted = serde_json::to_string(&wanted).map_err(|source| ClientError::Encode {
            call: "GET /internal/v1/tables".into(),
            source,
        })?;
        let path = format!("/internal/v1/tables?wanted={}", path::part(&wanted));
        self.get(path).await?.json()
    }

    async fn commit_one(&self, commit: &TableCommit) -> Result<LoadedTable> {
        let body = CommitTable::from(commit);
        let reply = self
            .mutate(Method::POST, path::table(&commit.name), Some(&body))
            .await?;
        self.loaded(&commit.name, &reply)
    }

    async fn commit_all(&self, commits: &[TableCommit]) -> Result<Vec<LoadedTable>> {
        let body = Transaction {
            table_changes: commits.iter().map(CommitTable::from).collect(),
        };
        self.mutate(Method::POST, "/v1/transactions/commit".into(), Some(&body))
            .await?;
        let mut tables = Vec::with_capacity(commits.len());
        for commit in commits {
            // Committed, whatever this load says: a table that is gone already is left out of the answer by nobody's fault.
            match self.load(&commit.name).await {
                Ok(Some(table)) => tables.push(table),
                Ok(None) => {}
                Err(error) => {
                    return Err(ClientError::Unknown {
                        call: "POST /v1/transactions/commit".into(),
                        reason: format!("it was applied, and loading {} afterwards failed: {error}", commit.name),
                    });
                }
            }
        }
        Ok(tables)
    }
}

fn is_missing(error: &ClientError) -> bool {
    error.is_refusal("NoSuchTableException") || error.is_refusal("NoSuchNamespaceException")
}

#[async_trait]
impl Catalog for CatalogClient {
    async fn load_table(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogFault> {
        Ok(self.load(name).await?)
    }

    async fn load_tables(&self, names: &[TableName]) -> Result<Vec<Option<LoadedTable>>, CatalogFault> {
        match names {
            [] => Ok(Vec::new()),
            [one] => Ok(vec![self.load(one).await?]),
            several => Ok(self.load_at_once(several).await?),
        }
    }

    async fn pointers(&self) -> Result<Arc<Pointers>, CatalogFault> {
        Ok(self.all_pointers().await?)
    }

    async fn held_by_others(&self, table: &TableName, folders: &[String]) -> Result<Vec<bool>, CatalogFault> {
        Ok(self.held_elsewhere(table, folders).await?)
    }

    async fn dropped(&self) -> Result<Vec<String>, CatalogFault> {
        let page = self.all_dropped_tables().await?;
        if page.tables.len() < page.count {
            // A node of an earlier version tells the last ones.
            let message = format!("it tells {} of {} dropped tables", page.tables.len(), page.count);
            return Err(CatalogFault::Invalid { message });
        }
        let kept = page.tables.into_iter().filter(|table| table.restorable);
        Ok(kept.map(|table| table.metadata_location).collect())
    }

    async fn unnameable(&self) -> Result<Vec<String>, CatalogFault> {
        Ok(self.all_unnameable().await?)
    }

    async fn load_changed(&self, seen: &[(TableName, Option<String>)]) -> Result<Vec<Since>, CatalogFault> {
        let mut found = Vec::with_capacity(seen.len());
        for some in seen.chunks(TABLES_PER_CALL) {
            let answer = self.ask_tables(some.iter().map(|(name, known)| (name, known.as_ref())));
            let tables = answer.await?.tables.into_iter().zip(some);
            found.extend(tables.map(|(at, (name, _))| match at {
                None => Since::Gone,
                Some(TableAt { metadata: None, .. }) => Since::Same,
                Some(TableAt {
                    metadata: Some(metadata),
                    metadata_location,
                    ..
                }) => Since::Changed(metadata.table(name, metadata_location)),
            }));
        }
        Ok(found)
    }

    async fn has_grants(&self) -> Result<bool, CatalogFault> {
        let policy = self.policy(None).await?.policy;
        Ok(policy.is_none_or(|policy| policy.in_force || !policy.users.is_empty()))
    }

    async fn commit(&self, commits: Vec<TableCommit>) -> Result<CommitOutcome, CatalogFault> {
        let committed = match commits.as_slice() {
            [] => Ok(Vec::new()),
            [commit] => self.commit_one(commit).await.map(|table| vec![table]),
            several => self.commit_all(several).await,
        };
        match committed {
            Ok(tables) => Ok(CommitOutcome::Committed(tables)),
            Err(ClientError::Unknown { reason, .. }) => Ok(CommitOutcome::Unknown { message: reason }),
            // It was applied, or somebody else answered: whoever hears of a failure takes the files away.
            Err(error @ ClientError::Answer { .. }) => Ok(CommitOutcome::Unknown {
                message: error.to_string(),
            }),
            Err(ClientError::Refused {
                status: 409, message, ..
            }) => Ok(CommitOutcome::Conflict { message }),
            Err(error) => Err(error.into()),
        }
    }

    async fn create_table(&self, table: NewTable) -> Result<LoadedTable, CatalogFault> {
        let reply = self.post_table(&table, false).await?;
        Ok(self.loaded(&table.name, &reply)?)
    }

    async fn stage_table(&self, table: &NewTable) -> Result<LoadedTable, CatalogFault> {
        let metadata = Self::stage_table(self, table).await?;
        Ok(LoadedTable {
            name: table.name.clone(),
            metadata: Arc::new(metadata),
            metadata_location: String::new(),
            lost_defaults: LostDefaults::default(),
        })
    }

    async fn rename_table(&self, from: &TableName, to: &TableName) -> Result<(), CatalogFault> {
        let renamed = self.rename("/v1/tables/rename", from, to).await;
        self.tables.forget(from);
        self.tables.forget(to);
        renamed.map_err(|error| self.not_done(from, error))
    }

    async fn register_table(&self, name: &TableName, metadata_location: &str) -> Result<(), CatalogFault> {
        let body = RegisterTable {
            name: name.name(),
            metadata_location,
        };
        let path = path::register(name.namespace());
        self.mutate(Method::POST, path, Some(&body)).await?;
        self.tables.forget(name);
        Ok(())
    }

    async fn drop_table(&self, name: &TableName, purge: bool) -> Result<(), CatalogFault> {
        let path = format!("{}?purgeRequested={purge}", path::table(name));
        let path = path::meaning(path, self.meant_by(name));
        let dropped = self.mutate::<()>(Method::DELETE, path, None).await;
        dropped.map_err(|error| self.not_done(name, error))?;
        self.tables.forget(name);
        Ok(())
    }

    fn bound(&self, meant: &Meant) -> Option<Arc<dyn Catalog>> {
        let meant = Some(Arc::new(meant.clone()));
        Some(Arc::new(Self { meant, ..self.clone() }))
    }

    async fn create_namespace(&self, namespace: &Namespace) -> Result<(), CatalogFault> {
        self.make_parents(namespace).await?;
        Ok(self.make_if_missing(namespace.levels()).await?)
    }

    async fn create_namespace_with(
        &self,
        namespace: &Namespace,
        properties: HashMap<String, String>,
    ) -> Result<(), CatalogFault> {
        self.make_parents(namespace).await?;
        Ok(self.make_namespace(namespace.levels(), &properties).await?)
    }

    async fn drop_namespace(&self, namespace: &Namespace) -> Result<(), CatalogFault> {
        Ok(Self::drop_namespace(self, namespace).await?)
    }

    async fn namespace_properties(&self, namespace: &Namespace) -> Result<HashMap<String, String>, CatalogFault> {
        Ok(self.properties_of(namespace).await?)
    }

    async fn update_namespace_properties(
        &self,
        namespace: &Namespace,
        removals: Vec<String>,
        updates: HashMap<String, String>,
    ) -> Result<(), CatalogFault> {
        Ok(self.update_properties_of(namespace, &removals, &updates).await?)
    }

    async fn load_view(&self, name: &TableName) -> Result<Option<View>, CatalogFault> {
        Ok(self.view(name).await?)
    }

    async fn create_view(&self, view: NewView) -> Result<View, CatalogFault> {
        Ok(self.make_view(&view).await?)
    }

    async fn replace_view(&self, view: NewView) -> Result<View, CatalogFault> {
        Ok(self.next_view(&view).await?)
    }

    async fn update_view_properties(
        &self,
        name: &TableName,
        removals: Vec<String>,
        updates: HashMap<String, String>,
    ) -> Result<View, CatalogFault> {
        Ok(self.view_with(name, &removals, &updates).await?)
    }

    async fn drop_view(&self, name: &TableName) -> Result<(), CatalogFault> {
        let dropped = self.forget_view(name).await;
        dropped.map_err(|error| self.not_done(name, error))
    }

    async fn rename_view(&self, from: &TableName, to: &TableName) -> Result<(), CatalogFault> {
        let renamed = self.rename("/v1/views/rename", from, to).await;
        renamed.map_err(|error| self.not_done(from, error))
    }

    async fn list_views(&self, namespace: &Namespace) -> Result<Vec<TableName>, CatalogFault> {
        Ok(self.views_of(namespace).await?)
    }

    async fn list_namespaces(&self) -> Result<Vec<Namespace>, CatalogFault> {
        let page: crate::dto::NamespacePage = self.get("/internal/v1/namespaces").await?.json()?;
        // Names that other clients gave and SQL here cannot say are left out.
        Ok(page
            .namespaces
            .into_iter()
            .filter_map(|levels| Namespace::new(levels).ok())
            .collect())
    }

    async fn list_tables(&self, namespace: &Namespace) -> Result<Vec<TableName>, CatalogFault> {
        Ok(self.names(path::tables(namespace), namespace).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a loaded table tells which defaults were not read. Method: an answer about a table with one that the format library drops and
    // one that it reads, alone and among others; then without the one.
    #[test]
    fn lost_defaults_are_told() {
        let metadata = r#"{"format-version": 3, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "memory://lake/t",
            "last-sequence-number": 0, "last-updated-ms": 1602638573590, "last-column-id": 2, "current-schema-id": 0, "next-row-id": 0,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": [
                {"id": 1, "name": "id", "required": false, "type": "long", "initial-default": 7},
                {"id": 2, "name": "at", "required": false, "type": "timestamp_ns", "initial-default": "2026-01-01T00:00:00.000000001"}
            ]}],
            "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
            "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}]}"#;
        let name: TableName = "a.t".parse().expect("a name");
        let loaded = |metadata: &str| {
            let answer = format!(r#"{{"metadata-location": "memory://lake/t/1.json", "metadata": {metadata}}}"#);
            let answer: TableAnswer = serde_json::from_str(&answer).expect("an answer");
            answer
                .metadata
                .table(&name, answer.metadata_location.unwrap_or_default())
        };
        let lost = loaded(metadata).lost_defaults;
        assert_ne!(lost, LostDefaults::default());
        let several = format!(
            r#"{{"tables": [null, {{"metadata-location": "x", "etag": "e", "metadata": {metadata}}},
                {{"metadata-location": "x", "etag": "e", "metadata": null}}]}}"#
        );
        let several: TablesAnswer = serde_json::from_str(&several).expect("an answer");
        let told = several.tables.into_iter().flatten();
        let told: Vec<_> = told.map(|at| at.metadata.map(|read| read.lost_defaults)).collect();
        assert_eq!(told, [Some(lost), None]);
        let read = loaded(&metadata.replace("\"2026-01-01T00:00:00.000000001\"", "null"));
        assert_eq!(read.lost_defaults, LostDefaults::default());
    }
}
