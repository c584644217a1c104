//! A statement asks for its rows more than once, and must be answered the same each time.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as PlanResult, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, ExprSchemable, LogicalPlan, TableScan, Volatility};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;

use crate::error::{EngineError, Result};
use crate::provider::IcebergTable;
use crate::session::called::as_called;

/// Functions of the time at which a query begins.
const TIMES: &[&str] = &["now", "current_timestamp", "current_date", "current_time", "today"];

/// Aggregates that follow from their rows, in whatever order these come, and in however many parts.
const OF_ROWS: &[&str] = &[
    "count", "min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "bit_xor",
];

/// The same of exact numbers.
const OF_EXACT_NUMBERS: &[&str] = &["sum", "avg"];

/// The plan with the time as it was at `now_ms`.
pub(super) fn settled(plan: LogicalPlan, now_ms: i64) -> Result<LogicalPlan> {
    let settled = plan.transform_down_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let mut change = |expr: Expr| expr.transform_up(|expr| time(expr, now_ms));
        node.map_expressions(|expr| as_called(expr, &names, &mut change))
    })?;
    Ok(settled.data)
}

fn time(expr: Expr, now_ms: i64) -> PlanResult<Transformed<Expr>> {
    let Expr::ScalarFunction(call) = &expr else {
        return Ok(Transformed::no(expr));
    };
    if !call.args.is_empty() || !TIMES.contains(&call.func.name()) {
        return Ok(Transformed::no(expr));
    }
    let wanted = expr.get_type(&DFSchema::empty())?;
    let moment = ScalarValue::TimestampMillisecond(Some(now_ms), Some("+00:00".into()));
    let value = match wanted {
        DataType::Time64(_) | DataType::Time32(_) => {
            let day = ScalarValue::Time32Millisecond(i32::try_from(now_ms.rem_euclid(86_400_000)).ok());
            day.cast_to(&wanted)?
        }
        DataType::Date32 => ScalarValue::Date32(i32::try_from(now_ms.div_euclid(86_400_000)).ok()),
        DataType::Timestamp(
            TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
            _,
        ) => moment.cast_to(&wanted)?,
        _ => return Ok(Transformed::no(expr)),
    };
    Ok(Transformed::yes(Expr::Literal(value, None)))
}

/// Refuses functions that answer otherwise each time, as `random()` does.
pub(super) fn refuse_volatile(plan: &LogicalPlan, verb: &str) -> Result<()> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr
                    && call.func.signature().volatility == Volatility::Volatile
                {
                    found = Some(call.func.name().to_owned());
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    match found {
        None => Ok(()),
        Some(function) => Err(EngineError::statement(format!(
            "{verb} asks more than once which rows it is about, and {function}() answers otherwise each time"
        ))),
    }
}

/// Whether the plan has the same rows however often it runs, and on whichever processes: none of it goes by the order in which rows
/// come, as first rows without an order do, numbers among rows that are equal in theirs, and sums of floating-point numbers.
pub(super) fn repeats(plan: &LogicalPlan, options: &ConfigOptions) -> PlanResult<bool> {
    Ok(unsettled(plan, options)? == 0)
}

/// How many parts of the plan need not have the same rows each time that it runs.
pub(super) fn unsettled(plan: &LogicalPlan, options: &ConfigOptions) -> PlanResult<usize> {
    // The planner takes the type of a `CASE` from its first branch: with a whole number there, a sum of others looks exact.
    match TypeCoercion::new().analyze(plan.clone(), options) {
        Ok(typed) => parts_unsettled(&typed),
        // Why it has no types is told where it runs.
        Err(_) => Ok(parts_unsettled(plan)?.max(1)),
    }
}

fn parts_unsettled(plan: &LogicalPlan) -> PlanResult<usize> {
    let mut parts = 0;
    plan.apply_with_subqueries(|node| {
        let settled = match node {
            LogicalPlan::Limit(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Distinct(Distinct::On(_))
            | LogicalPlan::Extension(_) => false,
            LogicalPlan::Sort(sort) => sort.fetch.is_none(),
            LogicalPlan::Aggregate(aggregate) => follows(aggregate)?,
            // Zeros of either sign are one value, and which of them is kept hangs on which comes first.
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let mut fields = input.schema().fields().iter();
                !fields.any(|field| field.data_type().is_floating())
            }
            LogicalPlan::TableScan(scan) => stands(scan)?,
            _ => true,
        };
        parts += usize::from(!settled);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(parts)
}

/// Whether a scan has the same rows each time.
fn stands(scan: &TableScan) -> PlanResult<bool> {
    let provider = source_as_provider(&scan.source)?;
    if let Some(view) = provider.get_logical_plan() {
        return Ok(parts_unsettled(&view)? == 0);
    }
    // Tables in memory are made before a statement is carried out. What else is read may be another thing each time, as what is told
    // of running queries.
    let known = provider.downcast_ref::<IcebergTable>().is_some()
        || provider.downcast_ref::<CteWorkTable>().is_some()
        || provider.downcast_ref::<MemTable>().is_some();
    Ok(known && scan.fetch.is_none())
}

/// Whether the aggregates follow from their rows alone.
fn follows(aggregate: &Aggregate) -> PlanResult<bool> {
    let schema: &DFSchema = aggregate.input.schema();
    let mut alike = true;
    for key in aggregate.schema.fields().iter().take(aggregate.group_expr_len()?) {
        alike &= !key.data_type().is_floating();
    }
    for expr in &aggregate.aggr_expr {
        expr.apply(|part| {
            if let Expr::AggregateFunction(call) = part {
                let name = call.func.name();
                let exact = || part.get_type(schema).is_ok_and(|of| !of.is_floating());
                alike &= OF_ROWS.contains(&name) || OF_EXACT_NUMBERS.contains(&name) && exact();
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(alike)
}
