//! Rows that are sorted, grouped, told apart, joined and put into windows by intervals: in PostgreSQL they are by the lengths of these, and
//! part by part in the query engine. And frames by `RANGE` over keys of which the query engine has none.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, not_impl_err, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, Join, JoinConstraint, LogicalPlan, Projection, SortExpr, WindowFrame,
    WindowFrameBound, WindowFrameUnits,
};

use super::called::as_called;
use crate::functions::interval_length::length;

/// Which interval of those that are as long is shown: any would do.
const SHOWN: &str = "min";

/// The plan with lengths as the keys of its sorts, groups, joins and windows, where these are intervals.
pub(super) fn understood(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let mut regrouped = false;
    let understood = plan.transform_up_with_subqueries(|node| {
        // Of what is shown for a group it is not known that it is there.
        let node = match regrouped {
            true => node.recompute_schema()?,
            false => node,
        };
        match node {
            LogicalPlan::Sort(mut sort) => {
                let schema = Arc::clone(sort.input.schema());
                let changed = by_length(&mut sort.expr, &schema, &[]);
                Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), changed))
            }
            LogicalPlan::Distinct(Distinct::On(mut first)) => {
                let schema = Arc::clone(first.input.schema());
                let changed = match &mut first.sort_expr {
                    // The first keys are what rows are told apart by.
                    Some(keys) => by_length(keys, &schema, &first.on_expr),
                    None => false,
                };
                let first = LogicalPlan::Distinct(Distinct::On(first));
                Ok(Transformed::new_transformed(first, changed))
            }
            LogicalPlan::Distinct(Distinct::All(rows)) if has_intervals(rows.schema()) => {
                regrouped = true;
                let columns = rows.schema().columns().into_iter().map(Expr::Column).collect();
                let groups = Aggregate::try_new(rows, columns, Vec::new())?;
                Ok(Transformed::yes(grouped(groups, state)?))
            }
            LogicalPlan::Aggregate(groups) if is_grouped(&groups) => {
                regrouped = true;
                Ok(Transformed::yes(grouped(groups, state)?))
            }
            LogicalPlan::Join(join) => Ok(joined(join)),
            node @ LogicalPlan::Window(_) => windowed(node),
            LogicalPlan::RecursiveQuery(query)
                if query.is_distinct
                    && (has_intervals(query.static_term.schema()) || has_intervals(query.recursive_term.schema())) =>
            {
                not_impl_err!("UNION of intervals in WITH RECURSIVE: write UNION ALL")
            }
            node => Ok(Transformed::no(node)),
        }
    })?;
    Ok(understood.data)
}

fn is_interval(key: &Expr, schema: &DFSchema) -> bool {
    matches!(key.get_type(schema), Ok(DataType::Interval(_)))
}

/// Those between moments are durations, which no window is ordered by as they are.
fn is_span(key: &Expr, schema: &DFSchema) -> bool {
    matches!(key.get_type(schema), Ok(DataType::Interval(_) | DataType::Duration(_)))
}

/// Whether the query engine has no distance between two values of this key, without which it makes no frame by RANGE at all.
fn is_unmeasured(key: &Expr, schema: &DFSchema) -> bool {
    matches!(
        key.get_type(schema),
        Ok(DataType::FixedSizeBinary(_)
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::Time32(_)
            | DataType::Time64(_))
    )
}

fn has_intervals(schema: &DFSchema) -> bool {
    let mut fields = schema.fields().iter();
    fields.any(|field| matches!(field.data_type(), DataType::Interval(_)))
}

/// Whether groups are made by an interval.
fn is_grouped(groups: &Aggregate) -> bool {
    let schema = groups.input.schema();
    groups.group_expr.iter().any(|key| match key {
        Expr::GroupingSet(sets) => sets.distinct_expr().into_iter().any(|key| is_interval(key, schema)),
        key => is_interval(key, schema),
    })
}

/// The same groups by lengths, each with one of its intervals, under the names that these columns had.
fn grouped(groups: Aggregate, state: &SessionState) -> Result<LogicalPlan> {
    let Aggregate {
        input,
        group_expr,
        mut aggr_expr,
        schema,
        ..
    } = groups;
    if group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_))) {
        return not_impl_err!("ROLLUP, CUBE and GROUPING SETS of intervals");
    }
    let Some(shown) = state.aggregate_functions().get(SHOWN) else {
        return plan_err!("there is no function {SHOWN}");
    };
    let keys = group_expr.len();
    let rest = keys..keys + aggr_expr.len();
    let (mut lengths, mut places) = (Vec::with_capacity(keys), Vec::with_capacity(rest.end));
    for (at, key) in group_expr.into_iter().enumerate() {
        if !is_interval(&key, input.schema()) {
            lengths.push(key);
            places.push(at);
            continue;
        }
        let key = key.unalias();
        let one = AggregateFunction::new_udf(Arc::clone(shown), vec![key.clone()], false, None, Vec::new(), None);
        let one = Expr::AggregateFunction(one);
        let place = aggr_expr.iter().position(|own| *own == one);
        places.push(keys + place.unwrap_or(aggr_expr.len()));
        if place.is_none() {
            // A name of its own: with a cast and without one it would be called the same.
            aggr_expr.push(one.alias(format!("{SHOWN}\u{1}{at}")));
        }
        lengths.push(length(key));
    }
    places.extend(rest);
    let groups = Aggregate::try_new(input, lengths, aggr_expr)?;
    let columns = groups.schema.columns();
    let columns = places.into_iter().filter_map(|place| columns.get(place));
    let columns = columns.zip(schema.iter()).map(|(column, (relation, field))| {
        let own = Column::new(relation.cloned(), field.name());
        match *column == own {
            true => Expr::Column(own),
            false => Expr::Column(column.clone()).alias_qualified(own.relation, own.name),
        }
    });
    let columns: Vec<Expr> = columns.collect();
    let groups = Arc::new(LogicalPlan::Aggregate(groups));
    Ok(LogicalPlan::Projection(Projection::try_new(columns, groups)?))
}

/// The join by lengths, where it is one by columns that are intervals. Conditions are compared as they are everywhere.
fn joined(mut join: Join) -> Transformed<LogicalPlan> {
    let mut changed = false;
    for (left, right) in &mut join.on {
        if is_interval(left, join.left.schema()) || is_interval(right, join.right.schema()) {
            *left = length(left.clone());
            *right = length(right.clone());
            changed = true;
        }
    }
    if changed {
        // It is one by columns no more.
        join.join_constraint = JoinConstraint::On;
    }
    Transformed::new_transformed(LogicalPlan::Join(join), changed)
}

/// The plan with lengths as the keys of its windows, and frames that the query engine has for all types: to others it gives no types.
pub(super) fn windows(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(windowed)?.data)
}

/// The windows by lengths, each of its functions under its name.
fn windowed(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Window(window) = &node else {
        return Ok(Transformed::no(node));
    };
    let schema = Arc::clone(window.input.schema());
    let names = NamePreserver::new(&node);
    let mut change = |expr: Expr| expr.transform_up(|expr| over_lengths(expr, &schema));
    node.map_expressions(|expr| as_called(expr, &names, &mut change))
}

fn over_lengths(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::WindowFunction(mut function) = expr else {
        return Ok(Transformed::no(expr));
    };
    let params = &mut function.params;
    let mut changed = false;
    if params.window_frame.units == WindowFrameUnits::Range
        && let Some(key) = params.order_by.first()
        && is_unmeasured(&key.expr, schema)
    {
        if reaches(&params.window_frame) {
            return not_impl_err!(
                "RANGE of so much before or after a uuid, a time or bytes: order by a number, a date or a moment"
            );
        }
        // Bounds of the same rows: those that are told apart by no key go together in both.
        params.window_frame.units = WindowFrameUnits::Groups;
        changed = true;
    }
    // As below: windows of one node have the same keys.
    for key in &mut params.partition_by {
        if is_span(key, schema) {
            *key = length(key.clone());
            changed = true;
        }
    }
    for key in &mut params.order_by {
        if is_span(&key.expr, schema) {
            if reaches(&params.window_frame) {
                return not_impl_err!("RANGE of so much before or after an interval: order by a number");
            }
            key.expr = length(key.expr.clone());
            changed = true;
        }
    }
    Ok(Transformed::new_transformed(Expr::WindowFunction(function), changed))
}

/// Whether a frame goes by how far values are from the row's own.
fn reaches(frame: &WindowFrame) -> bool {
    let is_far = |bound: &WindowFrameBound| !bound.is_unbounded() && *bound != WindowFrameBound::CurrentRow;
    frame.units == WindowFrameUnits::Range && (is_far(&frame.start_bound) || is_far(&frame.end_bound))
}

fn by_length(keys: &mut [SortExpr], schema: &DFSchema, but: &[Expr]) -> bool {
    let mut changed = false;
    for key in keys {
        if is_interval(&key.expr, schema) && !but.contains(&key.expr) {
            key.expr = length(key.expr.clone());
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::Lake;

    // Goal: rows are sorted by the lengths of intervals, nulls where they belong. Method: the row at each place, both ways, of a query, of
    // one within another and of the first of each group, against answers of PostgreSQL 15.
    #[tokio::test]
    async fn sorted_by_length() {
        let lake = Lake::new();
        let rows = "(VALUES (1, 1, INTERVAL '1 month'), (2, 1, INTERVAL '31 days'), (3, 2, INTERVAL '25 hours'), \
                    (4, 2, INTERVAL '1 day'), (5, 3, NULL)) AS v (k, g, i)";
        for (order, wanted) in [
            ("i", ["4", "3", "1", "2", "5"]),
            ("i DESC, k", ["5", "2", "1", "3", "4"]),
        ] {
            for (at, wanted) in wanted.iter().enumerate() {
                let sql = format!("SELECT k FROM {rows} ORDER BY {order} LIMIT 1 OFFSET {at}");
                assert_eq!(lake.lines(&sql).await, [*wanted], "{sql}");
                let within = format!("SELECT k FROM ({sql}) AS q");
                assert_eq!(lake.lines(&within).await, [*wanted], "{within}");
            }
        }
        let first = format!("SELECT DISTINCT ON (g) g, k FROM {rows} ORDER BY g, i");
        assert_eq!(lake.lines(&first).await, ["1,1", "2,4", "3,5"]);
    }

    // Goal: windows are ordered and parted by the lengths of intervals. Method: functions of each kind over some that are as long and written
    // otherwise, and a null, against answers of PostgreSQL 15; by a plan that travelled too, what lies between two moments, and a frame
    // that goes by how far they are.
    #[tokio::test]
    async fn windows_by_length() {
        let lake = Lake::new();
        let rows = "(VALUES (1, INTERVAL '1 month'), (2, INTERVAL '30 days'), (3, INTERVAL '31 days'), (4, INTERVAL '24 hours'), \
                    (5, INTERVAL '1 day'), (6, NULL)) AS v (k, i)";
        let sql = format!(
            "SELECT k, rank() OVER (ORDER BY i), count(*) OVER (PARTITION BY i), sum(k) OVER (ORDER BY i DESC), \
             first_value(k) OVER (ORDER BY i DESC NULLS LAST, k), row_number() OVER (ORDER BY i, k) FROM {rows} ORDER BY k"
        );
        let wanted = [
            "1,3,2,12,3,3",
            "2,3,2,12,3,4",
            "3,5,1,9,3,5",
            "4,1,2,21,3,1",
            "5,1,2,21,3,2",
            "6,6,1,6,3,6",
        ];
        assert_eq!(lake.lines(&sql).await, wanted);
        assert_eq!(lake.travelled(&sql).await.expect("an answer"), wanted);
        let between = "SELECT k, rank() OVER (ORDER BY a - b) FROM (VALUES (1, TIMESTAMP '2024-01-31', TIMESTAMP '2024-01-01'), \
                       (2, TIMESTAMP '2024-01-02', TIMESTAMP '2024-01-01')) AS v (k, a, b) ORDER BY k";
        assert_eq!(lake.lines(between).await, ["1,2", "2,1"]);
        let far = format!(
            "SELECT sum(k) OVER (ORDER BY i RANGE BETWEEN INTERVAL '1 day' PRECEDING AND CURRENT ROW) FROM {rows}"
        );
        assert_eq!(lake.refused(&far).await.code(), "ENG-0004");
        let rounds = "WITH RECURSIVE r AS (SELECT INTERVAL '1 month' AS i UNION SELECT INTERVAL '30 days' FROM r) SELECT * FROM r";
        assert_eq!(lake.refused(rounds).await.code(), "ENG-0004");
    }

    // Goal: windows are ordered by keys between which the query engine knows no distance. Method: functions of each kind over times and bytes
    // with equal ones and a null, against answers of PostgreSQL 15, by a plan that travelled too, and a frame that goes by how far they are.
    #[tokio::test]
    async fn windows_without_distances() {
        let lake = Lake::new();
        let rows = "(VALUES (1, TIME '10:00:00', decode('ff', 'hex')), (2, TIME '09:30:00', decode('00', 'hex')), \
                    (3, TIME '10:00:00', NULL)) AS v (k, t, b)";
        let sql = format!(
            "SELECT k, sum(k) OVER (ORDER BY t), row_number() OVER (ORDER BY t DESC, k), sum(k) OVER (ORDER BY b), lag(k) OVER w \
             FROM {rows} WINDOW w AS (ORDER BY b DESC NULLS LAST) ORDER BY k"
        );
        let wanted = ["1,6,1,3,", "2,2,3,2,1", "3,6,2,6,2"];
        assert_eq!(lake.lines(&sql).await, wanted);
        assert_eq!(lake.travelled(&sql).await.expect("an answer"), wanted);
        let far = format!(
            "SELECT sum(k) OVER (ORDER BY t RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND CURRENT ROW) FROM {rows}"
        );
        assert_eq!(lake.refused(&far).await.code(), "ENG-0004");
    }

    // Goal: intervals that are as long are one, however rows are put together. Method: groups, DISTINCT, sets and joins by names over some that
    // are written otherwise, and nulls, against answers of PostgreSQL 15; groups by a plan that travelled too, and those that are refused.
    #[tokio::test]
    async fn lengths_are_one() {
        let lake = Lake::new();
        let rows = "(VALUES (1, INTERVAL '1 month'), (2, INTERVAL '30 days'), (3, INTERVAL '1 day'), (4, INTERVAL '24 hours'), \
                    (5, NULL)) AS v (k, i)";
        let grouped = format!("SELECT count(*), min(k), i = INTERVAL '1 month', min(i) = i FROM {rows} GROUP BY i");
        let wanted = ["1,5,,", "2,1,true,true", "2,3,false,true"];
        assert_eq!(lake.lines(&grouped).await, wanted);
        assert_eq!(lake.travelled(&grouped).await.expect("an answer"), wanted);
        for (found, wanted) in [
            (format!("SELECT DISTINCT i FROM {rows}"), "3"),
            (format!("SELECT i FROM {rows} UNION SELECT INTERVAL '720 hours'"), "3"),
            (
                format!("SELECT i FROM {rows} INTERSECT SELECT INTERVAL '720 hours'"),
                "1",
            ),
            (format!("SELECT i FROM {rows} EXCEPT SELECT INTERVAL '24 hours'"), "2"),
            (
                format!("SELECT i FROM {rows} EXCEPT ALL SELECT INTERVAL '24 hours'"),
                "4",
            ),
            (
                format!("SELECT k FROM {rows} JOIN (VALUES (INTERVAL '720 hours')) AS w (i) USING (i)"),
                "2",
            ),
            (
                format!("SELECT k FROM {rows} NATURAL JOIN (VALUES (INTERVAL '720 hours')) AS w (i)"),
                "2",
            ),
            (format!("SELECT k % 2, i FROM {rows} GROUP BY i, k % 2"), "5"),
            (
                "SELECT x::interval AS i, min(x) AS x FROM (VALUES ('1 month'), ('30 days')) AS v (x) GROUP BY x::interval"
                    .to_owned(),
                "1",
            ),
        ] {
            let sql = format!("SELECT count(*) FROM ({found}) AS q");
            assert_eq!(lake.lines(&sql).await, [wanted], "{sql}");
        }
        lake.refused(&format!("SELECT i, count(*) FROM {rows} GROUP BY ROLLUP (i)"))
            .await;
    }
}
