//! Functions of intervals.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, IntervalMonthDayNanoArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::exec_err;

use super::dates::{floats, row_of};
use super::moments::DAY_US;
use super::native::{Native, argument};

pub(super) fn all() -> Vec<Native> {
    vec![
        interval("pg_interval_times", |by| by),
        interval("pg_interval_by", |by| 1.0 / by),
        justified("justify_days", months_of_days),
        justified("justify_hours", days_of_hours),
        justified("justify_interval", |span| days_of_hours(span).and_then(months_of_days)),
        make_interval(),
    ]
}

/// An interval so many times. What is no whole month or day becomes days of which a month has thirty, and time.
fn interval(name: &str, factor: fn(f64) -> f64) -> Native {
    let returns = DataType::Interval(IntervalUnit::MonthDayNano);
    Native::new(name, (2, 2), returns.clone(), move |arrays, rows| {
        let spans = cast(argument(arrays, 0)?, &returns)?;
        let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
        let factors = cast(argument(arrays, 1)?, &DataType::Float64)?;
        let factors = factors.as_primitive::<Float64Type>();
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            if spans.is_null(row) || factors.is_null(row) {
                found.push(None);
                continue;
            }
            match times(spans.value(row), factor(factors.value(row))) {
                Some(span) => found.push(Some(span)),
                None => return exec_err!("interval out of range"),
            }
        }
        Ok(Arc::new(IntervalMonthDayNanoArray::from(found)))
    })
}

#[expect(clippy::cast_possible_truncation, reason = "what is out of range was refused")]
fn times(span: IntervalMonthDayNano, factor: f64) -> Option<IntervalMonthDayNano> {
    let within = |value: f64, end: f64| (value.is_finite() && value.abs() < end).then_some(value);
    let months = within(f64::from(span.months) * factor, f64::from(i32::MAX))?;
    let days = within(
        f64::from(span.days) * factor + months.fract() * 30.0,
        f64::from(i32::MAX),
    )?;
    let micros = (span.nanoseconds / 1000).to_string().parse::<f64>().ok()?;
    let micros = within(micros * factor + days.fract() * 86_400e6, 9e15)?;
    Some(IntervalMonthDayNano::new(
        months as i32,
        days as i32,
        (micros.round() as i64).checked_mul(1000)?,
    ))
}

/// A span with its parts shifted into larger ones.
fn justified(name: &str, change: fn(IntervalMonthDayNano) -> Option<IntervalMonthDayNano>) -> Native {
    let returns = DataType::Interval(IntervalUnit::MonthDayNano);
    Native::new(name, (1, 1), returns.clone(), move |arrays, _| {
        let spans = cast(argument(arrays, 0)?, &returns)?;
        let mut found = Vec::with_capacity(spans.len());
        for span in spans.as_primitive::<IntervalMonthDayNanoType>() {
            match span.map(change) {
                Some(None) => return exec_err!("interval out of range"),
                changed => found.push(changed.flatten()),
            }
        }
        Ok(Arc::new(IntervalMonthDayNanoArray::from(found)))
    })
}

/// Twenty-four hours are a day, and what is left has the sign of the days.
fn days_of_hours(span: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    let day = DAY_US * 1000;
    let (mut days, mut nanos) = (i64::from(span.days) + span.nanoseconds / day, span.nanoseconds % day);
    if days > 0 && nanos < 0 {
        (days, nanos) = (days - 1, nanos + day);
    } else if days < 0 && nanos > 0 {
        (days, nanos) = (days + 1, nanos - day);
    }
    Some(IntervalMonthDayNano::new(span.months, i32::try_from(days).ok()?, nanos))
}

/// Thirty days are a month, and what is left has the sign of the months.
fn months_of_days(span: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    let (mut months, mut days) = (i64::from(span.months) + i64::from(span.days) / 30, span.days % 30);
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - 30);
    }
    Some(IntervalMonthDayNano::new(
        i32::try_from(months).ok()?,
        days,
        span.nanoseconds,
    ))
}

/// `make_interval(years, months, weeks, days, hours, minutes, seconds)`, all of which may be left out from the end.
#[expect(clippy::cast_possible_truncation, reason = "what is out of range ends at its end")]
fn make_interval() -> Native {
    let returns = DataType::Interval(IntervalUnit::MonthDayNano);
    Native::new("make_interval", (0, 7), returns, |arrays, rows| {
        let columns = floats(arrays)?;
        let span = |row| {
            let parts = row_of(&columns, row)?;
            let part = |at: usize| parts.get(at).copied().unwrap_or_default();
            let micros = (part(4) * 3600.0 + part(5) * 60.0 + part(6)) * 1e6;
            Some(IntervalMonthDayNano::new(
                (part(0) * 12.0 + part(1)) as i32,
                (part(2) * 7.0 + part(3)) as i32,
                (micros.round() as i64).saturating_mul(1000),
            ))
        };
        Ok(Arc::new((0..rows).map(span).collect::<IntervalMonthDayNanoArray>()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(months: i32, days: i32, hours: i64) -> IntervalMonthDayNano {
        IntervalMonthDayNano::new(months, days, hours * 3_600_000_000_000)
    }

    // Goal: parts are shifted as PostgreSQL 15 shifts them. Method: what it said for each of these.
    #[test]
    fn parts_are_shifted() {
        assert_eq!(days_of_hours(span(0, 0, 36)), Some(span(0, 1, 12)));
        assert_eq!(days_of_hours(span(0, 1, -2)), Some(span(0, 0, 22)));
        assert_eq!(months_of_days(span(0, 65, 0)), Some(span(2, 5, 0)));
        assert_eq!(months_of_days(span(1, -3, 0)), Some(span(0, 27, 0)));
    }
}
