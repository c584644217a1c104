//! Tables, engines and a cluster for the tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::ScalarValue;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;

use crate::failing::{FAULTS, failing};
use tidewater_core::{JobId, Namespace, SharedClock, SharedRng, SystemClock, SystemRng, TableName, Tasks};
use tidewater_engine::{Class, Engine, EngineOptions, Functions, PlanRequest, PlanRunner, SessionOptions};
use tidewater_executor::{Executor, ExecutorOptions};
use tidewater_scheduler::{Scheduler, SchedulerOptions};
use tidewater_table::testing::MemoryCatalog;
use tidewater_table::{
    Added, Catalog, Change, CommitOptions, DataFileWriter, FileStore, NewTable, WriteOptions, commit_change,
};

/// Files of each table: so many small ones that a scan has four partitions.
pub(crate) const FILES: i64 = 64;

/// Rows of each file.
pub(crate) const ROWS_PER_FILE: i64 = 500;

/// Rows of a batch: the sleeping function sleeps once for each.
const BATCH_ROWS: &str = "1000";

/// Longest wait for a child process or an executor.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Lake {
    pub(crate) home: tempfile::TempDir,
    pub(crate) engine: Engine,
    pub(crate) clock: SharedClock,
    pub(crate) rng: SharedRng,
    pub(crate) tasks: Tasks,
}

impl Lake {
    /// `silver.orders(id, customer, note)` and `silver.items(order_id, amount)`.
    pub(crate) async fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let engine = engine(home.path(), engine_options(home.path(), "scheduler"));
        let lake = Self {
            home,
            engine,
            clock: SystemClock::shared(),
            rng: SystemRng::shared(),
            tasks: Tasks::new("test"),
        };
        let orders = [
            ("id", DataType::Int64),
            ("customer", DataType::Int64),
            ("note", DataType::Utf8),
        ];
        let orders = lake.create("silver.orders", &orders).await;
        let items = [("order_id", DataType::Int64), ("amount", DataType::Int64)];
        let items = lake.create("silver.items", &items).await;
        let (mut order_files, mut item_files) = (Vec::new(), Vec::new());
        for file in 0..FILES {
            let ids: Vec<i64> = (file * ROWS_PER_FILE..(file + 1) * ROWS_PER_FILE).collect();
            let customers = ids.iter().map(|id| (id % 7 != 0).then_some(id * 31 % 1_000));
            let notes = ids.iter().map(|id| (id % 5 != 0).then(|| format!("note {}", id % 11)));
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from(ids.clone())),
                Arc::new(customers.collect::<Int64Array>()),
                Arc::new(notes.collect::<StringArray>()),
            ];
            order_files.extend(lake.write(&orders, columns).await);
            let amounts = ids.iter().map(|id| Some(id * 17 % 100));
            let orders_of_items = ids.iter().map(|id| Some(id * 13 % (FILES * ROWS_PER_FILE)));
            let columns: Vec<ArrayRef> = vec![
                Arc::new(orders_of_items.collect::<Int64Array>()),
                Arc::new(amounts.collect::<Int64Array>()),
            ];
            item_files.extend(lake.write(&items, columns).await);
        }
        lake.append(&orders, order_files).await;
        lake.append(&items, item_files).await;
        lake
    }

    pub(crate) async fn create(&self, name: &str, columns: &[(&str, DataType)]) -> TableName {
        let name: TableName = name.parse().expect("a name");
        let fields: Vec<Field> = columns
            .iter()
            .map(|(column, data_type)| Field::new(*column, data_type.clone(), true))
            .collect();
        let schema = tidewater_table::schema::from_arrow(&Schema::new(fields), 1).expect("a schema");
        let catalog = self.engine.catalog();
        let namespace: Namespace = name.namespace().clone();
        catalog.create_namespace(&namespace).await.expect("a namespace");
        catalog
            .create_table(NewTable::new(name.clone(), schema))
            .await
            .expect("a new table");
        name
    }

    pub(crate) async fn write(&self, name: &TableName, columns: Vec<ArrayRef>) -> Vec<Added> {
        let table = self.engine.load(name).await.expect("a table");
        let store = self.engine.store();
        let mut writer =
            DataFileWriter::new(store.clone(), &table.metadata, WriteOptions::default()).expect("a writer");
        let rows = RecordBatch::try_new(writer.schema().clone(), columns).expect("rows of the table");
        writer.write(rows).await.expect("written");
        writer.close().await.expect("closed")
    }

    pub(crate) async fn append(&self, name: &TableName, added: Vec<Added>) {
        let change = Change::append(added);
        let store = self.engine.store();
        let options = CommitOptions::default();
        let catalog = self.engine.catalog().as_ref();
        commit_change(catalog, store, name, &change, &options)
            .await
            .expect("committed");
    }

    pub(crate) fn session(&self, class: Class) -> SessionContext {
        let session = self
            .engine
            .session(class, &SessionOptions::default().default_schema("silver"));
        let state = session.state_ref();
        let set = state
            .write()
            .config_mut()
            .options_mut()
            .set("datafusion.execution.batch_size", BATCH_ROWS);
        set.expect("a setting");
        session
    }

    pub(crate) fn job(&self) -> JobId {
        JobId(self.rng.uuid_v7(self.clock.now_ms()))
    }

    pub(crate) async fn request(&self, class: Class, sql: &str) -> PlanRequest {
        let session = self.session(class);
        let plan: LogicalPlan = self.engine.plan(&session, sql).await.expect("a plan");
        PlanRequest {
            job: self.job(),
            session,
            plan,
            class,
            deadline: Some(Duration::from_secs(100)),
        }
    }

    pub(crate) async fn rows(&self, runner: &dyn PlanRunner, sql: &str) -> Vec<String> {
        let request = self.request(Class::Batch, sql).await;
        let output = runner.run(request).await.expect(sql);
        text(&output.collect().await.expect(sql))
    }

    pub(crate) async fn scheduler(&self, options: SchedulerOptions) -> Scheduler {
        Scheduler::start(&options, self.engine.clone(), self.clock.clone(), &self.tasks)
            .await
            .expect("a scheduler")
    }

    /// An executor in this process.
    pub(crate) async fn executor(&self, scheduler: &Scheduler) -> Executor {
        self.executor_with(executor_options(scheduler.address(), self.home.path().join("work")))
            .await
    }

    pub(crate) async fn executor_with(&self, options: ExecutorOptions) -> Executor {
        let (clock, rng) = (self.clock.clone(), self.rng.clone());
        let executor = Executor::start(options, self.engine.clone(), clock, rng, &self.tasks.child("executor"))
            .await
            .expect("an executor");
        executor.wait_registered(START_DEADLINE).await.expect("registered");
        executor
    }
}

pub(crate) fn executor_options(scheduler: std::net::SocketAddr, work_dir: PathBuf) -> ExecutorOptions {
    ExecutorOptions {
        vcores: 2,
        memory_bytes: 256 << 20,
        drain_deadline: Duration::from_secs(1),
        ..ExecutorOptions::loopback(scheduler, work_dir)
    }
}

/// What an engine of these tests has; `who` names its spill folder.
pub(crate) fn engine_options(home: &Path, who: &str) -> EngineOptions {
    EngineOptions {
        memory_bytes: 256 << 20,
        target_partitions: 4,
        functions: Functions::default()
            .with_scalar(slow())
            .with_scalar(failing(home.join(FAULTS))),
        ..EngineOptions::new(home.join("spill").join(who))
    }
}

/// An engine over a catalog in memory.
pub(crate) fn engine(home: &Path, options: EngineOptions) -> Engine {
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    let store = FileStore::new(Default::default(), clock.clone(), rng.clone());
    let warehouse = format!("file://{}", home.join("lake").display());
    let catalog: Arc<dyn Catalog> = Arc::new(MemoryCatalog::new(store.clone(), warehouse));
    Engine::open(options, catalog, store, clock, rng).expect("an engine")
}

/// Rows as text, sorted.
pub(crate) fn text(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).expect("printable"))
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(cells.join("|"));
        }
    }
    rows.sort();
    rows
}

/// `slow(value, milliseconds)` returns its value after a sleep per batch, so that a stage lasts long enough to be disturbed.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Slow {
    signature: Signature,
}

fn slow() -> ScalarUDF {
    // Volatile, else the optimizer may evaluate it elsewhere or only once.
    ScalarUDF::from(Slow {
        signature: Signature::exact(vec![DataType::Int64, DataType::Int64], Volatility::Volatile),
    })
}

impl ScalarUDFImpl for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Int64)
    }

    #[expect(clippy::disallowed_methods, reason = "a slow task is what is simulated")]
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let [value, wait] = args.args.as_slice() else {
            return datafusion::common::exec_err!("slow takes two arguments");
        };
        if let ColumnarValue::Scalar(ScalarValue::Int64(Some(ms))) = wait {
            std::thread::sleep(Duration::from_millis(u64::try_from(*ms).unwrap_or_default()));
        }
        Ok(value.clone())
    }
}
