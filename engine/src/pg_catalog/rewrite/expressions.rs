//! Expressions: operators, casts and functions that PostgreSQL has and the query engine calls otherwise.

mod casts;
mod functions;
mod subqueries;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

pub(super) use self::subqueries::{hollow, never};
use super::names::{as_text, call, text};
use crate::pg_catalog::Postgres;

/// Before the parts of an expression are changed.
pub(super) fn before(expression: &mut Expr) {
    subqueries::change(expression);
    casts::exact(expression);
}

/// After the parts of an expression were changed.
pub(super) fn change(expression: &mut Expr, postgres: &Postgres) {
    match expression {
        Expr::BinaryOp { op, .. } => operator(op),
        Expr::Collate { expr, .. } => *expression = take(expr),
        Expr::AtTimeZone { timestamp, time_zone } => {
            *expression = call("timezone", vec![take(time_zone), take(timestamp)]);
        }
        Expr::Substring {
            expr,
            substring_from: Some(from),
            substring_for: None,
            ..
        } if as_text(from).is_some() => *expression = call("pg_substring", vec![take(expr), take(from)]),
        Expr::Cast { .. } | Expr::TypedString(_) => casts::change(expression),
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
        Expr::Like {
            pattern, escape_char, ..
        }
        | Expr::ILike {
            pattern, escape_char, ..
        } => {
            // Any letter may mark what is meant as it stands; the query engine knows the backslash.
            let mark = escape_char.as_ref().map(|mark| mark.to_string());
            let mark = mark.as_deref().and_then(|mark| mark.trim_matches('\'').chars().next());
            if let (Some(mark), Some(literal)) = (mark.filter(|mark| *mark != '\\'), as_text(pattern)) {
                let marked = literal.replace('\\', "\\\\").replace(mark, "\\");
                **pattern = text(&marked);
                *escape_char = None;
            }
        }
        Expr::Interval(interval) => {
            if let Some(spelled) = as_text(&interval.value).and_then(casts::spelled) {
                *interval.value = text(&spelled);
            }
        }
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
        Expr::CompoundFieldAccess { .. } => functions::fields(expression),
        Expr::UnaryOp { op, expr } if *op == UnaryOperator::Plus => *expression = take(expr),
        _ => {}
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
