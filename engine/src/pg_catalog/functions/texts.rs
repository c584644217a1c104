//! Functions of texts.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};

use super::native::{Native, strings, text, texts};
use crate::pg_catalog::keywords::is_reserved;

pub(super) fn all() -> Vec<Native> {
    vec![
        Native::of_texts("quote_ident", (1, 1), |values| {
            Ok(values.first().map(|name| quoted_name(name)))
        }),
        Native::of_texts("quote_literal", (1, 1), |values| {
            Ok(values.first().map(|text| quoted_text(text)))
        }),
        Native::new("quote_nullable", (1, 1), DataType::Utf8, |arrays, rows| {
            let columns = arrays.iter().map(texts).collect::<Result<Vec<_>>>()?;
            let value = |row| columns.first().and_then(|column| text(column, row));
            Ok(strings((0..rows).map(|row| {
                Some(value(row).map_or_else(|| "NULL".to_owned(), quoted_text))
            })))
        }),
        Native::new("format", (1, usize::MAX), DataType::Utf8, |arrays, rows| {
            let columns = arrays.iter().map(texts).collect::<Result<Vec<_>>>()?;
            let mut found = Vec::with_capacity(rows);
            for row in 0..rows {
                found.push(formatted(&columns, row)?);
            }
            Ok(strings(found.into_iter()))
        }),
        Native::of_texts("pg_like_pattern", (2, 2), |values| {
            let [pattern, mark] = values else {
                return Ok(None);
            };
            Ok(Some(like_pattern(pattern, mark.chars().next())))
        }),
        Native::of_texts("pg_similar", (2, 2), |values| {
            let [pattern, mark] = values else {
                return Ok(None);
            };
            Ok(Some(similar(pattern, mark.chars().next())))
        }),
    ]
}

/// A pattern of `LIKE` in which another letter than the backslash, or none, marks what is meant as it stands.
pub(in crate::pg_catalog) fn like_pattern(pattern: &str, mark: Option<char>) -> String {
    let mut found = String::with_capacity(pattern.len() + 2);
    let mut letters = pattern.chars();
    let literal = |found: &mut String, letter: char| {
        if matches!(letter, '%' | '_' | '\\') {
            found.push('\\');
        }
        found.push(letter);
    };
    while let Some(letter) = letters.next() {
        match letter {
            letter if Some(letter) == mark => {
                if let Some(meant) = letters.next() {
                    literal(&mut found, meant);
                }
            }
            '%' | '_' => found.push(letter),
            letter => literal(&mut found, letter),
        }
    }
    found
}

/// A pattern of `SIMILAR TO` as a regular expression that has to fit the whole text.
fn similar(pattern: &str, mark: Option<char>) -> String {
    let mut found = String::from("^(?s:");
    let mut letters = pattern.chars();
    let mut class = false;
    while let Some(letter) = letters.next() {
        match letter {
            letter if Some(letter) == mark => {
                if let Some(meant) = letters.next() {
                    found.push_str(&regex::escape(&meant.to_string()));
                }
            }
            '[' => {
                class = true;
                found.push('[');
            }
            ']' => {
                class = false;
                found.push(']');
            }
            letter if class => found.push(letter),
            '%' => found.push_str(".*"),
            '_' => found.push('.'),
            '|' | '*' | '+' | '?' | '(' | ')' | '{' | '}' => found.push(letter),
            letter => found.push_str(&regex::escape(&letter.to_string())),
        }
    }
    found.push_str(")$");
    found
}

/// A name as SQL writes it: in quotes where it needs them.
pub(in crate::pg_catalog) fn quoted_name(name: &str) -> String {
    let mut characters = name.chars();
    let plain = characters.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match plain && !is_reserved(name) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `format('%s of %I', …)`.
fn formatted(columns: &[ArrayRef], row: usize) -> Result<Option<String>> {
    let Some(pattern) = columns.first().and_then(|column| text(column, row)) else {
        return Ok(None);
    };
    let mut out = String::new();
    let mut next = 1;
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut spec = String::new();
        while let Some(c) = characters.next_if(|c| c.is_ascii_digit() || matches!(c, '$' | '-')) {
            spec.push(c);
        }
        let (position, width) = match spec.split_once('$') {
            Some((position, width)) => (position.parse::<usize>().ok(), width.to_owned()),
            None => (None, spec),
        };
        let kind = characters.next();
        if kind == Some('%') {
            out.push('%');
            continue;
        }
        let at = position.unwrap_or(next);
        next = at + 1;
        let Some(column) = columns.get(at) else {
            return exec_err!("too few arguments for format()");
        };
        let value = text(column, row);
        let shown = match (kind, value) {
            (Some('s'), value) => value.unwrap_or_default().to_owned(),
            (Some('I'), Some(value)) => quoted_name(value),
            (Some('I'), None) => return exec_err!("null values cannot be formatted as an SQL identifier"),
            (Some('L'), value) => value.map_or_else(|| "NULL".to_owned(), quoted_text),
            _ => return exec_err!("unrecognized format() type specifier in {pattern:?}"),
        };
        let left = width.starts_with('-');
        // Wider than any line is a mistake.
        let width = width
            .trim_start_matches('-')
            .parse::<usize>()
            .unwrap_or_default()
            .min(1000);
        match left {
            true => out.push_str(&format!("{shown:<width$}")),
            false => out.push_str(&format!("{shown:>width$}")),
        }
    }
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a pattern of SIMILAR TO takes what PostgreSQL 15 lets it take. Method: what it said for each of these.
    #[test]
    fn similar_patterns_fit_whole_texts() {
        for (text, pattern, fits) in [
            ("abc", "a%", true),
            ("abc", "(b|a)%", true),
            ("abc", "b%", false),
            ("a.c", "a.c", true),
            ("abc", "a.c", false),
            ("abc", "a_c", true),
            ("100%", "%\\%", true),
            ("ab1", "[a-c]+[0-9]", true),
        ] {
            let pattern = similar(pattern, Some('\\'));
            assert_eq!(
                regex::Regex::new(&pattern).expect("a pattern").is_match(text),
                fits,
                "{text} {pattern}"
            );
        }
    }
}
