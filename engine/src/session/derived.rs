//! Conditions on the query around within a derived table: `EXISTS (SELECT … FROM (SELECT y.a AS c FROM y WHERE y.k = x.k) AS z WHERE …)`.
//! DataFusion 55.2 joins by such a condition outside of the derived table, by the names that its columns have within, and so finds them
//! only where none has another name. Here the condition stands behind the table, by columns that it has.
//!
//! Over groups too, if it is by equality: the groups are then by its key as well. A query of one row is there whatever is around.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, Filter, LogicalPlan, Operator, Projection, Subquery, SubqueryAlias, lit,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::one_group;

/// Takes correlated conditions out of derived tables.
#[derive(Debug)]
pub(super) struct CorrelatedDerived;

impl OptimizerRule for CorrelatedDerived {
    fn name(&self) -> &str {
        "correlated_derived"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut asks = false;
        plan.apply_expressions(|expr| {
            asks |= has_query(expr);
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !asks {
            return Ok(Transformed::no(plan));
        }
        let name = || config.alias_generator().next("__outer");
        plan.map_expressions(|expr| expr.transform_up(|part| in_queries(part, &name)))
    }
}

/// The expression with the queries that it is made of changed so.
fn in_queries(part: Expr, name: &dyn Fn() -> String) -> Result<Transformed<Expr>> {
    Ok(match part {
        // The planner would join by the keys of its group, of which there is none where no row is.
        Expr::Exists(Exists { subquery, negated })
            if !subquery.outer_ref_columns.is_empty() && one_group::is_there(&subquery.subquery)? =>
        {
            Transformed::yes(lit(!negated))
        }
        Expr::Exists(Exists { subquery, negated }) => {
            in_query(subquery, Groups::Asked, name)?.update_data(|subquery| Expr::Exists(Exists { subquery, negated }))
        }
        Expr::InSubquery(InSubquery {
            expr,
            subquery,
            negated,
        }) => in_query(subquery, Groups::Asked, name)?
            .update_data(|subquery| Expr::InSubquery(InSubquery::new(expr, subquery, negated))),
        Expr::ScalarSubquery(subquery) => {
            in_query(subquery, Groups::OneForAll, name)?.update_data(Expr::ScalarSubquery)
        }
        part => Transformed::no(part),
    })
}

/// Aggregates above a derived table, over which its conditions are taken to the query around.
#[derive(Clone, Copy)]
enum Groups {
    /// Those of keys. The one group of all rows is there without rows too, which the planner knows of a value's topmost aggregate only.
    Asked,
    /// The one group of all rows too.
    OneForAll,
}

impl Groups {
    fn has(self, aggregate: &Aggregate) -> bool {
        match aggregate.group_expr.as_slice() {
            [] => matches!(self, Self::OneForAll),
            keys => !keys.iter().any(|key| matches!(key, Expr::GroupingSet(_))),
        }
    }
}

/// Behind an outer join or a window such a condition would mean something else, and what is joined by it is not asked there.
fn in_query(query: Subquery, mut groups: Groups, name: &dyn Fn() -> String) -> Result<Transformed<Subquery>> {
    let Subquery {
        subquery,
        outer_ref_columns,
        spans,
    } = query;
    let changed = Arc::unwrap_or_clone(subquery).transform_down(|part| match part {
        LogicalPlan::SubqueryAlias(_) => match behind(&part, name)? {
            Some(changed) => Ok(Transformed::new(changed, true, TreeNodeRecursion::Jump)),
            None => {
                groups = Groups::Asked;
                Ok(Transformed::no(part))
            }
        },
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => Ok(Transformed::no(part)),
        LogicalPlan::Aggregate(ref aggregate) if groups.has(aggregate) => {
            groups = Groups::Asked;
            Ok(Transformed::no(part))
        }
        LogicalPlan::Join(ref join) if join.join_type == JoinType::Inner => {
            groups = Groups::Asked;
            Ok(Transformed::no(part))
        }
        part => Ok(Transformed::new(part, false, TreeNodeRecursion::Jump)),
    })?;
    let transformed = changed.transformed;
    let subquery = Subquery {
        subquery: Arc::new(changed.data),
        outer_ref_columns,
        spans,
    };
    Ok(Transformed::new_transformed(subquery, transformed))
}

/// A derived table with its conditions behind it; none where it has none.
fn behind(table: &LogicalPlan, name: &dyn Fn() -> String) -> Result<Option<LogicalPlan>> {
    let Some(Lifted { rows, conditions }) = lifted(table, name)? else {
        return Ok(None);
    };
    let Some(condition) = conjunction(conditions) else {
        return Ok(None);
    };
    let columns = table.schema().columns().into_iter().map(Expr::Column).collect();
    let passed = Filter::try_new(condition, Arc::new(rows))?;
    let plan = Projection::try_new(columns, Arc::new(LogicalPlan::Filter(passed)))?;
    Ok(Some(LogicalPlan::Projection(plan)))
}

/// Rows without the conditions on what is around them, which are said of the columns that the rows have.
struct Lifted {
    rows: LogicalPlan,
    conditions: Vec<Expr>,
}

/// None where there are no such conditions, or where they cannot stand behind what is done with the rows.
fn lifted(plan: &LogicalPlan, name: &dyn Fn() -> String) -> Result<Option<Lifted>> {
    match plan {
        LogicalPlan::Filter(filter) => of_filter(filter, name),
        LogicalPlan::Projection(projection) => {
            let Some(Lifted { rows, conditions }) = lifted(&projection.input, name)? else {
                return Ok(None);
            };
            let mut columns = Columns {
                given: projection.expr.clone(),
            };
            let conditions = conditions.into_iter().map(|condition| columns.said(condition, name));
            let conditions = conditions.collect::<Result<Vec<Expr>>>()?;
            let rows = Projection::try_new(columns.given, Arc::new(rows))?;
            Ok(Some(Lifted {
                rows: LogicalPlan::Projection(rows),
                conditions,
            }))
        }
        LogicalPlan::Aggregate(aggregate) => of_groups(aggregate, name),
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(Lifted { rows, conditions }) = lifted(&alias.input, name)? else {
                return Ok(None);
            };
            let rows = SubqueryAlias::try_new(Arc::new(rows), alias.alias.clone())?;
            let called = |part: Expr| -> Result<Transformed<Expr>> {
                match part {
                    Expr::Column(column) => {
                        let column = Column::new(Some(alias.alias.clone()), column.name);
                        Ok(Transformed::yes(Expr::Column(column)))
                    }
                    part => Ok(Transformed::no(part)),
                }
            };
            let conditions = conditions.into_iter().map(|condition| condition.transform_up(called));
            let conditions = conditions.map(|condition| condition.map(|condition| condition.data));
            Ok(Some(Lifted {
                rows: LogicalPlan::SubqueryAlias(rows),
                conditions: conditions.collect::<Result<Vec<Expr>>>()?,
            }))
        }
        _ => Ok(None),
    }
}

fn of_filter(filter: &Filter, name: &dyn Fn() -> String) -> Result<Option<Lifted>> {
    let parts = split_conjunction(&filter.predicate);
    let (outer, own): (Vec<&Expr>, Vec<&Expr>) = parts.into_iter().partition(|part| part.contains_outer());
    // A query in it names the columns as they are here.
    if outer.iter().any(|part| has_query(part)) {
        return Ok(None);
    }
    let (mut rows, mut conditions) = match lifted(&filter.input, name)? {
        Some(Lifted { rows, conditions }) => (rows, conditions),
        None if outer.is_empty() => return Ok(None),
        None => (filter.input.as_ref().clone(), Vec::new()),
    };
    if let Some(condition) = conjunction(own.into_iter().cloned()) {
        rows = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(rows))?);
    }
    conditions.extend(outer.into_iter().cloned());
    Ok(Some(Lifted { rows, conditions }))
}

/// Groups by the keys of the conditions too, of which those of one key are what the groups of its rows would be. The one group of all
/// rows is none of a key's: it is there without rows.
fn of_groups(aggregate: &Aggregate, name: &dyn Fn() -> String) -> Result<Option<Lifted>> {
    let is_set = |key: &Expr| matches!(key, Expr::GroupingSet(_));
    if aggregate.group_expr.is_empty() || aggregate.group_expr.iter().any(is_set) {
        return Ok(None);
    }
    let Some(Lifted { rows, conditions }) = lifted(&aggregate.input, name)? else {
        return Ok(None);
    };
    let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    let mut groups = aggregate.group_expr.clone();
    let mut said = Vec::with_capacity(conditions.len());
    for condition in conditions {
        let Some((key, outer)) = equal(condition) else {
            return Ok(None);
        };
        let called = Column::from_name(name());
        columns.push(key.alias(called.name.as_str()));
        groups.push(Expr::Column(called.clone()));
        said.push(Expr::Column(called).eq(outer));
    }
    let rows = Projection::try_new(columns, Arc::new(rows))?;
    let rows = Arc::new(LogicalPlan::Projection(rows));
    let rows = Aggregate::try_new(rows, groups, aggregate.aggr_expr.clone())?;
    Ok(Some(Lifted {
        rows: LogicalPlan::Aggregate(rows),
        conditions: said,
    }))
}

/// What rows have, and what it has to equal around them; none of another condition.
fn equal(condition: Expr) -> Option<(Expr, Expr)> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = condition
    else {
        return None;
    };
    let is_key = |expr: &Expr| expr.any_column_refs() && !expr.contains_outer() && !expr.is_volatile();
    let is_outer = |expr: &Expr| expr.contains_outer() && !expr.any_column_refs() && !expr.is_volatile();
    match (is_key(&left) && is_outer(&right), is_key(&right) && is_outer(&left)) {
        (true, _) => Some((*left, *right)),
        (_, true) => Some((*right, *left)),
        _ => None,
    }
}

/// Columns of a projection.
struct Columns {
    given: Vec<Expr>,
}

impl Columns {
    /// A condition by columns that are added for it.
    fn said(&mut self, condition: Expr, name: &dyn Fn() -> String) -> Result<Expr> {
        let said = condition.transform_up(|part| match part {
            Expr::Column(column) => Ok(Transformed::yes(Expr::Column(self.called(column, name)))),
            part => Ok(Transformed::no(part)),
        })?;
        Ok(said.data)
    }

    /// By a name of its own: the planner tells the columns that it joins by apart by their names only, whatever table they are of.
    fn called(&mut self, column: Column, name: &dyn Fn() -> String) -> Column {
        let called = Column::from_name(name());
        self.given.push(Expr::Column(column).alias(called.name.as_str()));
        called
    }
}

fn has_query(part: &Expr) -> bool {
    let query = |part: &Expr| {
        Ok(matches!(
            part,
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
        ))
    };
    part.exists(query).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: a derived table may depend on the row around it, whatever its columns are called. Method: the same question in several forms,
    // with renamed columns, a key that is none of them, a key that is reckoned, tables within tables, and values, held against the answer
    // by hand.
    #[tokio::test]
    async fn derived_tables_know_what_is_around() {
        let lake = Lake::new();
        let x = "(VALUES (1, 1), (1, 2), (2, 1), (2, NULL), (3, 3)) AS x (a, b)";
        let y = "(VALUES (1, 1), (2, 1), (2, 5)) AS y (a, b)";
        for (condition, wanted) in [
            (
                format!("EXISTS (SELECT 1 FROM (SELECT y.b AS c FROM {y} WHERE y.a = x.a) AS z WHERE z.c = x.b)"),
                vec!["1,1", "2,1"],
            ),
            (
                format!(
                    "NOT EXISTS (SELECT 1 FROM (SELECT y.b AS c FROM {y} WHERE y.a = x.a) AS z WHERE z.c = x.b OR z.c IS NULL)"
                ),
                vec!["1,2", "2,", "3,3"],
            ),
            (
                format!(
                    "EXISTS (SELECT 1 FROM (SELECT c + 1 AS d FROM (SELECT y.b AS c FROM {y} WHERE y.a = x.a) AS z WHERE c < 5) AS w WHERE w.d = x.b + 1)"
                ),
                vec!["1,1", "2,1"],
            ),
            (
                format!(
                    "EXISTS (SELECT 1 FROM (SELECT y.b AS c FROM {y} WHERE y.a + 1 = x.a + 1 AND y.b < 5) AS z WHERE z.c <= x.b)"
                ),
                vec!["1,1", "1,2", "2,1"],
            ),
            (
                format!("(SELECT count(*) FROM (SELECT y.b AS c FROM {y} WHERE y.a = x.a) AS z) = 2"),
                vec!["2,", "2,1"],
            ),
            (
                format!("(a, b) IN (SELECT y.a, y.b FROM {y} WHERE y.a = x.a)"),
                vec!["1,1", "2,1"],
            ),
            (
                format!("(a, b) NOT IN (SELECT y.a, y.b FROM {y} WHERE y.a = x.a)"),
                vec!["1,2", "3,3"],
            ),
            (
                format!("(a, b) NOT IN (SELECT y.a, y.b FROM {y} WHERE y.a < x.a)"),
                vec!["1,1", "1,2", "2,", "2,1", "3,3"],
            ),
        ] {
            let sql = format!("SELECT a, b FROM {x} WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, wanted, "{condition}");
        }
        let count = format!("SELECT count(*) FROM {y} WHERE y.a = x.a");
        for (condition, wanted) in [
            (format!("EXISTS ({count})"), vec!["1,1", "1,2", "2,", "2,1", "3,3"]),
            (format!("NOT EXISTS ({count})"), vec![]),
            (format!("0 IN ({count})"), vec!["3,3"]),
            (format!("b NOT IN ({count})"), vec!["1,2", "2,1", "3,3"]),
        ] {
            let sql = format!("SELECT a, b FROM {x} WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, wanted, "{condition}");
        }
        let sql = format!("SELECT a, b, b IN (SELECT y.b FROM {y} WHERE y.a = x.a) AS c FROM {x}");
        let wanted = ["1,1,true", "1,2,false", "2,,", "2,1,true", "3,3,false"];
        assert_eq!(lake.lines(&sql).await, wanted);
    }
}
