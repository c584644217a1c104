//! Comparisons of rows, `(a, b) = (1, 2)`, as comparisons of their parts: the query engine compares them as structs, for which null
//! equals null and is less than all else.

use std::mem::take;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Statement, UnaryOperator, Value, VisitMut, VisitorMut};

/// Writes comparisons of rows as SQL defines them.
pub(super) fn compared(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Tuples);
}

struct Tuples;

impl VisitorMut for Tuples {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(written) = by_parts(expr) {
            *expr = Expr::Nested(Box::new(written));
        }
        ControlFlow::Continue(())
    }
}

fn by_parts(expr: &mut Expr) -> Option<Expr> {
    match expr {
        Expr::BinaryOp { left, op, right } => {
            let (Expr::Tuple(left), Expr::Tuple(right)) = (left.as_mut(), right.as_mut()) else {
                return None;
            };
            if left.len() != right.len() || left.is_empty() {
                return None;
            }
            let comparison = Comparison::of(op)?;
            let (left, right) = (take(left), take(right));
            Some(comparison.written(&left, &right))
        }
        Expr::InList { expr, list, negated } => {
            let Expr::Tuple(row) = expr.as_ref() else { return None };
            let of_row = |other: &Expr| matches!(other, Expr::Tuple(parts) if parts.len() == row.len());
            if row.is_empty() || !list.iter().all(of_row) {
                return None;
            }
            let equal = list.iter().filter_map(|other| match other {
                Expr::Tuple(parts) => Some(Comparison::Equal.written(row, parts)),
                _ => None,
            });
            let any = joined(equal.collect(), &BinaryOperator::Or)?;
            Some(if *negated { not(any) } else { any })
        }
        _ => None,
    }
}

enum Comparison {
    Equal,
    NotEqual,
    /// What the first parts that differ have to be, and the last ones.
    Ordered(BinaryOperator, BinaryOperator),
}

impl Comparison {
    fn of(op: &BinaryOperator) -> Option<Self> {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        Some(match op {
            Eq => Self::Equal,
            NotEq => Self::NotEqual,
            Lt | LtEq => Self::Ordered(Lt, op.clone()),
            Gt | GtEq => Self::Ordered(Gt, op.clone()),
            _ => return None,
        })
    }

    fn written(&self, left: &[Expr], right: &[Expr]) -> Expr {
        let pairs = || left.iter().zip(right);
        let every = |op: &BinaryOperator| {
            pairs()
                .map(|(left, right)| binary(left.clone(), op, right.clone()))
                .collect()
        };
        match self {
            Self::Equal => joined(every(&BinaryOperator::Eq), &BinaryOperator::And).unwrap_or_else(null),
            Self::NotEqual => joined(every(&BinaryOperator::NotEq), &BinaryOperator::Or).unwrap_or_else(null),
            Self::Ordered(first, last) => {
                let mut written: Option<Expr> = None;
                for (left, right) in pairs().rev() {
                    written = Some(match written {
                        None => binary(left.clone(), last, right.clone()),
                        Some(rest) => {
                            let equal = binary(left.clone(), &BinaryOperator::Eq, right.clone());
                            let tied = nested(binary(equal, &BinaryOperator::And, rest));
                            nested(binary(
                                binary(left.clone(), first, right.clone()),
                                &BinaryOperator::Or,
                                tied,
                            ))
                        }
                    });
                }
                written.unwrap_or_else(null)
            }
        }
    }
}

fn joined(parts: Vec<Expr>, op: &BinaryOperator) -> Option<Expr> {
    let all = parts.into_iter().reduce(|all, part| binary(all, op, part))?;
    Some(nested(all))
}

fn binary(left: Expr, op: &BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op: op.clone(),
        right: Box::new(right),
    }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(expr),
    }
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: rows compare as their parts do, with nulls. Method: each comparison, with the truth that SQL says it has.
    #[tokio::test]
    async fn rows_compare_by_their_parts() {
        let lake = Lake::new();
        for (sql, truth) in [
            ("(1, 2) = (1, 2)", "true"),
            ("(1, 2) = (1, NULL)", ""),
            ("(1, 2) = (2, NULL)", "false"),
            ("(1, 2) <> (2, NULL)", "true"),
            ("(1, 2) <> (1, NULL)", ""),
            ("(1, NULL) < (2, 1)", "true"),
            ("(NULL, 1) < (1, 1)", ""),
            ("(1, 2, 3) <= (1, 2, 3)", "true"),
            ("(1, 2, 4) > (1, 2, 3)", "true"),
            ("(1, 2) IN ((3, 4), (1, 2))", "true"),
            ("(1, 2) IN ((3, 4), (1, NULL))", ""),
            ("(1, 2) NOT IN ((3, 4), (2, NULL))", "true"),
        ] {
            assert_eq!(lake.lines(&format!("SELECT {sql}")).await, [truth], "{sql}");
        }
    }
}
