//! Keys that are written as a column of the result: they become its place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Ident, ObjectNamePart, Query, SelectItem, Value, Visit, Visitor, visit_expressions_mut,
};

use super::names::{clashes, names, only_table, plain, qualified};
use super::queries::sorted;
use crate::session::parse::value;

/// Sorts by the places of columns where a key is written as one of them.
pub(super) fn placed(query: &mut Query) {
    sorted(query, |select, shown, keys| {
        let before = select.projection.iter().map_while(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        });
        let before: Vec<&Expr> = before.collect();
        let distinct = matches!(select.distinct, Some(Distinct::Distinct));
        let table = only_table(select);
        for key in keys {
            let in_doubt = !(names(key).is_disjoint(shown) && qualified(key).is_disjoint(shown));
            // Of rows that are told once a key has to be a column, which the planner knows by its letters only.
            let has_to = distinct && !matches!(plain(key), Expr::Identifier(_) | Expr::Value(_));
            if (in_doubt || has_to || clashes(key, select))
                && let Some(place) = place(&before, key, table.as_deref())
            {
                *key = Expr::value(Value::Number((place + 1).to_string(), false));
            }
        }
    });
}

/// Which of these expressions over the only table one is.
fn place(columns: &[&Expr], key: &Expr, table: Option<&str>) -> Option<usize> {
    let key = as_it_counts(key, table);
    columns.iter().position(|column| as_it_counts(column, table) == key)
}

/// The expression with its names as they count, however they are written: those of the only table without it.
fn as_it_counts(expr: &Expr, table: Option<&str>) -> Expr {
    // In a query within, a name alone may be another table's.
    let table = table.filter(|_| expr.visit(&mut Within).is_continue());
    let mut expr = plain(expr).clone();
    let write = |ident: &mut Ident| *ident = Ident::with_quote('"', value(ident));
    let _: ControlFlow<()> = visit_expressions_mut(&mut expr, |part| {
        match part {
            Expr::Identifier(ident) => write(ident),
            Expr::CompoundIdentifier(idents) => {
                idents.iter_mut().for_each(write);
                if let [of, column] = idents.as_slice()
                    && table == Some(of.value.as_str())
                {
                    let column = column.clone();
                    *part = Expr::Identifier(column);
                }
            }
            Expr::Function(function) => {
                for part in &mut function.name.0 {
                    if let ObjectNamePart::Identifier(ident) = part {
                        write(ident);
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    expr
}

/// Stops at a query.
struct Within;

impl Visitor for Within {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}
