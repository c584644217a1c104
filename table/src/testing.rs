//! A catalog in memory for tests of whoever commits: atomic over several tables, with faults on demand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use iceberg::TableCreation;
use iceberg::spec::{FormatVersion, TableMetadata, TableMetadataBuilder};

use crate::catalog::{Catalog, CatalogFault, CommitOutcome, LoadedTable, NewTable, TableCommit};
use crate::file_store::FileStore;
use tidewater_core::{Namespace, TableName};

/// What the next commit meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is applied, but the answer is lost.
    AnswerLost,
    /// It is not applied, and no answer comes.
    RequestLost,
    /// It is refused as if another writer had been faster.
    Conflict,
    /// The catalog does not answer.
    Unavailable,
}

/// Keeps tables in memory and their metadata files in a [`FileStore`].
#[derive(Debug)]
pub struct MemoryCatalog {
    store: FileStore,
    warehouse: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    namespaces: BTreeSet<Namespace>,
    tables: BTreeMap<TableName, LoadedTable>,
    faults: VecDeque<Fault>,
    commits: u64,
}

impl MemoryCatalog {
    /// `warehouse` is the location below which tables live, such as `memory://lake` or `file:///tmp/x`.
    pub fn new(store: FileStore, warehouse: impl Into<String>) -> Self {
        Self {
            store,
            warehouse: warehouse.into(),
            state: Mutex::default(),
        }
    }

    /// The next commits meet these, one each.
    pub fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.extend(faults);
    }

    /// Commits applied so far, a transaction over several tables counted once.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh_location(&self, table_location: &str) -> String {
        let clock = self.store.clock().now_ms();
        format!(
            "{table_location}/metadata/{}.metadata.json",
            self.store.rng().uuid_v7(clock)
        )
    }

    async fn publish(&self, table: &LoadedTable) -> Result<(), CatalogFault> {
        let bytes = serde_json::to_vec(table.metadata.as_ref()).map_err(internal)?;
        self.store
            .put_new(&table.metadata_location, Bytes::from(bytes))
            .await
            .map_err(internal)
    }

    /// Applies all or nothing under one lock; the metadata files follow after, for tests need no durability.
    fn apply(&self, commits: &[TableCommit]) -> Result<CommitOutcome, CatalogFault> {
        let mut state = self.lock();
        let mut after = Vec::with_capacity(commits.len());
        for commit in commits {
            let current = state.tables.get(&commit.name);
            for requirement in &commit.requirements {
                if let Err(error) = requirement.check(current.map(|table| table.metadata.as_ref())) {
                    let message = error.to_string();
                    return Ok(CommitOutcome::Conflict { message });
                }
            }
            let Some(current) = current else {
                let what = format!("table {}", commit.name);
                return Err(CatalogFault::NotFound { what });
            };
            let metadata = updated(current, commit).map_err(|error| CatalogFault::Invalid {
                message: error.to_string(),
            })?;
            after.push(LoadedTable {
                name: commit.name.clone(),
                metadata_location: self.fresh_location(metadata.location()),
                metadata: Arc::new(metadata),
            });
        }
        for table in &after {
            state.tables.insert(table.name.clone(), table.clone());
        }
        state.commits += 1;
        Ok(CommitOutcome::Committed(after))
    }
}

fn updated(table: &LoadedTable, commit: &TableCommit) -> iceberg::Result<TableMetadata> {
    let location = Some(table.metadata_location.clone());
    let mut builder = TableMetadataBuilder::new_from_metadata(table.metadata.as_ref().clone(), location);
    for update in &commit.updates {
        builder = update.clone().apply(builder)?;
    }
    Ok(builder.build()?.metadata)
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> CatalogFault {
    CatalogFault::Internal {
        message: "memory catalog".into(),
        source: Some(Box::new(error)),
    }
}

#[async_trait]
impl Catalog for MemoryCatalog {
    async fn load_table(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogFault> {
        Ok(self.lock().tables.get(name).cloned())
    }

    async fn load_tables(&self, names: &[TableName]) -> Result<Vec<Option<LoadedTable>>, CatalogFault> {
        let state = self.lock();
        Ok(names.iter().map(|name| state.tables.get(name).cloned()).collect())
    }

    async fn commit(&self, commits: Vec<TableCommit>) -> Result<CommitOutcome, CatalogFault> {
        let fault = self.lock().faults.pop_front();
        let unknown = || CommitOutcome::Unknown {
            message: "planted fault".into(),
        };
        match fault {
            Some(Fault::RequestLost) => return Ok(unknown()),
            Some(Fault::Conflict) => {
                return Ok(CommitOutcome::Conflict {
                    message: "planted fault".into(),
                });
            }
            Some(Fault::Unavailable) => {
                return Err(CatalogFault::Unavailable {
                    message: "planted fault".into(),
                    source: None,
                });
            }
            Some(Fault::AnswerLost) | None => {}
        }
        let outcome = self.apply(&commits)?;
        if let CommitOutcome::Committed(tables) = &outcome {
            for table in tables {
                self.publish(table).await?;
            }
        }
        Ok(if fault.is_some() { unknown() } else { outcome })
    }

    async fn create_table(&self, table: NewTable) -> Result<LoadedTable, CatalogFault> {
        let name = table.name;
        let suffix = self.store.rng().uuid().simple().to_string();
        let fresh = format!(
            "{}/{}/{}-{}",
            self.warehouse,
            name.namespace(),
            name.name(),
            &suffix[..8]
        );
        let format_version = match table.properties.get("format-version").map(String::as_str) {
            Some("3") => FormatVersion::V3,
            _ => FormatVersion::V2,
        };
        let creation = TableCreation::builder()
            .name(name.name().to_owned())
            .location(table.location.unwrap_or(fresh))
            .schema(table.schema)
            .partition_spec_opt(table.partition_spec)
            .sort_order_opt(table.sort_order)
            .properties(table.properties.into_iter().filter(|(key, _)| key != "format-version"))
            .format_version(format_version)
            .build();
        let built = TableMetadataBuilder::from_table_creation(creation).and_then(TableMetadataBuilder::build);
        let metadata = built
            .map_err(|error| CatalogFault::Invalid {
                message: error.to_string(),
            })?
            .metadata;
        let loaded = LoadedTable {
            name: name.clone(),
            metadata_location: self.fresh_location(metadata.location()),
            metadata: Arc::new(metadata),
        };
        {
            let mut state = self.lock();
            if state.tables.contains_key(&name) {
                let what = format!("table {name}");
                return Err(CatalogFault::AlreadyExists { what });
            }
            state.namespaces.insert(name.namespace().clone());
            state.tables.insert(name, loaded.clone());
        }
        self.publish(&loaded).await?;
        Ok(loaded)
    }

    async fn drop_table(&self, name: &TableName, _purge: bool) -> Result<(), CatalogFault> {
        match self.lock().tables.remove(name) {
            Some(_) => Ok(()),
            None => Err(CatalogFault::NotFound {
                what: format!("table {name}"),
            }),
        }
    }

    async fn create_namespace(&self, namespace: &Namespace) -> Result<(), CatalogFault> {
        self.lock().namespaces.insert(namespace.clone());
        Ok(())
    }

    async fn list_namespaces(&self) -> Result<Vec<Namespace>, CatalogFault> {
        Ok(self.lock().namespaces.iter().cloned().collect())
    }

    async fn list_tables(&self, namespace: &Namespace) -> Result<Vec<TableName>, CatalogFault> {
        Ok(self
            .lock()
            .tables
            .keys()
            .filter(|name| name.namespace() == namespace)
            .cloned()
            .collect())
    }
}
