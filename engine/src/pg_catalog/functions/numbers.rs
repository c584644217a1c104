//! Numbers rounded as PostgreSQL rounds them: decimals away from zero and to as many digits as they then have, floating-point
//! numbers to the even one of two neighbours.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::scalar::ScalarValue;

use super::native::{Native, argument, number, numbers};
use crate::functions::rounded::rounded_values;
use crate::functions::wide::strictly;

/// The most digits that a decimal has.
const DIGITS: u8 = 38;

pub(super) fn all() -> Vec<Native> {
    vec![
        rounding("pg_ceil", f64::ceil, |whole, rest| whole + i128::from(rest > 0)),
        rounding("pg_floor", f64::floor, |whole, rest| whole - i128::from(rest < 0)),
        cut("pg_round", f64::round_ties_even, false),
        cut("pg_trunc", f64::trunc, true),
        whole("pg_int2", DataType::Int16),
        whole("pg_int4", DataType::Int32),
        whole("pg_int8", DataType::Int64),
        division(),
        scale(),
        min_scale(),
    ]
}

/// The type of a decimal that was rounded to so many digits behind the point: the digits before it may be one more.
fn rounded(of: &DataType, places: i8) -> DataType {
    match of {
        DataType::Decimal128(digits, scale) => {
            let before = i16::from(*digits) - i16::from(*scale) + 1;
            let wanted = (before + i16::from(places)).clamp(1, i16::from(DIGITS));
            DataType::Decimal128(u8::try_from(wanted).unwrap_or(DIGITS), places)
        }
        DataType::Decimal256(..) => DataType::Decimal128(DIGITS, places),
        _ => DataType::Float64,
    }
}

/// Decimals of 128 bits; `None` for other numbers.
fn decimals(array: &ArrayRef) -> Result<Option<(ArrayRef, i8)>> {
    match array.data_type() {
        DataType::Decimal128(_, scale) => Ok(Some((Arc::clone(array), *scale))),
        DataType::Decimal256(_, scale) => Ok(Some((strictly(array, &DataType::Decimal128(DIGITS, *scale))?, *scale))),
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
            Ok(Some((cast(array, &DataType::Decimal128(DIGITS, *scale))?, *scale)))
        }
        _ => Ok(None),
    }
}

/// To a whole number, by a rule for floating-point numbers and one for decimals: their whole part and what is behind the point.
fn rounding(name: &str, float: fn(f64) -> f64, decimal: fn(i128, i128) -> i128) -> Native {
    Native::new(name, (1, 1), DataType::Float64, move |arrays, _| {
        let array = argument(arrays, 0)?;
        let Some((values, scale)) = decimals(array)? else {
            return floats(array, float);
        };
        let unit = ten_to(scale);
        let values = values.as_primitive::<Decimal128Type>().iter();
        let found = values.map(|value| value.map(|value| decimal(value / unit, value % unit)));
        decimal_array(found.collect(), &rounded(array.data_type(), 0))
    })
    .returning(|arguments| Ok(arguments.first().map_or(DataType::Float64, |of| rounded(of, 0))))
}

fn floats(array: &ArrayRef, change: impl Fn(f64) -> f64) -> Result<ArrayRef> {
    let values = strictly(array, &DataType::Float64)?;
    let values = values.as_primitive::<Float64Type>().iter();
    Ok(Arc::new(
        values.map(|value| value.map(&change)).collect::<Float64Array>(),
    ))
}

fn decimal_array(values: Vec<Option<i128>>, of: &DataType) -> Result<ArrayRef> {
    let DataType::Decimal128(digits, scale) = of else {
        return exec_err!("{of} is no decimal");
    };
    let array = Decimal128Array::from(values).with_precision_and_scale(*digits, *scale)?;
    Ok(Arc::new(array))
}

fn ten_to(scale: i8) -> i128 {
    10_i128
        .checked_pow(u32::try_from(scale).unwrap_or_default())
        .unwrap_or(i128::MAX)
}

/// How many digits behind the point a call keeps, which its second argument tells; none without.
fn places(constants: &[Option<&ScalarValue>]) -> Option<i64> {
    match constants.get(1) {
        None => Some(0),
        Some(Some(ScalarValue::Int64(Some(places)))) => Some(*places),
        Some(Some(ScalarValue::Int32(Some(places)))) => Some(i64::from(*places)),
        _ => None,
    }
}

/// `round(x, n)` and `trunc(x, n)`, where `n` is written out; digits that are not there are filled with zeros as long as the
/// number has room for them.
fn cut(name: &str, float: fn(f64) -> f64, toward_zero: bool) -> Native {
    let kept = |places: i64| i8::try_from(places.clamp(0, 30)).unwrap_or_default();
    Native::new(name, (1, 2), DataType::Float64, move |arrays, rows| {
        let array = argument(arrays, 0)?;
        let wanted = match arrays.get(1) {
            Some(places) if rows > 0 => number(&numbers(places)?, 0).unwrap_or_default(),
            _ => 0,
        };
        let Some((values, scale)) = decimals(array)? else {
            if arrays.len() < 2 {
                return floats(array, float);
            }
            let unit = 10_f64.powi(i32::try_from(wanted.clamp(-300, 300)).unwrap_or_default());
            return floats(array, |value| float(value * unit) / unit);
        };
        let to = kept(wanted);
        // Rounded at the wanted digit, then shown with the digits that are kept.
        let dropped = i64::from(scale) - wanted;
        let unit = ten_to(i8::try_from(dropped.clamp(0, 38)).unwrap_or(38));
        let (up, down) = (ten_to((to - scale).max(0)), ten_to((scale - to).max(0)));
        let mut found = Vec::with_capacity(rows);
        for value in values.as_primitive::<Decimal128Type>() {
            let Some(value) = value else {
                found.push(None);
                continue;
            };
            let (whole, rest) = (value / unit, value % unit);
            let away = !toward_zero && dropped > 0 && rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2);
            let whole = if away { whole + value.signum() } else { whole };
            let shown = whole
                .checked_mul(unit)
                .map(|value| value / down)
                .and_then(|value| value.checked_mul(up));
            match shown {
                Some(shown) => found.push(Some(shown)),
                None => return exec_err!("numeric out of range"),
            }
        }
        decimal_array(found, &rounded(array.data_type(), to))
    })
    .returning_of(move |arguments, constants| {
        let of = arguments.first().unwrap_or(&DataType::Float64);
        Ok(rounded(of, places(constants).map_or(0, kept)))
    })
}

/// A cast to whole numbers, which rounds.
fn whole(name: &str, to: DataType) -> Native {
    let of = to.clone();
    Native::new(name, (1, 1), to.clone(), move |arrays, _| {
        let array = argument(arrays, 0)?;
        if array.data_type().is_decimal() {
            return strictly(&rounded_values(array)?, &of);
        }
        match array.data_type().is_floating() {
            true => strictly(&floats(array, f64::round_ties_even)?, &of),
            false => strictly(array, &of),
        }
    })
    .plain_cast(move |of| (!of.is_floating() && !of.is_decimal()).then(|| to.clone()))
}

/// `div(a, b)`: a quotient without what is behind the point.
fn division() -> Native {
    Native::new("div", (2, 2), DataType::Decimal128(DIGITS, 0), |arrays, rows| {
        let of = DataType::Decimal128(DIGITS, 10);
        let (left, right) = (
            strictly(argument(arrays, 0)?, &of)?,
            strictly(argument(arrays, 1)?, &of)?,
        );
        let (left, right) = (
            left.as_primitive::<Decimal128Type>(),
            right.as_primitive::<Decimal128Type>(),
        );
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match left.is_null(row) || right.is_null(row) {
                true => None,
                false if right.value(row) == 0 => return exec_err!("Divide by zero"),
                false => Some(left.value(row) / right.value(row)),
            });
        }
        decimal_array(found, &DataType::Decimal128(DIGITS, 0))
    })
}

/// `scale(x)`: the digits behind the point.
fn scale() -> Native {
    Native::new("scale", (1, 1), DataType::Int32, |arrays, rows| {
        let array = argument(arrays, 0)?;
        let scale = decimals(array)?.map_or(0, |(_, scale)| i64::from(scale));
        let shown = (0..rows).map(|row| (!array.is_null(row)).then_some(scale));
        Ok(cast(&super::native::longs(shown), &DataType::Int32)?)
    })
}

/// `min_scale(x)`: the digits behind the point that are no zeros at its end.
fn min_scale() -> Native {
    Native::new("min_scale", (1, 1), DataType::Int32, |arrays, rows| {
        let array = argument(arrays, 0)?;
        let Some((values, scale)) = decimals(array)? else {
            let none = (0..rows).map(|row| (!array.is_null(row)).then_some(0));
            return Ok(cast(&super::native::longs(none), &DataType::Int32)?);
        };
        let needed = |value: i128| {
            let (mut digits, mut needed) = (value, i64::from(scale).max(0));
            while needed > 0 && digits % 10 == 0 {
                digits /= 10;
                needed -= 1;
            }
            needed
        };
        let values = values.as_primitive::<Decimal128Type>().iter();
        let found = values.map(|value| value.map(needed));
        Ok(cast(&super::native::longs(found), &DataType::Int32)?)
    })
    .returning(|types| match types {
        [of] if of.is_integer() || of.is_decimal() || of.is_null() => Ok(DataType::Int32),
        _ => plan_err!("min_scale takes a numeric"),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::i256;
    use datafusion::logical_expr::lit;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::pg_catalog::functions::call;

    async fn shown(expression: datafusion::logical_expr::Expr) -> String {
        let frame = SessionContext::new().read_empty().expect("a frame");
        let rows = frame
            .select(vec![expression.alias("x")])
            .expect("a plan")
            .collect()
            .await
            .expect("rows");
        let column = rows[0].column(0);
        datafusion::arrow::util::display::array_value_to_string(column, 0).expect("a value")
    }

    fn wide(digits: i128, scale: i8) -> datafusion::logical_expr::Expr {
        lit(ScalarValue::Decimal256(Some(i256::from_i128(digits)), 76, scale))
    }

    fn decimal(digits: i128, scale: i8) -> datafusion::logical_expr::Expr {
        lit(ScalarValue::Decimal128(Some(digits), 12, scale))
    }

    // Goal: numbers are rounded as PostgreSQL 15 rounds them. Method: what it said for each of these.
    #[tokio::test]
    async fn numbers_are_rounded() {
        for (name, arguments, wanted) in [
            ("pg_round", vec![decimal(12_345, 3)], "12"),
            ("pg_round", vec![decimal(12_345, 3), lit(2_i64)], "12.35"),
            ("pg_round", vec![decimal(-25, 1)], "-3"),
            ("pg_round", vec![decimal(25, 1), lit(2_i64)], "2.50"),
            ("pg_round", vec![decimal(1_234_567_891, 3), lit(-2_i64)], "1234600"),
            ("pg_round", vec![lit(-2.5)], "-2.0"),
            ("pg_trunc", vec![decimal(-1_999, 3), lit(1_i64)], "-1.9"),
            ("pg_ceil", vec![decimal(99_995, 3)], "100"),
            ("pg_floor", vec![decimal(-5, 2)], "-1"),
            ("pg_int4", vec![decimal(-25, 1)], "-3"),
            ("pg_int8", vec![lit(2.5)], "2"),
            ("pg_int8", vec![wide(-25 * 10_i128.pow(36), 37)], "-3"),
            ("pg_int8", vec![wide(i64::MAX.into(), 0)], "9223372036854775807"),
            ("pg_int4", vec![lit("12")], "12"),
            ("div", vec![lit(-7_i64), lit(2_i64)], "-3"),
            ("scale", vec![decimal(841, 2)], "2"),
            ("min_scale", vec![decimal(84_100, 4)], "2"),
            ("min_scale", vec![decimal(0, 4)], "0"),
            ("min_scale", vec![lit(100_i64)], "0"),
        ] {
            let expression = call(name, arguments.clone()).expect("a call");
            assert_eq!(shown(expression).await, wanted, "{name} {arguments:?}");
        }
    }
}
