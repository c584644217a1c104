//! The columns of natural joins, where they stand without a table. Which these are is told by the tables, so it is the planner that finds
//! that a name is of both: then it is that of the left one. It does not find it in a subquery of a query that has a column of that name.

use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, SchemaError, not_impl_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr as Planned, LogicalPlan};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Join, JoinConstraint, JoinOperator, Select, VisitMut, VisitorMut};

use super::joined::called;
use super::parse::innermost;
use crate::this_query::{self, Change};

/// Plans a statement. Names in conditions of natural joins that are those of two columns are told to be the left one's.
pub(super) async fn planned(state: &SessionState, statement: &mut Statement) -> Result<LogicalPlan> {
    let mut found = Found {
        told: None,
        is_there: false,
        changed: false,
    };
    found.look(statement);
    loop {
        let refused = match state.statement_to_plan(statement.clone()).await {
            Ok(plan) if found.is_there => {
                known(&plan)?;
                return Ok(plan);
            }
            Ok(plan) => return Ok(plan),
            Err(refused) => refused,
        };
        let Some(name) = ambiguous(&refused).filter(|_| found.is_there) else {
            return Err(refused);
        };
        found.told = Some(name);
        found.changed = false;
        found.look(statement);
        // Each round leaves fewer names without a table.
        if !found.changed {
            return Err(refused);
        }
    }
}

/// The name that the planner found to be that of several columns.
fn ambiguous(refused: &DataFusionError) -> Option<String> {
    match refused.find_root() {
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::AmbiguousReference { field } if field.relation.is_none() => Some(field.name.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Refuses subqueries with a natural join that look at a column of the query around by the name of one of the join's: it cannot be told
/// which one is meant.
fn known(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let mut outside = Vec::new();
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Planned::OuterReferenceColumn(_, column) = part {
                    outside.push(column.name.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        if outside.is_empty() {
            return Ok(TreeNodeRecursion::Continue);
        }
        for input in node.inputs() {
            let joined = input.using_columns()?;
            if let Some(name) = joined.iter().flatten().find(|column| outside.contains(&column.name)) {
                let name = &name.name;
                return not_impl_err!(
                    "a NATURAL JOIN by {name}, which the query around it has too: write it with USING"
                );
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

struct Found {
    /// The name to be told whose it is.
    told: Option<String>,
    /// Whether there is a natural join.
    is_there: bool,
    changed: bool,
}

impl Found {
    fn look(&mut self, statement: &mut Statement) {
        if let Some(statement) = innermost(statement) {
            let _: ControlFlow<()> = statement.visit(self);
        }
    }
}

impl VisitorMut for Found {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut joins = select.from.iter().flat_map(|from| &from.joins);
        self.is_there |= joins.any(is_natural);
        if let Some(name) = &self.told
            && let [from] = select.from.as_slice()
            && let [join] = from.joins.as_slice()
            && is_natural(join)
            && let Some(table) = called(&from.relation)
        {
            let mut left = Left {
                name,
                table,
                changed: false,
            };
            this_query::change(&mut select.selection, &mut left);
            self.changed |= left.changed;
        }
        ControlFlow::Continue(())
    }
}

/// Whether it is a natural join whose columns are the left ones.
fn is_natural(join: &Join) -> bool {
    matches!(
        join.join_operator,
        JoinOperator::Join(JoinConstraint::Natural)
            | JoinOperator::Inner(JoinConstraint::Natural)
            | JoinOperator::Left(JoinConstraint::Natural)
            | JoinOperator::LeftOuter(JoinConstraint::Natural)
    )
}

/// Tells a name to be of the left table.
struct Left<'a> {
    name: &'a str,
    table: Ident,
    changed: bool,
}

impl Change for Left<'_> {
    fn after(&mut self, expression: &mut Expr) {
        let Expr::Identifier(ident) = expression else { return };
        let is_it = match ident.quote_style {
            None => ident.value.to_lowercase() == self.name,
            Some(_) => ident.value == self.name,
        };
        if is_it {
            *expression = Expr::CompoundIdentifier(vec![self.table.clone(), ident.clone()]);
            self.changed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::Lake;

    // Goal: the column of a natural join is the left one in conditions too, and what cannot be told apart is refused. Method: joins by one
    // name and by two, names that neither table has, and a query around with a column of that name.
    #[tokio::test]
    async fn the_left_column() {
        let lake = Lake::new();
        let (a, b) = (
            "(VALUES (1, 1, 'x'), (2, 2, 'y')) AS a (k, n, s)",
            "(VALUES (2, 2, 'u'), (1, 3, 'v')) AS b (k, n, t)",
        );
        let one = "(VALUES (1, 'p'), (2, 'q')) AS c (k, r)";
        for (sql, rows) in [
            (
                format!("SELECT * FROM {a} NATURAL JOIN {one} WHERE k = 2"),
                vec!["2,2,y,q"],
            ),
            (
                format!("SELECT s, t FROM {a} NATURAL JOIN {b} WHERE k = 2 AND n = 2"),
                vec!["y,u"],
            ),
            (
                format!("SELECT s, t FROM {a} NATURAL LEFT JOIN {b} WHERE K < 2 OR n > 5"),
                vec!["x,"],
            ),
            (
                format!(
                    "SELECT count(*) AS n FROM {one} WHERE c.k IN (SELECT a.k FROM {a} NATURAL JOIN {b} WHERE s = 'y')"
                ),
                vec!["1"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
        let around = format!("SELECT r FROM {one} WHERE EXISTS (SELECT 1 FROM {a} NATURAL JOIN {b} WHERE k = 2)");
        assert_eq!(lake.refused(&around).await.code(), "ENG-0004");
        for sql in [
            format!("SELECT s FROM {a} NATURAL JOIN {b} WHERE m = 2"),
            format!("SELECT a.s FROM {a} CROSS JOIN {b} WHERE k = 2"),
        ] {
            assert_eq!(lake.refused(&sql).await.code(), "ENG-0003", "{sql}");
        }
    }
}
