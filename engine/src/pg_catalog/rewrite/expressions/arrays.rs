//! Arrays that are written as a text: `{a,"b,c",NULL}` (PostgreSQL 15, 8.15.2).

use std::iter::Peekable;
use std::str::Chars;

/// The elements of an array of texts that has one dimension, null among them. None where PostgreSQL would refuse it, and for others.
pub(super) fn elements(literal: &str) -> Option<Vec<Option<String>>> {
    let inner = literal.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut found = Vec::new();
    if inner.trim().is_empty() {
        return Some(found);
    }
    let mut letters = inner.chars().peekable();
    loop {
        skip(&mut letters);
        let (item, written_out) = match letters.next_if_eq(&'"') {
            Some(_) => (quoted(&mut letters)?, true),
            None => bare(&mut letters)?,
        };
        let null = !written_out && item.eq_ignore_ascii_case("null");
        found.push((!null).then_some(item));
        skip(&mut letters);
        match letters.next() {
            None => return Some(found),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

fn skip(letters: &mut Peekable<Chars<'_>>) {
    while letters.next_if(char::is_ascii_whitespace).is_some() {}
}

/// What stands before the second quote.
fn quoted(letters: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut item = String::new();
    loop {
        match letters.next()? {
            '"' => return Some(item),
            '\\' => item.push(letters.next()?),
            other => item.push(other),
        }
    }
}

/// What stands before the next comma, without the spaces behind it, and whether a letter is marked to be none but itself.
fn bare(letters: &mut Peekable<Chars<'_>>) -> Option<(String, bool)> {
    let (mut item, mut end, mut marked) = (String::new(), 0, false);
    while let Some(letter) = letters.next_if(|letter| *letter != ',') {
        match letter {
            '{' | '}' | '"' => return None,
            '\\' => {
                item.push(letters.next()?);
                marked = true;
                end = item.len();
            }
            space if space.is_ascii_whitespace() => item.push(space),
            other => {
                item.push(other);
                end = item.len();
            }
        }
    }
    item.truncate(end);
    (!item.is_empty()).then_some((item, marked))
}
