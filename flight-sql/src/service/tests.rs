//! The service over one table, and what all its tests ask with.

mod authorise;
mod changes;
mod columns;
mod cut;
mod files;
mod fleet;
pub(crate) mod granted;
mod judged;
mod kept;
mod listed;
mod makers;
mod meant;
mod policies;
mod readers;
mod renamed;
mod reserved;
mod rows;
pub(crate) mod siblings;
mod told;
mod values;
mod words;
mod work;

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
use tidewater_security::{Authorizer, Grants, UserSettings};
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

    /// A service over the same tables for these users, whose grants and policies somebody else tells. They do what their roles let them
    /// until something is granted.
    pub(crate) fn for_users(&self, users: Vec<UserSettings>) -> (QueryService, Authorizer) {
        let inner = &self.service.0;
        let clock = inner.engine.clock().clone();
        let users = Authenticator::new(users, inner.key.clone(), clock).expect("good users");
        let users = users.binding_by(Grants::WhenMade);
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
