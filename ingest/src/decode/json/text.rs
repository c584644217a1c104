//! Texts: where they end, and what their escapes mean.

/// A byte in all eight places.
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The highest bit of the first byte that is a quote, a backslash or a control character; bits of later bytes mean nothing.
///
/// Quotes and control characters are those below 0x21 once bit 1 is flipped, and a byte is below `n` where subtracting `n`
/// borrows. A borrow may run on into higher bytes, but never past the first hit.
#[inline]
fn hits(word: u64) -> u64 {
    let flipped = word ^ each(0x02);
    let low = flipped.wrapping_sub(each(0x21)) & !flipped;
    let crossed = word ^ each(b'\\');
    let backslash = crossed.wrapping_sub(each(0x01)) & !crossed;
    (low | backslash) & each(0x80)
}

/// The first place from `from` on with a quote, a backslash or a control character, or the end.
#[inline]
pub(crate) fn special(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        let all = u128::from_le_bytes(*chunk);
        for (word, begin) in [(all as u64, at), ((all >> 64) as u64, at + 8)] {
            let hits = hits(word);
            if hits != 0 {
                return begin + (hits.trailing_zeros() / 8) as usize;
            }
        }
        at += 16;
    }
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            break;
        }
        at += 1;
    }
    at
}

/// Appends the text from `begin` up to its quote to `into`; the place behind that quote, or what is wrong and where.
pub(super) fn unescape(text: &str, begin: usize, into: &mut String) -> Result<usize, (usize, &'static str)> {
    let bytes = text.as_bytes();
    let mut at = begin;
    loop {
        let end = special(bytes, at);
        into.push_str(text.get(at..end).unwrap_or_default());
        match bytes.get(end) {
            Some(b'"') => return Ok(end + 1),
            Some(b'\\') => {}
            Some(_) => return Err((end, "a control character in a text")),
            None => return Err((end, "a text without end")),
        }
        let plain = match bytes.get(end + 1) {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'u') => {
                let (read, after) = code_point(bytes, end + 2).ok_or((end, "no character behind \\u"))?;
                into.push(read);
                at = after;
                continue;
            }
            _ => return Err((end, "an escape that JSON does not have")),
        };
        into.push(plain);
        at = end + 2;
    }
}

/// The character of four digits, or of two surrogates; the place behind it.
fn code_point(bytes: &[u8], at: usize) -> Option<(char, usize)> {
    let first = hex(bytes, at)?;
    if !(0xd800..0xdc00).contains(&first) {
        // A second surrogate without its first is no character.
        return Some((char::from_u32(first)?, at + 4));
    }
    if bytes.get(at + 4..at + 6)? != b"\\u" {
        return None;
    }
    let second = hex(bytes, at + 6)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    let point = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    Some((char::from_u32(point)?, at + 10))
}

fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .iter()
        .try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
}
