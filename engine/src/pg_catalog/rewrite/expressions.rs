//! Expressions: operators, casts and functions that PostgreSQL has and the query engine calls otherwise.

mod arrays;
mod casts;
mod documents;
mod elements;
mod functions;
mod gathered;
mod moments;
mod ordered;
mod spans;
mod spellings;
mod subqueries;
mod words;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, ObjectName, ObjectNamePart, UnaryOperator, Value, ValueWithSpan,
};

pub use self::casts::sent_text;
pub(super) use self::casts::{clock, of_class, of_literal};
pub(super) use self::documents::{is_json, makes_json, parts_of};
pub(super) use self::elements::is_vector;
pub(crate) use self::moments::figures;
pub use self::moments::{DateOrder, in_order};
pub(super) use self::subqueries::{hollow, never};
use super::names::{as_text, call, text};
use crate::pg_catalog::Postgres;
use crate::pg_catalog::functions::like_pattern;

/// Before the parts of an expression are changed.
pub(super) fn before(expression: &mut Expr) {
    subqueries::change(expression);
    casts::exact(expression);
    signed(expression);
}

/// `-2 ^ 2` is `(-2) ^ 2`: the sign binds closer than the power.
fn signed(expression: &mut Expr) {
    let Expr::UnaryOp {
        op: UnaryOperator::Minus,
        expr,
    } = expression
    else {
        return;
    };
    let mut power = take(expr);
    let mut first = &mut power;
    while let Expr::BinaryOp {
        left,
        op: BinaryOperator::PGExp,
        ..
    } = first
    {
        first = left.as_mut();
    }
    let base = std::mem::replace(first, Expr::value(Value::Null));
    *first = Expr::UnaryOp {
        op: UnaryOperator::Minus,
        expr: Box::new(base),
    };
    *expression = power;
}

/// After the parts of an expression were changed.
pub(super) fn change(expression: &mut Expr, postgres: &Postgres) {
    match expression {
        Expr::BinaryOp { op, .. } => {
            operator(op);
            if spelled_otherwise(op) {
                spellings::change(expression);
            } else {
                documents::concatenated(expression);
            }
        }
        Expr::SimilarTo { .. } | Expr::Ceil { .. } | Expr::Floor { .. } | Expr::Extract { .. } => {
            spellings::change(expression);
        }
        Expr::Collate { expr, .. } => *expression = take(expr),
        Expr::AtTimeZone { timestamp, time_zone } => {
            *expression = call("timezone", vec![take(time_zone), take(timestamp)]);
        }
        Expr::Substring {
            expr,
            substring_from: Some(from),
            substring_for: None,
            ..
        } if as_text(from).is_some() => {
            *expression = call("pg_substring", vec![take(expr), take(from)]);
        }
        Expr::Cast { .. } | Expr::TypedString(_) => casts::change(expression, postgres),
        Expr::Function(_) => functions::change(expression, postgres),
        Expr::Identifier(ident) if ident.quote_style.is_none() => {
            // Words that are functions without parentheses.
            let word = ident.value.to_lowercase();
            if matches!(
                word.as_str(),
                "current_user" | "session_user" | "user" | "current_catalog" | "current_schema" | "current_role"
            ) {
                *expression = functions::own(&word, postgres).unwrap_or_else(|| expression.clone());
            }
        }
        Expr::Like { any: true, .. } | Expr::ILike { any: true, .. } | Expr::AnyOp { .. } | Expr::AllOp { .. } => {
            spellings::change(expression)
        }
        Expr::Like { .. } | Expr::ILike { .. } => match spellings::like_all(expression) {
            Some(all) => *expression = all,
            None => pattern(expression),
        },
        Expr::Interval(interval) => spans::change(interval),
        Expr::Value(value) => {
            if let Value::EscapedStringLiteral(escaped) = &value.value {
                value.value = Value::SingleQuotedString(escaped.clone());
            }
            if let Value::Placeholder(name) = &value.value
                && let Some(typed) = casts::parameter(name, postgres)
            {
                *expression = typed;
            }
        }
        Expr::CompoundFieldAccess { .. } => elements::fields(expression),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } if matches!(**expr, Expr::Interval(_)) => negated(expr),
        Expr::UnaryOp { op, expr } if *op == UnaryOperator::Plus => *expression = take(expr),
        Expr::UnaryOp { .. } => spellings::change(expression),
        _ => {}
    }
}

/// What is changed in every statement, also in those that are not PostgreSQL's.
pub(super) fn shared(expression: &mut Expr) {
    match expression {
        Expr::SimilarTo { .. } => spellings::change(expression),
        Expr::Collate { expr, collation } if by_bytes(collation) => *expression = take(expr),
        Expr::Like { .. } | Expr::ILike { .. } => pattern(expression),
        Expr::Cast { .. } => casts::shared(expression),
        Expr::Function(_) => functions::shared(expression),
        Expr::Interval(interval) => spans::change(interval),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } if matches!(**expr, Expr::Interval(_)) => negated(expr),
        _ => {}
    }
}

/// The query engine would put a sign before the first number of an interval alone.
fn negated(interval: &mut Box<Expr>) {
    let whole = take(interval);
    **interval = Expr::Nested(Box::new(whole));
}

/// Whether a collation is how texts are compared anyway.
fn by_bytes(collation: &ObjectName) -> bool {
    let last = collation.0.last().and_then(ObjectNamePart::as_ident);
    last.is_some_and(|name| matches!(name.value.as_str(), "C" | "POSIX" | "ucs_basic" | "UTF8_BINARY"))
}

/// Any letter may mark what is meant as it stands in the pattern of a `LIKE`; the query engine knows the backslash.
fn pattern(expression: &mut Expr) {
    let (Expr::Like {
        pattern, escape_char, ..
    }
    | Expr::ILike {
        pattern, escape_char, ..
    }) = expression
    else {
        return;
    };
    if let Some(mark) = escape_char.as_ref().and_then(mark) {
        **pattern = match as_text(pattern) {
            Some(literal) => text(&like_pattern(literal, mark)),
            None => call(
                "pg_like_pattern",
                vec![take(pattern), text(&mark.map(String::from).unwrap_or_default())],
            ),
        };
        *escape_char = None;
    }
}

/// Whether an operator is another one here, or reads its right side otherwise.
fn spelled_otherwise(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::PGStartsWith
            | BinaryOperator::Overlaps
            | BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexIMatch
            | BinaryOperator::PGRegexNotMatch
            | BinaryOperator::PGRegexNotIMatch
    )
}

/// What marks letters in a pattern, unless it is the backslash; `Some(None)` where nothing does.
fn mark(escape: &ValueWithSpan) -> Option<Option<char>> {
    let written = escape.value.clone().into_string()?;
    match written.chars().next() {
        Some('\\') => None,
        other => Some(other),
    }
}

/// The expression itself, leaving nothing behind.
fn take(expression: &mut Box<Expr>) -> Expr {
    std::mem::replace(expression.as_mut(), Expr::value(Value::Null))
}

/// `OPERATOR(pg_catalog.~)` is `~`.
fn operator(op: &mut BinaryOperator) {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else {
        return;
    };
    let plain = match parts.last().map(String::as_str) {
        Some("=") => BinaryOperator::Eq,
        Some("<>") => BinaryOperator::NotEq,
        Some("<") => BinaryOperator::Lt,
        Some(">") => BinaryOperator::Gt,
        Some("<=") => BinaryOperator::LtEq,
        Some(">=") => BinaryOperator::GtEq,
        Some("~") => BinaryOperator::PGRegexMatch,
        Some("~*") => BinaryOperator::PGRegexIMatch,
        Some("!~") => BinaryOperator::PGRegexNotMatch,
        Some("!~*") => BinaryOperator::PGRegexNotIMatch,
        Some("~~") => BinaryOperator::PGLikeMatch,
        Some("~~*") => BinaryOperator::PGILikeMatch,
        Some("!~~") => BinaryOperator::PGNotLikeMatch,
        Some("!~~*") => BinaryOperator::PGNotILikeMatch,
        Some("+") => BinaryOperator::Plus,
        Some("-") => BinaryOperator::Minus,
        Some("*") => BinaryOperator::Multiply,
        Some("/") => BinaryOperator::Divide,
        Some("||") => BinaryOperator::StringConcat,
        _ => return,
    };
    *op = plain;
}
