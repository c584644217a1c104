//! How the blocks of a file are compressed. They are inflated to no more than there is room for: some kilobytes may stand for gigabytes.

use std::borrow::Cow;
use std::io::Read;

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

use super::avro::OrReason;

const DAMAGED: &str = "has a block that cannot be inflated";
pub(super) const TOO_LARGE: &str = "inflates to more than is read at once";

/// Those that the format's library knows too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

impl Codec {
    /// What a header names; `None` for what is not known.
    pub(super) fn named(name: Option<&[u8]>) -> Option<Self> {
        Some(match name {
            None | Some(b"null") => Self::Null,
            Some(b"deflate") => Self::Deflate,
            Some(b"snappy") => Self::Snappy,
            Some(b"zstandard") => Self::Zstandard,
            Some(_) => return None,
        })
    }

    /// The values of a block, if they are no more than `bytes_max`.
    pub(super) fn inflate(self, stored: &[u8], bytes_max: usize) -> OrReason<Cow<'_, [u8]>> {
        let inflated = match self {
            Self::Null => return Ok(Cow::Borrowed(stored)),
            Self::Deflate => deflate(stored, bytes_max),
            Self::Snappy => snappy(stored, bytes_max),
            Self::Zstandard => zstandard(stored, bytes_max),
        };
        inflated.map(Cow::Owned)
    }
}

fn deflate(stored: &[u8], bytes_max: usize) -> OrReason<Vec<u8>> {
    // Room is made by doubling what is stored, and nothing doubled stays nothing.
    if stored.is_empty() {
        return Err(DAMAGED);
    }
    decompress_to_vec_with_limit(stored, bytes_max).map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => TOO_LARGE,
        _ => DAMAGED,
    })
}

/// A checksum of the values is behind them.
fn snappy(stored: &[u8], bytes_max: usize) -> OrReason<Vec<u8>> {
    let (compressed, checksum) = stored.split_last_chunk::<4>().ok_or(DAMAGED)?;
    // Room is made for as much as is said to be there.
    if snap::raw::decompress_len(compressed).map_err(|_| DAMAGED)? > bytes_max {
        return Err(TOO_LARGE);
    }
    let inflated = snap::raw::Decoder::new().decompress_vec(compressed);
    let inflated = inflated.map_err(|_| DAMAGED)?;
    match crc32fast::hash(&inflated) == u32::from_be_bytes(*checksum) {
        true => Ok(inflated),
        false => Err(DAMAGED),
    }
}

fn zstandard(stored: &[u8], bytes_max: usize) -> OrReason<Vec<u8>> {
    let decoder = zstd::Decoder::with_buffer(stored).map_err(|_| DAMAGED)?;
    let mut inflated = Vec::new();
    let one_more = (bytes_max as u64).saturating_add(1);
    let read = decoder.take(one_more).read_to_end(&mut inflated);
    read.map_err(|_| DAMAGED)?;
    match inflated.len() <= bytes_max {
        true => Ok(inflated),
        false => Err(TOO_LARGE),
    }
}
