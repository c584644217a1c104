//! `'t'::regclass` among the columns of the result: clients are shown the table's name. Everywhere else it is a number.

use datafusion::sql::sqlparser::ast::{Expr, ObjectNamePart, Query, SelectItem, SetExpr};

use super::expressions::of_class;
use super::names::call;

/// The places of these columns, before anything is changed.
pub(super) fn among(query: &Query) -> Vec<usize> {
    let Some(select) = query.body.as_select() else {
        return Vec::new();
    };
    let columns = select.projection.iter().enumerate();
    let classes = columns.filter(|(_, item)| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => of_class(expr),
        _ => false,
    });
    classes.map(|(at, _)| at).collect()
}

/// Makes names of the numbers that they have become.
pub(super) fn show(query: &mut Query, places: &[usize]) {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return;
    };
    for at in places {
        if let Some(SelectItem::ExprWithAlias { expr, .. }) = select.projection.get_mut(*at)
            && is_number(expr)
        {
            *expr = call("pg_regclass_name", vec![expr.clone()]);
        }
    }
}

fn is_number(expression: &Expr) -> bool {
    let Expr::Function(function) = expression else {
        return false;
    };
    let name = function.name.0.last().and_then(ObjectNamePart::as_ident);
    name.is_some_and(|name| name.value == "pg_regclass")
}
