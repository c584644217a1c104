//! Columns of a query that are means of decimals. How many digits a mean has follows from those of its values and from the engine's
//! version: it is rounded whatever it is, so a table that has a column of means keeps the digits it was made with.

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Schema as ArrowSchema};
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan, WindowFunctionDefinition};
use iceberg::spec::{PrimitiveType, Schema, Type};

/// The function that makes means.
const MEAN: &str = "avg";

/// The query's columns, where those that are means have as many digits behind the point as the table's. Other columns stay as they are.
pub(crate) fn as_stored(rows: &LogicalPlan, table: Option<&Schema>) -> ArrowSchema {
    let columns = rows.schema().as_arrow();
    let Some(table) = table else {
        return columns.clone();
    };
    let fields = columns.fields().iter().enumerate().map(|(at, field)| -> Field {
        let stored = table
            .as_struct()
            .fields()
            .iter()
            .find(|stored| stored.name == *field.name());
        let kept = stored.and_then(|stored| kept(&stored.field_type, field.data_type()));
        match kept {
            Some(kept) if is_mean(rows, at) => field.as_ref().clone().with_data_type(kept),
            _ => field.as_ref().clone(),
        }
    });
    ArrowSchema::new(fields.collect::<Vec<_>>())
}

/// A decimal with the stored digits behind the point, and as many before it as both need; none if that is more than a decimal has.
fn kept(stored: &Type, mean: &DataType) -> Option<DataType> {
    let (Type::Primitive(PrimitiveType::Decimal { precision, scale }), DataType::Decimal128(digits, behind)) =
        (stored, mean)
    else {
        return None;
    };
    let (stored, scale) = (u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?);
    let before = i16::from(*digits) - i16::from(*behind);
    let needed = u8::try_from(before + i16::from(scale)).ok()?;
    let precision = stored.max(needed);
    (precision <= DECIMAL128_MAX_PRECISION).then_some(DataType::Decimal128(precision, scale))
}

/// Whether a column of a plan is a mean, and nothing was done to it since. One that tells rows apart is none: rounded to fewer digits,
/// rows that `GROUP BY` or `DISTINCT` made one each would be there twice.
fn is_mean(plan: &LogicalPlan, at: usize) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => one_makes_mean(&projection.expr, at, &projection.input),
        LogicalPlan::Aggregate(aggregate) => {
            // The columns that are grouped by come first, of which grouping sets have one more.
            let groups = aggregate
                .schema
                .fields()
                .len()
                .saturating_sub(aggregate.aggr_expr.len());
            let call = at.checked_sub(groups);
            call.is_some_and(|call| one_makes_mean(&aggregate.aggr_expr, call, &aggregate.input))
        }
        LogicalPlan::Window(window) => match at.checked_sub(window.input.schema().fields().len()) {
            Some(at) => one_makes_mean(&window.window_expr, at, &window.input),
            None => is_mean(&window.input, at),
        },
        LogicalPlan::Join(join) => match (join.join_type, at.checked_sub(join.left.schema().fields().len())) {
            (JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark, _) => is_mean(&join.right, at),
            (JoinType::LeftMark, Some(_)) => false,
            (_, Some(at)) => is_mean(&join.right, at),
            (_, None) => is_mean(&join.left, at),
        },
        LogicalPlan::Union(union) => union.inputs.iter().all(|input| is_mean(input, at)),
        LogicalPlan::SubqueryAlias(alias) => is_mean(&alias.input, at),
        LogicalPlan::Filter(filter) => is_mean(&filter.input, at),
        LogicalPlan::Sort(sort) => is_mean(&sort.input, at),
        LogicalPlan::Limit(limit) => is_mean(&limit.input, at),
        LogicalPlan::Repartition(repartition) => is_mean(&repartition.input, at),
        LogicalPlan::Distinct(Distinct::On(distinct)) => {
            let is_key = distinct.on_expr.iter().any(|expr| makes_mean(expr, &distinct.input));
            !is_key && one_makes_mean(&distinct.select_expr, at, &distinct.input)
        }
        _ => false,
    }
}

fn one_makes_mean(exprs: &[Expr], at: usize, input: &LogicalPlan) -> bool {
    exprs.get(at).is_some_and(|expr| makes_mean(expr, input))
}

fn makes_mean(expr: &Expr, input: &LogicalPlan) -> bool {
    match expr {
        Expr::Alias(alias) => makes_mean(&alias.expr, input),
        Expr::Column(column) => {
            let at = input.schema().maybe_index_of_column(column);
            at.is_some_and(|at| is_mean(input, at))
        }
        Expr::AggregateFunction(call) => call.func.name() == MEAN,
        Expr::WindowFunction(call) => {
            matches!(&call.fun, WindowFunctionDefinition::AggregateUDF(function) if function.name() == MEAN)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
