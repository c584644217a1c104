//! Operators and forms that the query engine knows by another name.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, CeilFloorKind, DataType, DateTimeField, Expr, ObjectNamePart, UnaryOperator,
    Value,
};

use super::super::names::{arguments, as_text, call, cast, text};
use super::arrays::of_texts;
use super::take;
use crate::pg_catalog::functions::{Options, translated};

pub(super) fn change(expression: &mut Expr) {
    let changed = match expression {
        Expr::UnaryOp { op, expr } => match op {
            UnaryOperator::PGSquareRoot => Some(call("sqrt", vec![take(expr)])),
            UnaryOperator::PGCubeRoot => Some(call("cbrt", vec![take(expr)])),
            UnaryOperator::PGAbs => Some(call("abs", vec![take(expr)])),
            // The bits of a number turned around are one less than its negative.
            UnaryOperator::BitwiseNot => Some(Expr::Nested(Box::new(Expr::BinaryOp {
                left: Box::new(Expr::UnaryOp {
                    op: UnaryOperator::Minus,
                    expr: Box::new(Expr::value(Value::Number("1".into(), false))),
                }),
                op: BinaryOperator::Minus,
                right: Box::new(take(expr)),
            }))),
            _ => None,
        },
        Expr::BinaryOp {
            left,
            op: BinaryOperator::PGStartsWith,
            right,
        } => Some(call("starts_with", vec![take(left), take(right)])),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Overlaps,
            right,
        } => match (left.as_ref(), right.as_ref()) {
            (Expr::Tuple(first), Expr::Tuple(second)) if first.len() == 2 && second.len() == 2 => {
                Some(call("pg_overlaps", [first.as_slice(), second.as_slice()].concat()))
            }
            _ => None,
        },
        Expr::BinaryOp { right, .. } => {
            **right = pattern(take(right));
            None
        }
        Expr::Like {
            negated,
            any: true,
            expr,
            pattern,
            escape_char: None,
        } => list(pattern).map(|patterns| like_any(take(expr), patterns, (false, *negated))),
        Expr::ILike {
            negated,
            any: true,
            expr,
            pattern,
            escape_char: None,
        } => list(pattern).map(|patterns| like_any(take(expr), patterns, (true, *negated))),
        Expr::AnyOp {
            left,
            compare_op,
            right,
            ..
        } => liked(compare_op).and_then(|how| list(right).map(|patterns| like_any(take(left), patterns, how))),
        Expr::AllOp {
            left,
            compare_op,
            right,
        } => liked(compare_op).and_then(|how| list(right).map(|patterns| like_each(take(left), patterns, how))),
        Expr::Ceil { expr, field } if unit_of(field) => Some(call("pg_ceil", vec![take(expr)])),
        Expr::Floor { expr, field } if unit_of(field) => Some(call("pg_floor", vec![take(expr)])),
        Expr::Extract { field, expr, .. } => part(field).map(|function| call(function, vec![take(expr)])),
        Expr::SimilarTo {
            negated,
            expr,
            pattern,
            escape_char,
        } => {
            let op = match negated {
                true => BinaryOperator::PGRegexNotMatch,
                false => BinaryOperator::PGRegexMatch,
            };
            let escape = escape_char
                .as_ref()
                .and_then(|escape| escape.value.clone().into_string());
            let pattern = call(
                "pg_similar",
                vec![take(pattern), text(escape.as_deref().unwrap_or("\\"))],
            );
            Some(Expr::Nested(Box::new(Expr::BinaryOp {
                left: Box::new(take(expr)),
                op,
                right: Box::new(pattern),
            })))
        }
        _ => None,
    };
    if let Some(changed) = changed {
        *expression = changed;
    }
}

/// Patterns that are an array, written out or as a parameter; none of a query.
fn list(patterns: &Expr) -> Option<Expr> {
    let texts = || DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None));
    if let Some(written) = as_text(patterns) {
        return Some(of_texts(written));
    }
    match patterns {
        Expr::Nested(inner) => list(inner),
        // One whose type the client said to be another is cast to that already.
        Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => Some(cast(patterns.clone(), texts())),
        Expr::Subquery(_) | Expr::Tuple(_) | Expr::Value(_) => None,
        other => Some(other.clone()),
    }
}

/// Of an operator that is a `LIKE`, whether capitals are as small letters to it, and whether it is a `NOT LIKE`.
pub(super) fn liked(op: &BinaryOperator) -> Option<(bool, bool)> {
    Some(match op {
        BinaryOperator::PGLikeMatch => (false, false),
        BinaryOperator::PGNotLikeMatch => (false, true),
        BinaryOperator::PGILikeMatch => (true, false),
        BinaryOperator::PGNotILikeMatch => (true, true),
        _ => return None,
    })
}

/// `x LIKE ALL (array)`, which is parsed as a `LIKE` of what a function `ALL` answers; none of another pattern.
pub(super) fn like_all(expression: &mut Expr) -> Option<Expr> {
    let insensitive = matches!(expression, Expr::ILike { .. });
    let (Expr::Like {
        negated,
        any: false,
        expr,
        pattern,
        escape_char: None,
    }
    | Expr::ILike {
        negated,
        any: false,
        expr,
        pattern,
        escape_char: None,
    }) = expression
    else {
        return None;
    };
    let Expr::Function(function) = pattern.as_ref() else {
        return None;
    };
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return None;
    };
    if name.quote_style.is_some() || !name.value.eq_ignore_ascii_case("all") {
        return None;
    }
    let [patterns] = <[Expr; 1]>::try_from(arguments(&function.args)?).ok()?;
    let patterns = list(&patterns)?;
    Some(like_each(take(expr), patterns, (insensitive, *negated)))
}

/// A text is like each pattern where there is none that it is not like.
fn like_each(value: Expr, patterns: Expr, (insensitive, negated): (bool, bool)) -> Expr {
    Expr::Nested(Box::new(Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(like_any(value, patterns, (insensitive, !negated))),
    }))
}

fn like_any(value: Expr, patterns: Expr, (insensitive, negated): (bool, bool)) -> Expr {
    let truth = |truth| Expr::value(Value::Boolean(truth));
    call("pg_like_any", vec![value, patterns, truth(insensitive), truth(negated)])
}

/// What the query engine matches where PostgreSQL matches this.
fn pattern(written: Expr) -> Expr {
    let options = Options::of("");
    match (as_text(&written), options) {
        // One that is none is told of when it is made ready.
        (Some(literal), Ok(options)) => match translated(literal, options) {
            Ok(pattern) => text(&pattern),
            Err(_) => written,
        },
        _ => call("pg_regex", vec![written]),
    }
}

/// Whether it is plain, without a field or digits to round to.
fn unit_of(kind: &CeilFloorKind) -> bool {
    matches!(kind, CeilFloorKind::DateTimeField(DateTimeField::NoDateTime))
}

/// The function of a part that the query engine has not, or not whole.
fn part(field: &DateTimeField) -> Option<&'static str> {
    named_part(&field.to_string().to_lowercase())
}

/// The same by its name.
pub(super) fn named_part(name: &str) -> Option<&'static str> {
    Some(match name {
        "second" | "seconds" => "pg_extract_second",
        "millisecond" | "milliseconds" => "pg_extract_milliseconds",
        "epoch" => "pg_extract_epoch",
        "decade" => "pg_extract_decade",
        "century" => "pg_extract_century",
        "millennium" => "pg_extract_millennium",
        "timezone" => "pg_extract_timezone",
        "timezone_hour" => "pg_extract_timezone_hour",
        "timezone_minute" => "pg_extract_timezone_minute",
        _ => return None,
    })
}

/// The function that cuts to a part of `date_trunc` which the query engine does not know.
pub(super) fn era(written: &Expr) -> Option<&'static str> {
    Some(match as_text(written)?.to_lowercase().as_str() {
        "decade" | "decades" => "pg_trunc_decade",
        "century" | "centuries" => "pg_trunc_century",
        "millennium" | "millennia" => "pg_trunc_millennium",
        _ => return None,
    })
}

/// A part of `date_trunc` as the query engine names it.
pub(super) fn grain(written: &Expr) -> Option<&'static str> {
    Some(match as_text(written)?.to_lowercase().as_str() {
        "microseconds" => "microsecond",
        "milliseconds" => "millisecond",
        "seconds" => "second",
        "minutes" => "minute",
        "hours" => "hour",
        "days" => "day",
        "weeks" => "week",
        "months" => "month",
        "quarters" => "quarter",
        "years" => "year",
        _ => return None,
    })
}
