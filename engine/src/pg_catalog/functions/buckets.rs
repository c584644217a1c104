//! `width_bucket`: which of some equally wide parts of a range a number is in, as histograms ask.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array};
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Float64Type};
use datafusion::common::{Result, exec_err};

use super::native::{Native, argument, number, numbers};
use crate::functions::wide::strictly;

/// The decimals that hold what is behind the point of all these numbers.
fn exact_type(arrays: &[ArrayRef]) -> DataType {
    let scales = arrays.iter().map(|array| match array.data_type() {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => *scale,
        _ => 0,
    });
    DataType::Decimal128(DECIMAL128_MAX_PRECISION, scales.max().unwrap_or(0))
}

pub(super) fn all() -> Vec<Native> {
    vec![Native::new("width_bucket", (4, 4), DataType::Int32, |arrays, rows| {
        let counts = numbers(argument(arrays, 3)?)?;
        let range = arrays.get(..3).unwrap_or_default();
        let found: Int32Array = match range.iter().any(|array| array.data_type().is_floating()) {
            true => {
                let columns = cast_all(range, &DataType::Float64)?;
                let value = |at: usize, row: usize| {
                    let column = columns.get(at)?.as_primitive_opt::<Float64Type>()?;
                    column.is_valid(row).then(|| column.value(row))
                };
                let of_row = |row| bucket(row, value, &counts, float);
                (0..rows).map(of_row).collect::<Result<_>>()?
            }
            false => {
                let columns = cast_all(range, &exact_type(range))?;
                let value = |at: usize, row: usize| {
                    let column = columns.get(at)?.as_primitive_opt::<Decimal128Type>()?;
                    column.is_valid(row).then(|| column.value(row))
                };
                let of_row = |row| bucket(row, value, &counts, exact);
                (0..rows).map(of_row).collect::<Result<_>>()?
            }
        };
        Ok(Arc::new(found) as ArrayRef)
    })]
}

fn cast_all(arrays: &[ArrayRef], to: &DataType) -> Result<Vec<ArrayRef>> {
    arrays.iter().map(|array| strictly(array, to)).collect()
}

/// The part in which a row's number is; below the first it is 0, and above the last one more than there are.
fn bucket<T: PartialOrd + Copy>(
    row: usize,
    value: impl Fn(usize, usize) -> Option<T>,
    counts: &ArrayRef,
    within: fn(T, T, T, i64) -> Option<i64>,
) -> Result<Option<i32>> {
    let (Some(of), Some(low), Some(high), Some(count)) =
        (value(0, row), value(1, row), value(2, row), number(counts, row))
    else {
        return Ok(None);
    };
    if count <= 0 {
        return exec_err!("count must be greater than zero");
    }
    let rises = match low.partial_cmp(&high) {
        None => return exec_err!("lower and upper bounds must be finite"),
        Some(std::cmp::Ordering::Equal) => return exec_err!("lower bound cannot equal upper bound"),
        Some(order) => order.is_lt(),
    };
    let (before, behind) = match rises {
        true => (of < low, of >= high),
        false => (of > low, of <= high),
    };
    let found = match (before, behind) {
        (true, _) => Some(0),
        (_, true) => count.checked_add(1),
        _ => within(of, low, high, count).map(|part| part.clamp(0, count - 1) + 1),
    };
    match found.and_then(|found| i32::try_from(found).ok()) {
        Some(found) => Ok(Some(found)),
        None => exec_err!("integer out of range"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a part's number, which is below the count"
)]
#[expect(
    clippy::cast_precision_loss,
    reason = "as PostgreSQL reckons with floating-point numbers"
)]
fn float(of: f64, low: f64, high: f64, count: i64) -> Option<i64> {
    let part = (of - low) / (high - low) * count as f64;
    part.is_finite().then_some(part as i64)
}

fn exact(of: i128, low: i128, high: i128, count: i64) -> Option<i64> {
    let (part, range) = (of.checked_sub(low)?, high.checked_sub(low)?);
    i64::try_from(part.checked_mul(i128::from(count))? / range).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: each number is in the part that PostgreSQL 15 puts it in. Method: what it said for each of these.
    #[test]
    fn parts_are_those_of_postgres() {
        let counts: ArrayRef = Arc::new(datafusion::arrow::array::Int64Array::from(vec![5, 10, 0]));
        let floats = |given: [f64; 3], row| bucket(row, move |at, _| given.get(at).copied(), &counts, float);
        for (given, row, wanted) in [
            ([5.35, 0.024, 10.06], 0, 3),
            ([0.0, 0.0, 10.0], 0, 1),
            ([10.0, 0.0, 10.0], 0, 6),
            ([-0.1, 0.0, 10.0], 0, 0),
            ([2.0, 10.0, 0.0], 0, 5),
            ([10.0, 10.0, 0.0], 0, 1),
            ([0.0, 10.0, 0.0], 0, 6),
            ([11.0, 10.0, 0.0], 0, 0),
        ] {
            assert_eq!(floats(given, row).expect("a part"), Some(wanted), "{given:?}");
        }
        let exactly = |given: [i128; 3], row| bucket(row, move |at, _| given.get(at).copied(), &counts, exact);
        assert_eq!(exactly([57, 0, 100], 1).expect("a part"), Some(6));
        assert_eq!(exactly([70, 0, 100], 1).expect("a part"), Some(8));
        assert!(exactly([1, 0, 100], 2).is_err());
        assert!(exactly([1, 5, 5], 1).is_err());
        assert!(floats([1.0, f64::NAN, 5.0], 1).is_err());
    }
}
