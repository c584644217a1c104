//! Elements of `ROLLUP`, `CUBE` and `GROUPING SETS` that begin with a bracket and go on behind it: `ROLLUP ((b + 1) % 7)`.
//!
//! The parser takes what is in the bracket for the columns of a set and wants nothing more. Such an element is put in brackets in the
//! text, where it is a set of one column.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::{Changed, Tokens, is};

/// The statement as the parser can read it.
pub(super) fn elements<'a>(sql: &'a str, dialect: &dyn Dialect) -> Cow<'a, str> {
    let small = sql.to_ascii_lowercase();
    if !["rollup", "cube", "grouping"].iter().any(|word| small.contains(word)) {
        return Cow::Borrowed(sql);
    }
    let Some(tokens) = Tokens::of(sql, dialect) else {
        return Cow::Borrowed(sql);
    };
    let all = tokens.rest(0);
    let mut brackets = Vec::new();
    for at in 0..tokens.len() {
        match tokens.rest(at) {
            [word, bracket, ..] if bracket.token == Token::LParen && (is(word, "rollup") || is(word, "cube")) => {
                enclose(all, at + 2, &mut brackets);
            }
            [first, second, bracket, ..]
                if bracket.token == Token::LParen && is(first, "grouping") && is(second, "sets") =>
            {
                enclose(all, at + 3, &mut brackets);
            }
            _ => {}
        }
    }
    if brackets.is_empty() {
        return Cow::Borrowed(sql);
    }
    // One grouping may stand within another.
    brackets.sort_by_key(|(at, _)| *at);
    let mut changed = Changed::new(sql);
    for (at, bracket) in brackets {
        if let Some(token) = all.get(at) {
            changed.put(tokens.begin(token), 0, bracket);
        }
    }
    Cow::Owned(changed.written())
}

/// Tells which tokens are to have a bracket before them, from the first element of a grouping on.
fn enclose(tokens: &[TokenWithSpan], mut begin: usize, brackets: &mut Vec<(usize, &'static str)>) {
    while let Some(end) = behind(tokens, begin) {
        let opens = tokens.get(begin).is_some_and(|token| token.token == Token::LParen);
        let closes = behind(tokens, begin + 1).filter(|_| opens);
        if closes.is_some_and(|closes| ends_later(tokens, closes, end)) {
            brackets.extend([(begin, "("), (end, ")")]);
        }
        if tokens.get(end).is_none_or(|token| token.token != Token::Comma) {
            return;
        }
        begin = end + 1;
    }
}

/// Whether an element goes on behind the bracket that it began with; `inside` is the end of the first part of what is in that.
fn ends_later(tokens: &[TokenWithSpan], mut inside: usize, end: usize) -> bool {
    while tokens.get(inside).is_some_and(|token| token.token == Token::Comma) {
        match behind(tokens, inside + 1) {
            Some(next) => inside = next,
            None => return false,
        }
    }
    inside + 1 < end
}

/// The comma or bracket that ends what begins here.
fn behind(tokens: &[TokenWithSpan], begin: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(begin) {
        match token.token {
            Token::Comma if depth == 0 => return Some(at),
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return Some(at),
            },
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::{GenericDialect, PostgreSqlDialect};

    use super::*;
    use crate::testing::Lake;

    // Goal: elements that the parser would not read are put in brackets, and nothing else is changed. Method: a table of texts, in both
    // dialects.
    #[test]
    fn elements_are_put_in_brackets() {
        for (written, read) in [
            ("ROLLUP ((b + 1) % 7)", "ROLLUP (((b + 1) % 7))"),
            ("cube(a, (b + 1) % 7, c)", "cube(a, ((b + 1) % 7), c)"),
            ("ROLLUP ((a, b) = (1, 2), c)", "ROLLUP (((a, b) = (1, 2)), c)"),
            (
                "ROLLUP ((f(a, b) + 1) / (2), ((c)))",
                "ROLLUP (((f(a, b) + 1) / (2)), ((c)))",
            ),
            (
                "Grouping Sets ((a), (b + 1) % 7, ROLLUP ((c - 1) * 2 -- ,\n))",
                "Grouping Sets ((a), ((b + 1) % 7), ROLLUP (((c - 1) * 2 -- ,\n)))",
            ),
            (
                "ROLLUP ((x)::text, 'é', (y)::text)",
                "ROLLUP (((x)::text), 'é', ((y)::text))",
            ),
            ("ROLLUP ((a, b), c)", "ROLLUP ((a, b), c)"),
            (
                "GROUPING SETS ((a, (b + 1) % 7), ())",
                "GROUPING SETS ((a, (b + 1) % 7), ())",
            ),
            (
                "f((b + 1) % 7), 'rollup ((b) + 1)'",
                "f((b + 1) % 7), 'rollup ((b) + 1)'",
            ),
            ("ROLLUP ((a) + 1", "ROLLUP ((a) + 1"),
        ] {
            for dialect in [&GenericDialect {} as &dyn Dialect, &PostgreSqlDialect {}] {
                assert_eq!(elements(written, dialect), read);
            }
        }
    }

    // Goal: such elements are grouped by. Method: a day of the week as a tool writes it, alone and within sets.
    #[tokio::test]
    async fn elements_are_grouped_by() {
        let lake = Lake::new();
        let day = "(b + 7 - 1) % 7 + 1";
        for (groups, wanted) in [
            (format!("ROLLUP ({day})"), vec![",3", "1,2", "7,1"]),
            (
                format!("GROUPING SETS (({day}), {day})"),
                vec!["1,2", "1,2", "7,1", "7,1"],
            ),
        ] {
            let sql = format!("SELECT {day} AS d, count(*) FROM (VALUES (1), (1), (0)) AS v (b) GROUP BY {groups}");
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
    }
}
