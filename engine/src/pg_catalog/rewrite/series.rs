//! Series, which everybody expects in their order, though none was asked for.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, GroupByExpr, Ident, OrderBy, OrderByExpr, OrderByKind, OrderByOptions, Query,
    Select, SelectItem, SetExpr, TableFactor, UnaryOperator, Visit, Visitor,
};

use super::names::parts;

/// Asks for the rows of one series in its order. The query engine knows that a series is in order and sorts nothing; it only
/// keeps its threads from mixing the rows.
pub(super) fn in_order(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return;
    };
    if query.order_by.is_some() || query.with.is_some() || !plain(select) {
        return;
    }
    let [from] = select.from.as_slice() else {
        return;
    };
    let (
        TableFactor::Table {
            name,
            alias,
            args: Some(args),
            ..
        },
        [],
    ) = (&from.relation, from.joins.as_slice())
    else {
        return;
    };
    let found = parts(name);
    if found.last().map(String::as_str) != Some("generate_series") {
        return;
    }
    let Some(rises) = rises(&args.args) else {
        return;
    };
    let table = alias
        .as_ref()
        .map_or_else(|| Ident::new("generate_series"), |alias| alias.name.clone());
    let column = alias.as_ref().and_then(|alias| alias.columns.first());
    let column = column.map_or_else(|| table.clone(), |column| column.name.clone());
    let order = OrderByExpr {
        expr: Expr::CompoundIdentifier(vec![table, column]),
        options: OrderByOptions {
            asc: Some(rises),
            nulls_first: None,
        },
        with_fill: None,
    };
    query.order_by = Some(OrderBy {
        kind: OrderByKind::Expressions(vec![order]),
        interpolate: None,
    });
}

/// Whether a series goes up; `None` where its step does not tell.
fn rises(arguments: &[FunctionArg]) -> Option<bool> {
    match arguments {
        [_, _] => Some(true),
        [_, _, FunctionArg::Unnamed(FunctionArgExpr::Expr(step))] => match step {
            Expr::Value(_) => Some(true),
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } if matches!(expr.as_ref(), Expr::Value(_)) => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a query has a row for each of its table's: it calls no function, which might be an aggregate.
fn plain(select: &Select) -> bool {
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(columns, _) if columns.is_empty())
        && select.having.is_none();
    ungrouped
        && select.distinct.is_none()
        && select.projection.iter().all(|item| match item {
            SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } => {
                expression.visit(&mut Calls).is_continue()
            }
            SelectItem::Wildcard(_) => true,
            _ => false,
        })
}

struct Calls;

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Function(_) | Expr::Subquery(_) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}
