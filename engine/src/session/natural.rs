//! The columns of joins by names, where they stand without a table and no table of them could be told from the statement alone. Which those
//! of a natural join are is told by the tables, so it is the planner that finds that a name is of both: then it is that of the left one. It
//! does not find it in a subquery of a query that has a column of that name, and takes that one: such a statement is refused.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, SchemaError, not_impl_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr as Planned, LogicalPlan};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, Query, Select, SetExpr, TableFactor, TableWithJoins, VisitMut,
    VisitorMut,
};

use super::around::{self, Queries};
use super::joined::called;
use super::parse::innermost;
use super::unnested::elements;
use crate::this_query::{self, Change};

/// Plans a statement. Names in conditions of natural joins that are those of two columns are told to be the left one's.
pub(super) async fn planned(state: &SessionState, statement: &mut Statement) -> Result<LogicalPlan> {
    let mut found = Found::default();
    found.look(statement);
    loop {
        let refused = match state.statement_to_plan(statement.clone()).await {
            Ok(plan) => {
                known(&plan, &found.bare)?;
                return Ok(plan);
            }
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

/// Refuses subqueries with a join by names that look at a column of the query around by one of them, if it is among those that stand without
/// a table: it cannot be told which one is meant.
fn known(plan: &LogicalPlan, bare: &BTreeSet<String>) -> Result<()> {
    if bare.is_empty() {
        return Ok(());
    }
    plan.apply_with_subqueries(|node| {
        let mut outside = Vec::new();
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Planned::OuterReferenceColumn(_, column) = part
                    && bare.contains(&column.name)
                {
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
            if let Some(column) = joined.iter().flatten().find(|column| outside.contains(&column.name)) {
                let name = &column.name;
                return not_impl_err!("a join by {name}, which the query around it has too: name the table of {name}");
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

#[derive(Default)]
struct Found {
    /// The name to be told whose it is.
    told: Option<String>,
    /// Whether there is a natural join of which a name could be told.
    is_there: bool,
    changed: bool,
    /// Names that stand without a table in queries within others that join by names.
    bare: BTreeSet<String>,
}

impl Found {
    fn look(&mut self, statement: &mut Statement) {
        self.bare.clear();
        if let Some(statement) = innermost(statement) {
            around::each(statement, self);
        }
    }
}

impl Queries for Found {
    fn query(&mut self, query: &mut Query, sees_around: bool) {
        let by_names = matches!(query.body.as_ref(), SetExpr::Select(select) if select.from.iter().any(by_names));
        if sees_around && by_names {
            let _: ControlFlow<()> = query.order_by.visit(&mut Bare(&mut self.bare));
        }
    }

    fn select(&mut self, select: &mut Select, sees_around: bool) {
        let mut joins = select.from.iter().flat_map(|from| &from.joins);
        self.is_there |= joins.any(is_natural);
        if let Some(name) = &self.told
            && let [from] = select.from.as_slice()
            && let [join] = from.joins.as_slice()
            && is_natural(join)
            && let Some(table) = left(&from.relation, name)
        {
            let mut left = Left {
                name,
                table,
                changed: false,
            };
            this_query::change(&mut select.selection, &mut left);
            self.changed |= left.changed;
        }
        if sees_around && select.from.iter().any(by_names) {
            let _: ControlFlow<()> = select.visit(&mut Bare(&mut self.bare));
        }
    }
}

/// Collects names that stand without a table, in queries within too.
struct Bare<'a>(&'a mut BTreeSet<String>);

impl VisitorMut for Bare<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(ident) = expr {
            self.0.insert(name_of(ident));
        }
        ControlFlow::Continue(())
    }
}

/// Whether tables are joined by names there.
pub(super) fn by_names(from: &TableWithJoins) -> bool {
    joins(from, &|constraint| {
        matches!(constraint, JoinConstraint::Natural | JoinConstraint::Using(_))
    })
}

/// Whether tables are joined so there.
pub(super) fn joins(from: &TableWithJoins, so: &dyn Fn(&JoinConstraint) -> bool) -> bool {
    let nested = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => joins(table_with_joins, so),
        _ => false,
    };
    let mut all = from.joins.iter();
    nested(&from.relation) || all.any(|join| constraint(join).is_some_and(so) || nested(&join.relation))
}

fn constraint(join: &Join) -> Option<&JoinConstraint> {
    match &join.join_operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => Some(constraint),
        _ => None,
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

/// What the left table of a join is called whose column this is. Elements of its lists may stand beside it.
fn left(factor: &TableFactor, name: &str) -> Option<Ident> {
    match factor {
        TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } => {
            let is_beside = |join: &Join| {
                elements(join).is_some_and(|columns| columns.iter().all(|column| name_of(column) != name))
            };
            match table_with_joins.joins.iter().all(is_beside) {
                true => left(&table_with_joins.relation, name),
                false => None,
            }
        }
        table => called(table),
    }
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
        if name_of(ident) == self.name {
            *expression = Expr::CompoundIdentifier(vec![self.table.clone(), ident.clone()]);
            self.changed = true;
        }
    }
}

/// The name as the planner reads it.
fn name_of(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::Lake;

    // Goal: the column of a natural join is the left one in conditions too, and what cannot be told apart is refused. Method: joins by one
    // name and by two, names that neither table has, and a query around with a column of that name, which is named with its table and not.
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
                format!("SELECT s, r, x FROM {a} CROSS JOIN unnest([a.s]) AS u (x) NATURAL JOIN {one} WHERE k = 2"),
                vec!["y,q,y"],
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
            (
                format!("SELECT r FROM {one} WHERE EXISTS (SELECT 1 FROM {a} NATURAL JOIN {b} WHERE a.k = c.k)"),
                vec!["q"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
        let three = format!("(VALUES (1), (2)) AS d (m) JOIN {a} ON a.n = d.m JOIN {b} USING (k)");
        for around in [
            format!("SELECT r FROM {one} WHERE EXISTS (SELECT 1 FROM {a} NATURAL JOIN {b} WHERE k = 2)"),
            format!("SELECT r FROM {one} WHERE EXISTS (SELECT 1 FROM {three} WHERE k = 2)"),
        ] {
            assert_eq!(lake.refused(&around).await.code(), "ENG-0004", "{around}");
        }
        for sql in [
            format!("SELECT s FROM {a} NATURAL JOIN {b} WHERE m = 2"),
            format!("SELECT a.s FROM {a} CROSS JOIN {b} WHERE k = 2"),
        ] {
            assert_eq!(lake.refused(&sql).await.code(), "ENG-0003", "{sql}");
        }
    }
}
