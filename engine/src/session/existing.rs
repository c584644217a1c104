//! `EXISTS` among columns, in `ORDER BY` and within `CASE`: DataFusion 55.2 takes it as a part of a condition only. Whether there are
//! rows is told by their number.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Distinct, Expr, GroupByExpr, LimitClause, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr,
    Statement, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::members::condition_of;
use super::one_row::{OneRow, aggregates, makes_rows};
use crate::this_query::{self, Change};

/// Counts where it has to.
pub(super) fn counted(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Places);
}

struct Places;

impl VisitorMut for Places {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(OrderBy {
            kind: OrderByKind::Expressions(keys),
            ..
        }) = &mut query.order_by
        {
            keys.iter_mut().for_each(|key| count(&mut key.expr, true));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. } = item {
                count(column, true);
            }
        }
        if let Some(Distinct::On(keys)) = &mut select.distinct {
            keys.iter_mut().for_each(|key| count(key, true));
        }
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            keys.iter_mut().for_each(|key| count(key, true));
        }
        let joins = select.from.iter_mut().flat_map(|from| &mut from.joins);
        let joined = joins.filter_map(|join| condition_of(&mut join.join_operator));
        for condition in select.selection.iter_mut().chain(&mut select.having).chain(joined) {
            count(condition, false);
        }
        ControlFlow::Continue(())
    }
}

/// Counts in an expression: everywhere, or within `CASE`.
fn count(expression: &mut Expr, everywhere: bool) {
    let cases = usize::from(everywhere);
    this_query::change(expression, &mut Within { cases });
}

/// Counts among an expression's own parts that are within `CASE`.
struct Within {
    cases: usize,
}

impl Change for Within {
    fn before(&mut self, part: &mut Expr) {
        self.cases += usize::from(matches!(part, Expr::Case { .. }));
    }

    fn after(&mut self, part: &mut Expr) {
        match part {
            Expr::Case { .. } => self.cases -= 1,
            Expr::Exists { subquery, negated } if self.cases > 0 => {
                if let Some(told) = told(subquery, *negated) {
                    *part = Expr::Nested(Box::new(told));
                }
            }
            _ => {}
        }
    }
}

/// Whether a query has rows, by a value.
fn told(query: &Query, negated: bool) -> Option<Expr> {
    if asks_for_none(query) {
        return Some(Expr::value(Value::Boolean(negated)));
    }
    if let Some(OneRow { passes, .. }) = OneRow::of(query) {
        let passes = Box::new(Expr::Subquery(Box::new(passes)));
        return Some(match negated {
            true => Expr::IsNotTrue(passes),
            false => Expr::IsTrue(passes),
        });
    }
    let (query, skipped) = unlimited(query).unwrap_or_else(|| (query.clone(), 0));
    Some(Expr::BinaryOp {
        left: Box::new(Expr::Subquery(Box::new(number(&query, skipped)?))),
        op: match negated {
            true => BinaryOperator::LtEq,
            false => BinaryOperator::Gt,
        },
        right: Box::new(Expr::value(Value::Number(skipped.to_string(), false))),
    })
}

/// The query without its limit, and how many rows that leaves out before the first one. None for a limit of no rows, or one that is not
/// written out.
fn unlimited(query: &Query) -> Option<(Query, u64)> {
    let skipped = match &query.limit_clause {
        None => 0,
        Some(LimitClause::LimitOffset {
            limit,
            offset,
            limit_by,
        }) if limit_by.is_empty() => {
            if let Some(limit) = limit {
                written(limit).filter(|limit| *limit > 0)?;
            }
            match offset {
                Some(offset) => written(&offset.value)?,
                None => 0,
            }
        }
        Some(_) => return None,
    };
    if let Some(fetch) = &query.fetch {
        let rows = fetch.quantity.as_ref().map_or(Some(1), written);
        rows.filter(|rows| *rows > 0 && !fetch.percent)?;
    }
    let mut whole = query.clone();
    whole.limit_clause = None;
    whole.fetch = None;
    Some((whole, skipped))
}

/// Whether a query asks for no rows: `LIMIT 0`.
fn asks_for_none(query: &Query) -> bool {
    match &query.limit_clause {
        Some(LimitClause::LimitOffset {
            limit: Some(limit),
            limit_by,
            ..
        }) => limit_by.is_empty() && written(limit) == Some(0),
        _ => false,
    }
}

/// A whole number that is written out.
fn written(expression: &Expr) -> Option<u64> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The query that counts the rows of one, of which so many do not count: in its own place, so that it may name what is around it, unless it
/// has a limit or groups of which some may not count. That there are groups is told by that there are rows.
fn number(query: &Query, skipped: u64) -> Option<Query> {
    let limited = query.with.is_some()
        || query.limit_clause.is_some()
        || query.fetch.is_some()
        || !query.pipe_operators.is_empty();
    let mut counted = query.clone();
    if let SetExpr::Select(select) = counted.body.as_mut()
        && !limited
        && has_rows_as_it_reads(select, skipped)
    {
        select.distinct = None;
        select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
        select.projection = vec![SelectItem::UnnamedExpr(parsed("count(1)")?)];
        counted.order_by = None;
        return Some(counted);
    }
    match parsed(&format!("(SELECT count(1) FROM ({query}) AS \"exists$\")"))? {
        Expr::Subquery(counted) => Some(*counted),
        _ => None,
    }
}

/// Whether more than so many rows are read exactly where the query has more than that: not if it has groups or values that are counted
/// once, the row of an aggregate, or rows of lists.
fn has_rows_as_it_reads(select: &Select, skipped: u64) -> bool {
    let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else {
        return false;
    };
    let is_set = |key: &Expr| match key {
        Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_) => true,
        Expr::Tuple(columns) => columns.is_empty(),
        _ => false,
    };
    let each = keys.is_empty() && select.distinct.is_none();
    modifiers.is_empty()
        && select.having.is_none()
        && select.qualify.is_none()
        && select.top.is_none()
        && (skipped == 0 || each)
        && !keys.iter().any(is_set)
        && !makes_rows(keys)
        && !makes_rows(&select.projection)
        && (!keys.is_empty() || !aggregates(&select.projection))
}

fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&GenericDialect {})
        .try_with_sql(text)
        .ok()?
        .parse_expr()
        .ok()
}

#[cfg(test)]
mod tests {
    use crate::testing::{AROUND, Lake};

    // Goal: EXISTS and IN mean the same as values and within CASE. Method: groups, HAVING and limits in them, and PostgreSQL's answers.
    #[tokio::test]
    async fn whether_there_are_rows_is_a_value() {
        let lake = Lake::new();
        for (sql, rows) in [
            (
                "SELECT id, EXISTS (SELECT 1 FROM u WHERE u.k = t.k GROUP BY u.g) FROM t",
                vec!["1,true", "2,true", "3,true", "4,true", "5,true", "6,false", "7,false"],
            ),
            (
                "SELECT id, EXISTS (SELECT u.g, count(*) FROM u WHERE u.k = t.k GROUP BY u.g HAVING count(*) > 1) FROM t",
                vec![
                    "1,true", "2,true", "3,false", "4,false", "5,false", "6,false", "7,false",
                ],
            ),
            (
                "SELECT id, NOT EXISTS (SELECT count(*) FROM u WHERE u.k = t.k HAVING count(*) = 0) FROM t",
                vec!["1,true", "2,true", "3,true", "4,true", "5,true", "6,false", "7,false"],
            ),
            (
                "SELECT id, EXISTS (SELECT max(x) FROM u WHERE u.k = t.k) FROM t",
                vec!["1,true", "2,true", "3,true", "4,true", "5,true", "6,true", "7,true"],
            ),
            (
                "SELECT id, EXISTS (SELECT 1 FROM u WHERE u.k = t.k LIMIT 1) FROM t",
                vec!["1,true", "2,true", "3,true", "4,true", "5,true", "6,false", "7,false"],
            ),
            (
                "SELECT id, EXISTS (SELECT 1 FROM u WHERE u.k = t.k LIMIT 0) FROM t",
                vec![
                    "1,false", "2,false", "3,false", "4,false", "5,false", "6,false", "7,false",
                ],
            ),
            (
                "SELECT id, EXISTS (SELECT 1 FROM u WHERE u.k = t.k LIMIT 5 OFFSET 1) FROM t",
                vec!["1,true", "2,true", "3,true", "4,true", "5,false", "6,false", "7,false"],
            ),
            (
                "SELECT id, NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k OFFSET 2) FROM t",
                vec!["1,false", "2,false", "3,true", "4,true", "5,true", "6,true", "7,true"],
            ),
            (
                "SELECT id, 0 IN (SELECT count(*) FROM u WHERE u.k = t.k) FROM t",
                vec![
                    "1,false", "2,false", "3,false", "4,false", "5,false", "6,true", "7,true",
                ],
            ),
            (
                "SELECT id, 0 NOT IN (SELECT count(*) FROM u WHERE u.k = t.k HAVING count(*) < 3) FROM t",
                vec!["1,true", "2,true", "3,true", "4,true", "5,true", "6,false", "7,false"],
            ),
            (
                "SELECT id, n IN (SELECT max(x) + 1 FROM u WHERE u.k = t.k) FROM t",
                vec!["1,false", "2,", "3,false", "4,false", "5,", "6,", "7,"],
            ),
            (
                "SELECT id, 2 IN (SELECT count(*) FROM u WHERE u.k = t.k GROUP BY g) FROM t",
                vec![
                    "1,true", "2,true", "3,false", "4,false", "5,false", "6,false", "7,false",
                ],
            ),
            (
                "SELECT id FROM t WHERE CASE WHEN EXISTS (SELECT count(*) FROM u WHERE u.k = t.k HAVING count(*) = 0) THEN true ELSE n > 6 END",
                vec!["1", "5", "6", "7"],
            ),
            (
                "SELECT EXISTS (SELECT 1 FROM u WHERE u.k = t.k) AS e, count(*) FROM t GROUP BY 1",
                vec!["false,2", "true,5"],
            ),
        ] {
            assert_eq!(lake.lines(&format!("{AROUND} {sql}")).await, rows, "{sql}");
        }
    }
}
