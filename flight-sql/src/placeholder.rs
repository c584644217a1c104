//! Placeholders: JDBC sends `?`, others `$1`; the planner knows `$n` only.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// The statement with every `?` numbered from the left. Question marks in strings, names and comments stay.
/// A text that cannot be cut into tokens stays as it is: the parser tells what is wrong with it.
pub fn number_placeholders(sql: &str) -> Cow<'_, str> {
    if !sql.contains('?') {
        return Cow::Borrowed(sql);
    }
    let dialect = GenericDialect {};
    let Ok(tokens) = Tokenizer::new(&dialect, sql).with_unescape(false).tokenize() else {
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
}
