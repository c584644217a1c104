//! `ARRAY(SELECT …)`: the list of a query's rows, in the order that the query asks for.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, DuplicateTreatment, Expr, FunctionArgumentClause, FunctionArguments, Ident, OrderBy, OrderByExpr,
    OrderByKind, Query, SelectItem, SetExpr, TableFactor, Value, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::super::names::{call, parts, value};
use super::super::projection;
use super::subqueries::{AGGREGATES, grouped, never};

/// The list of the values of a query's one column, empty where it has no rows. None where its order cannot be told.
pub(super) fn array(query: &Query) -> Option<Expr> {
    if never(query) {
        return Some(call("make_array", Vec::new()));
    }
    if let SetExpr::Query(inner) = query.body.as_ref() {
        // In brackets of its own, which may have an order that nothing outside of them sees.
        let bare = query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none();
        return if bare && query.fetch.is_none() {
            array(inner)
        } else {
            None
        };
    }
    let listed = within(query).or_else(|| around(query))?;
    // An aggregate of no rows is null.
    let list = Expr::Subquery(Box::new(listed));
    Some(call("coalesce", vec![list, call("make_array", Vec::new())]))
}

/// The query with its column gathered, which may depend on a query around it. None where rows are chosen or made after that column.
fn within(query: &Query) -> Option<Query> {
    let select = query.body.as_select()?;
    let (column, _) = only(&select.projection)?;
    if query.limit_clause.is_some() || query.fetch.is_some() || makes_rows(column) {
        return None;
    }
    if grouped(select) || select.having.is_some() || select.qualify.is_some() {
        return None;
    }
    let keys = keys(query)?;
    let distinct = match &select.distinct {
        None | Some(Distinct::All) => false,
        Some(Distinct::Distinct) if keys.iter().all(|key| key.expr == *column) => true,
        Some(_) => return None,
    };
    let list = list(column.clone(), distinct, keys);
    let mut query = query.clone();
    query.order_by = None;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.distinct = None;
        select.projection = vec![SelectItem::UnnamedExpr(list)];
    }
    Some(query)
}

/// A query of the query's rows. What they are sorted by are more of its columns.
fn around(query: &Query) -> Option<Query> {
    let keys = keys(query)?;
    let mut inner = query.clone();
    let mut columns = vec!["value".to_owned()];
    let mut order = Vec::new();
    let unlike = inner.body.as_select().and_then(|select| select.distinct.as_ref());
    let plain = matches!(unlike, None | Some(Distinct::All));
    let value_of = inner.body.as_select().and_then(|select| only(&select.projection));
    let value_of = value_of.map(|(column, _)| column.clone());
    for (at, key) in keys.iter().enumerate() {
        let is_value = match &value_of {
            Some(column) => key.expr == *column,
            // The keys of two queries together are their column.
            None => true,
        };
        let name = match is_value {
            true => "value".to_owned(),
            false if plain => {
                let SetExpr::Select(select) = inner.body.as_mut() else {
                    return None;
                };
                let name = format!("key {at}");
                select.projection.push(SelectItem::ExprWithAlias {
                    expr: key.expr.clone(),
                    alias: Ident::with_quote('"', &name),
                });
                columns.push(name.clone());
                name
            }
            false => return None,
        };
        order.push(OrderByExpr {
            expr: Expr::Identifier(Ident::with_quote('"', name)),
            options: key.options,
            with_fill: None,
        });
    }
    if inner.limit_clause.is_none() && inner.fetch.is_none() {
        inner.order_by = None;
    }
    let columns: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    let text = format!("SELECT 1 FROM (SELECT 1) AS \"listed\" ({})", columns.join(", "));
    let mut outer = *Parser::new(&GenericDialect {})
        .try_with_sql(&text)
        .ok()?
        .parse_query()
        .ok()?;
    let SetExpr::Select(select) = outer.body.as_mut() else {
        return None;
    };
    let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation else {
        return None;
    };
    **subquery = inner;
    let column = Expr::Identifier(Ident::with_quote('"', "value"));
    select.projection = vec![SelectItem::UnnamedExpr(list(column, false, order))];
    Some(outer)
}

/// The one column of a query, and what it is called if it says so.
fn only(items: &[SelectItem]) -> Option<(&Expr, Option<&Ident>)> {
    match items {
        [SelectItem::UnnamedExpr(column)] => Some((column, None)),
        [SelectItem::ExprWithAlias { expr, alias }] => Some((expr, Some(alias))),
        _ => None,
    }
}

/// What a query is sorted by, with its column written out where it is named or counted.
fn keys(query: &Query) -> Option<Vec<OrderByExpr>> {
    let keys = match &query.order_by {
        None => return Some(Vec::new()),
        Some(OrderBy {
            kind: OrderByKind::Expressions(keys),
            interpolate: None,
        }) => keys,
        Some(_) => return None,
    };
    let column = query.body.as_select().map(|select| only(&select.projection));
    let of = |key: &OrderByExpr| {
        let counted = match &key.expr {
            Expr::Value(place) => match &place.value {
                Value::Number(place, _) if place == "1" => true,
                Value::Number(..) => return None,
                _ => false,
            },
            _ => false,
        };
        let named = match &key.expr {
            Expr::Identifier(name) => Some(name),
            _ => None,
        };
        let expr = match column {
            Some(column) => {
                let (column, alias) = column?;
                let called = alias.map_or_else(|| projection::called(column), value);
                let is_alias = named.is_some_and(|name| value(name) == called);
                if counted || is_alias {
                    column.clone()
                } else {
                    key.expr.clone()
                }
            }
            // Of two queries together nothing but their column can be named.
            None if counted || named.is_some() => key.expr.clone(),
            None => return None,
        };
        Some(OrderByExpr { expr, ..key.clone() })
    };
    keys.iter().map(of).collect()
}

/// Whether a column makes rows, or is made of several.
fn makes_rows(column: &Expr) -> bool {
    let found = visit_expressions(column, |part| match part {
        Expr::Function(function) => {
            let last = parts(&function.name).pop().unwrap_or_default();
            match function.over.is_some() || last == "unnest" || AGGREGATES.contains(&last.as_str()) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// `array_agg(DISTINCT value ORDER BY keys)`.
fn list(value: Expr, distinct: bool, keys: Vec<OrderByExpr>) -> Expr {
    let mut list = call("array_agg", vec![value]);
    if let Expr::Function(function) = &mut list
        && let FunctionArguments::List(arguments) = &mut function.args
    {
        arguments.duplicate_treatment = distinct.then_some(DuplicateTreatment::Distinct);
        if !keys.is_empty() {
            arguments.clauses = vec![FunctionArgumentClause::OrderBy(keys)];
        }
    }
    list
}
