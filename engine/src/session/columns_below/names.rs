//! The columns that an expression names, by itself and in its queries: they tell of which rows it can be asked.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Columns that an expression names.
pub(super) struct Names {
    /// Its own, and those of the row around its queries.
    own: Vec<Column>,
    /// Those of rows around its queries and around queries within these, whosever they are.
    around: Vec<Column>,
    /// Whether one of its queries depends on the row around it.
    pub(super) is_bound: bool,
}

impl Names {
    pub(super) fn of(expr: &Expr) -> Result<Self> {
        let mut names = Self {
            own: Vec::new(),
            around: Vec::new(),
            is_bound: false,
        };
        expr.apply(|part| {
            match part {
                Expr::Column(column) => names.own.push(column.clone()),
                Expr::Exists(Exists { subquery, .. })
                | Expr::InSubquery(InSubquery { subquery, .. })
                | Expr::ScalarSubquery(subquery) => {
                    names.is_bound |= !subquery.outer_ref_columns.is_empty();
                    names.own.extend(subquery.outer_ref_columns.iter().filter_map(outer));
                    outer_columns(&subquery.subquery, &mut names.around)?;
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(names)
    }

    /// Whether all are of these rows, and none of the others.
    pub(super) fn are_of_one(&self, rows: &DFSchema, others: &DFSchema) -> bool {
        let mut all = self.own.iter().chain(&self.around);
        self.own.iter().all(|column| rows.has_column(column)) && !all.any(|column| others.has_column(column))
    }
}

fn outer(expr: &Expr) -> Option<Column> {
    match expr {
        Expr::OuterReferenceColumn(_, column) => Some(column.clone()),
        _ => None,
    }
}

fn outer_columns(plan: &LogicalPlan, found: &mut Vec<Column>) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                found.extend(outer(part));
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}
