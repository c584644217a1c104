//! What lies between dates and moments.

use std::sync::Arc;

use chrono::{Datelike, Months, NaiveDateTime};
use datafusion::arrow::array::{ArrayRef, Int32Array, IntervalMonthDayNanoArray, PrimitiveArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, IntervalMonthDayNano, IntervalUnit};
use datafusion::common::{Result, exec_err};

use super::moments::{DAY_US, clock, moment, moments, naive, zone_of};
use super::native::{Native, argument, number, numbers};

pub(super) fn all() -> Vec<Native> {
    vec![age(), plus(), minus(), moments_between()]
}

/// `age(later, earlier)` in years, months, days and time; of one moment, up to the midnight before now.
fn age() -> Native {
    let returns = DataType::Interval(IntervalUnit::MonthDayNano);
    Native::new("age", (2, 2), returns, |arrays, rows| {
        let (later, earlier) = (argument(arrays, 0)?, argument(arrays, 1)?);
        let (later_zone, earlier_zone) = (zone_of(later), zone_of(earlier));
        let ((later, _), (earlier, _)) = (moments(later)?, moments(earlier)?);
        let span = |row| {
            let earlier = clock(earlier_zone, moment(&earlier, row)?);
            between(naive(earlier)?, naive(clock(later_zone, moment(&later, row)?))?)
        };
        Ok(Arc::new((0..rows).map(span).collect::<IntervalMonthDayNanoArray>()))
    })
}

fn between(earlier: NaiveDateTime, later: NaiveDateTime) -> Option<IntervalMonthDayNano> {
    if earlier > later {
        let span = between(later, earlier)?;
        return Some(IntervalMonthDayNano::new(-span.months, -span.days, -span.nanoseconds));
    }
    let whole = |at: NaiveDateTime| i64::from(at.year()) * 12 + i64::from(at.month0());
    let mut months = whole(later) - whole(earlier);
    let mut days = i64::from(later.day()) - i64::from(earlier.day());
    let mut nanos = (later.time() - earlier.time()).num_nanoseconds()?;
    if nanos < 0 {
        nanos += DAY_US * 1000;
        days -= 1;
    }
    if days < 0 {
        // As many days as the earlier moment's month has.
        let first = earlier.date().with_day(1)?;
        days += (first.checked_add_months(Months::new(1))? - first).num_days();
        months -= 1;
    }
    Some(IntervalMonthDayNano::new(
        i32::try_from(months).ok()?,
        i32::try_from(days).ok()?,
        nanos,
    ))
}

/// A date so many days later.
fn plus() -> Native {
    Native::new("pg_date_plus", (2, 2), DataType::Date32, |arrays, rows| {
        let (dates, days) = (days_of(argument(arrays, 0)?)?, numbers(argument(arrays, 1)?)?);
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            found.push(match (number(&dates, row), number(&days, row)) {
                (Some(date), Some(days)) => match date.checked_add(days).and_then(|sum| i32::try_from(sum).ok()) {
                    Some(sum) => Some(sum),
                    None => return exec_err!("date out of range"),
                },
                _ => None,
            });
        }
        Ok(Arc::new(PrimitiveArray::<Date32Type>::from(found)))
    })
}

/// The days between two dates.
fn minus() -> Native {
    Native::new("pg_date_minus", (2, 2), DataType::Int32, |arrays, rows| {
        let (later, earlier) = (days_of(argument(arrays, 0)?)?, days_of(argument(arrays, 1)?)?);
        let days = |row| match (number(&later, row), number(&earlier, row)) {
            (Some(later), Some(earlier)) => match i32::try_from(later - earlier) {
                Ok(days) => Ok(Some(days)),
                Err(_) => exec_err!("integer out of range"),
            },
            _ => Ok(None),
        };
        Ok(Arc::new((0..rows).map(days).collect::<Result<Int32Array>>()?))
    })
}

/// The days and the time between two moments.
fn moments_between() -> Native {
    let returns = DataType::Interval(IntervalUnit::MonthDayNano);
    Native::new("pg_timestamp_minus", (2, 2), returns, |arrays, rows| {
        let (later, _) = moments(argument(arrays, 0)?)?;
        let (earlier, _) = moments(argument(arrays, 1)?)?;
        let span = |row| {
            let micros = moment(&later, row)?.checked_sub(moment(&earlier, row)?)?;
            let days = i32::try_from(micros / DAY_US).ok()?;
            Some(IntervalMonthDayNano::new(0, days, (micros % DAY_US).checked_mul(1000)?))
        };
        Ok(Arc::new((0..rows).map(span).collect::<IntervalMonthDayNanoArray>()))
    })
}

fn days_of(array: &ArrayRef) -> Result<ArrayRef> {
    let dates = cast(array, &DataType::Date32)?;
    numbers(&cast(&dates, &DataType::Int32)?)
}
