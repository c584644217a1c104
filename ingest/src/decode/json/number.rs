//! Numbers: checked when they are met, read when they are wanted.

use super::token::{Kind, Token};

/// Digits that 64 bits hold for sure before the sign is looked at.
const DIGITS_MAX: usize = 19;

/// The number at `at` and the place behind it, or what is wrong with it.
#[inline]
pub(super) fn scan(bytes: &[u8], at: usize) -> Result<(Token, usize), &'static str> {
    let negative = bytes.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let (value, after) = digits(bytes, first);
    let count = after - first;
    if count == 0 {
        return Err("a number without digits");
    }
    if count > 1 && bytes.get(first) == Some(&b'0') {
        return Err("a number that begins with 0");
    }
    if matches!(bytes.get(after), Some(b'.' | b'e' | b'E')) {
        return fraction(bytes, at, after);
    }
    if count <= DIGITS_MAX && signed(negative, value).is_some() {
        return Ok((Token::new(Kind::Integer, at, after), after));
    }
    kept(bytes, at, after)
}

/// The value of the integer at `at`, which [`scan`] told to be one.
#[inline]
pub(super) fn integer(bytes: &[u8], at: usize) -> i64 {
    let negative = bytes.get(at) == Some(&b'-');
    let (value, _) = digits(bytes, at + usize::from(negative));
    signed(negative, value).unwrap_or(0)
}

/// None beyond 64 bits, and for a zero with a sign, which only a float can be.
#[inline]
fn signed(negative: bool, value: u64) -> Option<i64> {
    match (negative, value) {
        (false, _) => i64::try_from(value).ok(),
        (true, 0) => None,
        (true, _) => 0_i64.checked_sub_unsigned(value),
    }
}

/// The value of digits from `at` on, as long as it fits, and the place behind them.
#[inline]
fn digits(bytes: &[u8], at: usize) -> (u64, usize) {
    let (mut value, mut after) = (0_u64, at);
    while let Some(eight) = bytes
        .get(after..)
        .and_then(<[u8]>::first_chunk::<8>)
        .and_then(|chunk| eight_digits(*chunk))
    {
        value = value.wrapping_mul(100_000_000).wrapping_add(eight);
        after += 8;
    }
    while let Some(digit) = bytes.get(after).filter(|byte| byte.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        after += 1;
    }
    (value, after)
}

/// Eight digits at once: neighbours are joined to pairs, pairs to fours, fours to the value. None if not all are digits.
#[inline]
fn eight_digits(chunk: [u8; 8]) -> Option<u64> {
    let word = u64::from_le_bytes(chunk);
    let high = 0xf0f0_f0f0_f0f0_f0f0;
    // The high half of a digit is 3, and stays 3 when 6 is added, which carries for what lies behind the digits.
    if word & high != 0x3030_3030_3030_3030 || word.wrapping_add(0x0606_0606_0606_0606) & high != 0x3030_3030_3030_3030
    {
        return None;
    }
    let ones = word & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (ones.wrapping_mul(2_561) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(6_553_601) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(42_949_672_960_001) >> 32)
}

/// A number with a point or an exponent at `after`.
fn fraction(bytes: &[u8], begin: usize, mut after: usize) -> Result<(Token, usize), &'static str> {
    if bytes.get(after) == Some(&b'.') {
        let (_, end) = digits(bytes, after + 1);
        if end == after + 1 {
            return Err("a number without digits behind its point");
        }
        after = end;
    }
    if matches!(bytes.get(after), Some(b'e' | b'E')) {
        let signed = matches!(bytes.get(after + 1), Some(b'+' | b'-'));
        let first = after + 1 + usize::from(signed);
        let (_, end) = digits(bytes, first);
        if end == first {
            return Err("a number without digits in its exponent");
        }
        after = end;
    }
    kept(bytes, begin, after)
}

/// Digits before the point that no double has: with so many, or with an exponent, a number may be infinite.
const FINITE_BYTES_MAX: usize = 300;

fn kept(bytes: &[u8], begin: usize, end: usize) -> Result<(Token, usize), &'static str> {
    let written = bytes.get(begin..end).unwrap_or_default();
    let suspicious = written.len() > FINITE_BYTES_MAX || written.iter().any(|byte| matches!(byte, b'e' | b'E'));
    if suspicious && !float(std::str::from_utf8(written).unwrap_or_default()).is_some_and(f64::is_finite) {
        return Err("a number beyond all floats");
    }
    Ok((Token::new(Kind::Number, begin, end), end))
}

/// The number as a double, rounded to the nearest.
pub(super) fn float(written: &str) -> Option<f64> {
    written.parse().ok()
}

/// Digits that tell every double from its neighbours: whoever writes a double writes no more of them.
const DOUBLE_DIGITS_MAX: usize = 17;

/// Whether the number may have been a double. Zeros before its other digits and behind them do not count.
pub(super) fn has_digits_of_double(written: &str) -> bool {
    let mantissa = written.bytes().take_while(|byte| !matches!(byte, b'e' | b'E'));
    let (mut count, mut zeros) = (0, 0);
    for digit in mantissa.filter(u8::is_ascii_digit) {
        match digit {
            b'0' if count == 0 => {}
            b'0' => zeros += 1,
            _ => {
                count += zeros + 1;
                zeros = 0;
            }
        }
    }
    count <= DOUBLE_DIGITS_MAX
}
