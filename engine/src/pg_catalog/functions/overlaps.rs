//! `(start, end) OVERLAPS (start, end)`.

use std::cmp::Ordering;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::{Result, exec_err, plan_err};

use super::moments::instant;
use super::native::{Native, number, numbers, truths};
use crate::functions::wide::strictly;

pub(super) fn all() -> Vec<Native> {
    vec![
        Native::new("pg_overlaps", (4, 4), DataType::Boolean, |arrays, rows| {
            let [start, end, other_start, other_end] = arrays else {
                return exec_err!("OVERLAPS takes two periods");
            };
            let types: Vec<DataType> = arrays.iter().map(|array| array.data_type().clone()).collect();
            let of = compared_as(&types)?;
            let first = period(start, end, &of)?;
            let second = period(other_start, other_end, &of)?;
            let at = |(start, end): &(ArrayRef, ArrayRef), row| (number(start, row), number(end, row));
            Ok(truths((0..rows).map(|row| overlap(at(&first, row), at(&second, row)))))
        })
        .returning(|types| compared_as(types).map(|_| DataType::Boolean)),
    ]
}

/// The one type in which two periods are compared. Their ends may be told by how long they are.
fn compared_as(types: &[DataType]) -> Result<DataType> {
    let (mut clocks, mut instants, mut times, mut spans) = (0, 0, 0, 0);
    for (at, of) in types.iter().enumerate() {
        match of {
            DataType::Null => {}
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None) => clocks += 1,
            DataType::Timestamp(_, Some(_)) => instants += 1,
            DataType::Time32(_) | DataType::Time64(_) => times += 1,
            DataType::Interval(_) if at % 2 == 1 => spans += 1,
            of => return plan_err!("No function matches the given name and argument types: OVERLAPS of {of}"),
        }
    }
    // How long a day or a month is after an instant is told by a zone's clocks.
    match (clocks, instants, times, spans) {
        (_, 0, 0, _) => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
        (0, _, 0, 0) => Ok(instant()),
        (0, 0, _, 0) => Ok(DataType::Time64(TimeUnit::Microsecond)),
        _ => plan_err!("OVERLAPS takes moments of one type: cast them, and write `start + interval` for an end"),
    }
}

/// The start and the end of periods as numbers.
fn period(start: &ArrayRef, end: &ArrayRef, of: &DataType) -> Result<(ArrayRef, ArrayRef)> {
    let start = strictly(start, of)?;
    let end = match end.data_type() {
        DataType::Interval(_) => {
            let length = strictly(end, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            numeric::add(&start, &length)?
        }
        _ => strictly(end, of)?,
    };
    Ok((numbers(&start)?, numbers(&end)?))
}

/// Unknown where it depends on an end that is not known.
fn overlap(first: (Option<i64>, Option<i64>), second: (Option<i64>, Option<i64>)) -> Option<bool> {
    let ((start, end), (other_start, other_end)) = (in_order(first)?, in_order(second)?);
    match start.cmp(&other_start) {
        Ordering::Greater => begins_before(start, other_end?, end),
        Ordering::Less => begins_before(other_start, end?, other_end),
        Ordering::Equal => end.and(other_end).map(|_| true),
    }
}

/// Whether the later period begins before the earlier one is over.
fn begins_before(start: i64, over: i64, end: Option<i64>) -> Option<bool> {
    match start < over {
        true => Some(true),
        false => end.map(|_| false),
    }
}

/// A period from its earlier to its later end; the one end that is known is where it starts.
fn in_order(period: (Option<i64>, Option<i64>)) -> Option<(i64, Option<i64>)> {
    match period {
        (Some(start), Some(end)) => Some((start.min(end), Some(start.max(end)))),
        (Some(only), None) | (None, Some(only)) => Some((only, None)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: periods overlap where PostgreSQL 15 says so. Method: what it said for each of these.
    #[test]
    fn periods_overlap() {
        for (first, second, wanted) in [
            ((Some(1), Some(3)), (Some(2), Some(4)), Some(true)),
            ((Some(3), Some(1)), (Some(2), Some(4)), Some(true)),
            ((Some(1), Some(2)), (Some(2), Some(3)), Some(false)),
            ((Some(2), Some(2)), (Some(2), Some(3)), Some(true)),
            ((Some(2), Some(2)), (Some(1), Some(2)), Some(false)),
            ((Some(1), None), (Some(2), Some(3)), None),
            ((Some(4), None), (Some(2), Some(3)), None),
            ((Some(2), None), (Some(1), Some(3)), Some(true)),
            ((Some(2), None), (Some(2), Some(3)), None),
            ((None, None), (Some(2), Some(3)), None),
        ] {
            assert_eq!(overlap(first, second), wanted, "{first:?} {second:?}");
        }
    }
}
