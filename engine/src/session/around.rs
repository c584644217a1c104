//! The queries of a statement, and which of them see columns of the one around: those in expressions, and those that are LATERAL.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, FunctionArguments, Query, Select, TableFactor, VisitMut, VisitorMut};

/// What is done to each query, before it is done to those within it.
pub(super) trait Queries {
    /// With its order, before its SELECTs.
    fn query(&mut self, query: &mut Query, sees_around: bool);

    /// Each SELECT of it.
    fn select(&mut self, select: &mut Select, sees_around: bool);
}

/// Does it to each query of a statement, or of a part of one.
pub(super) fn each(part: &mut impl VisitMut, queries: &mut impl Queries) {
    let _: ControlFlow<()> = part.visit(&mut Around { queries, depth: 0 });
}

struct Around<'a, Q> {
    queries: &'a mut Q,
    /// Expressions with queries, and queries that are LATERAL, around what is visited.
    depth: usize,
}

impl<Q: Queries> VisitorMut for Around<'_, Q> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.queries.query(query, self.depth > 0);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.queries.select(select, self.depth > 0);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        self.depth += usize::from(is_lateral(factor));
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        self.depth -= usize::from(is_lateral(factor));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.depth += usize::from(has_query(expr));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.depth -= usize::from(has_query(expr));
        ControlFlow::Continue(())
    }
}

/// Whether it is a query that sees columns of others beside it.
fn is_lateral(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Derived { lateral: true, .. })
}

/// Whether it is an expression with a query of its own, which sees columns of the one around.
fn has_query(expr: &Expr) -> bool {
    match expr {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => true,
        Expr::Function(function) => matches!(function.args, FunctionArguments::Subquery(_)),
        _ => false,
    }
}
