//! The binary forms that are more than a number in network order.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::Array;

use super::Values;
use crate::postgres::reply::length;
use crate::postgres::zone::Zone;

/// A decimal's text as groups of four digits.
pub(super) fn numeric(text: &str, out: &mut BytesMut) {
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = whole.trim_start_matches('0');
    let padding = (4 - whole.len() % 4) % 4;
    let mut digits = "0".repeat(padding) + whole + fraction;
    digits.push_str(&"0".repeat((4 - digits.len() % 4) % 4));
    let groups = digits.as_bytes().chunks(4);
    let mut groups: Vec<i16> = groups
        .map(|group| {
            group
                .iter()
                .fold(0, |number, digit| number * 10 + i16::from(digit - b'0'))
        })
        .collect();
    let mut weight = i16::try_from((whole.len() + padding) / 4).unwrap_or(i16::MAX) - 1;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..zeros);
    weight -= i16::try_from(zeros).unwrap_or_default();
    if groups.is_empty() {
        weight = 0;
    }
    out.put_i16(i16::try_from(groups.len()).unwrap_or(i16::MAX));
    out.put_i16(weight);
    out.put_u16(if negative && !groups.is_empty() { 0x4000 } else { 0 });
    out.put_i16(i16::try_from(fraction.len()).unwrap_or(i16::MAX));
    groups.into_iter().for_each(|group| out.put_i16(group));
}

/// One dimension that begins at 1.
pub(super) fn array(items: &Values, element: u32, zone: Zone, out: &mut BytesMut) {
    let count = items.array.len();
    out.put_i32(i32::from(count > 0));
    out.put_i32(i32::from((0..count).any(|row| items.is_null(row))));
    out.put_u32(element);
    if count > 0 {
        out.put_i32(length(count));
        out.put_i32(1);
    }
    (0..count).for_each(|row| items.write_sized(row, true, zone, out));
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: decimals are sent as PostgreSQL sends them. Method: what `numeric_send` of PostgreSQL 15 gave for each.
    #[test]
    fn decimals_have_groups_of_four() {
        for (text, expected) in [
            ("0", vec![0, 0, 0, 0]),
            ("0.00", vec![0, 0, 0, 2]),
            ("-0.05", vec![1, -1, 0x4000, 2, 500]),
            ("100000.00", vec![1, 1, 0, 2, 10]),
            ("12345.678", vec![3, 1, 0, 3, 1, 2345, 6780]),
            ("10000", vec![1, 1, 0, 0, 1]),
        ] {
            let mut out = BytesMut::new();
            numeric(text, &mut out);
            let shorts: Vec<i16> = out
                .chunks(2)
                .map(|pair| i16::from_be_bytes([pair[0], pair[1]]))
                .collect();
            assert_eq!(shorts, expected, "{text}");
        }
    }
}
