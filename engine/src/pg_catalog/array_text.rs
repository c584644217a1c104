//! Arrays that are written as a text, `{a,"b,c",NULL}`, as PostgreSQL 15 reads them (8.15.2 and 8.15.6; `array_in`).

use std::iter::Peekable;
use std::str::Chars;

/// Why a text is not read as an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoArray {
    /// It is none.
    Malformed,
    /// It has more dimensions than one, or says where its places begin.
    Dimensions,
}

impl NoArray {
    /// What is told of the text.
    pub fn told(self, written: &str) -> String {
        match self {
            Self::Malformed => format!("malformed array literal: \"{written}\""),
            Self::Dimensions => {
                format!("an array with more than one dimension or with bounds is not read from a text: \"{written}\"")
            }
        }
    }
}

/// The texts of the elements of an array that has one dimension, none for a null.
pub fn elements(written: &str) -> Result<Vec<Option<String>>, NoArray> {
    let mut letters = written.chars().peekable();
    skip(&mut letters);
    match letters.next() {
        Some('{') => {}
        Some('[') => return Err(with_bounds(&letters.collect::<String>())),
        _ => return Err(NoArray::Malformed),
    }
    skip(&mut letters);
    let mut found = Vec::new();
    match letters.peek().copied() {
        Some('{') => return Err(NoArray::Dimensions),
        Some('}') => {
            letters.next();
        }
        _ => loop {
            found.push(element(&mut letters)?);
            match letters.next() {
                Some(',') => skip(&mut letters),
                Some('}') => break,
                _ => return Err(NoArray::Malformed),
            }
        },
    }
    skip(&mut letters);
    match letters.next() {
        None => Ok(found),
        Some(_) => Err(NoArray::Malformed),
    }
}

/// Why what stands behind a bracket is not read: it is bounds and an array, or nothing.
fn with_bounds(rest: &str) -> NoArray {
    let are_bounds = |bounds: &str| {
        let letters = |letter: char| letter.is_ascii_digit() || matches!(letter, '-' | '+' | ':' | '[' | ']');
        bounds.ends_with(']') && bounds.chars().all(letters)
    };
    match rest.split_once('=') {
        Some((bounds, array)) if are_bounds(bounds.trim_end()) && array.trim_start().starts_with('{') => {
            NoArray::Dimensions
        }
        _ => NoArray::Malformed,
    }
}

/// What C calls a space.
fn is_space(letter: &char) -> bool {
    letter.is_ascii_whitespace() || *letter == '\u{b}'
}

fn skip(letters: &mut Peekable<Chars<'_>>) {
    while letters.next_if(is_space).is_some() {}
}

/// One element and the spaces behind it. A null is the bare word, not the same in quotes or with a letter that is marked.
fn element(letters: &mut Peekable<Chars<'_>>) -> Result<Option<String>, NoArray> {
    if letters.next_if_eq(&'"').is_some() {
        let item = quoted(letters)?;
        skip(letters);
        return Ok(Some(item));
    }
    let (item, marked) = bare(letters)?;
    let null = !marked && item.eq_ignore_ascii_case("null");
    Ok((!null).then_some(item))
}

/// What stands before the second quote.
fn quoted(letters: &mut Peekable<Chars<'_>>) -> Result<String, NoArray> {
    let mut item = String::new();
    loop {
        match letters.next().ok_or(NoArray::Malformed)? {
            '"' => return Ok(item),
            '\\' => item.push(letters.next().ok_or(NoArray::Malformed)?),
            other => item.push(other),
        }
    }
}

/// What stands before the next comma or the end, without the spaces behind it, and whether a letter is marked to be none but itself.
fn bare(letters: &mut Peekable<Chars<'_>>) -> Result<(String, bool), NoArray> {
    let (mut item, mut end, mut marked) = (String::new(), 0, false);
    while let Some(letter) = letters.next_if(|letter| !matches!(letter, ',' | '}')) {
        match letter {
            '{' | '"' => return Err(NoArray::Malformed),
            '\\' => {
                item.push(letters.next().ok_or(NoArray::Malformed)?);
                marked = true;
                end = item.len();
            }
            space if is_space(&space) => item.push(space),
            other => {
                item.push(other);
                end = item.len();
            }
        }
    }
    item.truncate(end);
    match item.is_empty() {
        true => Err(NoArray::Malformed),
        false => Ok((item, marked)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a text is taken apart as PostgreSQL 15 does. Method: what it said for each of these.
    #[test]
    fn elements_are_told_apart() {
        for (written, wanted) in [
            ("{}", vec![]),
            (" { \t\u{b}} \n", vec![]),
            ("{a, b}", vec![Some("a"), Some("b")]),
            ("{ a b , \"c d\" }", vec![Some("a b"), Some("c d")]),
            (r"{a\_b}", vec![Some("a_b")]),
            (r#"{"a,b",c}"#, vec![Some("a,b"), Some("c")]),
            (
                r#"{"a\"b","c\\d","{}",""}"#,
                vec![Some("a\"b"), Some(r"c\d"), Some("{}"), Some("")],
            ),
            (r"{a\,b,c\}d,\{}", vec![Some("a,b"), Some("c}d"), Some("{")]),
            (
                r#"{NULL,"NULL",null,\NULL,nul}"#,
                vec![None, Some("NULL"), None, Some("NULL"), Some("nul")],
            ),
            (r"{a\ ,\ b}", vec![Some("a "), Some(" b")]),
            ("{grün,😀}", vec![Some("grün"), Some("😀")]),
            ("{\u{a0}}", vec![Some("\u{a0}")]),
        ] {
            let found = elements(written).expect(written);
            let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
            assert_eq!(found, wanted, "{written}");
        }
    }

    // Goal: what PostgreSQL 15 refuses is refused, and what it reads and we do not is told apart from that. Method: each way to be wrong.
    #[test]
    fn others_are_refused() {
        for written in [
            "",
            " ",
            "a",
            "1,2",
            "{",
            "}",
            "{a",
            "a}",
            "{a}}",
            "{a} b",
            "{,}",
            "{a,}",
            "{,a}",
            "{a,,b}",
            "{a{b}",
            "{a,{b}}",
            r#"{"a}"#,
            r#"{"a"b}"#,
            r#"{a"b"}"#,
            r#"{"a""b"}"#,
            r"{a\}",
            r"{a\",
            r#"{"a\"#,
        ] {
            assert_eq!(elements(written), Err(NoArray::Malformed), "{written}");
        }
        for written in ["{{1,2},{3,4}}", " { {1} }", "[1:2]={1,2}", "[0:0]={1}"] {
            assert_eq!(elements(written), Err(NoArray::Dimensions), "{written}");
        }
    }
}
