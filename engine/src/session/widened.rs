//! `EXCEPT` and `INTERSECT` of columns of two types. DataFusion 55.2 compares them by the wider one and gives those of the first query back;
//! SQL has the wider one, as in `UNION`.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::logical_expr::binary::type_union_coercion;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Distinct, Expr, Join, LogicalPlan, Projection};

/// The plan with both sides of such operations cast to the types that they have in common, where these are numbers or times. It has to
/// come from the planner: what an optimiser did may look like one.
pub(super) fn widened(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut found = false;
    plan.apply_with_subqueries(|part| {
        found |= matches!(part, LogicalPlan::Join(join) if types(join).is_some());
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    if !found {
        return Ok(plan);
    }
    let widened = plan.transform_up_with_subqueries(|part| {
        // What is made of such a column has another type too.
        Ok(match part.recompute_schema()? {
            LogicalPlan::Join(join) => match types(&join) {
                Some(types) => Transformed::yes(LogicalPlan::Join(cast(join, &types)?)),
                None => Transformed::yes(LogicalPlan::Join(join)),
            },
            part => Transformed::yes(part),
        })
    })?;
    Ok(widened.data)
}

/// The types that columns of such an operation have in common, if it is one and some have two; none for a column that is left as it is. The planner means such an operation by a join in which nulls are equal: no other is.
fn types(join: &Join) -> Option<Vec<Option<DataType>>> {
    if !matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        || join.null_equality != NullEquality::NullEqualsNull
    {
        return None;
    }
    let (left, right) = (join.left.schema().fields(), join.right.schema().fields());
    if left.len() != right.len() {
        return None;
    }
    let mut differ = false;
    let types = left.iter().zip(right.iter()).map(|(left, right)| {
        let (left, right) = (left.data_type(), right.data_type());
        let wide = in_common(left, right);
        differ |= wide.is_some();
        wide
    });
    let types: Vec<Option<DataType>> = types.collect();
    differ.then_some(types)
}

fn in_common(left: &DataType, right: &DataType) -> Option<DataType> {
    let numbers = left.is_numeric() && right.is_numeric();
    match (left, right) {
        (left, right) if left == right => None,
        // Without the nanoseconds that it would have else, for which there is no room in later centuries.
        (DataType::Date32, DataType::Timestamp(..)) => Some(right.clone()),
        (DataType::Timestamp(..), DataType::Timestamp(..)) => type_union_coercion(left, right),
        // Not every one of these is a decimal.
        (float, decimal) | (decimal, float) if float.is_floating() && decimal.is_decimal() => Some(DataType::Float64),
        (left, right) if numbers => type_union_coercion(left, right),
        _ => None,
    }
}

fn cast(join: Join, types: &[Option<DataType>]) -> Result<Join> {
    Join::try_new(
        rows(join.left, types)?,
        rows(join.right, types)?,
        join.on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )
}

/// The rows with these types, and with their names. What makes them distinct stays above, by which is told what has no `ALL`.
pub(super) fn rows(plan: Arc<LogicalPlan>, types: &[Option<DataType>]) -> Result<Arc<LogicalPlan>> {
    if let LogicalPlan::Distinct(Distinct::All(input)) = plan.as_ref() {
        let input = rows(Arc::clone(input), types)?;
        return Ok(Arc::new(LogicalPlan::Distinct(Distinct::All(input))));
    }
    let columns = plan.schema().iter().zip(types).map(|((table, field), wanted)| {
        let column = Expr::Column(Column::from((table, field)));
        match wanted {
            Some(wanted) if field.data_type() != wanted => {
                let cast = Expr::Cast(Cast::new(Box::new(column), wanted.clone()));
                cast.alias_qualified(table.cloned(), field.name())
            }
            _ => column,
        }
    });
    let columns: Vec<Expr> = columns.collect();
    let rows = Projection::try_new(columns, plan)?;
    Ok(Arc::new(LogicalPlan::Projection(rows)))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType;

    use crate::testing::Lake;
    use crate::{Class, SessionOptions};

    // Goal: columns of both operations are told to be what both sides have in common, and rows are. Method: the wider one on either side,
    // with ALL and without, within one another, below and above other parts of a query.
    #[tokio::test]
    async fn the_wider_type_is_told() {
        let lake = Lake::new();
        let session = lake.engine.session(Class::Interactive, &SessionOptions::default());
        let three = "SELECT CAST(3 AS int) AS x";
        for (sql, told, rows) in [
            (
                format!("{three} EXCEPT SELECT CAST(2 AS bigint)"),
                DataType::Int64,
                vec!["3"],
            ),
            (
                format!("{three} INTERSECT SELECT CAST(3 AS double)"),
                DataType::Float64,
                vec!["3.0"],
            ),
            (
                format!("{three} EXCEPT ALL SELECT CAST(2.5 AS double)"),
                DataType::Float64,
                vec!["3.0"],
            ),
            (
                format!("SELECT CAST(3 AS bigint) AS x EXCEPT {three}"),
                DataType::Int64,
                vec![],
            ),
            (
                format!("({three} EXCEPT SELECT CAST(2 AS bigint)) EXCEPT SELECT CAST(2 AS double)"),
                DataType::Float64,
                vec!["3.0"],
            ),
            (
                format!("SELECT e.x / 2 AS y FROM ({three} EXCEPT SELECT CAST(2 AS double)) AS e WHERE e.x / 2 = 1.5"),
                DataType::Float64,
                vec!["1.5"],
            ),
            (
                format!("{three} UNION ALL ({three} INTERSECT SELECT CAST(3 AS double))"),
                DataType::Float64,
                vec!["3.0", "3.0"],
            ),
            (
                "SELECT CAST(1e300 AS double) AS x EXCEPT SELECT CAST(2 AS decimal(4, 2))".to_owned(),
                DataType::Float64,
                vec!["1e300"],
            ),
            (
                "SELECT x, x AS y FROM (VALUES (1), (1), (2)) AS v (x) EXCEPT ALL SELECT CAST(1 AS double), 1"
                    .to_owned(),
                DataType::Float64,
                vec!["1.0,1", "2.0,2"],
            ),
        ] {
            let plan = lake.engine.plan(&session, &sql).await.expect(&sql);
            assert_eq!(plan.schema().field(0).data_type(), &told, "{sql}");
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
    }
}
