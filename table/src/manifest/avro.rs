//! Avro's own parts of a file: numbers, texts, the header and the blocks behind it. What is not as it should be is `None`.

use std::borrow::Cow;

use bytes::BufMut;

use super::codec::Codec;

/// What is handed on, or why nothing is, in words that follow the file's name.
pub(super) type OrReason<T> = Result<T, &'static str>;

/// What an Avro file begins with.
pub(super) const MAGIC: &[u8] = b"Obj\x01";

/// Bytes of the marker between blocks.
const MARKER_BYTES: usize = 16;

/// Entries of a header: writers make about ten.
const HEADER_ENTRIES_MAX: usize = 1_000;

/// All of a header: schemas of some 80,000 columns. What is made of it takes up to a hundred times as much.
const HEADER_BYTES_MAX: usize = 8 << 20;

/// What all blocks of a file may inflate to, however little is stored: lists of some 100,000 manifests.
const INFLATED_BYTES_MIN: usize = 64 << 20;

/// A stored byte may inflate to as many: manifests with the same long paths over and over come to some 60.
const INFLATED_RATIO_MAX: usize = 200;

/// And however much is stored: manifests are cut at 8 MB, which is 480 MB at 60 times.
const INFLATED_BYTES_MAX: usize = 512 << 20;

/// A file whose header was read.
pub(super) struct File<'a> {
    /// Names and values, in the file's order.
    pub(super) header: Vec<(&'a [u8], &'a [u8])>,
    pub(super) marker: &'a [u8],
    /// None for one that is not known.
    pub(super) codec: Option<Codec>,
    /// The blocks.
    rest: &'a [u8],
    /// Bytes that they may still inflate to.
    room: usize,
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
        let (marker, blocks) = rest.split_at_checked(MARKER_BYTES)?;
        if bytes.len() - rest.len() > HEADER_BYTES_MAX {
            return None;
        }
        let most = bytes.len().saturating_mul(INFLATED_RATIO_MAX);
        let mut file = Self {
            header,
            marker,
            codec: None,
            rest: blocks,
            room: most.clamp(INFLATED_BYTES_MIN, INFLATED_BYTES_MAX),
        };
        file.codec = Codec::named(file.value(b"avro.codec"));
        Some(file)
    }

    pub(super) fn value(&self, name: &[u8]) -> Option<&'a [u8]> {
        let found = self.header.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    /// The next block: how many values it has, and their bytes. `None` behind the last one.
    pub(super) fn block(&mut self) -> Option<OrReason<(u64, Cow<'a, [u8]>)>> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.read_block())
    }

    fn read_block(&mut self) -> OrReason<(u64, Cow<'a, [u8]>)> {
        let (count, stored) = self.stored_block().ok_or("has a block that is damaged")?;
        let codec = self.codec.ok_or("is compressed in a way that is not read")?;
        let values = codec.inflate(stored, self.room)?;
        if let Cow::Owned(inflated) = &values {
            self.room = self.room.saturating_sub(inflated.len());
        }
        Ok((count, values))
    }

    fn stored_block(&mut self) -> Option<(u64, &'a [u8])> {
        let count = u64::try_from(number(&mut self.rest)?).ok()?;
        let stored = string(&mut self.rest)?;
        let (marker, rest) = self.rest.split_at_checked(MARKER_BYTES)?;
        self.rest = rest;
        (marker == self.marker).then_some((count, stored))
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
            if entries.len() > HEADER_ENTRIES_MAX {
                return None;
            }
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

/// Writes a file's beginning, up to the marker.
pub(super) fn put_header(into: &mut impl BufMut, entries: &[(&[u8], Cow<'_, [u8]>)]) {
    into.put_slice(MAGIC);
    if !entries.is_empty() {
        put_length(into, entries.len());
    }
    for (name, value) in entries {
        put_string(into, name);
        put_string(into, value);
    }
    put_length(into, 0);
}

/// Bytes with their length before them.
pub(super) fn put_string(into: &mut impl BufMut, bytes: &[u8]) {
    put_length(into, bytes.len());
    into.put_slice(bytes);
}

fn put_length(into: &mut impl BufMut, length: usize) {
    put_number(into, i64::try_from(length).expect("nothing in memory is longer"));
}

pub(super) fn put_number(into: &mut impl BufMut, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left > 0x7f {
        into.put_u8((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    into.put_u8(left as u8);
}
