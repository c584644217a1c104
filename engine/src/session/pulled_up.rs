//! Queries that depend on the row around them, of which DataFusion 55.2 would answer with other rows than they mean: it takes their condition on
//! that row from where it stands to a join above all of the query. Above a window, a limit, the other side of an outer join or a
//! grouping of no columns that is another condition. Queries of one row are said of the row around them, `OFFSET` in `EXISTS` is counted, and
//! what is left of them is refused.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result, not_impl_err};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, FetchType, Join, Limit, LogicalPlan, LogicalPlanBuilder, Operator, SkipType, Subquery,
    lit,
};

use super::called::as_called;
use super::computed_beside::selected;
use super::one_group::{self, Around};

/// The plan with such queries as what they mean. It has to come from the planner: a rule that refused would be left out.
///
/// # Errors
/// One of them is not known.
pub(super) fn understood(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        let is_lateral = |join: &Join| lateral(&join.left).is_some() || lateral(&join.right).is_some();
        found |= matches!(node, LogicalPlan::Join(join) if is_lateral(join)) || has_query(node)?;
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    if !found {
        return Ok(plan);
    }
    let mut changed = false;
    let understood = plan.transform_up_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = &node {
            check_lateral(join)?;
        }
        let node = match has_query(&node)? {
            true => {
                let (around, names) = (Around::of(&node), NamePreserver::new(&node));
                let mut change = |expr: Expr| expr.transform_up(|part| said(part, &around));
                node.map_expressions(|expr| as_called(expr, &names, &mut change))?
            }
            false => Transformed::no(node),
        };
        changed |= node.transformed;
        match changed {
            // What is made of such a value may be null now.
            true => node.map_data(LogicalPlan::recompute_schema),
            false => Ok(node),
        }
    })?;
    Ok(understood.data)
}

/// Whether a part of a plan has queries that depend on the row around them.
fn has_query(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found |= expr.exists(|part| {
            Ok(match part {
                Expr::Exists(Exists { subquery, .. })
                | Expr::InSubquery(InSubquery { subquery, .. })
                | Expr::ScalarSubquery(subquery) => !subquery.outer_ref_columns.is_empty(),
                _ => false,
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The expression, if it is such a query, as what it means.
fn said(part: Expr, around: &Around) -> Result<Transformed<Expr>> {
    let value = |query: Subquery| -> Result<Expr> {
        let value = Expr::ScalarSubquery(query);
        check(&value)?;
        Ok(value)
    };
    if let Some(said) = one_group::said(&part, around, &value)? {
        return Ok(Transformed::yes(said));
    }
    if let Some(counted) = counted(&part, &value)? {
        return Ok(Transformed::yes(counted));
    }
    check(&part)?;
    Ok(Transformed::no(part))
}

/// What is asked of a query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Whether it has rows.
    Any,
    /// Whether a value is among its rows.
    Member,
    /// Its one value.
    Value,
    /// Its rows, joined with what is around.
    Rows,
}

/// Refuses what would be answered wrongly.
///
/// # Errors
/// The expression is such a query.
fn check(part: &Expr) -> Result<()> {
    let (query, asked) = match part {
        Expr::Exists(Exists { subquery, .. }) => (subquery, Asked::Any),
        Expr::InSubquery(InSubquery { subquery, .. }) => (subquery, Asked::Member),
        Expr::ScalarSubquery(subquery) => (subquery, Asked::Value),
        _ => return Ok(()),
    };
    match query.outer_ref_columns.is_empty() {
        true => Ok(()),
        false => refuse(below_what_is_known(&query.subquery, asked)?, asked),
    }
}

/// The same of a query in the place of a table, `LATERAL`.
///
/// # Errors
/// It is such a query.
fn check_lateral(join: &Join) -> Result<()> {
    for side in [&join.left, &join.right] {
        if let Some(query) = lateral(side) {
            refuse(below_what_is_known(query, Asked::Rows)?, Asked::Rows)?;
            check_shown(query)?;
        }
    }
    Ok(())
}

/// Refuses columns of the row around among those of such a query, as the planner would when it is too late to say where they stand. A row of
/// values of no table is known (`computed_beside.rs`).
fn check_shown(query: &LogicalPlan) -> Result<()> {
    if selected(query).is_some() {
        return Ok(());
    }
    query.apply(|node| match node {
        LogicalPlan::Subquery(_) => Ok(TreeNodeRecursion::Jump),
        LogicalPlan::Projection(_) if node.contains_outer_reference() => not_impl_err!(
            "columns of what stands before a LATERAL among those that it selects from a table: select them beside it"
        ),
        _ => Ok(TreeNodeRecursion::Continue),
    })?;
    Ok(())
}

fn lateral(side: &LogicalPlan) -> Option<&LogicalPlan> {
    match side {
        LogicalPlan::Subquery(query) => Some(query.subquery.as_ref()),
        LogicalPlan::SubqueryAlias(alias) => lateral(&alias.input),
        LogicalPlan::Projection(projection) => lateral(&projection.input),
        _ => None,
    }
}

/// The part of a query below what stands at its top and changes nothing, or is known to the planner there.
fn below_what_is_known(query: &LogicalPlan, asked: Asked) -> Result<&LogicalPlan> {
    let mut rows = query;
    loop {
        rows = match rows {
            LogicalPlan::Projection(projection) => projection.input.as_ref(),
            LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => sort.input.as_ref(),
            LogicalPlan::Window(window) if asked == Asked::Any => window.input.as_ref(),
            LogicalPlan::Distinct(Distinct::All(input)) if matches!(asked, Asked::Any | Asked::Member) => {
                input.as_ref()
            }
            LogicalPlan::Limit(limit) if asked == Asked::Any && is_known(limit)? => limit.input.as_ref(),
            // The one group of all rows is there without rows too, which is known of the topmost of a value or of rows.
            LogicalPlan::Aggregate(aggregate)
                if aggregate.group_expr.is_empty() && matches!(asked, Asked::Value | Asked::Rows) =>
            {
                return Ok(aggregate.input.as_ref());
            }
            other => return Ok(other),
        };
    }
}

/// Whether the planner knows what a limit means for whether there are rows: it forgets those that are left out before the first one.
fn is_known(limit: &Limit) -> Result<bool> {
    Ok(matches!(limit.get_skip_type()?, SkipType::Literal(0)))
}

fn refuse(rows: &LogicalPlan, asked: Asked) -> Result<()> {
    rows.apply(|node| {
        let what = match node {
            // A query within, with a row around it of its own.
            LogicalPlan::Subquery(_) => return Ok(TreeNodeRecursion::Jump),
            LogicalPlan::Window(window) if is_bound(&window.input)? => "a function over a window",
            LogicalPlan::Limit(limit) if is_bound(&limit.input)? => "LIMIT or OFFSET",
            LogicalPlan::Aggregate(aggregate)
                if (aggregate.group_expr.is_empty()
                    || aggregate
                        .group_expr
                        .iter()
                        .any(|key| matches!(key, Expr::GroupingSet(_))))
                    && is_bound(&aggregate.input)? =>
            {
                "a group that is there without rows"
            }
            // There are as many of a row as of its values in the condition: none is missed where only whether there are any counts.
            LogicalPlan::Distinct(Distinct::All(input)) if asked == Asked::Rows && !is_bound_by_values(input)? => {
                "DISTINCT, but by ="
            }
            LogicalPlan::Aggregate(aggregate)
                if asked == Asked::Rows && aggregate.aggr_expr.is_empty() && !is_bound_by_values(&aggregate.input)? =>
            {
                "GROUP BY, but by ="
            }
            LogicalPlan::Join(join) if is_other_side_bound(join)? => "an outer join, EXCEPT or INTERSECT",
            LogicalPlan::RecursiveQuery(query) if is_bound(&query.static_term)? || is_bound(&query.recursive_term)? => {
                "a recursive query"
            }
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        not_impl_err!("a query that depends on the row around it within {what}")
    })?;
    Ok(())
}

/// Whether the side of which rows may be missing, or are only compared, depends on the row around.
fn is_other_side_bound(join: &Join) -> Result<bool> {
    Ok(match join.join_type {
        JoinType::Inner => false,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => is_bound(&join.right)?,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => is_bound(&join.left)?,
        JoinType::Full => is_bound(&join.left)? || is_bound(&join.right)?,
    })
}

/// Whether rows depend on those around only by that columns of theirs have values of these.
fn is_bound_by_values(rows: &LogicalPlan) -> Result<bool> {
    let mut only = true;
    rows.apply(|node| {
        only &= match node {
            LogicalPlan::Subquery(_) => return Ok(TreeNodeRecursion::Jump),
            LogicalPlan::Filter(filter) => split_conjunction(&filter.predicate)
                .into_iter()
                .all(|part| !part.contains_outer() || is_of_value(part)),
            node => !node.contains_outer_reference(),
        };
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(only)
}

fn is_of_value(part: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = part
    else {
        return false;
    };
    matches!(
        (left.as_ref(), right.as_ref()),
        (Expr::Column(_), Expr::OuterReferenceColumn(..)) | (Expr::OuterReferenceColumn(..), Expr::Column(_))
    )
}

/// Whether rows depend on those around.
fn is_bound(rows: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    rows.apply(|node| {
        if matches!(node, LogicalPlan::Subquery(_)) {
            return Ok(TreeNodeRecursion::Jump);
        }
        found |= node.contains_outer_reference();
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

/// `EXISTS (… OFFSET n)` as that there are more rows than `n`, which the planner forgets where it makes a join; none for what is no such
/// query. `value` makes a value of a query of one aggregate.
fn counted(part: &Expr, value: &dyn Fn(Subquery) -> Result<Expr>) -> Result<Option<Expr>> {
    let Expr::Exists(Exists { subquery, negated }) = part else {
        return Ok(None);
    };
    let LogicalPlan::Limit(limit) = subquery.subquery.as_ref() else {
        return Ok(None);
    };
    let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (limit.get_skip_type()?, limit.get_fetch_type()?) else {
        return Ok(None);
    };
    let Ok(skip) = i64::try_from(skip) else {
        return Ok(None);
    };
    if subquery.outer_ref_columns.is_empty() || skip == 0 || fetch == Some(0) {
        return Ok(None);
    }
    let counted = value(number(limit.input.as_ref().clone(), subquery)?)?;
    Ok(Some(match negated {
        true => counted.lt_eq(lit(skip)),
        false => counted.gt(lit(skip)),
    }))
}

/// The query of how many rows there are, in place of another one.
pub(super) fn number(rows: LogicalPlan, query: &Subquery) -> Result<Subquery> {
    let rows = LogicalPlanBuilder::from(rows).aggregate(Vec::<Expr>::new(), vec![count(lit(1_i64))])?;
    let columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    let rows = rows.project(columns)?.build()?;
    Ok(Subquery {
        outer_ref_columns: rows.all_out_ref_exprs(),
        subquery: Arc::new(rows),
        spans: query.spans.clone(),
    })
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::{AROUND, Lake};

    // Goal: what stands at the top of a query and changes nothing is no reason to refuse it, and OFFSET counts. Method: such queries, with
    // PostgreSQL's answers.
    #[tokio::test]
    async fn what_changes_nothing_is_answered() {
        let lake = Lake::new();
        for (sql, rows) in [
            (
                "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k OFFSET 2)",
                vec!["1", "2"],
            ),
            (
                "SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k OFFSET 1)",
                vec!["5", "6", "7"],
            ),
            (
                "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k LIMIT 1)",
                vec!["1", "2", "3", "4", "5"],
            ),
            (
                "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k LIMIT 0)",
                vec![],
            ),
            (
                "SELECT id FROM t WHERE EXISTS (SELECT row_number() OVER (ORDER BY x) FROM u WHERE u.k = t.k)",
                vec!["1", "2", "3", "4", "5"],
            ),
            (
                "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u LEFT JOIN t AS s ON s.id = u.id WHERE u.k = t.k AND s.n IS NULL)",
                vec!["1", "2", "5"],
            ),
            (
                "SELECT t.id, z.c FROM t, LATERAL (SELECT DISTINCT u.g AS c FROM u WHERE u.k = t.k AND u.x > 5) AS z",
                vec!["1,p", "1,q", "2,p", "2,q"],
            ),
            (
                "SELECT t.id, z.c FROM t, LATERAL (SELECT count(*) AS c FROM u WHERE u.k = t.k) AS z",
                vec!["1,3", "2,3", "3,2", "4,2", "5,1", "6,0", "7,0"],
            ),
        ] {
            assert_eq!(lake.lines(&format!("{AROUND} {sql}")).await, rows, "{sql}");
        }
    }

    // Goal: no query is answered with other rows than it means. Method: a key below each part of a query over which it must not be pulled.
    #[tokio::test]
    async fn what_would_be_answered_wrongly_is_refused() {
        let lake = Lake::new();
        for sql in [
            "SELECT t.id FROM t, LATERAL (SELECT row_number() OVER (ORDER BY x) AS r FROM u WHERE u.k = t.k) AS z",
            "SELECT id FROM t WHERE 1 IN (SELECT row_number() OVER (ORDER BY x) FROM u WHERE u.k = t.k)",
            "SELECT id FROM t WHERE 1 NOT IN (SELECT row_number() OVER (ORDER BY x) FROM u WHERE u.k = t.k)",
            "SELECT id FROM t WHERE EXISTS (SELECT max(x) FROM u WHERE u.k = t.k GROUP BY ROLLUP (g))",
            "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u AS v LEFT JOIN (SELECT * FROM u WHERE u.k = t.k) AS z ON z.x = v.x WHERE z.x IS NULL)",
            "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM (SELECT x FROM u WHERE u.k = t.k ORDER BY x LIMIT 1) AS z WHERE z.x > 4)",
            "SELECT t.id FROM t, LATERAL (SELECT count(*) AS c FROM u WHERE u.k = t.k HAVING count(*) > 1) AS z",
            "SELECT t.id, z.c FROM t, LATERAL (SELECT DISTINCT u.g AS c FROM u WHERE u.k = t.k AND u.x < t.n) AS z",
            "SELECT t.id, z.c FROM t, LATERAL (SELECT u.g AS c FROM u WHERE u.x < t.id GROUP BY u.g) AS z",
        ] {
            assert_eq!(
                lake.refused(&format!("{AROUND} {sql}")).await.code(),
                "ENG-0004",
                "{sql}"
            );
        }
    }
}
