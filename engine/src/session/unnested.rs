//! The elements of a table's own lists as rows beside it: `FROM t, unnest(t.tags) AS u (tag)`. The planner knows `unnest` of a column
//! only among the columns of a SELECT.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, Query, Select, SetExpr, Statement, TableFactor, Value,
    VisitMut, VisitorMut, visit_expressions, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::joined::called;

/// Puts such elements among the columns of the table that they belong to, where it stands directly before them.
pub(super) fn beside(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Unnested);
}

struct Unnested;

impl VisitorMut for Unnested {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Query { body, order_by, .. } = query;
        if let SetExpr::Select(select) = &mut **body {
            for elements in folded(select) {
                // A bare name would be that of a column of the answer first.
                let _: ControlFlow<()> = visit_expressions_mut(order_by, |expression| {
                    rename(expression, &elements, Some(&elements.beside));
                    ControlFlow::Continue(())
                });
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        folded(select);
        ControlFlow::Continue(())
    }
}

/// Folds what can be, and tells what.
fn folded(select: &mut Select) -> Vec<Elements> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < select.from.len() {
        let mut found = folded_join(select, at);
        if found.is_none() && at > 0 {
            found = folded_part(select, at);
        }
        match found {
            Some(elements) => {
                renamed(select, &elements);
                all.push(elements);
            }
            None => at += 1,
        }
    }
    all
}

/// What the elements are called: their table and their columns.
struct Elements {
    table: Ident,
    columns: Vec<Ident>,
    /// The table whose columns they are now.
    beside: Ident,
}

/// `t CROSS JOIN unnest(…)`, and with `JOIN` or `LEFT JOIN` on nothing.
fn folded_join(select: &mut Select, at: usize) -> Option<Elements> {
    let from = select.from.get_mut(at)?;
    let join = from.joins.first()?;
    let rows = match &join.join_operator {
        JoinOperator::CrossJoin(_) => Rows::WithElements,
        JoinOperator::Join(on) | JoinOperator::Inner(on) if is_true(on) => Rows::WithElements,
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) if is_true(on) => Rows::All,
        _ => return None,
    };
    let (relation, elements) = with_elements(&from.relation, &join.relation, rows)?;
    from.relation = relation;
    from.joins.remove(0);
    Some(elements)
}

fn is_true(constraint: &JoinConstraint) -> bool {
    match constraint {
        JoinConstraint::On(Expr::Value(value)) => value.value == Value::Boolean(true),
        _ => false,
    }
}

/// `t, unnest(…)`.
fn folded_part(select: &mut Select, at: usize) -> Option<Elements> {
    let (before, from) = (select.from.get(at - 1)?, select.from.get(at)?);
    if !before.joins.is_empty() {
        return None;
    }
    let (relation, elements) = with_elements(&before.relation, &from.relation, Rows::WithElements)?;
    let part = select.from.remove(at);
    let before = select.from.get_mut(at - 1)?;
    before.relation = relation;
    before.joins = part.joins;
    Some(elements)
}

/// Which rows of the table stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Those whose list has elements.
    WithElements,
    /// All of them; beside those without elements stands nothing.
    All,
}

fn with_elements(table: &TableFactor, lists: &TableFactor, rows: Rows) -> Option<(TableFactor, Elements)> {
    let TableFactor::UNNEST {
        alias: Some(alias),
        array_exprs,
        with_offset: false,
        with_ordinality: false,
        ..
    } = lists
    else {
        return None;
    };
    if array_exprs.is_empty() || !array_exprs.iter().all(has_column) {
        return None;
    }
    let columns: Vec<Ident> = match alias.columns.as_slice() {
        [] => vec![alias.name.clone()],
        columns => columns.iter().map(|column| column.name.clone()).collect(),
    };
    if columns.len() != array_exprs.len() {
        return None;
    }
    let name = called(table)?;
    let elements = array_exprs.iter().zip(&columns).map(|(list, column)| match rows {
        Rows::WithElements => format!("unnest({list}) AS {column}"),
        Rows::All => format!(
            "unnest(CASE WHEN array_length({list}) > 0 THEN {list} ELSE array_append({list}, NULL) END) AS {column}"
        ),
    });
    let elements = elements.collect::<Vec<_>>().join(", ");
    let text = format!("SELECT 1 FROM (SELECT *, {elements} FROM {table}) AS {name}");
    let query = Parser::new(&GenericDialect {})
        .try_with_sql(&text)
        .ok()?
        .parse_query()
        .ok()?;
    let SetExpr::Select(select) = *query.body else {
        return None;
    };
    let relation = select.from.into_iter().next()?.relation;
    let elements = Elements {
        table: alias.name.clone(),
        columns,
        beside: name,
    };
    Some((relation, elements))
}

fn has_column(list: &Expr) -> bool {
    let found = visit_expressions(list, |part| match part {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Names the elements without the table that they are no longer of, or by the one that they are of.
fn rename(expression: &mut Expr, elements: &Elements, beside: Option<&Ident>) {
    if let Expr::CompoundIdentifier(parts) = expression
        && let [table, column] = parts.as_slice()
        && table.value.eq_ignore_ascii_case(&elements.table.value)
        && let Some(known) = elements
            .columns
            .iter()
            .find(|known| column.value.eq_ignore_ascii_case(&known.value))
    {
        *expression = match beside {
            Some(beside) => Expr::CompoundIdentifier(vec![beside.clone(), known.clone()]),
            None => Expr::Identifier(known.clone()),
        };
    }
}

fn renamed(select: &mut Select, elements: &Elements) {
    let rename = |expression: &mut Expr| {
        rename(expression, elements, None);
        ControlFlow::<()>::Continue(())
    };
    let _: ControlFlow<()> = visit_expressions_mut(&mut select.distinct, rename);
    let _: ControlFlow<()> = visit_expressions_mut(&mut select.projection, rename);
    let _: ControlFlow<()> = visit_expressions_mut(&mut select.selection, rename);
    let _: ControlFlow<()> = visit_expressions_mut(&mut select.having, rename);
    let _: ControlFlow<()> = visit_expressions_mut(&mut select.qualify, rename);
    let _: ControlFlow<()> = visit_expressions_mut(&mut select.from, rename);
    if let GroupByExpr::Expressions(grouped, _) = &mut select.group_by {
        let _: ControlFlow<()> = visit_expressions_mut(grouped, rename);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: elements of a table's lists stand beside its rows. Method: both ways to write it, with names and without, before another
    // join, and a list of no table.
    #[tokio::test]
    async fn elements_beside_their_rows() {
        let lake = Lake::new();
        let t = "(SELECT 1 AS id, [10, 20] AS a UNION ALL SELECT 2, [30]) AS t";
        let some = "(SELECT 1 AS id, [10] AS a UNION ALL SELECT 2, array_remove([7], 7) UNION ALL SELECT 3, NULL) AS t";
        let b = "(VALUES (20, 'x'), (30, 'y')) AS b (n, s)";
        for (sql, rows) in [
            (
                format!("SELECT id + x AS s FROM {t} CROSS JOIN unnest(t.a) AS u (x)"),
                vec!["11", "21", "32"],
            ),
            (
                format!("SELECT u.x FROM {t}, unnest(a) AS u (x) WHERE u.x > 10"),
                vec!["20", "30"],
            ),
            (format!("SELECT u FROM {t}, unnest(a) AS u"), vec!["10", "20", "30"]),
            (
                format!("SELECT s FROM {t} CROSS JOIN unnest(a) AS u (x) JOIN {b} ON b.n = u.x"),
                vec!["x", "y"],
            ),
            ("SELECT x FROM unnest([1, 2]) AS u (x)".to_owned(), vec!["1", "2"]),
            (
                format!("SELECT id + u.x AS s FROM {t} JOIN unnest(t.a) AS u (x) ON TRUE"),
                vec!["11", "21", "32"],
            ),
            (
                format!(
                    "SELECT id + coalesce(u.x, 0) AS s FROM {some} LEFT JOIN unnest(t.a) AS u (x) ON TRUE ORDER BY s"
                ),
                vec!["11", "2", "3"],
            ),
            (
                format!("SELECT id + coalesce(u.x, 0) AS s FROM {some}, unnest(t.a) AS u (x)"),
                vec!["11"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
    }
}
