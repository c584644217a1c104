//! A small lake with a change log, for this crate's tests.

mod journeys;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::arrow::json::ReaderBuilder;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use serde_json::{Value, json};
use tidewater_catalog_client::dto::{JobPhase, JobPut, JobRow};
use tidewater_core::{JobId, SeededRng, SharedRng, SystemClock, TableName};
use tidewater_engine::{Class, Engine, EngineOptions, PlanRunner, SessionOptions};
use tidewater_table::testing::MemoryCatalog;
use tidewater_table::{
    Added, Catalog, Change, CommitOptions, DataFileWriter, FileStore, LoadedTable, NewTable, StoreOptions,
    WriteOptions, commit_change, schema,
};

pub(crate) use self::journeys::Journeys;
use crate::{Model, Pipelines, Project, RunLog};

/// Keeps rows as the catalog does, and remembers what was noted.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    rows: BTreeMap<JobId, JobRow>,
    noted: Vec<(JobId, TableName, JobPhase)>,
}

impl Noted {
    pub(crate) fn all(&self) -> Vec<(TableName, JobPhase)> {
        let kept = self.0.lock().expect("no panic");
        kept.noted
            .iter()
            .map(|(_, name, phase)| (name.clone(), *phase))
            .collect()
    }

    /// What was noted last, and of which run.
    pub(crate) fn last(&self) -> Option<(JobId, JobPhase)> {
        let kept = self.0.lock().expect("no panic");
        kept.noted.last().map(|(id, _, phase)| (*id, *phase))
    }

    /// All rows, in the order of their ids.
    pub(crate) fn rows(&self) -> Vec<JobRow> {
        self.0.lock().expect("no panic").rows.values().cloned().collect()
    }
}

#[async_trait]
impl RunLog for Noted {
    async fn write(&self, run: JobId, row: &JobPut) -> crate::Result<bool> {
        let mut kept = self.0.lock().expect("no panic");
        let before = kept.rows.get(&run);
        let version = before.map_or(0, |before| before.version);
        let wakes = before.is_some_and(|before| before.phase.is_final()) && !row.phase.is_final();
        if wakes || row.expect_version.is_some_and(|expected| expected != version) {
            return Ok(false);
        }
        let name = row.body["name"].as_str().expect("a name");
        kept.noted.push((run, table_name(name), row.phase));
        let row = JobRow {
            id: run,
            kind: row.kind.clone(),
            phase: row.phase,
            body: row.body.clone(),
            version: version + 1,
            created_at_ms: 0,
            updated_at_ms: 0,
        };
        kept.rows.insert(run, row);
        Ok(true)
    }

    async fn read(&self, run: JobId) -> crate::Result<Option<JobRow>> {
        Ok(self.0.lock().expect("no panic").rows.get(&run).cloned())
    }

    async fn open(&self) -> crate::Result<Vec<JobRow>> {
        let mut rows = self.rows();
        rows.retain(|row| !row.phase.is_final());
        Ok(rows)
    }
}

pub(crate) struct Lake {
    pub(crate) engine: Engine,
    pub(crate) noted: Arc<Noted>,
    pub(crate) catalog: Arc<MemoryCatalog>,
    pub(crate) store: FileStore,
    pub(crate) rng: SharedRng,
    _spill: tempfile::TempDir,
}

impl Lake {
    pub(crate) fn new() -> Self {
        let spill = tempfile::tempdir().expect("a temporary directory");
        let clock = SystemClock::shared();
        let rng: SharedRng = Arc::new(SeededRng::new(7));
        let store = FileStore::new(StoreOptions::default(), clock.clone(), rng.clone());
        let catalog = Arc::new(MemoryCatalog::new(store.clone(), "memory://lake"));
        let options = EngineOptions {
            target_partitions: 2,
            ..EngineOptions::new(spill.path())
        };
        let engine = Engine::open(options, catalog.clone(), store.clone(), clock, rng.clone()).expect("an engine");
        Self {
            engine,
            noted: Arc::default(),
            catalog,
            store,
            rng,
            _spill: spill,
        }
    }

    /// Pipelines over models given as (name, text).
    pub(crate) fn pipelines(&self, models: &[(&str, &str)]) -> Pipelines {
        let runner = Arc::new(self.engine.local_runner());
        self.pipelines_on(runner, self.noted.clone(), models)
    }

    /// The same with plans and rows of one's own.
    pub(crate) fn pipelines_on(
        &self,
        runner: Arc<dyn PlanRunner>,
        log: Arc<dyn RunLog>,
        models: &[(&str, &str)],
    ) -> Pipelines {
        let models = models.iter().map(|(name, text)| model(name, text)).collect();
        let project = Project::of_models("test", models).expect("a project");
        Pipelines::new(
            self.engine.clone(),
            runner,
            self.catalog.clone(),
            log,
            self.engine.clock().clone(),
            self.rng.clone(),
            project,
        )
    }

    pub(crate) async fn create(&self, name: &str, columns: &Schema) -> LoadedTable {
        let name = table_name(name);
        self.catalog
            .create_namespace(name.namespace())
            .await
            .expect("a namespace");
        let schema = schema::from_arrow(columns, 1).expect("a schema");
        self.catalog
            .create_table(NewTable::new(name, schema))
            .await
            .expect("a table")
    }

    pub(crate) async fn load(&self, name: &str) -> LoadedTable {
        self.engine.load(&table_name(name)).await.expect("the table")
    }

    pub(crate) async fn catalog_has(&self, name: &str) -> bool {
        self.catalog
            .load_table(&table_name(name))
            .await
            .expect("an answer")
            .is_some()
    }

    /// One commit of these rows; fields that are left out are null.
    pub(crate) async fn append(&self, name: &str, rows: &[Value]) {
        let added = self.write(name, rows).await;
        self.commit(name, &Change::append(added)).await;
    }

    /// A file of these rows that is in no snapshot.
    pub(crate) async fn write(&self, name: &str, rows: &[Value]) -> Vec<Added> {
        let table = self.load(name).await;
        let columns = Arc::new(schema::to_arrow(table.metadata.current_schema()).expect("columns"));
        let mut decoder = ReaderBuilder::new(columns).build_decoder().expect("a decoder");
        decoder.serialize(rows).expect("rows that fit");
        let rows = decoder.flush().expect("rows that fit").expect("some rows");
        let mut writer =
            DataFileWriter::new(self.store.clone(), &table.metadata, WriteOptions::default()).expect("a writer");
        writer.write(rows).await.expect("rows that fit");
        writer.close().await.expect("files")
    }

    pub(crate) async fn commit(&self, name: &str, change: &Change) {
        let (name, options) = (table_name(name), CommitOptions::default());
        commit_change(self.catalog.as_ref(), &self.store, &name, change, &options)
            .await
            .expect("a commit");
    }

    /// Rows in their order, cells joined by commas.
    pub(crate) async fn lines(&self, sql: &str) -> Vec<String> {
        let session = self.engine.session(Class::Interactive, &SessionOptions::default());
        let plan = self
            .engine
            .plan(&session, sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let rows = session.execute_logical_plan(plan).await.expect("a plan that runs");
        lines(&rows.collect().await.unwrap_or_else(|error| panic!("{sql}: {error:?}")))
    }
}

pub(crate) fn model(name: &str, text: &str) -> Model {
    Model::parse(std::path::Path::new(&format!("models/{name}.sql")), name, text)
        .unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

pub(crate) fn table_name(name: &str) -> TableName {
    name.parse().expect("a table name")
}

pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let table = pretty_format_batches(batches).expect("printable rows").to_string();
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(1);
    rows.map(|line| {
        line.trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(",")
    })
    .collect()
}

/// Columns of a change log whose rows have these fields.
pub(crate) fn log_columns(row: Vec<Field>) -> Schema {
    let row = DataType::Struct(Fields::from(row));
    let key = DataType::Struct(Fields::from(vec![Field::new("id", DataType::Int64, true)]));
    let field = Arc::new(Field::new("element", DataType::Utf8, true));
    Schema::new(vec![
        Field::new("before", row.clone(), true),
        Field::new("after", row, true),
        Field::new("op", DataType::Utf8, true),
        Field::new("_key", key, true),
        Field::new("_kafka_partition", DataType::Int32, true),
        Field::new("_offset", DataType::Int64, true),
        Field::new("_lsn", DataType::Int64, true),
        Field::new("_unavailable", DataType::List(field), true),
    ])
}

/// A row's fields in the tests.
pub(crate) fn patient() -> Vec<Field> {
    vec![
        Field::new("id", DataType::Int64, true),
        Field::new("score", DataType::Int64, true),
        Field::new("notes", DataType::Utf8, true),
    ]
}

/// A change of a row.
pub(crate) fn change(op: &str, lsn: i64, offset: i64, id: i64, score: i64, notes: Option<&str>) -> Value {
    let row = json!({"id": id, "score": score, "notes": notes});
    let mut event = json!({"op": op, "_lsn": lsn, "_offset": offset, "_kafka_partition": 0, "_key": {"id": id}});
    event[if op == "d" { "before" } else { "after" }] = row;
    event
}
