//! Whether a plan can leave this process.

use datafusion::catalog::TableProvider;
use datafusion::common::JoinType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{Expr, LogicalPlan};

use tidewater_engine::{EngineError, IcebergTable};

/// What keeps a plan in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Executors can run it.
    Anywhere,
    /// It reads nothing that would be worth it.
    NoTable,
    /// It explains, commits or changes a setting: done where it was asked.
    Here(&'static str),
}

/// How far the plan can go.
pub(crate) fn reach(plan: &LogicalPlan) -> Result<Reach, EngineError> {
    match plan {
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => return Ok(Reach::Here("it is an explanation")),
        LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) | LogicalPlan::Copy(_) => {
            return Ok(Reach::Here("it is a statement of this session"));
        }
        // A write of the engine names files and leaves the commit to its caller; a statement commits by itself.
        LogicalPlan::Dml(write) if is_table(source_as_provider(&write.target)?.as_ref()) => {
            return Ok(Reach::Here("it commits by itself"));
        }
        _ => {}
    }
    if ignores_nulls_in_windows(plan)? {
        // datafusion-proto 55.2 sends window functions without the flag: the answer would be wrong without a word.
        return Ok(Reach::Here("a window function of it ignores nulls"));
    }
    if let Some(form) = misread(plan)? {
        return Ok(Reach::Here(form));
    }
    let mut tables = 0_usize;
    let mut here = false;
    visit(plan, &mut tables, &mut here)?;
    Ok(match (here, tables) {
        (true, _) => Reach::Here("it reads what lies in this process only"),
        (false, 0) => Reach::NoTable,
        (false, _) => Reach::Anywhere,
    })
}

/// Whether an aggregate of it asks for its rows in an order, such as `array_agg(x ORDER BY y)`.
pub(crate) fn orders_within_aggregates(plan: &LogicalPlan) -> Result<bool, EngineError> {
    holds(
        plan,
        |part| matches!(part, Expr::AggregateFunction(aggregate) if !aggregate.params.order_by.is_empty()),
    )
}

/// A form that executors were seen to answer wrongly or not at all (Ballista 55.0, datafusion-proto 55.2; `tests/slt`): rows that a
/// subquery excludes, a filter of a window function that is lost, outer rows without a partner.
fn misread(plan: &LogicalPlan) -> Result<Option<&'static str>, EngineError> {
    if holds(plan, |part| {
        matches!(
            part,
            Expr::InSubquery(_) | Expr::Exists(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
        )
    })? {
        return Ok(Some("it asks with a subquery"));
    }
    if holds(
        plan,
        |part| matches!(part, Expr::WindowFunction(window) if window.params.filter.is_some()),
    )? {
        return Ok(Some("a window function of it has a filter"));
    }
    // Models merge changes by full joins, to the right rows; it is empty tables that such a query was not answered for.
    let writes = matches!(plan, LogicalPlan::Dml(_));
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node {
            found = match join.join_type {
                JoinType::Full if !writes => Some("it joins rows of both sides that have no partner"),
                JoinType::LeftSemi | JoinType::RightSemi | JoinType::LeftAnti | JoinType::RightAnti => {
                    Some("it joins to keep or leave rows")
                }
                _ => found,
            };
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn ignores_nulls_in_windows(plan: &LogicalPlan) -> Result<bool, EngineError> {
    let ignores = |window: &WindowFunction| window.params.null_treatment == Some(NullTreatment::IgnoreNulls);
    holds(
        plan,
        |part| matches!(part, Expr::WindowFunction(window) if ignores(window)),
    )
}

/// Is there such an expression anywhere in the plan?
fn holds(plan: &LogicalPlan, wanted: impl Fn(&Expr) -> bool) -> Result<bool, EngineError> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                found |= wanted(part);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

fn visit(plan: &LogicalPlan, tables: &mut usize, here: &mut bool) -> Result<(), EngineError> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            match provider.get_logical_plan() {
                Some(view) => visit(&view, tables, here)?,
                None => {
                    *tables += 1;
                    let known = is_table(provider.as_ref()) || provider.downcast_ref::<MemTable>().is_some();
                    let rows = provider.downcast_ref::<IcebergTable>();
                    // What datafusion-proto 55.2 sends of a scan has no place for a row's position.
                    *here |= !known || rows.is_some_and(IcebergTable::tells_identity);
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn is_table(provider: &dyn TableProvider) -> bool {
    provider.downcast_ref::<IcebergTable>().is_some()
}
