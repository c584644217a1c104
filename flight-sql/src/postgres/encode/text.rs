//! Values as PostgreSQL writes them.

use std::fmt::{Display, LowerExp, Write};

use bytes::{BufMut, BytesMut};

use super::Values;
use crate::postgres::zone::Zone;

const DAY_US: i64 = 86_400_000_000;

pub(super) fn display(value: impl Display, out: &mut BytesMut) {
    // Writing into a buffer that grows cannot fail.
    let _ = write!(out, "{value}");
}

pub(super) fn float4(value: f32, out: &mut BytesMut) {
    // Six digits are always right in it, so from there on it is written with an exponent.
    float(value, f64::from(value), 6, out);
}

pub(super) fn float8(value: f64, out: &mut BytesMut) {
    float(value, value, 15, out);
}

/// The shortest text that reads back as the same number, with an exponent where PostgreSQL writes one.
fn float(value: impl Display + LowerExp, wide: f64, digits: i32, out: &mut BytesMut) {
    if wide.is_nan() {
        return out.put_slice(b"NaN");
    }
    if wide.is_infinite() {
        return out.put_slice(if wide > 0.0 { b"Infinity" } else { b"-Infinity" });
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return display(value, out);
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if wide != 0.0 && !(-4..digits).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.unsigned_abs());
        }
        _ => display(value, out),
    }
}

/// The digits of a whole number with the point `scale` digits from its end.
pub(super) fn decimal(digits: &str, scale: i8) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let places = usize::from(scale.unsigned_abs());
    match scale {
        ..=-1 => format!("{sign}{digits}{}", "0".repeat(places)),
        0 => format!("{sign}{digits}"),
        _ => {
            let padded = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            format!("{sign}{whole}.{fraction}")
        }
    }
}

pub(super) fn bytes(value: &[u8], out: &mut BytesMut) {
    out.put_slice(b"\\x");
    for byte in value {
        let _ = write!(out, "{byte:02x}");
    }
}

pub(super) fn uuid(value: &[u8], out: &mut BytesMut) {
    for (at, byte) in value.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.put_u8(b'-');
        }
        let _ = write!(out, "{byte:02x}");
    }
}

/// Year, month and day of a day since 1970, in the calendar that goes on for ever.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

pub(super) fn date(days: i32, out: &mut BytesMut) {
    if put_date(days.into(), out) {
        out.put_slice(b" BC");
    }
}

/// Whether it is before the year 1, which is told at the very end.
fn put_date(days: i64, out: &mut BytesMut) -> bool {
    let (year, month, day) = civil(days);
    let shown = if year > 0 { year } else { 1 - year };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
    year <= 0
}

pub(super) fn time(micros: i64, out: &mut BytesMut) {
    let seconds = micros / 1_000_000;
    let _ = write!(
        out,
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    fraction(micros % 1_000_000, out);
}

fn fraction(micros: i64, out: &mut BytesMut) {
    if micros != 0 {
        let digits = format!("{:06}", micros.unsigned_abs());
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
}

pub(super) fn timestamp(micros: i64, out: &mut BytesMut) {
    if put_timestamp(micros, out) {
        out.put_slice(b" BC");
    }
}

fn put_timestamp(micros: i64, out: &mut BytesMut) -> bool {
    let before = put_date(micros.div_euclid(DAY_US), out);
    out.put_u8(b' ');
    time(micros.rem_euclid(DAY_US), out);
    before
}

pub(super) fn instant(micros: i64, zone: Zone, out: &mut BytesMut) {
    let offset = zone.offset_s(micros);
    let before = put_timestamp(micros.saturating_add(i64::from(offset) * 1_000_000), out);
    let sign = if offset < 0 { '-' } else { '+' };
    let seconds = offset.unsigned_abs();
    let _ = write!(out, "{sign}{:02}", seconds / 3600);
    if !seconds.is_multiple_of(3600) {
        let _ = write!(out, ":{:02}", seconds / 60 % 60);
    }
    if !seconds.is_multiple_of(60) {
        let _ = write!(out, ":{:02}", seconds % 60);
    }
    if before {
        out.put_slice(b" BC");
    }
}

/// As the style `postgres` has it: `1 mon 2 days 03:04:05`.
pub(super) fn interval(months: i32, days: i32, micros: i64, out: &mut BytesMut) {
    let begin = out.len();
    let mut negative = false;
    let parts = [(months / 12, "year"), (months % 12, "mon"), (days, "day")];
    for (count, unit) in parts.into_iter().filter(|(count, _)| *count != 0) {
        if out.len() > begin {
            out.put_u8(b' ');
        }
        // After a negative part a positive one says so.
        if negative && count > 0 {
            out.put_u8(b'+');
        }
        negative = count < 0;
        let _ = write!(out, "{count} {unit}{}", if count == 1 { "" } else { "s" });
    }
    if micros != 0 || out.len() == begin {
        if out.len() > begin {
            out.put_u8(b' ');
        }
        match micros < 0 {
            true => out.put_u8(b'-'),
            false if negative => out.put_u8(b'+'),
            false => {}
        }
        let micros = micros.unsigned_abs();
        let seconds = micros / 1_000_000;
        let _ = write!(
            out,
            "{:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        );
        fraction(i64::try_from(micros % 1_000_000).unwrap_or_default(), out);
    }
}

/// `{1,NULL,"a b"}`.
pub(super) fn array(items: &Values, zone: Zone, out: &mut BytesMut) {
    out.put_u8(b'{');
    for row in 0..items.array.len() {
        if row > 0 {
            out.put_u8(b',');
        }
        if items.is_null(row) {
            out.put_slice(b"NULL");
            continue;
        }
        let mut item = BytesMut::new();
        items.write(row, false, zone, &mut item);
        match needs_quotes(&item) {
            false => out.put_slice(&item),
            true => {
                out.put_u8(b'"');
                for byte in item {
                    if matches!(byte, b'"' | b'\\') {
                        out.put_u8(b'\\');
                    }
                    out.put_u8(byte);
                }
                out.put_u8(b'"');
            }
        }
    }
    out.put_u8(b'}');
}

fn needs_quotes(item: &[u8]) -> bool {
    item.is_empty()
        || item.eq_ignore_ascii_case(b"null")
        || item
            .iter()
            .any(|byte| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') || byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).expect("text")
    }

    // Goal: values look as PostgreSQL 15 shows them. Method: what it said for each of these.
    #[test]
    fn values_look_as_in_postgres() {
        for (value, shown) in [
            (0.0, "0"),
            (-2.25, "-2.25"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (1.0 / 3.0, "0.3333333333333333"),
            (1.5e300, "1.5e+300"),
        ] {
            assert_eq!(text(|out| float8(value, out)), shown);
        }
        assert_eq!(text(|out| float4(1_000_000.0, out)), "1e+06");
        assert_eq!(text(|out| float4(0.1, out)), "0.1");
        for (days, shown) in [
            (0, "1970-01-01"),
            (19_782, "2024-02-29"),
            (-25_567, "1900-01-01"),
            (-719_163, "0001-12-31 BC"),
            (-719_529, "0002-12-31 BC"),
        ] {
            assert_eq!(text(|out| date(days, out)), shown);
        }
        assert_eq!(text(|out| timestamp(-500_000, out)), "1969-12-31 23:59:59.5");
        for (value, shown) in [
            ((0, 0, 0), "00:00:00"),
            ((1, 2, 11_045_000_000), "1 mon 2 days 03:04:05"),
            ((14, -3, 500_000), "1 year 2 mons -3 days +00:00:00.5"),
            ((0, 0, -3_600_000_000), "-01:00:00"),
        ] {
            assert_eq!(text(|out| interval(value.0, value.1, value.2, out)), shown);
        }
        for (digits, scale, shown) in [
            ("-5", 2, "-0.05"),
            ("123", 0, "123"),
            ("10000000", 2, "100000.00"),
            ("12", -2, "1200"),
        ] {
            assert_eq!(decimal(digits, scale), shown);
        }
        assert_eq!(text(|out| bytes(&[0, 255], out)), "\\x00ff");
    }
}
