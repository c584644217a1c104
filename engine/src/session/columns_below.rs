//! Queries that name what is around them, where DataFusion 55.2 takes none: in aggregates, in functions over windows, beside `DISTINCT ON`, in
//! `ON` and among what is grouped by. They become columns of the rows below, which what stands above loses again; conditions of an
//! inner join with such queries stand behind it, and those of one side of an outer join at that side.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, Result, internal_err};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Projection, Window, lit,
};

use super::pulled_up::number;

/// What stands before the number of such a column.
const ASKED: &str = "__asked_";

/// What the rows of a query are called among which a value is looked for.
const MEMBERS: &str = "__members";

/// The plan with such queries where they are taken. Those that cannot be put there stay, and are refused.
pub(super) fn moved(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if matches!(
            node,
            LogicalPlan::Aggregate(_)
                | LogicalPlan::Window(_)
                | LogicalPlan::Distinct(Distinct::On(_))
                | LogicalPlan::Join(_)
        ) {
            node.apply_expressions(|expr| {
                found |= asks(expr);
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    if !found {
        return Ok(plan);
    }
    let moved = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => of_aggregate(aggregate),
        LogicalPlan::Window(window) => of_window(window),
        LogicalPlan::Distinct(Distinct::On(distinct)) => of_distinct(distinct),
        LogicalPlan::Join(join) => of_join(join),
        node => Ok(Transformed::no(node)),
    })?;
    Ok(moved.data)
}

fn of_aggregate(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let mut asked = Asked::of(&aggregate.input, "");
    let groups = asked.all(aggregate.group_expr.clone())?;
    let values = asked.all(aggregate.aggr_expr.clone())?;
    if asked.columns.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let below = asked.below_for(groups.iter().chain(&values))?;
    let rows = Aggregate::try_new(below, groups, values)?;
    as_before(LogicalPlan::Aggregate(rows), &aggregate.schema, |at| at)
}

fn of_window(window: Window) -> Result<Transformed<LogicalPlan>> {
    let mut asked = Asked::of(&window.input, "");
    let values = asked.all(window.window_expr.clone())?;
    if asked.columns.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let (own, more) = (window.input.schema().fields().len(), asked.columns.len());
    let rows = Window::try_new(values, asked.below()?)?;
    as_before(LogicalPlan::Window(rows), &window.schema, |at| match at < own {
        true => at,
        false => at + more,
    })
}

fn of_distinct(distinct: DistinctOn) -> Result<Transformed<LogicalPlan>> {
    let mut asked = Asked::of(&distinct.input, "");
    let on = asked.all(distinct.on_expr.clone())?;
    let columns = asked.all(distinct.select_expr.clone())?;
    let sorts = distinct.sort_expr.clone().map(|sorts| {
        let sorts = sorts.into_iter().map(|mut sort| {
            sort.expr = asked.put(sort.expr)?;
            Ok(sort)
        });
        sorts.collect::<Result<Vec<_>>>()
    });
    let sorts = sorts.transpose()?;
    if asked.columns.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Distinct(Distinct::On(distinct))));
    }
    let keys = sorts.iter().flatten().map(|sort| &sort.expr);
    let below = asked.below_for(on.iter().chain(&columns).chain(keys))?;
    let rows = DistinctOn::try_new(on, columns, sorts, below)?;
    as_before(LogicalPlan::Distinct(Distinct::On(rows)), &distinct.schema, |at| at)
}

fn of_join(join: Join) -> Result<Transformed<LogicalPlan>> {
    let Some(filter) = join.filter.clone().filter(asks) else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    match join.join_type {
        JoinType::Inner => behind(join, filter),
        JoinType::Left | JoinType::Right | JoinType::Full => beside(join, filter),
        _ => Ok(Transformed::no(LogicalPlan::Join(join))),
    }
}

/// An inner join with such conditions behind it.
fn behind(join: Join, filter: Expr) -> Result<Transformed<LogicalPlan>> {
    let (left, right) = (join.left.schema(), join.right.schema());
    let (mut asking, mut own) = (Vec::new(), Vec::new());
    for part in split_conjunction_owned(filter) {
        let names = Names::of(&part)?;
        // What is asked for rows of one side goes there by itself, if it names nothing around it.
        let is_there = !names.is_bound && (names.are_of_one(left, right) || names.are_of_one(right, left));
        match asks(&part) && !is_there {
            true => asking.push(part),
            false => own.push(part),
        }
    }
    let Some(condition) = conjunction(asking) else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let rows = LogicalPlan::Join(Join {
        filter: conjunction(own),
        ..join
    });
    let passed = Filter::try_new(condition, Arc::new(rows))?;
    Ok(Transformed::yes(LogicalPlan::Filter(passed)))
}

/// An outer join with what is asked for rows of one side at that side. A condition on the side of which rows may be missing leaves out
/// rows there; of any other its queries become columns.
fn beside(join: Join, filter: Expr) -> Result<Transformed<LogicalPlan>> {
    let (left, right) = (Arc::clone(join.left.schema()), Arc::clone(join.right.schema()));
    let (mut of_left, mut of_right) = (Asked::of(&join.left, "l"), Asked::of(&join.right, "r"));
    let (mut at_left, mut at_right, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for part in split_conjunction_owned(filter) {
        if !asks(&part) || part.is_volatile() {
            own.push(part);
            continue;
        }
        let names = Names::of(&part)?;
        match join.join_type {
            JoinType::Left if names.are_of_one(&right, &left) => at_right.push(part),
            JoinType::Right if names.are_of_one(&left, &right) => at_left.push(part),
            _ => {
                let value = of_left.put_side(valued(part.clone(), &join.schema)?, &right)?;
                let value = of_right.put_side(value, &left)?;
                own.push(match asks(&value) {
                    true => part,
                    false => value,
                });
            }
        }
    }
    let (columns, schema) = (of_left.columns.len(), Arc::clone(&join.schema));
    let is_as_before = columns == 0 && of_right.columns.is_empty();
    if is_as_before && at_left.is_empty() && at_right.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let rows = Join::try_new(
        passed(of_left.below()?, at_left)?,
        passed(of_right.below()?, at_right)?,
        join.on,
        conjunction(own),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    if is_as_before {
        return Ok(Transformed::yes(LogicalPlan::Join(rows)));
    }
    let count = left.fields().len();
    as_before(LogicalPlan::Join(rows), &schema, |at| match at < count {
        true => at,
        false => at + columns,
    })
}

fn passed(rows: Arc<LogicalPlan>, conditions: Vec<Expr>) -> Result<Arc<LogicalPlan>> {
    Ok(match conjunction(conditions) {
        Some(condition) => Arc::new(LogicalPlan::Filter(Filter::try_new(condition, rows)?)),
        None => rows,
    })
}

/// A condition that stands for itself, with the number of rows for whether there are some: it is known of each row, and can be a column.
fn valued(part: Expr, around: &DFSchema) -> Result<Expr> {
    let part = match part {
        Expr::InSubquery(InSubquery {
            expr,
            subquery,
            negated: false,
        }) if !asks(&expr) => {
            let looked_for = expr.transform_up(|part| {
                Ok(match part {
                    Expr::Column(column) => {
                        let field = Arc::clone(around.qualified_field_from_column(&column)?.1);
                        Transformed::yes(Expr::OuterReferenceColumn(field, column))
                    }
                    part => Transformed::no(part),
                })
            })?;
            // The same table may be around: the planner tells columns apart by their names.
            let rows = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).alias(MEMBERS)?;
            let member = Expr::Column(Column::from(rows.schema().qualified_field(0)));
            let rows = rows.filter(member.eq(looked_for.data))?.build()?;
            return Ok(Expr::ScalarSubquery(number(rows, &subquery)?).gt(lit(0_i64)));
        }
        part => part,
    };
    let valued = part.transform_up(|part| {
        Ok(match part {
            Expr::Exists(Exists { subquery, negated }) => {
                let rows = subquery.subquery.as_ref().clone();
                let number = Expr::ScalarSubquery(number(rows, &subquery)?);
                Transformed::yes(match negated {
                    true => number.eq(lit(0_i64)),
                    false => number.gt(lit(0_i64)),
                })
            }
            part => Transformed::no(part),
        })
    })?;
    Ok(valued.data)
}

/// The rows with the columns that they had, by what these were called. `place` tells where each is now.
fn as_before(rows: LogicalPlan, schema: &DFSchema, place: impl Fn(usize) -> usize) -> Result<Transformed<LogicalPlan>> {
    let columns = schema.iter().enumerate().map(|(at, (table, field))| {
        let now = Column::from(rows.schema().iter().nth(place(at))?);
        Some(match now.relation.as_ref() == table && now.name == *field.name() {
            true => Expr::Column(now),
            false => Expr::Column(now).alias_qualified(table.cloned(), field.name()),
        })
    });
    let Some(columns) = columns.collect::<Option<Vec<Expr>>>() else {
        return internal_err!("columns are missing where queries became some");
    };
    let rows = Projection::try_new(columns, Arc::new(rows))?;
    Ok(Transformed::yes(LogicalPlan::Projection(rows)))
}

/// What queries are asked for each of some rows.
struct Asked {
    rows: Arc<LogicalPlan>,
    /// Tells its columns from those of the other side of a join.
    side: &'static str,
    /// Each query once, by the number of its column.
    columns: Vec<Expr>,
}

impl Asked {
    fn of(rows: &Arc<LogicalPlan>, side: &'static str) -> Self {
        Self {
            rows: Arc::clone(rows),
            side,
            columns: Vec::new(),
        }
    }

    fn all(&mut self, exprs: Vec<Expr>) -> Result<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.put(expr)).collect()
    }

    /// An expression with columns for the values of its queries that name what these rows have.
    fn put(&mut self, expr: Expr) -> Result<Expr> {
        self.put_side(expr, &DFSchema::empty())
    }

    /// The same where queries may name columns of another side as well: those that do stay.
    fn put_side(&mut self, expr: Expr, other: &DFSchema) -> Result<Expr> {
        let put = expr.transform_up(|part| {
            let Expr::ScalarSubquery(query) = &part else {
                return Ok(Transformed::no(part));
            };
            if query.outer_ref_columns.is_empty() || !Names::of(&part)?.are_of_one(self.rows.schema(), other) {
                return Ok(Transformed::no(part));
            }
            let at = match self.columns.iter().position(|column| *column == part) {
                Some(at) => at,
                None => {
                    self.columns.push(part);
                    self.columns.len() - 1
                }
            };
            Ok(Transformed::yes(Expr::Column(Column::from_name(self.called(at)))))
        })?;
        Ok(put.data)
    }

    fn called(&self, at: usize) -> String {
        format!("{ASKED}{}{at}", self.side)
    }

    /// The rows with these columns.
    fn below(self) -> Result<Arc<LogicalPlan>> {
        self.below_with(|_| true)
    }

    /// The same, and of their own with those that some expressions name: who may read only these is not refused for others.
    fn below_for<'a>(self, exprs: impl IntoIterator<Item = &'a Expr>) -> Result<Arc<LogicalPlan>> {
        let mut named = BTreeSet::new();
        for expr in exprs {
            let own = Names::of(expr)?.own;
            named.extend(
                own.iter()
                    .filter_map(|column| self.rows.schema().maybe_index_of_column(column)),
            );
        }
        self.below_with(|place| named.contains(&place))
    }

    fn below_with(self, is_kept: impl Fn(usize) -> bool) -> Result<Arc<LogicalPlan>> {
        if self.columns.is_empty() {
            return Ok(self.rows);
        }
        let own = self.rows.schema().columns().into_iter().enumerate();
        let own = own.filter(|(place, _)| is_kept(*place));
        let mut columns: Vec<Expr> = own.map(|(_, column)| Expr::Column(column)).collect();
        for (at, column) in self.columns.iter().enumerate() {
            columns.push(column.clone().alias(self.called(at)));
        }
        let rows = Projection::try_new(columns, self.rows)?;
        Ok(Arc::new(LogicalPlan::Projection(rows)))
    }
}

/// Columns that an expression names.
struct Names {
    /// Its own, and those of the row around its queries.
    own: Vec<Column>,
    /// Those of rows around its queries and around queries within these, whosever they are.
    around: Vec<Column>,
    /// Whether one of its queries depends on the row around it.
    is_bound: bool,
}

impl Names {
    fn of(expr: &Expr) -> Result<Self> {
        let mut names = Self {
            own: Vec::new(),
            around: Vec::new(),
            is_bound: false,
        };
        expr.apply(|part| {
            match part {
                Expr::Column(column) => names.own.push(column.clone()),
                Expr::Exists(Exists { subquery, .. })
                | Expr::InSubquery(InSubquery { subquery, .. })
                | Expr::ScalarSubquery(subquery) => {
                    names.is_bound |= !subquery.outer_ref_columns.is_empty();
                    names.own.extend(subquery.outer_ref_columns.iter().filter_map(outer));
                    outer_columns(&subquery.subquery, &mut names.around)?;
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(names)
    }

    /// Whether all are of these rows, and none of the others.
    fn are_of_one(&self, rows: &DFSchema, others: &DFSchema) -> bool {
        let mut all = self.own.iter().chain(&self.around);
        self.own.iter().all(|column| rows.has_column(column)) && !all.any(|column| others.has_column(column))
    }
}

fn outer(expr: &Expr) -> Option<Column> {
    match expr {
        Expr::OuterReferenceColumn(_, column) => Some(column.clone()),
        _ => None,
    }
}

fn outer_columns(plan: &LogicalPlan, found: &mut Vec<Column>) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                found.extend(outer(part));
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Whether an expression has a query of which the planner makes no value, or one that depends on the row around it.
fn asks(expr: &Expr) -> bool {
    let found = expr.exists(|part| {
        Ok(match part {
            Expr::Exists(_) | Expr::InSubquery(_) => true,
            Expr::ScalarSubquery(query) => !query.outer_ref_columns.is_empty(),
            _ => false,
        })
    });
    found.unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::{AROUND, Lake};

    // Goal: a query that names what is around it is asked for each row there, wherever it stands. Method: aggregates, groups, windows, first
    // rows and joins of each kind, with PostgreSQL's answers.
    #[tokio::test]
    async fn queries_are_asked_below() {
        let lake = Lake::new();
        for (sql, rows) in [
            ("SELECT sum((SELECT max(x) FROM u WHERE u.k = t.k)) FROM t", vec!["18"]),
            (
                "SELECT sum((SELECT max(x) FROM u WHERE u.k = t.k)) FROM t WHERE id > 99",
                vec![""],
            ),
            (
                "SELECT g, sum((SELECT max(x) FROM u WHERE u.k = t.k)), count(*) FROM t GROUP BY g",
                vec![",,1", "a,12,2", "b,6,2", "c,,2"],
            ),
            (
                "SELECT count(DISTINCT (SELECT count(*) FROM u WHERE u.k = t.k)) FROM t",
                vec!["4"],
            ),
            (
                "SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k)) FROM t",
                vec!["5"],
            ),
            (
                "SELECT g, count(*) FILTER (WHERE t.k IN (SELECT u.k FROM u WHERE u.k > 1)) FROM t GROUP BY g",
                vec![",1", "a,0", "b,2", "c,0"],
            ),
            (
                "SELECT g FROM t GROUP BY g HAVING sum((SELECT count(*) FROM u WHERE u.k = t.k)) > 4",
                vec!["a"],
            ),
            (
                "SELECT (SELECT max(x) FROM u WHERE u.k = t.k) AS m, count(*) FROM t GROUP BY 1",
                vec![",3", "3,2", "6,2"],
            ),
            (
                "SELECT max((SELECT sum(x) FROM u WHERE u.k = t.k) + n) FROM t",
                vec!["26"],
            ),
            (
                "SELECT id, sum((SELECT count(*) FROM u WHERE u.k = t.k)) OVER (ORDER BY id) FROM t",
                vec!["1,3", "2,6", "3,8", "4,10", "5,11", "6,11", "7,11"],
            ),
            (
                "SELECT id, rank() OVER (PARTITION BY (SELECT max(x) FROM u WHERE u.k = t.k) ORDER BY id DESC) FROM t",
                vec!["1,2", "2,1", "3,2", "4,1", "5,3", "6,2", "7,1"],
            ),
            (
                "SELECT DISTINCT ON (g) g, id, (SELECT count(*) FROM u WHERE u.k = t.k) FROM t ORDER BY g, id",
                vec![",5,1", "a,1,3", "b,3,2", "c,6,0"],
            ),
            (
                "SELECT DISTINCT ON ((SELECT count(*) FROM u WHERE u.k = t.k)) id FROM t ORDER BY (SELECT count(*) FROM u WHERE u.k = t.k), id",
                vec!["1", "3", "5", "6"],
            ),
            (
                "SELECT t.id, u.id FROM t JOIN u ON u.k = t.k AND u.x = (SELECT max(v.x) FROM u AS v WHERE v.k = t.k)",
                vec!["1,2", "1,3", "2,2", "2,3", "3,5", "4,5"],
            ),
            (
                "SELECT t.id, u.id FROM t JOIN u ON u.k = t.k AND EXISTS (SELECT 1 FROM u AS v WHERE v.k = t.k AND v.x > u.x)",
                vec!["1,1", "2,1"],
            ),
            (
                "SELECT t.id, u.id FROM t JOIN u ON u.k = t.k AND (u.x > 5 OR NOT EXISTS (SELECT 1 FROM u AS v WHERE v.k = u.k AND v.id > u.id))",
                vec!["1,2", "1,3", "2,2", "2,3", "3,5", "4,5", "5,7"],
            ),
            (
                "SELECT t.id, u.id FROM t JOIN u ON u.k = t.k AND t.n + u.x IN (SELECT n + 4 FROM t)",
                vec!["1,1"],
            ),
            (
                "SELECT t.id, u.id FROM t LEFT JOIN u ON u.k = t.k AND EXISTS (SELECT 1 FROM u AS v WHERE v.k = t.k AND v.x > 4)",
                vec!["1,1", "1,2", "1,3", "2,1", "2,2", "2,3", "3,", "4,", "5,", "6,", "7,"],
            ),
            (
                "SELECT t.id, u.id FROM t LEFT JOIN u ON u.k = t.k AND EXISTS (SELECT 1 FROM u AS v WHERE v.k = u.k AND v.x > u.x)",
                vec!["1,1", "2,1", "3,", "4,", "5,", "6,", "7,"],
            ),
            (
                "SELECT t.id, u.id FROM t LEFT JOIN u ON u.k = t.k AND u.x = (SELECT max(v.x) FROM u AS v WHERE v.k = u.k)",
                vec!["1,2", "1,3", "2,2", "2,3", "3,5", "4,5", "5,", "6,", "7,"],
            ),
            (
                "SELECT t.id, u.id FROM t LEFT JOIN u ON u.k = t.k AND t.n IN (SELECT n FROM t WHERE n > 5)",
                vec!["1,1", "1,2", "1,3", "2,", "3,", "4,", "5,7", "6,", "7,"],
            ),
            (
                "SELECT t.id, u.id FROM t RIGHT JOIN u ON u.k = t.k AND EXISTS (SELECT 1 FROM u AS v WHERE v.k = u.k AND v.x > 4)",
                vec![",4", ",5", ",6", ",7", "1,1", "1,2", "1,3", "2,1", "2,2", "2,3"],
            ),
            (
                "SELECT t.id, u.id FROM t FULL JOIN u ON u.k = t.k AND (SELECT count(*) FROM t AS s WHERE s.k = t.k) = 2",
                vec![
                    ",6", ",7", "1,1", "1,2", "1,3", "2,1", "2,2", "2,3", "3,4", "3,5", "4,4", "4,5", "5,", "6,", "7,",
                ],
            ),
        ] {
            assert_eq!(lake.lines(&format!("{AROUND} {sql}")).await, rows, "{sql}");
        }
    }

    // Goal: what cannot be a column of one side stays refused. Method: conditions of outer joins that depend on both.
    #[tokio::test]
    async fn what_cannot_be_there_is_refused() {
        let lake = Lake::new();
        for sql in [
            "SELECT t.id FROM t LEFT JOIN u ON u.k = t.k AND EXISTS (SELECT 1 FROM u AS v WHERE v.k = t.k AND v.x > u.x)",
            "SELECT t.id FROM t LEFT JOIN u ON u.k = t.k AND u.x NOT IN (SELECT v.x FROM u AS v WHERE v.k = t.k)",
        ] {
            let refused = lake.refused(&format!("{AROUND} {sql}")).await;
            assert!(["ENG-0003", "ENG-0004"].contains(&refused.code()), "{sql}: {refused}");
        }
    }
}
