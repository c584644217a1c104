//! Texts that are cut into pieces.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use regex::Regex;

use super::native::{Native, text, texts};
use super::regexes::{Calls, Kind, Room};

pub(super) fn all() -> Vec<Native> {
    vec![
        Native::new("regexp_split_to_array", (2, 3), list(), |arrays, rows| {
            cut(arrays, rows, Room::new("regexp_split_to_array"))
        }),
        pieces("parse_ident", (1, 2), |values| {
            let written = values.first().copied().unwrap_or_default();
            match identifiers(written) {
                Some(parts) => Ok(parts),
                None => exec_err!("string is not a valid identifier: \"{written}\""),
            }
        }),
    ]
}

fn list() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

/// A function whose answer is the pieces of its first text; null where an argument is.
fn pieces(
    name: &str,
    arguments: (usize, usize),
    cut: impl Fn(&[&str]) -> Result<Vec<String>> + Send + Sync + 'static,
) -> Native {
    Native::new(name, arguments, list(), move |arrays, rows| {
        let columns = arrays.iter().map(texts).collect::<Result<Vec<_>>>()?;
        let mut builder = ListBuilder::new(StringBuilder::new());
        for row in 0..rows {
            let values: Option<Vec<&str>> = columns.iter().map(|column| text(column, row)).collect();
            match values {
                Some(values) => {
                    for piece in cut(&values)? {
                        builder.values().append_value(piece);
                    }
                    builder.append(true);
                }
                None => builder.append(false),
            }
        }
        Ok(Arc::new(builder.finish()) as ArrayRef)
    })
}

/// The pieces of each text; null where an argument is.
fn cut(arrays: &[ArrayRef], rows: usize, mut room: Room) -> Result<ArrayRef> {
    let mut calls = Calls::of(arrays, &[Kind::Text, Kind::Text, Kind::Flags])?;
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in 0..rows {
        let is_cut = calls.row(row, |call| {
            split(call.written, call.pattern, |piece| {
                room.take(&[Some(piece)])?;
                builder.values().append_value(piece);
                Ok(())
            })
        })?;
        builder.append(is_cut.is_some());
    }
    Ok(Arc::new(builder.finish()))
}

/// Hands on the pieces between matches. A match of nothing cuts between letters, but not at the ends, nor right behind another match.
fn split<'a>(written: &'a str, pattern: &Regex, mut each: impl FnMut(&'a str) -> Result<()>) -> Result<()> {
    let mut at = 0;
    for matched in pattern.find_iter(written) {
        if matched.is_empty() && (matched.start() == at || matched.start() == written.len()) {
            continue;
        }
        each(written.get(at..matched.start()).unwrap_or_default())?;
        at = matched.end();
    }
    each(written.get(at..).unwrap_or_default())
}

/// The parts of a name as SQL writes it, in small letters unless they stand in quotes.
fn identifiers(written: &str) -> Option<Vec<String>> {
    let (mut parts, mut rest) = (Vec::new(), written.trim());
    loop {
        let (part, behind) = match rest.strip_prefix('"') {
            Some(quoted) => in_quotes(quoted)?,
            None => bare(rest)?,
        };
        parts.push(part);
        match behind.trim_start() {
            "" => return Some(parts),
            more => rest = more.strip_prefix('.')?.trim_start(),
        }
    }
}

fn in_quotes(rest: &str) -> Option<(String, &str)> {
    let (mut part, mut letters) = (String::new(), rest.char_indices().peekable());
    while let Some((at, letter)) = letters.next() {
        if letter != '"' {
            part.push(letter);
        } else if letters.next_if(|(_, next)| *next == '"').is_some() {
            part.push('"');
        } else {
            return (!part.is_empty()).then_some((part, rest.get(at + 1..)?));
        }
    }
    None
}

fn bare(rest: &str) -> Option<(String, &str)> {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$');
    let end = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
    let (part, behind) = rest.split_at(end);
    let first = part.chars().next()?;
    (first.is_alphabetic() || first == '_').then(|| (part.to_lowercase(), behind))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Array, StringArray};
    use tidewater_core::Coded;

    use super::super::regexes::{Options, compiled};
    use super::*;
    use crate::error::EngineError;

    // Goal: pieces are those of PostgreSQL 15. Method: what it said for each of these.
    #[test]
    fn texts_are_cut_as_in_postgres() {
        for (written, pattern, flags, pieces) in [
            ("a,b,,c", ",", "", &["a", "b", "", "c"][..]),
            ("hello", "", "", &["h", "e", "l", "l", "o"]),
            ("hello world", "\\s+", "", &["hello", "world"]),
            ("aXbxc", "x", "i", &["a", "b", "c"]),
            ("", ",", "", &[""]),
            (",a,", ",", "", &["", "a", ""]),
            ("a1b22c", "[0-9]*", "", &["a", "b", "c"]),
        ] {
            let pattern = compiled(pattern, Options::of(flags).expect("flags")).expect("a pattern");
            let mut found = Vec::new();
            let cut = split(written, &pattern, |piece| {
                found.push(piece);
                Ok(())
            });
            assert!(cut.is_ok());
            assert_eq!(found, pieces, "{written} by {pattern}");
        }
    }

    // Goal: pieces take no more room than there is. Method: a text that is cut into letters, with room for all of them and for one less.
    #[test]
    fn pieces_have_no_more_room_than_there_is() {
        let of = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let arrays = [of("letters"), of("")];
        let found = cut(&arrays, 1, Room::of("cut", 7 * (1 + 8))).expect("there is room");
        assert_eq!((found.len(), found.null_count()), (1, 0));
        let refused = cut(&arrays, 1, Room::of("cut", 6 * (1 + 8))).expect_err("there is none");
        assert_eq!(EngineError::from(refused).code(), "ENG-0021");
    }

    // Goal: names are taken apart as PostgreSQL 15 does. Method: what it said for each of these.
    #[test]
    fn names_have_parts() {
        for (written, parts) in [
            ("Schema.\"My Table\"", Some(&["schema", "My Table"][..])),
            (" a . b ", Some(&["a", "b"])),
            ("\"a\"\"b\"", Some(&["a\"b"])),
            ("a$1", Some(&["a$1"])),
            ("", None),
            ("a.", None),
            ("1a", None),
            ("a b", None),
            ("\"a", None),
        ] {
            assert_eq!(
                identifiers(written).as_deref(),
                parts
                    .map(|parts| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
                    .as_deref(),
                "{written}"
            );
        }
    }
}
