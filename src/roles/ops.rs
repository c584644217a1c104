//! The schema `ops`: what this installation knows of itself, as tables that SQL reads.

mod audit;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;

use tidewater_catalog_client::dto::JobRow;
use tidewater_catalog_client::{CatalogClient, JobFilter};
use tidewater_core::TableName;
use tidewater_engine::live::{LiveFiles, LiveRows, LiveTable};
use tidewater_engine::{EngineError, RunnerError, SessionOptions, Warnings};
use tidewater_flight_sql::{Fleet, QueryRecord, SessionSource};

use self::audit::Audit;
use crate::control::name_of;

const SCHEMA: &str = tidewater_core::reserved::OPS;

/// Sessions that see `ops` beside what another source gives them.
#[derive(Debug)]
pub(super) struct OpsTables<S> {
    inner: S,
    tables: Vec<Table>,
}

/// One of them.
#[derive(Debug)]
struct Table {
    rows: Arc<LiveTable>,
    schema: SchemaRef,
    /// Whether it is there for those who may read who did what, and for nobody else.
    is_audit: bool,
}

impl Table {
    /// None for what can be no name.
    fn new(name: &str, schema: SchemaRef, rows: impl FnOnce(TableName) -> LiveTable) -> Option<Self> {
        let name = format!("{SCHEMA}.{name}").parse::<TableName>().ok()?;
        Some(Self {
            rows: Arc::new(rows(name)),
            schema,
            is_audit: false,
        })
    }

    fn of_audit(self) -> Self {
        Self { is_audit: true, ..self }
    }

    fn name(&self) -> TableName {
        self.rows.name().clone()
    }
}

impl<S> OpsTables<S> {
    /// With the audit log of this folder.
    pub(super) fn beside(inner: S, queries: Fleet, catalog: &CatalogClient, audit: PathBuf) -> Self {
        let processes = Processes(queries.clone());
        let queries = Queries(queries);
        let jobs = Jobs(catalog.clone());
        let audit = Audit::of(audit);
        let tables = [
            Table::new("queries", queries.schema(), |name| LiveTable::new(name, queries)),
            Table::new("jobs", jobs.schema(), |name| LiveTable::new(name, jobs)),
            Table::new("processes", processes.schema(), |name| LiveTable::new(name, processes)),
            Table::new("audit", audit.schema(), |name| LiveTable::of_files(name, audit)).map(Table::of_audit),
        ];
        let tables = tables.into_iter().flatten().collect();
        Self { inner, tables }
    }
}

#[async_trait]
impl<S: SessionSource> SessionSource for OpsTables<S> {
    async fn options(&self, sql: &str, client: SessionOptions) -> SessionOptions {
        let reads_audit = client.reads_audit;
        let mut options = self.inner.options(sql, client).await;
        for table in self.tables.iter().filter(|table| !table.is_audit || reads_audit) {
            options = options.overlay(table.name(), Arc::clone(&table.rows) as _);
        }
        options
    }

    async fn view_names(&self) -> Vec<TableName> {
        let mut names = self.inner.view_names().await;
        names.extend(self.tables.iter().map(Table::name));
        names
    }

    async fn views(&self) -> Vec<(TableName, SchemaRef)> {
        let mut views = self.inner.views().await;
        let own = self.tables.iter();
        views.extend(own.map(|table| (table.name(), Arc::clone(&table.schema))));
        views
    }
}

/// The statements of this process and of its siblings.
#[derive(Debug)]
struct Queries(Fleet);

/// The processes that answer statements: this one and its siblings, and why nothing is known of some.
#[derive(Debug)]
struct Processes(Fleet);

/// The jobs of the whole installation, as the catalog keeps them.
#[derive(Debug)]
struct Jobs(CatalogClient);

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

fn time(name: &str) -> Field {
    Field::new(
        name,
        DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())),
        true,
    )
}

fn list(name: &str, of: DataType) -> Field {
    Field::new(name, DataType::List(Arc::new(Field::new("item", of, true))), true)
}

fn texts<'a, T: 'a>(rows: &'a [T], value: impl Fn(&'a T) -> Option<&'a str>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<StringArray>())
}

fn counts<T>(rows: &[T], value: impl Fn(&T) -> Option<u64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<UInt64Array>())
}

fn times<T>(rows: &[T], value: impl Fn(&T) -> Option<i64>) -> ArrayRef {
    let times: TimestampMillisecondArray = rows.iter().map(value).collect();
    Arc::new(times.with_timezone("+00:00"))
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, EngineError> {
    RecordBatch::try_new(schema, columns).map_err(|error| EngineError::WriteAnswer {
        reason: error.to_string(),
    })
}

#[async_trait]
impl LiveRows for Queries {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            text("id", false),
            text("user", false),
            text("client", false),
            text("front", false),
            text("address", true),
            text("hash", false),
            text("statement", false),
            list("tables", DataType::Utf8),
            list("snapshots", DataType::Int64),
            Field::new("rows", DataType::UInt64, false),
            Field::new("bytes", DataType::UInt64, false),
            time("began"),
            Field::new("queue_ms", DataType::UInt64, false),
            text("route", true),
            text("reason", true),
            text("cache", true),
            text("error", true),
            Field::new("duration_ms", DataType::UInt64, true),
            text("process", false),
        ]))
    }

    async fn rows(&self, warnings: &Warnings) -> Result<RecordBatch, EngineError> {
        let everywhere = self.0.statements(false).await;
        for missing in everywhere.missing {
            warnings.warn(missing);
        }
        let (mut processes, mut rows): (Vec<String>, Vec<QueryRecord>) = (Vec::new(), Vec::new());
        for known in everywhere.processes {
            processes.extend(std::iter::repeat_n(known.process.name, known.statements.len()));
            rows.extend(known.statements);
        }
        let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
        let addresses = rows.iter().map(|row| row.address.map(|address| address.to_string()));
        let addresses: Vec<Option<String>> = addresses.collect();
        let mut tables = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
        for row in &rows {
            for table in &row.tables {
                tables.values().append_value(table);
            }
            tables.append(true);
        }
        let snapshots = rows
            .iter()
            .map(|row| Some(row.snapshots.iter().copied().map(Some).collect::<Vec<_>>()));
        batch(
            self.schema(),
            vec![
                texts(&ids, |id| Some(id)),
                texts(&rows, |row| Some(&row.user)),
                texts(&rows, |row| Some(&row.client)),
                texts(&rows, |row| Some(&row.front)),
                texts(&addresses, |address| address.as_deref()),
                texts(&rows, |row| Some(&row.hash)),
                texts(&rows, |row| Some(&row.statement)),
                Arc::new(tables.finish()),
                Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(snapshots)),
                counts(&rows, |row| Some(row.rows)),
                counts(&rows, |row| Some(row.bytes)),
                times(&rows, |row| Some(row.began_ms)),
                counts(&rows, |row| Some(row.queue_ms)),
                texts(&rows, |row| row.route.as_deref()),
                texts(&rows, |row| row.reason.as_deref()),
                texts(&rows, |row| row.cache.as_deref()),
                texts(&rows, |row| row.error.as_deref()),
                counts(&rows, |row| row.duration_ms),
                texts(&processes, |process| Some(process)),
            ],
        )
    }
}

#[async_trait]
impl LiveRows for Processes {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            text("process", true),
            Field::new("statements_at_work", DataType::UInt64, true),
            text("problem", true),
        ]))
    }

    async fn rows(&self, _: &Warnings) -> Result<RecordBatch, EngineError> {
        let everywhere = self.0.statements(true).await;
        let known = everywhere.processes.iter().map(|known| {
            let at_work = u64::try_from(known.statements.len()).unwrap_or(u64::MAX);
            (Some(known.process.name.as_str()), Some(at_work), None)
        });
        let missing = everywhere
            .missing
            .iter()
            .map(|missing| (None, None, Some(missing.as_str())));
        let rows: Vec<(Option<&str>, Option<u64>, Option<&str>)> = known.chain(missing).collect();
        batch(
            self.schema(),
            vec![
                texts(&rows, |(process, _, _)| *process),
                counts(&rows, |(_, at_work, _)| *at_work),
                texts(&rows, |(_, _, problem)| *problem),
            ],
        )
    }
}

#[async_trait]
impl LiveRows for Jobs {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            text("id", false),
            text("kind", false),
            text("name", true),
            text("phase", false),
            time("created"),
            time("updated"),
            Field::new("duration_ms", DataType::Int64, true),
            Field::new("rows_written", DataType::Int64, true),
            Field::new("snapshot_id", DataType::Int64, true),
            Field::new("attempts", DataType::Int64, true),
            text("error", true),
            text("detail", false),
        ]))
    }

    async fn rows(&self, _: &Warnings) -> Result<RecordBatch, EngineError> {
        let found = self.0.jobs(&JobFilter::default()).await;
        let rows: Vec<JobRow> = found.map_err(|error| EngineError::Runner(RunnerError::new(error)))?;
        let own: Vec<[String; 3]> = rows
            .iter()
            .map(|row| {
                let phase = format!("{:?}", row.phase).to_lowercase();
                [row.id.to_string(), phase, row.body.to_string()]
            })
            .collect();
        let number = |path: &'static str| -> ArrayRef {
            let values = rows.iter().map(|row| row.body.pointer(path)?.as_i64());
            Arc::new(values.collect::<Int64Array>())
        };
        let error = |row: &JobRow| -> Option<String> {
            let paths = ["/run/failure/code", "/problem"];
            let found = paths.iter().find_map(|path| row.body.pointer(path)?.as_str());
            found.map(str::to_owned)
        };
        let errors: Vec<Option<String>> = rows.iter().map(error).collect();
        batch(
            self.schema(),
            vec![
                texts(&own, |[id, _, _]| Some(id)),
                texts(&rows, |row| Some(&row.kind)),
                texts(&rows, |row| name_of(row)),
                texts(&own, |[_, phase, _]| Some(phase)),
                times(&rows, |row| Some(row.created_at_ms)),
                times(&rows, |row| Some(row.updated_at_ms)),
                number("/run/duration_ms"),
                number("/run/rows/written"),
                number("/run/snapshot_id"),
                number("/run/attempts"),
                texts(&errors, |error| error.as_deref()),
                texts(&own, |[_, _, detail]| Some(detail)),
            ],
        )
    }
}
