//! Sessions: SQL over the catalog's tables.

mod among_rows;
mod asked_groups;
mod balanced;
mod beside;
mod correlated;
mod counted_sets;
mod decimals;
mod distinct;
mod escapes;
mod exact_top;
mod existing;
mod floats;
mod guarded;
mod instants;
mod join_order;
mod joined;
mod listed;
mod members;
mod nulls;
mod parse;
mod quantified;
pub(crate) mod read_texts;
mod remembered;
mod same_names;
mod semi_joins;
mod sorted;
mod standard_forms;
#[cfg(test)]
mod tests;
mod tuples;
mod types;
mod unnested;
mod values;
mod versions;
mod views;
mod wildcards;
mod windows;
mod zoned;
mod zones;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::catalog::{MemoryCatalogProviderList, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::Optimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use tidewater_core::TableName;
use tidewater_security::Access;
use tidewater_table::TableError;

use crate::complexity;
use crate::describe::{self, Answer};
use crate::engine::Engine;
use crate::error::Result;
use crate::functions;
use crate::lake::{self, LakeCatalog, Moment, base_name};
use crate::opaque::Opaque;
use crate::pg_catalog::{self, Postgres};
use crate::policy::{self, RowPolicies};

pub use self::counted_sets::count_sets;
pub use self::nulls::optimizer_rules;
use self::parse::Parsed;
pub(crate) use self::parse::one_name;
pub(crate) use self::remembered::Plans;
use self::remembered::{Key, Standing};
pub(crate) use self::versions::MOMENT;
pub(crate) use self::views::Resolved;
pub use self::zoned::gives_zones;
pub(crate) use self::zoned::{clock_of, instant_of, zone_of};

/// The catalog's name in SQL.
pub const CATALOG: &str = "lake";

/// The time zone of stored instants, and of sessions that name no other.
pub const ZONE: &str = "+00:00";

const INFORMATION_SCHEMA: &str = "information_schema";

/// How the query engine begins when it refuses two columns of one name.
const SAME_NAMES: &str = "Projections require unique expression names";

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

/// Where a session wants its queries to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Execution {
    /// Where they belong by what they read.
    #[default]
    Auto,
    /// In the process that was asked.
    Local,
    /// On the executors, as far as they can run them.
    Cluster,
}

impl Execution {
    /// The names, as `SET tidewater.execution` takes them.
    pub const NAMES: [&'static str; 3] = ["auto", "local", "cluster"];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "auto" => Some(Self::Auto),
            "local" => Some(Self::Local),
            "cluster" => Some(Self::Cluster),
            _ => None,
        }
    }

    /// What the session of a plan wants.
    pub fn of(session: &SessionContext) -> Self {
        let state = session.state_ref();
        let found = state.read().config().get_extension::<Self>();
        found.map(|wanted| *wanted).unwrap_or_default()
    }
}

/// How a session differs from others.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// The schema of names that have none; the engine's default if not given.
    pub default_schema: Option<String>,
    /// Parallelism of a query; the engine's default if not given.
    pub target_partitions: Option<usize>,
    /// Where its queries run.
    pub execution: Execution,
    /// Tables that stand for the catalog's tables of these names, or beside them: pinned snapshots, changes, views.
    pub overlay: HashMap<TableName, Arc<dyn TableProvider>>,
    /// Tables that are seen as they stood at one moment, instead of as they stand when they are looked up.
    pub moment: Arc<Moment>,
    /// The id under which writes wait to be published, to tables that stage them (`write.wap.enabled`).
    pub wap_id: Option<String>,
    /// That it stands in a transaction block, where nothing may be older than what was seen before.
    pub in_transaction: bool,
    /// That statements are PostgreSQL's, and what they see of their session.
    pub postgres: Option<Arc<Postgres>>,
    /// What whoever asks may know of: names of anything else stand for nothing. None where no grant binds.
    pub access: Option<Arc<Access>>,
    /// What whoever asks may see of the rows of tables. None where no policy binds.
    pub policies: Option<Arc<dyn RowPolicies>>,
}

/// What a statement names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Tables and views; metadata tables and pinned snapshots count as their table.
    pub tables: BTreeSet<TableName>,
    /// Whether it asks what there is.
    pub information_schema: bool,
}

impl SessionOptions {
    /// With this default schema.
    #[must_use]
    pub fn default_schema(mut self, schema: impl Into<String>) -> Self {
        self.default_schema = Some(schema.into());
        self
    }

    /// The zone whose days and hours instants have, as their types tell it.
    pub fn zone(&self) -> &str {
        self.postgres.as_ref().map_or(ZONE, |postgres| postgres.zone())
    }

    /// With `table` under `name`, whatever the catalog has there.
    #[must_use]
    pub fn overlay(mut self, name: TableName, table: Arc<dyn TableProvider>) -> Self {
        self.overlay.insert(name, table);
        self
    }
}

/// The statement with each table at a version (`t FOR VERSION AS OF 5`) as a single name (`"t@5"`).
pub(crate) fn at_versions(sql: &str) -> Result<String> {
    let sql = standard_forms::readable(sql, &GenericDialect {});
    Ok(versions::rewrite(&sql, &GenericDialect {})?.sql)
}

fn named(state: &SessionState, statement: &Statement) -> Result<Named> {
    let defaults = &state.config().options().catalog;
    let mut named = Named::default();
    for reference in state.resolve_table_references(statement)? {
        if reference.schema() == Some(INFORMATION_SCHEMA) {
            named.information_schema = true;
            continue;
        }
        let full = reference.resolve(&defaults.default_catalog, &defaults.default_schema);
        if *full.catalog != *CATALOG {
            continue;
        }
        // What can be no name is told when it is looked up.
        if let Ok(namespace) = full.schema.parse()
            && let Ok(name) = TableName::new(namespace, base_name(&full.table))
        {
            named.tables.insert(name);
        }
    }
    Ok(named)
}

impl Engine {
    /// A session that runs in this process. Sessions for a cluster are built by the scheduler, with [`Self::configure`]
    /// and [`Self::register`].
    pub fn session(&self, class: Class, options: &SessionOptions) -> SessionContext {
        let mut state = SessionState::clone(self.parts.usual.get_or_init(|| Opaque::new(self.usual())));
        *state.config_mut() = self.configure(SessionConfig::new(), class, options);
        // What copies of a state share.
        state.register_catalog_list(Arc::new(MemoryCatalogProviderList::new()));
        state.execution_props_mut().alias_generator = Arc::default();
        let session = SessionContext::new_with_state(state);
        self.register_own(&session, options);
        session
    }

    /// What takes long to make and is the same of all sessions.
    fn usual(&self) -> SessionState {
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(self.configure(SessionConfig::new(), Class::Interactive, &SessionOptions::default()))
            .with_runtime_env(self.runtime_env())
            .with_optimizer_rules(optimizer_rules(Optimizer::new().rules))
            .with_physical_optimizer_rules(same_names::rules())
            .build();
        let session = SessionContext::new_with_state(state);
        self.functions().register(&session);
        session.state()
    }

    /// The settings of our sessions, on top of `config`.
    pub fn configure(&self, config: SessionConfig, class: Class, options: &SessionOptions) -> SessionConfig {
        let partitions = options
            .target_partitions
            .unwrap_or_else(|| self.options().target_partitions);
        let mut config = config
            .with_target_partitions(partitions.max(1))
            .with_extension(Arc::new(options.execution))
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
        self.functions().register(session);
        self.register_own(session, options);
    }

    /// What differs between sessions.
    fn register_own(&self, session: &SessionContext, options: &SessionOptions) {
        session.register_catalog(CATALOG, Arc::new(self.lake(options)));
        if let Some(postgres) = &options.postgres {
            postgres.register(session);
        }
    }

    /// What names of the catalog stand for in a session.
    fn lake(&self, options: &SessionOptions) -> LakeCatalog {
        LakeCatalog::new(self.parts.clone(), options.overlay.clone(), options.moment.clone())
            .seen_by(options.access.clone(), options.policies.clone())
    }

    fn settings(&self, settings: &mut ConfigOptions, options: &SessionOptions) {
        let schema = options.default_schema.clone();
        settings.catalog.default_catalog = CATALOG.into();
        settings.catalog.default_schema = schema.unwrap_or_else(|| self.options().default_schema.clone());
        settings.catalog.information_schema = true;
        settings.execution.time_zone = Some(options.zone().into());
        // A rule that fails (names that are not unique, DataFusion 55.2) leaves the plan as it was.
        settings.optimizer.skip_failed_rules = true;
        // Scans are cut where they are made, between row groups. DataFusion would cut anew, by bytes: a group of which the first bytes
        // are in one partition is read there as a whole, and a cluster's partitions do not help each other.
        settings.optimizer.repartition_file_scans = false;
        // It compares the metadata of fields too, which a folded expression loses.
        settings.execution.skip_physical_aggregate_schema_check = true;
        // Clients want plain strings, and frames of views grow too large between processes.
        settings.execution.parquet.schema_force_view_types = false;
        settings.sql_parser.map_string_types_to_utf8view = false;
        // Iceberg's timestamps have microseconds; older writers used a type that has nanoseconds and a shorter range.
        settings.execution.parquet.coerce_int96 = Some("us".into());
    }

    /// Plans one statement. All tables that it names are loaded by one call to the catalog, as they stood at one moment, so that
    /// a commit over several of them is seen as a whole; what the session's options give (views, a moment) is taken as it is.
    pub async fn plan(&self, session: &SessionContext, sql: &str) -> Result<LogicalPlan> {
        if let Some(plan) = self.remembered(session, sql).await? {
            return Ok(plan);
        }
        let (engine, session, sql) = (self.clone(), session.clone(), sql.to_owned());
        let work = Box::pin(async move { engine.plan_here(&session, &sql).await });
        self.parts.planner.run(work).await
    }

    async fn plan_here(&self, session: &SessionContext, sql: &str) -> Result<LogicalPlan> {
        let mut state = session.state();
        let parsed = parse::parse(&state, sql)?;
        let list = state.catalog_list().clone();
        let catalog = list.catalog(CATALOG);
        let lake = catalog
            .as_ref()
            .and_then(|catalog| catalog.downcast_ref::<LakeCatalog>());
        let missing = self.missing(&parsed, lake).await?;
        let key = lake.and_then(|lake| Key::of(&state, lake, sql));
        let statement = parsed.resolve(&state, &missing);
        match describe::answer(&state, &statement).await? {
            Answer::Rows(rows) => return Ok(rows),
            Answer::Query(query) => return Box::pin(self.plan_here(session, &query)).await,
            Answer::Other => {}
        }
        let named = named(&state, &statement)?;
        if named.information_schema {
            self.refresh_names().await?;
        }
        let mut standing = None;
        if let Some(lake) = lake {
            let mut resolved = self.resolve(&state, lake, named.tables.clone()).await?;
            if named.information_schema {
                for (name, view) in self.listed_views(lake).await? {
                    resolved.views.entry(name).or_insert(view);
                }
            } else {
                standing = Standing::of(&named.tables, &missing, &mut resolved, lake);
            }
            // Of this plan only: the session itself goes on to see what is newest.
            views::look_up(&mut state, lake.at(&resolved).listing(named.information_schema));
        }
        let plan = match state.statement_to_plan(statement.clone()).await {
            Err(refused) if refused.to_string().contains(SAME_NAMES) => {
                let mut apart = statement;
                pg_catalog::named_apart(&mut apart);
                state.statement_to_plan(apart).await?
            }
            planned => planned?,
        };
        complexity::check_plan(&plan)?;
        policy::check_explained(&plan)?;
        let plan = zoned::in_zone(plan, &state)?;
        let mut plan = sorted::by_columns(decimals::exact(plan)?)?;
        zones::known(&plan)?;
        if sql.contains("||")
            && let Some(function) = self.functions().text_concat()
        {
            plan = functions::within_limits(plan, function)?;
        }
        if state.config().get_extension::<Postgres>().is_some() {
            plan = read_texts::read(plan)?;
        }
        let plan = count_sets(types::typed(plan, &state)?, &state)?;
        if let (Some(key), Some(standing)) = (key, standing) {
            self.parts.plans.keep(key, standing, &plan);
        }
        Ok(plan)
    }

    /// What a statement names, as a session with these options understands it. A name that may be read in two ways counts as
    /// both.
    pub fn named(&self, options: &SessionOptions, sql: &str) -> Result<Arc<Named>> {
        let key = Key::with(self, options, sql);
        if let Some(known) = key.and_then(|key| self.parts.plans.names(&key)) {
            return Ok(known);
        }
        let state = self.session(Class::Interactive, options).state();
        let parsed = parse::parse(&state, sql)?;
        let mut named = named(&state, &parsed.statement)?;
        named.tables.extend(parsed.doubtful.into_iter().map(|(_, other)| other));
        let named = Arc::new(named);
        if let Some(key) = key {
            self.parts.plans.keep_names(key, &named);
        }
        Ok(named)
    }

    /// Which of the names that may be read in two ways stand for no table.
    async fn missing(&self, parsed: &Parsed, lake: Option<&LakeCatalog>) -> Result<BTreeSet<TableName>> {
        let doubtful = parsed.doubtful.iter().map(|(table, _)| table);
        let hidden = doubtful
            .clone()
            .filter(|table| lake.is_some_and(|lake| lake.hides(table)));
        let hidden: BTreeSet<TableName> = hidden.cloned().collect();
        let asked = doubtful.filter(|table| lake.is_some_and(|lake| lake.asks_for(table)));
        let asked: Vec<TableName> = asked.cloned().collect();
        if asked.is_empty() {
            return Ok(hidden);
        }
        let found = self.moment(asked).await?.into_iter();
        let missing = found.filter(|(_, table)| table.is_none()).map(|(name, _)| name);
        Ok(missing.chain(hidden).collect())
    }

    /// The same options, with what these statements name as it stands at one moment.
    pub(crate) async fn pinned(
        &self,
        options: &SessionOptions,
        statements: &[&str],
        target: &TableName,
    ) -> Result<SessionOptions> {
        let mut names = BTreeSet::from([target.clone()]);
        for sql in statements {
            names.extend(self.named(options, sql)?.tables.iter().cloned());
        }
        let state = self.session(Class::Batch, options).state();
        let lake = self.lake(options);
        let resolved = self.resolve(&state, &lake, names).await?;
        let mut pinned = options.clone();
        pinned.overlay.extend(resolved.views);
        let mut moment = pinned.moment.as_ref().clone();
        moment.extend(resolved.tables);
        pinned.moment = Arc::new(moment);
        Ok(pinned)
    }

    /// These tables as they stand at one moment.
    pub async fn moment(&self, names: Vec<TableName>) -> Result<Moment> {
        let loaded = self.catalog().load_tables(&names).await.map_err(TableError::from)?;
        Ok(names.into_iter().zip(loaded).collect())
    }

    /// Lists the catalog's tables anew for `information_schema`. [`Self::plan`] does it where a statement needs it.
    pub async fn refresh_names(&self) -> Result<()> {
        lake::refresh_names(&self.parts).await
    }
}
