//! Rows beside the elements of lists in plans, wherever these stand. Keys are none there (`keys.rs`), and DataFusion 55.2 looks there for a
//! column by its name alone: of two that are called the same it takes the first for sorted, or spread over partitions, as the second is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Unnest};
use datafusion::sql::sqlparser::ast::{Expr as Written, Ident, Query, TableAlias, TableFactor, visit_expressions};

use super::UNNEST;
use super::keys::keys;
use crate::functions::perhaps::function;

/// What stands before the number of a column that is called as another one.
const ALIKE: &str = "unnest$column";

/// What a table is called while it is planned.
const MARK: &str = "unnest$mark";

/// Plans queries in FROM, and what `WITH` names, soundly: what is around them goes by their keys when it is planned.
#[derive(Debug)]
pub(in crate::session) struct Around;

impl RelationPlanner for Around {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let Some(called) = marked(&mut relation) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let plan = match context.plan(relation)? {
            LogicalPlan::SubqueryAlias(named) => Arc::unwrap_or_clone(named.input),
            plan => plan,
        };
        let planned = PlannedRelation::new(sound(plan)?, called);
        Ok(RelationPlanning::Planned(Box::new(planned)))
    }
}

/// Gives a table that may have elements the mark in the place of what it is called, which tells that it has been here.
fn marked(relation: &mut TableFactor) -> Option<Option<TableAlias>> {
    let alias = match relation {
        // What `WITH` names has one name, and views are sound.
        TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } if name.0.len() == 1 => alias,
        TableFactor::Derived { subquery, alias, .. } if takes_apart(subquery) => alias,
        _ => return None,
    };
    if alias.as_ref().is_some_and(|alias| alias.name.value == MARK) {
        return None;
    }
    let mark = TableAlias {
        explicit: true,
        name: Ident::with_quote('"', MARK),
        columns: Vec::new(),
        at: None,
    };
    Some(alias.replace(mark))
}

fn takes_apart(query: &Query) -> bool {
    let found = visit_expressions(query, |part| match part {
        Written::Function(call) if call.name.to_string().to_lowercase().contains(UNNEST) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// The plan with rows beside elements that have no keys, nor columns of one name.
pub(in crate::session) fn sound(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !has_any(&plan)? {
        return Ok(plan);
    }
    let sound = plan.transform_up_with_subqueries(|node| {
        let node = match node {
            LogicalPlan::Unnest(elements) if is_mixed(&elements.input) => unmixed(elements),
            // What is known of the rows below is another thing now.
            node => node.recompute_schema(),
        };
        node.map(Transformed::yes)
    })?;
    Ok(sound.data)
}

fn has_any(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found = found || matches!(node, LogicalPlan::Unnest(elements) if is_mixed(&elements.input));
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

fn is_mixed(rows: &LogicalPlan) -> bool {
    keys(rows).contains(&true) || alike(rows).contains(&true)
}

/// Of each column, whether another one is called so.
fn alike(rows: &LogicalPlan) -> Vec<bool> {
    let fields = rows.schema().fields();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for field in fields.iter() {
        *counts.entry(field.name().as_str()).or_default() += 1;
    }
    let is_alike = |name: &str| counts.get(name).is_some_and(|count| *count > 1);
    fields.iter().map(|field| is_alike(field.name().as_str())).collect()
}

/// Reads keys as columns of which it is not known that they are some, and those of one name by others, which they have again above.
fn unmixed(elements: Unnest) -> Result<LogicalPlan> {
    let Unnest {
        input,
        exec_columns,
        schema: shown,
        options,
        ..
    } = elements;
    let columns = input.schema().columns().into_iter();
    let columns = columns.zip(keys(&input)).zip(alike(&input)).enumerate();
    let read = columns.map(|(at, ((column, is_key), is_alike))| {
        let (table, name) = match is_alike {
            true => (None, format!("{ALIKE}{at}")),
            false => (column.relation.clone(), column.name.clone()),
        };
        match (is_key, is_alike) {
            (true, _) => {
                let value = ScalarFunction::new_udf(function(), vec![Expr::Column(column)]);
                Expr::ScalarFunction(value).alias_qualified(table, name)
            }
            (false, true) => Expr::Column(column).alias_qualified(table, name),
            (false, false) => Expr::Column(column),
        }
    });
    let read: Vec<Expr> = read.collect();
    let read = Arc::new(LogicalPlan::Projection(Projection::try_new(read, input)?));
    let elements = Unnest::try_new(read, exec_columns, options)?;
    let made = elements.schema.columns().into_iter().zip(shown.columns());
    let again: Vec<Expr> = made.map(|(made, shown)| called(made, shown)).collect();
    let elements = Arc::new(LogicalPlan::Unnest(elements));
    Ok(LogicalPlan::Projection(Projection::try_new(again, elements)?))
}

fn called(made: Column, shown: Column) -> Expr {
    match made == shown {
        true => Expr::Column(made),
        false => Expr::Column(made).alias_qualified(shown.relation, shown.name),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::tree_node::TreeNodeRecursion;
    use datafusion::logical_expr::LogicalPlan;

    use super::alike;
    use crate::testing::Lake;

    // Goal: columns of one name are told apart beside elements. Method: joins whose sides have such columns, with elements in each place: what
    // the plan knows there, and the rows.
    #[tokio::test]
    async fn columns_of_one_name_are_told_apart() {
        let lake = Lake::new();
        let (t, o) = (
            "(VALUES (1, 'p,q'), (2, 'r')) AS t (id, w)",
            "(VALUES (7, 1), (8, 2)) AS o (id, r)",
        );
        let join = format!("{t} JOIN {o} ON o.r = t.id");
        let list = "string_to_array(t.w, ',')";
        for (sql, rows) in [
            (
                format!("SELECT t.id, o.id AS other, u.x FROM {join}, unnest({list}) AS u (x)"),
                ["1,7,p", "1,7,q", "2,8,r"],
            ),
            (
                format!("SELECT t.id, o.id AS other, unnest({list}) AS x FROM {join}"),
                ["1,7,p", "1,7,q", "2,8,r"],
            ),
            (
                format!(
                    "SELECT t.id, u.id AS x, v.id AS y FROM {t}, unnest({list}) AS u (id), unnest([t.id]) AS v (id)"
                ),
                ["1,p,1", "1,q,1", "2,r,2"],
            ),
        ] {
            let plan = lake.engine.plan(&lake.session(), &sql).await.expect(&sql);
            let mut found = 0;
            let walked = plan.apply_with_subqueries(|node| {
                if let LogicalPlan::Unnest(elements) = node {
                    found += 1;
                    assert!(
                        !alike(&elements.input).contains(&true),
                        "{sql}: {}",
                        plan.display_indent()
                    );
                }
                Ok(TreeNodeRecursion::Continue)
            });
            assert!(walked.is_ok() && found > 0, "{sql}");
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
    }
}
