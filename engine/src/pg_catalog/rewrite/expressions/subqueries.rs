//! Subqueries of the catalog in places where the query engine takes none.

use datafusion::sql::sqlparser::ast::{
    Array, Expr, Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins, Value,
};

use super::super::names::{as_text, call, cast, name, parts};
use crate::pg_catalog::tables::is_empty;

/// A subquery over a table that never has rows is known without being asked, and one that looks a single value up is an
/// aggregate of one value, which may depend on the query around it.
pub(super) fn change(expression: &mut Expr) {
    match expression {
        Expr::Subquery(query) => {
            if never(query) {
                *expression = cast(
                    Expr::value(Value::Null),
                    datafusion::sql::sqlparser::ast::DataType::Text,
                );
            } else if let Some(select) = select_mut(query) {
                single(select);
            }
        }
        Expr::Exists { subquery, negated } if never(subquery) => *expression = Expr::value(Value::Boolean(*negated)),
        Expr::InSubquery { subquery, negated, .. } if never(subquery) => {
            *expression = Expr::value(Value::Boolean(*negated))
        }
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
            // `= ANY ('{a,b}')`.
            if let Some(literal) = as_text(right)
                && let Some(inner) = literal.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'))
            {
                let items = inner
                    .split(',')
                    .map(|item| super::super::names::text(item.trim().trim_matches('"')));
                **right = Expr::Array(Array {
                    elem: items.collect(),
                    named: true,
                });
            }
        }
        _ => {}
    }
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
fn never(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return false;
    };
    let empty = |factor: &TableFactor| match factor {
        TableFactor::Table { name, args: None, .. } => {
            let parts = parts(name);
            let last = match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["pg_catalog", last] | [last] => (*last).to_owned(),
                _ => return false,
            };
            is_empty(&last)
        }
        _ => false,
    };
    select.group_by_is_empty()
        && !aggregates(select)
        && select.from.iter().any(|from| empty(&from.relation) && inner(from))
        || select.from.len() > 1
            && !aggregates(select)
            && select.from.iter().any(|from| empty(&from.relation) && inner(from))
}

/// Whether the first table of a join is needed for every row.
fn inner(from: &TableWithJoins) -> bool {
    use datafusion::sql::sqlparser::ast::JoinOperator;
    from.joins.iter().all(|join| {
        !matches!(
            join.join_operator,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
        )
    })
}

/// Whether a query answers with a row even when there is none.
fn aggregates(select: &Select) -> bool {
    const AGGREGATES: &[&str] = &[
        "count",
        "array_agg",
        "string_agg",
        "max",
        "min",
        "sum",
        "avg",
        "bool_or",
        "bool_and",
        "json_agg",
    ];
    select.projection.iter().any(|item| {
        let expression = match item {
            SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } => expression,
            _ => return false,
        };
        let written = expression.to_string().to_lowercase();
        AGGREGATES.iter().any(|name| written.contains(&format!("{name}(")))
    })
}

/// Lets a lookup in the catalog be an aggregate, which there is one value of whatever the row around it.
fn single(select: &mut Select) {
    let catalog = select.from.iter().any(|from| match &from.relation {
        TableFactor::Table { name, .. } => parts(name).last().is_some_and(|last| last.starts_with("pg_")),
        _ => false,
    });
    if !catalog || !select.group_by_is_empty() || select.distinct.is_some() || aggregates(select) {
        return;
    }
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
        select.projection.as_mut_slice()
    else {
        return;
    };
    *value = call("max", vec![value.clone()]);
}

/// `ARRAY(SELECT …)`.
pub(super) fn array(query: &Query) -> Expr {
    if never(query) {
        return call("make_array", Vec::new());
    }
    let mut query = query.clone();
    let order = query.order_by.take();
    if let SetExpr::Select(select) = query.body.as_mut()
        && let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
            select.projection.as_mut_slice()
    {
        *value = call("array_agg", vec![value.clone()]);
    }
    let _ = (order, name(&["array"]));
    Expr::Subquery(Box::new(query))
}

trait Groups {
    fn group_by_is_empty(&self) -> bool;
}

impl Groups for Select {
    fn group_by_is_empty(&self) -> bool {
        use datafusion::sql::sqlparser::ast::GroupByExpr;
        matches!(&self.group_by, GroupByExpr::Expressions(expressions, _) if expressions.is_empty())
    }
}
