use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{LogicalPlanBuilder, lit};
use futures::TryStreamExt;

use tidewater_core::{Clock, Coded, ErrorKind, ManualClock, SeededRng, SharedClock, SystemClock};
use tidewater_engine::EngineOptions;
use tidewater_table::testing::MemoryCatalog;
use tidewater_table::{
    Catalog, Change, CommitOptions, DataFileWriter, FileStore, NewTable, StoreOptions, WriteOptions, commit_change,
};

use super::*;
use crate::PlainSessions;

/// A service over one table, `gold.numbers` (id, name, at): ids 0 to 9.
struct Lake {
    service: QueryService,
    _spill: tempfile::TempDir,
}

impl Lake {
    async fn new() -> Self {
        Self::with(QueryOptions::default(), SystemClock::shared()).await
    }

    async fn with(options: QueryOptions, clock: SharedClock) -> Self {
        let spill = tempfile::tempdir().expect("a temporary directory");
        let rng = Arc::new(SeededRng::new(3));
        let store = FileStore::new(StoreOptions::default(), Arc::clone(&clock), rng.clone());
        let catalog = Arc::new(MemoryCatalog::new(store.clone(), "memory://lake"));
        catalog
            .create_namespace(&"gold".parse().expect("a name"))
            .await
            .expect("a namespace");
        let rows = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from_iter_values(0..10)) as ArrayRef),
            (
                "name",
                Arc::new(StringArray::from_iter_values((0..10).map(|i| format!("n{i}")))),
            ),
            ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(0..10))),
        ])
        .expect("rows");
        let schema = tidewater_table::schema::from_arrow(&rows.schema(), 1).expect("a schema");
        let name = "gold.numbers".parse().expect("a name");
        let table = catalog
            .create_table(NewTable::new(name, schema))
            .await
            .expect("a table");
        let mut writer =
            DataFileWriter::new(store.clone(), &table.metadata, WriteOptions::default()).expect("a writer");
        writer.write(rows).await.expect("rows that fit");
        let change = Change::append(writer.close().await.expect("files"));
        commit_change(
            catalog.as_ref(),
            &store,
            &table.name,
            &change,
            &CommitOptions::default(),
        )
        .await
        .expect("a commit");
        let engine = Engine::open(
            EngineOptions::new(spill.path()),
            catalog,
            store,
            Arc::clone(&clock),
            rng,
        )
        .expect("an engine");
        let key = TokenKey::derive(b"test");
        let authenticator = Authenticator::new(Vec::new(), key.clone(), clock).expect("no users");
        let runner = Arc::new(engine.local_runner());
        let service = QueryService::new(engine, runner, authenticator, key, options, Arc::new(PlainSessions));
        Self { service, _spill: spill }
    }

    async fn prepare(&self, sql: &str) -> Result<Prepared, QueryError> {
        self.service.prepare(&Principal::local(), sql).await
    }

    async fn start(&self, sql: &str, parameters: Bytes) -> Result<Results, QueryError> {
        let statement = Statement {
            sql: sql.into(),
            parameters,
        };
        self.service.run(&Principal::local(), &statement).await
    }

    /// The rows as a table for people.
    async fn text(&self, sql: &str, parameters: Bytes) -> Result<String, QueryError> {
        let results = self.start(sql, parameters).await?;
        let schema = results.schema;
        let batches: Vec<RecordBatch> = results.batches.try_collect().await?;
        assert!(
            batches.iter().all(|batch| batch.schema() == schema),
            "every batch has the schema that was told"
        );
        Ok(pretty_format_batches(&batches).expect("printable rows").to_string())
    }

    async fn rows(&self, sql: &str) -> Vec<String> {
        cells(
            &self
                .text(sql, Bytes::new())
                .await
                .unwrap_or_else(|error| panic!("{sql}: {}", error.chain())),
        )
    }
}

fn cells(table: &str) -> Vec<String> {
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(1);
    lines.map(|line| line.trim_matches(['|', ' ']).to_owned()).collect()
}

fn row(values: Vec<ArrayRef>) -> Bytes {
    let batch = RecordBatch::try_from_iter(
        values
            .into_iter()
            .enumerate()
            .map(|(at, value)| (at.to_string(), value)),
    )
    .expect("a row");
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("a stream");
    writer.write(&batch).expect("a batch");
    writer.into_inner().expect("bytes").into()
}

fn long(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

// Goal: clients are told the columns and parameters that come. Method: a placeholder of each kind, and one that is left out.
#[tokio::test]
async fn columns_and_parameters_are_told() {
    let lake = Lake::new().await;
    let sql = "SELECT id, name FROM numbers WHERE id > ? AND at < ? AND name = CAST(? AS VARCHAR)";
    let prepared = lake.prepare(sql).await.expect("a plan");
    let types = |schema: &SchemaRef| {
        schema
            .fields()
            .iter()
            .map(|f| f.data_type().clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(types(&prepared.schema), [DataType::Int64, DataType::Utf8]);
    let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
    assert_eq!(types(&prepared.parameters), [DataType::Int64, millis, DataType::Utf8]);
    let prepared = lake
        .prepare("SELECT $11 AS a, CAST($2 AS INT) AS b")
        .await
        .expect("a plan");
    assert_eq!(prepared.parameters.fields().len(), 11);
    assert_eq!(prepared.parameters.field(1).data_type(), &DataType::Int32);
    assert_eq!(prepared.parameters.field(10).name(), "$11");
    let refused = lake.prepare("SELECT $70000").await.expect_err("too many parameters");
    assert_eq!(refused.code(), "SQL-0003");
}

// Goal: values take the places of their numbers, and decide types that the text left open. Method: numbers out of order, and
// a bare placeholder.
#[tokio::test]
async fn values_are_bound_by_number() {
    let lake = Lake::new().await;
    let sql = "SELECT name FROM numbers WHERE id BETWEEN $2 AND $1 ORDER BY id";
    let text = lake.text(sql, row(vec![long(4), long(3)])).await.expect("rows");
    assert_eq!(cells(&text), ["n3", "n4"]);
    let statement = Statement {
        sql: "SELECT ? AS v".into(),
        parameters: row(vec![Arc::new(Int32Array::from(vec![7]))]),
    };
    let schema = lake
        .service
        .result_schema(&Principal::local(), &statement)
        .await
        .expect("a schema");
    assert_eq!(schema.field(0).data_type(), &DataType::Int32);
    let text = lake.text(&statement.sql, statement.parameters).await.expect("a row");
    assert_eq!(cells(&text), ["7"]);
}

// Goal: a statement never runs with values missing or unreadable. Method: none, too few, and bytes that are no row.
#[tokio::test]
async fn missing_values_are_refused() {
    let lake = Lake::new().await;
    let sql = "SELECT id FROM numbers WHERE id IN ($1, $2)";
    for parameters in [Bytes::new(), row(vec![long(1)]), Bytes::from_static(b"no row")] {
        let error = lake.text(sql, parameters).await.expect_err("it must not run");
        assert_eq!((error.code(), error.kind()), ("SQL-0003", ErrorKind::Invalid));
    }
}

// Goal: nothing that changes anything runs, under EXPLAIN ANALYZE neither. Method: a statement of every such kind; the rows
// are counted after it.
#[tokio::test]
async fn writes_are_refused() {
    let lake = Lake::new().await;
    for sql in [
        "INSERT INTO numbers SELECT * FROM numbers",
        "EXPLAIN ANALYZE INSERT INTO numbers SELECT * FROM numbers",
        "DELETE FROM numbers",
        "UPDATE numbers SET id = 1",
        "DROP TABLE numbers",
        "CREATE TABLE t AS SELECT 1 AS x",
        "CREATE VIEW v AS SELECT 1 AS x",
        "COPY numbers TO '/tmp/numbers.csv'",
        "SET datafusion.execution.batch_size = 1",
    ] {
        let error = lake.text(sql, Bytes::new()).await.expect_err(sql);
        assert!(
            matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Invalid),
            "{sql}: {}",
            error.chain()
        );
    }
    let refused = lake
        .text("DROP TABLE numbers", Bytes::new())
        .await
        .expect_err("a write");
    assert_eq!(refused.code(), "SQL-0001");
    assert_eq!(lake.rows("SELECT count(*) FROM numbers").await, ["10"]);
}

// Goal: no more queries run and wait than may, and a dropped answer makes room. Method: one place to run and one to wait, on
// a clock that is moved by hand.
#[tokio::test]
async fn queries_wait_for_their_turn() {
    let clock = Arc::new(ManualClock::new(0));
    let options = QueryOptions {
        queries_max: 1,
        queued_max: 1,
        ..QueryOptions::default()
    };
    let lake = Lake::with(options.clone(), clock.clone()).await;
    let running = lake.start("SELECT 1", Bytes::new()).await.expect("a free place");
    let mut waiting = Box::pin(lake.start("SELECT 2", Bytes::new()));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    wait_until_queued(&lake, &mut waiting).await;
    let error = lake
        .start("SELECT 3", Bytes::new())
        .await
        .expect_err("nobody else may wait");
    assert_eq!((error.code(), error.kind()), ("SQL-0004", ErrorKind::Exhausted));
    clock.advance(options.queue_timeout + Duration::from_millis(1));
    let error = waiting.await.expect_err("nothing ended in time");
    assert_eq!(error.code(), "SQL-0004");
    drop(running);
    lake.start("SELECT 4", Bytes::new()).await.expect("a free place again");
    assert_eq!(clock.now_ms(), 30_001);
}

/// Planning takes a few turns of the executor before the queue is reached.
async fn wait_until_queued<F: Future>(lake: &Lake, waiting: &mut Pin<Box<F>>) {
    while lake.service.0.admission.free_places() > 0 {
        assert!(futures::poll!(waiting.as_mut()).is_pending(), "it must wait");
        tokio::task::yield_now().await;
    }
}

// Goal: a query that takes longer than it may ends with an error that says so. Method: a cross join of hours; the clock is
// moved past the limit.
#[tokio::test]
async fn queries_end_at_their_time_limit() {
    let clock = Arc::new(ManualClock::new(0));
    let lake = Lake::with(QueryOptions::default(), clock.clone()).await;
    let tables: Vec<String> = (0..12).map(|at| format!("numbers t{at}")).collect();
    let sql = format!("SELECT sum(sqrt(t0.id * t1.id)) FROM {}", tables.join(" CROSS JOIN "));
    let mut batches = lake.start(&sql, Bytes::new()).await.expect("it starts").batches;
    assert!(futures::poll!(batches.next()).is_pending(), "it yields while it works");
    clock.advance(QueryOptions::default().query_timeout + Duration::from_secs(1));
    let error = batches
        .try_collect::<Vec<_>>()
        .await
        .expect_err("it cannot end in time");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{}", error.chain());
}

// Goal: EXPLAIN tells where a statement would run and what it would read. Method: explain a scan.
#[tokio::test]
async fn explanations_tell_the_route() {
    let lake = Lake::new().await;
    let rows = lake
        .rows("EXPLAIN SELECT id FROM numbers WHERE id > 3")
        .await
        .join("\n");
    for expected in [
        "logical_plan",
        "route",
        "local",
        "reason",
        "gold.numbers",
        "1 of 1 files",
    ] {
        assert!(rows.contains(expected), "no {expected} in:\n{rows}");
    }
}

// Goal: what there is to query is listed by schema and name. Method: one table, asked for in each way.
#[tokio::test]
async fn tables_are_listed() {
    let lake = Lake::new().await;
    let user = Principal::local();
    assert_eq!(lake.service.schemas(&user).await.expect("schemas"), ["gold"]);
    let tables = lake.service.tables(&user).await.expect("tables");
    let found: Vec<(&str, &str, usize)> = tables
        .iter()
        .map(|t| (t.schema.as_str(), t.name.as_str(), t.columns.fields().len()))
        .collect();
    assert_eq!(found, [("gold", "numbers", 3)]);
    for (schema, name, count) in [
        (None, "numbers", 1),
        (Some("gold"), "numbers", 1),
        (Some("silver"), "numbers", 0),
        (None, "no", 0),
    ] {
        let named = lake.service.tables_named(&user, schema, name).await.expect("tables");
        assert_eq!(named.len(), count, "{schema:?}.{name}");
    }
}

/// Sessions with one view.
#[derive(Debug)]
struct OneView(&'static str);

#[async_trait]
impl SessionSource for OneView {
    async fn options(&self, _: &str) -> SessionOptions {
        let plan = LogicalPlanBuilder::empty(true)
            .project([lit(1).alias("one")])
            .and_then(LogicalPlanBuilder::build);
        let view = ViewTable::new(plan.expect("a plan"), None);
        SessionOptions::default().overlay(self.0.parse().expect("a name"), Arc::new(view))
    }
}

// Goal: views that a session has are listed as views, once. Method: one in a schema of its own, and one that stands for a table.
#[tokio::test]
async fn views_are_listed() {
    let lake = Lake::new().await;
    let user = Principal::local();
    for (name, schemas, expected) in [
        (
            "silver.seen",
            vec!["gold", "silver"],
            vec![("numbers", TableKind::Table), ("seen", TableKind::View)],
        ),
        ("gold.numbers", vec!["gold"], vec![("numbers", TableKind::View)]),
    ] {
        let (engine, runner) = (lake.service.0.engine.clone(), Arc::clone(&lake.service.0.runner));
        let authenticator =
            Authenticator::new(Vec::new(), lake.service.key().clone(), SystemClock::shared()).expect("no users");
        let key = lake.service.key().clone();
        let service = QueryService::new(
            engine,
            runner,
            authenticator,
            key,
            QueryOptions::default(),
            Arc::new(OneView(name)),
        );
        assert_eq!(service.schemas(&user).await.expect("schemas"), schemas);
        let tables = service.tables(&user).await.expect("tables");
        let found: Vec<(&str, TableKind)> = tables.iter().map(|table| (table.name.as_str(), table.kind)).collect();
        assert_eq!(found, expected);
        let view = service
            .tables_named(&user, None, expected[expected.len() - 1].0)
            .await
            .expect("tables");
        assert_eq!(view[0].columns.field(0).name(), "one");
    }
}

// Goal: an error names what is wrong with the statement. Method: the usual mistakes.
#[tokio::test]
async fn mistakes_are_named() {
    let lake = Lake::new().await;
    for (sql, word) in [
        ("SELEC 1", "SELEC"),
        ("SELECT nothing FROM numbers", "nothing"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT CAST(name AS INT) FROM numbers", "n0"),
        ("SELECT 1; SELECT 2", "statement"),
    ] {
        let error = lake.text(sql, Bytes::new()).await.expect_err(sql);
        assert!(
            matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported),
            "{sql}: {}",
            error.chain()
        );
        assert!(error.chain().contains(word), "{sql}: {}", error.chain());
    }
}
