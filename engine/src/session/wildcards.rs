//! `SELECT t.* FROM s.t` and `count(t.*)`: DataFusion 55 finds the columns of `t.*` only where the table was named just so.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Select, SelectItem,
    SelectItemQualifiedWildcardKind, Statement, TableFactor, VisitMut, VisitorMut,
};

use crate::this_query::{self, Change};

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
    let mut counts = Counts { read };
    this_query::change(&mut select.projection, &mut counts);
    this_query::change(&mut select.having, &mut counts);
    for item in &mut select.projection {
        if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item {
            as_read(name, &counts.read);
        }
    }
}

/// Names the tables of `count(t.*)`.
struct Counts {
    read: Vec<ObjectName>,
}

impl Change for Counts {
    fn before(&mut self, expression: &mut Expr) {
        if let Expr::Function(call) = expression
            && last(&call.name).is_some_and(|name| name.to_lowercase() == "count")
            && let FunctionArguments::List(list) = &mut call.args
        {
            for argument in &mut list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) = argument {
                    as_read(name, &self.read);
                }
            }
        }
    }
}

fn as_read(name: &mut ObjectName, read: &[ObjectName]) {
    let [short] = name.0.as_slice() else { return };
    let Some(short) = short.as_ident().map(value) else {
        return;
    };
    let mut found = read.iter().filter(|read| last(read).is_some_and(|last| last == short));
    // Of two it is for the planner to say that neither is meant.
    if let (Some(one), None) = (found.next(), found.next()) {
        *name = one.clone();
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
