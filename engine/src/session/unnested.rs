//! The elements of a table's own lists as rows beside it: `FROM t, unnest(t.tags) AS u (tag)`. The planner plans what stands in FROM without what
//! stands before it, so that such elements are put in brackets with that, and `planned.rs` plans both. `sound.rs` mends what is
//! planned of rows beside elements, wherever these stand.

mod keys;
mod planned;
mod sound;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Join, JoinConstraint, JoinOperator, Select, Statement, TableFactor,
    TableWithJoins, VisitMut, VisitorMut, visit_expressions,
};

pub(super) use self::planned::Elements;
use self::planned::{bracketed, names, without_elements};
pub(super) use self::sound::{Around, sound};
use super::natural::by_names;

/// The function, and what its one column is called where it has no other name.
pub(super) const UNNEST: &str = "unnest";

/// Puts such elements in brackets with what stands directly before them, joined by nothing or `ON TRUE`.
pub(super) fn beside(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Unnested);
}

struct Unnested;

impl VisitorMut for Unnested {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut at = 0;
        while let Some(from) = select.from.get_mut(at) {
            if joined(from).is_some() {
                continue;
            }
            at = match listed(&mut select.from, at) {
                // Others may be joined to it.
                Some(before) => before,
                None => at + 1,
            };
        }
        ControlFlow::Continue(())
    }
}

/// `t CROSS JOIN unnest(…)`, and with `JOIN` or `LEFT JOIN` on nothing.
fn joined(from: &mut TableWithJoins) -> Option<()> {
    let mut joins = from.joins.iter().enumerate();
    let (at, join) = joins.find_map(|(at, join)| {
        without_elements(&join.join_operator)?;
        let relation = lists(&join.relation)?;
        Some((
            at,
            Join {
                relation,
                ..join.clone()
            },
        ))
    })?;
    let before = TableWithJoins {
        relation: from.relation.clone(),
        joins: from.joins.get(..at)?.to_vec(),
    };
    let behind = from.joins.get(at + 1..)?.to_vec();
    *from = TableWithJoins {
        relation: within(before, join)?,
        joins: behind,
    };
    Some(())
}

/// `t, unnest(…)`; tells where both are then.
fn listed(parts: &mut Vec<TableWithJoins>, at: usize) -> Option<usize> {
    let before = at.checked_sub(1)?;
    let part = parts.get(at)?;
    let join = Join {
        relation: lists(&part.relation)?,
        global: false,
        join_operator: JoinOperator::CrossJoin(JoinConstraint::None),
    };
    let both = TableWithJoins {
        relation: within(parts.get(before)?.clone(), join)?,
        joins: part.joins.clone(),
    };
    *parts.get_mut(before)? = both;
    parts.remove(at);
    Some(before)
}

/// Both in brackets. None where the columns of a join by names would be, which are looked for without brackets, and where elements begin
/// that belong to what stands before them.
fn within(mut before: TableWithJoins, elements: Join) -> Option<TableFactor> {
    if by_names(&before) || lists(&before.relation).is_some() {
        return None;
    }
    before.joins.push(elements);
    Some(bracketed(before))
}

/// The lists that have columns and are taken apart there.
fn lists(factor: &TableFactor) -> Option<TableFactor> {
    let (alias, lists) = match factor {
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset: false,
            with_ordinality: false,
            ..
        } => (alias, array_exprs.clone()),
        TableFactor::Function {
            lateral: true,
            name,
            args,
            with_ordinality: false,
            alias,
        } if name.to_string().eq_ignore_ascii_case(UNNEST) => (alias, given(args)?),
        _ => return None,
    };
    if !has_column(&lists) {
        return None;
    }
    names(alias.as_ref(), lists.len())?;
    Some(TableFactor::UNNEST {
        alias: alias.clone(),
        array_exprs: lists,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    })
}

/// What the columns of such elements are called.
pub(super) fn elements(join: &Join) -> Option<Vec<Ident>> {
    without_elements(&join.join_operator)?;
    match lists(&join.relation)? {
        TableFactor::UNNEST { alias, array_exprs, .. } => {
            names(alias.as_ref(), array_exprs.len()).map(|(_, columns)| columns)
        }
        _ => None,
    }
}

fn given(args: &[FunctionArg]) -> Option<Vec<Expr>> {
    let lists = args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(list)) => Some(list.clone()),
        _ => None,
    });
    lists.collect()
}

fn has_column(lists: &[Expr]) -> bool {
    lists.iter().any(|list| {
        let found = visit_expressions(list, |part| match part {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        found.is_break()
    })
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::{Lake, lines};

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
    // Goal: each table has its own columns, as in PostgreSQL. Method: what `*`, `t.*` and `u.*` show, by names and by rows, in each way to
    // join, with several lists, behind a join, for a name that both have, and where no name is given.
    #[tokio::test]
    async fn each_table_has_its_columns() {
        let lake = Lake::new();
        let t = "(SELECT 1 AS id, 'p,q' AS x, 'r' AS y UNION ALL SELECT 2, 's', NULL) AS t";
        let (x, y) = ("string_to_array(t.x, ',')", "string_to_array(t.y, ',')");
        let other = "(VALUES (1, 'one'), (3, 'three')) AS o (k, word)";
        for (sql, names, rows) in [
            (
                format!("SELECT t.* FROM {t}, unnest({x}) AS u (e)"),
                "id,x,y",
                vec!["1,p,q,r", "1,p,q,r", "2,s,"],
            ),
            (
                format!("SELECT T.* FROM {t} CROSS JOIN unnest({x}) AS u (e) WHERE u.e = 'q'"),
                "id,x,y",
                vec!["1,p,q,r"],
            ),
            (
                format!("SELECT u.* FROM {t} CROSS JOIN LATERAL unnest({x}) AS u (e)"),
                "e",
                vec!["p", "q", "s"],
            ),
            (
                format!("SELECT * FROM {t} LEFT JOIN LATERAL unnest({y}) AS u ON TRUE"),
                "id,x,y,u",
                vec!["1,p,q,r,r", "2,s,,"],
            ),
            (
                format!("SELECT u.*, t.id FROM {t} JOIN unnest({x}) AS u (e) ON TRUE"),
                "e,id",
                vec!["p,1", "q,1", "s,2"],
            ),
            (
                format!("SELECT u.*, v.* FROM {t}, unnest({x}) AS u (e), unnest({y}) AS v (f)"),
                "e,f",
                vec!["p,r", "q,r"],
            ),
            (
                format!("SELECT t.id, u.*, v.* FROM {t}, unnest({x}) AS u (e) LEFT JOIN unnest({y}) AS v (f) ON TRUE"),
                "id,e,f",
                vec!["1,p,r", "1,q,r", "2,s,"],
            ),
            (
                format!("SELECT t.id, u.* FROM {t}, unnest({x}, {y}) AS u (e, f)"),
                "id,e,f",
                vec!["1,p,r", "1,q,", "2,s,"],
            ),
            (
                format!("SELECT t.id, u.x, t.x AS own FROM {t}, unnest({x}) AS u (x) ORDER BY u.x DESC"),
                "id,x,own",
                vec!["1,p,p,q", "1,q,p,q", "2,s,s"],
            ),
            (
                format!("SELECT o.*, u.* FROM {t} JOIN {other} ON o.k = t.id CROSS JOIN unnest({x}) AS u (e)"),
                "k,word,e",
                vec!["1,one,p", "1,one,q"],
            ),
            (
                format!("SELECT q.* FROM (SELECT t.* FROM {t}, unnest({y})) AS q"),
                "id,x,y",
                vec!["1,p,q,r"],
            ),
            (format!("SELECT unnest FROM {t}, unnest({y})"), "unnest", vec!["r"]),
        ] {
            let answer = lake.query(&sql).await;
            let schema = answer.first().expect("rows").schema();
            let shown: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            assert_eq!(shown.join(","), names, "{sql}");
            assert_eq!(lines(&answer), rows, "{sql}");
        }
    }

    // Goal: a group has as many rows as elements stand beside it. Method: what groups with lists are told apart, grouped and sorted by, with
    // their elements and without.
    #[tokio::test]
    async fn groups_are_told_apart_by_their_elements() {
        let lake = Lake::new();
        let groups =
            "(SELECT k, array_agg(n ORDER BY n) AS l FROM (VALUES (1, 5), (1, 7), (2, 6)) AS v (k, n) GROUP BY k) AS g";
        let from = format!("FROM {groups}, unnest(g.l) AS u (x)");
        for (sql, rows) in [
            (format!("SELECT DISTINCT g.k {from}"), vec!["1", "2"]),
            (
                format!("SELECT g.k, count(*) AS c {from} GROUP BY g.k"),
                vec!["1,2", "2,1"],
            ),
            (
                format!("SELECT count(*) AS c {from} GROUP BY g.k, u.x"),
                vec!["1", "1", "1"],
            ),
            (
                format!("SELECT q.x FROM (SELECT g.k, u.x {from} ORDER BY g.k, u.x DESC LIMIT 1) AS q"),
                vec!["7"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
    }

    // Goal: what has no table's name and is of two is nobody's, and what is no list has no elements. Method: why each is refused.
    #[tokio::test]
    async fn what_is_not_told_is_refused() {
        let lake = Lake::new();
        let t = "(SELECT 1 AS id, 'p,q' AS x) AS t";
        for sql in [
            format!("SELECT x FROM {t}, unnest(string_to_array(t.x, ',')) AS u (x)"),
            format!("SELECT e FROM {t}, unnest(t.id) AS u (e)"),
            format!("SELECT t.e FROM {t}, unnest(string_to_array(t.x, ',')) AS u (e)"),
        ] {
            assert_eq!(lake.refused(&sql).await.code(), "ENG-0003", "{sql}");
        }
    }
}
