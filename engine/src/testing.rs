//! A small lake for this crate's tests.

mod counting;
mod foreign;
mod journeys;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tidewater_core::{JobId, SeededRng, SystemClock, TableName};
use tidewater_table::iceberg::spec::{Schema, UnboundPartitionSpec};
use tidewater_table::testing::{MemoryCatalog, store_over};
use tidewater_table::{
    Added, Catalog, Change, CommitOptions, DataFileWriter, FileStore, LoadedTable, NewTable, StoreOptions,
    WriteOptions, commit_change,
};

pub(crate) use self::counting::Counting;
pub(crate) use self::journeys::Journeys;
use crate::error::{EngineError, Result};
use crate::{Class, Engine, EngineOptions, PlanRequest, PlanRunner, SessionOptions};

/// Two tables for queries that depend on the row around them: keys with several rows, with one, with none and without a value, and nulls on both sides.
pub(crate) const AROUND: &str = "WITH t (id, k, g, n) AS (VALUES (1, 1, 'a', 10), (2, 1, 'a', NULL), (3, 2, 'b', 5), (4, 2, 'b', 5), (5, 3, NULL, 7), \
                      (6, NULL, 'c', 1), (7, 4, 'c', NULL)), u (id, k, x, g) AS (VALUES (1, 1, 4, 'p'), (2, 1, 6, 'p'), (3, 1, 6, 'q'), \
                      (4, 2, NULL, 'p'), (5, 2, 3, NULL), (6, NULL, 9, 'q'), (7, 3, NULL, 'q'))";

pub(crate) struct Lake {
    pub(crate) engine: Engine,
    pub(crate) catalog: Arc<MemoryCatalog>,
    pub(crate) store: FileStore,
    spill: tempfile::TempDir,
}

impl Lake {
    pub(crate) fn new() -> Self {
        Self::at("memory://lake")
    }

    /// With its tables there.
    pub(crate) fn at(warehouse: &str) -> Self {
        let store = fresh_store(7);
        Self::of(store.clone(), store, warehouse)
    }

    /// With its tables in a store of one's own, to which every look at their metadata goes. The catalog's own files lie elsewhere.
    pub(crate) fn over(objects: Arc<dyn ObjectStore>, warehouse: &str) -> Self {
        let uncached = StoreOptions {
            manifest_cache_bytes: 0,
            delete_cache_bytes: 0,
            ..StoreOptions::default()
        };
        let of_catalog = stored(Arc::new(InMemory::new()), 9, StoreOptions::default());
        Self::of(of_catalog, stored(objects, 7, uncached), warehouse)
    }

    fn of(of_catalog: FileStore, store: FileStore, warehouse: &str) -> Self {
        let spill = tempfile::tempdir().expect("a temporary directory");
        let catalog = Arc::new(MemoryCatalog::new(of_catalog, warehouse));
        let engine = open(&spill, catalog.clone(), &store);
        Self {
            engine,
            catalog,
            store,
            spill,
        }
    }

    /// Another engine over the same files.
    pub(crate) fn engine_over(&self, catalog: Arc<dyn Catalog>) -> Engine {
        open(&self.spill, catalog, &self.store)
    }

    pub(crate) async fn create(&self, name: &str, schema: Schema, partition: Option<UnboundPartitionSpec>) {
        let name = table_name(name);
        self.catalog
            .create_namespace(name.namespace())
            .await
            .expect("a namespace");
        let table = NewTable {
            partition_spec: partition,
            properties: HashMap::new(),
            ..NewTable::new(name, schema)
        };
        self.catalog.create_table(table).await.expect("a table");
    }

    pub(crate) async fn load(&self, name: &str) -> LoadedTable {
        self.engine.load(&table_name(name)).await.expect("the table")
    }

    /// One file of these rows, committed.
    pub(crate) async fn append(&self, name: &str, rows: RecordBatch) {
        let added = self.write(name, rows).await;
        self.commit(name, added).await;
    }

    /// One file of these rows, not committed.
    pub(crate) async fn write(&self, name: &str, rows: RecordBatch) -> Vec<Added> {
        let table = self.load(name).await;
        let mut writer =
            DataFileWriter::new(self.store.clone(), &table.metadata, WriteOptions::default()).expect("a writer");
        writer.write(rows).await.expect("rows that fit");
        writer.close().await.expect("files")
    }

    pub(crate) async fn commit(&self, name: &str, added: Vec<Added>) {
        let change = Change::append(added);
        commit_change(
            self.catalog.as_ref(),
            &self.store,
            &table_name(name),
            &change,
            &CommitOptions::default(),
        )
        .await
        .expect("a commit");
    }

    pub(crate) fn session(&self) -> SessionContext {
        self.engine.session(Class::Interactive, &SessionOptions::default())
    }

    pub(crate) async fn query(&self, sql: &str) -> Vec<RecordBatch> {
        self.answer(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    pub(crate) async fn refused(&self, sql: &str) -> EngineError {
        self.answer(sql).await.expect_err(sql)
    }

    async fn answer(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let session = self.session();
        let plan = self.engine.plan(&session, sql).await?;
        let request = PlanRequest {
            job: self.job(),
            session,
            plan,
            class: Class::Interactive,
            deadline: None,
        };
        self.engine.local_runner().run(request).await?.collect().await
    }

    /// Rows without their order, one line each.
    pub(crate) async fn lines(&self, sql: &str) -> Vec<String> {
        lines(&self.query(sql).await)
    }

    /// Rows without their order, or why there are none.
    pub(crate) async fn answered(&self, sql: &str) -> Result<Vec<String>> {
        Ok(lines(&self.answer(sql).await?))
    }

    /// The answer of a plan that went to another process and back.
    pub(crate) async fn travelled(&self, sql: &str) -> Result<Vec<String>> {
        self.travelled_in(&self.session(), sql).await
    }

    /// The same for a statement of this session.
    pub(crate) async fn travelled_in(&self, session: &SessionContext, sql: &str) -> Result<Vec<String>> {
        let plan = self.engine.plan(session, sql).await?;
        let plan = session.state().create_physical_plan(&plan).await?;
        let context = session.task_ctx();
        let arrived = journeys::arrived(&self.engine, plan, &context)?;
        Ok(lines(&collect(arrived, context).await?))
    }

    /// An engine that says in views what other engines call the catalog, in place of this one.
    pub(crate) fn call_catalog(&mut self, name: &str) {
        let options = EngineOptions {
            view_default_catalog: Some(name.to_owned()),
            ..options(&self.spill, &self.store)
        };
        self.engine = opened(options, self.catalog.clone(), &self.store);
    }

    /// An engine with this much memory for queries in place of this one.
    pub(crate) fn limit_memory(&mut self, memory_bytes: usize) {
        let options = EngineOptions {
            memory_bytes,
            ..options(&self.spill, &self.store)
        };
        self.engine = opened(options, self.catalog.clone(), &self.store);
    }

    /// An engine that has read nothing yet in place of this one.
    pub(crate) fn forget(&mut self) {
        self.engine = self.engine_over(self.catalog.clone());
    }

    /// The same, and stores of which nothing is known: for tables on a disk.
    pub(crate) fn forget_files(&mut self) {
        self.store = fresh_store(8);
        self.forget();
    }

    pub(crate) fn job(&self) -> JobId {
        JobId(self.engine.rng().uuid())
    }
}

fn stored(objects: Arc<dyn ObjectStore>, seed: u64, options: StoreOptions) -> FileStore {
    store_over(objects, options, SystemClock::shared(), Arc::new(SeededRng::new(seed)))
}

fn fresh_store(seed: u64) -> FileStore {
    let rng = Arc::new(SeededRng::new(seed));
    FileStore::new(StoreOptions::default(), SystemClock::shared(), rng)
}

fn open(spill: &tempfile::TempDir, catalog: Arc<dyn Catalog>, store: &FileStore) -> Engine {
    opened(options(spill, store), catalog, store)
}

fn options(spill: &tempfile::TempDir, store: &FileStore) -> EngineOptions {
    EngineOptions {
        target_partitions: 3,
        // Most tests have few rows.
        one_thread_rows: 3,
        ..EngineOptions::new(spill.path().join(store.rng().uuid().to_string()))
    }
}

fn opened(options: EngineOptions, catalog: Arc<dyn Catalog>, store: &FileStore) -> Engine {
    Engine::open(
        options,
        catalog,
        store.clone(),
        store.clock().clone(),
        store.rng().clone(),
    )
    .expect("an engine")
}

pub(crate) fn table_name(name: &str) -> TableName {
    name.parse().expect("a table name")
}

pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let table = pretty_format_batches(batches).expect("printable rows").to_string();
    let mut lines: Vec<String> = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            cells.join(",")
        })
        .collect();
    lines.sort();
    lines
}
