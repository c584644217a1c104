//! Statements of clients that keep a session: with settings of their own, values that have types, and tables as they stood at one
//! moment.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use uuid::Uuid;

use tidewater_core::{SharedClock, SharedRng};
use tidewater_engine::pg_catalog::Relations;
use tidewater_engine::{EngineError, SessionOptions};
use tidewater_security::Principal;

use super::late::LateSession;
use super::{Asked, Changed, QueryService, Results, parameters};
use crate::cache::CacheUse;
use crate::error::QueryError;
use crate::handle::Statement;
use crate::history::Note;
use crate::wire::wire_schema;

/// The setting by which a session says whether it takes rows that are kept.
pub(crate) const CACHE_SETTING: &str = "tidewater.cache";

/// The setting by which writes are staged under an id.
pub(crate) const WAP_ID: &str = "tidewater.wap_id";

/// What is known of a statement before it runs.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its columns; `None` where it answers with none.
    pub columns: Option<SchemaRef>,
    /// The types of its parameters in order, as far as they can be told.
    pub parameters: Vec<Option<DataType>>,
    /// Whether it changes something.
    pub changes: bool,
}

/// A statement that has begun, or is done.
#[derive(Debug)]
pub enum Opened {
    /// Its rows, and what became of it in the cache where it was asked of the service now.
    Rows(Results, Option<CacheUse>),
    /// What it changed.
    Changed(Changed),
}

impl QueryService {
    /// The clock that deadlines are told by.
    pub fn clock(&self) -> &SharedClock {
        self.0.engine.clock()
    }

    /// The source of secrets that are made up.
    pub fn rng(&self) -> &SharedRng {
        self.0.engine.rng()
    }

    /// The longest time that a statement may take.
    pub fn query_timeout(&self) -> Duration {
        self.0.options.query_timeout
    }

    /// Connections that one user may have at the PostgreSQL wire. None where nobody has to say who they are: all are one user then.
    pub(crate) fn user_connections_max(&self) -> Option<usize> {
        let most = self.0.options.user_connections_max;
        most.filter(|_| self.authenticator().required())
    }

    /// Statements at work now.
    #[cfg(test)]
    pub(crate) fn at_work(&self) -> usize {
        self.0.running.count()
    }

    /// What can be told of a statement without running it.
    pub async fn tell(&self, principal: &Principal, sql: &str, client: &SessionOptions) -> Result<Told, QueryError> {
        if let Some(prepared) = self.prepared_command(principal, sql, client.clone()).await? {
            let fields = prepared.parameters.fields().iter();
            return Ok(Told {
                columns: Some(prepared.schema).filter(|schema| !schema.fields().is_empty()),
                parameters: fields.map(|field| Some(field.data_type().clone())).collect(),
                changes: true,
            });
        }
        let planned = self.plan_as(principal, sql, client).await;
        let (_, plan) = self.or_note(principal, sql, planned)?;
        let types = parameters::numbered(&plan)?;
        let count = types.last_key_value().map_or(0, |(number, _)| *number);
        let parameters: Vec<Option<DataType>> = (1..=count).map(|at| types.get(&at).cloned().flatten()).collect();
        // What the client said counts, as it is what will be bound.
        let said = |at: usize| client.postgres.as_ref()?.parameters.get(at)?.as_ref();
        let nulls = parameters
            .iter()
            .enumerate()
            .map(|(at, of)| ScalarValue::try_from(said(at).or(of.as_ref()).unwrap_or(&DataType::Utf8)));
        let nulls = nulls.collect::<Result<Vec<_>, _>>().map_err(EngineError::from)?;
        let plan = with_values(plan, nulls)?;
        Ok(Told {
            columns: Some(wire_schema(plan.schema().as_arrow())),
            parameters,
            changes: false,
        })
    }

    /// The statement with the schemas of those of its names that are found behind the first schema of the session; `None` where it means
    /// what it says.
    pub async fn on_path(
        &self,
        principal: &Principal,
        sql: &str,
        client: &SessionOptions,
    ) -> Result<Option<String>, QueryError> {
        let Some(postgres) = client.postgres.as_ref().filter(|postgres| postgres.schemas.len() > 1) else {
            return Ok(None);
        };
        let seen = self.seen_by(principal, client.clone())?;
        let views = self.0.sessions.view_names().await;
        Ok(self.0.engine.on_path(&seen, &postgres.schemas, &views, sql).await?)
    }

    /// Runs a statement under this id, with these values in the places of its parameters.
    pub async fn open(
        &self,
        principal: &Principal,
        id: Uuid,
        sql: &str,
        values: Vec<ScalarValue>,
        client: &SessionOptions,
        deadline: Duration,
    ) -> Result<Opened, QueryError> {
        let statement = Statement {
            id,
            parameters: row(&values)?,
            ..Statement::new(sql)
        };
        let changed = Box::pin(self.change_as(principal, &statement, client.clone(), deadline));
        if let Some(changed) = changed.await? {
            return Ok(Opened::Changed(changed));
        }
        let started = self.noted(principal, &statement, deadline, async |note: &Note| {
            let asked = self.asked(principal, sql, values, client, deadline).await?;
            Box::pin(self.answer(principal, asked, note)).await
        });
        let (results, how) = Box::pin(started).await?;
        Ok(Opened::Rows(results, Some(how)))
    }

    /// What there is, as tools that know PostgreSQL ask for it.
    pub async fn relations(&self, principal: &Principal) -> Result<Arc<Relations>, QueryError> {
        let access = self.access(principal)?;
        let views = self.0.sessions.views().await;
        let relations = self.0.engine.relations(views).await?;
        let relations = match access {
            Some(access) => Arc::new(Arc::unwrap_or_clone(relations).seen_by(&access)),
            None => relations,
        };
        Ok(match self.row_policies(principal) {
            Some(_) => Arc::new(Arc::unwrap_or_clone(relations).without_counts()),
            None => relations,
        })
    }

    async fn asked(
        &self,
        principal: &Principal,
        sql: &str,
        values: Vec<ScalarValue>,
        client: &SessionOptions,
        deadline: Duration,
    ) -> Result<Asked, QueryError> {
        let bears = client.moment.is_empty() && client.one_moment.is_none() && !client.in_transaction;
        let since = bears.then(|| self.clock().monotonic());
        let (session, plan) = self.plan_as(principal, sql, client).await?;
        let wanted = parameters::numbered(&plan)?
            .last_key_value()
            .map_or(0, |(number, _)| *number);
        if values.len() < wanted {
            return Err(QueryError::Parameters {
                reason: format!("the statement has {wanted} parameters and {} are bound", values.len()),
            });
        }
        let settings = client.postgres.as_ref().map(|postgres| &postgres.settings);
        let setting = settings.and_then(|settings| settings.get(CACHE_SETTING));
        let plan = with_values(plan, values)?;
        Ok(Asked {
            session,
            wire: wire_schema(plan.schema().as_arrow()),
            plan,
            deadline,
            since,
            cached: self.1.cached && setting.is_none_or(|setting| setting != "off"),
        })
    }

    /// Plans a statement of a client with these settings, by what a principal may do now.
    pub(super) async fn plan_as(
        &self,
        principal: &Principal,
        sql: &str,
        client: &SessionOptions,
    ) -> Result<(LateSession, LogicalPlan), QueryError> {
        let seen = self.seen_by(principal, client.clone())?;
        let mut options = self.0.sessions.options(sql, seen).await;
        if !client.moment.is_empty() && !Arc::ptr_eq(&client.moment, &options.moment) {
            let mut moment = options.moment.as_ref().clone();
            moment.extend(client.moment.iter().map(|(name, table)| (name.clone(), table.clone())));
            options.moment = Arc::new(moment);
        }
        self.plan_with(sql, options).await
    }
}

fn with_values(plan: LogicalPlan, values: Vec<ScalarValue>) -> Result<LogicalPlan, QueryError> {
    if values.is_empty() {
        return Ok(plan);
    }
    let named = values
        .into_iter()
        .enumerate()
        .map(|(at, value)| ((at + 1).to_string(), value));
    let named = ParamValues::from(named.collect::<std::collections::HashMap<_, _>>());
    Ok(plan.with_param_values(named).map_err(EngineError::from)?)
}

/// Values as one row in an Arrow stream, as handles carry them.
fn row(values: &[ScalarValue]) -> Result<Bytes, QueryError> {
    if values.is_empty() {
        return Ok(Bytes::new());
    }
    let fields = values.iter().enumerate();
    let fields = fields.map(|(at, value)| Field::new(format!("${}", at + 1), value.data_type(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = values
        .iter()
        .map(|value| value.to_array_of_size(1))
        .collect::<Result<_, _>>();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.map_err(EngineError::from)?);
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(QueryError::encoding)?;
    writer
        .write(&batch.map_err(QueryError::encoding)?)
        .map_err(QueryError::encoding)?;
    Ok(writer.into_inner().map_err(QueryError::encoding)?.into())
}
