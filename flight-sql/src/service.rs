//! The query service: everything between a statement and its rows that does not depend on a protocol.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use tidewater_core::{JobId, TableName};
use tidewater_engine::explain::with_route;
use tidewater_engine::{
    CATALOG, Caller, Class, Engine, EngineError, PlanOutput, PlanRequest, PlanRunner, SessionOptions,
};
use tidewater_security::{Authenticator, Principal, TokenKey};

use crate::error::QueryError;
use crate::flight::sql_info::FunctionNames;
use crate::handle::Statement;
use crate::history::{Note, QueryHistory};
use crate::placeholder::number_placeholders;
use crate::wire::{to_wire, wire_schema};

mod commands;
mod listing;
mod parameters;
mod read_only;
mod running;
mod session;
#[cfg(test)]
pub(crate) mod tests;

pub use commands::Changed;
pub use listing::{TableEntry, TableKind};
use running::Running;
pub use session::{Opened, Told};

/// Longest name of a client that is kept.
const CLIENT_BYTES_MAX: usize = 128;

/// Limits of the service.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// Statements at work at once, those that wait where plans run among them; more are refused. Planning takes memory too.
    pub statements_max: usize,
    /// How long a query may run.
    pub query_timeout: Duration,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            // More than the runner lets run and wait, so that it is the one that refuses.
            statements_max: 512,
            query_timeout: Duration::from_secs(300),
        }
    }
}

/// Rows as they come.
pub type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch, QueryError>> + Send>>;

/// A running query.
pub struct Results {
    /// The wire schema of every batch.
    pub schema: SchemaRef,
    /// The rows. Dropping them ends the work.
    pub batches: Batches,
}

impl std::fmt::Debug for Results {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Results")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// A planned statement.
#[derive(Debug)]
pub struct Prepared {
    /// The wire schema of its rows.
    pub schema: SchemaRef,
    /// Its parameters in order.
    pub parameters: SchemaRef,
}

/// Gives each statement what its session has beside the catalog's tables.
#[async_trait]
pub trait SessionSource: std::fmt::Debug + Send + Sync {
    /// For this statement, on top of what its client has set.
    async fn options(&self, sql: &str, client: SessionOptions) -> SessionOptions;

    /// Names of the views that statements may name.
    async fn view_names(&self) -> Vec<TableName> {
        Vec::new()
    }

    /// Those of the views that can be read now, with their columns.
    async fn views(&self) -> Vec<(TableName, SchemaRef)> {
        Vec::new()
    }
}

/// Sessions that see the catalog's tables and nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainSessions;

#[async_trait]
impl SessionSource for PlainSessions {
    async fn options(&self, _: &str, client: SessionOptions) -> SessionOptions {
        client
    }
}

/// Answers statements. Clones share one service; the second part is what the client calls itself.
#[derive(Debug, Clone)]
pub struct QueryService(Arc<Inner>, Arc<str>);

#[derive(Debug)]
struct Inner {
    engine: Engine,
    runner: Arc<dyn PlanRunner>,
    authenticator: Authenticator,
    key: TokenKey,
    options: QueryOptions,
    running: Running,
    sessions: Arc<dyn SessionSource>,
    history: QueryHistory,
}

impl QueryService {
    /// Over `engine`, running plans with `runner`. `key` seals handles: the same on all nodes.
    pub fn new(
        engine: Engine,
        runner: Arc<dyn PlanRunner>,
        authenticator: Authenticator,
        key: TokenKey,
        options: QueryOptions,
        sessions: Arc<dyn SessionSource>,
    ) -> Self {
        let running = Running::new(options.statements_max);
        let history = QueryHistory::new(engine.clock().clone());
        let inner = Inner {
            engine,
            runner,
            authenticator,
            key,
            options,
            running,
            sessions,
            history,
        };
        Self(Arc::new(inner), Arc::from(""))
    }

    /// With a history that others look into. To be called before the service is shared; later it has no effect.
    #[must_use]
    pub fn remember(mut self, history: QueryHistory) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.history = history;
        }
        self
    }

    /// The same service for a client that calls itself so.
    #[must_use]
    pub fn of_client(&self, client: &str) -> Self {
        let client = client.get(..CLIENT_BYTES_MAX.min(client.len())).unwrap_or_default();
        Self(Arc::clone(&self.0), Arc::from(client))
    }

    /// Statements at work and those that have ended.
    pub fn history(&self) -> &QueryHistory {
        &self.0.history
    }

    /// Ends a statement, whoever runs it. False: it is not at work here.
    pub fn end(&self, id: Uuid) -> bool {
        self.0.running.end(id)
    }

    /// Who lets users in.
    pub fn authenticator(&self) -> &Authenticator {
        &self.0.authenticator
    }

    /// Seals handles and tickets.
    pub fn key(&self) -> &TokenKey {
        &self.0.key
    }

    /// The one catalog.
    pub fn catalog_name(&self) -> &str {
        CATALOG
    }

    /// The schema of names that have none.
    pub fn default_schema(&self) -> &str {
        &self.0.engine.options().default_schema
    }

    /// Checks a password off the async threads.
    pub async fn login(&self, user: String, password: String) -> Result<Principal, QueryError> {
        let service = self.clone();
        let login = tokio::task::spawn_blocking(move || service.authenticator().login(&user, &password));
        match login.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(tidewater_security::SecurityError::BadCredentials.into()),
        }
    }

    /// Plans a statement without running it.
    pub async fn prepare(&self, principal: &Principal, sql: &str) -> Result<Prepared, QueryError> {
        if let Some(prepared) = self.prepared_command(principal, sql).await? {
            return Ok(prepared);
        }
        let (_, plan) = self.plan_or_note(principal, sql).await?;
        Ok(Prepared {
            schema: wire_schema(plan.schema().as_arrow()),
            parameters: parameters::told(&plan)?,
        })
    }

    /// The schema of a statement's rows with what is bound now: values decide the types that the text left open.
    pub async fn result_schema(&self, principal: &Principal, statement: &Statement) -> Result<SchemaRef, QueryError> {
        let (_, mut plan) = self.plan_or_note(principal, &statement.sql).await?;
        if !statement.parameters.is_empty() {
            plan = parameters::bind(plan, &statement.parameters)?;
        }
        Ok(wire_schema(plan.schema().as_arrow()))
    }

    /// A name for one asking of a statement.
    pub fn fresh_id(&self) -> Uuid {
        self.0.engine.rng().uuid()
    }

    /// Ends a statement that this principal runs, wherever its rows come from. False when there is none of theirs here that
    /// could be ended.
    pub fn cancel(&self, principal: &Principal, statement: &Statement) -> bool {
        self.0.running.cancel(statement.id, principal)
    }

    /// Runs a statement with its bound parameters.
    pub async fn run(&self, principal: &Principal, statement: &Statement) -> Result<Results, QueryError> {
        let note = self.note(principal, statement);
        let at_work = match self.0.running.enter(note.id(), principal) {
            Ok(at_work) => at_work,
            Err(error) => return note.end(Err(error)),
        };
        let work = self.caller(principal).scope(self.start(statement, &note));
        match Box::pin(at_work.run(work)).await {
            Ok(started) => Ok(Results {
                batches: at_work.rows(note.follow(started.batches)),
                ..started
            }),
            Err(error) => note.end(Err(error)),
        }
    }

    async fn start(&self, statement: &Statement, note: &Note) -> Result<Results, QueryError> {
        let (session, plan) = self.plan(&statement.sql).await?;
        let plan = parameters::bind(plan, &statement.parameters)?;
        note.planned(&plan);
        let schema = wire_schema(plan.schema().as_arrow());
        let request = PlanRequest {
            job: JobId(self.0.engine.rng().uuid()),
            session,
            plan,
            class: Class::Interactive,
            deadline: Some(self.0.options.query_timeout),
        };
        let output = match &request.plan {
            LogicalPlan::Explain(_) => self.explain(request).await?,
            _ => self.0.runner.run(request).await?,
        };
        note.routed(&output.route);
        let batches = to_batches(output.stream, Arc::clone(&schema));
        Ok(Results { schema, batches })
    }

    /// Takes note of a statement; a prepared one has no name of its own, but each asking of it has.
    fn note(&self, principal: &Principal, statement: &Statement) -> Note {
        let id = match statement.id.is_nil() {
            true => self.fresh_id(),
            false => statement.id,
        };
        self.0.history.begin(id, principal, &self.1, &statement.sql)
    }

    /// Users have shares of their own where there are users.
    fn caller(&self, principal: &Principal) -> Caller {
        match self.0.authenticator.required() {
            true => Caller::user(principal.name.clone()),
            false => Caller::default(),
        }
    }

    /// Plans a statement that is not run now; what cannot be planned is all that becomes of it.
    async fn plan_or_note(
        &self,
        principal: &Principal,
        sql: &str,
    ) -> Result<(SessionContext, LogicalPlan), QueryError> {
        let planned = self.plan(sql).await;
        if planned.is_ok() {
            return planned;
        }
        self.note(principal, &Statement::new(sql)).end(planned)
    }

    /// An explanation also tells where the statement would run, and what it would read.
    async fn explain(&self, request: PlanRequest) -> Result<PlanOutput, QueryError> {
        let engine = &self.0.engine;
        let mut explained = request.clone();
        if let LogicalPlan::Explain(explain) = &request.plan {
            explained.plan = explain.plan.as_ref().clone();
        }
        let route = self.0.runner.route(&explained).await?;
        let estimate = engine.estimate(&explained.session, &explained.plan).await?;
        let output = self.0.runner.run(request).await?;
        Ok(with_route(output, &route, &estimate)?)
    }

    async fn plan(&self, sql: &str) -> Result<(SessionContext, LogicalPlan), QueryError> {
        let sql = number_placeholders(sql);
        let options = self.0.sessions.options(&sql, SessionOptions::default()).await;
        let session = self.0.engine.session(Class::Interactive, &options);
        let plan = Box::pin(self.0.engine.plan(&session, &sql)).await?;
        read_only::check(&plan)?;
        Ok((session, plan))
    }

    /// The plan of a statement that is not to be run.
    async fn planned(&self, sql: &str) -> Result<LogicalPlan, QueryError> {
        let options = self.0.sessions.options(sql, SessionOptions::default()).await;
        let session = self.0.engine.session(Class::Interactive, &options);
        Ok(Box::pin(self.0.engine.plan(&session, sql)).await?)
    }

    /// The functions of a session, by what they work on, as far as the engine's documentation tells.
    pub fn functions(&self) -> FunctionNames {
        let mut names = FunctionNames::default();
        let session = self.0.engine.session(Class::Interactive, &SessionOptions::default());
        for (name, function) in session.state().scalar_functions() {
            let section = function
                .documentation()
                .map_or("", |documentation| documentation.doc_section.label);
            let group = match section {
                "Math Functions" => &mut names.numeric,
                "String Functions" | "Binary String Functions" | "Regular Expression Functions" => &mut names.string,
                "Time and Date Functions" => &mut names.datetime,
                _ => &mut names.system,
            };
            group.push(name.clone());
        }
        for group in [
            &mut names.numeric,
            &mut names.string,
            &mut names.datetime,
            &mut names.system,
        ] {
            group.sort();
        }
        names
    }
}

fn to_batches(stream: SendableRecordBatchStream, schema: SchemaRef) -> Batches {
    let wire = stream.map(move |batch| {
        let parts = to_wire(&batch.map_err(EngineError::from)?, &schema).map_err(QueryError::encoding)?;
        Ok::<_, QueryError>(stream::iter(parts.into_iter().map(Ok)))
    });
    Box::pin(wire.try_flatten())
}
