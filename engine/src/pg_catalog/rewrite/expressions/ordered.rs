//! Aggregates of rows in an order, as functions of the list of these rows.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
};

use super::super::names::{arguments, as_text, call, name, text};

/// `string_agg` in an order of its own: the query engine takes one order for all of a query's.
pub(super) fn texts(function: &Function, called: &str) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let [FunctionArgumentClause::OrderBy(_)] = list.clauses.as_slice() else {
        return None;
    };
    let [value, FunctionArg::Unnamed(FunctionArgExpr::Expr(between))] = list.args.as_slice() else {
        return None;
    };
    if called != "string_agg" || function.over.is_some() {
        return None;
    }
    let between = text(as_text(between)?);
    let list = FunctionArgumentList {
        args: vec![value.clone()],
        ..list.clone()
    };
    let list = Expr::Function(Function {
        name: name(&["array_agg"]),
        args: FunctionArguments::List(list),
        ..function.clone()
    });
    Some(call("pg_string_agg", vec![list, between]))
}

/// `percentile_cont`, `percentile_disc` and `mode`, of the list of a group's values in their order.
pub(super) fn rows(function: &Function, called: &str) -> Option<Expr> {
    let ours = match called {
        "percentile_cont" => "pg_percentile_cont",
        "percentile_disc" => "pg_percentile_disc",
        "mode" => "pg_mode",
        _ => return None,
    };
    let [order] = function.within_group.as_slice() else {
        return None;
    };
    if function.over.is_some() {
        return None;
    }
    let list = FunctionArgumentList {
        duplicate_treatment: None,
        args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(order.expr.clone()))],
        clauses: vec![FunctionArgumentClause::OrderBy(vec![order.clone()])],
    };
    let list = Expr::Function(Function {
        name: name(&["array_agg"]),
        args: FunctionArguments::List(list),
        within_group: Vec::new(),
        ..function.clone()
    });
    let shares = arguments(&function.args)?;
    Some(call(ours, [vec![list], shares].concat()))
}
