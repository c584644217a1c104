//! Forms of SQL that the parser does not know: `trim(BOTH FROM x)`, and as in PostgreSQL `BETWEEN SYMMETRIC`, where `SYMMETRIC` can be no
//! column, and literals of types that the parser has no word of its own for: it would take `name 'x'` for a column `name` that is to be
//! called `x`, and loses the digits of `interval(0) '1.6 s'`.
//!
//! They are changed in the text, for nothing else is there before the parser. A mark before the lower bound tells of the latter, where the
//! parser leaves it: whatever binds the bound together stands to its right.

use std::borrow::Cow;
use std::mem::replace;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Statement, UnaryOperator, Value, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::{Changed, Tokens, is};
use crate::error::{EngineError, Result};

/// Types of PostgreSQL by names that the parser takes for those of columns.
const TYPES: [&str; 9] = [
    "bpchar",
    "cidr",
    "inet",
    "name",
    "oid",
    "regnamespace",
    "regproc",
    "regrole",
    "regtype",
];

/// A text that nobody writes.
const MARK: &str = "\u{1}\u{1}\u{1}\u{1}";

/// The statement as the parser can read it. [`bounds`] has to be asked for what it makes of it.
pub(super) fn readable<'a>(sql: &'a str, dialect: &dyn Dialect) -> Cow<'a, str> {
    let small = sql.to_ascii_lowercase();
    let is_postgres = dialect.is::<PostgreSqlDialect>();
    let bounds = is_postgres && small.contains("symmetric");
    let literals = is_postgres && may_have_literals(&small);
    if !bounds && !literals && !small.contains("trim") {
        return Cow::Borrowed(sql);
    }
    let Some(tokens) = Tokens::of(sql, dialect) else {
        return Cow::Borrowed(sql);
    };
    let mut changed = Changed::new(sql);
    // No form begins within another, so that their places follow one another.
    for at in 0..tokens.len() {
        match tokens.rest(at) {
            [between, word, ..] if bounds && is(between, "between") && is(word, "symmetric") => {
                changed.put(tokens.begin(word), "symmetric".len(), &format!("'{MARK}'|| "));
            }
            [between, word, ..] if bounds && is(between, "between") && is(word, "asymmetric") => {
                let length = "asymmetric".len();
                changed.put(tokens.begin(word), length, &" ".repeat(length));
            }
            [trim, bracket, side, from, ..]
                if is(trim, "trim")
                    && bracket.token == Token::LParen
                    && ["both", "leading", "trailing"].iter().any(|word| is(side, word))
                    && is(from, "from") =>
            {
                changed.put(tokens.begin(from), 0, "' ' ");
            }
            [word, literal, ..]
                if literals
                    && TYPES.iter().any(|name| is(word, name))
                    && is_text(literal)
                    && !is_qualified(tokens.before(at)) =>
            {
                let name = word.token.to_string();
                changed.put(tokens.begin(word), name.len(), "");
                changed.put(tokens.end(literal), 0, &format!("::{name}"));
            }
            [interval, open, digits, close, literal, ..]
                if literals
                    && is(interval, "interval")
                    && open.token == Token::LParen
                    && close.token == Token::RParen
                    && is_text(literal) =>
            {
                let (begin, end) = (tokens.begin(interval), tokens.end(close));
                changed.put(begin, end.saturating_sub(begin), "");
                changed.put(tokens.end(literal), 0, &format!("::interval({})", digits.token));
            }
            _ => {}
        }
    }
    Cow::Owned(changed.written())
}

/// Whether a statement in small letters may have a literal of a type whose name is not the parser's, or of `interval(n)`.
fn may_have_literals(small: &str) -> bool {
    let named = |name: &str, marks: &[&str]| {
        small.match_indices(name).any(|(at, _)| {
            let behind = small.get(at + name.len()..).unwrap_or_default().trim_start();
            marks.iter().any(|mark| behind.starts_with(mark))
        })
    };
    TYPES.iter().any(|&name| named(name, &["'", "$", "e'"])) || named("interval", &["("])
}

fn is_text(token: &TokenWithSpan) -> bool {
    matches!(
        token.token,
        Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_)
    )
}

/// Whether what follows these is a name of a schema or a table.
fn is_qualified(before: &[TokenWithSpan]) -> bool {
    before.last().is_some_and(|token| token.token == Token::Period)
}

/// Reads the marks: a value is between two bounds in either order. A mark that is not where it was put is refused.
pub(super) fn bounds(statement: &mut Statement) -> Result<()> {
    match statement.visit(&mut Bounds) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(refused()),
    }
}

/// Refuses marks in what [`bounds`] is not asked about.
pub(super) fn unmarked(sql: &str) -> Result<()> {
    match sql.contains(MARK) {
        false => Ok(()),
        true => Err(refused()),
    }
}

fn refused() -> EngineError {
    EngineError::statement("BETWEEN SYMMETRIC at such a place, or of such a bound: put the bound in brackets")
}

struct Bounds;

impl VisitorMut for Bounds {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_mark(expr) {
            return ControlFlow::Break(());
        }
        let Expr::Between {
            expr: value,
            negated,
            low,
            high,
        } = expr
        else {
            return ControlFlow::Continue(());
        };
        if !taken(low) {
            return ControlFlow::Continue(());
        }
        let (value, low, high) = (value.as_ref(), low.as_ref(), high.as_ref());
        let between = |low: &Expr, high: &Expr| {
            Box::new(Expr::Between {
                expr: Box::new(value.clone()),
                negated: false,
                low: Box::new(low.clone()),
                high: Box::new(high.clone()),
            })
        };
        let either = Expr::Nested(Box::new(Expr::BinaryOp {
            left: between(low, high),
            op: BinaryOperator::Or,
            right: between(high, low),
        }));
        *expr = match negated {
            true => Expr::Nested(Box::new(Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr: Box::new(either),
            })),
            false => either,
        };
        ControlFlow::Continue(())
    }
}

fn is_mark(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(&value.value, Value::SingleQuotedString(text) if text == MARK),
        _ => false,
    }
}

/// Takes the mark away from the beginning of an expression, if it stands there.
fn taken(first: &mut Expr) -> bool {
    let Expr::BinaryOp { left, op, right } = first else {
        return false;
    };
    if !is_mark(left) || *op != BinaryOperator::StringConcat {
        return taken(left);
    }
    let bound = replace(right.as_mut(), Expr::Value(Value::Null.into()));
    *first = bound;
    true
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn read(sql: &str, dialect: &dyn Dialect) -> String {
        let sql = readable(sql, dialect);
        let mut statements = Parser::parse_sql(dialect, &sql).expect(&sql);
        let statement = statements.first_mut().expect("a statement");
        bounds(statement).expect(&sql);
        statement.to_string()
    }

    // Goal: the forms mean what SQL says, and what only looks like one is left. Method: statements before and after.
    #[test]
    fn forms_are_read() {
        for (before, after) in [
            (
                "SELECT x BETWEEN SYMMETRIC 3 AND 1",
                "SELECT (x BETWEEN 3 AND 1 OR x BETWEEN 1 AND 3)",
            ),
            (
                "SELECT x NOT BETWEEN symmetric -a + 1 AND b * 2 AND c",
                "SELECT (NOT (x BETWEEN -a + 1 AND b * 2 OR x BETWEEN b * 2 AND -a + 1)) AND c",
            ),
            (
                "SELECT x BETWEEN SYMMETRIC a || b::text AND (c)",
                "SELECT (x BETWEEN a || b::TEXT AND (c) OR x BETWEEN (c) AND a || b::TEXT)",
            ),
            ("SELECT x BETWEEN ASYMMETRIC 1 AND 2", "SELECT x BETWEEN 1 AND 2"),
            (
                "SELECT \"symmetric\", 'BETWEEN SYMMETRIC' FROM t",
                "SELECT \"symmetric\", 'BETWEEN SYMMETRIC' FROM t",
            ),
            (
                "SELECT trim(BOTH FROM a), trim(\n leading from b), trim(TRAILING 'x' FROM c), trim(both FROM trim(BOTH FROM d))",
                "SELECT TRIM(BOTH ' ' FROM a), TRIM(LEADING ' ' FROM b), TRIM(TRAILING 'x' FROM c), TRIM(BOTH ' ' FROM TRIM(BOTH ' ' FROM d))",
            ),
            (
                "SELECT name 'ä', regtype\n'int4' = x, Inet $$10.0.0.1$$, interval (0) '1.6 s' FROM t WHERE a LIKE name 'b%' AND b",
                "SELECT 'ä'::name, 'int4'::regtype = x, $$10.0.0.1$$::Inet, '1.6 s'::INTERVAL(0) FROM t WHERE a LIKE 'b%'::name AND b",
            ),
            (
                "SELECT t.name, name, 'name ''x''' FROM t WHERE name = 'x' AND oid IN ('1')",
                "SELECT t.name, name, 'name ''x''' FROM t WHERE name = 'x' AND oid IN ('1')",
            ),
        ] {
            assert_eq!(read(before, &PostgreSqlDialect {}), after, "{before}");
        }
        let column = "SELECT x BETWEEN symmetric AND y";
        assert_eq!(read(column, &GenericDialect {}), column);
    }
}
