//! The length of an interval, by which PostgreSQL compares intervals: a month has thirty days, and a day 24 hours. The query engine
//! compares them part by part, months first.

use std::iter::once;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, AsArray, Decimal128Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    IntervalUnit, TimeUnit,
};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, not_impl_err, plan_err};
use datafusion::logical_expr::expr::{Between, Case, Cast, InList, InSubquery, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, Projection, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

const NAME: &str = "interval_length";

/// A list that is written, the search for an element, and the first and the last of elements.
const WRITTEN: &str = "make_array";
const SOUGHT: &str = "array_has";
const EXTREMES: [&str; 2] = ["array_min", "array_max"];

const MONTH_DAYS: i128 = 30;

const DAY_NANOS: i128 = 86_400_000_000_000;

/// The longest interval has 25 digits.
const LENGTH: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

/// How many nanoseconds an interval or a duration is long; null where it is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct IntervalLength(Signature);

impl IntervalLength {
    pub(super) fn new() -> Self {
        Self(Signature::user_defined(Volatility::Immutable))
    }
}

/// The length of an interval.
pub(crate) fn length(of: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(IntervalLength::new())));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&FUNCTION), vec![of]))
}

pub(super) fn nanos(span: IntervalMonthDayNano) -> i128 {
    let days = i128::from(span.months) * MONTH_DAYS + i128::from(span.days);
    days * DAY_NANOS + i128::from(span.nanoseconds)
}

fn lengths(values: &dyn Array) -> Result<Decimal128Array> {
    let lengths: Decimal128Array = match values.data_type() {
        DataType::Duration(unit) => {
            let each: i128 = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            };
            let counts = cast(values, &DataType::Int64)?;
            counts
                .as_primitive::<Int64Type>()
                .unary(|count| i128::from(count) * each)
        }
        _ => {
            let spans = cast(values, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            spans.as_primitive::<IntervalMonthDayNanoType>().unary(nanos)
        }
    };
    Ok(lengths.with_precision_and_scale(DECIMAL128_MAX_PRECISION, 0)?)
}

impl ScalarUDFImpl for IntervalLength {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        match kinds {
            [kind @ (DataType::Interval(_) | DataType::Duration(_))] => Ok(vec![kind.clone()]),
            [DataType::Null] => Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano)]),
            _ => plan_err!("No function matches: {NAME} takes an interval"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(LENGTH)
    }

    fn return_field_from_args(&self, given: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = given.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(NAME, LENGTH, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    /// Any length: one without a type cannot be compared with others.
    fn evaluate_bounds(&self, _: &[&Interval]) -> Result<Interval> {
        Interval::make_unbounded(&LENGTH)
    }

    fn invoke_with_args(&self, given: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match given.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(Arc::new(lengths(values.as_ref())?))),
            [ColumnarValue::Scalar(value)] => {
                let length = lengths(value.to_array()?.as_ref())?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&length, 0)?))
            }
            _ => plan_err!("{NAME} takes an interval"),
        }
    }
}

/// Puts lengths in the places of intervals that are compared.
#[derive(Debug)]
pub(super) struct ByLength;

impl FunctionRewrite for ByLength {
    fn name(&self) -> &str {
        "intervals_that_are_compared"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right })
                if compares(op) && are_intervals([left.as_ref(), right.as_ref()], schema) =>
            {
                Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(boxed(*left), op, boxed(*right))))
            }
            Expr::Between(Between {
                expr,
                negated,
                low,
                high,
            }) if are_intervals([expr.as_ref(), low.as_ref(), high.as_ref()], schema) => {
                let between = Between::new(boxed(*expr), negated, boxed(*low), boxed(*high));
                Transformed::yes(Expr::Between(between))
            }
            Expr::InList(InList { expr, list, negated }) if are_intervals(once(expr.as_ref()).chain(&list), schema) => {
                let list = list.into_iter().map(length).collect();
                Transformed::yes(Expr::InList(InList::new(boxed(*expr), list, negated)))
            }
            Expr::InSubquery(within) if is_among_intervals(&within, schema) => Transformed::yes(among(within)?),
            Expr::Case(Case {
                expr: Some(expr),
                when_then_expr,
                else_expr,
            }) if are_intervals(
                once(expr.as_ref()).chain(when_then_expr.iter().map(|(when, _)| when.as_ref())),
                schema,
            ) =>
            {
                let branches = when_then_expr.into_iter();
                let branches = branches.map(|(when, then)| (boxed(*when), then)).collect();
                Transformed::yes(Expr::Case(Case::new(Some(boxed(*expr)), branches, else_expr)))
            }
            Expr::ScalarFunction(call) => among_elements(call, schema)?,
            other => Transformed::no(other),
        })
    }
}

/// What `= ANY (array)` and its like are planned as: a value among those that are written, by length, or a refusal.
fn among_elements(call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_sought = call.func.name() == SOUGHT;
    let compares = is_sought || EXTREMES.contains(&call.func.name());
    if !(compares && call.args.first().is_some_and(|list| of_intervals(list, schema))) {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    if is_sought
        && let [list, value] = call.args.as_slice()
        && let Some(elements) = written(list)
        && are_intervals(once(value).chain(&elements), schema)
    {
        let lengths = elements.into_iter().map(length).collect();
        let among = InList::new(boxed(value.clone()), lengths, false);
        return Ok(Transformed::yes(Expr::InList(among)));
    }
    not_impl_err!("comparing with the intervals of an array: write IN, or compare with each")
}

/// The elements of a list that is written, each cast as the list is.
fn written(list: &Expr) -> Option<Vec<Expr>> {
    match list {
        Expr::ScalarFunction(list) if list.func.name() == WRITTEN => Some(list.args.clone()),
        Expr::Cast(Cast { expr, field }) => {
            let (DataType::List(item) | DataType::LargeList(item)) = field.data_type() else {
                return None;
            };
            let cast = |element| Expr::Cast(Cast::new(Box::new(element), item.data_type().clone()));
            Some(written(expr)?.into_iter().map(cast).collect())
        }
        _ => None,
    }
}

fn of_intervals(list: &Expr, schema: &DFSchema) -> bool {
    match list.get_type(schema) {
        Ok(DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)) => {
            matches!(item.data_type(), DataType::Interval(_))
        }
        _ => false,
    }
}

fn boxed(of: Expr) -> Box<Expr> {
    Box::new(length(of))
}

fn compares(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Whether there is an interval, and nothing that it is not compared with. Durations alone are compared as they are.
fn all_intervals(kinds: impl IntoIterator<Item = Result<DataType>>) -> bool {
    let mut found = false;
    for kind in kinds {
        match kind {
            Ok(DataType::Interval(_)) => found = true,
            Ok(DataType::Duration(_) | DataType::Null) => {}
            _ => return false,
        }
    }
    found
}

fn are_intervals<'a>(parts: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> bool {
    all_intervals(parts.into_iter().map(|part| part.get_type(schema)))
}

fn is_among_intervals(within: &InSubquery, schema: &DFSchema) -> bool {
    let columns = within.subquery.subquery.schema().fields().iter();
    let columns = columns.map(|column| Ok(column.data_type().clone()));
    all_intervals(once(within.expr.get_type(schema)).chain(columns))
}

/// The same of the lengths of what the query finds.
fn among(within: InSubquery) -> Result<Expr> {
    let InSubquery {
        expr,
        subquery,
        negated,
    } = within;
    let columns = subquery.subquery.schema().columns().into_iter();
    let lengths = columns.map(|column| length(Expr::Column(column))).collect();
    let lengths = Projection::try_new(lengths, Arc::clone(&subquery.subquery))?;
    let subquery = subquery.with_plan(Arc::new(LogicalPlan::Projection(lengths)));
    Ok(Expr::InSubquery(InSubquery::new(boxed(*expr), subquery, negated)))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Array, DurationSecondArray, IntervalMonthDayNanoArray};
    use datafusion::arrow::datatypes::IntervalMonthDayNano;
    use tidewater_core::Coded;

    use super::lengths;
    use crate::testing::Lake;

    // Goal: every interval has a length, also one that no number of 64 bits holds. Method: the longest, the shortest and none, and seconds.
    #[test]
    fn lengths_do_not_overflow() {
        let spans = [
            Some(IntervalMonthDayNano::MAX),
            Some(IntervalMonthDayNano::MIN),
            Some(IntervalMonthDayNano::new(1, -30, 5)),
            None,
        ];
        let found = lengths(&IntervalMonthDayNanoArray::from(spans.to_vec())).expect("lengths");
        let days = i128::from(i32::MAX) * 31;
        assert_eq!(found.value(0), days * 86_400_000_000_000 + i128::from(i64::MAX));
        let days = i128::from(i32::MIN) * 31;
        assert_eq!(found.value(1), days * 86_400_000_000_000 + i128::from(i64::MIN));
        assert_eq!(found.value(2), 5);
        assert!(found.is_null(3));
        let found = lengths(&DurationSecondArray::from(vec![i64::MAX])).expect("lengths");
        assert_eq!(found.value(0), i128::from(i64::MAX) * 1_000_000_000);
    }

    // Goal: intervals are compared as lengths, by plans that travelled too. Method: columns and constants of other parts and the same
    // length, nulls, and what lies between two moments, against answers of PostgreSQL 15.
    #[tokio::test]
    async fn lengths_are_compared() {
        let lake = Lake::new();
        let rows = "(VALUES (1, INTERVAL '1 day', INTERVAL '24 hours'), (2, INTERVAL '1 month', INTERVAL '31 days'), \
                    (3, INTERVAL '1 year', INTERVAL '8641 hours'), (4, NULL, INTERVAL '1 day')) AS v (id, a, b)";
        let asked = "a = b, a <> b, a < b, a >= b, a BETWEEN b AND b, a NOT IN (b, INTERVAL '30 days'), \
                     a IS NOT DISTINCT FROM b, CASE a WHEN b THEN 1 WHEN INTERVAL '720 hours' THEN 2 END, \
                     TIMESTAMP '2024-01-31' - TIMESTAMP '2024-01-01' >= a";
        let sql = format!("SELECT id, {asked} FROM {rows} ORDER BY id");
        let wanted = [
            "1,true,false,false,true,true,false,true,1,true",
            "2,false,true,true,false,false,false,false,2,true",
            "3,false,true,true,false,false,true,false,,false",
            "4,,,,,,,false,,",
        ];
        assert_eq!(lake.lines(&sql).await, wanted);
        assert_eq!(lake.travelled(&sql).await.expect("an answer"), wanted);
    }

    // Goal: what is as long is found among the elements of an array that is written, and other arrays of intervals are not compared with.
    // Method: each, with a null among them, against answers of PostgreSQL 15.
    #[tokio::test]
    async fn elements_are_compared_by_length() {
        let lake = Lake::new();
        let rows = "(VALUES (1, INTERVAL '1 month', [INTERVAL '30 days']), (2, INTERVAL '2 days', [INTERVAL '1 day'])) AS v (id, a, b)";
        let sql = format!(
            "SELECT id, a = ANY (ARRAY[INTERVAL '30 days', INTERVAL '1 day']), a = ANY (ARRAY[INTERVAL '30 days', NULL]) FROM {rows} ORDER BY id"
        );
        let wanted = ["1,true,true", "2,false,"];
        assert_eq!(lake.lines(&sql).await, wanted);
        assert_eq!(lake.travelled(&sql).await.expect("an answer"), wanted);
        for comparison in ["a = ANY (b)", "a > ANY (ARRAY[INTERVAL '30 days'])"] {
            let sql = format!("SELECT {comparison} FROM {rows}");
            assert_eq!(lake.refused(&sql).await.code(), "ENG-0004", "{sql}");
        }
    }

    // Goal: joins and queries find what is as long. Method: each over rows of other parts.
    #[tokio::test]
    async fn lengths_are_found() {
        let lake = Lake::new();
        let a = "(VALUES (1, INTERVAL '1 day'), (2, INTERVAL '1 month'), (3, INTERVAL '2 hours')) AS a (k, i)";
        let b = "(VALUES (4, INTERVAL '24 hours'), (5, INTERVAL '30 days'), (6, INTERVAL '1 hour')) AS b (m, j)";
        let joined = format!("SELECT k, m FROM {a} JOIN {b} ON i = j");
        assert_eq!(lake.lines(&joined).await, ["1,4", "2,5"]);
        let among = format!("SELECT k FROM {a} WHERE i IN (SELECT j FROM {b})");
        assert_eq!(lake.lines(&among).await, ["1", "2"]);
        let around = format!("SELECT k FROM {a} WHERE i NOT IN (SELECT j FROM {b} WHERE m - 3 = k)");
        assert_eq!(lake.lines(&around).await, ["3"]);
    }
}
