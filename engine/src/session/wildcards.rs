//! `SELECT t.* FROM s.t`: DataFusion 55 finds the columns of `t.*` only where the table was named just so.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, Select, SelectItem, SelectItemQualifiedWildcardKind, Statement, TableFactor, VisitMut,
    VisitorMut,
};

/// Names the table before each `.*` as the statement names it where it reads it.
pub(super) fn named_as_read(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Wildcards);
}

struct Wildcards;

impl VisitorMut for Wildcards {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        named(select);
        ControlFlow::Continue(())
    }
}

fn named(select: &mut Select) {
    let read: Vec<ObjectName> = {
        let parts = select.from.iter();
        let factors = parts.flat_map(|from| {
            let joined = from.joins.iter().map(|join| &join.relation);
            std::iter::once(&from.relation).chain(joined)
        });
        factors.filter_map(without_alias).collect()
    };
    for item in &mut select.projection {
        let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item else {
            continue;
        };
        let [short] = name.0.as_slice() else { continue };
        let Some(short) = short.as_ident().map(value) else {
            continue;
        };
        let mut found = read.iter().filter(|read| last(read).is_some_and(|last| last == short));
        // Of two it is for the planner to say that neither is meant.
        if let (Some(one), None) = (found.next(), found.next()) {
            *name = one.clone();
        }
    }
}

/// The name of a table that has no other one, if it is more than one word.
fn without_alias(factor: &TableFactor) -> Option<ObjectName> {
    match factor {
        TableFactor::Table {
            name,
            alias: None,
            args: None,
            ..
        } if name.0.len() > 1 => Some(name.clone()),
        _ => None,
    }
}

fn last(name: &ObjectName) -> Option<String> {
    name.0.last()?.as_ident().map(value)
}

fn value(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}
