//! What tests of this crate share: the fixtures, and a log of offsets in memory that fails on demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::offset_log::OffsetLog;
use crate::record::{Partition, Record};
use crate::source::file::parse_line;
use tidewater_catalog_client::dto::{
    CommittedTable, IngestCommit, IngestOutcome, LeaseGrant, LeaseRequest, LeaseResponse, TopicPartition,
};
use tidewater_core::{Namespace, TableName};
use tidewater_table::iceberg::spec::{SortOrder, TableMetadata, TableMetadataBuilder, UnboundPartitionSpec};
use tidewater_table::iceberg::{TableCreation, TableRequirement, TableUpdate};
use tidewater_table::schema::LostDefaults;
use tidewater_table::{
    Catalog, CatalogFault, CommitOutcome, FileStore, LoadedTable, NewTable, OnExisting, TableCommit, create_with,
};

/// The records of `fixtures/debezium-3.6.3-pg15.jsonl`.
pub(crate) fn fixtures() -> Vec<Record> {
    let text = include_str!("../fixtures/debezium-3.6.3-pg15.jsonl");
    text.lines()
        .map(|line| parse_line(&Bytes::from_static(line.as_bytes())).expect("a fixture is a record"))
        .collect()
}

/// A record with a JSON key and value.
pub(crate) fn record(topic: &str, offset: i64, key: Option<&str>, value: Option<&str>) -> Record {
    let bytes = |text: Option<&str>| text.map(|text| Bytes::copy_from_slice(text.as_bytes()));
    Record {
        partition: Partition {
            topic: Arc::from(topic),
            number: 0,
        },
        offset,
        timestamp_ms: Some(1_767_225_600_000 + offset),
        headers: None,
        key: bytes(key),
        value: bytes(value),
        fault: None,
    }
}

/// What the next commit of offsets meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing special.
    None,
    /// It is applied, and the answer is lost.
    AnswerLost,
    /// It is applied, and the answer cannot be read.
    AnswerBroken,
    /// It is not applied, and no answer comes.
    RequestLost,
    /// The log is away.
    Unavailable,
    /// Another writer moved a table just before.
    TableMoved,
    /// Its tables made way just before, each for one with columns of the same names.
    TablesReplaced,
    /// Another reader took the leases just before.
    LeaseTaken,
}

#[derive(Debug, Default, Clone)]
struct Lease {
    owner: String,
    epoch: u64,
    next: Option<i64>,
}

#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<TableName, LoadedTable>,
    leases: BTreeMap<TopicPartition, Lease>,
    /// Everybody who asked for leases, in the order of their first question.
    owners: Vec<String>,
    faults: VecDeque<Fault>,
    calls: usize,
    /// How often leases were asked for.
    asked: usize,
    grants_bind: bool,
}

/// The catalog's log as a naive model: one lock, all or nothing.
#[derive(Debug)]
pub(crate) struct ModelLog {
    store: FileStore,
    /// Where tables are made.
    root: String,
    state: Mutex<State>,
}

impl ModelLog {
    pub(crate) fn new(store: FileStore) -> Self {
        Self::at(store, "memory://lake".into())
    }

    pub(crate) fn at(store: FileStore, root: String) -> Self {
        Self {
            store,
            root,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next commits meet these, one each.
    pub(crate) fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.extend(faults);
    }

    /// From now on grants bind.
    pub(crate) fn bind(&self) {
        self.lock().grants_bind = true;
    }

    pub(crate) fn calls(&self) -> usize {
        self.lock().calls
    }

    /// How often leases were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.lock().asked
    }

    pub(crate) fn next_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        let key = TopicPartition {
            topic: topic.to_owned(),
            partition,
        };
        self.lock().leases.get(&key).and_then(|lease| lease.next)
    }

    /// A table that somebody else made.
    pub(crate) async fn make(&self, table: &NewTable) {
        let metadata = self.stage(table).await.expect("a sound table");
        let table = LoadedTable {
            name: table.name.clone(),
            metadata_location: format!("{}/metadata/0.json", metadata.location()),
            metadata: Arc::new(metadata),
            lost_defaults: LostDefaults::default(),
        };
        self.lock().tables.insert(table.name.clone(), table);
    }

    pub(crate) fn tables(&self) -> Vec<LoadedTable> {
        self.lock().tables.values().cloned().collect()
    }

    async fn replace(&self, commit: &IngestCommit) {
        let mut tables = self.tables();
        tables.retain(|table| commit.commits.iter().any(|one| one.name == table.name));
        for table in tables {
            let schema = table.metadata.current_schema().as_ref().clone();
            let wanted = NewTable::new(table.name.clone(), schema);
            create_with(self, &self.store, wanted, OnExisting::Replace)
                .await
                .expect("a table in place of another");
        }
    }

    fn apply(state: &mut State, commit: &IngestCommit) -> IngestOutcome {
        let key = |topic: &str, partition| TopicPartition {
            topic: topic.to_owned(),
            partition,
        };
        let lease = |state: &State, at: &TopicPartition| state.leases.get(at).cloned().unwrap_or_default();
        let done = commit.ranges.iter().all(|range| {
            let lease = lease(state, &key(&range.topic, range.partition));
            lease.next.is_some_and(|next| range.to <= next)
        });
        if done {
            return IngestOutcome::AlreadyApplied;
        }
        for range in &commit.ranges {
            let partition = key(&range.topic, range.partition);
            let lease = lease(state, &partition);
            if lease.epoch != range.epoch {
                return IngestOutcome::Fenced {
                    partition,
                    epoch: lease.epoch,
                };
            }
            if let Some(expected) = lease.next.filter(|next| *next != range.from) {
                return IngestOutcome::Gap { partition, expected };
            }
        }
        let mut after = Vec::new();
        for commit in &commit.commits {
            match apply_table(state.tables.get(&commit.name), commit) {
                Ok(table) => after.push(table),
                Err(message) => return IngestOutcome::TableConflict { message },
            }
        }
        for range in &commit.ranges {
            state.leases.entry(key(&range.topic, range.partition)).or_default().next = Some(range.to);
        }
        let tables = after
            .iter()
            .map(|table| CommittedTable {
                name: table.name.clone(),
                version: 0,
                metadata_location: table.metadata_location.clone(),
            })
            .collect();
        state
            .tables
            .extend(after.into_iter().map(|table| (table.name.clone(), table)));
        IngestOutcome::Applied { tables }
    }
}

fn apply_table(current: Option<&LoadedTable>, commit: &TableCommit) -> Result<LoadedTable, String> {
    let text = |error: tidewater_table::iceberg::Error| error.to_string();
    for requirement in &commit.requirements {
        requirement
            .check(current.map(|table| table.metadata.as_ref()))
            .map_err(text)?;
    }
    let mut builder = match current {
        Some(table) => {
            let location = Some(table.metadata_location.clone());
            TableMetadataBuilder::new_from_metadata(table.metadata.as_ref().clone(), location)
        }
        None if commit.requirements.contains(&TableRequirement::NotExist) => first(&commit.updates).map_err(text)?,
        None => return Err(format!("table {} does not exist", commit.name)),
    };
    for update in &commit.updates {
        builder = update.clone().apply(builder).map_err(text)?;
    }
    let metadata = builder.build().map_err(text)?.metadata;
    Ok(LoadedTable {
        name: commit.name.clone(),
        metadata_location: format!(
            "{}/metadata/{}.json",
            metadata.location(),
            metadata.last_sequence_number()
        ),
        metadata: Arc::new(metadata),
        lost_defaults: LostDefaults::default(),
    })
}

fn first(updates: &[TableUpdate]) -> tidewater_table::iceberg::Result<TableMetadataBuilder> {
    let (mut schema, mut spec, mut location) = (None, UnboundPartitionSpec::default(), String::new());
    for update in updates {
        match update {
            TableUpdate::AddSchema { schema: given } => schema = Some(given.clone()),
            TableUpdate::AddSpec { spec: given } => spec = given.clone(),
            TableUpdate::SetLocation { location: given } => location.clone_from(given),
            _ => {}
        }
    }
    let schema = schema.expect("a staged table has a schema");
    let version = tidewater_table::iceberg::spec::FormatVersion::V2;
    TableMetadataBuilder::new(
        schema,
        spec,
        SortOrder::unsorted_order(),
        location,
        version,
        Default::default(),
    )
}

#[async_trait]
impl OffsetLog for ModelLog {
    async fn acquire(&self, request: &LeaseRequest) -> Result<LeaseResponse, CatalogFault> {
        let mut state = self.lock();
        state.asked += 1;
        for released in &request.release {
            if let Some(lease) = state.leases.get_mut(released) {
                lease.owner.clear();
            }
        }
        if !request.acquire.is_empty() && !state.owners.contains(&request.owner) {
            state.owners.push(request.owner.clone());
        }
        let State {
            leases: held, owners, ..
        } = &mut *state;
        let age = |owner: &str| owners.iter().position(|known| known == owner);
        let mut leases = Vec::new();
        for partition in &request.acquire {
            let lease = held.entry(partition.clone()).or_default();
            // A lease has no end here: whoever comes later takes it over at once, dead or alive, which is the harder case. Whoever
            // came earlier does not get it back.
            let granted = age(&request.owner) >= age(&lease.owner);
            if granted && lease.owner != request.owner {
                lease.owner.clone_from(&request.owner);
                lease.epoch += 1;
            }
            leases.push(LeaseGrant {
                topic: partition.topic.clone(),
                partition: partition.partition,
                granted,
                owner: lease.owner.clone(),
                epoch: lease.epoch,
                expires_at_ms: 0,
                next_offset: lease.next,
            });
        }
        Ok(LeaseResponse { leases })
    }

    async fn commit_offsets(&self, commit: &IngestCommit) -> Result<IngestOutcome, CatalogFault> {
        let replaced = self.lock().faults.front() == Some(&Fault::TablesReplaced);
        if replaced {
            self.replace(commit).await;
        }
        let mut state = self.lock();
        state.calls += 1;
        let fault = state.faults.pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::RequestLost => return Err(timeout()),
            Fault::Unavailable => {
                return Err(CatalogFault::Unavailable {
                    message: "planted fault".into(),
                    source: None,
                });
            }
            Fault::TableMoved => {
                return Ok(IngestOutcome::TableConflict {
                    message: "planted fault".into(),
                });
            }
            Fault::LeaseTaken => {
                for lease in state.leases.values_mut() {
                    lease.owner = "another".into();
                    lease.epoch += 1;
                }
            }
            Fault::AnswerLost | Fault::AnswerBroken | Fault::TablesReplaced | Fault::None => {}
        }
        let outcome = Self::apply(&mut state, commit);
        match fault {
            Fault::AnswerLost => Err(timeout()),
            Fault::AnswerBroken => Err(CatalogFault::Internal {
                message: "planted fault".into(),
                source: None,
            }),
            _ => Ok(outcome),
        }
    }

    async fn stage(&self, table: &NewTable) -> Result<TableMetadata, CatalogFault> {
        let location = format!("{}/{}-{}", self.root, table.name, self.store.rng().uuid().simple());
        let creation = TableCreation::builder()
            .name(table.name.name().to_owned())
            .location(location)
            .schema(table.schema.clone())
            .partition_spec_opt(table.partition_spec.clone())
            .properties(table.properties.clone())
            .build();
        let built = TableMetadataBuilder::from_table_creation(creation).and_then(TableMetadataBuilder::build);
        built
            .map(|built| built.metadata)
            .map_err(|error| CatalogFault::Invalid {
                message: error.to_string(),
            })
    }
}

fn timeout() -> CatalogFault {
    CatalogFault::Timeout {
        message: "planted fault".into(),
    }
}

#[async_trait]
impl Catalog for ModelLog {
    async fn load_table(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogFault> {
        Ok(self.lock().tables.get(name).cloned())
    }

    async fn load_tables(&self, names: &[TableName]) -> Result<Vec<Option<LoadedTable>>, CatalogFault> {
        let state = self.lock();
        Ok(names.iter().map(|name| state.tables.get(name).cloned()).collect())
    }

    async fn has_grants(&self) -> Result<bool, CatalogFault> {
        Ok(self.lock().grants_bind)
    }

    async fn commit(&self, commits: Vec<TableCommit>) -> Result<CommitOutcome, CatalogFault> {
        let mut state = self.lock();
        let mut after = Vec::new();
        for commit in &commits {
            match apply_table(state.tables.get(&commit.name), commit) {
                Ok(table) => after.push(table),
                Err(message) => return Ok(CommitOutcome::Conflict { message }),
            }
        }
        state
            .tables
            .extend(after.iter().map(|table| (table.name.clone(), table.clone())));
        Ok(CommitOutcome::Committed(after))
    }

    async fn create_table(&self, _table: NewTable) -> Result<LoadedTable, CatalogFault> {
        Err(CatalogFault::Invalid {
            message: "ingest stages tables".into(),
        })
    }

    async fn drop_table(&self, name: &TableName, _purge: bool) -> Result<(), CatalogFault> {
        self.lock().tables.remove(name);
        Ok(())
    }

    async fn create_namespace(&self, _namespace: &Namespace) -> Result<(), CatalogFault> {
        Ok(())
    }

    async fn list_namespaces(&self) -> Result<Vec<Namespace>, CatalogFault> {
        Ok(Vec::new())
    }

    async fn list_tables(&self, _namespace: &Namespace) -> Result<Vec<TableName>, CatalogFault> {
        Ok(Vec::new())
    }
}
