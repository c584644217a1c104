//! Functions of dates and times.

use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, IntervalMonthDayNanoArray, PrimitiveArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_err, plan_err};

use super::native::{Native, argument, number, numbers, strings, text, texts, truths};
use super::number_patterns::number_to_text;
use super::patterns::{date_to_text, text_to_date};

/// Where instants are counted from.
pub(super) const UTC: &str = "+00:00";

/// Longest time that clocks have left out: a whole day, in Samoa.
const GAP_HOURS_MAX: i64 = 25;

pub(super) const DAY_US: i64 = 86_400_000_000;

fn plain() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

pub(super) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

pub(super) fn all() -> Vec<Native> {
    vec![
        to_char(),
        to_date(),
        to_timestamp(),
        timezone(),
        age(),
        make_timestamp(),
        plus(),
        minus(),
        moments_between(),
        is_finite(),
    ]
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

/// Moments in microseconds since 1970, and whether they are instants.
pub(super) fn moments(array: &ArrayRef) -> Result<(ArrayRef, bool)> {
    let zoned = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
    let wanted = if zoned { instant() } else { plain() };
    Ok((cast(array, &wanted)?, zoned))
}

/// The zone that the type of these instants tells; none of clocks.
pub(super) fn zone_of(array: &ArrayRef) -> Option<Tz> {
    match array.data_type() {
        DataType::Timestamp(_, Some(name)) => Tz::from_str(name).ok(),
        _ => None,
    }
}

/// What clocks of a zone show at an instant, in microseconds.
pub(super) fn clock(zone: Option<Tz>, micros: i64) -> i64 {
    micros + zone.map_or(0, |zone| i64::from(offset_at(zone, micros)) * 1_000_000)
}

fn moment(array: &ArrayRef, row: usize) -> Option<i64> {
    let array = array.as_primitive_opt::<TimestampMicrosecondType>()?;
    (!array.is_null(row)).then(|| array.value(row))
}

pub(super) fn naive(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|at| at.naive_utc())
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

fn days_of(array: &ArrayRef) -> Result<ArrayRef> {
    let dates = cast(array, &DataType::Date32)?;
    numbers(&cast(&dates, &DataType::Int32)?)
}

/// `timezone(zone, x)`, which is `x AT TIME ZONE zone`: an instant as that zone's clocks show it, and what they show as an
/// instant.
fn timezone() -> Native {
    let other = |of: &DataType| {
        if matches!(of, DataType::Timestamp(_, None)) {
            instant()
        } else {
            plain()
        }
    };
    let native = Native::new("timezone", (2, 2), plain(), move |arrays, rows| {
        let zones = texts(argument(arrays, 0)?)?;
        let values = argument(arrays, 1)?;
        // A day is the instant with which it begins.
        let is_instant = matches!(
            values.data_type(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Date32 | DataType::Date64
        );
        let values = if is_instant {
            cast(values, &instant())?
        } else {
            Arc::clone(values)
        };
        let (values, zoned) = moments(&values)?;
        let mut known: Option<(String, Tz)> = None;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            let (Some(name), Some(at)) = (text(&zones, row), moment(&values, row)) else {
                found.push(None);
                continue;
            };
            let zone = match &known {
                Some((last, zone)) if last == name => *zone,
                _ => match zone(name) {
                    Some(zone) => {
                        known = Some((name.to_owned(), zone));
                        zone
                    }
                    None => return exec_err!("time zone \"{name}\" not recognized"),
                },
            };
            found.push(moved(at, zone, zoned));
        }
        let found = TimestampMicrosecondArray::from(found);
        Ok(match zoned {
            true => Arc::new(found),
            false => Arc::new(found.with_timezone(UTC)),
        })
    });
    native.returning(move |arguments| match arguments.get(1) {
        Some(of @ (DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)) => Ok(other(of)),
        Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null) => Ok(plain()),
        Some(of) => plan_err!("No function matches the given name and argument types: timezone of {of}"),
        None => plan_err!("timezone takes two arguments"),
    })
}

/// Seconds east of Greenwich that clocks of a zone show at an instant.
pub(super) fn offset_at(zone: Tz, micros: i64) -> i32 {
    naive(micros).map_or(0, |at| zone.offset_from_utc_datetime(&at).fix().local_minus_utc())
}

/// A zone by its name. A bare offset counts to the west, as POSIX has it.
pub(super) fn zone(name: &str) -> Option<Tz> {
    if let Some(hours) = name.strip_prefix(['+', '-']).and_then(|hours| hours.parse::<u8>().ok()) {
        let sign = if name.starts_with('-') { '+' } else { '-' };
        return Tz::from_str(&format!("{sign}{hours:02}:00")).ok();
    }
    let utc = ["UTC", "GMT", "Z"].iter().any(|utc| utc.eq_ignore_ascii_case(name));
    Tz::from_str(if utc { UTC } else { name }).ok()
}

/// What clocks of a zone show at an instant, or the instant at which they show it.
pub(super) fn moved(at: i64, zone: Tz, zoned: bool) -> Option<i64> {
    let clock = naive(at)?;
    let offset = match zoned {
        true => zone.offset_from_utc_datetime(&clock).fix(),
        // An hour that comes twice is the second; one that never comes is taken as it was before, and so is a day.
        false => {
            let before = (0..=GAP_HOURS_MAX).filter_map(|hours| clock.checked_sub_signed(TimeDelta::hours(hours)));
            let mut offsets = before.filter_map(|clock| zone.offset_from_local_datetime(&clock).latest());
            offsets.next()?.fix()
        }
    };
    let seconds = i64::from(offset.local_minus_utc());
    let sign = if zoned { 1 } else { -1 };
    at.checked_add(sign * seconds * 1_000_000)
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
