//! `x = ANY (list)` where its being unknown matters. DataFusion 55.2 takes it for false where the list has a null and not `x`, so that
//! `NOT x = ANY (list)` would be true. Of `ALL` it knows what is unknown.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, JoinConstraint, JoinOperator, Select, Statement, UnaryOperator, VisitMut, VisitorMut,
    visit_expressions_mut,
};

/// Says `x = ANY (list)` as `NOT x <> ALL (list)`, and so for every comparison, but where false and unknown are the same: there files are
/// left out by it.
pub(super) fn known(statement: &mut Statement) {
    // SOME is another word for ANY. From here on it stands for an ANY that stays.
    let _: ControlFlow<()> = visit_expressions_mut(statement, |expr| {
        if let Expr::AnyOp { is_some, .. } = expr {
            *is_some = false;
        }
        ControlFlow::Continue(())
    });
    let _: ControlFlow<()> = statement.visit(&mut Lists);
}

struct Lists;

impl VisitorMut for Lists {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for condition in select.selection.iter_mut().chain(&mut select.having) {
            stays(condition);
        }
        for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
            if let JoinOperator::Join(on) | JoinOperator::Inner(on) = &mut join.join_operator
                && let JoinConstraint::On(condition) = on
            {
                stays(condition);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::AnyOp {
            left,
            compare_op,
            right,
            is_some: false,
        } = expr
            && !matches!(right.as_ref(), Expr::Subquery(_))
            && let Some(opposite) = opposite(compare_op)
        {
            let all = Expr::AllOp {
                left: left.clone(),
                compare_op: opposite,
                right: right.clone(),
            };
            let not = Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr: Box::new(Expr::Nested(Box::new(all))),
            };
            *expr = Expr::Nested(Box::new(not));
        }
        ControlFlow::Continue(())
    }
}

/// Lets stay what stands for itself in a condition, or beside others.
fn stays(condition: &mut Expr) {
    match condition {
        Expr::Nested(inner) => stays(inner),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And | BinaryOperator::Or,
            right,
        } => {
            stays(left);
            stays(right);
        }
        Expr::AnyOp { is_some, .. } => *is_some = true,
        _ => {}
    }
}

/// What holds of two values exactly where this does not.
fn opposite(op: &BinaryOperator) -> Option<BinaryOperator> {
    Some(match op {
        BinaryOperator::Eq => BinaryOperator::NotEq,
        BinaryOperator::NotEq => BinaryOperator::Eq,
        BinaryOperator::Lt => BinaryOperator::GtEq,
        BinaryOperator::LtEq => BinaryOperator::Gt,
        BinaryOperator::Gt => BinaryOperator::LtEq,
        BinaryOperator::GtEq => BinaryOperator::Lt,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: whether a value is in a list is unknown where SQL says so, wherever it stands, and conditions find what they must. Method: lists
    // with a match, with a null and none, without either, without items, and no list at all.
    #[tokio::test]
    async fn what_is_unknown_is_neither() {
        let lake = Lake::new();
        let rows = "FROM (VALUES (1, make_array(1, NULL)), (2, make_array(3, NULL)), (3, make_array(3, 4)), \
                    (4, array_remove_all(make_array(5), 5)), (5, NULL)) AS v (id, l)";
        for (condition, wanted) in [
            ("1 = ANY (l)", vec!["1"]),
            ("1 = SOME (l)", vec!["1"]),
            ("NOT 1 = ANY (l)", vec!["3", "4"]),
            ("NOT (1 = ANY (l) AND id > 0)", vec!["3", "4"]),
            ("(1 = ANY (l)) IS NULL", vec!["2", "5"]),
            ("(1 = ANY (l)) IS NOT TRUE", vec!["2", "3", "4", "5"]),
            ("1 = ANY (l) OR id = 3", vec!["1", "3"]),
            ("CASE WHEN NOT 1 = ANY (l) THEN true ELSE false END", vec!["3", "4"]),
            ("9 < ANY (l) IS NULL", vec!["1", "2", "5"]),
            ("NOT 9 < ANY (l)", vec!["3", "4"]),
            ("2 < ANY (l)", vec!["2", "3"]),
        ] {
            let sql = format!("SELECT id {rows} WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, wanted, "{condition}");
        }
        let sql = format!("SELECT id, 1 = ANY (l) {rows}");
        assert_eq!(lake.lines(&sql).await, ["1,true", "2,", "3,false", "4,false", "5,"]);
    }
}
