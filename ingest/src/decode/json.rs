//! JSON within limits, as a flat document over the record's own bytes.
//!
//! A record is read once, from its first value to its last, and forgotten. So its document is a list of tokens that point into
//! the record and is made in memory which the next record uses again: no node is allocated, no text is copied unless it has
//! escapes, and a number is read only when a column wants it.

mod cursor;
mod number;
mod scan;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod value;
mod write;

pub(crate) use cursor::{Cursor, Literal};
pub(crate) use text::special;
pub(crate) use value::{Document, Fields, Items, JsonType, Object, Value};

use super::fault::{RECORD_BYTES_MAX, RecordFault};
use scan::Broken;
use token::{Kind, Token};

/// Most tokens whose memory is kept for the next record: some hundred kilobytes. Few records have more.
const TOKENS_KEPT_MAX: usize = 16 << 10;

/// Most bytes of unescaped text whose memory is kept, likewise.
const UNESCAPED_KEPT_MAX: usize = 256 << 10;

/// Memory of a document, used again for the next one.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    tokens: Vec<Token>,
    unescaped: String,
}

impl Scratch {
    /// Gives back what an unusually large record took.
    pub(crate) fn shrink(&mut self) {
        if self.tokens.capacity() > TOKENS_KEPT_MAX || self.unescaped.capacity() > UNESCAPED_KEPT_MAX {
            *self = Self::default();
        }
    }
}

/// Parses one document; `scratch` then holds it, for the text that is answered. `part` is what messages call it.
pub(crate) fn parse<'a>(bytes: &'a [u8], part: &'static str, scratch: &mut Scratch) -> Result<&'a str, RecordFault> {
    check_size(bytes, part)?;
    let not_json = |detail: String| RecordFault::NotJson { part, detail };
    let text = utf8(bytes).ok_or_else(|| {
        let valid = bytes.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
        not_json(format!("not UTF-8 from byte {valid} on"))
    })?;
    match scan::scan(text, scratch) {
        Ok(()) => Ok(text),
        Err(Broken::TooDeep) => Err(RecordFault::TooDeep { part }),
        // What stands there stays out of the message: it may be confidential.
        Err(Broken::At { place, problem }) => Err(not_json(format!("{problem} at byte {place}"))),
    }
}

/// The bytes as text, if they are UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(bytes).ok()
}

/// A document that is one text, which stands in no quotes. It is no larger than [`parse`] allows.
pub(crate) fn plain(text: &str, scratch: &mut Scratch) {
    scratch.tokens.clear();
    scratch.tokens.push(Token::new(Kind::Text, 0, text.len()));
}

pub(crate) fn check_size(bytes: &[u8], part: &'static str) -> Result<(), RecordFault> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(RecordFault::TooLarge {
            part,
            bytes: bytes.len(),
        });
    }
    Ok(())
}
