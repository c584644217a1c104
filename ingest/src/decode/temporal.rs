//! Dates and times as Debezium writes them.
//!
//! Iceberg and Arrow readers agree on the years 1 to 9999. PostgreSQL's `infinity` and years beyond arrive as numbers far
//! outside; they become null and the row is flagged.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// 0001-01-01 in days since 1970-01-01.
const DATE_DAYS_MIN: i64 = -719_162;
/// 9999-12-31 in days since 1970-01-01.
const DATE_DAYS_MAX: i64 = 2_932_896;
/// 0001-01-01T00:00:00 in microseconds since 1970-01-01.
const TIMESTAMP_US_MIN: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999 in microseconds since 1970-01-01.
const TIMESTAMP_US_MAX: i64 = 253_402_300_799_999_999;
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;
/// Days from 0001-01-01 to 1970-01-01, as chrono counts them.
const EPOCH_DAYS_FROM_CE: i32 = 719_163;

/// A value of time that may lie outside of what tables hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// In range: days or microseconds.
    At(i64),
    /// Out of range, infinity included.
    Beyond,
}

/// Days since 1970.
pub(crate) fn date(days: i64) -> Moment {
    within(days, DATE_DAYS_MIN, DATE_DAYS_MAX)
}

/// A number of `per_us`-fold or `1/divisor` microseconds since 1970.
pub(crate) fn timestamp(value: i64, factor: i64, divisor: i64) -> Moment {
    match value.checked_mul(factor) {
        Some(scaled) => within(scaled.div_euclid(divisor), TIMESTAMP_US_MIN, TIMESTAMP_US_MAX),
        None => Moment::Beyond,
    }
}

/// A number of microseconds, or a multiple or part of them, since midnight. 24:00:00, which PostgreSQL has, is beyond.
pub(crate) fn time(value: i64, factor: i64, divisor: i64) -> Moment {
    match value.checked_mul(factor) {
        Some(scaled) => within(scaled.div_euclid(divisor), 0, DAY_US - 1),
        None => Moment::Beyond,
    }
}

fn within(value: i64, min: i64, max: i64) -> Moment {
    if (min..=max).contains(&value) {
        Moment::At(value)
    } else {
        Moment::Beyond
    }
}

/// An ISO instant with an offset, or PostgreSQL's infinities. None if it is not one.
pub(crate) fn zoned_timestamp(text: &str) -> Option<Moment> {
    if let Some(us) = fixed_utc(text.as_bytes()) {
        return Some(us);
    }
    if matches!(text, "infinity" | "-infinity") || has_long_year(text) {
        return Some(Moment::Beyond);
    }
    let instant = DateTime::parse_from_rfc3339(text).ok()?;
    Some(timestamp(instant.timestamp_micros(), 1, 1))
}

/// An ISO date and time without an offset; a trailing `Z` is accepted.
pub(crate) fn iso_timestamp(text: &str) -> Option<Moment> {
    if matches!(text, "infinity" | "-infinity") || has_long_year(text) {
        return Some(Moment::Beyond);
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(timestamp(at.and_utc().timestamp_micros(), 1, 1))
}

/// An ISO date; a trailing `Z` is accepted.
pub(crate) fn iso_date(text: &str) -> Option<Moment> {
    if matches!(text, "infinity" | "-infinity") || has_long_year(text) {
        return Some(Moment::Beyond);
    }
    let day = NaiveDate::parse_from_str(text.strip_suffix('Z').unwrap_or(text), "%Y-%m-%d").ok()?;
    Some(date(i64::from(day.num_days_from_ce() - EPOCH_DAYS_FROM_CE)))
}

/// An ISO time of day; a trailing `Z` is accepted.
pub(crate) fn iso_time(text: &str) -> Option<Moment> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let at = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok()?;
    let us = i64::from(at.num_seconds_from_midnight()) * 1_000_000 + i64::from(at.nanosecond() / 1_000);
    Some(time(us, 1, 1))
}

/// ISO writes years beyond 9999 with a sign.
fn has_long_year(text: &str) -> bool {
    let signed = text.starts_with(['+', '-']);
    signed && text.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
}

/// `YYYY-MM-DDTHH:MM:SS[.f{1,9}]Z`, which is what Debezium writes nearly always. None for anything else.
fn fixed_utc(text: &[u8]) -> Option<Moment> {
    let (head, rest) = text.split_at_checked(19)?;
    let number = |from: usize, to: usize| -> Option<i64> {
        head.get(from..to)?.iter().try_fold(0_i64, |sum, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
        })
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| head.get(*at) != Some(mark)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > month_days(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction_us = match rest {
        b"Z" => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => fraction_us(digits)?,
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(Moment::At(seconds * 1_000_000 + fraction_us))
}

/// Digits after the point as microseconds; finer ones are cut off.
fn fraction_us(digits: &[u8]) -> Option<i64> {
    let mut us = 0;
    for at in 0..6 {
        let digit = digits.get(at).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        us = us * 10 + i64::from(digit - b'0');
    }
    digits.iter().all(u8::is_ascii_digit).then_some(us)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, by counting in eras of 400 years that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Goal: texts of the fixtures are read exactly, odd ones are told apart. Method: a table.
    #[test]
    fn texts_are_read() {
        let cases = [
            ("2026-01-08T07:04:56.789012Z", Some(Moment::At(1_767_855_896_789_012))),
            ("2026-01-08T07:04:56Z", Some(Moment::At(1_767_855_896_000_000))),
            (
                "2026-01-08T12:34:56.789012+05:30",
                Some(Moment::At(1_767_855_896_789_012)),
            ),
            ("9999-12-31T23:59:59.999999Z", Some(Moment::At(TIMESTAMP_US_MAX))),
            ("-infinity", Some(Moment::Beyond)),
            ("+294276-12-31T23:59:59Z", Some(Moment::Beyond)),
            ("2026-02-30T00:00:00Z", None),
            ("2026-01-08", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(zoned_timestamp(text), expected, "{text}");
        }
        assert_eq!(iso_date("2026-01-08"), Some(Moment::At(20_461)));
        assert_eq!(iso_time("12:34:56.789012"), Some(Moment::At(45_296_789_012)));
        assert_eq!(iso_timestamp("1970-01-01T00:00:01"), Some(Moment::At(1_000_000)));
    }

    proptest! {
        // Goal: the fast reader agrees with chrono. Method: every instant of the range, written by chrono.
        #[test]
        fn fast_reader_agrees(us in TIMESTAMP_US_MIN..=TIMESTAMP_US_MAX) {
            let text = DateTime::from_timestamp_micros(us).expect("in range").format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            prop_assert_eq!(fixed_utc(text.as_bytes()), Some(Moment::At(us)));
        }

        // Goal: no text makes a reader panic. Method: any text.
        #[test]
        fn any_text(text in ".{0,40}") {
            let _read = (zoned_timestamp(&text), iso_timestamp(&text), iso_date(&text), iso_time(&text));
        }
    }
}
