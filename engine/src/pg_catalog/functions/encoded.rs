//! Numbers and bytes in letters, as PostgreSQL 15 has them: `to_hex` (9.4), of which the query engine makes sixteen digits of every negative
//! number, and `encode` to base64 (9.5), which it does not fill up.

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::plan_err;

use super::native::{Native, argument, number, numbers, strings};

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes of a line of base64, behind which a new one begins, also where nothing follows.
const LINE_BYTES: usize = 57;

pub(super) fn all() -> Vec<Native> {
    vec![
        Native::new("pg_to_hex", (1, 1), DataType::Utf8, |arrays, rows| {
            let given = argument(arrays, 0)?;
            let short = matches!(given.data_type(), DataType::Int8 | DataType::Int16 | DataType::Int32);
            let numbers = numbers(given)?;
            let digits = |number: i64| match i32::try_from(number) {
                Ok(number) if short => format!("{number:x}"),
                _ => format!("{number:x}"),
            };
            Ok(strings((0..rows).map(|row| number(&numbers, row).map(digits))))
        })
        .returning(|types| match types {
            [of] if of.is_integer() || of.is_null() => Ok(DataType::Utf8),
            _ => plan_err!("No function matches the given name and argument types: to_hex takes a whole number"),
        }),
        Native::new("pg_base64", (1, 1), DataType::Utf8, |arrays, rows| {
            let bytes = cast(argument(arrays, 0)?, &DataType::Binary)?;
            let bytes = bytes.as_binary::<i32>();
            let written = |row: usize| bytes.is_valid(row).then(|| base64(bytes.value(row)));
            Ok(strings((0..rows).map(written)))
        })
        .returning(|types| match types {
            [of] if of.is_binary() || of.is_string() || of.is_null() => Ok(DataType::Utf8),
            [DataType::FixedSizeBinary(_)] => Ok(DataType::Utf8),
            _ => plan_err!("No function matches the given name and argument types: encode takes bytes"),
        }),
    ]
}

fn base64(bytes: &[u8]) -> String {
    let mut written = String::with_capacity(bytes.len().div_ceil(3) * 4 + bytes.len() / LINE_BYTES);
    for line in bytes.chunks(LINE_BYTES) {
        for three in line.chunks(3) {
            let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
            let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
            let letters = [bits >> 18, bits >> 12, bits >> 6, bits].map(letter);
            // Of fewer than three bytes there are fewer letters.
            for (at, letter) in letters.into_iter().enumerate() {
                written.push(if at <= three.len() { letter } else { '=' });
            }
        }
        if line.len() == LINE_BYTES {
            written.push('\n');
        }
    }
    written
}

/// Of the last six bits.
fn letter(bits: u32) -> char {
    let at = usize::try_from(bits & 63).unwrap_or_default();
    LETTERS.get(at).copied().map_or('=', char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: bytes of any number are filled up, and lines end where PostgreSQL ends them. Method: known texts, of fewer bytes than three, of a
    // line and of one byte more.
    #[test]
    fn bytes_are_filled_up() {
        for (bytes, written) in [
            ("", ""),
            ("h", "aA=="),
            ("he", "aGU="),
            ("hel", "aGVs"),
            ("hello", "aGVsbG8="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), written);
        }
        assert_eq!(base64(&[255, 254, 253]), "//79");
        assert_eq!(base64(&[0; 56]), "A".repeat(75) + "=");
        assert_eq!(base64(&[0; 57]), "A".repeat(76) + "\n");
        assert_eq!(base64(&[0; 58]), "A".repeat(76) + "\nAA==");
    }
}
