//! Placeholders: JDBC sends `?`, others `$1`; the planner knows `$n` only.

use std::borrow::Cow;
use std::convert::Infallible;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

use tidewater_engine::complexity::STATEMENT_BYTES_MAX;
use tidewater_engine::reading;

/// The statement with every `?` numbered from the left. Question marks in strings, names and comments stay.
/// A text that cannot be cut into tokens stays as it is: the parser tells what is wrong with it.
pub fn number_placeholders(sql: &str) -> Cow<'_, str> {
    if !sql.contains('?') {
        return Cow::Borrowed(sql);
    }
    let mut count = 0;
    let Ok(numbered) = spliced(sql, |token| {
        let placeholder = match token {
            Token::Placeholder(text) => text == "?",
            other => *other == Token::Question,
        };
        count += usize::from(placeholder);
        Ok::<_, Infallible>(placeholder.then(|| format!("${count}")))
    });
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
/// which there is none is the error. A number with a sign has to be in brackets: a minus before it would make it a comment.
pub fn with_values(sql: &str, values: &[String]) -> Result<String, usize> {
    spliced(sql, |token| {
        let Token::Placeholder(name) = token else {
            return Ok(None);
        };
        // PostgreSQL's operator: as a parameter it was numbered before.
        if name == "?" {
            return Ok(None);
        }
        let number = placeholder_number(name).unwrap_or_default();
        let value = number.checked_sub(1).and_then(|at| values.get(at)).ok_or(number)?;
        Ok(Some(value.clone()))
    })
}

/// The statement with what `put` has in place of tokens. All else stays as it was written, to the letter: a token that is written
/// anew has lost what its escapes stood for, and then ends elsewhere. Nor does what is put in become part of a token before it.
fn spliced<E>(sql: &str, mut put: impl FnMut(&Token) -> Result<Option<String>, E>) -> Result<String, E> {
    let tokens = reading(sql.len(), || {
        Tokenizer::new(&GenericDialect {}, sql)
            .with_unescape(false)
            .tokenize_with_location()
    });
    let Ok(tokens) = tokens else {
        return Ok(sql.to_owned());
    };
    let mut walk = Walk::new(sql);
    let mut filled = String::with_capacity(sql.len() + 8);
    for token in tokens {
        let Some(value) = put(&token.token)? else { continue };
        filled.push_str(walk.to(token.span.start));
        // Longer than a statement may be, which is all that is told of it: a long value in a million places has no room in memory.
        if filled.len() > STATEMENT_BYTES_MAX {
            return Ok(filled);
        }
        if !filled.ends_with(|last: char| last.is_whitespace() || "(,=".contains(last)) {
            filled.push(' ');
        }
        filled.push_str(&value);
        walk.to(token.span.end);
    }
    filled.push_str(walk.rest);
    Ok(filled)
}

/// A walk through a text by the tokenizer's places: lines and characters, which it counts from one.
struct Walk<'a> {
    rest: &'a str,
    here: Location,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            here: Location::new(1, 1),
        }
    }

    /// What stands before the place, which is where the walk goes on.
    fn to(&mut self, place: Location) -> &'a str {
        let mut bytes = 0;
        for next in self.rest.chars() {
            if (self.here.line, self.here.column) >= (place.line, place.column) {
                break;
            }
            bytes += next.len_utf8();
            self.here = match next {
                '\n' => Location::new(self.here.line + 1, 1),
                _ => Location::new(self.here.line, self.here.column + 1),
            };
        }
        let (passed, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        passed
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
        let operator = with_values("DELETE FROM t WHERE j ? $1", &["'a'".into()]);
        assert_eq!(operator.as_deref(), Ok("DELETE FROM t WHERE j ? 'a'"));
    }

    // Goal: long values in many places take no more memory than it takes to see that they are too long. Method: a megabyte in each of ten
    // thousand places.
    #[test]
    fn length_has_an_end() {
        let sql = format!("INSERT INTO t VALUES ($1{}", ", $1".repeat(10_000));
        let value = "1".repeat(1 << 20);
        let filled = with_values(&sql, std::slice::from_ref(&value)).expect("a text");
        assert!(filled.len() > STATEMENT_BYTES_MAX, "it is refused for its length");
        assert!(filled.len() < STATEMENT_BYTES_MAX + 2 * value.len());
    }

    // Goal: a value is a value wherever its placeholder stands, and the rest of the statement stays what it was. Method: placeholders
    // behind whatever else could take them in, and texts with escapes before them.
    #[test]
    fn values_are_no_part_of_what_is_beside_them() {
        for (sql, expected) in [
            ("SELECT n-$1", "SELECT n- (-5)"),
            ("SELECT n -$1 FROM t", "SELECT n - (-5) FROM t"),
            ("SELECT U&$2", "SELECT U& ' or true --'"),
            ("SELECT 'a'$2", "SELECT 'a' ' or true --'"),
            (r"SELECT E'\\' AND s = $2", r"SELECT E'\\' AND s = ' or true --'"),
            (
                "SELECT E'x\\'y', \"a\"\"b\",\r\n\tN'it''s', $1",
                "SELECT E'x\\'y', \"a\"\"b\",\r\n\tN'it''s', (-5)",
            ),
            (
                "SELECT 'ä€𝄞\n''' , $2 /* $1 */",
                "SELECT 'ä€𝄞\n''' , ' or true --' /* $1 */",
            ),
        ] {
            let filled = with_values(sql, &["(-5)".into(), "' or true --'".into()]);
            assert_eq!(filled.as_deref(), Ok(expected), "{sql}");
        }
        let numbered = number_placeholders(r"SELECT E'\\', 'ä', -?");
        assert_eq!(numbered, r"SELECT E'\\', 'ä', - $1");
    }
}
