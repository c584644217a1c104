//! Queries of one group: those with an aggregate, with `HAVING` or with `GROUP BY ()`, and nothing to group by. They have one row whatever
//! their tables hold, or none if `HAVING` does not hold. DataFusion 55.2 takes `HAVING` for a condition on groups only where there is an aggregate.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use datafusion::functions_aggregate::all_default_aggregate_functions;
use datafusion::logical_expr::AggregateUDF;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Distinct, Expr, Function, GroupByExpr, ObjectNamePart, Query, Select, SelectItem, SetExpr,
    Statement, Visit, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::this_query;

/// Holds of every group, and is an aggregate.
const ANY_GROUP: &str = "count(1) >= 0";

/// Gives a query with `HAVING` or `GROUP BY ()` an aggregate, if it has none and nothing to group by.
pub(super) fn grouped(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Grouped);
}

struct Grouped;

impl VisitorMut for Grouped {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let GroupByExpr::Expressions(keys, modifiers) = &mut select.group_by else {
            return ControlFlow::Continue(());
        };
        let is_nothing = |key: &Expr| matches!(key, Expr::Tuple(columns) if columns.is_empty());
        if !modifiers.is_empty() || !keys.iter().all(is_nothing) {
            return ControlFlow::Continue(());
        }
        let is_written = !keys.is_empty();
        keys.clear();
        let is_one = is_written || select.having.is_some();
        if is_one && !aggregates(&select.projection) && !select.having.as_ref().is_some_and(aggregates) {
            select.having = match select.having.take() {
                Some(condition) => Some(with_a_group(condition)),
                None => any_group(),
            };
        }
        ControlFlow::Continue(())
    }
}

fn any_group() -> Option<Expr> {
    Parser::new(&GenericDialect {})
        .try_with_sql(ANY_GROUP)
        .ok()?
        .parse_expr()
        .ok()
}

/// The condition beside an aggregate.
fn with_a_group(condition: Expr) -> Expr {
    match any_group() {
        Some(any) => Expr::BinaryOp {
            left: Box::new(Expr::Nested(Box::new(condition))),
            op: BinaryOperator::And,
            right: Box::new(any),
        },
        None => condition,
    }
}

/// Whether a part of a query has an aggregate of its own.
pub(super) fn aggregates(part: &impl Visit) -> bool {
    this_query::has(part, |part| matches!(part, Expr::Function(call) if is_aggregate(call)))
}

/// Whether an expression is an aggregate, or a function over a window.
pub(super) fn gathers(part: &Expr) -> bool {
    matches!(part, Expr::Function(call) if call.over.is_some() || is_aggregate(call))
}

fn is_aggregate(call: &Function) -> bool {
    static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let names = |function: &Arc<AggregateUDF>| [&[function.name().to_owned()], function.aliases()].concat();
        let aggregates = all_default_aggregate_functions();
        let known = aggregates.iter().flat_map(names);
        known.chain(POSTGRES.iter().map(|name| (*name).to_owned())).collect()
    });
    call.over.is_none() && called(call).is_some_and(|name| NAMES.contains(&name))
}

/// Aggregates of PostgreSQL beside those of the query engine.
const POSTGRES: &[&str] = &[
    "any_value",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "mode",
    "percentile_cont",
    "percentile_disc",
];

/// What a function is called, without its schema.
fn called(call: &Function) -> Option<String> {
    let last = call.name.0.last().and_then(ObjectNamePart::as_ident)?;
    Some(last.value.to_lowercase())
}

/// A query of one group, as queries that surely have one row.
pub(super) struct OneRow {
    /// That of the row, without `HAVING`; none if it has no aggregate then.
    pub(super) row: Option<Query>,
    /// That of whether the row is there.
    pub(super) passes: Query,
    /// Whether it always is.
    pub(super) always: bool,
}

impl OneRow {
    /// None for another query, and for one with a limit.
    pub(super) fn of(query: &Query) -> Option<Self> {
        let SetExpr::Select(select) = query.body.as_ref() else {
            return None;
        };
        let no_keys = matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers) if keys.is_empty() && modifiers.is_empty());
        let plain = query.with.is_none()
            && query.limit_clause.is_none()
            && query.fetch.is_none()
            && query.pipe_operators.is_empty()
            && matches!(select.distinct, None | Some(Distinct::All | Distinct::Distinct))
            && select.top.is_none()
            && select.lateral_views.is_empty()
            && select.qualify.is_none()
            && no_keys;
        let (has_row, always) = (aggregates(&select.projection), select.having.is_none());
        if !plain || (!has_row && always) || makes_rows(&select.projection) {
            return None;
        }
        let mut row: Select = select.as_ref().clone();
        row.distinct = None;
        let condition = match row.having.take() {
            Some(condition) => with_a_group(condition),
            None => any_group()?,
        };
        let mut passes = row.clone();
        passes.projection = vec![SelectItem::UnnamedExpr(condition)];
        let of = |select: Select| Query {
            body: Box::new(SetExpr::Select(Box::new(select))),
            order_by: None,
            ..query.clone()
        };
        Some(Self {
            passes: of(passes),
            row: has_row.then(|| of(row)),
            always,
        })
    }
}

/// Whether columns make rows of lists.
pub(super) fn makes_rows(part: &impl Visit) -> bool {
    this_query::has(part, |part| match part {
        Expr::Function(call) => called(call).is_some_and(|name| ROWS.contains(&name.as_str())),
        _ => false,
    })
}

/// Functions that make rows, among columns.
const ROWS: &[&str] = &[
    "unnest",
    "generate_series",
    "generate_subscripts",
    "json_array_elements",
    "json_array_elements_text",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "json_object_keys",
    "jsonb_object_keys",
    "json_each",
    "json_each_text",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_path_query",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
];

#[cfg(test)]
mod tests {
    use crate::testing::{AROUND, Lake};

    // Goal: HAVING and GROUP BY () alone make one group of all rows. Method: conditions that hold, do not and are unknown, with rows and without,
    // and PostgreSQL's answers.
    #[tokio::test]
    async fn having_makes_one_group() {
        let lake = Lake::new();
        for (sql, rows) in [
            ("SELECT 1 FROM t HAVING false", vec![]),
            ("SELECT 1 FROM t HAVING true", vec!["1"]),
            ("SELECT 'x' WHERE false HAVING true", vec!["x"]),
            ("SELECT 1 FROM t HAVING NULL", vec![]),
            ("SELECT count(*) FROM t HAVING false", vec![]),
            ("SELECT 2 FROM t GROUP BY ()", vec!["2"]),
            (
                "SELECT count(*) FROM t WHERE id > 99 GROUP BY () HAVING true",
                vec!["0"],
            ),
            (
                "SELECT id FROM u WHERE EXISTS (SELECT 1 FROM t HAVING u.id > 5)",
                vec!["6", "7"],
            ),
        ] {
            assert_eq!(lake.lines(&format!("{AROUND} {sql}")).await, rows, "{sql}");
        }
    }
}
