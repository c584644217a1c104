//! Zones by their names, and moments from one to another.

use std::str::FromStr;
use std::sync::Arc;

use chrono::{Offset, TimeDelta, TimeZone};
use datafusion::arrow::array::TimestampMicrosecondArray;
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{exec_err, plan_err};

use super::moments::{UTC, instant, moment, moments, naive, plain};
use super::native::{Native, argument, text, texts};

/// Longest time that clocks have left out: a whole day, in Samoa.
const GAP_HOURS_MAX: i64 = 25;

pub(super) fn all() -> Vec<Native> {
    vec![timezone()]
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
