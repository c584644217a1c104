//! A statement without its values: they may be of patients, and a history is read by many.

use datafusion::sql::sqlparser::dialect::GenericDialect;
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
    for token in tokens {
        match token {
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_))
            | Token::Whitespace(_) => {
                if !text.is_empty() && !text.ends_with(' ') {
                    text.push(' ');
                }
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
        if text.len() > TEXT_BYTES_MAX {
            let mut end = TEXT_BYTES_MAX;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push('…');
            break;
        }
    }
    text.trim_end().to_owned()
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
        let long = redact(&format!("SELECT {}", "a,".repeat(3_000)));
        assert!(long.len() < 2_100 && long.ends_with('…'));
        assert_eq!(redact("SELECT 'open"), UNREADABLE);
    }
}
