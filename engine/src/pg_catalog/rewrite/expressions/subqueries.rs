//! Subqueries of the catalog in places where the query engine takes none.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, GroupByExpr, JoinOperator, Query,
    Select, SelectItem, SetExpr, TableFactor, TableWithJoins, Value,
};

use super::super::names::{as_text, call, cast, parts, value};
use super::arrays;
use super::spellings::liked;
use crate::pg_catalog::tables::{empty_column, is_empty};
use crate::this_query;

pub(super) const AGGREGATES: &[&str] = &[
    "any_value",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
];

/// A subquery over a table that never has rows is known without being asked, and one that looks a single value up is an
/// aggregate of one value, which may depend on the query around it.
pub(super) fn change(expression: &mut Expr) {
    match expression {
        Expr::Subquery(query) => {
            if never(query) {
                *expression = cast(Expr::value(Value::Null), of_nothing(query));
            } else if let Some(select) = select_mut(query) {
                single(select);
            }
        }
        Expr::Case {
            operand: None,
            conditions,
            else_result,
            ..
        } => {
            let mut missing = None;
            conditions.retain(|branch| {
                let gone = about_other_types(&branch.condition) && matches!(branch.result, Expr::Subquery(_));
                if gone {
                    missing = Some(nothing(&branch.result));
                }
                !gone
            });
            if let (true, Some(missing)) = (conditions.is_empty(), missing) {
                let otherwise = else_result.take().map(|result| *result);
                let otherwise =
                    otherwise.filter(|result| !matches!(result, Expr::Value(null) if null.value == Value::Null));
                *expression = otherwise.unwrap_or(missing);
            }
        }
        Expr::Exists { subquery, negated } if never(subquery) => *expression = Expr::value(Value::Boolean(*negated)),
        Expr::InSubquery { subquery, negated, .. } if never(subquery) => {
            *expression = Expr::value(Value::Boolean(*negated))
        }
        // The patterns of a `LIKE` stay a list.
        Expr::AnyOp { compare_op, .. } | Expr::AllOp { compare_op, .. } if liked(compare_op).is_some() => {}
        Expr::AnyOp {
            left,
            compare_op,
            right,
            ..
        } => {
            if let Some(compared) = arrays::compared(left, compare_op, right, false) {
                *expression = compared;
            }
        }
        Expr::AllOp {
            left,
            compare_op,
            right,
        } => {
            if let Some(compared) = arrays::compared(left, compare_op, right, true) {
                *expression = compared;
            }
        }
        _ => {}
    }
}

/// Whether a condition asks for domains, composite types and others that there are none of.
fn about_other_types(condition: &Expr) -> bool {
    let Expr::BinaryOp {
        left,
        op: BinaryOperator::Eq,
        right,
    } = condition
    else {
        return false;
    };
    let kind = matches!(left.as_ref(), Expr::CompoundIdentifier(column) if column.last().is_some_and(|last| value(last) == "typtype"));
    kind && matches!(as_text(right), Some("c" | "d" | "e" | "m" | "r"))
}

/// The type of what a query looks up in a table that never has rows.
fn of_nothing(query: &Query) -> DataType {
    let kind = query.body.as_select().and_then(|select| {
        let [SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }] =
            select.projection.as_slice()
        else {
            return None;
        };
        let column = match column {
            Expr::Identifier(column) => value(column),
            Expr::CompoundIdentifier(column) => value(column.last()?),
            _ => return None,
        };
        select.from.iter().find_map(|from| match &from.relation {
            TableFactor::Table { name, args: None, .. } => empty_column(parts(name).last()?, &column),
            _ => None,
        })
    });
    match kind {
        Some('l') => DataType::BigInt(None),
        Some('i' | 's') => DataType::Int(None),
        Some('b') => DataType::Boolean,
        _ => DataType::Text,
    }
}

/// No value of the type that a subquery would answer with, as far as clients care: several values or one.
fn nothing(subquery: &Expr) -> Expr {
    let several = subquery.to_string().to_lowercase().contains("array_agg");
    let of = match several {
        true => DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None)),
        false => DataType::BigInt(None),
    };
    cast(Expr::value(Value::Null), of)
}

fn select_mut(query: &mut Query) -> Option<&mut Select> {
    if query.with.is_some() || query.limit_clause.is_some() {
        return None;
    }
    match query.body.as_mut() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

/// Whether a query can have no rows: a table that it joins never has any.
pub(in crate::pg_catalog::rewrite) fn never(query: &Query) -> bool {
    match query.body.as_ref() {
        SetExpr::Select(select) => never_select(select),
        _ => false,
    }
}

fn never_select(select: &Select) -> bool {
    !aggregates(select) && (select.from.iter().any(never_joined) || select.selection.as_ref().is_some_and(of_others))
}

/// Whether tables that are joined can have no rows together.
fn never_joined(from: &TableWithJoins) -> bool {
    // The first table counts as long as no join keeps rows without it.
    let kept = from.joins.iter().any(|join| {
        matches!(
            join.join_operator,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
        )
    });
    let inner = from.joins.iter().any(|join| {
        matches!(
            join.join_operator,
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)
        ) && never_factor(&join.relation)
    });
    !kept && (never_factor(&from.relation) || inner)
}

fn never_factor(factor: &TableFactor) -> bool {
    match factor {
        // The options of a table, of which there are none.
        TableFactor::Table {
            name, args: Some(of), ..
        } => {
            parts(name).last().is_some_and(|name| name == "unnest")
                && matches!(of.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Expr(
                    Expr::CompoundIdentifier(column)
                ))] if column.last().is_some_and(|last| value(last) == "reloptions"))
        }
        TableFactor::Table { name, args: None, .. } => {
            let parts = parts(name);
            match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["pg_catalog", last] | [last] => is_empty(last),
                _ => false,
            }
        }
        TableFactor::Derived { subquery, .. } => never(subquery),
        TableFactor::NestedJoin { table_with_joins, .. } => never_joined(table_with_joins),
        _ => false,
    }
}

/// Whether a condition asks for nothing but foreign keys, of which there are none.
fn of_others(condition: &Expr) -> bool {
    match condition {
        Expr::Nested(inner) => of_others(inner),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => of_others(left) || of_others(right),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq,
            right,
        } => {
            let column = match left.as_ref() {
                Expr::Identifier(column) => Some(column),
                Expr::CompoundIdentifier(column) => column.last(),
                _ => None,
            };
            column.is_some_and(|column| value(column) == "contype") && as_text(right) == Some("f")
        }
        _ => false,
    }
}

/// A query without rows says what its columns are called, and nothing of how they would be computed.
pub(in crate::pg_catalog::rewrite) fn hollow(select: &mut Select) {
    let named = |item: &SelectItem| matches!(item, SelectItem::ExprWithAlias { .. } | SelectItem::UnnamedExpr(_));
    if !never_select(select) || !select.projection.iter().all(named) {
        return;
    }
    // Plain columns of one table keep their types.
    let plain = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } => {
            matches!(expression, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        }
        _ => false,
    };
    if select.projection.iter().all(plain) {
        return;
    }
    for item in &mut select.projection {
        let (expression, named) = match item {
            SelectItem::UnnamedExpr(expression) => (expression, false),
            SelectItem::ExprWithAlias { expr, .. } => (expr, true),
            _ => continue,
        };
        let alias = match &*expression {
            Expr::Identifier(ident) => Some(ident.clone()),
            Expr::CompoundIdentifier(idents) => idents.last().cloned(),
            _ => None,
        };
        let null = cast(Expr::value(Value::Null), DataType::Text);
        match alias {
            Some(alias) if !named => *item = SelectItem::ExprWithAlias { expr: null, alias },
            _ => *expression = null,
        }
    }
    select.from.clear();
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    select.having = None;
    select.distinct = None;
    select.selection = Some(Expr::value(Value::Boolean(false)));
}

/// Whether a query answers with a row even when there is none: for an aggregate of its own, not one of a query within it.
fn aggregates(select: &Select) -> bool {
    select.projection.iter().any(|item| {
        let expression = match item {
            SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } => expression,
            _ => return false,
        };
        this_query::has(expression, is_aggregate)
    })
}

fn is_aggregate(expression: &Expr) -> bool {
    let Expr::Function(call) = expression else {
        return false;
    };
    let name = parts(&call.name).pop();
    name.is_some_and(|name| AGGREGATES.contains(&name.as_str()))
}

/// Lets a lookup in the catalog be an aggregate, which there is one value of whatever the row around it.
fn single(select: &mut Select) {
    let catalog = select.from.iter().any(|from| match &from.relation {
        TableFactor::Table { name, .. } => parts(name).last().is_some_and(|last| last.starts_with("pg_")),
        _ => false,
    });
    if !catalog || grouped(select) || select.distinct.is_some() || aggregates(select) {
        return;
    }
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
        select.projection.as_mut_slice()
    else {
        return;
    };
    *value = call("max", vec![value.clone()]);
}

pub(super) fn grouped(select: &Select) -> bool {
    !matches!(&select.group_by, GroupByExpr::Expressions(expressions, _) if expressions.is_empty())
}
