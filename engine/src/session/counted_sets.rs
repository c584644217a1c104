//! `EXCEPT ALL` and `INTERSECT ALL`. DataFusion 55.2 makes them of joins that let each row of the left pass, however often it stands on
//! the right.
//!
//! Rows that are the same are numbered on both sides, and the number is compared with them: of a row that stands `m` times on the left
//! and `n` times on the right, `min(m, n)` have their like on the right, and the others have not (SQL:2016, 7.17).

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, NullEquality, Result, not_impl_err, plan_err};
use datafusion::execution::SessionState;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Distinct, Expr, ExprFunctionExt, Join, LogicalPlan, Projection, Window};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;

/// What the numbers are called on the left and on the right. No other column is.
const NUMBERS: [&str; 2] = ["number$left", "number$right"];

/// The plan with the rows of such operations counted. It has to come from the planner: what an optimiser did may look like one.
pub(super) fn count_sets(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let mut found = false;
    plan.apply_with_subqueries(|part| {
        found |= matches!(part, LogicalPlan::Join(join) if is_of_all(join));
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    if !found {
        return Ok(plan);
    }
    // Rows are the same or not by the type that both sides have in the end.
    let plan = TypeCoercion::new().analyze(plan, state.config_options())?;
    let numbered = plan.transform_up_with_subqueries(|part| match part {
        LogicalPlan::Join(join) if is_of_all(&join) => Ok(Transformed::yes(numbered(join)?)),
        part => Ok(Transformed::no(part)),
    })?;
    Ok(numbered.data)
}

/// Whether the planner means such an operation by a join: no other has equal nulls, and without `ALL` the rows of the left are made
/// distinct. Where they are so already, it is right as it is.
fn is_of_all(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(Distinct::All(_)))
        && !join.on.iter().any(|(left, _)| is_number(left))
}

fn is_number(key: &Expr) -> bool {
    matches!(key, Expr::Column(column) if column.name == NUMBERS[0])
}

fn numbered(mut join: Join) -> Result<LogicalPlan> {
    let columns = join.left.schema().columns();
    if join.on.len() != columns.len() {
        return plan_err!("EXCEPT ALL and INTERSECT ALL compare all columns");
    }
    // Conditions on what is around are taken out of a subquery, over the numbers, which would be those of other rows then.
    if is_correlated(&join.left)? || is_correlated(&join.right)? {
        return not_impl_err!("EXCEPT ALL and INTERSECT ALL of rows that depend on the query around them");
    }
    let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
    let [left, right] = NUMBERS;
    join.left = with_number(join.left, left_keys, left)?;
    join.right = with_number(join.right, right_keys, right)?;
    let number = |name: &str| Expr::Column(Column::from_name(name));
    join.on.push((number(left), number(right)));
    let join = Join::try_new(
        join.left,
        join.right,
        join.on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    let columns = columns.into_iter().map(Expr::Column).collect();
    let columns = Projection::try_new(columns, Arc::new(LogicalPlan::Join(join)))?;
    Ok(LogicalPlan::Projection(columns))
}

fn is_correlated(rows: &LogicalPlan) -> Result<bool> {
    Ok(!around(rows)?.is_empty())
}

/// The columns around the rows that they depend on, without those that a `LATERAL` of theirs has of what stands before it.
fn around(rows: &LogicalPlan) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    rows.apply_expressions(|expr| {
        expr.apply(|part| {
            if let Expr::OuterReferenceColumn(_, column) = part {
                found.push(column.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if let LogicalPlan::Join(join) = rows
        && is_lateral(&join.right)
    {
        found.extend(around(&join.left)?);
        let before = join.left.schema();
        let of_query = around(&join.right)?.into_iter();
        found.extend(of_query.filter(|column| !before.has_column(column)));
        return Ok(found);
    }
    for input in rows.inputs() {
        found.extend(around(input)?);
    }
    Ok(found)
}

/// Whether a side of a join is the query of a `LATERAL`.
fn is_lateral(side: &LogicalPlan) -> bool {
    match side {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(alias) => is_lateral(&alias.input),
        LogicalPlan::Projection(projection) => is_lateral(&projection.input),
        _ => false,
    }
}

/// The rows with a number among those that have the same keys.
fn with_number(rows: Arc<LogicalPlan>, keys: Vec<Expr>, name: &str) -> Result<Arc<LogicalPlan>> {
    let number = row_number().partition_by(keys).build()?;
    let columns = rows.schema().columns();
    let numbered = LogicalPlan::Window(Window::try_new(vec![number], rows)?);
    // The number stands behind the columns that were there.
    let number = numbered.schema().columns().pop();
    let columns = columns.into_iter().map(Expr::Column);
    let number = number.map(|number| Expr::Column(number).alias(name));
    let columns = Projection::try_new(columns.chain(number).collect(), Arc::new(numbered))?;
    Ok(Arc::new(LogicalPlan::Projection(columns)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::testing::Lake;

    // Goal: of rows that are the same as many stay as there must, nulls among them. Method: sides with each row so often, against
    // their counts.
    #[tokio::test]
    async fn rows_are_counted() {
        let lake = Lake::new();
        let sides: [&[&str]; 4] = [
            &["NULL", "NULL", "NULL", "1", "2", "2", "2", "3"],
            &["NULL", "2", "2", "3", "3", "4"],
            &["2"],
            &["NULL", "NULL", "NULL", "NULL", "2", "2", "2", "2"],
        ];
        let query = |side: &[&str]| {
            let rows: Vec<String> = side.iter().map(|x| format!("({x}, 'a')")).collect();
            format!("SELECT x, y FROM (VALUES {}) AS v (x, y)", rows.join(", "))
        };
        let counts = |side: &[&str]| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for row in side {
                *counts.entry(row.replace("NULL", "")).or_default() += 1;
            }
            counts
        };
        for left in sides {
            for right in sides {
                let others = counts(right);
                for (operator, all) in [("EXCEPT", false), ("INTERSECT", true)] {
                    let sql = format!("{} {operator} ALL {}", query(left), query(right));
                    let stays = counts(left).into_iter().flat_map(|(row, count)| {
                        let both = others.get(&row).map_or(0, |other| count.min(*other));
                        let count = if all { both } else { count - both };
                        std::iter::repeat_n(format!("{row},a"), count)
                    });
                    assert_eq!(lake.lines(&sql).await, stays.collect::<Vec<_>>(), "{sql}");
                }
            }
        }
    }

    // Goal: they may stand wherever a query may. Method: within one another, in subqueries, in order, beside the same without ALL, of one
    // table twice, of two types, and of rows with a LATERAL of their own.
    #[tokio::test]
    async fn rows_are_counted_everywhere() {
        let lake = Lake::new();
        let (a, b) = (
            "(VALUES (1), (2), (2), (2), (NULL), (NULL)) AS a (x)",
            "(VALUES (2), (NULL), (3)) AS b (x)",
        );
        let except = format!("SELECT x FROM {a} EXCEPT ALL SELECT x FROM {b}");
        for (sql, rows) in [
            (except.clone(), vec!["", "1", "2", "2"]),
            (format!("{except} EXCEPT ALL SELECT x FROM {b}"), vec!["1", "2"]),
            (format!("{except} INTERSECT ALL SELECT 2"), vec!["", "", "1", "2", "2"]),
            (format!("({except}) INTERSECT ALL SELECT 2"), vec!["2"]),
            (format!("({except}) UNION ALL SELECT 2"), vec!["", "1", "2", "2", "2"]),
            (format!("{except} ORDER BY x DESC NULLS LAST LIMIT 1"), vec!["2"]),
            (format!("SELECT count(*) AS n FROM ({except}) AS e"), vec!["4"]),
            (
                format!("SELECT y FROM (VALUES (1), (3)) AS c (y) WHERE y IN ({except})"),
                vec!["1"],
            ),
            (format!("SELECT x FROM ({except}) AS e WHERE x > 1"), vec!["2", "2"]),
            (
                format!("SELECT DISTINCT x FROM {a} EXCEPT ALL SELECT x FROM {b}"),
                vec!["1"],
            ),
            (format!("SELECT x FROM {a} EXCEPT SELECT x FROM {b}"), vec!["1"]),
            (
                "SELECT DISTINCT ON (k) v FROM (VALUES (1, 7), (2, 7)) AS t (k, v) EXCEPT ALL SELECT w FROM (VALUES (7)) AS u (w)"
                    .to_owned(),
                vec!["7"],
            ),
            (
                format!("SELECT x FROM {a} EXCEPT ALL SELECT 2.0"),
                vec!["", "", "1.0", "2.0", "2.0"],
            ),
            (
                format!(
                    "SELECT x FROM {a} INTERSECT ALL SELECT b.x FROM {b} \
                     CROSS JOIN LATERAL (SELECT count(*) AS n FROM (VALUES (2), (2)) AS c (y) WHERE c.y = b.x) AS l"
                ),
                vec!["", "2"],
            ),
            (
                "WITH t (x) AS (VALUES (1), (1)) SELECT * FROM t INTERSECT ALL SELECT * FROM t".to_owned(),
                vec!["1", "1"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
        let sql = format!("SELECT x FROM {a} WHERE x IN (SELECT x FROM {b} WHERE b.x = a.x EXCEPT ALL SELECT 3)");
        let error = lake.answered(&sql).await.expect_err("it is refused");
        let told = format!("{error:?}");
        assert!(told.contains("depend on the query around them"), "{told}");
    }
}
