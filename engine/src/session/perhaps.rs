//! Subqueries that stand for a value and may have no row. DataFusion 55.2 takes them for never null where their column is not, so that
//! `(SELECT id FROM t WHERE false) IS NULL` is false to it, and conditions are left out that would not hold.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::called::as_called;
use crate::functions::perhaps::function;

/// The plan with such subqueries as values that may be null.
pub(super) fn without_rows(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !has_any(&plan)? {
        return Ok(plan);
    }
    let told = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let mut change = |expr: Expr| {
            expr.transform_up(|expr| match may_be_missing(&expr) {
                true => {
                    let value = ScalarFunction::new_udf(function(), vec![expr]);
                    Ok(Transformed::yes(Expr::ScalarFunction(value)))
                }
                false => Ok(Transformed::no(expr)),
            })
        };
        let node = node.map_expressions(|expr| as_called(expr, &names, &mut change))?;
        // What is made of such a value may be null too.
        node.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(told.data)
}

fn has_any(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found = found || expr.exists(|expr| Ok(may_be_missing(expr)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

fn may_be_missing(expr: &Expr) -> bool {
    let Expr::ScalarSubquery(subquery) = expr else {
        return false;
    };
    let rows = subquery.subquery.as_ref();
    rows.schema().fields().first().is_some_and(|field| !field.is_nullable()) && !has_a_row(rows)
}

/// Whether there is a row whatever the tables hold.
fn has_a_row(rows: &LogicalPlan) -> bool {
    match rows {
        LogicalPlan::Aggregate(groups) => groups.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(nothing) => nothing.produce_one_row,
        LogicalPlan::Projection(columns) => has_a_row(&columns.input),
        LogicalPlan::SubqueryAlias(named) => has_a_row(&named.input),
        LogicalPlan::Sort(sorted) => sorted.fetch != Some(0) && has_a_row(&sorted.input),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
    use tidewater_table::schema::to_arrow;

    use crate::testing::Lake;

    // Goal: the value of a subquery without rows is null wherever it stands, in process and after a journey. Method: a column that is never
    // null, and constants, with conditions that let a row pass and with ones that let none.
    #[tokio::test]
    async fn no_row_is_null() {
        let lake = Lake::new();
        let fields = [
            NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
            NestedField::optional(2, "name", Type::Primitive(PrimitiveType::String)).into(),
        ];
        let schema = Schema::builder().with_fields(fields).build().expect("a schema");
        lake.create("silver.few", schema, None).await;
        let columns = to_arrow(lake.load("silver.few").await.metadata.current_schema()).expect("columns");
        let rows: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![1, 2])),
            Arc::new(StringArray::from(vec!["ann", "bob"])),
        ];
        let rows = RecordBatch::try_new(Arc::new(columns), rows).expect("rows");
        lake.append("silver.few", rows).await;
        let none = "(SELECT id FROM silver.few WHERE id = 99)";
        let one = "(SELECT id FROM silver.few WHERE id = 2)";
        for (sql, rows) in [
            (
                format!("SELECT name FROM silver.few WHERE {none} IS NULL ORDER BY id"),
                vec!["ann", "bob"],
            ),
            (format!("SELECT name FROM silver.few WHERE {none} IS NOT NULL"), vec![]),
            (format!("SELECT name FROM silver.few WHERE {one} IS NULL"), vec![]),
            (
                format!("SELECT CASE WHEN {none} IS NULL THEN 'none' ELSE 'some' END"),
                vec!["none"],
            ),
            (
                format!("SELECT count(*) FROM silver.few WHERE id > coalesce({none}, 0)"),
                vec!["2"],
            ),
            (
                format!("SELECT count(*) FROM silver.few WHERE id > coalesce({one}, 0)"),
                vec!["0"],
            ),
            (
                format!("SELECT coalesce({none}, -1), coalesce({one}, -1)"),
                vec!["-1,2"],
            ),
            (format!("SELECT {none}"), vec![""]),
            (format!("SELECT x IS NULL FROM (SELECT {none} AS x) AS t"), vec!["true"]),
            (
                format!("SELECT (SELECT {none} FROM silver.few WHERE id = 1) IS NULL"),
                vec!["true"],
            ),
            (
                "SELECT (SELECT 1 WHERE FALSE) IS NULL, (SELECT 1) IS NULL".to_owned(),
                vec!["true,false"],
            ),
            (
                "SELECT (SELECT count(*) FROM silver.few WHERE id = 99) IS NULL".to_owned(),
                vec!["false"],
            ),
            (
                "SELECT (SELECT count(*) FROM silver.few HAVING count(*) > 5) IS NULL".to_owned(),
                vec!["true"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
            if sql.contains("WHERE id > ") {
                assert_eq!(lake.travelled(&sql).await.expect("rows"), rows, "{sql}");
            }
        }
    }
}
