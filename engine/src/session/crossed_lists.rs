//! Joins by no key of rows with lists. DataFusion 55.2 repeats a row of the smaller side by a copy of each value, and a copied list has
//! forgotten what its elements are told to be (their field ids): it is refused for not being of the column's type. A join by a key takes
//! rows as they are.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Projection, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// What the keys are called on the left and on the right. No other column is.
const KEYS: [&str; 2] = ["crossed$left", "crossed$right"];

/// Gives such joins a key that is the same in all rows. It comes after the rules that look for other keys.
#[derive(Debug)]
pub(super) struct CrossedLists;

impl OptimizerRule for CrossedLists {
    fn name(&self) -> &str {
        "crossed_lists"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Join(join) if pairs(&join) && (has_lists(&join.left) || has_lists(&join.right)) => {
                Ok(Transformed::yes(keyed(join)?))
            }
            plan => Ok(Transformed::no(plan)),
        }
    }
}

/// Whether it is a join that gives rows of both sides, by no key.
fn pairs(join: &Join) -> bool {
    let both = matches!(
        join.join_type,
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full
    );
    both && join.on.is_empty()
}

fn has_lists(side: &LogicalPlan) -> bool {
    side.schema().fields().iter().any(|field| is_told(field.data_type()))
}

/// Whether it is a list that tells something of its elements.
fn is_told(of: &DataType) -> bool {
    match of {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            !element.metadata().is_empty() || is_told(element.data_type())
        }
        _ => false,
    }
}

fn keyed(join: Join) -> Result<LogicalPlan> {
    let columns = join.schema.columns().into_iter().map(Expr::Column).collect();
    let [left, right] = KEYS;
    let key = |name: &str| Expr::Column(Column::from_name(name));
    let join = Join::try_new(
        with_key(join.left, left)?,
        with_key(join.right, right)?,
        vec![(key(left), key(right))],
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    let columns = Projection::try_new(columns, Arc::new(LogicalPlan::Join(join)))?;
    Ok(LogicalPlan::Projection(columns))
}

fn with_key(side: Arc<LogicalPlan>, name: &str) -> Result<Arc<LogicalPlan>> {
    let columns = side.schema().columns().into_iter().map(Expr::Column);
    let columns = columns.chain([lit(1_i32).alias(name)]).collect();
    Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, side)?)))
}

#[cfg(test)]
mod tests {
    use crate::statement::tests::done;
    use crate::testing::Lake;

    // Goal: rows with lists are joined with any others, in process and after a journey. Method: two such rows beside many, as either side,
    // by no condition and by one without a key, in joins that keep the rows of a side.
    #[tokio::test]
    async fn lists_are_crossed() {
        let lake = Lake::new();
        done(&lake, "CREATE SCHEMA crossed").await;
        done(&lake, "CREATE TABLE crossed.l (id bigint, tags text[])").await;
        done(&lake, "INSERT INTO crossed.l VALUES (1, ARRAY['a', 'b']), (2, NULL)").await;
        done(&lake, "CREATE TABLE crossed.many (n bigint)").await;
        let many: Vec<String> = (1..=300).map(|n| format!("({n})")).collect();
        done(&lake, &format!("INSERT INTO crossed.many VALUES {}", many.join(", "))).await;
        for (from, rows) in [
            (
                "crossed.l CROSS JOIN crossed.many WHERE n < 3",
                ["1,1,a", "1,2,a", "2,1,", "2,2,"],
            ),
            (
                "crossed.many CROSS JOIN crossed.l WHERE n < 3",
                ["1,1,a", "1,2,a", "2,1,", "2,2,"],
            ),
            (
                "crossed.l JOIN crossed.many ON id + 297 < n",
                ["1,299,a", "1,300,a", "2,300,", ""],
            ),
            (
                "crossed.many RIGHT JOIN crossed.l ON id + 298 < n",
                ["1,300,a", "2,,", "", ""],
            ),
        ] {
            let rows: Vec<&str> = rows.into_iter().filter(|row| !row.is_empty()).collect();
            let sql = format!("SELECT id, n, tags[1] AS tag, tags FROM {from}");
            let sql = format!("SELECT id, n, tag FROM ({sql}) AS q WHERE tags IS NULL OR tags[2] = 'b'");
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
            assert_eq!(lake.travelled(&sql).await.expect("rows"), rows, "{sql}");
        }
        assert_eq!(
            lake.lines("SELECT count(tags) AS n FROM crossed.l CROSS JOIN crossed.many")
                .await,
            ["300"]
        );
    }
}
