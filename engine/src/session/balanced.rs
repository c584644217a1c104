//! Conditions in a row as a tree that is as low as it can be: the parser makes `a OR b OR c …` one level deeper with each.

use std::mem::replace;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Statement, Value, VisitMut, VisitorMut};

/// Fewer stay as they were written.
const OPERANDS_MIN: usize = 16;

/// Sets brackets: what they mean stays, for AND and OR may be grouped in any way.
pub(super) fn conditions(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Balanced);
}

struct Balanced;

impl VisitorMut for Balanced {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::BinaryOp { op, .. } = expr else {
            return ControlFlow::Continue(());
        };
        if !matches!(op, BinaryOperator::And | BinaryOperator::Or) {
            return ControlFlow::Continue(());
        }
        let operator = op.clone();
        if length(expr, &operator) >= OPERANDS_MIN {
            let whole = replace(expr, Expr::Value(Value::Null.into()));
            let mut operands = taken(whole, &operator);
            *expr = tree(&mut operands, &operator);
        }
        ControlFlow::Continue(())
    }
}

/// How many operands stand in a row, without recursion: this is the tree that is too deep for it.
fn length(mut expr: &Expr, operator: &BinaryOperator) -> usize {
    let mut count = 1;
    while let Expr::BinaryOp { left, op, .. } = expr
        && op == operator
    {
        count += 1;
        expr = left;
    }
    count
}

/// The operands, the last one first.
fn taken(mut expr: Expr, operator: &BinaryOperator) -> Vec<Expr> {
    let mut operands = Vec::new();
    loop {
        match expr {
            Expr::BinaryOp { left, op, right } if op == *operator => {
                operands.push(*right);
                expr = *left;
            }
            first => {
                operands.push(first);
                return operands;
            }
        }
    }
}

/// Makes one of them, in the order that they were written in.
fn tree(operands: &mut Vec<Expr>, operator: &BinaryOperator) -> Expr {
    fn part(operands: &mut Vec<Expr>, count: usize, operator: &BinaryOperator) -> Expr {
        if count <= 1 {
            return operands.pop().unwrap_or_else(|| Expr::Value(Value::Null.into()));
        }
        let left = part(operands, count / 2, operator);
        let right = part(operands, count - count / 2, operator);
        Expr::BinaryOp {
            left: Box::new(left),
            op: operator.clone(),
            right: Box::new(right),
        }
    }
    let count = operands.len();
    part(operands, count, operator)
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn depth(expr: &Expr) -> usize {
        match expr {
            Expr::BinaryOp { left, right, .. } => 1 + depth(left).max(depth(right)),
            Expr::Nested(inner) => depth(inner),
            _ => 0,
        }
    }

    // Goal: a row of conditions becomes low and keeps its operands in their order. Method: rows of both kinds, one in the other.
    #[test]
    fn rows_of_conditions_are_low() {
        let row = |of: &str, count: usize, between: &str| {
            let parts: Vec<String> = (0..count).map(|number| format!("{of}{number}")).collect();
            parts.join(between)
        };
        let text = format!(
            "{} AND ({}) AND {}",
            row("a", 100, " AND "),
            row("b", 64, " OR "),
            row("c", 92, " AND ")
        );
        let mut parsed = Parser::parse_sql(&GenericDialect {}, &format!("SELECT {text}")).expect("a statement");
        let statement = parsed.first_mut().expect("one");
        conditions(statement);
        assert_eq!(statement.to_string(), format!("SELECT {text}"));
        let mut deepest = 0;
        let _: ControlFlow<()> = datafusion::sql::sqlparser::ast::visit_expressions(statement, |expr| {
            deepest = deepest.max(depth(expr));
            ControlFlow::Continue(())
        });
        assert!((8..=15).contains(&deepest), "{deepest}");
    }
}
