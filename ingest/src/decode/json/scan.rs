//! Text to tokens, in one pass and without recursion.

use super::Scratch;
use super::number;
use super::text::{self, special};
use super::token::{Kind, Token};
use crate::decode::fault::NESTING_LEVELS_MAX;

/// Why a text is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    TooDeep,
    At { place: usize, problem: &'static str },
}

/// Fills `into` with the tokens of `text`, which is far smaller than 4 GiB.
pub(super) fn scan(text: &str, into: &mut Scratch) -> Result<(), Broken> {
    let after = blank(text.as_bytes(), scan_value(text, 0, 0, into)?);
    if after < text.len() {
        return Err(broken(after, "something behind the document"));
    }
    Ok(())
}

/// Fills `into` with the tokens of the value at `at`, around which `around` containers are open; the place behind it.
pub(super) fn scan_value(text: &str, mut at: usize, around: usize, into: &mut Scratch) -> Result<usize, Broken> {
    into.tokens.clear();
    into.unescaped.clear();
    let Scratch { tokens, unescaped } = into;
    let bytes = text.as_bytes();
    let mut open = Open::within(around);
    loop {
        // Here stands a value.
        at = blank(bytes, at);
        #[expect(
            clippy::redundant_guards,
            reason = "most are texts: a branch of their own is foretold better than a jump by table"
        )]
        match bytes.get(at) {
            first if first == Some(&b'"') => {
                let token;
                (token, at) = string(text, at, unescaped)?;
                tokens.push(token);
            }
            Some(b'-' | b'0'..=b'9') => {
                let token;
                (token, at) = number::scan(bytes, at).map_err(|problem| broken(at, problem))?;
                tokens.push(token);
            }
            Some(b'{') => {
                open.enter(tokens.len(), true)?;
                tokens.push(Token::NULL);
                at = blank(bytes, at + 1);
                if bytes.get(at) != Some(&b'}') {
                    at = name(text, at, tokens, unescaped)?;
                    continue;
                }
                open.leave(tokens);
                at += 1;
            }
            Some(b'[') => {
                open.enter(tokens.len(), false)?;
                tokens.push(Token::NULL);
                at = blank(bytes, at + 1);
                if bytes.get(at) != Some(&b']') {
                    continue;
                }
                open.leave(tokens);
                at += 1;
            }
            Some(b'n') => at = word(bytes, at, b"null", Kind::Null, tokens)?,
            Some(b't') => at = word(bytes, at, b"true", Kind::True, tokens)?,
            Some(b'f') => at = word(bytes, at, b"false", Kind::False, tokens)?,
            _ => return Err(broken(at, "no value")),
        }
        // What follows a value, up to the next one.
        loop {
            if open.depth == 0 {
                return Ok(at);
            }
            at = blank(bytes, at);
            match (bytes.get(at), open.in_object()) {
                (Some(b','), true) => {
                    at = name(text, blank(bytes, at + 1), tokens, unescaped)?;
                    break;
                }
                (Some(b','), false) => {
                    at += 1;
                    break;
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    open.leave(tokens);
                    at += 1;
                }
                (_, true) => return Err(broken(at, "neither a comma nor the end of an object")),
                (_, false) => return Err(broken(at, "neither a comma nor the end of an array")),
            }
        }
    }
}

/// The containers around a place.
struct Open {
    /// Their tokens, outermost first.
    tokens: [usize; NESTING_LEVELS_MAX],
    depth: usize,
    /// Most that may be open.
    levels: usize,
    /// A bit for each, the innermost lowest, that tells objects.
    objects: u64,
}

impl Open {
    /// None yet, within so many which are read elsewhere.
    fn within(around: usize) -> Self {
        Self {
            tokens: [0; NESTING_LEVELS_MAX],
            depth: 0,
            levels: NESTING_LEVELS_MAX.saturating_sub(around),
            objects: 0,
        }
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    #[inline]
    fn enter(&mut self, token: usize, object: bool) -> Result<(), Broken> {
        if self.depth >= self.levels {
            return Err(Broken::TooDeep);
        }
        *self.tokens.get_mut(self.depth).ok_or(Broken::TooDeep)? = token;
        self.depth += 1;
        self.objects = self.objects << 1 | u64::from(object);
        Ok(())
    }

    #[inline]
    fn leave(&mut self, tokens: &mut [Token]) {
        self.depth = self.depth.saturating_sub(1);
        let opened = self.tokens.get(self.depth).copied().unwrap_or(0);
        let kind = if self.in_object() { Kind::Object } else { Kind::Array };
        let after = tokens.len();
        if let Some(token) = tokens.get_mut(opened) {
            *token = Token::new(kind, opened + 1, after);
        }
        self.objects >>= 1;
    }
}

/// The name of a field and its colon; the place behind them.
#[inline(always)]
fn name(text: &str, at: usize, tokens: &mut Vec<Token>, unescaped: &mut String) -> Result<usize, Broken> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'"') {
        return Err(broken(at, "no name of a field"));
    }
    let (token, after) = string(text, at, unescaped)?;
    tokens.push(token);
    let after = blank(bytes, after);
    match bytes.get(after) {
        Some(b':') => Ok(after + 1),
        _ => Err(broken(after, "no colon behind a name")),
    }
}

/// A text, whose first quote stands at `at`, and the place behind it.
#[inline(always)]
fn string(text: &str, at: usize, unescaped: &mut String) -> Result<(Token, usize), Broken> {
    let begin = at + 1;
    let end = special(text.as_bytes(), begin);
    match text.as_bytes().get(end) {
        Some(b'"') => Ok((Token::new(Kind::Text, begin, end), end + 1)),
        Some(b'\\') => escaped(text, begin, unescaped),
        Some(_) => Err(broken(end, "a control character in a text")),
        None => Err(broken(end, "a text without end")),
    }
}

#[cold]
fn escaped(text: &str, begin: usize, unescaped: &mut String) -> Result<(Token, usize), Broken> {
    let start = unescaped.len();
    let after = text::unescape(text, begin, unescaped).map_err(|(at, problem)| broken(at, problem))?;
    Ok((Token::new(Kind::Unescaped, start, unescaped.len()), after))
}

#[inline]
fn word(bytes: &[u8], at: usize, word: &[u8], kind: Kind, tokens: &mut Vec<Token>) -> Result<usize, Broken> {
    if !bytes.get(at..).is_some_and(|rest| rest.starts_with(word)) {
        return Err(broken(at, "no value"));
    }
    tokens.push(Token::new(kind, 0, 0));
    Ok(at + word.len())
}

/// The value at `at`, without blanks before it, and the place behind it; none if there is no sound value. What is no scalar, or has
/// escapes, is in `into`.
#[inline(always)]
pub(super) fn scan_next(text: &str, at: usize, around: usize, into: &mut Scratch) -> Option<(Token, usize)> {
    let bytes = text.as_bytes();
    match bytes.get(at)? {
        b'"' => {
            let end = special(bytes, at + 1);
            if bytes.get(end) == Some(&b'"') {
                return Some((Token::new(Kind::Text, at + 1, end), end + 1));
            }
        }
        b'-' | b'0'..=b'9' => return number::scan(bytes, at).ok(),
        b'n' if bytes.get(at..)?.starts_with(b"null") => return Some((Token::NULL, at + 4)),
        _ => {}
    }
    let after = scan_value(text, at, around, into).ok()?;
    Some((*into.tokens.first()?, after))
}

/// The place of the next byte that is not blank.
#[inline]
pub(super) fn blank(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

#[cold]
fn broken(place: usize, problem: &'static str) -> Broken {
    Broken::At { place, problem }
}
