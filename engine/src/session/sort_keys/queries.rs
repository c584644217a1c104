//! The queries of a statement, and what each is sorted by.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, OrderBy, OrderByKind, Query, Select, SetExpr, Statement as SqlStatement, VisitMut, VisitorMut,
};

use super::names::{names, shown};

/// Does something to each query of a statement, after those within it. They are counted as they begin.
pub(in crate::session) fn each(statement: &mut SqlStatement, does: &mut dyn FnMut(usize, &mut Query)) {
    let mut queries = Queries {
        begun: 0,
        open: Vec::new(),
        does,
    };
    let _: ControlFlow<()> = statement.visit(&mut queries);
}

struct Queries<'a> {
    begun: usize,
    /// The numbers of those that are around what is visited.
    open: Vec<usize>,
    does: &'a mut dyn FnMut(usize, &mut Query),
}

impl VisitorMut for Queries<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.open.push(self.begun);
        self.begun += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(at) = self.open.pop() {
            (self.does)(at, query);
        }
        ControlFlow::Continue(())
    }
}

/// `(SELECT …) ORDER BY …` is one query.
pub(super) fn unwrapped(query: &mut Query) {
    let (Some(keys), SetExpr::Query(_), Some(select)) = (keys(query), query.body.as_ref(), bare(&query.body)) else {
        return;
    };
    let shown = shown(select);
    if keys.iter().any(|key| !names(key).is_disjoint(&shown)) {
        let select = select.clone();
        *query.body = SetExpr::Select(Box::new(select));
    }
}

/// The SELECT that a query is, with nothing but brackets around it.
fn bare(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query)
            if query.with.is_none()
                && query.order_by.is_none()
                && query.limit_clause.is_none()
                && query.fetch.is_none()
                && query.pipe_operators.is_empty() =>
        {
            bare(&query.body)
        }
        _ => None,
    }
}

/// What a query is sorted by.
fn keys(query: &Query) -> Option<Vec<&Expr>> {
    match query.order_by.as_ref()? {
        OrderBy {
            kind: OrderByKind::Expressions(keys),
            ..
        } => Some(keys.iter().map(|key| &key.expr).collect()),
        _ => None,
    }
}

/// Does something with a SELECT that is sorted, the names that doubts are about, and its keys. Those beside `DISTINCT ON` are understood.
pub(super) fn sorted<T>(
    query: &mut Query,
    does: impl FnOnce(&mut Select, &BTreeSet<String>, Vec<&mut Expr>) -> T,
) -> Option<T> {
    let Query { body, order_by, .. } = query;
    let SetExpr::Select(select) = body.as_mut() else {
        return None;
    };
    let OrderBy {
        kind: OrderByKind::Expressions(keys),
        ..
    } = order_by.as_mut()?
    else {
        return None;
    };
    if matches!(select.distinct, Some(Distinct::On(_))) {
        return None;
    }
    let shown = shown(select);
    let keys = keys.iter_mut().map(|key| &mut key.expr).collect();
    Some(does(select, &shown, keys))
}
