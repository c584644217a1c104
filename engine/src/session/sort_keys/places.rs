//! Keys that are written as a column of the result: they become its place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectNamePart, Query, SelectItem, Value, visit_expressions_mut};

use super::names::{clashes, names, qualified};
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
        for key in keys {
            let in_doubt = !(names(key).is_disjoint(shown) && qualified(key).is_disjoint(shown));
            if (in_doubt || clashes(key, select))
                && let Some(place) = place(&before, key)
            {
                *key = Expr::value(Value::Number((place + 1).to_string(), false));
            }
        }
    });
}

/// Which of these expressions one is.
fn place(columns: &[&Expr], key: &Expr) -> Option<usize> {
    let key = as_it_counts(key);
    columns.iter().position(|column| as_it_counts(column) == key)
}

/// The expression with its names as they count, however they are written.
fn as_it_counts(expr: &Expr) -> Expr {
    let mut expr = expr.clone();
    let write = |ident: &mut Ident| *ident = Ident::with_quote('"', value(ident));
    let _: ControlFlow<()> = visit_expressions_mut(&mut expr, |part| {
        match part {
            Expr::Identifier(ident) => write(ident),
            Expr::CompoundIdentifier(idents) => idents.iter_mut().for_each(write),
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
