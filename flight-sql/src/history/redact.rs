//! A statement without its values: they may be of patients, and a history is read by many.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

use tidewater_engine::reading;

/// Longest text that is kept; what is longer is cut.
const TEXT_BYTES_MAX: usize = 2_000;

/// What stands for a statement that cannot be read.
const UNREADABLE: &str = "(unreadable)";

/// The statement with `?` for each value, without comments, and with single spaces.
pub(super) fn redact(sql: &str) -> String {
    let Ok(tokens) = reading(sql.len(), || Tokenizer::new(&GenericDialect {}, sql).tokenize()) else {
        return UNREADABLE.to_owned();
    };
    let mut text = String::new();
    let mut place = Place::default();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_))
            | Token::Whitespace(_) => {
                if !text.is_empty() && !text.ends_with(' ') {
                    text.push(' ');
                }
            }
            Token::Word(word) if word.quote_style.is_some() && place.is_of_a_value() && !is_qualifier(&tokens, at) => {
                text.push('?');
            }
            Token::Word(_)
            | Token::Comma
            | Token::Period
            | Token::LParen
            | Token::RParen
            | Token::LBracket
            | Token::RBracket
            | Token::SemiColon
            | Token::Mul
            | Token::Plus
            | Token::Minus
            | Token::Div
            | Token::Eq
            | Token::DoubleEq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::Mod
            | Token::Colon
            | Token::DoubleColon
            | Token::StringConcat
            | Token::Arrow
            | Token::LongArrow
            | Token::Placeholder(_) => text.push_str(&token.to_string()),
            // Strings of all sorts, numbers, and whatever a later version may bring.
            _ => text.push('?'),
        }
        place.pass(token);
    }
    text.trim_end().to_owned()
}

/// As much of such a text as is kept.
pub(super) fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let mut end = TEXT_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Where the next token stands, as far as it tells a text from a name. Other databases take what is in double quotes for a text, and whoever
/// is used to them writes the name of a patient so: what stands there unqualified is taken for one, and a column may be left out for it.
#[derive(Default)]
struct Place {
    /// Behind a comparison.
    is_compared: bool,
    /// First in its brackets, or behind a comma.
    is_item: bool,
    /// Of each pair of brackets that is open, whether it lists values.
    brackets: Vec<bool>,
    /// Whether brackets list values that are opened here.
    opens_values: bool,
    /// Behind such a list.
    closed_values: bool,
}

impl Place {
    fn is_of_a_value(&self) -> bool {
        self.is_compared || (self.is_item && self.brackets.last() == Some(&true))
    }

    fn pass(&mut self, token: &Token) {
        let keyword = match token {
            Token::Whitespace(_) => return,
            Token::Word(word) => word.keyword,
            _ => Keyword::NoKeyword,
        };
        let mut closed_values = false;
        match token {
            Token::LParen => self.brackets.push(self.opens_values),
            Token::RParen => closed_values = self.brackets.pop().unwrap_or_default(),
            // Names follow.
            _ if keyword == Keyword::SELECT => {
                if let Some(lists) = self.brackets.last_mut() {
                    *lists = false;
                }
            }
            _ => {}
        }
        self.opens_values = match token {
            Token::Comma => self.closed_values,
            _ => matches!(keyword, Keyword::IN | Keyword::VALUES),
        };
        self.closed_values = closed_values;
        self.is_item = matches!(token, Token::LParen | Token::Comma);
        self.is_compared = matches!(
            token,
            Token::Eq | Token::DoubleEq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq
        ) || matches!(keyword, Keyword::LIKE | Keyword::ILIKE);
    }
}

/// Whether the name at this place says of what the next one is.
fn is_qualifier(tokens: &[Token], at: usize) -> bool {
    let mut behind = tokens.iter().skip(at + 1);
    behind.find(|token| !matches!(token, Token::Whitespace(_))) == Some(&Token::Period)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: no value stays, and statements that differ by values are the same text. Method: values of several sorts, comments,
    // a text that is cut, and one that is no statement.
    #[test]
    fn values_do_not_stay() {
        let one = redact("SELECT a, \"b c\" -- ana's\n FROM t  WHERE mrn = '123-45' AND n >= 7.5 AND x'ff' = y");
        assert_eq!(one, "SELECT a, \"b c\" FROM t WHERE mrn = ? AND n >= ? AND ? = y");
        assert_eq!(
            redact("select * from t where id = 1"),
            redact("select *  from t where id = 22")
        );
        assert_eq!(redact("SELECT $1, $$secret$$"), "SELECT $1, ?");
        let long = redact(&format!("SELECT {}", "é,".repeat(3_000)));
        assert!(long.len() > 9_000, "whole, for who compares it");
        let kept = cut(long);
        assert!(kept.len() < 2_100 && kept.ends_with('…'));
        assert_eq!(cut(one.clone()), one);
        assert_eq!(redact("SELECT 'open"), UNREADABLE);
    }
    // Goal: who writes a value in double quotes, as other databases take it, leaves none behind, and names in quotes stay. Method: values where
    // they are compared and listed, and the statements that programs write, with all names in quotes.
    #[test]
    fn texts_in_the_quotes_of_names_do_not_stay() {
        for (sql, kept) in [
            (
                "SELECT * FROM t WHERE a = \"Ana\" AND b LIKE \"An%\"",
                "SELECT * FROM t WHERE a = ? AND b LIKE ?",
            ),
            (
                "SELECT 1 WHERE a IN (\"Ana\", 'b',\"Eve\")",
                "SELECT ? WHERE a IN (?, ?,?)",
            ),
            (
                "INSERT INTO \"t\" (\"a\", \"b\") VALUES (\"Ana\", 1), (\"Eve\", f(\"c\"))",
                "INSERT INTO \"t\" (\"a\", \"b\") VALUES (?, ?), (?, f(\"c\"))",
            ),
            ("UPDATE t SET \"a\"=\"Ana\"", "UPDATE t SET \"a\"=?"),
        ] {
            assert_eq!(redact(sql), kept);
        }
        for sql in [
            "SELECT \"t\".\"a\", \"b\" FROM \"g\".\"t\" JOIN \"u\" ON \"t\".\"a\" = \"u\" . \"a\" ORDER BY \"b\"",
            "SELECT \"a\" FROM \"t\" WHERE \"a\" IN (SELECT \"a\", \"b\" FROM \"u\", \"v\")",
        ] {
            assert_eq!(redact(sql), sql);
        }
    }
}
