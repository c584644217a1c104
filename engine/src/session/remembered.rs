//! Plans of statements that were planned before, as long as everything they name is as it was.
//!
//! Tools ask for the columns of a statement, then run it, then do so again: most statements are planned many times over tables that
//! did not change in between. A plan is remembered under the statement's text and what its session says of it, beside the states of
//! the tables that the statement names. Those are asked for anew each time, as for any statement; if one is another, the statement
//! is planned.
//!
//! Invariant: the plan is one that planning the statement in the same session would make now. What is not surely so is not kept:
//! plans over views, over what a session knows of itself, and with functions that belong to a session.

use std::collections::BTreeSet;
use std::fmt;
#[cfg(test)]
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::prelude::SessionContext;
use moka::sync::Cache;
use tidewater_core::TableName;
use tidewater_table::LoadedTable;

use super::CATALOG;
use crate::engine::Engine;
use crate::error::Result;
use crate::lake::{LakeCatalog, Moment};
use crate::opaque::Opaque;
use crate::pg_catalog::{self, Postgres};
use crate::provider::IcebergTable;

/// Statements whose plans are kept.
const PLANS_MAX: u64 = 1_000;

/// Longest statement whose plan is kept, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Plans that nobody asked for so long go: they hold on to states of tables that are gone.
const IDLE_MAX: Duration = Duration::from_secs(5 * 60);

/// What names a statement with everything that decides how it is planned, but for the tables.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// Of a statement in a session that looks names up in `lake`. None: its plan is not kept.
    pub(super) fn of(state: &SessionState, lake: &LakeCatalog, sql: &str) -> Option<Self> {
        if sql.len() > TEXT_BYTES_MAX {
            return None;
        }
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        part(sql.as_bytes());
        part(state.config().options().catalog.default_schema.as_bytes());
        part(lake.seen().as_ref().map_or(&[], |seen| seen.as_slice()));
        if let Some(postgres) = state.config().get_extension::<Postgres>() {
            postgres.planned_by(part);
        }
        Some(Self(*hasher.finalize().as_bytes()))
    }
}

/// A plan, and the tables that its statement names as they stood. `None`: there was none of that name.
struct Remembered {
    tables: Moment,
    plan: LogicalPlan,
}

/// The plans of an engine.
pub(crate) struct Plans {
    known: Cache<Key, Opaque<Remembered>>,
    /// How often a statement was not planned.
    #[cfg(test)]
    used: AtomicUsize,
    /// Wrong on purpose: whatever became of the tables.
    #[cfg(test)]
    forgets_tables: AtomicBool,
}

impl Default for Plans {
    fn default() -> Self {
        let known = Cache::builder().max_capacity(PLANS_MAX).time_to_idle(IDLE_MAX);
        Self {
            known: known.build(),
            #[cfg(test)]
            used: AtomicUsize::new(0),
            #[cfg(test)]
            forgets_tables: AtomicBool::new(false),
        }
    }
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.entry_count();
        f.debug_struct("Plans").field("known", &known).finish_non_exhaustive()
    }
}

impl Plans {
    /// The names of the statement, if it is known and none of them stands for something else in this session.
    pub(super) fn names(&self, key: &Key, lake: &LakeCatalog) -> Option<Vec<TableName>> {
        let names: Vec<TableName> = self.known.get(key)?.tables.keys().cloned().collect();
        (!names.iter().any(|name| lake.overlays(name))).then_some(names)
    }

    /// The plan over tables that stand as they do in `now`.
    pub(super) fn plan(&self, key: &Key, now: &Moment) -> Option<LogicalPlan> {
        let known = self.known.get(key)?;
        let is_same = |(name, table): (&TableName, &Option<LoadedTable>)| {
            now.get(name).is_some_and(|now| same(table.as_ref(), now.as_ref()))
        };
        let is_known = known.tables.iter().all(is_same);
        #[cfg(test)]
        let is_known = is_known || self.forgets_tables.load(Ordering::SeqCst);
        #[cfg(test)]
        self.used.fetch_add(usize::from(is_known), Ordering::SeqCst);
        is_known.then(|| known.plan.clone())
    }

    /// Keeps a plan if it is one of tables alone. `tables` are all that the statement names.
    pub(super) fn keep(&self, key: Key, tables: Moment, plan: &LogicalPlan) {
        if is_of_tables_alone(plan, &tables).unwrap_or(false) {
            let plan = plan.clone();
            self.known.insert(key, Opaque::new(Remembered { tables, plan }));
        }
    }

    #[cfg(test)]
    fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }
}

impl Engine {
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
        let Some(names) = self.parts.plans.names(&key, lake) else {
            return Ok(None);
        };
        let pinned = lake.pinned();
        let (kept, asked): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| pinned.contains_key(name));
        let mut now = self.moment(asked).await?;
        now.extend(
            kept.into_iter()
                .filter_map(|name| pinned.get_key_value(&name))
                .map(|(name, table)| (name.clone(), table.clone())),
        );
        Ok(self.parts.plans.plan(&key, &now))
    }
}

/// How each of these names stands, by what was found for it; none if that is not known of all.
pub(super) fn standing(
    names: &BTreeSet<TableName>,
    missing: &BTreeSet<TableName>,
    found: &[&Moment],
) -> Option<Moment> {
    let mut tables: Moment = missing.iter().map(|name| (name.clone(), None)).collect();
    for name in names {
        let table = found.iter().find_map(|moment| moment.get(name))?;
        tables.insert(name.clone(), table.clone());
    }
    Some(tables)
}

fn same(then: Option<&LoadedTable>, now: Option<&LoadedTable>) -> bool {
    match (then, now) {
        (None, None) => true,
        (Some(then), Some(now)) => {
            // Metadata files are never written twice.
            then.name == now.name
                && then.metadata_location == now.metadata_location
                && then.metadata.uuid() == now.metadata.uuid()
        }
        _ => false,
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
    let (loaded, state) = (table.table(), table.state());
    let known = tables
        .get(&loaded.name)
        .is_some_and(|known| same(known.as_ref(), Some(loaded)));
    let newest = loaded.metadata.current_snapshot_id();
    known && state.is_some_and(|state| state.snapshot_id == newest) && !scan.table_name.table().contains(['@', '$'])
}

#[cfg(test)]
mod tests;
