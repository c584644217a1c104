//! From what PostgreSQL's clients write to what the query engine understands, in the parsed statement.

mod classes;
mod expressions;
mod gathering;
mod names;
mod places;
mod projection;
mod relations;
mod rows;
mod series;
mod shared;
mod ties;
mod values;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, LimitClause, Query, Select, Statement as SqlStatement, TableFactor, Value, VisitMut, VisitorMut,
    visit_expressions_mut,
};

pub(crate) use self::expressions::figures;
pub use self::expressions::{DateOrder, in_order, sent_text};
use super::Postgres;

/// Changes a statement that is not of the PostgreSQL wire in place.
pub(super) fn other(statement: &mut Statement) {
    match statement {
        Statement::Statement(statement) => shared::statement(statement.as_mut()),
        Statement::Explain(explain) => other(&mut explain.statement),
        _ => {}
    }
}

/// Changes a statement in place.
pub(super) fn statement(statement: &mut Statement, postgres: &Postgres) {
    match statement {
        Statement::Statement(statement) => {
            // Before anything goes by the types that are written.
            let _: ControlFlow<()> = visit_expressions_mut(statement.as_mut(), |expression| {
                expressions::of_literal(expression);
                ControlFlow::Continue(())
            });
            let classes = match &**statement {
                SqlStatement::Query(query) => classes::among(query),
                _ => Vec::new(),
            };
            let mut rewriter = Rewriter {
                postgres,
                ctes: BTreeSet::new(),
                documents: rows::wanted(statement),
                known: rows::Known::new(),
            };
            if let SqlStatement::Query(query) = statement.as_mut() {
                series::in_order(query);
            }
            let _: ControlFlow<()> = statement.visit(&mut rewriter);
            if let SqlStatement::Query(query) = statement.as_mut() {
                classes::show(query, &classes);
            }
        }
        Statement::Explain(explain) => self::statement(&mut explain.statement, postgres),
        _ => {}
    }
}

struct Rewriter<'a> {
    postgres: &'a Postgres,
    /// Names that a statement gives to its own parts.
    ctes: BTreeSet<String>,
    /// Whether it makes JSON.
    documents: bool,
    known: rows::Known,
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.ctes
                .extend(with.cte_tables.iter().map(|cte| cte.alias.name.value.to_lowercase()));
        }
        places::of_keys(query);
        if self.documents {
            rows::learn(query, &mut self.known);
            rows::sorted(query, &self.known);
        }
        gathering::sorted(query);
        // A lock on rows is a promise about a change that nobody makes.
        query.locks.clear();
        first_rows(query);
        values::arrays(query);
        ties::ranked(query);
        if expressions::never(query) {
            // There is nothing to sort.
            query.order_by = None;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if self.documents {
            rows::forget(query, &mut self.known);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        // Before its expressions are changed: columns are called by what was written.
        projection::name(select);
        relations::elements(select);
        if self.documents {
            rows::told(select, &self.known);
        }
        gathering::in_order(select);
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

/// `FETCH FIRST n ROWS ONLY` is a limit.
fn first_rows(query: &mut Query) {
    let plain = query
        .fetch
        .as_ref()
        .is_some_and(|fetch| !fetch.with_ties && !fetch.percent);
    if !plain {
        return;
    }
    let one = || Expr::value(Value::Number("1".into(), false));
    let rows = query.fetch.take().and_then(|fetch| fetch.quantity).unwrap_or_else(one);
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit, .. }) => *limit = Some(rows),
        other => {
            *other = Some(LimitClause::LimitOffset {
                limit: Some(rows),
                offset: None,
                limit_by: Vec::new(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
