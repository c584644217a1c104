//! Arrays that a statement writes as a text.

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, BinaryOperator, DataType, Expr, Value};

use super::super::names::{as_text, call, cast, text};
use crate::pg_catalog::array_text::elements;
use crate::this_query;

/// Elements that are compared one by one; with more the array is compared as such.
const COMPARISONS_MAX: usize = 1_000;

/// Functions that answer otherwise each time.
const VOLATILE: [&str; 4] = ["random", "gen_random_uuid", "clock_timestamp", "timeofday"];

/// An array of texts. One that is malformed is told when it is asked for.
pub(super) fn of_texts(written: &str) -> Expr {
    let Ok(items) = elements(written) else {
        return call("pg_array_of_text", vec![text(written)]);
    };
    let items = items.into_iter().map(|item| match item {
        Some(item) => text(&item),
        None => cast(Expr::value(Value::Null), DataType::Text),
    });
    let texts = DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None));
    cast(call("make_array", items.collect()), texts)
}

/// `x = ANY ('{a,b}')` and its like as comparisons with each element, which is a literal there and so of the type of `x`. None where
/// no array is written out.
pub(super) fn compared(left: &Expr, op: &BinaryOperator, right: &mut Expr, all: bool) -> Option<Expr> {
    let written = as_text(right)?.to_owned();
    let Ok(items) = elements(&written) else {
        *right = of_texts(&written);
        return None;
    };
    // Of none, whatever `x` is.
    if items.is_empty() {
        return Some(Expr::value(Value::Boolean(all)));
    }
    let items = items.into_iter().map(|item| match item {
        Some(item) => text(&item),
        None => Expr::value(Value::Null),
    });
    if matches!((op, all), (BinaryOperator::Eq, false) | (BinaryOperator::NotEq, true)) {
        return Some(Expr::InList {
            expr: operand(left),
            list: items.collect(),
            negated: all,
        });
    }
    // What is compared stands once for each element.
    if items.len() > COMPARISONS_MAX || !is_repeatable(left) {
        *right = of_texts(&written);
        return None;
    }
    let comparisons = items.map(|item| binary(operand(left), op.clone(), Box::new(item)));
    let comparisons: Vec<Expr> = comparisons.collect();
    let between = match all {
        true => BinaryOperator::And,
        false => BinaryOperator::Or,
    };
    joined(&comparisons, &between)
}

/// Whether it may stand for each element anew: it is the same however often it is asked for, and no query.
fn is_repeatable(left: &Expr) -> bool {
    !this_query::has(left, |part| match part {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => true,
        Expr::Function(function) => VOLATILE.contains(&function.name.to_string().to_lowercase().as_str()),
        _ => false,
    })
}

/// What stands on the left, in brackets where operators may bind otherwise.
fn operand(left: &Expr) -> Box<Expr> {
    Box::new(match left {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) | Expr::Function(_) | Expr::Nested(_) => {
            left.clone()
        }
        other => Expr::Nested(Box::new(other.clone())),
    })
}

fn binary(left: Box<Expr>, op: BinaryOperator, right: Box<Expr>) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp { left, op, right }))
}

/// The conditions as a tree that is as low as it can be.
fn joined(conditions: &[Expr], between: &BinaryOperator) -> Option<Expr> {
    match conditions {
        [] => None,
        [only] => Some(only.clone()),
        _ => {
            let (first, second) = conditions.split_at(conditions.len() / 2);
            let (first, second) = (joined(first, between)?, joined(second, between)?);
            Some(binary(Box::new(first), between.clone(), Box::new(second)))
        }
    }
}
