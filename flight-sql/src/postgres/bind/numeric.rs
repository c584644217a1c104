//! Decimals of parameters: with as many digits as were sent.

use bytes::{Buf, Bytes};
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, i256};
use datafusion::scalar::ScalarValue;

/// A number as it is written; `None` if it is none, or has more digits than there can be.
pub(super) fn from_text(text: &str) -> Option<ScalarValue> {
    let (text, exponent) = match text.split_once(['e', 'E']) {
        Some((text, exponent)) => (text, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let mut scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    if scale < 0 {
        digits.push_str(&"0".repeat(usize::try_from(-scale).ok().filter(|zeros| *zeros < 80)?));
        scale = 0;
    }
    of_digits(&digits, negative, u8::try_from(scale).ok()?)
}

fn of_digits(digits: &str, negative: bool, scale: u8) -> Option<ScalarValue> {
    let digits = digits.trim_start_matches('0');
    let precision = u8::try_from(digits.len()).ok()?.max(scale).max(1);
    let text = format!(
        "{}{}",
        if negative { "-" } else { "" },
        if digits.is_empty() { "0" } else { digits }
    );
    let places = i8::try_from(scale).ok()?;
    if precision <= DECIMAL128_MAX_PRECISION {
        return Some(ScalarValue::Decimal128(Some(text.parse().ok()?), precision, places));
    }
    let number = i256::from_string(&text).filter(|_| precision <= DECIMAL256_MAX_PRECISION)?;
    Some(ScalarValue::Decimal256(Some(number), precision, places))
}

/// Groups of four digits, as PostgreSQL has them. `None` for what is no number, infinities among it.
pub(super) fn from_binary(mut sent: Bytes) -> Option<ScalarValue> {
    let count = sent.try_get_u16().ok()?;
    let weight = i32::from(sent.try_get_i16().ok()?);
    let sign = sent.try_get_u16().ok()?;
    let scale = sent.try_get_u16().ok()?;
    if !matches!(sign, 0 | 0x4000) || usize::from(count) * 2 != sent.len() || !(-64..64).contains(&weight) || scale > 76
    {
        return None;
    }
    let mut groups = Vec::new();
    for _ in 0..count {
        groups.push(sent.try_get_u16().ok().filter(|group| *group < 10_000)?);
    }
    let group = |at: i32| {
        let found = usize::try_from(at).ok().and_then(|at| groups.get(at));
        format!("{:04}", found.copied().unwrap_or_default())
    };
    let whole: String = (0..=weight.max(-1)).map(group).collect();
    let fraction_groups = i32::from(scale.div_ceil(4));
    let mut fraction: String = (0..fraction_groups).map(|at| group(weight + 1 + at)).collect();
    fraction.truncate(scale.into());
    of_digits(&format!("{whole}{fraction}"), sign != 0, u8::try_from(scale).ok()?)
}

/// Decimals of one type, the widest of theirs; `None` where none is so wide.
pub(super) fn alike(items: Vec<ScalarValue>) -> Option<(DataType, Vec<ScalarValue>)> {
    let mut scale = 0;
    let mut whole = 1;
    for item in &items {
        if let ScalarValue::Decimal128(Some(_), digits, places) | ScalarValue::Decimal256(Some(_), digits, places) =
            item
        {
            scale = scale.max(*places);
            whole = whole.max(digits.saturating_sub(places.unsigned_abs()));
        }
    }
    let digits = whole.saturating_add(scale.unsigned_abs());
    // One digit more may be that of a zero. Of many more the cast counts beyond what its own count holds.
    if digits > DECIMAL256_MAX_PRECISION + 1 {
        return None;
    }
    let of = match digits {
        ..=DECIMAL128_MAX_PRECISION => DataType::Decimal128(digits, scale),
        _ => DataType::Decimal256(digits.min(DECIMAL256_MAX_PRECISION), scale),
    };
    let items = items.iter().map(|item| item.cast_to(&of).ok());
    let items = items.collect::<Option<Vec<_>>>()?;
    Some((of, items))
}
