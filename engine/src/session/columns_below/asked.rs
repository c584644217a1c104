//! The rows below, with a column for each query that is asked for them.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::names::Names;

/// What stands before the number of such a column.
const ASKED: &str = "__asked_";

/// What queries are asked for each of some rows.
pub(super) struct Asked {
    rows: Arc<LogicalPlan>,
    /// Tells its columns from those of the other side of a join.
    side: &'static str,
    /// Each query once, by the number of its column.
    pub(super) columns: Vec<Expr>,
}

impl Asked {
    pub(super) fn of(rows: &Arc<LogicalPlan>, side: &'static str) -> Self {
        Self {
            rows: Arc::clone(rows),
            side,
            columns: Vec::new(),
        }
    }

    pub(super) fn all(&mut self, exprs: Vec<Expr>) -> Result<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.put(expr)).collect()
    }

    /// An expression with columns for the values of its queries that name what these rows have.
    pub(super) fn put(&mut self, expr: Expr) -> Result<Expr> {
        self.put_side(expr, &DFSchema::empty())
    }

    /// The same where queries may name columns of another side as well: those that do stay.
    pub(super) fn put_side(&mut self, expr: Expr, other: &DFSchema) -> Result<Expr> {
        let put = expr.transform_up(|part| {
            let Expr::ScalarSubquery(query) = &part else {
                return Ok(Transformed::no(part));
            };
            if query.outer_ref_columns.is_empty() || !Names::of(&part)?.are_of_one(self.rows.schema(), other) {
                return Ok(Transformed::no(part));
            }
            let at = match self.columns.iter().position(|column| *column == part) {
                Some(at) => at,
                None => {
                    self.columns.push(part);
                    self.columns.len() - 1
                }
            };
            Ok(Transformed::yes(Expr::Column(Column::from_name(self.called(at)))))
        })?;
        Ok(put.data)
    }

    fn called(&self, at: usize) -> String {
        format!("{ASKED}{}{at}", self.side)
    }

    /// The rows with these columns.
    pub(super) fn below(self) -> Result<Arc<LogicalPlan>> {
        if self.columns.is_empty() {
            return Ok(self.rows);
        }
        let mut columns: Vec<Expr> = self.rows.schema().columns().into_iter().map(Expr::Column).collect();
        for (at, column) in self.columns.iter().enumerate() {
            columns.push(column.clone().alias(self.called(at)));
        }
        let rows = Projection::try_new(columns, self.rows)?;
        Ok(Arc::new(LogicalPlan::Projection(rows)))
    }
}
