//! Dates and times from texts and numbers, and as texts.

use std::sync::Arc;

use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Float64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::{Result, exec_err, plan_err};

use super::moments::{DAY_US, UTC, clock, instant, moment, moments, naive, offset_at, plain, zone_of};
use super::native::{Native, argument, strings, text, texts, truths};
use super::number_patterns::number_to_text;
use super::patterns::{date_to_text, text_to_date};

pub(super) fn all() -> Vec<Native> {
    vec![to_char(), to_date(), to_timestamp(), make_timestamp(), is_finite()]
}

/// `isfinite(x)`: there is no moment and no interval without end here.
fn is_finite() -> Native {
    Native::new("isfinite", (1, 1), DataType::Boolean, |arrays, rows| {
        let values = argument(arrays, 0)?;
        let untyped = *values.data_type() == DataType::Null;
        Ok(truths(
            (0..rows).map(|row| (!untyped && !values.is_null(row)).then_some(true)),
        ))
    })
    .returning(|types| match types {
        [DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Interval(_) | DataType::Null] => {
            Ok(DataType::Boolean)
        }
        _ => plan_err!("isfinite takes a date, a timestamp or an interval"),
    })
}

fn micros(at: NaiveDateTime) -> i64 {
    at.and_utc().timestamp_micros()
}

/// `to_char(value, pattern)` of dates, times, intervals and numbers.
fn to_char() -> Native {
    Native::new("pg_to_char", (2, 2), DataType::Utf8, |arrays, rows| {
        let values = argument(arrays, 0)?;
        let patterns = texts(argument(arrays, 1)?)?;
        if values.data_type().is_numeric() {
            // Floating-point numbers without an exponent.
            let numbers: Vec<Option<String>> = match values.data_type().is_floating() {
                true => {
                    let values = cast(values, &DataType::Float64)?;
                    let values = values.as_primitive::<Float64Type>().iter();
                    values.map(|value| value.map(|value| value.to_string())).collect()
                }
                false => {
                    let texts = texts(values)?;
                    (0..rows).map(|row| text(&texts, row).map(str::to_owned)).collect()
                }
            };
            let mut found = Vec::with_capacity(rows);
            for row in 0..rows {
                found.push(
                    match (numbers.get(row).and_then(Option::as_deref), text(&patterns, row)) {
                        (Some(number), Some(pattern)) => match number_to_text(number, pattern) {
                            Ok(shown) => Some(shown),
                            Err(error) => return exec_err!("{error}"),
                        },
                        _ => None,
                    },
                );
            }
            return Ok(strings(found.into_iter()));
        }
        let zone = zone_of(values);
        let (values, zoned) = match values.data_type() {
            DataType::Interval(_) | DataType::Duration(_) | DataType::Time32(_) | DataType::Time64(_) => {
                (since_midnight(values)?, false)
            }
            _ => moments(values)?,
        };
        let shown = |row| {
            let (at, pattern) = (moment(&values, row)?, text(&patterns, row)?);
            let offset_s = zone.map_or(0, |zone| offset_at(zone, at));
            let name = zone.and_then(|zone| abbreviation(zone, at));
            let name = name.as_deref().unwrap_or(if zoned { "UTC" } else { "" });
            Some(date_to_text(naive(clock(zone, at))?, offset_s, name, pattern))
        };
        Ok(strings((0..rows).map(shown)))
    })
}

/// What a zone calls itself at an instant, winter and summer apart; none of a mere offset.
fn abbreviation(zone: Tz, micros: i64) -> Option<String> {
    let named: chrono_tz::Tz = zone.to_string().parse().ok()?;
    Some(named.offset_from_utc_datetime(&naive(micros)?).to_string())
}

/// Times and spans of a day, as moments of the first day.
fn since_midnight(array: &ArrayRef) -> Result<ArrayRef> {
    let found: TimestampMicrosecondArray = match array.data_type() {
        DataType::Time32(_) | DataType::Time64(_) => {
            let times = cast(array, &DataType::Time64(TimeUnit::Microsecond))?;
            return Ok(cast(&cast(&times, &DataType::Int64)?, &plain())?);
        }
        _ => {
            let spans = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
            spans
                .iter()
                .map(|span| span.map(|span| span.nanoseconds / 1000 + i64::from(span.days) * DAY_US))
                .collect()
        }
    };
    Ok(Arc::new(found))
}

fn to_date() -> Native {
    Native::new("pg_to_date", (2, 2), DataType::Date32, |arrays, rows| {
        let (values, patterns) = (texts(argument(arrays, 0)?)?, texts(argument(arrays, 1)?)?);
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            let at = read(&values, &patterns, row)?;
            let days = at.map(|(at, _)| at.date().num_days_from_ce() - 719_163);
            found.push(days);
        }
        Ok(Arc::new(PrimitiveArray::<Date32Type>::from(found)))
    })
}

fn read(values: &ArrayRef, patterns: &ArrayRef, row: usize) -> Result<Option<(NaiveDateTime, Option<i32>)>> {
    let (Some(value), Some(pattern)) = (text(values, row), text(patterns, row)) else {
        return Ok(None);
    };
    match text_to_date(value, pattern) {
        Some(found) => Ok(Some(found)),
        None => exec_err!("Cannot cast string '{value}' to value of Timestamp type by the pattern '{pattern}'"),
    }
}

/// `to_timestamp(text, pattern)`, and of seconds since 1970.
fn to_timestamp() -> Native {
    Native::new("pg_to_timestamp", (1, 2), instant(), |arrays, rows| {
        let first = argument(arrays, 0)?;
        let found: Vec<Option<i64>> = match arrays.get(1) {
            Some(patterns) => {
                let (values, patterns) = (texts(first)?, texts(patterns)?);
                let read = (0..rows).map(|row| {
                    let found = read(&values, &patterns, row)?;
                    Ok(found.map(|(at, offset)| micros(at) - i64::from(offset.unwrap_or_default()) * 1_000_000))
                });
                read.collect::<Result<_>>()?
            }
            None if first.data_type().is_numeric() => {
                let seconds = cast(first, &DataType::Float64)?;
                let seconds = seconds.as_primitive::<Float64Type>();
                #[expect(clippy::cast_possible_truncation, reason = "what is out of range ends at its end")]
                let micros = |seconds: f64| (seconds * 1e6).round() as i64;
                seconds.iter().map(|seconds| seconds.map(micros)).collect()
            }
            None => {
                let moments = cast(first, &instant())?;
                (0..rows).map(|row| moment(&moments, row)).collect()
            }
        };
        Ok(Arc::new(TimestampMicrosecondArray::from(found).with_timezone(UTC)))
    })
}

/// The columns of several arguments as floating-point numbers.
pub(super) fn floats(arrays: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    arrays
        .iter()
        .map(|array| Ok(cast(array, &DataType::Float64)?))
        .collect()
}

/// What stands in a row of these columns; none where one is null.
pub(super) fn row_of(columns: &[ArrayRef], row: usize) -> Option<Vec<f64>> {
    let value = |column: &ArrayRef| {
        let values = column.as_primitive::<Float64Type>();
        (!values.is_null(row)).then(|| values.value(row))
    };
    columns.iter().map(value).collect()
}

/// `make_timestamp(year, month, day, hour, minute, seconds)`.
#[expect(clippy::cast_possible_truncation, reason = "what is out of range is no date")]
fn make_timestamp() -> Native {
    Native::new("make_timestamp", (6, 6), plain(), |arrays, rows| {
        let columns = floats(arrays)?;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            let Some(parts) = row_of(&columns, row) else {
                found.push(None);
                continue;
            };
            let [year, month, day, hour, minute, seconds] = parts.as_slice() else {
                return exec_err!("make_timestamp takes six numbers");
            };
            let date = NaiveDate::from_ymd_opt(*year as i32, *month as u32, *day as u32);
            let clock = (0.0..24.0).contains(hour) && (0.0..60.0).contains(minute) && (0.0..=60.0).contains(seconds);
            match date.and_then(|date| date.and_hms_opt(0, 0, 0)) {
                Some(midnight) if clock => {
                    let time = ((hour * 3600.0 + minute * 60.0 + seconds) * 1e6).round() as i64;
                    found.push(Some(micros(midnight) + time));
                }
                _ => return exec_err!("date field value out of range: {year}-{month:02}-{day:02}"),
            }
        }
        Ok(Arc::new(TimestampMicrosecondArray::from(found)))
    })
}
