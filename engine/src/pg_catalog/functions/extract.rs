//! Parts of moments and spans that the query engine has not, or has without what is behind the point.

use std::sync::Arc;

use chrono::Datelike;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_err};

use super::moments::{DAY_US, moments, naive, offset_at, zone_of};
use super::native::{Native, argument};

/// A year as the epoch of an interval counts it, of 365 days and a quarter.
const YEAR_US: i64 = 31_557_600 * 1_000_000;

/// A month of thirty days.
const MONTH_US: i64 = 30 * DAY_US;

pub(super) fn all() -> Vec<Native> {
    vec![
        part("pg_extract_second", 6, |at| at.micros_of_minute()),
        part("pg_extract_milliseconds", 3, |at| at.micros_of_minute()),
        part("pg_extract_epoch", 6, |at| at.epoch()),
        part("pg_extract_decade", 0, |at| at.year().map(|year| year.div_euclid(10))),
        part("pg_extract_century", 0, |at| at.year().map(|year| from_one(year, 100))),
        part("pg_extract_millennium", 0, |at| {
            at.year().map(|year| from_one(year, 1000))
        }),
        part("pg_extract_timezone", 0, |at| Some(at.offset_s())),
        part("pg_extract_timezone_hour", 0, |at| Some(at.offset_s() / 3600)),
        part("pg_extract_timezone_minute", 0, |at| Some(at.offset_s() % 3600 / 60)),
    ]
}

/// Centuries and millennia begin with a year that ends in one, and there is no year 0.
fn from_one(year: i64, length: i64) -> i64 {
    match year > 0 {
        true => (year + length - 1) / length,
        false => -((length - year) / length),
    }
}

/// What has parts.
#[derive(Clone, Copy)]
enum Value {
    /// In microseconds since 1970, and the seconds that clocks of its zone are ahead of Greenwich.
    Moment(i64, i32),
    /// In microseconds since midnight.
    Time(i64),
    Span(IntervalMonthDayNano),
}

impl Value {
    fn offset_s(self) -> i64 {
        match self {
            Self::Moment(_, offset_s) => i64::from(offset_s),
            Self::Time(_) | Self::Span(_) => 0,
        }
    }

    /// What clocks of its zone show.
    fn clock(self) -> Option<i64> {
        match self {
            Self::Moment(micros, _) => micros.checked_add(self.offset_s() * 1_000_000),
            Self::Time(_) | Self::Span(_) => None,
        }
    }

    fn micros_of_minute(self) -> Option<i64> {
        Some(match self {
            Self::Moment(..) => self.clock()?.rem_euclid(60_000_000),
            Self::Time(micros) => micros % 60_000_000,
            Self::Span(span) => span.nanoseconds / 1000 % 60_000_000,
        })
    }

    fn epoch(self) -> Option<i64> {
        match self {
            Self::Moment(micros, _) | Self::Time(micros) => Some(micros),
            Self::Span(span) => {
                let (years, months) = (i64::from(span.months) / 12, i64::from(span.months) % 12);
                let days = i64::from(span.days).checked_mul(DAY_US)?;
                let whole = years.checked_mul(YEAR_US)?.checked_add(months.checked_mul(MONTH_US)?)?;
                whole.checked_add(days)?.checked_add(span.nanoseconds / 1000)
            }
        }
    }

    fn year(self) -> Option<i64> {
        match self {
            Self::Moment(..) => Some(i64::from(naive(self.clock()?)?.year())),
            Self::Time(_) => None,
            Self::Span(span) => Some(i64::from(span.months) / 12),
        }
    }
}

/// A part as a decimal with so many digits behind the point.
fn part(name: &str, scale: i8, of: fn(Value) -> Option<i64>) -> Native {
    let returns = DataType::Decimal128(20, scale);
    Native::new(name, (1, 1), returns, move |arrays, rows| {
        let values = values(argument(arrays, 0)?)?;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            let Some(value) = values.get(row).copied().flatten() else {
                found.push(None);
                continue;
            };
            match of(value) {
                Some(part) => found.push(Some(i128::from(part))),
                None => return exec_err!("the part is not supported for this type, or out of range"),
            }
        }
        Ok(Arc::new(
            Decimal128Array::from(found).with_precision_and_scale(20, scale)?,
        ))
    })
}

fn values(array: &ArrayRef) -> Result<Vec<Option<Value>>> {
    Ok(match array.data_type() {
        DataType::Time32(_) | DataType::Time64(_) => {
            let times = cast(array, &DataType::Time64(TimeUnit::Microsecond))?;
            let times = times.as_primitive::<Time64MicrosecondType>().iter();
            times.map(|time| time.map(Value::Time)).collect()
        }
        DataType::Interval(_) | DataType::Duration(_) => {
            let spans = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            let spans = spans.as_primitive::<IntervalMonthDayNanoType>().iter();
            spans.map(|span| span.map(Value::Span)).collect()
        }
        _ => {
            let zone = zone_of(array);
            let offset_s = |micros| zone.map_or(0, |zone| offset_at(zone, micros));
            let (moments, _) = moments(array)?;
            let moments = moments.as_primitive::<TimestampMicrosecondType>().iter();
            let moments = moments.map(|moment| moment.map(|micros| Value::Moment(micros, offset_s(micros))));
            moments.collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: parts are those that PostgreSQL 15 tells. Method: what it said for each of these.
    #[test]
    fn parts_are_told() {
        let moment = Value::Moment(1_709_219_049_123_456, 0);
        assert_eq!(moment.micros_of_minute(), Some(9_123_456));
        assert_eq!(moment.year().map(|year| from_one(year, 100)), Some(21));
        assert_eq!(from_one(2000, 100), 20);
        assert_eq!(from_one(2001, 1000), 3);
        let span = Value::Span(IntervalMonthDayNano::new(14, 3, 0));
        assert_eq!(span.epoch(), Some(37_000_800_000_000));
    }
}
