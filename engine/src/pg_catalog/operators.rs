//! Operators that mean something else between dates: days are whole numbers in PostgreSQL.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::functions::{date_minus, date_plus};

/// Plans `date + 1`, `date - 1` and `date - date`.
#[derive(Debug)]
pub(super) struct Dates;

impl ExprPlanner for Dates {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if !matches!(raw.op, BinaryOperator::Plus | BinaryOperator::Minus) {
            return Ok(PlannerResult::Original(raw));
        }
        // What has no type yet is none of these.
        let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(raw));
        };
        let date = |of: &DataType| matches!(of, DataType::Date32);
        let days = DataType::is_integer;
        let function = match raw.op {
            BinaryOperator::Plus if date(&left) && days(&right) => date_plus(raw.left, raw.right),
            BinaryOperator::Plus if days(&left) && date(&right) => date_plus(raw.right, raw.left),
            BinaryOperator::Minus if date(&left) && days(&right) => {
                date_plus(raw.left, Expr::Negative(Box::new(raw.right)))
            }
            BinaryOperator::Minus if date(&left) && date(&right) => date_minus(raw.left, raw.right),
            _ => return Ok(PlannerResult::Original(raw)),
        };
        Ok(PlannerResult::Planned(Expr::ScalarFunction(function)))
    }
}
