//! Sessions: SQL over the catalog's tables.
//!
//! `options.rs` and `settings.rs` make them. Most other files here have one thing each that the parser or DataFusion does not know or gets
//! wrong, and are named after it. In the order in which a statement comes by them:
//!
//! - Its text: `search_path.rs` where a session has several schemas; `remembered.rs`, and nothing more if its plan is known; then, from
//!   `parse.rs`, `short_queries.rs`, `standard_forms.rs`, `bracketed.rs`, `escapes.rs` and `versions.rs`.
//! - What was parsed, from `parse.rs`: `distinct.rs`, `counted_rows.rs`, `one_row.rs`, `grouping.rs`, `tuples.rs`, `elements.rs`,
//!   `windows.rs`, `values.rs`, `joined.rs`, `computed_beside.rs`, `members.rs` with `among_rows.rs`, `balanced.rs`, `wildcards.rs`,
//!   `sort_keys.rs`; PostgreSQL's spellings (`pg_catalog`); `listed.rs`, `existing.rs`, `asked_apart.rs`, `literal_sets.rs`,
//!   `cast_groups.rs`, `unnested.rs`, `quantified.rs`.
//! - What its names stand for, all at one moment: `views.rs`.
//! - Planning, once or more often: `sort_keys.rs` again, `natural.rs`, `apart.rs`; `beside_null.rs` and `list_sets.rs` for operators,
//!   `short_lists.rs` and `unnested.rs` for tables.
//! - The plan, from `Engine::on_tables` here: `columns_below.rs`, `pulled_up.rs` with `one_group.rs`, `widened.rs`, `first_rows.rs`,
//!   `called_sets.rs`, `perhaps.rs`, `zoned.rs`, `decimals.rs` with `instants.rs`, `floats.rs`, `rounded.rs` and `guarded.rs`,
//!   `sorted.rs`, `zones.rs`, `read_texts.rs`, `types.rs`, `counted_sets.rs`, `recursive.rs`.
//! - Logical rules, which `nulls.rs` puts among DataFusion's: `computed_beside.rs`, `late_casts.rs`, `derived.rs`, `not_among.rs`,
//!   `correlated.rs`, `listed_twice.rs`, `scaled_casts.rs`, `nulls.rs`, `join_order.rs`, `lossy_casts.rs`, `crossed_lists.rs`,
//!   `semi_joins.rs`, `asked_groups.rs`, `computed_keys.rs`.
//! - Physical rules, which `same_names.rs` puts around DataFusion's: `same_names.rs`, `outer_sides.rs`,
//!   `grouped_sets.rs`, `exact_top.rs`, `filters_first.rs`, `limits_above.rs`, `plan_check.rs`.
//!
//! Several of them go by `tokens.rs` (a text by its tokens), `around.rs` (queries within a statement), `beside.rs` (values of one type) and
//! `called.rs` (names of what was changed).

mod among_rows;
mod apart;
mod around;
mod asked_apart;
mod asked_groups;
pub(crate) mod backslashes;
mod balanced;
mod beside;
mod beside_null;
mod bracketed;
mod by_length;
pub(crate) mod called;
mod called_sets;
mod cast_groups;
mod columns_below;
mod computed_beside;
mod computed_keys;
mod correlated;
mod counted_rows;
mod counted_sets;
mod crossed_lists;
mod decimals;
mod derived;
mod distinct;
mod elements;
mod escapes;
mod exact_top;
mod existing;
mod filters_first;
mod first_rows;
mod floats;
mod grouped_sets;
mod grouping;
mod guarded;
mod instants;
mod join_order;
mod joined;
mod kept_here;
mod late_casts;
mod limits_above;
mod list_sets;
mod listed;
mod listed_twice;
mod literal_sets;
mod lossy_casts;
mod members;
mod natural;
mod none_waits;
mod not_among;
mod nulls;
mod one_group;
mod one_row;
mod options;
pub(crate) mod outer_sides;
mod parse;
mod perhaps;
mod plan_check;
mod pulled_up;
mod quantified;
pub(crate) mod read_texts;
mod recursive;
mod remembered;
mod rounded;
pub(crate) mod same_names;
mod scaled_casts;
mod search_path;
mod semi_joins;
mod settings;
mod short_lists;
mod short_queries;
mod skipped;
mod sort_keys;
mod sorted;
mod standard_forms;
pub(crate) mod strict;
#[cfg(test)]
mod tests;
mod tokens;
mod tuples;
mod types;
mod unnested;
mod values;
mod versions;
mod views;
mod widened;
mod wildcards;
mod windows;
mod zoned;
mod zones;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::CatalogProvider;
use datafusion::common::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use tidewater_core::TableName;

use crate::complexity;
use crate::describe::{self, Answer};
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::functions;
use crate::lake::{self, LakeCatalog, Moment, base_name};
use crate::one_moment;
use crate::pg_catalog::{self, Postgres};
use crate::policy;

pub(crate) use self::apart::APART;
pub use self::apart::shown_name;
use self::apart::{Alike, shown_twice};
use self::counted_sets::count_sets;
pub use self::filters_first::physical_rules;
pub use self::kept_here::KeptHere;
pub use self::nulls::optimizer_rules;
pub use self::options::{Class, Execution, Named, SessionKind, SessionOptions};
pub use self::outer_sides::UntoldSides;
use self::parse::Parsed;
pub(crate) use self::parse::{changes, one_name};
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

/// What is wrong with what [`at_versions`] made of a statement, at the place in the statement itself.
pub(crate) fn as_typed(sql: &str, error: DataFusionError) -> DataFusionError {
    short_queries::as_typed(sql, &GenericDialect {}, error)
}

/// The statement with each table at a version (`t FOR VERSION AS OF 5`) as a single name (`"t@5"`).
pub(crate) fn at_versions(sql: &str) -> Result<String> {
    let sql = short_queries::written_out(sql, &GenericDialect {});
    let sql = standard_forms::readable(&sql, &GenericDialect {});
    let sql = bracketed::elements(&sql, &GenericDialect {});
    Ok(versions::rewrite(&sql, &GenericDialect {})?.sql)
}

/// Where the tables of a session are looked up.
fn lake_of(catalog: Option<&Arc<dyn CatalogProvider>>) -> Option<&LakeCatalog> {
    catalog.and_then(|catalog| catalog.downcast_ref::<LakeCatalog>())
}

fn named(state: &SessionState, statement: &Statement) -> Result<Named> {
    let defaults = &state.config().options().catalog;
    let mut named = Named::default();
    for reference in state.resolve_table_references(statement)? {
        let full = reference.resolve(&defaults.default_catalog, &defaults.default_schema);
        // Also without its name, where it is the schema of names that have none.
        if *full.schema == *INFORMATION_SCHEMA {
            named.information_schema = true;
            continue;
        }
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

/// Plans a statement. Columns that the query engine refuses for their names, or takes for one another, get others.
async fn planned_apart(state: &SessionState, statement: &mut Statement) -> datafusion::common::Result<LogicalPlan> {
    let plan = planned_once_apart(state, statement).await?;
    let given = apart::doubled(&plan, statement)?;
    if given.is_empty() {
        return Ok(plan);
    }
    let again = planned_once_apart(state, statement).await;
    apart::checked(&plan, again, &given)
}

/// Plans a statement. Columns that the query engine refuses for their names get others.
async fn planned_once_apart(
    state: &SessionState,
    statement: &mut Statement,
) -> datafusion::common::Result<LogicalPlan> {
    loop {
        let refused = match natural::planned(state, statement).await {
            Ok(plan) => return unnested::sound(plan),
            Err(refused) => refused,
        };
        if short_lists::is_refused(&refused) && short_lists::put_within(statement) {
            continue;
        }
        let Some(alike) = Alike::of(&refused) else {
            return Err(refused);
        };
        // Each round leaves fewer that are called alike.
        if !apart::named(statement, &alike)? {
            return Err(refused);
        }
    }
}

/// Plans a query whose columns are to be told apart by their names.
async fn planned_view(state: &SessionState, statement: &mut Statement) -> Result<LogicalPlan> {
    let keys = sort_keys::told(state, statement).await?;
    let plan = sort_keys::dropped(planned_apart(state, statement).await?, &keys)?;
    told_apart(&plan)?;
    Ok(plan)
}

/// Refuses columns that would be called the same where they are to have a name of their own.
pub(crate) fn told_apart(plan: &LogicalPlan) -> Result<()> {
    match shown_twice(plan.schema().as_arrow()) {
        Some(name) => Err(EngineError::statement(format!(
            "the query has two columns {name:?}: give one of them another name"
        ))),
        None => Ok(()),
    }
}

impl Engine {
    /// Plans one statement. All tables that it names are loaded by one call to the catalog, as they stood at one moment, so that
    /// a commit over several of them is seen as a whole; what the session's options give (views, a moment) is taken as it is.
    ///
    /// # Errors
    /// [`EngineError::Denied`] where the session is under a judge who refuses the plan.
    pub async fn plan(&self, session: &SessionContext, sql: &str) -> Result<LogicalPlan> {
        let plan = self.unjudged(session, sql).await?;
        self.judged(session, sql, &plan)?;
        Ok(plan)
    }

    async fn unjudged(&self, session: &SessionContext, sql: &str) -> Result<LogicalPlan> {
        if let Some(plan) = self.remembered(session, sql).await? {
            return Ok(plan);
        }
        let (engine, session, sql) = (self.clone(), session.clone(), sql.to_owned());
        let work = Box::pin(async move { engine.plan_here(&session, &sql).await });
        self.parts.planner.run(work).await
    }

    async fn plan_here(&self, session: &SessionContext, sql: &str) -> Result<LogicalPlan> {
        let state = session.state();
        let parsed = parse::parse(&state, sql)?;
        let list = state.catalog_list().clone();
        let catalog = list.catalog(CATALOG);
        let lake = lake_of(catalog.as_ref());
        let missing = self.missing(&parsed, lake).await?;
        let key = lake.and_then(|lake| Key::of(&state, lake, sql));
        let statement = parsed.resolve(&state, &missing);
        let beside = self.beside_view(&state, &statement, lake).await?;
        match describe::answer(beside.as_deref().unwrap_or(&state), &statement).await? {
            Answer::Rows(rows) => return Ok(rows),
            Answer::Query(query) => return Box::pin(self.plan_here(session, &query)).await,
            Answer::Other => {}
        }
        let (plan, standing) = self
            .on_tables(state, statement, &missing, lake, sql.contains("||"))
            .await?;
        if let (Some(key), Some(standing)) = (key, standing) {
            self.parts.plans.keep(key, standing, &plan);
        }
        Ok(plan)
    }

    /// A state that knows the view of the catalog which a statement describes; none if it describes none, or one of which not all may be
    /// known.
    async fn beside_view(
        &self,
        state: &SessionState,
        statement: &Statement,
        lake: Option<&LakeCatalog>,
    ) -> Result<Option<Box<SessionState>>> {
        let (Some(lake), Some(name)) = (lake, describe::object(state, statement)) else {
            return Ok(None);
        };
        if !lake.shows(&name) {
            return Ok(None);
        }
        let resolved = self.resolve(state, lake, BTreeSet::from([name])).await?;
        if resolved.views.is_empty() {
            return Ok(None);
        }
        let mut beside = Box::new(state.clone());
        views::look_up(&mut beside, lake.at(&resolved).describing());
        Ok(Some(beside))
    }

    /// Plans a query that was parsed elsewhere, as [`Self::plan`] does one that is written. Its columns have names that differ.
    pub async fn plan_query(&self, session: &SessionContext, query: Query) -> Result<LogicalPlan> {
        let sql = query.to_string();
        let (engine, asking) = (self.clone(), session.clone());
        let work = Box::pin(async move {
            let state = asking.state();
            let (statement, missing) = engine.understood(&state, query).await?;
            let list = state.catalog_list().clone();
            let catalog = list.catalog(CATALOG);
            let planned = engine.on_tables(state, statement, &missing, lake_of(catalog.as_ref()), true);
            let (plan, _) = planned.await?;
            told_apart(&plan)?;
            Ok(plan)
        });
        let plan = self.parts.planner.run(work).await?;
        self.judged(session, &sql, &plan)?;
        Ok(plan)
    }

    /// What a view says, to stand in the plans of statements that name it: these make the best of it as a whole.
    pub async fn plan_view(&self, session: &SessionContext, query: Query) -> Result<LogicalPlan> {
        let mut state = session.state();
        pg_catalog::reads_view(&mut state);
        let (mut statement, _) = self.understood(&state, query).await?;
        planned_view(&state, &mut statement).await
    }

    /// What is meant by a query, and which of its names are those of parts of tables.
    async fn understood(&self, state: &SessionState, query: Query) -> Result<(Statement, BTreeSet<TableName>)> {
        let query = Statement::Statement(Box::new(SqlStatement::Query(Box::new(query))));
        let parsed = parse::understood(state, query, &BTreeSet::new())?;
        let catalog = state.catalog_list().catalog(CATALOG);
        let missing = self.missing(&parsed, lake_of(catalog.as_ref())).await?;
        let statement = parsed.resolve(state, &missing);
        Ok((statement, missing))
    }

    /// Plans a statement on its tables as they stand at one moment. What holds as long as they stand so is told for statements that
    /// can be remembered.
    async fn on_tables(
        &self,
        mut state: SessionState,
        mut statement: Statement,
        missing: &BTreeSet<TableName>,
        lake: Option<&LakeCatalog>,
        concatenates: bool,
    ) -> Result<(LogicalPlan, Option<Standing>)> {
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
                standing = Standing::of(&named.tables, missing, &mut resolved, lake);
            }
            // Of this plan only: the session itself goes on to see what is newest.
            views::look_up(&mut state, lake.at(&resolved).listing(named.information_schema));
        }
        let keys = sort_keys::told(&state, &mut statement).await?;
        let plan = sort_keys::dropped(planned_apart(&state, &mut statement).await?, &keys)?;
        complexity::check_plan(&plan)?;
        policy::check_explained(&plan)?;
        let plan = pulled_up::understood(columns_below::moved(plan)?)?;
        // Before what goes by the types of columns.
        let plan = first_rows::sorted_once(widened::widened(plan)?)?;
        // Before what is in groups is written otherwise.
        let plan = called_sets::known(plan, state.config_options())?;
        let plan = zoned::in_zone(perhaps::without_rows(plan)?, &state)?;
        let mut plan = sorted::by_columns(decimals::exact(plan)?)?;
        zones::known(&plan)?;
        if concatenates && let Some(function) = self.functions().text_concat() {
            plan = functions::within_limits(plan, function)?;
        }
        if state.config().get_extension::<Postgres>().is_some() {
            plan = read_texts::read(plan)?;
        }
        // Before all is given types, and again where a type was not known before.
        let plan = by_length::windows(plan)?;
        let plan = by_length::understood(types::typed(plan, &state)?, &state)?;
        let plan = recursive::alike(count_sets(plan, &state)?)?;
        Ok((plan, standing))
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
        let (Some(lake), false) = (lake, asked.is_empty()) else {
            return Ok(hidden);
        };
        let found = lake.tables(asked).await?.into_iter();
        let missing = found.filter(|(_, table)| table.is_none()).map(|(name, _)| name);
        Ok(missing.chain(hidden).collect())
    }

    /// The same options, with what these statements name as it stands at one moment.
    pub(crate) async fn pinned(
        &self,
        options: &SessionOptions,
        statements: &[&str],
        target: Option<&TableName>,
    ) -> Result<SessionOptions> {
        let mut names: BTreeSet<TableName> = target.into_iter().cloned().collect();
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
        one_moment::tables(&self.parts, None, names).await
    }

    /// These tables as a session with these options sees those of the catalog, all at one moment.
    pub async fn moment_of(&self, options: &SessionOptions, names: Vec<TableName>) -> Result<Moment> {
        one_moment::tables(&self.parts, options.one_moment.as_deref(), names).await
    }

    /// Lists the catalog's tables anew for `information_schema`. [`Self::plan`] does it where a statement needs it.
    pub async fn refresh_names(&self) -> Result<()> {
        lake::refresh_names(&self.parts).await
    }
}
