//! Names of several columns where a name has to be that of one: alone in `ORDER BY`, `GROUP BY` and `DISTINCT ON`.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr,
};

use super::{Alike, are_one, called, names, shows_all};
use crate::session::parse::value;
use crate::session::sort_keys::plain;

/// The names in what is asked of groups and windows. They are those of columns that are read, so where several that are not one are called so,
/// none of these keeps the name.
pub(super) fn asked(select: &Select) -> BTreeSet<String> {
    let asked = select.having.iter().chain(&select.qualify);
    asked.flat_map(|condition| names(condition).into_keys()).collect()
}

/// Names that are those of several columns. Of two queries put together, columns are never one.
fn doubtful(select: &Select, alone: bool, alike: &Alike) -> BTreeSet<String> {
    let shows_all = shows_all(select);
    let is_given = |at: &usize| matches!(select.projection.get(*at), Some(SelectItem::ExprWithAlias { .. }));
    let of_several = called(select).into_iter().filter(|(name, places)| {
        let again = places.len() > 1 && !(alone && are_one(select, places));
        again || (shows_all && alike.is_column(name) && places.iter().any(is_given))
    });
    of_several.map(|(name, _)| name).collect()
}

/// Such a name that a query is sorted by.
pub(super) fn sorted_by(query: &Query, alike: &Alike) -> Option<String> {
    let (select, alone) = first(&query.body)?;
    let doubtful = doubtful(select, alone, alike);
    let OrderBy {
        kind: OrderByKind::Expressions(keys),
        ..
    } = query.order_by.as_ref()?
    else {
        return None;
    };
    keys.iter().find_map(|key| alone_in(&key.expr, &doubtful))
}

/// Such a name that a SELECT makes groups by. A column that is read goes before those that are shown.
pub(super) fn grouped_by(select: &Select, alike: &Alike) -> Option<String> {
    let mut doubtful = doubtful(select, true, alike);
    if let Some(Distinct::On(keys)) = &select.distinct
        && let Some(name) = keys.iter().find_map(|key| alone_in(key, &doubtful))
    {
        return Some(name);
    }
    for item in &select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
            && let Expr::Identifier(ident) = plain(expr)
        {
            doubtful.remove(&value(ident));
        }
    }
    match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys.iter().find_map(|key| alone_in(key, &doubtful)),
        GroupByExpr::All(_) => None,
    }
}

/// The name that an expression is, if it is one of these.
fn alone_in(expr: &Expr, names: &BTreeSet<String>) -> Option<String> {
    match plain(expr) {
        Expr::Identifier(ident) => Some(value(ident)).filter(|name| names.contains(name)),
        _ => None,
    }
}

/// The SELECT that names the columns of a query, and whether it is all of it.
fn first(body: &SetExpr) -> Option<(&Select, bool)> {
    match body {
        SetExpr::Select(select) => Some((select, true)),
        SetExpr::SetOperation { left, .. } => first(left).map(|(select, _)| (select, false)),
        SetExpr::Query(query) => first(&query.body),
        _ => None,
    }
}
