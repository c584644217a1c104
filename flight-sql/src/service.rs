//! The query service: everything between a statement and its rows that does not depend on a protocol.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::logical_expr::LogicalPlan;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use tidewater_core::TableName;
use tidewater_engine::{CATALOG, Caller, Class, Engine, EngineError, PlanRunner, SessionOptions, sizes};
use tidewater_security::{Authenticator, Oidc, Principal, SecurityError, TokenKey, Way};

use crate::cache::{CacheOptions, CacheUse, ResultCache};
use crate::error::QueryError;
use crate::handle::Statement;
use crate::held::Held;
use crate::history::{Note, QueryHistory, Sender};
use crate::placeholder::number_placeholders;
use crate::policy::PolicySource;
use crate::postgres::Registry;
use crate::siblings::Siblings;
use crate::texts::Texts;
use crate::wire::{to_wire, wire_schema};

mod answer;
mod authorise;
mod cancelling;
mod client;
mod commands;
mod cut;
mod described;
mod functions;
mod late;
mod listing;
mod parameters;
mod read_only;
mod routed;
mod running;
mod schemas;
mod session;
#[cfg(test)]
pub(crate) mod tests;

use answer::Asked;
pub(crate) use authorise::Basis;
use authorise::told_with;
use client::Client;
pub use commands::Changed;
pub(crate) use cut::{Cause, Cut};
use late::LateSession;
pub use listing::{TableEntry, TableKind};
use running::{Running, Until};
pub(crate) use session::{CACHE_SETTING, WAP_ID};
pub use session::{Opened, Told};

/// Limits of the service.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// Statements at work at once, those that wait where plans run among them; more are refused. Planning takes memory too.
    pub statements_max: usize,
    /// How long a query may run.
    pub query_timeout: Duration,
    /// How much of what was answered is kept.
    pub cache: CacheOptions,
    /// Connections of one user at the PostgreSQL wire; none means as many as there are places.
    pub user_connections_max: Option<usize>,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            // More than the runner lets run and wait, so that it is the one that refuses.
            statements_max: 512,
            query_timeout: Duration::from_secs(300),
            cache: CacheOptions::default(),
            // A fifth of all: more than the pools of one tool, and four others can do the same.
            user_connections_max: Some(1_000),
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
    /// What whoever asks has to know beside them, for people.
    pub warnings: Vec<String>,
    /// What they were made of, for whoever holds them; none where that is nobody's secret.
    pub(crate) basis: Option<Basis>,
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

/// Answers statements. Clones share one service; the second part is whom it answers.
#[derive(Debug, Clone)]
pub struct QueryService(Arc<Inner>, Client);

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
    cache: ResultCache,
    /// Texts that ask for rows: who sends one again need not wait until it is parsed for a change that it is not.
    queries: Texts<()>,
    held: Held,
    policy: Option<Arc<dyn PolicySource>>,
    /// Connections of the PostgreSQL wire.
    connections: Registry,
    siblings: Option<Arc<dyn Siblings>>,
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
        let cache = ResultCache::new(options.cache.clone());
        let held = Held::new(engine.clock().clone());
        let inner = Inner {
            engine,
            runner,
            authenticator,
            key,
            options,
            running,
            sessions,
            history,
            cache,
            queries: Texts::default(),
            held,
            policy: None,
            connections: Registry::default(),
            siblings: None,
        };
        Self(Arc::new(inner), Client::default())
    }

    /// With a history that others look into. To be called before the service is shared; later it has no effect.
    #[must_use]
    pub fn remember(mut self, history: QueryHistory) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.history = history;
        }
        self
    }

    /// With grants that decide what users may do. To be called before the service is shared; later it has no effect.
    #[must_use]
    pub fn govern(mut self, policy: Arc<dyn PolicySource>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.policy = Some(policy);
        }
        self
    }

    /// With other processes, in which what is to end may run. To be called before the service is shared; later it has no effect.
    #[must_use]
    pub fn beside(mut self, siblings: Arc<dyn Siblings>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.siblings = Some(siblings);
        }
        self
    }

    /// Results that are fetched later.
    pub(crate) fn held(&self) -> &Held {
        &self.0.held
    }

    /// Statements at work and those that have ended.
    pub fn history(&self) -> &QueryHistory {
        &self.0.history
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
        let usual = &self.0.engine.options().default_schema;
        self.wanted_schema().unwrap_or(usual)
    }

    /// Checks a password off the async threads.
    pub async fn login(&self, user: String, password: String) -> Result<Principal, QueryError> {
        self.login_from(user, password, None).await
    }

    /// The same for somebody at this address.
    pub async fn login_from(
        &self,
        user: String,
        password: String,
        address: Option<IpAddr>,
    ) -> Result<Principal, QueryError> {
        // A token of another issuer in the place of a password: its keys may have to be fetched.
        if self.authenticator().believes() && !self.authenticator().knows(&user) && Oidc::may_be(&password) {
            let login = match self.authenticator().admit(&password).await {
                Ok(principal) if principal.name != user => Err(SecurityError::BadCredentials),
                login => login,
            };
            return Ok(self.authenticator().noted(Way::Token, Some(&user), address, login)?);
        }
        let service = self.clone();
        let login = tokio::task::spawn_blocking(move || service.authenticator().login_from(&user, &password, address));
        match login.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(SecurityError::BadCredentials.into()),
        }
    }

    /// Plans a statement without running it.
    pub async fn prepare(&self, principal: &Principal, sql: &str) -> Result<Prepared, QueryError> {
        if let Some(prepared) = self.prepared_command(principal, sql, self.settings()).await? {
            return Ok(prepared);
        }
        let (_, plan) = self.plan_or_note(principal, sql).await?;
        Ok(Prepared {
            schema: wire_schema(plan.schema().as_arrow()),
            parameters: parameters::told(&plan)?,
        })
    }

    /// A name for one asking of a statement.
    pub fn fresh_id(&self) -> Uuid {
        self.0.engine.rng().uuid()
    }

    /// Runs a statement with its bound parameters.
    pub async fn run(&self, principal: &Principal, statement: &Statement) -> Result<Results, QueryError> {
        let (results, _) = self.run_and_tell(principal, statement).await?;
        Ok(results)
    }

    /// The same, with what became of it in the cache.
    pub async fn run_and_tell(
        &self,
        principal: &Principal,
        statement: &Statement,
    ) -> Result<(Results, CacheUse), QueryError> {
        let deadline = self.deadline();
        self.noted(principal, statement, deadline, async |note: &Note| {
            let since = Some(self.clock().monotonic());
            let (session, plan) = self.plan(principal, &statement.sql).await?;
            let unbound = Arc::clone(plan.schema());
            let plan = parameters::bind(plan, &statement.parameters)?;
            let asked = Asked {
                session,
                wire: parameters::bound_schema(unbound.as_arrow(), &plan),
                plan,
                deadline,
                since,
                cached: self.1.cached,
            };
            Box::pin(self.answer(principal, asked, note)).await
        })
        .await
    }

    /// Begins a statement among those at work, and takes note of it to its end.
    async fn noted(
        &self,
        principal: &Principal,
        statement: &Statement,
        deadline: Duration,
        start: impl AsyncFnOnce(&Note) -> Result<(Results, CacheUse), QueryError>,
    ) -> Result<(Results, CacheUse), QueryError> {
        let mut note = self.note(principal, statement);
        let at_work = match self.0.running.enter(note.id(), principal) {
            Ok(at_work) => at_work,
            Err(error) => return note.end(Err(error)),
        };
        note.may_be_cut(at_work.cause());
        let until = Until::after(self.clock().monotonic(), deadline);
        let work = self.caller(principal).scope(start(&note));
        match Box::pin(at_work.run(work)).await {
            Ok((started, how)) => {
                if let Err(error) = note.kept().await {
                    return note.end(Err(error));
                }
                let results = Results {
                    batches: at_work.rows(note.follow(started.batches), until),
                    ..started
                };
                Ok((results, how))
            }
            Err(error) => note.end(Err(error)),
        }
    }

    /// Rows that are held, while they are fetched: among what is at work, and no longer than a statement.
    pub(crate) fn fetched(&self, principal: &Principal, id: Uuid, rows: Batches) -> Result<Batches, QueryError> {
        let at_work = self.0.running.enter(id, principal)?;
        let until = Until::after(self.clock().monotonic(), self.deadline());
        Ok(at_work.rows(rows, until))
    }

    /// How far a statement is, if it is at work here and that can be told: from 0 to less than 1.
    pub(crate) fn progress(&self, id: Uuid) -> Option<f64> {
        self.0.running.progress(id)?.fraction()
    }

    /// Ends a statement by a limit that is looked after elsewhere.
    pub(crate) fn cut(&self, id: Uuid, cut: Cut) {
        self.0.running.cut(id, cut);
    }

    /// Ends statements that are over time and whose rows nobody takes.
    pub(crate) fn end_late(&self) {
        let ended = self.0.running.end_late(self.clock().monotonic());
        if ended > 0 {
            tracing::info!(ended, "statements over time whose clients take no rows");
        }
    }

    /// Takes note of a statement; a prepared one has no name of its own, but each asking of it has.
    fn note(&self, principal: &Principal, statement: &Statement) -> Note {
        let id = match statement.id.is_nil() {
            true => self.fresh_id(),
            false => statement.id,
        };
        let sender = Sender {
            principal,
            front: self.1.front,
            client: &self.1.name,
            address: self.1.address,
        };
        self.0.history.begin(id, sender, &statement.sql)
    }

    /// Users have shares of their own where there are users.
    fn caller(&self, principal: &Principal) -> Caller {
        match self.0.authenticator.required() {
            true => Caller::user(principal.name.clone()),
            false => Caller::default(),
        }
    }

    /// Plans a statement that is not run now; what cannot be planned is all that becomes of it.
    async fn plan_or_note(&self, principal: &Principal, sql: &str) -> Result<(LateSession, LogicalPlan), QueryError> {
        let planned = self.plan(principal, sql).await;
        self.or_note(principal, sql, planned)
    }

    /// Takes note of a statement that is refused before it is asked for: drivers ask first what it will look like, and go no further.
    fn or_note<T>(&self, principal: &Principal, sql: &str, told: Result<T, QueryError>) -> Result<T, QueryError> {
        match told {
            Ok(told) => Ok(told),
            refused => self.note(principal, &Statement::new(sql)).end(refused),
        }
    }

    async fn plan(&self, principal: &Principal, sql: &str) -> Result<(LateSession, LogicalPlan), QueryError> {
        let sql = number_placeholders(sql);
        let client = SessionOptions {
            execution: self.1.execution,
            ..self.settings()
        };
        let client = self.seen_by(principal, client)?;
        let options = self.0.sessions.options(&sql, client).await;
        self.plan_with(&sql, options).await
    }

    /// Plans a statement for a session with these options, which is made only if it is not planned yet.
    async fn plan_with(&self, sql: &str, options: SessionOptions) -> Result<(LateSession, LogicalPlan), QueryError> {
        let engine = &self.0.engine;
        let session = LateSession::new(engine.clone(), options, sql);
        let plan = match engine.known_plan(session.options(), sql).await {
            Ok(None) => Box::pin(engine.plan(session.made(), sql)).await,
            Ok(Some(plan)) => Ok(plan),
            Err(error) => Err(error),
        };
        let plan = plan.map_err(|error| told_with(session.options(), sql, error.into()))?;
        read_only::check(&plan)?;
        Ok((session, plan))
    }

    /// The plan of a statement that is not to be run.
    async fn planned(&self, options: &SessionOptions, sql: &str) -> Result<LogicalPlan, QueryError> {
        let session = self.0.engine.session(Class::Interactive, options);
        Ok(Box::pin(self.0.engine.plan(&session, sql)).await?)
    }
}

/// Rows as messages for clients. While they wait there they are charged to `memory`, which does not refuse them: they are there.
fn to_batches(stream: SendableRecordBatchStream, schema: SchemaRef, memory: MemoryReservation) -> Batches {
    let wire = stream.map(move |batch| {
        // Whoever asks for more has taken the messages of before.
        memory.free();
        let parts = to_wire(&batch.map_err(EngineError::from)?, &schema).map_err(QueryError::encoding)?;
        memory.grow(parts.iter().map(sizes::of_batch).sum());
        Ok::<_, QueryError>(stream::iter(parts.into_iter().map(Ok)))
    });
    Box::pin(wire.try_flatten())
}
