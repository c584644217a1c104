//! Whether a plan can leave this process.

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::{Expr, GroupingSet, Limit, LogicalPlan};

use crate::window_filters::can_do_without;
use tidewater_engine::{EngineError, IcebergTable, KeptHere, PlanRequest};

/// What keeps a plan in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Executors can run it. `of_rows`: it names rows by their places, as changes of rows do, of which most are small.
    Anywhere { of_rows: bool },
    /// It reads nothing that would be worth it.
    NoTable,
    /// It explains, commits or changes a setting: done where it was asked.
    Here(&'static str),
}

/// How far the plan of a request can go.
pub(crate) fn reach_of(request: &PlanRequest) -> Result<Reach, EngineError> {
    match KeptHere::of(&request.session) {
        Some(why) => Ok(Reach::Here(why)),
        None => reach(&request.plan),
    }
}

/// How far the plan can go.
fn reach(plan: &LogicalPlan) -> Result<Reach, EngineError> {
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
    if counts_too_far(plan)? {
        return Ok(Reach::Here("it skips or limits more rows than executors are told of"));
    }
    let mut reads = Reads::default();
    visit(plan, &mut reads)?;
    Ok(match reads {
        Reads { here: true, .. } => Reach::Here("it reads what lies in this process only"),
        Reads { tables: 0, .. } => Reach::NoTable,
        Reads { of_rows, .. } => Reach::Anywhere { of_rows },
    })
}

/// What a plan reads.
#[derive(Default)]
struct Reads {
    tables: usize,
    here: bool,
    of_rows: bool,
}

/// A form whose meaning is lost on the way to executors: Ballista 55.0 joins a scalar subquery without looking whether it has more
/// than one row, and datafusion-proto 55.2 sends window functions without their filter, where they cannot do without it, and sets of no
/// columns as none.
fn misread(plan: &LogicalPlan) -> Result<Option<&'static str>, EngineError> {
    if holds(plan, |part| match part {
        // One that looks outside has an aggregate, or the planner refuses it.
        Expr::ScalarSubquery(query) => {
            query.outer_ref_columns.is_empty() && query.subquery.max_rows().is_none_or(|rows| rows > 1)
        }
        Expr::SetComparison(_) => true,
        _ => false,
    })? {
        return Ok(Some("a subquery of it might have more than one row"));
    }
    let nothing = |sets: &[Vec<Expr>]| sets.iter().all(Vec::is_empty);
    if holds(
        plan,
        |part| matches!(part, Expr::GroupingSet(GroupingSet::GroupingSets(sets)) if nothing(sets)),
    )? {
        return Ok(Some("it groups by nothing but ()"));
    }
    let filters = |part: &Expr| matches!(part, Expr::WindowFunction(window) if window.params.filter.is_some() && !can_do_without(window));
    Ok(holds(plan, filters)?.then_some("a window function of it has a filter"))
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

/// Whether it skips rows or ends after rows beyond the last that can be said: datafusion-proto 55.2 sends the counts of limits, of scans and
/// of filters as `u32`, and what is larger begins anew at nothing. A sort's own count has more bits, but where rows come sorted the sort is
/// left out and a limit stands in its place.
fn counts_too_far(plan: &LogicalPlan) -> Result<bool, EngineError> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Limit(limit) => found |= !can_be_said(limit),
            LogicalPlan::Sort(sort) => found |= sort.fetch.is_some_and(|rows| u32::try_from(rows).is_err()),
            LogicalPlan::TableScan(scan) => {
                found |= scan.fetch.is_some_and(|rows| u32::try_from(rows).is_err());
                if let Some(view) = source_as_provider(&scan.source)?.get_logical_plan() {
                    found |= counts_too_far(&view)?;
                }
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Whether the count of all rows up to the last one is within what is sent.
fn can_be_said(limit: &Limit) -> bool {
    let rows = |said: Option<&Expr>| said.map_or(Some(0), rows);
    let (Some(skipped), Some(wanted)) = (rows(limit.skip.as_deref()), rows(limit.fetch.as_deref())) else {
        return false;
    };
    skipped
        .checked_add(wanted)
        .is_some_and(|last| u32::try_from(last).is_ok())
}

/// How many rows an expression says, nothing being none; nothing for what has yet to be computed.
fn rows(said: &Expr) -> Option<i64> {
    match said {
        Expr::Cast(cast) => rows(&cast.expr),
        Expr::Literal(value, _) => match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(rows)) => Some(rows.unwrap_or(0)),
            _ => None,
        },
        _ => None,
    }
}

fn visit(plan: &LogicalPlan, reads: &mut Reads) -> Result<(), EngineError> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            match provider.get_logical_plan() {
                Some(view) => visit(&view, reads)?,
                None => {
                    reads.tables += 1;
                    let rows = provider.downcast_ref::<IcebergTable>();
                    reads.here |= rows.is_none() && provider.downcast_ref::<MemTable>().is_none();
                    reads.of_rows |= rows.is_some_and(IcebergTable::tells_identity);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn reaches(sql: &str) -> Reach {
        let session = SessionContext::new();
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let rows = RecordBatch::try_from_iter([("id", column)]).expect("rows");
        session.register_batch("t", rows).expect("a table");
        let plan = session.state().create_logical_plan(sql).await.expect(sql);
        let raw = reach(&plan).expect(sql);
        let optimized = session.state().optimize(&plan).expect(sql);
        assert_eq!(reach(&optimized).expect(sql), raw, "{sql}");
        raw
    }

    // Goal: no count of rows begins anew at nothing on its way to executors. Method: limits and offsets up to the last count that can be said and
    // beyond it, as such and together, sorted and not, in a subquery and in a view; each also after the planner has moved them.
    #[tokio::test]
    async fn counts_that_cannot_be_said_stay_here() {
        for sql in [
            "SELECT id FROM t LIMIT 10 OFFSET 5",
            "SELECT id FROM t LIMIT 4294967295",
            "SELECT id FROM t ORDER BY id LIMIT 4294967290 OFFSET 5",
            "SELECT id FROM t OFFSET 4294967295",
        ] {
            assert_eq!(reaches(sql).await, Reach::Anywhere { of_rows: false }, "{sql}");
        }
        for sql in [
            "SELECT id FROM t LIMIT 4294967296",
            "SELECT id FROM t WHERE id > 0 LIMIT 4294967295 OFFSET 1",
            "SELECT id FROM t OFFSET 4294967296",
            "SELECT id FROM t ORDER BY id LIMIT 4294967297",
            "SELECT id FROM t ORDER BY id LIMIT 9223372036854775807 OFFSET 1",
            "SELECT count(*) FROM (SELECT id FROM t LIMIT 4294967301) AS q",
            "SELECT id FROM t WHERE id IN (SELECT id FROM t OFFSET 4294967296)",
        ] {
            assert!(matches!(reaches(sql).await, Reach::Here(_)), "{sql}");
        }
        let session = SessionContext::new();
        session.sql("CREATE TABLE t AS VALUES (1)").await.expect("a table");
        let view = "CREATE VIEW v AS SELECT * FROM t LIMIT 4294967296";
        session.sql(view).await.expect("a view");
        let plan = session.state().create_logical_plan("SELECT * FROM v").await;
        assert!(matches!(reach(&plan.expect("a plan")), Ok(Reach::Here(_))));
    }
}
