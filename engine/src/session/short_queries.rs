//! `TABLE t`, which is short for `SELECT * FROM t`: the parser has no statement that begins so, and takes words behind the name away where
//! a query within another one does.
//!
//! It is written out in the text, so that whatever is asked of a query (what may be read, names at a version) is asked of this one too.

use std::borrow::Cow;

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::tokens::{Places, is};

const SHORT: &str = "table";
const LONG: &str = "SELECT * FROM";

/// The statement with each such query written out: at its beginning, behind `EXPLAIN`, behind `UNION`, `INTERSECT` and `EXCEPT`, and alone in
/// brackets.
pub(super) fn written_out<'a>(sql: &'a str, dialect: &dyn Dialect) -> Cow<'a, str> {
    let begins = begins(sql, dialect);
    if begins.is_empty() {
        return Cow::Borrowed(sql);
    }
    let places = Places::new(sql);
    let (mut written, mut copied) = (String::with_capacity(sql.len()), 0);
    for begin in begins {
        let begin = places.offset(begin);
        if let Some(before) = sql.get(copied..begin) {
            written.push_str(before);
            written.push_str(LONG);
            copied = begin + SHORT.len();
        }
    }
    written.push_str(sql.get(copied..).unwrap_or_default());
    Cow::Owned(written)
}

/// What is wrong with a statement that was written out, at the place in the one that was typed: clients show that.
pub(super) fn as_typed(sql: &str, dialect: &dyn Dialect, error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::SQL(error, trace) => {
            let error = match *error {
                ParserError::ParserError(text) => {
                    ParserError::ParserError(moved(&begins(sql, dialect), &text).unwrap_or(text))
                }
                other => other,
            };
            DataFusionError::SQL(Box::new(error), trace)
        }
        DataFusionError::Diagnostic(diagnostic, error) => {
            DataFusionError::Diagnostic(diagnostic, Box::new(as_typed(sql, dialect, *error)))
        }
        other => other,
    }
}

/// A message whose place is in a line with these queries; `None` if it has no place.
fn moved(begins: &[Location], text: &str) -> Option<String> {
    const LINE: &str = " at Line: ";
    const COLUMN: &str = ", Column: ";
    let longer = u64::try_from(LONG.len() - SHORT.len()).unwrap_or_default();
    let (before, place) = text.rsplit_once(LINE)?;
    let (line, rest) = place.split_once(COLUMN)?;
    let (column, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    let (line, mut column): (u64, u64) = (line.parse().ok()?, column.parse().ok()?);
    for begin in begins.iter().filter(|begin| begin.line == line) {
        if column > begin.column {
            column = column.saturating_sub(longer).max(begin.column);
        }
    }
    Some(format!("{before}{LINE}{line}{COLUMN}{column}{behind}"))
}

/// Where such queries begin, in order.
fn begins(sql: &str, dialect: &dyn Dialect) -> Vec<Location> {
    if !may_have_one(sql) {
        return Vec::new();
    }
    // What cannot be cut into tokens is told by the parser.
    let Ok(tokens) = Tokenizer::new(dialect, sql).tokenize_with_location() else {
        return Vec::new();
    };
    let tokens: Vec<TokenWithSpan> = tokens
        .into_iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .collect();
    let all = tokens.iter().enumerate();
    all.filter(|(at, token)| is(token, SHORT) && is_query(&tokens, *at))
        .map(|(_, token)| token.span.start)
        .collect()
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
    let tests = tokens
        .get(at + 1)
        .is_some_and(|next| one_of(next, &["isnull", "notnull"]));
    if !name(at + 1) || tests {
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
        // A column may be called as they are, behind its table.
        [.., dot, set] if combines(set) => dot.token != Token::Period,
        [.., set, how] if one_of(how, &["all", "distinct"]) => combines(set),
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
            "SELECT a FROM t WHERE (table ISNULL)",
            "SELECT t.union table FROM t",
            "EXPLAIN DROP TABLE t",
            "GRANT SELECT ON TABLE t TO r",
            "COMMENT ON TABLE t IS 'TABLE t'",
            "LOCK TABLE t",
            "SELECT 1 -- UNION TABLE t",
            "SELECT $$TABLE t$$ /* (TABLE t) */",
            "CALL system.f(table => 's.t')",
            "TABLE",
        ] {
            assert_eq!(written_out(same, &GenericDialect {}), same);
        }
    }

    // Goal: what is wrong is told at its place in what was typed. Method: errors in statements that were written out, before, within and
    // behind what became longer, in its line and another, and one without a place.
    #[test]
    fn places_are_those_of_what_was_typed() {
        let sql = "TABLE a UNION TABLE b ORDR BY 1\n LIMIT x";
        for (written, typed) in [
            ("found: BY at Line: 1, Column: 44", "found: BY at Line: 1, Column: 28"),
            (
                "found: UNION at Line: 1, Column: 17",
                "found: UNION at Line: 1, Column: 9",
            ),
            ("found: * at Line: 1, Column: 8", "found: * at Line: 1, Column: 1"),
            ("found: x at Line: 2, Column: 8", "found: x at Line: 2, Column: 8"),
            ("no place", "no place"),
        ] {
            let error = DataFusionError::SQL(Box::new(ParserError::ParserError(written.to_owned())), None);
            let DataFusionError::SQL(told, _) = as_typed(sql, &PostgreSqlDialect {}, error) else {
                panic!("another error");
            };
            assert_eq!(*told, ParserError::ParserError(typed.to_owned()));
        }
    }
}
