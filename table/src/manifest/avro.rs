//! Avro's own parts of a file: numbers, texts, the header and the blocks behind it. What is not as it should be is `None`.

use std::borrow::Cow;

use miniz_oxide::inflate::decompress_to_vec_with_limit;

/// What an Avro file begins with.
pub(super) const MAGIC: &[u8] = b"Obj\x01";

/// Bytes of the marker between blocks.
const MARKER_BYTES: usize = 16;

/// A block that becomes larger is left to a reader that takes its time: no writer makes such.
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// A file whose header was read.
pub(super) struct File<'a> {
    /// Names and values, in the file's order.
    pub(super) header: Vec<(&'a [u8], &'a [u8])>,
    marker: &'a [u8],
    /// The blocks.
    rest: &'a [u8],
}

impl<'a> File<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let header = header(&mut rest)?;
        let twice =
            |(at, (name, _)): (usize, &(&[u8], &[u8]))| header.iter().skip(at + 1).any(|(other, _)| other == name);
        // Which of them counts is a matter of the reader.
        if header.iter().enumerate().any(twice) {
            return None;
        }
        let (marker, rest) = rest.split_at_checked(MARKER_BYTES)?;
        Some(Self { header, marker, rest })
    }

    pub(super) fn value(&self, name: &[u8]) -> Option<&'a [u8]> {
        let found = self.header.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    /// The next block: how many values it has, and their bytes. `None` behind the last one, and `Some(None)` for what is none.
    pub(super) fn block(&mut self) -> Option<Option<(u64, Cow<'a, [u8]>)>> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.read_block())
    }

    fn read_block(&mut self) -> Option<(u64, Cow<'a, [u8]>)> {
        let count = u64::try_from(number(&mut self.rest)?).ok()?;
        let stored = string(&mut self.rest)?;
        let (marker, rest) = self.rest.split_at_checked(MARKER_BYTES)?;
        if marker != self.marker {
            return None;
        }
        self.rest = rest;
        match self.value(b"avro.codec") {
            None | Some(b"null") => Some((count, Cow::Borrowed(stored))),
            Some(b"deflate") => {
                let inflated = decompress_to_vec_with_limit(stored, BLOCK_BYTES_MAX).ok()?;
                Some((count, Cow::Owned(inflated)))
            }
            Some(_) => None,
        }
    }
}

/// Names and values of a header, behind the magic.
pub(super) fn header<'a>(rest: &mut &'a [u8]) -> Option<Vec<(&'a [u8], &'a [u8])>> {
    let mut entries = Vec::new();
    loop {
        let count = block_length(rest)?;
        if count == 0 {
            return Some(entries);
        }
        for _ in 0..count {
            let name = string(rest)?;
            entries.push((name, string(rest)?));
        }
    }
}

/// How many items the next part of a list or map has; none ends it.
pub(super) fn block_length(rest: &mut &[u8]) -> Option<u64> {
    let count = number(rest)?;
    if count < 0 {
        // The block's size in bytes follows.
        number(rest)?;
    }
    Some(count.unsigned_abs())
}

/// A number as Avro writes it: seven bits a byte, the sign in the lowest bit.
pub(super) fn number(rest: &mut &[u8]) -> Option<i64> {
    let mut found: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        found |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((found >> 1).cast_signed() ^ -(found & 1).cast_signed());
        }
    }
    None
}

/// A text, or bytes, with their length before them.
pub(super) fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    take(rest, length)
}

pub(super) fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (found, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(found)
}
