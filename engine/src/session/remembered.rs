//! Plans of statements that were planned before, as long as everything they name is as it was.
//!
//! Tools ask for the columns of a statement, then run it, then do so again: most statements are planned many times over tables that
//! did not change in between. A plan is remembered under the statement's text and what its session says of it, beside what the names
//! of the statement stood for: tables, and views with the tables behind them. Those are asked for anew each time, as for any statement;
//! if one is another, the statement is planned. The names of a statement are remembered too, what views of a project come to, and what
//! plans come to when they are optimised.
//!
//! Invariant: the plan is one that planning the statement in the same session would make now. What is not surely so is not kept:
//! plans over what a session knows of itself, and with functions that belong to a session.

mod key;
mod optimized;
mod standing;
mod views;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::prelude::SessionContext;
use moka::sync::Cache;
use tidewater_table::TableError;

pub(super) use self::key::Key;
use self::optimized::{Address, Optimized};
pub(super) use self::standing::Standing;
use self::standing::same;
use self::views::KnownView;
use super::views::Said;
use super::{CATALOG, Named, SessionOptions};
use crate::engine::Engine;
use crate::error::Result;
use crate::lake::{LakeCatalog, Moment};
use crate::opaque::Opaque;
use crate::pg_catalog;
use crate::provider::IcebergTable;
use crate::statement::ROWS_CATALOG;

/// Statements whose plans are kept, statements whose names are, and views.
const PLANS_MAX: u64 = 1_000;

/// Plans that nobody asked for so long go: they hold on to states of tables that are gone.
const IDLE_MAX: Duration = Duration::from_secs(5 * 60);

/// A plan, and what the names of its statement stood for.
struct Remembered {
    standing: Standing,
    plan: LogicalPlan,
}

/// The plans of an engine.
pub(crate) struct Plans {
    known: Cache<Key, Opaque<Remembered>>,
    /// What statements name.
    names: Cache<Key, Arc<Named>>,
    /// What the projects' views come to.
    views: Cache<Key, Opaque<KnownView>>,
    /// What plans that are kept come to when they are optimised.
    optimized: Cache<Address, Opaque<Optimized>>,
    /// How often a statement was not planned.
    #[cfg(test)]
    used: AtomicUsize,
    /// Wrong on purpose: whatever became of the tables.
    #[cfg(test)]
    forgets_tables: AtomicBool,
}

impl Default for Plans {
    fn default() -> Self {
        Self {
            known: cache(),
            names: cache(),
            views: cache(),
            optimized: cache(),
            #[cfg(test)]
            used: AtomicUsize::new(0),
            #[cfg(test)]
            forgets_tables: AtomicBool::new(false),
        }
    }
}

fn cache<K, V>() -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(PLANS_MAX).time_to_idle(IDLE_MAX).build()
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.entry_count();
        f.debug_struct("Plans").field("known", &known).finish_non_exhaustive()
    }
}

impl Plans {
    /// What the statement of this key names, if that is known.
    pub(super) fn names(&self, key: &Key) -> Option<Arc<Named>> {
        self.names.get(key)
    }

    pub(super) fn keep_names(&self, key: Key, named: &Arc<Named>) {
        self.names.insert(key, Arc::clone(named));
    }

    /// Keeps a plan if its rows follow from what its statement names.
    pub(super) fn keep(&self, key: Key, standing: Standing, plan: &LogicalPlan) {
        if is_of_tables_alone(plan, &standing.tables).unwrap_or(false) {
            if let Some((address, optimized)) = Optimized::of(plan) {
                self.optimized.insert(address, Opaque::new(optimized));
            }
            let plan = plan.clone();
            self.known.insert(key, Opaque::new(Remembered { standing, plan }));
        }
    }

    #[cfg(test)]
    fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }
}

impl Engine {
    /// What [`Self::plan`] would give in a session with these options, if that is known without one.
    ///
    /// Fails where the catalog does, and with [`crate::EngineError::Denied`] where the options' judge refuses the plan.
    pub async fn known_plan(&self, options: &SessionOptions, sql: &str) -> Result<Option<LogicalPlan>> {
        let Some(key) = Key::with(self, options, sql) else {
            return Ok(None);
        };
        let plan = self.recalled(&key, &self.lake(options)).await?;
        if let Some(plan) = &plan {
            self.judged_for(options, sql, plan)?;
        }
        Ok(plan)
    }

    /// The plan that the statement had, if it would have the same now.
    pub(super) async fn remembered(&self, session: &SessionContext, sql: &str) -> Result<Option<LogicalPlan>> {
        let (key, catalog) = {
            let state = session.state_ref();
            let state = state.read();
            let Some(catalog) = state.catalog_list().catalog(CATALOG) else {
                return Ok(None);
            };
            let lake = catalog.downcast_ref::<LakeCatalog>();
            let Some(key) = lake.and_then(|lake| Key::of(&state, lake, sql)) else {
                return Ok(None);
            };
            (key, catalog)
        };
        let Some(lake) = catalog.downcast_ref::<LakeCatalog>() else {
            return Ok(None);
        };
        self.recalled(&key, lake).await
    }

    async fn recalled(&self, key: &Key, lake: &LakeCatalog) -> Result<Option<LogicalPlan>> {
        let known = self.parts.plans.known.get(key);
        let Some(known) = known.filter(|known| known.standing.is_of(lake)) else {
            return Ok(None);
        };
        let is_same = self.stands(&known.standing, lake).await?;
        #[cfg(test)]
        let is_same = is_same || self.parts.plans.forgets_tables.load(Ordering::SeqCst);
        #[cfg(test)]
        self.parts.plans.used.fetch_add(usize::from(is_same), Ordering::SeqCst);
        Ok(is_same.then(|| known.plan.clone()))
    }

    /// Whether all names stand for what they stood for then.
    async fn stands(&self, then: &Standing, lake: &LakeCatalog) -> Result<bool> {
        let pinned = lake.pinned();
        let asked = then.tables.keys().filter(|name| !pinned.contains_key(name));
        let now = lake.tables(asked.cloned().collect()).await?;
        if !then.tables_stand([&now, pinned]) {
            return Ok(false);
        }
        // After the tables, as when a statement is planned.
        for (name, said) in &then.views {
            let view = self.catalog().load_view(name).await.map_err(TableError::from)?;
            if view.is_none_or(|view| Said::by(&view) != *said) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether the rows of a plan follow from these tables and from nothing else that may be another the next time.
fn is_of_tables_alone(plan: &LogicalPlan, tables: &Moment) -> Result<bool> {
    let mut plain = true;
    plan.apply_with_subqueries(|part| {
        plain &= match part {
            LogicalPlan::TableScan(scan) => is_one_of(tables, scan),
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Unnest(_) => true,
            LogicalPlan::RecursiveQuery(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => false,
        };
        part.apply_expressions(|expr| {
            expr.apply(|part| {
                plain &= match part {
                    Expr::ScalarFunction(call) => !pg_catalog::depends_on_session(&call.func),
                    Expr::ScalarVariable(..) => false,
                    _ => true,
                };
                Ok(next(plain))
            })
        })?;
        Ok(next(plain))
    })?;
    Ok(plain)
}

fn next(plain: bool) -> TreeNodeRecursion {
    if plain {
        TreeNodeRecursion::Continue
    } else {
        TreeNodeRecursion::Stop
    }
}

/// Whether it is of one of these tables as it stands: versions and parts of tables are found while planning, and a session may have
/// tables of its own, in other catalogs too.
fn is_one_of(tables: &Moment, scan: &TableScan) -> bool {
    let Ok(provider) = source_as_provider(&scan.source) else {
        return false;
    };
    let Some(table) = provider.downcast_ref::<IcebergTable>() else {
        return false;
    };
    // The rows that a statement is about are nobody else's: no judge looks at scans of them.
    if scan.table_name.catalog() == Some(ROWS_CATALOG) {
        return false;
    }
    let (loaded, state) = (table.table(), table.state());
    let known = tables
        .get(&loaded.name)
        .is_some_and(|known| same(known.as_ref(), Some(loaded)));
    let newest = loaded.metadata.current_snapshot_id();
    known && state.is_some_and(|state| state.snapshot_id == newest) && !scan.table_name.table().contains(['@', '$'])
}

#[cfg(test)]
mod tests;
