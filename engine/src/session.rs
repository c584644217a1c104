//! Sessions: SQL over the catalog's tables.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::future::try_join_all;
use tidewater_core::TableName;
use tidewater_table::{LoadedTable, TableError};

use crate::engine::Engine;
use crate::error::Result;
use crate::lake::{self, LakeCatalog};
use crate::provider::IcebergTable;

/// The catalog's name in SQL.
pub const CATALOG: &str = "lake";

const INFORMATION_SCHEMA: &str = "information_schema";

/// Plans of a statement before it is taken as it is: loading takes milliseconds and commits come about once a second, so
/// that a third plan is hardly ever needed.
const PLAN_ATTEMPTS_MAX: u32 = 3;

/// What a query is for, which decides where it may wait and where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Somebody waits for the answer.
    Interactive,
    /// A job: throughput counts, and it must survive the loss of an executor.
    Batch,
}

/// The kind of a session is the class of its queries.
pub type SessionKind = Class;

/// How a session differs from others.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// The schema of names that have none; the engine's default if not given.
    pub default_schema: Option<String>,
    /// Parallelism of a query; the engine's default if not given.
    pub target_partitions: Option<usize>,
    /// Tables that stand for the catalog's tables of these names, or beside them: pinned snapshots, changes, views.
    pub overlay: HashMap<TableName, Arc<dyn TableProvider>>,
}

impl SessionOptions {
    /// With this default schema.
    #[must_use]
    pub fn default_schema(mut self, schema: impl Into<String>) -> Self {
        self.default_schema = Some(schema.into());
        self
    }

    /// With `table` under `name`, whatever the catalog has there.
    #[must_use]
    pub fn overlay(mut self, name: TableName, table: Arc<dyn TableProvider>) -> Self {
        self.overlay.insert(name, table);
        self
    }
}

impl Engine {
    /// A session that runs in this process. Sessions for a cluster are built by the scheduler, with [`Self::configure`]
    /// and [`Self::register`].
    pub fn session(&self, class: Class, options: &SessionOptions) -> SessionContext {
        let config = self.configure(SessionConfig::new(), class, options);
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .with_runtime_env(self.runtime_env())
            .build();
        let session = SessionContext::new_with_state(state);
        self.register(&session, options);
        session
    }

    /// The settings of our sessions, on top of `config`.
    pub fn configure(&self, config: SessionConfig, class: Class, options: &SessionOptions) -> SessionConfig {
        let partitions = options
            .target_partitions
            .unwrap_or_else(|| self.options().target_partitions);
        let mut config = config
            .with_target_partitions(partitions.max(1))
            .with_create_default_catalog_and_schema(false);
        self.settings(config.options_mut(), options);
        if class == Class::Batch {
            // A filter whose producer runs in another stage would be waited for without end.
            config.options_mut().optimizer.enable_dynamic_filter_pushdown = false;
        }
        config
    }

    /// Makes the catalog's tables and our functions known to any session, whoever built it. The session must run with
    /// [`Self::runtime_env`].
    pub fn register(&self, session: &SessionContext, options: &SessionOptions) {
        self.settings(session.state_ref().write().config_mut().options_mut(), options);
        let lake = LakeCatalog::new(self.parts.clone(), options.overlay.clone());
        session.register_catalog(CATALOG, Arc::new(lake));
        self.functions().register(session);
    }

    fn settings(&self, settings: &mut ConfigOptions, options: &SessionOptions) {
        let schema = options.default_schema.clone();
        settings.catalog.default_catalog = CATALOG.into();
        settings.catalog.default_schema = schema.unwrap_or_else(|| self.options().default_schema.clone());
        settings.catalog.information_schema = true;
        settings.execution.time_zone = Some("+00:00".into());
        // Clients want plain strings, and frames of views grow too large between processes.
        settings.execution.parquet.schema_force_view_types = false;
        settings.sql_parser.map_string_types_to_utf8view = false;
        // Iceberg's timestamps have microseconds; older writers used a type that has nanoseconds and a shorter range.
        settings.execution.parquet.coerce_int96 = Some("us".into());
    }

    /// Plans one statement. Every table it names is loaded once, so that the whole statement sees one snapshot of it. Several
    /// tables are seen as they were at one moment, so that a commit over all of them is seen as a whole.
    pub async fn plan(&self, session: &SessionContext, sql: &str) -> Result<LogicalPlan> {
        let state = session.state();
        let dialect = state.config().options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect)?;
        let references = state.resolve_table_references(&statement)?;
        if references
            .iter()
            .any(|reference| reference.schema() == Some(INFORMATION_SCHEMA))
        {
            self.refresh_names().await?;
        }
        let mut attempt = 1;
        loop {
            let plan = state.statement_to_plan(statement.clone()).await?;
            if attempt == PLAN_ATTEMPTS_MAX || self.is_one_moment(&plan).await? {
                return Ok(plan);
            }
            attempt += 1;
        }
    }

    /// Tables that are all unchanged after the last was loaded have stood side by side.
    async fn is_one_moment(&self, plan: &LogicalPlan) -> Result<bool> {
        let mut loaded: BTreeMap<TableName, String> = BTreeMap::new();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Ok(provider) = source_as_provider(&scan.source)
                && let Some(table) = provider.downcast_ref::<IcebergTable>()
                && table.is_looked_up()
            {
                let table = table.table();
                loaded.insert(table.name.clone(), table.metadata_location.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        if loaded.len() < 2 {
            return Ok(true);
        }
        let again = loaded.keys().map(|name| self.catalog().load_table(name));
        let again = try_join_all(again).await.map_err(TableError::from)?;
        let same = |(table, location): (Option<LoadedTable>, &String)| {
            table.is_some_and(|table| table.metadata_location == *location)
        };
        Ok(again.into_iter().zip(loaded.values()).all(same))
    }

    /// Lists the catalog's tables anew for `information_schema`. [`Self::plan`] does it where a statement needs it.
    pub async fn refresh_names(&self) -> Result<()> {
        lake::refresh_names(&self.parts).await
    }
}
