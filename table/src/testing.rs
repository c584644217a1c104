//! A catalog in memory for tests of whoever commits: atomic over several tables, with faults on demand. And files in a store of one's
//! own, such as one that fails.

mod views;
pub mod weather;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use iceberg::spec::{FormatVersion, TableMetadata, TableMetadataBuilder};
use iceberg::{TableCreation, TableRequirement, TableUpdate};
use object_store::ObjectStore;
use uuid::Uuid;

use self::views::Views;
use crate::catalog::{
    Catalog, CatalogFault, CommitOutcome, LoadedTable, NewTable, Pointers, TableCommit, TablePointer,
};
use crate::digest::named_metadata;
use crate::file_store::{FileStore, StoreOptions};
use crate::refs::lost_source;
use crate::schema::LostDefaults;
use crate::view::{NewView, View};
use tidewater_core::{Namespace, SharedClock, SharedRng, TableName};

/// The bucket of S3 that [`store_over`] knows.
pub const BUCKET: &str = "bucket";

/// Files that lie in `objects`, both those in memory and those of [`BUCKET`].
pub fn store_over(
    objects: Arc<dyn ObjectStore>,
    options: StoreOptions,
    clock: SharedClock,
    rng: SharedRng,
) -> FileStore {
    FileStore::over(Arc::clone(&objects), options, clock, rng).with_bucket(BUCKET, objects)
}

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
    /// It is applied, but the answer is lost, and so is that to the look at the table that follows.
    AnswersLost,
    /// This snapshot left its table just before, as an expiry was faster.
    Expired(i64),
}

/// Keeps tables in memory and their metadata files in a [`FileStore`].
#[derive(Debug)]
pub struct MemoryCatalog {
    store: FileStore,
    warehouse: String,
    state: Mutex<State>,
}

/// One that has yet to be written.
#[derive(Debug)]
struct MetadataFile {
    location: String,
    bytes: Bytes,
}

#[derive(Debug, Default)]
struct State {
    namespaces: BTreeMap<Namespace, HashMap<String, String>>,
    tables: BTreeMap<TableName, LoadedTable>,
    views: Views,
    /// Metadata files of tables that were dropped without their files.
    dropped: Vec<String>,
    /// What was staged and may be made: a real catalog makes it from the updates alone.
    staged: BTreeMap<Uuid, TableMetadata>,
    faults: VecDeque<Fault>,
    /// The next look at a table has no answer.
    is_away: bool,
    commits: u64,
    grants_bind: bool,
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

    /// From now on grants bind.
    pub fn bind(&self) {
        self.lock().grants_bind = true;
    }

    /// Commits applied so far, a transaction over several tables counted once.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table, and its metadata file, which has yet to be written.
    fn loaded(&self, name: &TableName, metadata: TableMetadata) -> Result<(LoadedTable, MetadataFile), CatalogFault> {
        let bytes = serde_json::to_vec(&metadata).map_err(internal)?;
        let id = self.store.rng().uuid_v7(self.store.clock().now_ms());
        let file = named_metadata(&id.to_string(), &bytes);
        let location = format!("{}/metadata/{file}", metadata.location());
        let table = LoadedTable {
            name: name.clone(),
            metadata_location: location.clone(),
            metadata: Arc::new(metadata),
            lost_defaults: LostDefaults::default(),
        };
        let bytes = bytes.into();
        Ok((table, MetadataFile { location, bytes }))
    }

    async fn publish(&self, file: MetadataFile) -> Result<(), CatalogFault> {
        let written = self.store.put_new(&file.location, file.bytes).await;
        written.map_err(internal)
    }

    /// The first metadata of a table.
    fn first(&self, table: &NewTable) -> Result<TableMetadata, CatalogFault> {
        let (name, table) = (&table.name, table.clone());
        let suffix = self.store.rng().uuid().simple().to_string();
        let fresh = format!(
            "{}/{}/{}-{}",
            self.warehouse,
            name.namespace(),
            name.name(),
            &suffix[..8]
        );
        let format_version = match table.properties.get("format-version").map(String::as_str) {
            Some("1") => FormatVersion::V1,
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
        let built = built.map_err(|error| CatalogFault::Invalid {
            message: error.to_string(),
        })?;
        Ok(built.metadata)
    }

    /// Lets a snapshot go from the table that has it. Its files stay.
    fn let_go(&self, snapshot_id: i64) -> Result<(), CatalogFault> {
        let name = {
            let state = self.lock();
            let mut tables = state.tables.values();
            let found = tables.find(|table| table.metadata.snapshot_by_id(snapshot_id).is_some());
            found.map(|table| table.name.clone())
        };
        let Some(name) = name else { return Ok(()) };
        let gone = TableCommit {
            name,
            requirements: Vec::new(),
            updates: vec![TableUpdate::RemoveSnapshots {
                snapshot_ids: vec![snapshot_id],
            }],
        };
        self.apply(&[gone], &mut Vec::new()).map(drop)
    }

    /// Applies all or nothing under one lock; the metadata files follow after, for tests need no durability. They are added to `files`.
    fn apply(&self, commits: &[TableCommit], files: &mut Vec<MetadataFile>) -> Result<CommitOutcome, CatalogFault> {
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
            let (before, location) = match current {
                Some(current) => (current.metadata.as_ref(), Some(current.metadata_location.clone())),
                None => (state.staged(commit)?, None),
            };
            let lost = commit.updates.iter().find_map(|update| match update {
                TableUpdate::AddSnapshot { snapshot } => lost_source(before, snapshot),
                _ => None,
            });
            if let Some(source) = lost {
                let message = format!("snapshot {source}, whose rows it takes, is gone");
                return Ok(CommitOutcome::Conflict { message });
            }
            let metadata = match updated(before, location, commit) {
                Ok(metadata) => metadata,
                // Planned before somebody else's commit to another branch.
                Err(error) if is_behind(&error) => {
                    let message = error.to_string();
                    return Ok(CommitOutcome::Conflict { message });
                }
                Err(error) => {
                    let message = error.to_string();
                    return Err(CatalogFault::Invalid { message });
                }
            };
            after.push(self.loaded(&commit.name, metadata)?);
        }
        let mut tables = Vec::with_capacity(after.len());
        for (table, file) in after {
            state.tables.insert(table.name.clone(), table.clone());
            tables.push(table);
            files.push(file);
        }
        state.commits += 1;
        Ok(CommitOutcome::Committed(tables))
    }
}

impl State {
    fn staged(&self, commit: &TableCommit) -> Result<&TableMetadata, CatalogFault> {
        let uuid = commit.updates.iter().find_map(|update| match update {
            TableUpdate::AssignUuid { uuid } => Some(uuid),
            _ => None,
        });
        let asserts = commit.requirements.contains(&TableRequirement::NotExist);
        let staged = uuid.filter(|_| asserts).and_then(|uuid| self.staged.get(uuid));
        staged.ok_or_else(|| missing(&commit.name))
    }

    fn require_free(&self, name: &TableName) -> Result<(), CatalogFault> {
        match self.tables.contains_key(name) || self.views.get(name).is_some() {
            true => Err(CatalogFault::AlreadyExists {
                what: format!("table {name}"),
            }),
            false => Ok(()),
        }
    }

    fn properties(&mut self, namespace: &Namespace) -> Result<&mut HashMap<String, String>, CatalogFault> {
        let missing = || CatalogFault::NotFound {
            what: format!("namespace {namespace}"),
        };
        self.namespaces.get_mut(namespace).ok_or_else(missing)
    }
}

fn is_behind(error: &iceberg::Error) -> bool {
    let message = error.message();
    message.contains("older than last sequence number") || message.contains("behind table next-row-id")
}

fn missing(name: &TableName) -> CatalogFault {
    CatalogFault::NotFound {
        what: format!("table {name}"),
    }
}

fn updated(before: &TableMetadata, location: Option<String>, commit: &TableCommit) -> iceberg::Result<TableMetadata> {
    let mut builder = TableMetadataBuilder::new_from_metadata(before.clone(), location);
    for update in &commit.updates {
        builder = update.clone().apply(builder)?;
    }
    Ok(builder.build()?.metadata)
}

fn away() -> CatalogFault {
    CatalogFault::Unavailable {
        message: "planted fault".into(),
        source: None,
    }
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
        let mut state = self.lock();
        match std::mem::take(&mut state.is_away) {
            true => Err(away()),
            false => Ok(state.tables.get(name).cloned()),
        }
    }

    async fn load_tables(&self, names: &[TableName]) -> Result<Vec<Option<LoadedTable>>, CatalogFault> {
        let state = self.lock();
        Ok(names.iter().map(|name| state.tables.get(name).cloned()).collect())
    }

    async fn pointers(&self) -> Result<Arc<Pointers>, CatalogFault> {
        let state = self.lock();
        let pointers = state.tables.iter().map(|(name, table)| {
            let pointer = TablePointer {
                uuid: table.metadata.uuid(),
                metadata_location: table.metadata_location.clone(),
                snapshot_id: table.metadata.current_snapshot_id(),
            };
            (name.clone(), pointer)
        });
        Ok(Arc::new(pointers.collect()))
    }

    async fn held_by_others(&self, table: &TableName, folders: &[String]) -> Result<Vec<bool>, CatalogFault> {
        let state = self.lock();
        let others = state.tables.iter().filter(|(name, _)| *name != table);
        let others: Vec<String> = others
            .map(|(_, other)| format!("{}/", other.metadata.location()))
            .collect();
        let held = |folder: &String| {
            let folder = format!("{folder}/");
            others.iter().any(|other| folder.starts_with(other))
        };
        Ok(folders.iter().map(held).collect())
    }

    async fn has_grants(&self) -> Result<bool, CatalogFault> {
        Ok(self.lock().grants_bind)
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
            Some(Fault::Unavailable) => return Err(away()),
            Some(Fault::AnswersLost) => self.lock().is_away = true,
            Some(Fault::Expired(snapshot_id)) => self.let_go(snapshot_id)?,
            Some(Fault::AnswerLost) | None => {}
        }
        let mut files = Vec::new();
        let outcome = self.apply(&commits, &mut files)?;
        for file in files {
            self.publish(file).await?;
        }
        Ok(match fault {
            None | Some(Fault::Expired(_)) => outcome,
            Some(_) => unknown(),
        })
    }

    async fn create_table(&self, table: NewTable) -> Result<LoadedTable, CatalogFault> {
        let metadata = self.first(&table)?;
        let name = table.name;
        let (loaded, file) = self.loaded(&name, metadata)?;
        {
            let mut state = self.lock();
            state.require_free(&name)?;
            state.namespaces.entry(name.namespace().clone()).or_default();
            state.tables.insert(name, loaded.clone());
        }
        self.publish(file).await?;
        Ok(loaded)
    }

    async fn drop_table(&self, name: &TableName, purge: bool) -> Result<(), CatalogFault> {
        let mut state = self.lock();
        let table = state.tables.remove(name).ok_or_else(|| missing(name))?;
        if !purge {
            state.dropped.push(table.metadata_location);
        }
        Ok(())
    }

    async fn dropped(&self) -> Result<Vec<String>, CatalogFault> {
        Ok(self.lock().dropped.clone())
    }

    async fn stage_table(&self, table: &NewTable) -> Result<LoadedTable, CatalogFault> {
        let metadata = self.first(table)?;
        let mut state = self.lock();
        state.require_free(&table.name)?;
        state.staged.insert(metadata.uuid(), metadata.clone());
        Ok(LoadedTable {
            name: table.name.clone(),
            metadata: Arc::new(metadata),
            metadata_location: String::new(),
            lost_defaults: LostDefaults::default(),
        })
    }

    async fn register_table(&self, name: &TableName, metadata_location: &str) -> Result<(), CatalogFault> {
        let bytes = self.store.get(metadata_location).await.map_err(internal)?;
        let metadata: TableMetadata = serde_json::from_slice(&bytes).map_err(internal)?;
        let table = LoadedTable {
            name: name.clone(),
            metadata_location: metadata_location.to_owned(),
            metadata: Arc::new(metadata),
            lost_defaults: LostDefaults::default(),
        };
        let mut state = self.lock();
        state.require_free(name)?;
        let uuid = table.metadata.uuid();
        if state.tables.values().any(|other| other.metadata.uuid() == uuid) {
            let what = format!("the table with uuid {uuid}");
            return Err(CatalogFault::AlreadyExists { what });
        }
        state.tables.insert(name.clone(), table);
        Ok(())
    }

    async fn rename_table(&self, from: &TableName, to: &TableName) -> Result<(), CatalogFault> {
        let mut state = self.lock();
        state.require_free(to)?;
        let mut table = state.tables.remove(from).ok_or_else(|| missing(from))?;
        table.name = to.clone();
        state.tables.insert(to.clone(), table);
        Ok(())
    }

    async fn create_namespace(&self, namespace: &Namespace) -> Result<(), CatalogFault> {
        self.lock().namespaces.entry(namespace.clone()).or_default();
        Ok(())
    }

    async fn create_namespace_with(
        &self,
        namespace: &Namespace,
        properties: HashMap<String, String>,
    ) -> Result<(), CatalogFault> {
        let mut state = self.lock();
        if state.namespaces.contains_key(namespace) {
            let what = format!("namespace {namespace}");
            return Err(CatalogFault::AlreadyExists { what });
        }
        state.namespaces.insert(namespace.clone(), properties);
        Ok(())
    }

    async fn list_namespaces(&self) -> Result<Vec<Namespace>, CatalogFault> {
        Ok(self.lock().namespaces.keys().cloned().collect())
    }

    async fn drop_namespace(&self, namespace: &Namespace) -> Result<(), CatalogFault> {
        let mut state = self.lock();
        state.properties(namespace)?;
        let holds_tables = state.tables.keys().any(|name| name.namespace() == namespace);
        if holds_tables || !state.views.of(namespace).is_empty() {
            let message = format!("namespace {namespace} is not empty");
            return Err(CatalogFault::NotEmpty { message });
        }
        state.namespaces.remove(namespace);
        Ok(())
    }

    async fn namespace_properties(&self, namespace: &Namespace) -> Result<HashMap<String, String>, CatalogFault> {
        self.lock().properties(namespace).cloned()
    }

    async fn update_namespace_properties(
        &self,
        namespace: &Namespace,
        removals: Vec<String>,
        updates: HashMap<String, String>,
    ) -> Result<(), CatalogFault> {
        let mut state = self.lock();
        let properties = state.properties(namespace)?;
        properties.retain(|key, _| !removals.contains(key));
        properties.extend(updates);
        Ok(())
    }

    async fn load_view(&self, name: &TableName) -> Result<Option<View>, CatalogFault> {
        Ok(self.lock().views.get(name))
    }

    async fn create_view(&self, view: NewView) -> Result<View, CatalogFault> {
        let mut state = self.lock();
        if state.tables.contains_key(&view.name) {
            let what = format!("table {}", view.name);
            return Err(CatalogFault::AlreadyExists { what });
        }
        let (uuid, now_ms) = (self.store.rng().uuid(), self.store.clock().now_ms());
        state.views.create(view, uuid, now_ms)
    }

    async fn replace_view(&self, view: NewView) -> Result<View, CatalogFault> {
        let now_ms = self.store.clock().now_ms();
        self.lock().views.replace(view, now_ms)
    }

    async fn update_view_properties(
        &self,
        name: &TableName,
        removals: Vec<String>,
        updates: HashMap<String, String>,
    ) -> Result<View, CatalogFault> {
        self.lock().views.update(name, &removals, updates)
    }

    async fn drop_view(&self, name: &TableName) -> Result<(), CatalogFault> {
        self.lock().views.remove(name).map(|_| ())
    }

    async fn rename_view(&self, from: &TableName, to: &TableName) -> Result<(), CatalogFault> {
        self.lock().views.rename(from, to)
    }

    async fn list_views(&self, namespace: &Namespace) -> Result<Vec<TableName>, CatalogFault> {
        Ok(self.lock().views.of(namespace))
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
