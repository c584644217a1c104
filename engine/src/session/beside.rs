//! Values that stand beside one another in a comparison or a calculation, and so have to be of one type.

use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// Gives `align` the values that stand beside one another in `expr`: those of an operator of which `of` is true, of a `BETWEEN`, and
/// of a list. It says whether it changed one.
pub(super) fn aligned(
    expr: Expr,
    of: impl FnOnce(Operator) -> bool,
    align: impl FnOnce(&mut [&mut Expr]) -> bool,
) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            mut left,
            op,
            mut right,
        }) if of(op) => {
            let changed = align(&mut [left.as_mut(), right.as_mut()]);
            let expr = Expr::BinaryExpr(BinaryExpr { left, op, right });
            Transformed::new_transformed(expr, changed)
        }
        Expr::Between(mut between) => {
            let Between { expr, low, high, .. } = &mut between;
            let changed = align(&mut [expr.as_mut(), low.as_mut(), high.as_mut()]);
            Transformed::new_transformed(Expr::Between(between), changed)
        }
        Expr::InList(mut list) => {
            let InList { expr, list: values, .. } = &mut list;
            let mut sides: Vec<&mut Expr> = values.iter_mut().collect();
            sides.push(expr.as_mut());
            let changed = align(&mut sides);
            Transformed::new_transformed(Expr::InList(list), changed)
        }
        expr => Transformed::no(expr),
    }
}
