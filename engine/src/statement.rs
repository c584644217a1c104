//! Statements that change something, carried out: each is one commit, or none.

mod alter;
mod bulk;
mod call;
mod condition;
mod create;
mod exponents;
mod given_rows;
mod insert;
mod matched;
mod objects;
mod parameters;
mod partition_values;
mod row_changes;
mod row_sql;
mod settled;
mod staging;
mod target;
#[cfg(test)]
pub(crate) mod tests;
mod views;
mod written_down;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use tidewater_core::{JobId, TableName};
use tidewater_table::marks::{MODEL_KIND_KEY, TOPIC_KEY};
use tidewater_table::{LoadedTable, TableError};
use uuid::Uuid;

pub use self::bulk::{BulkLoad, IfExists};
pub use self::call::answer_schema;
pub use self::parameters::Destinations;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::policy;
use crate::runner::{PlanOutput, PlanRequest, PlanRunner};
use crate::session::{Class, SessionOptions};
use crate::sql::{Action, Clause, Command, Merge, Name, Object, RowTarget, When};

/// Property of a table that lets SQL write it though somebody else does: `allowed`.
pub const SQL_WRITES_KEY: &str = "tidewater.sql-writes";

/// Properties of tables that are written by a part of this program, and which.
const WRITERS: &[(&str, &str)] = &[
    (TOPIC_KEY, "ingest, from a topic"),
    (MODEL_KIND_KEY, "a pipeline's model"),
];

/// Times that a statement is carried out anew because others changed the rows it looked at.
const ATTEMPTS_MAX: u32 = 5;

/// Rows that are written down hold at most this part of the engine's memory; what is more goes to the spill disk.
const WRITTEN_DOWN_PART: usize = 8;

/// The catalog in which statements find the rows they are about: none of a client has it, but the parts of one that changes rows. Whoever
/// gives such a statement something to say of those rows may read them.
pub const ROWS_CATALOG: &str = "statement";
const ROWS_SCHEMA: &str = "rows";

/// What a command came to.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// Rows that were added, changed or deleted; `None` for what is not about rows.
    pub rows: Option<u64>,
    /// The snapshot it made.
    pub snapshot_id: Option<i64>,
    /// Rows of a procedure's answer.
    pub answer: Option<RecordBatch>,
    /// The table, view or schema that it names, if it made it: not one that was there, and not one in the place of another.
    pub made: Option<Made>,
}

/// What a command made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A schema.
    Schema,
    /// The table or view with this uuid.
    Object(Uuid),
}

impl Done {
    fn rows(rows: u64, snapshot_id: Option<i64>) -> Self {
        Self {
            rows: Some(rows),
            snapshot_id,
            ..Self::default()
        }
    }

    fn made(made: Made) -> Self {
        Self {
            made: Some(made),
            ..Self::default()
        }
    }
}

/// What carries statements out.
#[derive(Clone, Copy)]
pub struct Workshop<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// Where its plans run.
    pub runner: &'a dyn PlanRunner,
    /// What the statement's session sees.
    pub options: &'a SessionOptions,
    /// Time that each of its plans may take.
    pub deadline: Option<Duration>,
}

impl fmt::Debug for Workshop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workshop")
            .field("runner", &self.runner)
            .finish_non_exhaustive()
    }
}

impl Workshop<'_> {
    /// Carries a statement out.
    ///
    /// # Errors
    /// [`EngineError::Managed`] for tables that others write, [`EngineError::UnderPolicy`] for those of which the session sees a part,
    /// [`EngineError::Statement`] for what makes no sense,
    /// [`TableError::Conflict`] when others keep changing the same rows.
    pub async fn execute(&self, command: &Command) -> Result<Done> {
        let changed = command.changes(self.default_schema());
        self.sees_all_of(changed, command.verb()).await?;
        match command {
            Command::Insert(insert) => self.insert(insert).await,
            Command::Merge(merge) => self.merge(merge).await,
            Command::Truncate { name, target } => self.merge(&truncation(name, target.as_ref())).await,
            Command::CreateTable(create) => self.create_table(create).await,
            Command::CreateView(create) => self.create_view(create).await,
            Command::AlterView { name, query } => self.alter_view(name, query).await,
            Command::CreateSchema {
                name,
                if_not_exists,
                properties,
            } => self.create_schema(name, *if_not_exists, properties).await,
            Command::Drop {
                what,
                name,
                if_exists,
                all,
            } => self.drop(*what, name, *if_exists, *all).await,
            Command::Rename { what, from, to } => self.rename(*what, from, to).await,
            Command::SetProperties {
                what: Object::Table,
                name,
                properties,
                ..
            } => self.table_properties(name, properties).await,
            Command::SetProperties {
                what, name, properties, ..
            } => self.set_properties(*what, name, properties).await,
            Command::Call(call) => self.call(call).await,
            Command::AlterTable {
                name,
                if_exists,
                changes,
            } => self.alter(name, *if_exists, changes).await,
            Command::CommentColumn { table, column, text } => self.comment_column(table, column, text.clone()).await,
        }
    }

    /// What the rows of a statement go to: what it was found to mean before, else what its name means now.
    async fn target(&self, name: &Name, found: Option<&RowTarget>) -> Result<RowTarget> {
        match found {
            Some(target) => Ok(target.clone()),
            None => self.engine.row_target(self.options, name).await,
        }
    }

    /// A name as this session means it.
    fn table_name(&self, name: &Name) -> Result<TableName> {
        name.table(self.default_schema())
    }

    /// The schema of names that have none.
    fn default_schema(&self) -> &str {
        let schema = self.options.default_schema.as_deref();
        schema.unwrap_or(&self.engine.options().default_schema)
    }

    /// Refuses tables of which the session sees a part: what it does not see would be changed, or counted, too.
    async fn sees_all_of(&self, names: Vec<TableName>, what: &str) -> Result<()> {
        if self.options.policies.is_none() {
            return Ok(());
        }
        for name in names {
            let table = self.engine.catalog().load_table(&name).await;
            if let Some(table) = table.map_err(TableError::from)? {
                self.sees_all(&table, what)?;
            }
        }
        Ok(())
    }

    fn sees_all(&self, table: &LoadedTable, what: &str) -> Result<()> {
        let policies = self.options.policies.as_ref();
        match policies.and_then(|policies| policies.of(table)) {
            Some(_) => Err(policy::refused(table.name.clone(), what)),
            None => Ok(()),
        }
    }

    /// These statements' tables as they stand at one moment, the target among them, and a session that sees them so.
    async fn at_one_moment(&self, target: &TableName, statements: &[&str]) -> Result<(LoadedTable, SessionOptions)> {
        let options = self.engine.pinned(self.options, statements, Some(target)).await?;
        let table = options.moment.get(target).cloned().flatten();
        let table = table.ok_or_else(|| EngineError::TableNotFound { table: target.clone() })?;
        self.engine.require_meant(&table)?;
        writable(&table)?;
        self.sees_all(&table, "a change of rows")?;
        Ok((table, options))
    }

    /// A session in which numbers with a point are exact, as they are in what they are written to.
    fn session(&self, options: &SessionOptions) -> SessionContext {
        let session = self.engine.session(Class::Batch, options);
        let state = session.state_ref();
        state
            .write()
            .config_mut()
            .options_mut()
            .sql_parser
            .parse_float_as_decimal = true;
        session
    }

    async fn run(&self, session: &SessionContext, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
        self.start(session, plan).await?.collect().await
    }

    /// The plan's rows as they are now, to be read as often as is needed.
    async fn written_down(&self, session: &SessionContext, plan: LogicalPlan) -> Result<Arc<dyn TableProvider>> {
        let rows = self.start(session, plan).await?;
        let memory_max = self.engine.options().memory_bytes / WRITTEN_DOWN_PART;
        written_down::written_down(rows, &self.engine.parts.runtime, memory_max).await
    }

    async fn start(&self, session: &SessionContext, plan: LogicalPlan) -> Result<PlanOutput> {
        let request = PlanRequest {
            job: self.job(),
            session: session.clone(),
            plan,
            class: Class::Batch,
            deadline: self.deadline,
        };
        self.runner.run(request).await
    }

    fn job(&self) -> JobId {
        JobId(self.engine.rng().uuid_v7(self.engine.clock().now_ms()))
    }
}

/// `TRUNCATE` as the `DELETE` that it is.
fn truncation(table: &Name, target: Option<&RowTarget>) -> Merge {
    Merge {
        verb: "DELETE",
        table: table.clone(),
        target: target.cloned(),
        alias: None,
        source: None,
        source_key: Vec::new(),
        on: None,
        clauses: vec![Clause {
            when: When::Matched,
            condition: None,
            action: Action::Delete,
        }],
    }
}

fn missing(name: &TableName) -> EngineError {
    EngineError::TableNotFound { table: name.clone() }
}

/// Refuses tables whose writer would not notice that somebody else changed their rows, or moved their head.
///
/// # Errors
/// [`EngineError::Managed`] for a table of ingest or of a model that does not have [`SQL_WRITES_KEY`].
pub fn writable(table: &LoadedTable) -> Result<()> {
    let properties = table.metadata.properties();
    if properties.get(SQL_WRITES_KEY).is_some_and(|value| value == "allowed") {
        return Ok(());
    }
    match WRITERS.iter().find(|(key, _)| properties.contains_key(*key)) {
        Some((_, writer)) => Err(EngineError::Managed {
            table: table.name.clone(),
            writer,
        }),
        None => Ok(()),
    }
}

/// Lets a session's statements read `table` as `statement.rows.NAME`.
fn give(session: &SessionContext, tables: Vec<(&str, Arc<dyn TableProvider>)>) -> Result<()> {
    let schema = MemorySchemaProvider::new();
    for (name, table) in tables {
        schema.register_table(name.to_owned(), table)?;
    }
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(ROWS_SCHEMA, Arc::new(schema))?;
    session.register_catalog(ROWS_CATALOG, Arc::new(catalog));
    Ok(())
}

/// Whether a statement is worth another attempt: others changed what it looked at.
fn lost(error: &EngineError) -> bool {
    matches!(error, EngineError::Table(TableError::Conflict { .. }))
}
