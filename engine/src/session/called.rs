//! Expressions that are changed and called as they were. The sets of a `ROLLUP` are no column themselves: what is called something are
//! the expressions within them.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr_rewriter::NamePreserver;

/// The expression of a plan, changed, under its name.
pub(crate) fn as_called<F>(expr: Expr, names: &NamePreserver, change: &mut F) -> Result<Transformed<Expr>>
where
    F: FnMut(Expr) -> Result<Transformed<Expr>>,
{
    if matches!(expr, Expr::GroupingSet(_)) {
        return expr.map_children(|expr| as_called(expr, names, change));
    }
    let name = names.save(&expr);
    Ok(change(expr)?.update_data(|expr| name.restore(expr)))
}
