//! Instants in a zone whose clocks go forward and back.

use std::sync::Arc;

use chrono::{DateTime, Days, FixedOffset, Months, NaiveDateTime};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{Array, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::cast_utils::string_to_datetime;
use datafusion::arrow::datatypes::{
    DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_err, plan_err};

use super::moments::{UTC, clock, instant, moments, naive, zone_of};
use super::native::{Native, argument, text, texts};
use super::zones::{moved, zone};
use crate::pg_catalog::figures;

const HOUR_US: i64 = 3_600_000_000;

pub(super) fn all() -> Vec<Native> {
    vec![of_text(), plus(), hour()]
}

/// `pg_instant(text, zone)`: the instant that a text tells, by clocks of the zone if it names none. An hour that comes twice is the
/// second, one that never comes is taken as it was before.
fn of_text() -> Native {
    Native::new("pg_instant", (2, 2), instant(), |arrays, rows| {
        let (values, zones) = (texts(argument(arrays, 0)?)?, texts(argument(arrays, 1)?)?);
        let mut known: Option<(String, Tz)> = None;
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            let (Some(written), Some(name)) = (text(&values, row), text(&zones, row)) else {
                found.push(None);
                continue;
            };
            let zone = match &known {
                Some((last, zone)) if last == name => *zone,
                _ => match zone(name) {
                    Some(zone) => known.insert((name.to_owned(), zone)).1,
                    None => return exec_err!("time zone \"{name}\" not recognized"),
                },
            };
            found.push(read(written, zone)?);
        }
        Ok(Arc::new(TimestampMicrosecondArray::from(found).with_timezone(UTC)))
    })
}

fn read(written: &str, zone: Tz) -> Result<Option<i64>> {
    let figures = figures(written);
    let figures = figures.as_deref().unwrap_or(written);
    let read = |hours_east: i32| -> Result<DateTime<FixedOffset>> {
        let Some(of) = FixedOffset::east_opt(hours_east * 3600) else {
            return exec_err!("no clock is {hours_east} hours ahead");
        };
        Ok(string_to_datetime(&of, figures)?)
    };
    let (here, there) = (read(0)?, read(1)?);
    // What names a zone is the same wherever it is read.
    Ok(match here == there {
        true => Some(here.timestamp_micros()),
        false => moved(here.timestamp_micros(), zone, false),
    })
}

/// `pg_instant_plus(instant, interval)`: months and days go by the calendar of the instant's zone, hours by themselves.
fn plus() -> Native {
    let spans = DataType::Interval(IntervalUnit::MonthDayNano);
    let native = Native::new("pg_instant_plus", (2, 2), instant(), move |arrays, rows| {
        let values = argument(arrays, 0)?;
        let zone = zone_of(values);
        let (at, _) = moments(values)?;
        let at = at.as_primitive::<TimestampMicrosecondType>();
        let spans = cast(argument(arrays, 1)?, &spans)?;
        let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            if at.is_null(row) || spans.is_null(row) {
                found.push(None);
                continue;
            }
            match later(at.value(row), spans.value(row), zone) {
                Some(sum) => found.push(Some(sum)),
                None => return exec_err!("timestamp out of range"),
            }
        }
        let found = TimestampMicrosecondArray::from(found).with_timezone(UTC);
        Ok(cast(&found, values.data_type())?)
    });
    native.returning(|arguments| match arguments.first() {
        Some(of @ DataType::Timestamp(_, Some(_))) => Ok(of.clone()),
        _ => plan_err!("pg_instant_plus takes an instant and an interval"),
    })
}

/// `pg_instant_hour(instant)`: the hour of the zone's clocks that it lies in, which begins at no whole hour of Greenwich everywhere.
fn hour() -> Native {
    let native = Native::new("pg_instant_hour", (1, 1), instant(), |arrays, _| {
        let values = argument(arrays, 0)?;
        let zone = zone_of(values);
        let (at, _) = moments(values)?;
        let at = at.as_primitive::<TimestampMicrosecondType>();
        let hours = at
            .iter()
            .map(|at| at.map(|at| at - clock(zone, at).rem_euclid(HOUR_US)));
        let found = hours.collect::<TimestampMicrosecondArray>().with_timezone(UTC);
        Ok(cast(&found, values.data_type())?)
    });
    native.returning(|arguments| match arguments.first() {
        Some(of @ DataType::Timestamp(_, Some(_))) => Ok(of.clone()),
        _ => plan_err!("pg_instant_hour takes an instant"),
    })
}

fn later(at: i64, span: IntervalMonthDayNano, zone: Option<Tz>) -> Option<i64> {
    let by_calendar = |at: i64, step: &dyn Fn(NaiveDateTime) -> Option<NaiveDateTime>| {
        let clock = step(naive(clock(zone, at))?)?.and_utc().timestamp_micros();
        match zone {
            Some(zone) => moved(clock, zone, false),
            None => Some(clock),
        }
    };
    let mut sum = at;
    if span.months != 0 {
        let months = Months::new(span.months.unsigned_abs());
        sum = by_calendar(sum, &|clock| match span.months > 0 {
            true => clock.checked_add_months(months),
            false => clock.checked_sub_months(months),
        })?;
    }
    if span.days != 0 {
        let days = Days::new(span.days.unsigned_abs().into());
        sum = by_calendar(sum, &|clock| match span.days > 0 {
            true => clock.checked_add_days(days),
            false => clock.checked_sub_days(days),
        })?;
    }
    sum.checked_add(span.nanoseconds / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: texts and sums about the hours in which clocks change are as PostgreSQL 15 has them. Method: what it said for each.
    #[test]
    fn hours_that_clocks_leave_out_or_repeat() {
        let cairo = zone("Africa/Cairo").expect("a zone");
        let apia = zone("Pacific/Apia").expect("a zone");
        let newyork = zone("America/New_York").expect("a zone");
        let read = |text: &str| read(text, newyork).expect(text).expect("an instant");
        let utc = |text: &str| {
            super::read(text, zone("UTC").expect("a zone"))
                .expect(text)
                .expect("an instant")
        };
        for (text, instant) in [
            ("2024-03-10 01:30", "2024-03-10 06:30:00"),
            ("2024-03-10 02:30", "2024-03-10 07:30:00"),
            ("2024-03-10 03:30", "2024-03-10 07:30:00"),
            ("2024-11-03 01:30", "2024-11-03 06:30:00"),
            ("2024-11-03 00:30", "2024-11-03 04:30:00"),
            ("2024-07-01", "2024-07-01 04:00:00"),
            ("2024-07-01 00:30+02", "2024-06-30 22:30:00"),
            ("2024-07-01T00:30Z", "2024-07-01 00:30:00"),
        ] {
            assert_eq!(read(text), utc(instant), "{text}");
        }
        for (zone, text, instant) in [
            (cairo, "2024-04-26 00:00", "2024-04-25 22:00:00"),
            (apia, "2011-12-30 12:00", "2011-12-30 22:00:00"),
        ] {
            let found = super::read(text, zone).expect(text).expect("an instant");
            assert_eq!(found, utc(instant), "{text}");
        }
        let span = |months, days, hours: i64| IntervalMonthDayNano::new(months, days, hours * 3_600_000_000_000);
        for (at, span, sum) in [
            ("2024-03-09 02:30", span(0, 1, 0), "2024-03-10 07:30:00"),
            ("2024-03-09 12:00", span(0, 1, 0), "2024-03-10 16:00:00"),
            ("2024-03-09 12:00", span(0, 0, 24), "2024-03-10 17:00:00"),
            ("2024-01-31 12:00", span(1, 0, 0), "2024-02-29 17:00:00"),
            ("2024-03-31 12:00", span(-1, -1, 0), "2024-02-28 17:00:00"),
        ] {
            assert_eq!(later(read(at), span, Some(newyork)), Some(utc(sum)), "{at}");
        }
    }
}
