//! `SELECT DISTINCT f(x) … ORDER BY f(x)`: a key that is written as a column is, is that column.

use datafusion::sql::sqlparser::ast::{Distinct, Expr, OrderBy, OrderByKind, Query, SelectItem, SetExpr, Value};

/// Sorts rows that are told once by the places of their columns: the planner does not find a column again that has got a name.
pub(super) fn of_keys(query: &mut Query) {
    let Query { body, order_by, .. } = query;
    let (SetExpr::Select(select), Some(OrderBy { kind, .. })) = (&**body, order_by) else {
        return;
    };
    let OrderByKind::Expressions(keys) = kind else { return };
    if !matches!(select.distinct, Some(Distinct::Distinct)) {
        return;
    }
    let columns: Option<Vec<&Expr>> = select.projection.iter().map(column).collect();
    let Some(columns) = columns else { return };
    for key in keys {
        let is_named = matches!(
            key.expr,
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_)
        );
        let place = columns.iter().position(|column| **column == key.expr);
        if let Some(place) = place.filter(|_| !is_named) {
            key.expr = Expr::value(Value::Number((place + 1).to_string(), false));
        }
    }
}

fn column(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } => Some(expression),
        _ => None,
    }
}
