//! From what PostgreSQL's clients write to what the query engine understands, in the parsed statement.

mod expressions;
mod names;
mod projection;
mod relations;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Query, Select, TableFactor, VisitMut, VisitorMut};

use super::Postgres;

/// Changes a statement in place.
pub(super) fn statement(statement: &mut Statement, postgres: &Postgres) {
    match statement {
        Statement::Statement(statement) => {
            let mut rewriter = Rewriter {
                postgres,
                ctes: BTreeSet::new(),
            };
            let _: ControlFlow<()> = statement.visit(&mut rewriter);
        }
        Statement::Explain(explain) => self::statement(&mut explain.statement, postgres),
        _ => {}
    }
}

struct Rewriter<'a> {
    postgres: &'a Postgres,
    /// Names that a statement gives to its own parts.
    ctes: BTreeSet<String>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.ctes
                .extend(with.cte_tables.iter().map(|cte| cte.alias.name.value.to_lowercase()));
        }
        // A lock on rows is a promise about a change that nobody makes.
        query.locks.clear();
        if expressions::never(query) {
            // There is nothing to sort.
            query.order_by = None;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // Before its expressions are changed: columns are called by what was written.
        projection::name(select);
        expressions::hollow(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        relations::change(factor, self.postgres, &self.ctes);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        expressions::before(expression);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        expressions::change(expression, self.postgres);
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
