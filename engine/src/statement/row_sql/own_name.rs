//! What expressions call the table whose rows change.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, Query, TableAlias, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

use crate::error::{EngineError, Result};
use crate::lake;
use crate::sql::{Action, Merge, Name};

/// The expression with `schema.table.column` as `called.column`.
pub(super) fn called(expr: &Expr, name: &Name, called: &str) -> Expr {
    let mut expr = expr.clone();
    let _: ControlFlow<()> = VisitMut::visit(&mut expr, &mut OwnName { name, called });
    expr
}

struct OwnName<'a> {
    name: &'a Name,
    called: &'a str,
}

impl VisitorMut for OwnName<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(column) = own_column(self.name, expr).cloned() {
            *expr = Expr::CompoundIdentifier(vec![Ident::with_quote('"', self.called), column]);
        }
        ControlFlow::Continue(())
    }
}

/// The column of `schema.table.column`, if the table is this one.
fn own_column<'a>(name: &Name, expr: &'a Expr) -> Option<&'a Ident> {
    let Expr::CompoundIdentifier(path) = expr else {
        return None;
    };
    let (column, table) = path.split_last()?;
    (table.len() > 1 && name.is_written(table)).then_some(column)
}

/// Refuses subqueries that name the table in full beside another one that is called as it is: the short name, which the full one
/// becomes, would be the other's.
pub(super) fn check(merge: &Merge, called: &str) -> Result<()> {
    let values = merge.clauses.iter().flat_map(|clause| match &clause.action {
        Action::Update(values) | Action::Insert(values) => values.as_slice(),
        _ => &[],
    });
    let conditions = merge.clauses.iter().filter_map(|clause| clause.condition.as_ref());
    let all = merge.on.iter().chain(conditions).chain(values.map(|(_, value)| value));
    for expr in all {
        let mut shadow = Shadow {
            name: &merge.table,
            called,
            depth: 0,
            own: false,
            other: false,
        };
        let _: ControlFlow<()> = expr.visit(&mut shadow);
        if shadow.own && shadow.other {
            return Err(EngineError::statement(format!(
                "a subquery has another table that is called {called:?}: give the one whose rows change an alias"
            )));
        }
    }
    Ok(())
}

struct Shadow<'a> {
    name: &'a Name,
    called: &'a str,
    depth: usize,
    /// A subquery names the table in full.
    own: bool,
    /// A subquery has another table that is called so.
    other: bool,
}

impl Shadow<'_> {
    fn is_other(&self, name: &ObjectName) -> bool {
        let idents: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident()).cloned().collect();
        // The very table: within the subquery both names are its.
        if self.name.is_exactly(&idents) {
            return false;
        }
        // The table itself stands before its branches and tables of metadata.
        let last_two = name.0.iter().rev().take(2).filter_map(|part| part.as_ident());
        let mut last_two = last_two.map(|ident| lake::base_name(&ident.value));
        last_two.any(|part| part.eq_ignore_ascii_case(self.called))
    }
}

impl Visitor for Shadow<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let aliased = |alias: &TableAlias| alias.name.value.eq_ignore_ascii_case(self.called);
        self.other |= match factor {
            TableFactor::Table { name, alias, .. } => match alias {
                Some(alias) => aliased(alias),
                None => self.is_other(name),
            },
            TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => alias.as_ref().is_some_and(aliased),
            _ => false,
        };
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.own |= self.depth > 0 && own_column(self.name, expr).is_some();
        ControlFlow::Continue(())
    }
}
