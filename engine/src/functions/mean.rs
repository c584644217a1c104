//! `avg` of decimals that rounds: DataFusion 55.2 tells four digits more than the column has and cuts off behind them, so that a mean
//! rounded to cents can be a cent less than it is.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};

use super::sliding::{Sums, over};

/// Digits behind the point that a mean has where they surely fit, as a quotient.
const SCALE: i8 = 12;

/// Digits that it has at least over those of its values, as DataFusion's.
const MORE_DIGITS: i8 = 4;

/// Digits up to which DataFusion adds the values up in 128 bits.
const NARROW_MAX: i8 = 25;

/// Digits that a sum has over those of its values: a thousand million rows.
const ROWS_DIGITS: i8 = 9;

/// Means. Of all but decimals of 128 bits, and floating-point numbers in frames whose beginning moves, they are DataFusion's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Mean {
    inner: Arc<AggregateUDF>,
}

impl Mean {
    pub(super) fn new() -> Self {
        Self { inner: avg_udaf() }
    }
}

/// The digits of a mean of decimals; none where DataFusion's is taken.
fn digits(of: Option<&DataType>) -> Option<(u8, i8)> {
    let Some(DataType::Decimal128(precision, scale)) = of else {
        return None;
    };
    let most = i8::try_from(DECIMAL128_MAX_PRECISION).ok()?;
    let given = i8::try_from(*precision).ok()?;
    // One more is told by DataFusion, and rounded off.
    if *scale < 0 || *scale > most - MORE_DIGITS - 1 {
        return None;
    }
    let room = match given <= NARROW_MAX {
        // The sum is multiplied by as much before it is divided.
        true => most - ROWS_DIGITS - 1 - given,
        false => most - 1 - given,
    };
    let more = room.min(SCALE - scale).max(MORE_DIGITS);
    let precision = u8::try_from(given + more).ok()?.min(DECIMAL128_MAX_PRECISION);
    Some((precision, scale + more))
}

/// The same call, for a mean with one digit more.
fn finer(args: AccumulatorArgs<'_>, (precision, scale): (u8, i8)) -> AccumulatorArgs<'_> {
    let precision = precision.saturating_add(1).min(DECIMAL128_MAX_PRECISION);
    let told = args.return_field.as_ref().clone();
    let field = told.with_data_type(DataType::Decimal128(precision, scale + 1));
    AccumulatorArgs {
        return_field: Arc::new(field),
        ..args
    }
}

/// Without the last digit, which is cut off the digits behind it: half a digit goes away from zero.
fn rounded(value: i128) -> i128 {
    let (whole, rest) = (value / 10, value % 10);
    match rest.abs() >= 5 {
        true => whole + value.signum(),
        false => whole,
    }
}

/// A mean of all rows, or of those in a window's frame.
#[derive(Debug)]
struct Rounded {
    inner: Box<dyn Accumulator>,
    precision: u8,
    scale: i8,
}

impl Accumulator for Rounded {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.inner.evaluate()? {
            ScalarValue::Decimal128(mean, _, _) => {
                Ok(ScalarValue::Decimal128(mean.map(rounded), self.precision, self.scale))
            }
            other => exec_err!("a mean of decimals is {}", other.data_type()),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }
}

/// Means of groups.
struct RoundedGroups {
    inner: Box<dyn GroupsAccumulator>,
    precision: u8,
    scale: i8,
}

impl GroupsAccumulator for RoundedGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.inner.update_batch(values, groups, filter, count)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.inner.merge_batch(values, groups, count)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let means = self.inner.evaluate(emit_to)?;
        let Some(means) = means.as_primitive_opt::<Decimal128Type>() else {
            return exec_err!("a mean of decimals is {}", means.data_type());
        };
        let means = means.unary::<_, Decimal128Type>(rounded);
        Ok(Arc::new(means.with_precision_and_scale(self.precision, self.scale)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

/// The type of what a call is of.
fn argument<'a>(args: &AccumulatorArgs<'a>) -> Option<&'a DataType> {
    args.expr_fields.first().map(|field| field.data_type())
}

impl AggregateUDFImpl for Mean {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match digits(types.first()) {
            Some((precision, scale)) => Ok(DataType::Decimal128(precision, scale)),
            None => self.inner.return_type(types),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let Some((precision, scale)) = digits(argument(&args)) else {
            return self.inner.accumulator(args);
        };
        Ok(Box::new(Rounded {
            inner: self.inner.accumulator(finer(args, (precision, scale)))?,
            precision,
            scale,
        }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match argument(&args) {
            Some(DataType::Float64) if !args.is_distinct => Ok(over::<Sums>(Sums::mean)),
            _ => self.accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let Some((precision, scale)) = digits(argument(&args)) else {
            return self.inner.create_groups_accumulator(args);
        };
        Ok(Box::new(RoundedGroups {
            inner: self.inner.create_groups_accumulator(finer(args, (precision, scale)))?,
            precision,
            scale,
        }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_udf()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lake;

    // Goal: as many digits as fit, and never fewer than four over the column's. Method: a table of types.
    #[test]
    fn means_have_digits() {
        for (given, wanted) in [
            ((10, 2), Some((20, 12))),
            ((18, 2), Some((28, 12))),
            ((20, 2), Some((28, 10))),
            ((25, 2), Some((29, 6))),
            ((26, 2), Some((36, 12))),
            ((30, 2), Some((37, 9))),
            ((38, 2), Some((38, 6))),
            ((10, 10), Some((14, 14))),
            ((38, 33), Some((38, 37))),
            ((38, 34), None),
        ] {
            let of = DataType::Decimal128(given.0, given.1);
            assert_eq!(digits(Some(&of)), wanted, "{of}");
        }
        assert_eq!(digits(Some(&DataType::Float64)), None);
        assert_eq!(digits(None), None);
    }

    // Goal: half a last digit goes away from zero. Method: a table, both signs.
    #[test]
    fn the_last_digit_is_rounded() {
        for (value, wanted) in [(0, 0), (4, 0), (5, 1), (14, 1), (15, 2), (66, 7), (95, 10)] {
            assert_eq!(rounded(value), wanted, "{value}");
            assert_eq!(rounded(-value), -wanted, "-{value}");
        }
    }

    // Goal: a mean is rounded however it is made. Method: the same values, whose mean no decimal is, all at once, in groups, each once, over
    // a window and as none.
    #[tokio::test]
    async fn means_are_rounded() {
        let lake = Lake::new();
        let rows = "(SELECT g, CAST(t AS decimal(10, 2)) AS d FROM (VALUES (1, '1.25'), (1, '2.50'), (1, '7.37'), (2, '-1.25'), \
                    (2, '-2.50'), (2, '-7.37'), (3, NULL)) AS v (g, t)) AS t";
        for (sql, wanted) in [
            (format!("SELECT avg(d) FROM {rows} WHERE g = 1"), vec!["3.706666666667"]),
            (
                format!("SELECT mean(d) FROM {rows} WHERE g = 2"),
                vec!["-3.706666666667"],
            ),
            (format!("SELECT avg(d) FROM {rows} WHERE g = 3"), vec![""]),
            (
                format!("SELECT g, avg(d) FROM {rows} GROUP BY g"),
                vec!["1,3.706666666667", "2,-3.706666666667", "3,"],
            ),
            (
                format!("SELECT avg(DISTINCT d) FROM {rows} WHERE g = 1"),
                vec!["3.706666666667"],
            ),
            (
                format!("SELECT avg(d) OVER (PARTITION BY g) FROM {rows} WHERE g < 2"),
                vec!["3.706666666667", "3.706666666667", "3.706666666667"],
            ),
            (
                format!(
                    "SELECT avg(d) OVER (ORDER BY d ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM {rows} WHERE g = 1"
                ),
                vec!["1.250000000000", "1.875000000000", "4.935000000000"],
            ),
            (
                format!("SELECT arrow_typeof(avg(d)) FROM {rows}"),
                vec!["Decimal128(20, 12)"],
            ),
            ("SELECT avg(x) FROM (VALUES (1), (2)) AS v (x)".to_owned(), vec!["1.5"]),
        ] {
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
    }
}
