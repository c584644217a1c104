//! Placeholders: JDBC sends `?`, others `$1`; the planner knows `$n` only.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use tidewater_engine::reading;

/// The statement with every `?` numbered from the left. Question marks in strings, names and comments stay.
/// A text that cannot be cut into tokens stays as it is: the parser tells what is wrong with it.
pub fn number_placeholders(sql: &str) -> Cow<'_, str> {
    if !sql.contains('?') {
        return Cow::Borrowed(sql);
    }
    let dialect = GenericDialect {};
    let Ok(tokens) = reading(sql.len(), || {
        Tokenizer::new(&dialect, sql).with_unescape(false).tokenize()
    }) else {
        return Cow::Borrowed(sql);
    };
    let mut count = 0;
    let mut numbered = String::with_capacity(sql.len() + 8);
    for token in tokens {
        match token {
            Token::Placeholder(text) if text == "?" => {
                count += 1;
                numbered.push_str(&format!("${count}"));
            }
            Token::Question => {
                count += 1;
                numbered.push_str(&format!("${count}"));
            }
            other => numbered.push_str(&other.to_string()),
        }
    }
    if count == 0 {
        Cow::Borrowed(sql)
    } else {
        Cow::Owned(numbered)
    }
}

/// The highest number of a placeholder in a statement; 0 if it has none.
pub fn placeholders(sql: &str) -> usize {
    let Ok(tokens) = reading(sql.len(), || Tokenizer::new(&GenericDialect {}, sql).tokenize()) else {
        return 0;
    };
    let numbers = tokens.iter().filter_map(|token| match token {
        Token::Placeholder(name) => placeholder_number(name),
        _ => None,
    });
    numbers.max().unwrap_or_default()
}

/// The statement with the first of `values`, which are literals, in place of `$1`, and so on. The number of a placeholder for
/// which there is none is the error.
pub fn with_values(sql: &str, values: &[String]) -> Result<String, usize> {
    let tokens = reading(sql.len(), || {
        Tokenizer::new(&GenericDialect {}, sql).with_unescape(false).tokenize()
    });
    let Ok(tokens) = tokens else {
        return Ok(sql.to_owned());
    };
    let mut filled = String::with_capacity(sql.len());
    for token in tokens {
        match &token {
            Token::Placeholder(name) => {
                let number = placeholder_number(name).unwrap_or_default();
                let value = number.checked_sub(1).and_then(|at| values.get(at)).ok_or(number)?;
                filled.push_str(value);
            }
            other => filled.push_str(&other.to_string()),
        }
    }
    Ok(filled)
}

/// The number of a placeholder such as `$12`.
pub fn placeholder_number(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: only placeholders are numbered. Method: question marks in every other place beside real ones.
    #[test]
    fn only_placeholders_are_numbered() {
        let cases = [
            ("SELECT ?", "SELECT $1"),
            (
                "SELECT '?' , \"a?b\" , ? -- what?\n, ?",
                "SELECT '?' , \"a?b\" , $1 -- what?\n, $2",
            ),
            ("SELECT $1", "SELECT $1"),
            ("SELECT 'it''s ?'", "SELECT 'it''s ?'"),
            ("SELECT '?", "SELECT '?"),
        ];
        for (sql, expected) in cases {
            assert_eq!(number_placeholders(sql), expected);
        }
    }

    // Goal: values take the places of their placeholders and no other. Method: a statement with look-alikes, and one value too few.
    #[test]
    fn values_take_their_places() {
        let sql = "INSERT INTO t VALUES ($2, '$1', $1) -- $3";
        assert_eq!(placeholders(sql), 2);
        let filled = with_values(sql, &["'it''s $2'".into(), "7".into()]);
        assert_eq!(
            filled.as_deref(),
            Ok("INSERT INTO t VALUES (7, '$1', 'it''s $2') -- $3")
        );
        assert_eq!(with_values(sql, &["1".into()]), Err(2));
    }
}
