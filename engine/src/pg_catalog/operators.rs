//! Operators that mean something else between dates and times: days are whole numbers in PostgreSQL, a date and an interval make
//! a timestamp, and intervals are multiplied.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::functions::call;

/// Plans arithmetic of dates, times and intervals.
#[derive(Debug)]
pub(super) struct Dates;

/// What a value is to these operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Date,
    Moment,
    Interval,
    Whole,
    Number,
    Other,
}

fn kind(of: &DataType) -> Kind {
    match of {
        DataType::Date32 | DataType::Date64 => Kind::Date,
        DataType::Timestamp(..) => Kind::Moment,
        DataType::Interval(_) => Kind::Interval,
        of if of.is_integer() => Kind::Whole,
        of if of.is_numeric() => Kind::Number,
        _ => Kind::Other,
    }
}

impl ExprPlanner for Dates {
    fn plan_binary_op(&self, mut raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{Divide, Minus, Multiply, Plus};
        if !matches!(raw.op, Plus | Minus | Multiply | Divide) {
            return Ok(PlannerResult::Original(raw));
        }
        // What has no type yet is none of these.
        let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(raw));
        };
        let timestamp = |date: Expr| cast(date, DataType::Timestamp(TimeUnit::Microsecond, None));
        let planned = match (kind(&left), &raw.op, kind(&right)) {
            (Kind::Date, Plus, Kind::Whole) => call("pg_date_plus", vec![raw.left, raw.right])?,
            (Kind::Whole, Plus, Kind::Date) => call("pg_date_plus", vec![raw.right, raw.left])?,
            (Kind::Date, Minus, Kind::Whole) => {
                call("pg_date_plus", vec![raw.left, Expr::Negative(Box::new(raw.right))])?
            }
            (Kind::Date, Minus, Kind::Date) => call("pg_date_minus", vec![raw.left, raw.right])?,
            (Kind::Moment, Minus, Kind::Moment | Kind::Date) | (Kind::Date, Minus, Kind::Moment) => {
                call("pg_timestamp_minus", vec![raw.left, raw.right])?
            }
            (Kind::Interval, Multiply, Kind::Whole | Kind::Number) => {
                call("pg_interval_times", vec![raw.left, raw.right])?
            }
            (Kind::Whole | Kind::Number, Multiply, Kind::Interval) => {
                call("pg_interval_times", vec![raw.right, raw.left])?
            }
            (Kind::Interval, Divide, Kind::Whole | Kind::Number) => call("pg_interval_by", vec![raw.left, raw.right])?,
            (Kind::Date, Plus | Minus, Kind::Interval) => {
                raw.left = timestamp(raw.left);
                return Ok(PlannerResult::Original(raw));
            }
            (Kind::Interval, Plus, Kind::Date) => {
                raw.right = timestamp(raw.right);
                return Ok(PlannerResult::Original(raw));
            }
            _ => return Ok(PlannerResult::Original(raw)),
        };
        Ok(PlannerResult::Planned(planned))
    }
}
