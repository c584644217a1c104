//! Lists of a sorted query's rows: `SELECT json_agg(q) FROM (SELECT … ORDER BY …) q` has them in its order.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArgumentClause, FunctionArguments, Ident, OrderBy, OrderByExpr, OrderByKind, Query, Select,
    SelectItem, SetExpr, TableAlias, TableFactor, Value,
};

use super::names::{arguments, as_number, as_text, parts, value};
use super::ties;
use crate::this_query::{self, Change};

/// Lets the lists of a SELECT have the order of the one query that it is of, if that is sorted by columns of its own.
pub(super) fn in_order(select: &mut Select) {
    let Some(keys) = keys(select) else { return };
    let mut lists = Lists { keys };
    this_query::change(&mut select.projection, &mut lists);
    this_query::change(&mut select.having, &mut lists);
    this_query::change(&mut select.qualify, &mut lists);
}

/// The same of what a SELECT is sorted by, which is compared with its columns.
pub(super) fn sorted(query: &mut Query) {
    let Query { body, order_by, .. } = query;
    if let (SetExpr::Select(select), Some(order)) = (&**body, order_by)
        && let Some(keys) = keys(select)
    {
        this_query::change(order, &mut Lists { keys });
    }
}

/// What the one query in FROM is sorted by, as columns of it. None where one of these is no column, or it cannot be told which.
fn keys(select: &Select) -> Option<Vec<OrderByExpr>> {
    let [from] = select.from.as_slice() else { return None };
    let TableFactor::Derived {
        lateral: false,
        subquery,
        alias: Some(alias),
        ..
    } = &from.relation
    else {
        return None;
    };
    let OrderBy {
        kind: OrderByKind::Expressions(keys),
        interpolate: None,
    } = subquery.order_by.as_ref()?
    else {
        return None;
    };
    if !from.joins.is_empty() {
        return None;
    }
    let inner = subquery.body.as_select()?;
    let of = |key: &OrderByExpr| {
        let column = Ident::with_quote('"', column(&key.expr, inner, alias)?);
        let expr = Expr::CompoundIdentifier(vec![alias.name.clone(), column]);
        Some(OrderByExpr { expr, ..key.clone() })
    };
    keys.iter().map(of).collect()
}

/// What the column of a query is called that a key of its order is.
fn column(key: &Expr, inner: &Select, alias: &TableAlias) -> Option<String> {
    if let ([SelectItem::Wildcard(options)], Expr::Identifier(name)) = (inner.projection.as_slice(), key) {
        // All columns of the tables there, of which it names one.
        let plain = options.to_string().is_empty() && alias.columns.is_empty();
        return plain.then(|| value(name));
    }
    let columns: Option<Vec<(String, &Expr)>> = inner.projection.iter().map(ties::column).collect();
    let mut columns = columns?;
    let places: Vec<usize> = match key {
        Expr::Value(place) if matches!(place.value, Value::Number(..)) => {
            let place: usize = as_number(key)?.parse().ok()?;
            vec![place.checked_sub(1)?]
        }
        Expr::Identifier(name) if columns.iter().any(|(called, _)| *called == value(name)) => {
            let wanted = value(name);
            let all = columns.iter().enumerate();
            all.filter(|(_, (called, _))| *called == wanted)
                .map(|(at, _)| at)
                .collect()
        }
        _ => columns
            .iter()
            .position(|(_, column)| *column == key)
            .into_iter()
            .collect(),
    };
    let [place] = places.as_slice() else { return None };
    for ((called, _), name) in columns.iter_mut().zip(&alias.columns) {
        *called = value(&name.name);
    }
    let (wanted, _) = columns.get(*place)?;
    let same = columns.iter().filter(|(called, _)| called == wanted).count();
    (same == 1).then(|| wanted.clone())
}

/// Gives the lists of a SELECT an order.
struct Lists {
    keys: Vec<OrderByExpr>,
}

impl Change for Lists {
    fn before(&mut self, expression: &mut Expr) {
        if let Expr::Function(function) = expression
            && is_list(function)
            && let FunctionArguments::List(list) = &mut function.args
            && list.clauses.is_empty()
            && list.duplicate_treatment.is_none()
        {
            list.clauses.push(FunctionArgumentClause::OrderBy(self.keys.clone()));
        }
    }
}

/// Whether a function gathers rows in an order. A delimiter that is not written out is refused in every order.
fn is_list(function: &Function) -> bool {
    if function.over.is_some() || !function.within_group.is_empty() {
        return false;
    }
    match parts(&function.name).as_slice() {
        [only] if only == "string_agg" => arguments(&function.args)
            .is_some_and(|all| matches!(all.as_slice(), [_, between] if as_text(between).is_some())),
        [only] => matches!(only.as_str(), "array_agg" | "json_agg" | "jsonb_agg"),
        _ => false,
    }
}
