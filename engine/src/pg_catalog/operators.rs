//! Operators that mean something else: days are whole numbers in PostgreSQL, a date and an interval make a timestamp, intervals
//! are multiplied, and a text beside one is one too, whole numbers that grow too large are an error, and what is put to a text is
//! written as it shows things. JSON is text here, and of a struct the same operators name a field.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::functions::call;
use super::{FIELD_AS_DOCUMENT, span_of_text, types};

/// Plans arithmetic of dates, times, intervals and whole numbers.
#[derive(Debug)]
pub(super) struct Arithmetic;

/// What a value is to these operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Date,
    Moment,
    Interval,
    Whole,
    Number,
    Text,
    Other,
}

fn kind(of: &DataType) -> Kind {
    match of {
        DataType::Date32 | DataType::Date64 => Kind::Date,
        DataType::Timestamp(..) => Kind::Moment,
        DataType::Interval(_) => Kind::Interval,
        of if of.is_integer() => Kind::Whole,
        of if of.is_numeric() => Kind::Number,
        of if of.is_string() => Kind::Text,
        _ => Kind::Other,
    }
}

/// Whether both are of the whole numbers that PostgreSQL has; the query engine has larger ones without a sign.
fn checked(left: &DataType, right: &DataType) -> bool {
    [left, right].iter().all(|of| **of != DataType::UInt64)
}

/// The function that an operator of JSON is.
fn json(op: &BinaryOperator) -> Option<&'static str> {
    Some(match op {
        BinaryOperator::Arrow => "pg_json_get",
        BinaryOperator::LongArrow => "pg_json_get_text",
        BinaryOperator::HashArrow => "pg_json_path",
        BinaryOperator::HashLongArrow => "pg_json_path_text",
        BinaryOperator::Question => "pg_json_has",
        BinaryOperator::QuestionPipe => "pg_json_has_any",
        BinaryOperator::QuestionAnd => "pg_json_has_all",
        BinaryOperator::AtArrow | BinaryOperator::ArrowAt => "pg_json_contains",
        BinaryOperator::AtQuestion => "pg_jsonb_path_exists",
        BinaryOperator::AtAt => "pg_jsonb_path_match",
        BinaryOperator::PGCustomBinaryOperator(of) => match of.as_slice() {
            [schema, op] if schema == FIELD_AS_DOCUMENT => match op.as_str() {
                "->" => "pg_json_get",
                "#>" => "pg_json_path",
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    })
}

/// An operator of JSON. Arrays have some of the same, which are planned elsewhere, and of a struct a field is taken, with its own type by `->`.
fn document(
    function: &str,
    raw: RawBinaryExpr,
    left: &DataType,
    right: &DataType,
) -> Result<PlannerResult<RawBinaryExpr>> {
    if matches!(left, DataType::Struct(_)) && right.is_string() && function.starts_with("pg_json_get") {
        let field = datafusion::functions::core::get_field().call(vec![raw.left, raw.right]);
        return Ok(PlannerResult::Planned(match function {
            "pg_json_get" => field,
            _ => call("pg_text", vec![field])?,
        }));
    }
    let nested = |of: &DataType| matches!(of, DataType::Struct(_) | DataType::List(_));
    if function == "pg_json_contains" && !(left.is_string() && right.is_string()) {
        return Ok(PlannerResult::Original(raw));
    }
    if !left.is_string() && !nested(left) {
        return Ok(PlannerResult::Original(raw));
    }
    let as_document = matches!(raw.op, BinaryOperator::PGCustomBinaryOperator(_));
    let arguments = match raw.op {
        BinaryOperator::ArrowAt => vec![raw.right, raw.left],
        _ => vec![raw.left, raw.right],
    };
    let found = call(function, arguments)?;
    Ok(PlannerResult::Planned(match as_document {
        true => call("pg_document", vec![found])?,
        false => found,
    }))
}

/// A text beside a truth is one: `active = 't'`.
fn truths(raw: &mut RawBinaryExpr, schema: &DFSchema) {
    let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
        return;
    };
    for (side, of, other) in [(&mut raw.left, &left, &right), (&mut raw.right, &right, &left)] {
        if *other == DataType::Boolean && of.is_string() && matches!(side, Expr::Literal(..)) {
            *side = cast(side.clone(), DataType::Boolean);
        }
    }
}

/// A text beside an interval is one: `left_at - came_at > '1 day'`.
fn spans(raw: &mut RawBinaryExpr, schema: &DFSchema) -> Result<()> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, Minus, NotEq, Plus};
    let is_literal = matches!(raw.left, Expr::Literal(..)) || matches!(raw.right, Expr::Literal(..));
    if !(is_literal && matches!(raw.op, Eq | NotEq | Lt | LtEq | Gt | GtEq | Plus | Minus)) {
        return Ok(());
    }
    let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
        return Ok(());
    };
    for (side, other) in [(&mut raw.left, &right), (&mut raw.right, &left)] {
        if matches!(other, DataType::Interval(_))
            && let Some(span) = span_of_text(side)?
        {
            *side = span;
        }
    }
    Ok(())
}

impl ExprPlanner for Arithmetic {
    fn plan_binary_op(&self, mut raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{Divide, Eq, Minus, Multiply, NotEq, Plus, StringConcat};
        spans(&mut raw, schema)?;
        if matches!(raw.op, Eq | NotEq) {
            truths(&mut raw, schema);
            return Ok(PlannerResult::Original(raw));
        }
        if !matches!(raw.op, Plus | Minus | Multiply | Divide | StringConcat) && json(&raw.op).is_none() {
            return Ok(PlannerResult::Original(raw));
        }
        // What has no type yet is none of these.
        let (Ok(left), Ok(right)) = (raw.left.get_type(schema), raw.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(raw));
        };
        if let Some(function) = json(&raw.op) {
            return document(function, raw, &left, &right);
        }
        if raw.op == StringConcat {
            for (side, of, other) in [(&mut raw.left, &left, &right), (&mut raw.right, &right, &left)] {
                if other.is_string() && types::element(types::oid(of)).is_none() && !of.is_string() {
                    *side = call("pg_text", vec![side.clone()])?;
                }
            }
            return Ok(PlannerResult::Original(raw));
        }
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
            (Kind::Text, Minus, Kind::Text | Kind::Whole) => call("pg_json_without", vec![raw.left, raw.right])?,
            // The query engine's own wrap around. What is folded when it is planned is out of range then.
            (Kind::Whole, Plus, Kind::Whole) if checked(&left, &right) => {
                call("pg_int_plus", vec![raw.left, raw.right])?
            }
            (Kind::Whole, Minus, Kind::Whole) if checked(&left, &right) => {
                call("pg_int_minus", vec![raw.left, raw.right])?
            }
            (Kind::Whole, Multiply, Kind::Whole) if checked(&left, &right) => {
                call("pg_int_times", vec![raw.left, raw.right])?
            }
            _ => return Ok(PlannerResult::Original(raw)),
        };
        Ok(PlannerResult::Planned(planned))
    }
}
