//! `a IS DISTINCT FROM b AND c`: sqlparser 0.62 reads everything behind `FROM` as its second operand, where SQL means
//! `(a IS DISTINCT FROM b) AND c`. What stands in brackets is told apart, so the operands can be put where they belong.

use std::mem::replace;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Statement, UnaryOperator, Value, VisitMut, VisitorMut};

/// Groups them as SQL does.
pub(super) fn regroup(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Regrouped);
}

struct Regrouped;

impl VisitorMut for Regrouped {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if swallowed(expr) {
            let mut row = Row::default();
            row.take(replace(expr, null()));
            *expr = row.grouped();
        }
        ControlFlow::Continue(())
    }
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

fn is_condition(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::And | BinaryOperator::Or)
}

/// Whether a comparison at the end of this row of conditions has taken conditions that are not its own.
fn swallowed(mut expr: &Expr) -> bool {
    loop {
        match expr {
            // A long row is deep on its left.
            Expr::BinaryOp { left, op, right } if is_condition(op) => {
                if swallowed(right) {
                    return true;
                }
                expr = left;
            }
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr: inner,
            } => expr = inner,
            Expr::IsDistinctFrom(_, second) | Expr::IsNotDistinctFrom(_, second) => {
                return matches!(&**second, Expr::BinaryOp { op, .. } if is_condition(op)) || swallowed(second);
            }
            _ => return false,
        }
    }
}

/// Operands in the order that they were written in.
#[derive(Default)]
struct Row {
    operands: Vec<Expr>,
    /// One fewer.
    operators: Vec<BinaryOperator>,
}

impl Row {
    fn take(&mut self, expr: Expr) {
        match expr {
            Expr::BinaryOp { left, op, right } if is_condition(&op) => {
                self.take(*left);
                self.operators.push(op);
                self.take(*right);
            }
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } => self.around(*expr, |first| Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr: first.into(),
            }),
            Expr::IsDistinctFrom(first, second) => {
                self.around(*second, |second| Expr::IsDistinctFrom(first, second.into()));
            }
            Expr::IsNotDistinctFrom(first, second) => {
                self.around(*second, |second| Expr::IsNotDistinctFrom(first, second.into()));
            }
            other => self.operands.push(other),
        }
    }

    /// What binds more tightly has the first operand only.
    fn around(&mut self, expr: Expr, with: impl FnOnce(Expr) -> Expr) {
        let at = self.operands.len();
        self.take(expr);
        if let Some(first) = self.operands.get_mut(at) {
            let operand = replace(first, null());
            *first = with(operand);
        }
    }

    /// `AND` before `OR`, each from the left.
    fn grouped(self) -> Expr {
        let mut operands = self.operands.into_iter();
        let mut all: Option<Expr> = None;
        let mut part = operands.next().unwrap_or_else(null);
        for (op, operand) in self.operators.into_iter().zip(operands) {
            match op {
                BinaryOperator::And => part = joined(part, BinaryOperator::And, operand),
                _ => {
                    let before = replace(&mut part, operand);
                    all = Some(or(all, before));
                }
            }
        }
        or(all, part)
    }
}

fn or(all: Option<Expr>, part: Expr) -> Expr {
    match all {
        Some(all) => joined(all, BinaryOperator::Or, part),
        None => part,
    }
}

fn joined(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: left.into(),
        op,
        right: right.into(),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    // Goal: the second operand ends where SQL ends it, whatever stands around. Method: conditions in a row, read again and compared
    // with the same in brackets.
    #[test]
    fn operands_are_where_they_belong() {
        let read = |text: &str| -> Expr {
            let parsed = Parser::new(&GenericDialect {}).try_with_sql(text);
            let mut parsed = parsed.and_then(|mut parser| parser.parse_expr()).expect(text);
            let _: ControlFlow<()> = parsed.visit(&mut Regrouped);
            parsed
        };
        struct Bare;
        impl VisitorMut for Bare {
            type Break = ();
            fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
                if let Expr::Nested(inner) = expr {
                    *expr = replace(&mut **inner, null());
                }
                ControlFlow::Continue(())
            }
        }
        let bare = |mut expr: Expr| {
            let _: ControlFlow<()> = expr.visit(&mut Bare);
            expr
        };
        for (written, meant) in [
            ("a IS DISTINCT FROM b AND c", "(a IS DISTINCT FROM b) AND c"),
            ("a IS NOT DISTINCT FROM b OR c", "(a IS NOT DISTINCT FROM b) OR c"),
            ("x AND a IS DISTINCT FROM b OR c", "(x AND (a IS DISTINCT FROM b)) OR c"),
            ("x OR a IS DISTINCT FROM b AND c", "x OR ((a IS DISTINCT FROM b) AND c)"),
            ("NOT a IS DISTINCT FROM b AND c", "(NOT (a IS DISTINCT FROM b)) AND c"),
            (
                "a IS DISTINCT FROM b AND c IS DISTINCT FROM d OR e",
                "((a IS DISTINCT FROM b) AND (c IS DISTINCT FROM d)) OR e",
            ),
            (
                "a IS DISTINCT FROM b + 1 AND c = 2",
                "(a IS DISTINCT FROM (b + 1)) AND (c = 2)",
            ),
            ("a IS DISTINCT FROM (b AND c)", "a IS DISTINCT FROM (b AND c)"),
            ("f(a IS DISTINCT FROM b AND c)", "f((a IS DISTINCT FROM b) AND c)"),
            ("a IS DISTINCT FROM b", "a IS DISTINCT FROM b"),
        ] {
            let plain = Parser::new(&GenericDialect {}).try_with_sql(meant);
            let meant = plain.and_then(|mut parser| parser.parse_expr()).expect(meant);
            // In the second nothing is swallowed, for all is in brackets.
            assert_eq!(bare(read(written)), bare(meant), "{written}");
        }
    }
}
