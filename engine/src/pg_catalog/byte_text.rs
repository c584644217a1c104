//! Bytes that are written as a text, as PostgreSQL 15 reads them (8.4.1 and 8.4.2; `byteain`).

/// The bytes that a text stands for: behind `\x` two hexadecimal digits for each, else those of the text, in which a backslash is written
/// twice and any other byte may be a backslash and three octal digits. None for a text that stands for none.
pub fn read(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => {
            let digits: String = digits.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            hex(&digits)
        }
        None => escaped(text.as_bytes()),
    }
}

/// Bytes of two hexadecimal digits each.
pub(crate) fn hex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: &u8| u8::try_from(char::from(*digit).to_digit(16)?).ok();
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some((value(high)? << 4) | value(low)?),
        _ => None,
    };
    digits.as_bytes().chunks(2).map(byte).collect()
}

fn escaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut found = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Some(found),
            [b'\\', b'\\', rest @ ..] => {
                found.push(b'\\');
                rest
            }
            [
                b'\\',
                high @ b'0'..=b'3',
                middle @ b'0'..=b'7',
                low @ b'0'..=b'7',
                rest @ ..,
            ] => {
                found.push(((high - b'0') << 6) | ((middle - b'0') << 3) | (low - b'0'));
                rest
            }
            [b'\\', ..] => return None,
            [byte, rest @ ..] => {
                found.push(*byte);
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a text stands for the bytes that PostgreSQL 15 reads. Method: both ways to write them, at their edges, and texts that are
    // refused.
    #[test]
    fn both_ways_to_write_bytes_are_read() {
        let good: &[(&str, &[u8])] = &[
            ("", b""),
            ("\\x", b""),
            ("\\x00fF", b"\x00\xff"),
            ("\\x 00 ff\n", b"\x00\xff"),
            ("abc", b"abc"),
            ("x00", b"x00"),
            ("\\000\\377a", b"\x00\xffa"),
            ("a\\\\b\\047", b"a\\b'"),
            ("é", "é".as_bytes()),
        ];
        for (text, bytes) in good {
            assert_eq!(read(text).as_deref(), Some(*bytes), "{text}");
        }
        for text in [
            "\\x0", "\\xzz", "\\x+1", "\\xé", "\\", "\\a", "\\400", "\\08", "\\+12", "\\X00",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
