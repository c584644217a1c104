//! `x NOT IN (SELECT …)` as a condition that stands for itself, where DataFusion 55.2 gets it wrong: it puts a constant `x` into the query, and
//! so loses the query's nulls, and of a query that depends on the rows around it it does not see which rows those are. There it is
//! written as the absence of a row that is the same or may be.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, LogicalPlanBuilder, Subquery};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Before subqueries become joins.
#[derive(Debug)]
pub(super) struct NotAmong;

impl OptimizerRule for NotAmong {
    fn name(&self) -> &str {
        "not_among"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else {
            return Ok(Transformed::no(plan));
        };
        let parts = split_conjunction_owned(filter.predicate.clone());
        let mut changed = false;
        let parts = parts.into_iter().map(|part| match part {
            Expr::InSubquery(within) if is_wrong(&within) => {
                changed = true;
                absent(within, filter.input.schema())
            }
            part => Ok(part),
        });
        let parts = parts.collect::<Result<Vec<Expr>>>()?;
        match conjunction(parts) {
            Some(predicate) if changed => {
                let filter = Filter::try_new(predicate, filter.input)?;
                Ok(Transformed::yes(LogicalPlan::Filter(filter)))
            }
            _ => Ok(Transformed::no(LogicalPlan::Filter(filter))),
        }
    }
}

fn is_wrong(within: &InSubquery) -> bool {
    let has_query = |expr: &Expr| {
        expr.exists(|part| {
            Ok(matches!(
                part,
                Expr::ScalarSubquery(query) if !query.outer_ref_columns.is_empty()
            ) || matches!(part, Expr::Exists(_) | Expr::InSubquery(_)))
        })
    };
    within.negated
        && (!within.expr.any_column_refs() || !within.subquery.outer_ref_columns.is_empty())
        && !has_query(&within.expr).unwrap_or(true)
}

/// That no row of the query is the value, or null, or any row while the value is null.
fn absent(within: InSubquery, around: &DFSchema) -> Result<Expr> {
    let InSubquery { expr, subquery, .. } = within;
    let Subquery {
        subquery: rows,
        mut outer_ref_columns,
        spans,
    } = subquery;
    let value = expr.transform_up(|part| match part {
        Expr::Column(column) => {
            let field = Arc::clone(around.qualified_field_from_column(&column)?.1);
            let outer = Expr::OuterReferenceColumn(field, column);
            outer_ref_columns.push(outer.clone());
            Ok(Transformed::yes(outer))
        }
        part => Ok(Transformed::no(part)),
    })?;
    let value = value.data;
    let member = rows.schema().qualified_field(0);
    let member = Expr::Column(Column::from(member));
    let same = member
        .clone()
        .eq(value.clone())
        .or(member.is_null())
        .or(value.is_null());
    let rows = LogicalPlanBuilder::from(rows.as_ref().clone()).filter(same)?.build()?;
    Ok(Expr::Exists(Exists {
        subquery: Subquery {
            subquery: Arc::new(rows),
            outer_ref_columns,
            spans,
        },
        negated: true,
    }))
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: rows that are not among those of a query are those of SQL: a null among them leaves nothing. Method: a constant, and queries that
    // depend on the row, with nulls on either side, with one and with none.
    #[tokio::test]
    async fn nulls_leave_nothing() {
        let lake = Lake::new();
        let p = "(VALUES (1, 10, 5), (2, 20, NULL), (3, NULL, 5), (4, 40, 7)) AS p (id, k, a)";
        let q = "(VALUES (1, 10, 10), (2, NULL, 20), (3, 30, 40)) AS q (id, b, k)";
        for (condition, rows) in [
            (format!("99 NOT IN (SELECT b FROM {q})"), vec![]),
            (format!("99 NOT IN (SELECT k FROM {q})"), vec!["1", "2", "3", "4"]),
            (format!("10 NOT IN (SELECT k FROM {q})"), vec![]),
            (format!("NULL NOT IN (SELECT k FROM {q})"), vec![]),
            (
                format!("99 NOT IN (SELECT b FROM {q} WHERE false)"),
                vec!["1", "2", "3", "4"],
            ),
            (
                format!("k NOT IN (SELECT b FROM {q} WHERE q.id < p.id)"),
                vec!["1", "2"],
            ),
            (
                format!("k NOT IN (SELECT k FROM {q} WHERE p.id > 5)"),
                vec!["1", "2", "3", "4"],
            ),
            (
                format!("a NOT IN (SELECT q.b FROM {q} WHERE q.k = p.k)"),
                vec!["1", "3", "4"],
            ),
            (
                format!("k NOT IN (SELECT b FROM {q} WHERE q.id < p.id) AND id > 1"),
                vec!["2"],
            ),
        ] {
            let sql = format!("SELECT id FROM {p} WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
    }
}
