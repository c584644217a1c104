//! `TABLE t`, which is short for `SELECT * FROM t`: the parser has no statement that begins so, and takes words behind the name away where
//! a query within another one does.
//!
//! It is written out in the text, so that whatever is asked of a query (what may be read, names at a version) is asked of this one too.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::standard_forms::is;
use super::versions::Places;

const SHORT: &str = "table";

/// The statement with each such query written out: at its beginning, behind `EXPLAIN`, behind `UNION`, `INTERSECT` and `EXCEPT`, and alone in
/// brackets.
pub(super) fn written_out<'a>(sql: &'a str, dialect: &dyn Dialect) -> Cow<'a, str> {
    if !may_have_one(sql) {
        return Cow::Borrowed(sql);
    }
    // What cannot be cut into tokens is told by the parser.
    let Ok(tokens) = Tokenizer::new(dialect, sql).tokenize_with_location() else {
        return Cow::Borrowed(sql);
    };
    let tokens: Vec<TokenWithSpan> = tokens
        .into_iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .collect();
    let places = Places::new(sql);
    let (mut written, mut copied) = (String::with_capacity(sql.len()), 0);
    for (at, token) in tokens.iter().enumerate() {
        if !is(token, SHORT) || !is_query(&tokens, at) {
            continue;
        }
        let begin = places.offset(token.span.start);
        if let Some(before) = sql.get(copied..begin) {
            written.push_str(before);
            written.push_str("SELECT * FROM");
            copied = begin + SHORT.len();
        }
    }
    written.push_str(sql.get(copied..).unwrap_or_default());
    Cow::Owned(written)
}

/// Whether the word stands in the text with something else behind it: most statements are not cut into tokens for this.
fn may_have_one(sql: &str) -> bool {
    let small = sql.to_ascii_lowercase();
    small.match_indices(SHORT).any(|(at, _)| {
        let behind = small.get(at + SHORT.len()..).unwrap_or_default();
        behind.starts_with(|next: char| next.is_whitespace() || ['"', '/', '-'].contains(&next))
    })
}

/// Whether the word at this place begins a query, and is not a column's name or part of another statement.
fn is_query(tokens: &[TokenWithSpan], at: usize) -> bool {
    let name = |at: usize| matches!(tokens.get(at).map(|token| &token.token), Some(Token::Word(_)));
    if !name(at + 1) {
        return false;
    }
    let before = tokens.get(..at).unwrap_or_default();
    let explains = |(first, words): (&TokenWithSpan, &[TokenWithSpan])| {
        is(first, "explain") && words.iter().all(|word| one_of(word, &["analyze", "verbose"]))
    };
    match before {
        [.., bracket] if bracket.token == Token::LParen => {
            let mut end = at + 2;
            while tokens.get(end).is_some_and(|token| token.token == Token::Period) && name(end + 1) {
                end += 2;
            }
            tokens.get(end).is_some_and(|token| token.token == Token::RParen) && !defines(tokens)
        }
        [.., set, how] if one_of(how, &["all", "distinct"]) => combines(set),
        [.., set] if combines(set) => true,
        _ => before.split_first().is_none_or(explains),
    }
}

fn combines(token: &TokenWithSpan) -> bool {
    one_of(token, &["union", "intersect", "except"])
}

/// Whether a statement may have names of columns with their types in brackets.
fn defines(tokens: &[TokenWithSpan]) -> bool {
    tokens.first().is_some_and(|first| one_of(first, &["create", "alter"]))
}

fn one_of(token: &TokenWithSpan, words: &[&str]) -> bool {
    words.iter().any(|word| is(token, word))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::{GenericDialect, PostgreSqlDialect};

    use super::*;

    // Goal: the short form is a query wherever one begins, and the word is left alone elsewhere. Method: statements before and after.
    #[test]
    fn short_queries_are_written_out() {
        for (before, after) in [
            ("TABLE s.t", "SELECT * FROM s.t"),
            (
                " /* é */ table\n\"T\" ORDER BY 1;",
                " /* é */ SELECT * FROM\n\"T\" ORDER BY 1;",
            ),
            ("EXPLAIN ANALYZE TABLE t", "EXPLAIN ANALYZE SELECT * FROM t"),
            (
                "TABLE a UNION ALL TABLE b EXCEPT table c",
                "SELECT * FROM a UNION ALL SELECT * FROM b EXCEPT SELECT * FROM c",
            ),
            (
                "SELECT 1 WHERE 1 IN (TABLE lake.s.t)",
                "SELECT 1 WHERE 1 IN (SELECT * FROM lake.s.t)",
            ),
        ] {
            for dialect in [&GenericDialect {} as &dyn Dialect, &PostgreSqlDialect {}] {
                assert_eq!(written_out(before, dialect), after, "{before}");
            }
        }
        for same in [
            "CREATE TABLE t (table text)",
            "DROP TABLE t",
            "ANALYZE TABLE t",
            "ALTER TABLE t ADD COLUMN a int",
            "TRUNCATE TABLE t",
            "SHOW CREATE TABLE t",
            "SELECT 'TABLE t', \"table\" AS x FROM t",
            "SELECT a AS table FROM t",
            "SELECT a FROM t WHERE (table IS NULL)",
            "TABLE",
        ] {
            assert_eq!(written_out(same, &GenericDialect {}), same);
        }
    }
}
