//! A place in a text that walks on over what is expected there.

use super::Scratch;
use super::scan::{blank, scan_next};
use super::text::special;
use super::value::Document;

/// Bytes that are compared at once.
const HEAD: usize = 16;

/// Bytes that may stand in a text, nearly always few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literal {
    bytes: Box<[u8]>,
    /// Its first bytes, and zeros, and ones where it has bytes.
    head: u128,
    mask: u128,
}

impl Literal {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let (mut head, mut mask) = ([0; HEAD], [0; HEAD]);
        for ((byte, head), mask) in bytes.iter().zip(&mut head).zip(&mut mask) {
            (*head, *mask) = (*byte, u8::MAX);
        }
        Self {
            bytes: bytes.into(),
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    #[inline(always)]
    fn begins(&self, text: &[u8]) -> bool {
        match text.first_chunk::<HEAD>() {
            Some(chunk) if self.bytes.len() <= HEAD => u128::from_le_bytes(*chunk) & self.mask == self.head,
            _ => text.starts_with(&self.bytes),
        }
    }
}

/// A place in a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a text.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// What stands from a place up to here.
    pub(crate) fn since(&self, begin: usize) -> &'a [u8] {
        self.text.as_bytes().get(begin..self.at).unwrap_or_default()
    }

    /// What stands from a place up to the end.
    pub(crate) fn rest(&self, begin: usize) -> &'a [u8] {
        self.text.as_bytes().get(begin..).unwrap_or_default()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Whether the literal stands here; if so the cursor is behind it.
    #[inline(always)]
    pub(crate) fn pass(&mut self, literal: &Literal) -> bool {
        let here = self.text.as_bytes().get(self.at..);
        let passed = here.is_some_and(|here| literal.begins(here));
        if passed {
            self.at += literal.bytes.len();
        }
        passed
    }

    /// Whether these bytes stand here, perhaps behind blanks; if so the cursor is behind them.
    pub(crate) fn pass_word(&mut self, word: &[u8]) -> bool {
        let bytes = self.text.as_bytes();
        let at = blank(bytes, self.at);
        let passed = bytes.get(at..).is_some_and(|here| here.starts_with(word));
        if passed {
            self.at = at + word.len();
        }
        passed
    }

    /// The name of a field, if it has no escapes; the cursor is then at its value.
    pub(crate) fn pass_name(&mut self) -> Option<&'a str> {
        self.pass_word(b"\"").then_some(())?;
        let begin = self.at;
        self.at = special(self.text.as_bytes(), begin);
        let name = self.text.get(begin..self.at)?;
        (self.pass_word(b"\"") && self.pass_word(b":")).then_some(())?;
        self.at = blank(self.text.as_bytes(), self.at);
        Some(name)
    }

    /// The value here, within so many containers; the cursor is then behind it. None if there is no sound value.
    #[inline(always)]
    pub(crate) fn value<'s>(&mut self, around: usize, scratch: &'s mut Scratch) -> Option<Document<'s>>
    where
        'a: 's,
    {
        let (token, after) = scan_next(self.text, self.at, around, scratch)?;
        self.at = after;
        Some(Document::of_token(self.text, scratch, token))
    }
}
