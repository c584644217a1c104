//! `/` of decimals as a function that rounds: the query engine's cuts off behind the last digit, and sums of such quotients fall short.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, AsArray, Decimal128Array};
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL128_MAX_SCALE, DataType, Decimal128Type, i256};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What it is called where plans are shown.
pub(crate) const NAME: &str = "decimal_quotient";

/// Digits behind the point that a quotient has over those of its dividend, as the query engine's has.
pub(crate) const MORE_DIGITS: i8 = 4;

/// A quotient of decimals, half a last digit rounded away from zero as PostgreSQL does; null where a number is, and an error by zero.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Quotient(Signature);

impl Quotient {
    pub(super) fn new() -> Self {
        Self(Signature::user_defined(Volatility::Immutable))
    }
}

/// The function, as plans have it. It is known by its name wherever they travel.
pub(crate) fn function() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Quotient::new())));
    Arc::clone(&FUNCTION)
}

/// A number without a floating point as a decimal; none of other types.
pub(crate) fn digits(kind: &DataType) -> Option<(u8, i8)> {
    match kind {
        DataType::Decimal128(precision, scale) if *scale >= 0 => Some((*precision, *scale)),
        DataType::Int8 | DataType::UInt8 => Some((3, 0)),
        DataType::Int16 | DataType::UInt16 => Some((5, 0)),
        DataType::Int32 | DataType::UInt32 => Some((10, 0)),
        DataType::Int64 | DataType::UInt64 => Some((20, 0)),
        _ => None,
    }
}

/// The digits of a quotient, and by which power of ten its dividend is multiplied for them.
fn digits_of(dividend: (u8, i8), by: (u8, i8)) -> (u8, i8, i8) {
    let scale = dividend.1.saturating_add(MORE_DIGITS).min(DECIMAL128_MAX_SCALE);
    let power = scale - dividend.1 + by.1;
    let precision = i16::from(power) + i16::from(dividend.0);
    let precision = precision.clamp(1, i16::from(DECIMAL128_MAX_PRECISION));
    (
        u8::try_from(precision).unwrap_or(DECIMAL128_MAX_PRECISION),
        scale,
        power,
    )
}

fn both(kinds: &[DataType]) -> Result<[(u8, i8); 2]> {
    match kinds {
        [dividend, by] => match (digits(dividend), digits(by)) {
            (Some(dividend), Some(by)) => Ok([dividend, by]),
            _ => plan_err!("{NAME} takes two numbers without a floating point"),
        },
        _ => plan_err!("{NAME} takes two numbers"),
    }
}

impl ScalarUDFImpl for Quotient {
    fn name(&self) -> &str {
        NAME
    }

    /// As columns of the operator are called: within a `ROLLUP` it is what it is where `grouping` asks for it, without another name.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [dividend, by] => Ok(format!("{} / {}", dividend.schema_name(), by.schema_name())),
            _ => plan_err!("{NAME} takes two numbers"),
        }
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        let decimals = both(kinds)?.map(|(precision, scale)| DataType::Decimal128(precision, scale));
        Ok(decimals.to_vec())
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        let [dividend, by] = both(kinds)?;
        let (precision, scale, _) = digits_of(dividend, by);
        Ok(DataType::Decimal128(precision, scale))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays = args.args.into_iter().map(|value| value.into_array(rows));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let kinds: Vec<DataType> = arrays.iter().map(|array| array.data_type().clone()).collect();
        let [dividend, by] = both(&kinds)?;
        let (precision, scale, power) = digits_of(dividend, by);
        let [dividends, divisors] = arrays.as_slice() else {
            return plan_err!("{NAME} takes two numbers");
        };
        let numbers = dividends.as_primitive::<Decimal128Type>().iter();
        let pairs = numbers.zip(divisors.as_primitive::<Decimal128Type>());
        let found = pairs.map(|pair| match pair {
            (Some(dividend), Some(by)) => rounded(dividend, by, power).map(Some),
            _ => Ok(None),
        });
        let found = found.collect::<Result<Decimal128Array, ArrowError>>()?;
        let found: Arc<dyn Array> = Arc::new(found.with_precision_and_scale(precision, scale)?);
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?)),
            false => Ok(ColumnarValue::Array(found)),
        }
    }
}

/// `dividend × 10^power / by`.
fn rounded(dividend: i128, by: i128, power: i8) -> Result<i128, ArrowError> {
    if by == 0 {
        return Err(ArrowError::DivideByZero);
    }
    let times = |number: i128, power: i8| 10_i128.checked_pow(u32::try_from(power).ok()?)?.checked_mul(number);
    if let (Some(above), Some(below)) = (times(dividend, power.max(0)), times(by, power.min(0).abs())) {
        let (whole, rest) = (above / below, above % below);
        let away = rest.unsigned_abs() >= below.unsigned_abs() - rest.unsigned_abs();
        let sign = if (above < 0) == (below < 0) { 1 } else { -1 };
        return Ok(if away && rest != 0 { whole + sign } else { whole });
    }
    widely(dividend, by, power).ok_or_else(|| {
        ArrowError::ArithmeticOverflow(format!(
            "Overflow happened on: a quotient of decimals, {dividend} / {by}"
        ))
    })
}

/// The same where 128 bits do not hold what is on the way.
fn widely(dividend: i128, by: i128, power: i8) -> Option<i128> {
    let times = |number: i128, power: i8| {
        let power = i256::from_i128(10).checked_pow(u32::try_from(power).ok()?)?;
        i256::from_i128(number).checked_mul(power)
    };
    let (above, below) = (times(dividend, power.max(0))?, times(by, power.min(0).abs())?);
    let (whole, rest) = (above.checked_div(below)?, above.checked_rem(below)?.wrapping_abs());
    let away = rest != i256::ZERO && rest >= below.wrapping_abs().checked_sub(rest)?;
    let sign = if (dividend < 0) == (by < 0) { 1 } else { -1 };
    let whole = whole.to_i128()?;
    if away { whole.checked_add(sign) } else { Some(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: quotients are rounded, half a digit away from zero, with any signs and sizes. Method: those that are known, and random ones
    // beside the same in 256 bits, whose remainder is at most half of what divides.
    #[test]
    fn the_last_digit_is_rounded() {
        for (dividend, by, power, wanted) in [
            (2, 3, 4, 6667),
            (-2, 3, 4, -6667),
            (2, -3, 4, -6667),
            (1, 3, 4, 3333),
            (1, 8, 2, 13),
            (-1, 8, 2, -13),
            (12, 4, 0, 3),
            (1250, 10, -2, 1),
            (1, 1, 0, 1),
            (i128::MAX, 1, 0, i128::MAX),
            (i128::MAX / 10, 10, 2, i128::MAX - 7),
        ] {
            assert_eq!(
                rounded(dividend, by, power).expect("a quotient"),
                wanted,
                "{dividend} / {by}"
            );
        }
        assert!(rounded(1, 0, 4).is_err());
        assert!(rounded(i128::MAX, 1, 4).is_err());
        let mut state = 7_u64;
        let mut next = |below: i128| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            i128::from(state >> 16) % below - below / 2
        };
        for _ in 0..10_000 {
            let (dividend, by) = (next(1_000_000_007), next(10_007));
            if by == 0 {
                continue;
            }
            let found = rounded(dividend, by, 4).expect("a quotient");
            assert_eq!(Some(found), widely(dividend, by, 4), "{dividend} / {by}");
            // At most half a last digit away.
            let off = (found * by - dividend * 10_000).abs();
            assert!(off * 2 <= by.abs(), "{dividend} / {by} = {found}");
        }
    }
}
