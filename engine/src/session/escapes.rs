//! `{oj a LEFT OUTER JOIN b ON … }`, as ODBC and JDBC write outer joins. The parser knows their other escapes, `{d}`, `{t}`, `{ts}` and
//! `{fn}`, and not this one: its braces are taken away.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::tokens::{Tokens, is};

/// The statement with blanks in the place of these braces, so that errors point to the right place.
pub(super) fn without_outer_joins<'a>(sql: &'a str, dialect: &dyn Dialect) -> Cow<'a, str> {
    if !sql.contains('{') {
        return Cow::Borrowed(sql);
    }
    let Some(tokens) = Tokens::of(sql, dialect) else {
        return Cow::Borrowed(sql);
    };
    let mut all = tokens.rest(0).iter().peekable();
    let mut written = sql.to_owned();
    let mut blank = |from: usize, length: usize| {
        if written.get(from..from + length).is_some() {
            written.replace_range(from..from + length, &" ".repeat(length));
        }
    };
    // Of each brace that is open, whether it is one of these.
    let mut open = Vec::new();
    while let Some(token) = all.next() {
        match token.token {
            Token::LBrace => {
                let join = all.next_if(|next| is(next, "oj"));
                if let Some(word) = join {
                    blank(tokens.begin(token), 1);
                    blank(tokens.begin(word), "oj".len());
                }
                open.push(join.is_some());
            }
            Token::RBrace if open.pop() == Some(true) => blank(tokens.begin(token), 1),
            _ => {}
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: outer joins are read as ODBC writes them, one within another and beside its other escapes, and what only looks like one is
    // left alone. Method: the rows of each, and text with braces.
    #[tokio::test]
    async fn outer_joins_in_braces() {
        let lake = Lake::new();
        let (a, b) = ("(VALUES (1), (2)) AS a (x)", "(VALUES (2)) AS b (y)");
        for (sql, rows) in [
            (
                format!("SELECT x, y FROM {{oj {a} LEFT OUTER JOIN {b} ON x = y}}"),
                vec!["1,", "2,2"],
            ),
            (
                format!(
                    "SELECT x, y, z FROM {{ OJ {{oj {a} LEFT OUTER JOIN {b} ON x = y}} LEFT OUTER JOIN (VALUES (1)) AS c (z) ON x = z }} WHERE {{fn abs(x)}} > 0"
                ),
                vec!["1,,1", "2,2,"],
            ),
            (
                "SELECT '{oj a }' AS t, {d '2026-01-02'} AS d".to_owned(),
                vec!["{oj a },2026-01-02"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
    }
}
