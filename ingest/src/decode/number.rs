//! Numbers that JSON cannot hold: decimals travel as base64 of a big-endian two's complement integer.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Most bytes of an unscaled decimal: PostgreSQL has up to 147,455 digits; what is larger is no number anybody stored on purpose.
const UNSCALED_BYTES_MAX: usize = 64 << 10;

/// PostgreSQL's: no numeric has more digits behind its point, or zeros before it. Another one would be a text of zeros alone.
const SCALES: RangeInclusive<i64> = -16_383..=16_383;

/// Enough for every decimal that fits a column, and for longer ones that do not.
const STACK_BYTES: usize = 64;

/// Reads base64 of an integer that fits 128 bits. None if it is not base64, is empty, or does not fit.
pub(crate) fn unscaled(text: &str) -> Option<i128> {
    let mut buffer = [0_u8; STACK_BYTES];
    let length = STANDARD.decode_slice(text, &mut buffer).ok()?;
    integer(buffer.get(..length)?)
}

/// Big-endian two's complement of at most 128 bits (longer if the rest is sign).
fn integer(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    let negative = first & 0x80 != 0;
    let fill = if negative { 0xff } else { 0 };
    let (extra, kept) = bytes.split_at(bytes.len().saturating_sub(16));
    if extra.iter().any(|byte| *byte != fill) {
        return None;
    }
    let mut wide = [fill; 16];
    for (to, from) in wide.iter_mut().rev().zip(kept.iter().rev()) {
        *to = *from;
    }
    let value = i128::from_be_bytes(wide);
    ((value < 0) == negative).then_some(value)
}

/// Whether the number has at most `precision` digits.
pub(crate) fn fits(value: i128, precision: u8) -> bool {
    10_u128
        .checked_pow(u32::from(precision))
        .is_none_or(|limit| value.unsigned_abs() < limit)
}

/// Brings a number to a finer scale. None if it does not fit.
pub(crate) fn rescale(value: i128, from: i8, to: i8) -> Option<i128> {
    let finer = u32::try_from(i16::from(to) - i16::from(from)).ok()?;
    value.checked_mul(10_i128.checked_pow(finer)?)
}

/// Writes base64 of an integer of any length as decimal text. None if it is not base64 or empty.
pub(crate) fn decimal_text(text: &str, scale: i64) -> Option<String> {
    if text.len() > UNSCALED_BYTES_MAX * 4 / 3 || !SCALES.contains(&scale) {
        return None;
    }
    let mut bytes = STANDARD.decode(text).ok()?;
    let negative = bytes.first()? & 0x80 != 0;
    if negative {
        negate(&mut bytes);
    }
    Some(place_point(&digits(bytes), negative, scale))
}

/// Two's complement negation.
fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
        *byte = sum;
        carry = over;
    }
}

/// Decimal digits of an unsigned big-endian integer, by dividing by 10^9 again and again.
fn digits(mut bytes: Vec<u8>) -> String {
    let mut groups = Vec::new();
    let mut start = 0;
    loop {
        while bytes.get(start) == Some(&0) {
            start += 1;
        }
        let Some(rest) = bytes.get_mut(start..).filter(|rest| !rest.is_empty()) else {
            break;
        };
        let mut remainder = 0_u64;
        for byte in rest {
            let value = (remainder << 8) | u64::from(*byte);
            *byte = u8::try_from(value / 1_000_000_000).unwrap_or(u8::MAX);
            remainder = value % 1_000_000_000;
        }
        groups.push(remainder);
    }
    let mut text = groups.pop().unwrap_or(0).to_string();
    for group in groups.iter().rev() {
        text.push_str(&format!("{group:09}"));
    }
    text
}

fn place_point(digits: &str, negative: bool, scale: i64) -> String {
    let sign = if negative { "-" } else { "" };
    let Ok(scale) = usize::try_from(scale) else {
        let zeros = usize::try_from(-scale).unwrap_or(0);
        return if digits == "0" {
            "0".into()
        } else {
            format!("{sign}{digits}{}", "0".repeat(zeros))
        };
    };
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// A number that is written with an exponent (`1.250E-7`), digit by digit and without zeros at its end. None if it has none, or one
/// that no decimal has.
pub(crate) fn without_exponent(written: &str) -> Option<String> {
    let (mantissa, exponent) = written.split_once(['e', 'E'])?;
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let scale = i64::try_from(fraction.len())
        .ok()?
        .checked_sub(exponent.parse().ok()?)?;
    if !SCALES.contains(&scale) {
        return None;
    }
    let text = place_point(&format!("{whole}{fraction}"), negative, scale);
    Some(match scale > 0 {
        true => text.trim_end_matches('0').to_owned(),
        false => text,
    })
}

/// A plain decimal text (`-12.50`) at a scale. None if it is not one or has more digits after the point.
pub(crate) fn parse_decimal(text: &str, scale: i8) -> Option<i128> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let scale = usize::try_from(scale).ok()?;
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > scale {
        return None;
    }
    let mut value = 0_i128;
    let zeros = std::iter::repeat_n(b'0', scale - fraction.len());
    for digit in whole.bytes().chain(fraction.bytes()).chain(zeros) {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Goal: the decimals of the fixtures. Method: values PostgreSQL was given, texts Debezium made of them.
    #[test]
    fn decimals_of_the_fixtures() {
        assert_eq!(unscaled("BOI="), Some(1250));
        assert_eq!(unscaled("SztMqFqGxHoJiiI//////w=="), Some(10_i128.pow(38) - 1));
        assert_eq!(decimal_text("AeJA", 3).as_deref(), Some("123.456"));
        assert_eq!(decimal_text("AQ==", 20).as_deref(), Some("0.00000000000000000001"));
        assert_eq!(decimal_text("/w==", 2).as_deref(), Some("-0.01"));
        assert_eq!(decimal_text("AQ==", -3).as_deref(), Some("1000"));
        assert_eq!(decimal_text("AQ==", 16_383).map(|text| text.len()), Some(16_385));
        assert_eq!(decimal_text("AQ==", 70_000), None);
        assert_eq!(unscaled("?"), None);
        assert_eq!(unscaled(""), None);
        assert_eq!(parse_decimal("-12.5", 2), Some(-1250));
        assert_eq!(parse_decimal("12.505", 2), None);
    }

    // Goal: no digit of a decimal that JSON writes with an exponent is lost. Method: what Java's BigDecimal writes, and odd ones.
    #[test]
    fn exponents_are_written_out() {
        for (written, plain) in [
            ("1.000E-7", Some("0.0000001")),
            ("-1.2345678901234567890123E-7", Some("-0.00000012345678901234567890123")),
            ("1.5e+2", Some("150")),
            ("12E3", Some("12000")),
            ("0E-10", Some("0.")),
            ("0.5e0", Some("0.5")),
            ("1e99999999999999999999", None),
            ("0e70000", None),
            ("12.5", None),
        ] {
            assert_eq!(without_exponent(written).as_deref(), plain, "{written}");
        }
        assert_eq!(parse_decimal("0.", 2), Some(0));
        let scaled = without_exponent("-1.2345678901234567890123E-7").and_then(|text| parse_decimal(&text, 30));
        assert_eq!(scaled, Some(-123_456_789_012_345_678_901_230));
    }

    proptest! {
        // Goal: bytes become the number they stand for. Method: every i128, written as Java's BigInteger would.
        #[test]
        fn round_trip(value in any::<i128>(), scale in 0_i64..40) {
            let text = STANDARD.encode(value.to_be_bytes());
            prop_assert_eq!(unscaled(&text), Some(value));
            let written = decimal_text(&text, scale).expect("a number");
            let plain: String = written.chars().filter(|c| *c != '.').collect();
            prop_assert_eq!(plain.parse::<i128>().ok(), Some(value));
        }

        // Goal: no text makes a reader panic. Method: any text.
        #[test]
        fn any_text(text in ".{0,40}", scale in any::<i64>()) {
            let _read = (unscaled(&text), decimal_text(&text, scale), parse_decimal(&text, 2));
        }
    }
}
