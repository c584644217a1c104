//! Values as PostgreSQL writes them, into anything that takes text. What is written into is memory and takes all of it.

use std::fmt::{Display, LowerExp, Write};

use super::{procedures, types};

const DAY_US: i64 = 86_400_000_000;

fn text(text: &str, out: &mut impl Write) {
    // Writing into memory cannot fail.
    let _ = out.write_str(text);
}

/// What shows itself.
pub fn display(value: impl Display, out: &mut impl Write) {
    let _ = write!(out, "{value}");
}

/// A floating-point number of four bytes.
pub fn float4(value: f32, out: &mut impl Write) {
    // Six digits are always right in it, so from there on it is written with an exponent.
    float(value, f64::from(value), 6, out);
}

/// A floating-point number of eight bytes.
pub fn float8(value: f64, out: &mut impl Write) {
    float(value, value, 15, out);
}

/// The shortest text that reads back as the same number, with an exponent where PostgreSQL writes one.
fn float(value: impl Display + LowerExp, wide: f64, digits: i32, out: &mut impl Write) {
    if wide.is_nan() {
        return text("NaN", out);
    }
    if wide.is_infinite() {
        return text(if wide > 0.0 { "Infinity" } else { "-Infinity" }, out);
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
pub fn decimal(digits: &str, scale: i8) -> String {
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

/// Bytes in hexadecimal digits.
pub fn bytes(value: &[u8], out: &mut impl Write) {
    text("\\x", out);
    for byte in value {
        let _ = write!(out, "{byte:02x}");
    }
}

/// The sixteen bytes of a uuid.
pub fn uuid(value: &[u8], out: &mut impl Write) {
    for (at, byte) in value.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text("-", out);
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

/// A day, given as days since 1970.
pub fn date(days: i32, out: &mut impl Write) {
    if put_date(days.into(), out) {
        text(" BC", out);
    }
}

/// Whether it is before the year 1, which is told at the very end.
fn put_date(days: i64, out: &mut impl Write) -> bool {
    let (year, month, day) = civil(days);
    let shown = if year > 0 { year } else { 1 - year };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
    year <= 0
}

/// A time of day, in microseconds.
pub fn time(micros: i64, out: &mut impl Write) {
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

fn fraction(micros: i64, out: &mut impl Write) {
    if micros != 0 {
        let digits = format!("{:06}", micros.unsigned_abs());
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
}

/// A moment without zone, in microseconds since 1970.
pub fn timestamp(micros: i64, out: &mut impl Write) {
    if put_timestamp(micros, out) {
        text(" BC", out);
    }
}

fn put_timestamp(micros: i64, out: &mut impl Write) -> bool {
    let before = put_date(micros.div_euclid(DAY_US), out);
    text(" ", out);
    time(micros.rem_euclid(DAY_US), out);
    before
}

/// An instant, in microseconds since 1970, as clocks so many seconds east of Greenwich show it.
pub fn instant(micros: i64, offset_s: i32, out: &mut impl Write) {
    let before = put_timestamp(micros.saturating_add(i64::from(offset_s) * 1_000_000), out);
    let sign = if offset_s < 0 { '-' } else { '+' };
    let seconds = offset_s.unsigned_abs();
    let _ = write!(out, "{sign}{:02}", seconds / 3600);
    if !seconds.is_multiple_of(3600) {
        let _ = write!(out, ":{:02}", seconds / 60 % 60);
    }
    if !seconds.is_multiple_of(60) {
        let _ = write!(out, ":{:02}", seconds % 60);
    }
    if before {
        text(" BC", out);
    }
}

/// As the style `postgres` has it: `1 mon 2 days 03:04:05`.
pub fn interval(months: i32, days: i32, micros: i64, out: &mut impl Write) {
    let mut empty = true;
    let mut negative = false;
    let parts = [(months / 12, "year"), (months % 12, "mon"), (days, "day")];
    for (count, unit) in parts.into_iter().filter(|(count, _)| *count != 0) {
        if !empty {
            text(" ", out);
        }
        empty = false;
        // After a negative part a positive one says so.
        if negative && count > 0 {
            text("+", out);
        }
        negative = count < 0;
        let _ = write!(out, "{count} {unit}{}", if count == 1 { "" } else { "s" });
    }
    if micros != 0 || empty {
        if !empty {
            text(" ", out);
        }
        match micros < 0 {
            true => text("-", out),
            false if negative => text("+", out),
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

/// What the number of a function (`regproc`) or of a type (`regtype`) shows as: its name, or the number itself where nothing has it.
pub fn named(of: &str, oid: i64) -> String {
    let name = u32::try_from(oid).ok().and_then(|oid| match of {
        "regproc" => procedures::name(oid).map(str::to_owned),
        _ if oid == 0 => Some("-".to_owned()),
        _ => types::formatted(oid, -1),
    });
    name.unwrap_or_else(|| oid.to_string())
}

/// Whether an element of an array has to stand in quotes.
pub fn needs_quotes(item: &[u8]) -> bool {
    item.is_empty()
        || item.eq_ignore_ascii_case(b"null")
        || item
            .iter()
            .any(|byte| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') || byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
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
            assert_eq!(written(|out| float8(value, out)), shown);
        }
        assert_eq!(written(|out| float4(1_000_000.0, out)), "1e+06");
        assert_eq!(written(|out| float4(0.1, out)), "0.1");
        for (days, shown) in [
            (0, "1970-01-01"),
            (19_782, "2024-02-29"),
            (-25_567, "1900-01-01"),
            (-719_163, "0001-12-31 BC"),
            (-719_529, "0002-12-31 BC"),
        ] {
            assert_eq!(written(|out| date(days, out)), shown);
        }
        assert_eq!(written(|out| timestamp(-500_000, out)), "1969-12-31 23:59:59.5");
        for (value, shown) in [
            ((0, 0, 0), "00:00:00"),
            ((1, 2, 11_045_000_000), "1 mon 2 days 03:04:05"),
            ((14, -3, 500_000), "1 year 2 mons -3 days +00:00:00.5"),
            ((0, 0, -3_600_000_000), "-01:00:00"),
        ] {
            assert_eq!(written(|out| interval(value.0, value.1, value.2, out)), shown);
        }
        for (digits, scale, shown) in [
            ("-5", 2, "-0.05"),
            ("123", 0, "123"),
            ("10000000", 2, "100000.00"),
            ("12", -2, "1200"),
        ] {
            assert_eq!(decimal(digits, scale), shown);
        }
        assert_eq!(written(|out| bytes(&[0, 255], out)), "\\x00ff");
    }
}
