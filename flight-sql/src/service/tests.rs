mod authorise;
mod cut;
mod policies;
mod readers;
mod rows;
pub(crate) mod siblings;
mod told;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;

use tidewater_core::{Coded, ErrorKind, ManualClock, SeededRng, SharedClock, SystemClock};
use tidewater_engine::{EngineOptions, ZONE};
use tidewater_security::{Authorizer, UserSettings};
use tidewater_table::testing::MemoryCatalog;
use tidewater_table::{
    Catalog, Change, CommitOptions, DataFileWriter, FileStore, NewTable, StoreOptions, WriteOptions, commit_change,
};

use super::*;
use crate::PlainSessions;
use crate::cache::{Bypass, Circumstances, Key, PolicyFingerprint, Question};

/// A service over one table, `gold.numbers` (id, name, at): ids 0 to 9.
pub(crate) struct Lake {
    pub(crate) service: QueryService,
    _spill: tempfile::TempDir,
}

impl Lake {
    pub(crate) async fn new() -> Self {
        Self::with(QueryOptions::default(), SystemClock::shared()).await
    }

    pub(crate) async fn with(options: QueryOptions, clock: SharedClock) -> Self {
        Self::over(options, clock, Arc::new(PlainSessions)).await
    }

    async fn over(options: QueryOptions, clock: SharedClock, sessions: Arc<dyn SessionSource>) -> Self {
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
        let service = QueryService::new(engine, runner, authenticator, key, options, sessions);
        Self { service, _spill: spill }
    }

    async fn prepare(&self, sql: &str) -> Result<Prepared, QueryError> {
        self.service.prepare(&Principal::local(), sql).await
    }

    async fn start(&self, sql: &str, parameters: Bytes) -> Result<Results, QueryError> {
        let statement = Statement {
            parameters,
            ..Statement::new(sql)
        };
        self.service.run(&Principal::local(), &statement).await
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.service.0.engine
    }

    /// A service over the same tables.
    pub(crate) fn over_same(&self, runner: Arc<dyn PlanRunner>, cache: ResultCache) -> QueryService {
        let inner = &self.service.0;
        let clock = inner.engine.clock().clone();
        let authenticator = Authenticator::new(Vec::new(), inner.key.clone(), clock).expect("no users");
        let mut service = QueryService::new(
            inner.engine.clone(),
            runner,
            authenticator,
            inner.key.clone(),
            inner.options.clone(),
            inner.sessions.clone(),
        );
        Arc::get_mut(&mut service.0).expect("nobody shares it yet").cache = cache;
        service
    }

    /// A service over the same tables for these users, whose grants and policies somebody else tells.
    pub(crate) fn for_users(&self, users: Vec<UserSettings>) -> (QueryService, Authorizer) {
        let inner = &self.service.0;
        let users = Authenticator::new(users, inner.key.clone(), SystemClock::shared()).expect("good users");
        let authorizer = Authorizer::new(&users);
        let service = QueryService::new(
            inner.engine.clone(),
            inner.runner.clone(),
            users,
            inner.key.clone(),
            inner.options.clone(),
            inner.sessions.clone(),
        );
        (service, authorizer)
    }

    /// What the cache would look for.
    pub(crate) async fn key(&self, sql: &str, values: Bytes, client: &SessionOptions) -> Result<Key, Bypass> {
        let policy = PolicyFingerprint::of(&Principal::local(), self.service.authenticator(), None, None);
        let question = self.question(sql, values, client, &policy).await?;
        Ok(question.key)
    }

    /// The same of somebody who may see this.
    pub(crate) async fn question(
        &self,
        sql: &str,
        values: Bytes,
        client: &SessionOptions,
        policy: &PolicyFingerprint,
    ) -> Result<Question, Bypass> {
        let options = client.clone();
        let session = self.service.0.engine.session(Class::Interactive, &options);
        let sql = number_placeholders(sql);
        let plan = Box::pin(self.service.0.engine.plan(&session, &sql)).await;
        let plan = plan.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let plan = match values.is_empty() {
            true => plan,
            false => parameters::bind(plan, &values).expect("values that fit"),
        };
        let wire = wire_schema(plan.schema().as_arrow());
        let around = Circumstances {
            config: &|| Arc::clone(session.copied_config().options()),
            policy,
            zone: ZONE,
            wire: &wire,
            now_ms: self.service.clock().now_ms(),
            since: Some(self.service.clock().monotonic()),
        };
        self.service.0.cache.question(&plan, &around)
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

pub(crate) fn row(values: Vec<ArrayRef>) -> Bytes {
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
        parameters: row(vec![Arc::new(Int32Array::from(vec![7]))]),
        ..Statement::new("SELECT ? AS v")
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

// Goal: no more statements are at work than may, and a dropped answer makes room. Method: one place.
#[tokio::test]
async fn statements_at_work_are_bounded() {
    let options = QueryOptions {
        statements_max: 1,
        ..QueryOptions::default()
    };
    let lake = Lake::with(options, SystemClock::shared()).await;
    let running = lake.start("SELECT 1", Bytes::new()).await.expect("a free place");
    let error = lake.start("SELECT 2", Bytes::new()).await.expect_err("no second place");
    assert_eq!((error.code(), error.kind()), ("SQL-0004", ErrorKind::Exhausted));
    drop(running);
    assert_eq!(lake.rows("SELECT 3").await, ["3"], "a free place again");
    assert_eq!(lake.service.0.running.count(), 0);
}

/// A statement that takes hours, as the ticket of user `ana` has it.
fn hours() -> Statement {
    let tables: Vec<String> = (0..12).map(|at| format!("numbers t{at}")).collect();
    Statement {
        id: Uuid::from_u128(5),
        ..Statement::new(format!(
            "SELECT sum(sqrt(t0.id * t1.id)) FROM {}",
            tables.join(" CROSS JOIN ")
        ))
    }
}

// Goal: its owner ends a statement at once, also when nobody reads its rows, or keeps it from beginning; nobody else can, and what has
// ended by itself cannot be cancelled. Method: a cross join of hours, asked about by two users and with other ids.
#[tokio::test]
async fn only_the_owner_cancels() {
    let lake = Lake::new().await;
    let [ana, bob] = ["ana", "bob"].map(Principal::named);
    let statement = hours();
    let never = Statement {
        id: Uuid::from_u128(7),
        ..statement.clone()
    };
    assert!(
        lake.service.cancel(&ana, &never) && lake.service.cancel(&ana, &never),
        "it never begins"
    );
    assert_eq!(
        lake.service.run(&ana, &never).await.expect_err("cancelled").code(),
        "SQL-0006"
    );
    let mut batches = lake.service.run(&ana, &statement).await.expect("it starts").batches;
    assert!(futures::poll!(batches.next()).is_pending(), "it yields while it works");
    assert!(!lake.service.cancel(&bob, &statement), "another's");
    let prepared = Statement::new(statement.sql.clone());
    assert!(!lake.service.cancel(&ana, &prepared), "a prepared statement is none");
    assert!(lake.service.cancel(&ana, &statement));
    let error = batches.next().await.expect("an answer").expect_err("it was cancelled");
    assert_eq!((error.code(), error.kind()), ("SQL-0006", ErrorKind::Cancelled));
    assert!(batches.next().await.is_none());
    assert_eq!(lake.service.0.running.count(), 0);
    assert!(
        lake.service.cancel(&ana, &statement),
        "it is ended, as often as it is asked"
    );
    let ended = Statement {
        id: Uuid::from_u128(8),
        ..Statement::new("SELECT 1")
    };
    let rows = lake.service.run(&ana, &ended).await.expect("it starts").batches;
    assert_eq!(rows.count().await, 1);
    assert!(!lake.service.cancel(&ana, &ended), "it has ended by itself");
}

/// One view, `gold.evens`, over `gold.numbers`.
#[derive(Debug)]
struct OneView;

#[async_trait]
impl SessionSource for OneView {
    async fn options(&self, _: &str, client: SessionOptions) -> SessionOptions {
        client
    }

    async fn view_names(&self) -> Vec<TableName> {
        vec!["views.evens".parse().expect("a name")]
    }

    async fn views(&self) -> Vec<(TableName, SchemaRef)> {
        let columns = Schema::new(vec![Field::new("id", DataType::Int64, true)]);
        let names = self.view_names().await;
        names
            .into_iter()
            .map(|name| (name, Arc::new(columns.clone())))
            .collect()
    }
}

// Goal: views are listed as views, with their columns and schemas. Method: one beside a table.
#[tokio::test]
async fn views_are_listed() {
    let lake = Lake::over(QueryOptions::default(), SystemClock::shared(), Arc::new(OneView)).await;
    let user = Principal::local();
    assert_eq!(lake.service.schemas(&user).await.expect("schemas"), ["gold", "views"]);
    let tables = lake.service.tables(&user).await.expect("tables");
    let found: Vec<(&str, TableKind)> = tables.iter().map(|t| (t.name.as_str(), t.kind)).collect();
    assert_eq!(found, [("numbers", TableKind::Table), ("evens", TableKind::View)]);
    let named = lake.service.tables_named(&user, Some("views"), "evens").await;
    let named = named.expect("a view");
    assert_eq!(named[0].columns.field(0).name(), "id");
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

// Goal: EXPLAIN tells where a statement would run and what it would read, ANALYZE too. Method: explain a scan, both ways.
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
    assert!(rows.contains("manifests") && !rows.contains("footers"), "{rows}");
    let analyzed = lake.rows("EXPLAIN ANALYZE SELECT id FROM numbers WHERE id > 3").await;
    let analyzed = analyzed.join("\n");
    for expected in [
        "output_rows",
        "route",
        "analyzed",
        "gold.numbers",
        "1 of 1 files",
        "manifests",
        "footers",
        "cache",
    ] {
        assert!(analyzed.contains(expected), "no {expected} in:\n{analyzed}");
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

// Goal: statements that change something are carried out once, for those who may, with parameters, and told as drivers expect. Method: one of
// each kind by somebody who may, by somebody who may not, and what a driver is told beforehand.
#[tokio::test]
async fn changes_are_carried_out() {
    let lake = Lake::new().await;
    let local = Principal::local();
    let change = async |sql: &str, parameters: Bytes| {
        let statement = Statement {
            parameters,
            ..Statement::new(sql)
        };
        lake.service.change(&local, &statement).await
    };
    let rows = async |sql: &str, parameters: Bytes| {
        let changed = change(sql, parameters)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {}", error.chain()));
        changed.unwrap_or_else(|| panic!("{sql} is a query")).rows()
    };
    assert!(change("SELECT 1", Bytes::new()).await.expect("a query").is_none());
    let prepared = lake
        .prepare("INSERT INTO numbers (id, name, at) VALUES (?, ?, now())")
        .await
        .expect("prepared");
    assert!(
        prepared.schema.fields().is_empty(),
        "by which drivers know that it returns no rows"
    );
    let told: Vec<&DataType> = prepared
        .parameters
        .fields()
        .iter()
        .map(|field| field.data_type())
        .collect();
    assert_eq!(told, [&DataType::Int64, &DataType::Utf8]);
    let values = row(vec![
        Arc::new(Int64Array::from(vec![100])),
        Arc::new(StringArray::from(vec!["it's"])),
    ]);
    assert_eq!(
        rows("INSERT INTO numbers (id, name, at) VALUES (?, ?, now())", values).await,
        1
    );
    assert_eq!(lake.rows("SELECT name FROM numbers WHERE id = 100").await, ["it's"]);
    let at = row(vec![
        Arc::new(TimestampMicrosecondArray::from(vec![5])),
        Arc::new(Int64Array::from(vec![100])),
    ]);
    assert_eq!(rows("UPDATE numbers SET at = $1 WHERE id >= $2", at).await, 1);
    assert_eq!(
        lake.rows("SELECT count(*) FROM numbers WHERE at = arrow_cast(5, 'Timestamp(µs)')")
            .await,
        ["2"]
    );
    assert_eq!(
        change("DELETE FROM numbers WHERE id = $1", Bytes::new())
            .await
            .expect_err("no value")
            .code(),
        "SQL-0003"
    );
    assert_eq!(rows("DELETE FROM numbers WHERE id = 100", Bytes::new()).await, 1);

    let made = change("CREATE TABLE gold.made AS SELECT 1 AS x", Bytes::new())
        .await
        .expect("made")
        .expect("a command");
    let (_, answer) = made.answer().expect("an answer");
    let ticket = Statement {
        answer,
        ..Statement::new("CREATE TABLE gold.made AS SELECT 1 AS x")
    };
    for _ in 0..2 {
        let told = lake.service.answered(&ticket).expect("readable").expect("an answer");
        let batches: Vec<RecordBatch> = told.batches.try_collect().await.expect("rows");
        assert_eq!(
            cells(&pretty_format_batches(&batches).expect("printable").to_string()),
            ["1"]
        );
    }
    let called = lake
        .prepare("CALL system.expire_snapshots('gold.made')")
        .await
        .expect("prepared");
    assert_eq!(called.schema.fields().len(), 6, "a procedure answers with rows");
}
