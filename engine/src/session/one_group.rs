//! Queries of one row that depend on the row around them: the aggregate of all rows, also of none, what is reckoned from it, and whether it
//! passes `HAVING`. DataFusion 55.2 joins such a query by the groups of its keys, of which there is none where no row is: it knows what the
//! aggregate is there, but not whether the row passes, nor what else is around. Here its aggregates become values of their own, and
//! all else is said of the row around.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, Spans};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Distinct, Expr, FetchType, Limit, LogicalPlan, Projection, SkipType, Subquery, lit, when,
};

/// What stands beside a query: the columns that it may name.
pub(super) struct Around(Vec<DFSchemaRef>);

impl Around {
    /// Those of the rows that an expression of this plan is of.
    pub(super) fn of(plan: &LogicalPlan) -> Self {
        let inputs = plan.inputs().into_iter();
        Self(inputs.map(|input| Arc::clone(input.schema())).collect())
    }

    fn has(&self, column: &Column) -> bool {
        self.0.iter().any(|rows| rows.has_column(column))
    }
}

/// What such a query comes to for the row around it; none if it is no such query, or one that the planner knows. `value` makes a value of
/// a query of one aggregate.
pub(super) fn said(part: &Expr, around: &Around, value: &dyn Fn(Subquery) -> Result<Expr>) -> Result<Option<Expr>> {
    let query = match part {
        Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::ScalarSubquery(subquery) => subquery,
        _ => return Ok(None),
    };
    if query.outer_ref_columns.is_empty() {
        return Ok(None);
    }
    let Some(group) = OneGroup::of(&query.subquery)? else {
        return Ok(None);
    };
    if matches!(part, Expr::ScalarSubquery(_)) && group.is_plain() {
        return Ok(None);
    }
    let passes = match conjunction(group.conditions.iter().cloned()) {
        None => None,
        Some(condition) => match group.outside(condition, around, value)? {
            Some(condition) => Some(condition),
            None => return Ok(None),
        },
    };
    if let Expr::Exists(Exists { negated, .. }) = part {
        return Ok(Some(match (passes, negated) {
            // Left to be true until it is known who may read its tables.
            (None, _) => part.clone(),
            (Some(passes), false) => Expr::IsTrue(Box::new(passes)),
            (Some(passes), true) => Expr::IsNotTrue(Box::new(passes)),
        }));
    }
    let [column] = group.columns.as_slice() else {
        return Ok(None);
    };
    let Some(column) = group.outside(column.clone(), around, value)? else {
        return Ok(None);
    };
    let Expr::InSubquery(InSubquery { expr, negated, .. }) = part else {
        return Ok(Some(match passes {
            None => column,
            Some(passes) => when(passes, column).end()?,
        }));
    };
    let looked_for = expr.as_ref().clone();
    let is = match negated {
        true => looked_for.not_eq(column),
        false => looked_for.eq(column),
    };
    Ok(Some(match passes {
        None => is,
        Some(passes) => when(passes, is).otherwise(lit(*negated))?,
    }))
}

/// Whether a query has its one row whatever there is.
pub(super) fn is_there(query: &LogicalPlan) -> Result<bool> {
    Ok(OneGroup::of(query)?.is_some_and(|group| group.conditions.is_empty()))
}

/// A query of one row, or of none if a condition does not hold of it.
struct OneGroup<'a> {
    aggregate: &'a LogicalPlan,
    /// What it has, by columns of the aggregate and of the row around.
    columns: Vec<Expr>,
    conditions: Vec<Expr>,
    /// Whether something stands above it that changes nothing of one row, and hides it from the planner.
    is_hidden: bool,
}

impl<'a> OneGroup<'a> {
    fn of(plan: &'a LogicalPlan) -> Result<Option<Self>> {
        Ok(match plan {
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => Some(Self {
                aggregate: plan,
                columns: plan.schema().columns().into_iter().map(Expr::Column).collect(),
                conditions: Vec::new(),
                is_hidden: false,
            }),
            LogicalPlan::Projection(projection) => match Self::of(&projection.input)? {
                Some(group) if projection.expr.iter().all(can_be_said) => {
                    let input = projection.input.schema();
                    let columns = projection.expr.iter().map(|column| group.made_of(column, input));
                    let columns = columns.collect::<Result<Vec<Expr>>>()?;
                    Some(Self { columns, ..group })
                }
                _ => None,
            },
            LogicalPlan::Filter(filter) => match Self::of(&filter.input)? {
                Some(mut group) if can_be_said(&filter.predicate) => {
                    let condition = group.made_of(&filter.predicate, filter.input.schema())?;
                    group.conditions.push(condition);
                    Some(group)
                }
                _ => None,
            },
            LogicalPlan::SubqueryAlias(alias) => Self::of(&alias.input)?,
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => Self::of(&sort.input)?.map(Self::hidden),
            LogicalPlan::Distinct(Distinct::All(input)) => Self::of(input)?.map(Self::hidden),
            LogicalPlan::Limit(limit) if has_first(limit)? => Self::of(&limit.input)?.map(Self::hidden),
            _ => None,
        })
    }

    fn hidden(self) -> Self {
        Self {
            is_hidden: true,
            ..self
        }
    }

    /// Whether the planner knows it: it always has its row, and nothing in it is of the row around.
    fn is_plain(&self) -> bool {
        !self.is_hidden && self.conditions.is_empty() && !self.columns.iter().any(Expr::contains_outer)
    }

    /// An expression by what the columns of `schema`, which are this query's, are made of.
    fn made_of(&self, expr: &Expr, schema: &DFSchema) -> Result<Expr> {
        let made = expr.clone().unalias().transform_up(|part| {
            let place = match &part {
                Expr::Column(column) => schema.maybe_index_of_column(column),
                _ => None,
            };
            Ok(match place.and_then(|place| self.columns.get(place)) {
                Some(of) => Transformed::yes(of.clone()),
                None => Transformed::no(part),
            })
        })?;
        Ok(made.data)
    }

    /// An expression of the one row as one of the row around it; none if it names what is further away.
    fn outside(&self, expr: Expr, around: &Around, value: &dyn Fn(Subquery) -> Result<Expr>) -> Result<Option<Expr>> {
        let mut known = true;
        let said = expr.transform_up(|part| {
            Ok(match part {
                Expr::Column(column) => Transformed::yes(value(self.alone(column)?)?),
                Expr::OuterReferenceColumn(_, column) if around.has(&column) => Transformed::yes(Expr::Column(column)),
                part => {
                    known &= !matches!(part, Expr::OuterReferenceColumn(..));
                    Transformed::no(part)
                }
            })
        })?;
        Ok(known.then_some(said.data))
    }

    /// The query of one aggregate.
    fn alone(&self, column: Column) -> Result<Subquery> {
        let rows = Arc::new(self.aggregate.clone());
        let rows = LogicalPlan::Projection(Projection::try_new(vec![Expr::Column(column)], rows)?);
        Ok(Subquery {
            outer_ref_columns: rows.all_out_ref_exprs(),
            subquery: Arc::new(rows),
            spans: Spans::new(),
        })
    }
}

/// Whether the first row is among those that a limit leaves.
fn has_first(limit: &Limit) -> Result<bool> {
    let (skip, fetch) = (limit.get_skip_type()?, limit.get_fetch_type()?);
    Ok(matches!(skip, SkipType::Literal(0)) && matches!(fetch, FetchType::Literal(rows) if rows != Some(0)))
}

/// Whether an expression means the same outside of the query: it is the same each time, and queries in it name nothing around them.
fn can_be_said(expr: &Expr) -> bool {
    let bound = expr.exists(|part| {
        Ok(match part {
            Expr::Exists(Exists { subquery, .. })
            | Expr::InSubquery(InSubquery { subquery, .. })
            | Expr::ScalarSubquery(subquery) => names_around(&subquery.subquery)?,
            Expr::SetComparison(_) | Expr::Unnest(_) => true,
            _ => false,
        })
    });
    !expr.is_volatile() && !bound.unwrap_or(true)
}

/// Whether anything in a query, or in one within it, is of rows around.
fn names_around(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= node.contains_outer_reference();
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use crate::testing::{AROUND, Lake};

    // Goal: a query of one row has it also where no row is, and has none where HAVING says so. Method: each kind of question, with keys of
    // rows and of none, and PostgreSQL's answers.
    #[tokio::test]
    async fn the_row_is_there_without_rows() {
        let lake = Lake::new();
        for (sql, rows) in [
            (
                "SELECT id FROM t WHERE EXISTS (SELECT count(*) FROM u WHERE u.k = t.k HAVING count(*) = 0)",
                vec!["6", "7"],
            ),
            (
                "SELECT id FROM t WHERE NOT EXISTS (SELECT count(*) FROM u WHERE u.k = t.k HAVING count(*) > 1)",
                vec!["5", "6", "7"],
            ),
            (
                "SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k HAVING sum(x) > 9)",
                vec!["3", "4", "5", "6", "7"],
            ),
            (
                "SELECT id FROM t WHERE EXISTS (SELECT max(x) FROM u WHERE u.k = t.k)",
                vec!["1", "2", "3", "4", "5", "6", "7"],
            ),
            (
                "SELECT id FROM t WHERE EXISTS (SELECT max(x) FROM u WHERE u.k = t.k HAVING count(*) > t.n - 5)",
                vec!["3", "4", "6"],
            ),
            (
                "SELECT id FROM t WHERE EXISTS (SELECT max(x) FROM u WHERE u.k = t.k GROUP BY ())",
                vec!["1", "2", "3", "4", "5", "6", "7"],
            ),
            (
                "SELECT id FROM t WHERE EXISTS (SELECT count(*) FROM u WHERE u.k = t.k LIMIT 1)",
                vec!["1", "2", "3", "4", "5", "6", "7"],
            ),
            (
                "SELECT id, (SELECT DISTINCT count(*) FROM u WHERE u.k = t.k) FROM t",
                vec!["1,3", "2,3", "3,2", "4,2", "5,1", "6,0", "7,0"],
            ),
            (
                "SELECT id, (SELECT max(x) FROM u WHERE u.k = t.k LIMIT 1) FROM t",
                vec!["1,6", "2,6", "3,3", "4,3", "5,", "6,", "7,"],
            ),
            (
                "SELECT id FROM t WHERE 0 IN (SELECT count(*) FROM u WHERE u.k = t.k HAVING count(*) < 2)",
                vec!["6", "7"],
            ),
            (
                "SELECT id FROM t WHERE 1 NOT IN (SELECT count(*) FROM u WHERE u.k = t.k HAVING count(*) > 0)",
                vec!["1", "2", "3", "4", "6", "7"],
            ),
            (
                "SELECT id FROM t WHERE n NOT IN (SELECT max(x) FROM u WHERE u.k = t.k HAVING count(*) > 1)",
                vec!["1", "3", "4", "5", "6", "7"],
            ),
            (
                "SELECT id FROM t WHERE 0 IN (SELECT c FROM (SELECT count(*) AS c FROM u WHERE u.k = t.k) AS z)",
                vec!["6", "7"],
            ),
            (
                "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM (SELECT count(*) AS c FROM u WHERE u.k = t.k) AS z WHERE z.c < 2)",
                vec!["5", "6", "7"],
            ),
            (
                "SELECT id, (SELECT count(*) + t.n FROM u WHERE u.k = t.k) FROM t",
                vec!["1,13", "2,", "3,7", "4,7", "5,8", "6,1", "7,"],
            ),
            (
                "SELECT id, (SELECT max(x) FROM u WHERE u.k = t.k HAVING count(*) = 0 OR max(x) = 6) FROM t",
                vec!["1,6", "2,6", "3,", "4,", "5,", "6,", "7,"],
            ),
            (
                "SELECT id, (SELECT count(*) FROM u WHERE u.k = t.k HAVING count(*) < 2) FROM t",
                vec!["1,", "2,", "3,", "4,", "5,1", "6,0", "7,0"],
            ),
            (
                "SELECT id, (SELECT count(*) FROM u WHERE u.k = t.k HAVING count(*) > (SELECT 1)) FROM t",
                vec!["1,3", "2,3", "3,2", "4,2", "5,", "6,", "7,"],
            ),
            (
                "SELECT id, (SELECT count(DISTINCT x) FROM u WHERE u.k = t.k GROUP BY ()) FROM t",
                vec!["1,2", "2,2", "3,1", "4,1", "5,0", "6,0", "7,0"],
            ),
        ] {
            assert_eq!(lake.lines(&format!("{AROUND} {sql}")).await, rows, "{sql}");
        }
    }
}
