//! What a SELECT calls its tables and the columns of its result, and the names that stand in a key.

use std::collections::BTreeSet;
use std::iter::once;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Select, SelectItem, TableFactor, TableWithJoins, visit_expressions,
};

use crate::session::joined::called;
use crate::session::natural;
use crate::session::parse::value;

/// What columns of the result are called that may be others than those that are read by these names.
pub(super) fn shown(select: &Select) -> BTreeSet<String> {
    let by_names = select.from.iter().any(natural::by_names);
    let tables = tables(select);
    let names = select.projection.iter().filter_map(|item| {
        let (name, expr) = match item {
            SelectItem::ExprWithAlias { expr, alias } => (value(alias), expr),
            SelectItem::UnnamedExpr(expr @ Expr::CompoundIdentifier(idents)) if by_names => {
                (value(idents.last()?), expr)
            }
            _ => return None,
        };
        let itself = match plain(expr) {
            Expr::Identifier(ident) => value(ident) == name,
            // Where tables are joined by names, a name alone is that of whichever column is there.
            Expr::CompoundIdentifier(idents) if !by_names => match idents.as_slice() {
                [table, column] => tables.contains(&value(table)) && value(column) == name,
                _ => false,
            },
            _ => false,
        };
        (!itself).then_some(name)
    });
    names.collect()
}

/// What the tables are called that a SELECT reads.
fn tables(select: &Select) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    select.from.iter().for_each(|from| add(from, &mut found));
    found
}

fn add(from: &TableWithJoins, found: &mut BTreeSet<String>) {
    let joined = from.joins.iter().map(|join| &join.relation);
    for factor in once(&from.relation).chain(joined) {
        match factor {
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => add(table_with_joins, found),
            TableFactor::UNNEST { alias: Some(alias), .. } | TableFactor::Function { alias: Some(alias), .. } => {
                found.insert(value(&alias.name));
            }
            table => found.extend(called(table).map(|table| value(&table))),
        }
    }
}

/// What the one table is called that a SELECT reads.
pub(in crate::session) fn only_table(select: &Select) -> Option<String> {
    match select.from.as_slice() {
        [from] if from.joins.is_empty() => called(&from.relation).map(|table| value(&table)),
        _ => None,
    }
}

/// Names within an expression; none of one that is a name itself.
pub(super) fn names(key: &Expr) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if !matches!(plain(key), Expr::Identifier(_)) {
        let _: ControlFlow<()> = visit_expressions(key, |part| {
            match part {
                Expr::Identifier(ident) => {
                    found.insert(value(ident));
                }
                // It may be a field of a column.
                Expr::CompoundIdentifier(idents) => found.extend(idents.first().map(value)),
                _ => {}
            }
            ControlFlow::Continue(())
        });
    }
    found
}

/// Names that stand within an expression behind that of a table.
pub(super) fn qualified(key: &Expr) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let _: ControlFlow<()> = visit_expressions(key, |part| {
        if let Expr::CompoundIdentifier(idents) = part {
            found.extend(idents.last().map(value));
        }
        ControlFlow::Continue(())
    });
    found
}

/// Whether an expression has a column with its table beside a column of the result that is called so and is another one.
pub(super) fn clashes(key: &Expr, select: &Select) -> bool {
    let mut clashes = false;
    let _: ControlFlow<()> = visit_expressions(key, |part| {
        if let Expr::CompoundIdentifier(idents) = part {
            clashes |= select.projection.iter().any(|item| is_another(item, idents));
        }
        ControlFlow::Continue(())
    });
    clashes
}

/// Whether it gives another column the name of this one.
fn is_another(item: &SelectItem, column: &[Ident]) -> bool {
    let (SelectItem::ExprWithAlias { expr, alias }, [.., table, name]) = (item, column) else {
        return false;
    };
    if value(alias) != value(name) {
        return false;
    }
    match plain(expr) {
        Expr::Identifier(ident) => value(ident) != value(name),
        Expr::CompoundIdentifier(idents) => match idents.as_slice() {
            [.., of, last] => value(of) != value(table) || value(last) != value(name),
            _ => true,
        },
        _ => true,
    }
}

/// The expression without brackets.
pub(in crate::session) fn plain(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => plain(inner),
        expr => expr,
    }
}
