//! `FETCH FIRST n ROWS WITH TIES`: the rows whose rank is no more than `n`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Distinct, Expr, LimitClause, OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr,
    Value, Visit, Visitor, WindowSpec, WindowType, visit_expressions,
};

use super::expressions::parts_of;
use super::names::{as_number, call, parts, value};
use super::projection;
use crate::this_query;

/// Functions whose answers are rows, beside those of JSON.
const MAKERS: &[&str] = &[
    "_pg_expandarray",
    "generate_series",
    "generate_subscripts",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
    "unnest",
];

/// Lets the rank of a row decide. What cannot be ranked so is left, and refused when it is planned.
pub(super) fn ranked(query: &mut Query) {
    let Some(condition) = condition(query) else { return };
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.qualify = Some(condition);
        query.fetch = None;
    }
}

fn condition(query: &Query) -> Option<Expr> {
    let fetch = query.fetch.as_ref().filter(|fetch| fetch.with_ties && !fetch.percent)?;
    let select = query.body.as_select()?;
    if !matches!(select.distinct, None | Some(Distinct::All)) || select.qualify.is_some() {
        return None;
    }
    // Rows that columns make are counted, and come after the rank.
    if this_query::has(&select.projection, makes_rows) {
        return None;
    }
    let wanted = fetch.quantity.as_ref().map_or(Some(1), count)?;
    let skipped = match &query.limit_clause {
        None => 0,
        Some(LimitClause::LimitOffset {
            limit: None,
            offset: Some(offset),
            limit_by,
        }) if limit_by.is_empty() => count(&offset.value)?,
        Some(_) => return None,
    };
    let OrderBy {
        kind: OrderByKind::Expressions(keys),
        interpolate: None,
    } = query.order_by.as_ref()?
    else {
        return None;
    };
    let keys = keys
        .iter()
        .map(|key| written_out(key, select))
        .collect::<Option<Vec<_>>>()?;
    let mut rank = call("rank", Vec::new());
    if let Expr::Function(function) = &mut rank {
        function.over = Some(WindowType::WindowSpec(WindowSpec {
            window_name: None,
            partition_by: Vec::new(),
            order_by: keys,
            window_frame: None,
        }));
    }
    let last = match wanted {
        0 => 0,
        wanted => wanted.checked_add(skipped)?,
    };
    Some(Expr::BinaryOp {
        left: Box::new(rank),
        op: BinaryOperator::LtEq,
        right: Box::new(Expr::value(Value::Number(last.to_string(), false))),
    })
}

/// A number of rows that is written out: null would mean all of them.
fn count(rows: &Expr) -> Option<u32> {
    as_number(rows)?.parse().ok()
}

/// A key that names or counts a column of the query, as what that column is.
fn written_out(key: &OrderByExpr, select: &Select) -> Option<OrderByExpr> {
    let expr = match &key.expr {
        Expr::Value(place) if matches!(place.value, Value::Number(..)) => {
            let place = usize::try_from(count(&key.expr)?).ok()?.checked_sub(1)?;
            let before = select.projection.get(..=place)?;
            let items: Option<Vec<&Expr>> = before.iter().map(|item| column(item).map(|(_, expr)| expr)).collect();
            (*items?.last()?).clone()
        }
        Expr::Identifier(name) => {
            let wanted = value(name);
            let columns = select.projection.iter().filter_map(column);
            let mut named = columns.filter(|(called, _)| *called == wanted).map(|(_, expr)| expr);
            match (named.next(), named.next()) {
                (None, _) => key.expr.clone(),
                (Some(column), None) => column.clone(),
                (Some(_), Some(_)) => return None,
            }
        }
        other => other.clone(),
    };
    // It is asked for two times: to rank and to sort. There is no rank by a rank.
    let asks = expr.visit(&mut Queries).is_break() || this_query::has(&expr, makes_rows);
    (!asks && !over_rows(&expr)).then(|| OrderByExpr { expr, ..key.clone() })
}

/// Whether a function over a window is in it.
fn over_rows(expression: &Expr) -> bool {
    let found = visit_expressions(expression, |part| match part {
        Expr::Function(function) if function.over.is_some() => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// A column of a query and what it is called; none of a wildcard.
pub(super) fn column(item: &SelectItem) -> Option<(String, &Expr)> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some((projection::called(expr), expr)),
        SelectItem::ExprWithAlias { expr, alias } => Some((value(alias), expr)),
        _ => None,
    }
}

/// Finds a query within an expression.
pub(super) struct Queries;

impl Visitor for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

/// Whether it is a function whose answers are rows.
fn makes_rows(expression: &Expr) -> bool {
    let Expr::Function(function) = expression else {
        return false;
    };
    let last = parts(&function.name).pop().unwrap_or_default();
    MAKERS.contains(&last.as_str()) || parts_of(&last).is_some()
}
