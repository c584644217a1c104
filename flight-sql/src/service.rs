//! The query service: everything between a statement and its rows that does not depend on a protocol.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::common::ParamValues;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use tidewater_core::JobId;
use tidewater_engine::{CATALOG, Class, Engine, PlanRequest, PlanRunner, SessionOptions};
use tidewater_security::{Authenticator, Principal, TokenKey};

use crate::error::QueryError;
use crate::flight::sql_info::FunctionNames;
use crate::handle::Statement;
use crate::placeholder::{number_placeholders, placeholder_number};
use crate::wire::{to_wire, wire_schema};

mod listing;
mod read_only;

pub use listing::{TableEntry, TableKind};

/// Limits of the service.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// Queries that run at once; more wait.
    pub queries_max: usize,
    /// How long a query waits for its turn.
    pub queue_timeout: Duration,
    /// How long a query may run.
    pub query_timeout: Duration,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            queries_max: 64,
            queue_timeout: Duration::from_secs(30),
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
        f.debug_struct("Results").field("schema", &self.schema).finish_non_exhaustive()
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

/// Answers statements. Clones share one service.
#[derive(Debug, Clone)]
pub struct QueryService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Engine,
    runner: Arc<dyn PlanRunner>,
    authenticator: Authenticator,
    key: TokenKey,
    options: QueryOptions,
    admission: Arc<Semaphore>,
}

impl QueryService {
    /// Over `engine`, running plans with `runner`. `key` seals handles: the same on all nodes.
    pub fn new(
        engine: Engine,
        runner: Arc<dyn PlanRunner>,
        authenticator: Authenticator,
        key: TokenKey,
        options: QueryOptions,
    ) -> Self {
        let admission = Arc::new(Semaphore::new(options.queries_max));
        Self(Arc::new(Inner {
            engine,
            runner,
            authenticator,
            key,
            options,
            admission,
        }))
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
    pub async fn prepare(&self, _: &Principal, sql: &str) -> Result<Prepared, QueryError> {
        let (_, plan) = self.plan(sql).await?;
        Ok(Prepared {
            schema: wire_schema(plan.schema().as_arrow()),
            parameters: parameter_schema(&plan)?,
        })
    }

    /// Runs a statement with its bound parameters.
    pub async fn run(&self, _: &Principal, statement: &Statement) -> Result<Results, QueryError> {
        let (session, plan) = self.plan(&statement.sql).await?;
        let schema = wire_schema(plan.schema().as_arrow());
        let plan = bind(plan, &statement.parameters)?;
        let permit = self.admit().await?;
        let request = PlanRequest {
            job: JobId(self.0.engine.rng().uuid()),
            session,
            plan,
            class: Class::Interactive,
            deadline: Some(self.0.options.query_timeout),
        };
        let output = self.0.runner.run(request).await?;
        let batches = to_batches(output.stream, Arc::clone(&schema), permit);
        Ok(Results { schema, batches })
    }

    async fn plan(&self, sql: &str) -> Result<(SessionContext, LogicalPlan), QueryError> {
        let session = self.0.engine.session(Class::Interactive, &SessionOptions::default());
        let sql = number_placeholders(sql);
        let plan = self.0.engine.plan(&session, &sql).await?;
        read_only::check(&plan)?;
        Ok((session, plan))
    }

    async fn admit(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        let wait = self.0.options.queue_timeout;
        let turn = tokio::time::timeout(wait, Arc::clone(&self.0.admission).acquire_owned()).await;
        match turn {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(QueryError::Busy {
                running: self.0.options.queries_max,
                waited_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    /// The functions of a session, by what they work on, as far as the engine's documentation tells.
    pub fn functions(&self) -> FunctionNames {
        let mut names = FunctionNames::default();
        let session = self.0.engine.session(Class::Interactive, &SessionOptions::default());
        for (name, function) in session.state().scalar_functions() {
            let section = function.documentation().map_or("", |documentation| documentation.doc_section.label);
            let group = match section {
                "Math Functions" => &mut names.numeric,
                "String Functions" | "Binary String Functions" | "Regular Expression Functions" => &mut names.string,
                "Time and Date Functions" => &mut names.datetime,
                _ => &mut names.system,
            };
            group.push(name.clone());
        }
        for group in [&mut names.numeric, &mut names.string, &mut names.datetime, &mut names.system] {
            group.sort();
        }
        names
    }
}

fn to_batches(
    stream: datafusion::execution::SendableRecordBatchStream,
    schema: SchemaRef,
    permit: OwnedSemaphorePermit,
) -> Batches {
    let wire = stream.map(move |batch| {
        // The turn ends with the last row, or when the client goes away.
        let _running = &permit;
        let parts = to_wire(&batch.map_err(QueryError::run)?, &schema).map_err(QueryError::encoding)?;
        Ok::<_, QueryError>(stream::iter(parts.into_iter().map(Ok)))
    });
    Box::pin(wire.try_flatten())
}

/// The parameters in the order of their numbers. A type nobody can tell is text.
fn parameter_schema(plan: &LogicalPlan) -> Result<SchemaRef, QueryError> {
    let types = plan.get_parameter_types().map_err(QueryError::plan)?;
    let casts = cast_types(plan).map_err(QueryError::plan)?;
    let mut numbered: Vec<(usize, String, DataType)> = Vec::with_capacity(types.len());
    for (name, data_type) in types {
        let number = placeholder_number(&name).ok_or_else(|| QueryError::Parameters {
            reason: format!("placeholder {name} is not numbered: write ? or $1"),
        })?;
        let data_type = data_type.or_else(|| casts.get(&name).cloned()).unwrap_or(DataType::Utf8);
        numbered.push((number, name, data_type));
    }
    numbered.sort_by_key(|(number, ..)| *number);
    let fields: Vec<Field> = numbered
        .into_iter()
        .map(|(_, name, data_type)| Field::new(name, data_type, true))
        .collect();
    Ok(wire_schema(&Schema::new(fields)))
}

/// The types that untyped placeholders are cast to at once, which is how tools say what they will send.
fn cast_types(plan: &LogicalPlan) -> Result<HashMap<String, DataType>, DataFusionError> {
    let mut types = HashMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::Cast(cast) = part
                    && let Expr::Placeholder(placeholder) = cast.expr.as_ref()
                {
                    types.insert(placeholder.id.clone(), cast.field.data_type().clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(types)
}

fn bind(plan: LogicalPlan, parameters: &[u8]) -> Result<LogicalPlan, QueryError> {
    let wanted = plan.get_parameter_types().map_err(QueryError::plan)?.len();
    if wanted == 0 {
        return Ok(plan);
    }
    let values = parameter_values(parameters)?;
    if values.len() < wanted {
        return Err(QueryError::Parameters {
            reason: format!("the statement has {wanted} parameters and {} are bound", values.len()),
        });
    }
    let named: HashMap<String, ScalarValue> = values
        .into_iter()
        .enumerate()
        .map(|(at, value)| ((at + 1).to_string(), value))
        .collect();
    plan.with_param_values(ParamValues::from(named)).map_err(QueryError::plan)
}

fn parameter_values(ipc: &[u8]) -> Result<Vec<ScalarValue>, QueryError> {
    if ipc.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = StreamReader::try_new(ipc, None).map_err(QueryError::encoding)?;
    let Some(row) = reader.next().transpose().map_err(QueryError::encoding)? else {
        return Ok(Vec::new());
    };
    row.columns()
        .iter()
        .map(|column| ScalarValue::try_from_array(column, 0).map_err(QueryError::plan))
        .collect()
}
