//! How many rows there are, as far as snapshots and the form of a condition tell.

use std::sync::Arc;

use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, FetchType, JoinType, LogicalPlan, Operator, SkipType, TableScan};

use super::search::Size;
use crate::provider::IcebergTable;

/// Shares of rows for which a condition is true, where no statistics tell: as other planners guess them.
const EQUAL: f64 = 0.05;
const ORDERED: f64 = 0.33;
const ALIKE: f64 = 0.1;
const NULL: f64 = 0.05;
const OTHER: f64 = 0.3;

/// Groups of rows, for each row.
const GROUPS: f64 = 0.2;

/// Rows that are left of those that others decide about.
const EXISTING: f64 = 0.5;

/// The rows of a plan; none where a table does not tell.
pub(super) fn of(plan: &LogicalPlan) -> Option<Size> {
    Some(match plan {
        LogicalPlan::TableScan(scan) => {
            let all = table_rows(scan)?;
            let size = Size { rows: all, all };
            with(size, &scan.filters, plan)
        }
        LogicalPlan::Filter(filter) => {
            // What a scan cannot do whole stands at it as well.
            let below = match filter.input.as_ref() {
                LogicalPlan::TableScan(scan) => {
                    let all = table_rows(scan)?;
                    Size { rows: all, all }
                }
                other => of(other)?,
            };
            let parts: Vec<Expr> = split_conjunction(&filter.predicate).into_iter().cloned().collect();
            with(below, &parts, plan)
        }
        LogicalPlan::SubqueryAlias(alias) => of(&alias.input)?,
        LogicalPlan::Projection(projection) => of(&projection.input)?,
        LogicalPlan::Sort(sort) => of(&sort.input)?,
        LogicalPlan::Window(window) => of(&window.input)?,
        LogicalPlan::Repartition(repartition) => of(&repartition.input)?,
        LogicalPlan::Distinct(distinct) => groups(of(distinct.input())?),
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => exactly(1.0),
        LogicalPlan::Aggregate(aggregate) => groups(of(&aggregate.input)?),
        LogicalPlan::Limit(limit) => {
            let size = of(&limit.input)?;
            match (limit.get_fetch_type(), limit.get_skip_type()) {
                (Ok(FetchType::Literal(Some(most))), Ok(SkipType::Literal(_))) => exactly(size.rows.min(most as f64)),
                _ => size,
            }
        }
        LogicalPlan::Union(union) => {
            let inputs = union.inputs.iter().map(|input| of(input));
            let sizes = inputs.collect::<Option<Vec<_>>>()?;
            exactly(sizes.iter().map(|size| size.rows).sum())
        }
        LogicalPlan::Values(values) => exactly(values.values.len() as f64),
        LogicalPlan::EmptyRelation(_) => exactly(1.0),
        LogicalPlan::Join(join) => {
            let left = of(&join.left)?;
            match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => Size {
                    rows: (left.rows * EXISTING).max(1.0),
                    all: left.all,
                },
                JoinType::LeftMark => left,
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => of(&join.right)?,
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                    let right = of(&join.right)?;
                    let rows = match join.on.is_empty() {
                        true => left.rows * right.rows,
                        false => left.rows.max(right.rows),
                    };
                    exactly(rows)
                }
            }
        }
        _ => return None,
    })
}

/// How many values a column of a relation has, where somebody has counted them (`compute_table_stats`).
pub(super) fn distinct(plan: &LogicalPlan, column: &Column) -> Option<f64> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let at = plan.schema().maybe_index_of_column(column)?;
            let counted = iceberg(scan, |table| table.distinct(scan.projected_schema.field(at).name()))?;
            Some((counted as f64).max(1.0))
        }
        LogicalPlan::Filter(filter) => distinct(&filter.input, column),
        LogicalPlan::SubqueryAlias(alias) => {
            let at = alias.schema.maybe_index_of_column(column)?;
            distinct(&alias.input, &Column::from(alias.input.schema().qualified_field(at)))
        }
        LogicalPlan::Join(join) if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti) => {
            distinct(&join.left, column)
        }
        _ => None,
    }
}

/// The share of rows for which a condition over these relations is true.
pub(super) fn share(condition: &Expr, relations: &[Arc<LogicalPlan>]) -> f64 {
    let counted = |column: &Column| relations.iter().find_map(|relation| distinct(relation, column));
    part(condition, &counted)
}

fn with(size: Size, conditions: &[Expr], plan: &LogicalPlan) -> Size {
    let counted = |column: &Column| distinct(plan, column);
    let share: f64 = conditions.iter().map(|condition| part(condition, &counted)).product();
    Size {
        rows: (size.rows * share).max(1.0),
        all: size.all,
    }
}

fn part(condition: &Expr, counted: &dyn Fn(&Column) -> Option<f64>) -> f64 {
    match condition {
        Expr::Literal(ScalarValue::Boolean(Some(true)), _) => 1.0,
        Expr::Literal(..) => 0.0,
        Expr::Alias(alias) => part(&alias.expr, counted),
        Expr::Not(inner) => (1.0 - part(inner, counted)).max(EQUAL),
        Expr::IsNull(_) | Expr::IsUnknown(_) => NULL,
        Expr::IsNotNull(_) | Expr::IsNotUnknown(_) => 1.0 - NULL,
        Expr::IsTrue(inner) | Expr::IsNotFalse(inner) => part(inner, counted),
        Expr::IsFalse(inner) | Expr::IsNotTrue(inner) => (1.0 - part(inner, counted)).max(EQUAL),
        Expr::Like(like) if like.negated => 1.0 - ALIKE,
        Expr::Like(_) => ALIKE,
        Expr::Between(between) if between.negated => 1.0 - ORDERED * ORDERED,
        Expr::Between(_) => ORDERED * ORDERED,
        Expr::InList(list) => {
            let share = (equal(&list.expr, counted) * list.list.len() as f64).min(1.0);
            if list.negated { (1.0 - share).max(EQUAL) } else { share }
        }
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::And => part(&binary.left, counted) * part(&binary.right, counted),
            Operator::Or => (part(&binary.left, counted) + part(&binary.right, counted)).min(1.0),
            Operator::Eq | Operator::IsNotDistinctFrom => {
                equal(&binary.left, counted).min(equal(&binary.right, counted))
            }
            Operator::NotEq | Operator::IsDistinctFrom => 1.0 - EQUAL,
            Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => ORDERED,
            _ => OTHER,
        },
        _ => OTHER,
    }
}

/// The share of rows in which an expression has one certain value.
fn equal(expr: &Expr, counted: &dyn Fn(&Column) -> Option<f64>) -> f64 {
    match expr {
        Expr::Column(column) => counted(column).map_or(EQUAL, f64::recip),
        Expr::Cast(cast) => equal(&cast.expr, counted),
        _ => EQUAL,
    }
}

fn exactly(rows: f64) -> Size {
    Size { rows, all: rows }
}

fn groups(size: Size) -> Size {
    exactly((size.rows * GROUPS).max(1.0))
}

fn table_rows(scan: &TableScan) -> Option<f64> {
    let rows = iceberg(scan, IcebergTable::rows_total)? as f64;
    let most = scan.fetch.map_or(f64::INFINITY, |fetch| fetch as f64);
    Some(rows.min(most))
}

fn iceberg<T>(scan: &TableScan, ask: impl FnOnce(&IcebergTable) -> Option<T>) -> Option<T> {
    let provider = source_as_provider(&scan.source).ok()?;
    ask(provider.downcast_ref::<IcebergTable>()?)
}
