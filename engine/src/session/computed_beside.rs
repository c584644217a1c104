//! `LATERAL (SELECT t.k + 1 AS k)`: a row of values that are computed of the row that it stands beside. DataFusion 55.2 takes conditions out of
//! such a query, and refuses columns of the row around that it shows. There is one such row beside each, so that its values are columns of
//! the rows before it.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, JoinType, Result, TableReference};
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, Projection, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::sql::sqlparser::ast::{
    Expr as Written, SelectItem, SetExpr, Statement, TableFactor, VisitMut, VisitorMut,
};

/// Makes columns of such values. It is a rule because it names all columns of the rows before them, which nobody asked for who may read the
/// plan of the statement.
#[derive(Debug)]
pub(super) struct ComputedBeside;

impl OptimizerRule for ComputedBeside {
    fn name(&self) -> &str {
        "computed_beside"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(join) = &plan else {
            return Ok(Transformed::no(plan));
        };
        Ok(match computed(join)? {
            Some(rows) => Transformed::yes(rows),
            None => Transformed::no(plan),
        })
    }
}

/// The rows of the left side with such values; none where the right side is no such query, or not all of it is known to be of these rows.
fn computed(join: &Join) -> Result<Option<LogicalPlan>> {
    let condition = match (join.join_type, &join.filter) {
        (JoinType::Inner | JoinType::Left, None) => None,
        (JoinType::Inner | JoinType::Left, Some(filter)) if *filter == lit(true) => None,
        (JoinType::Inner, Some(filter)) => Some(filter.clone()),
        _ => return Ok(None),
    };
    let Some(values) = values(&join.right).filter(|_| join.on.is_empty()) else {
        return Ok(None);
    };
    let row = join.left.schema();
    let mut columns: Vec<Expr> = row.columns().into_iter().map(Expr::Column).collect();
    for (value, (table, field)) in values.into_iter().zip(join.right.schema().iter()) {
        let Some(value) = of_row(value, row)? else {
            return Ok(None);
        };
        columns.push(called(value, table.cloned(), field.name()));
    }
    let rows = Projection::try_new(columns, Arc::clone(&join.left))?;
    if rows.schema.has_equivalent_names_and_types(&join.schema).is_err() {
        return Ok(None);
    }
    let rows = LogicalPlan::Projection(rows);
    Ok(Some(match condition {
        Some(condition) => LogicalPlan::Filter(Filter::try_new(condition, Arc::new(rows))?),
        None => rows,
    }))
}

/// Gives columns of the row around that such a query selects the names that they have there: the planner would find others.
pub(super) fn named(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Names);
}

struct Names;

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived {
            lateral: true,
            subquery,
            ..
        } = factor
            && let SetExpr::Select(select) = subquery.body.as_mut()
            && select.from.is_empty()
        {
            for item in &mut select.projection {
                let SelectItem::UnnamedExpr(expr) = item else {
                    continue;
                };
                let name = match &*expr {
                    Written::Identifier(name) => Some(name),
                    Written::CompoundIdentifier(names) => names.last(),
                    _ => None,
                };
                let Some(alias) = name.cloned() else {
                    continue;
                };
                let expr = expr.clone();
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
        }
        ControlFlow::Continue(())
    }
}

/// What is selected by the side of a join that is a query of no table and so has one row.
fn values(side: &LogicalPlan) -> Option<Vec<&Expr>> {
    match side {
        LogicalPlan::SubqueryAlias(alias) => values(&alias.input),
        LogicalPlan::Subquery(query) => selected(&query.subquery),
        _ => None,
    }
}

/// What such a query selects.
pub(super) fn selected(query: &LogicalPlan) -> Option<Vec<&Expr>> {
    let LogicalPlan::Projection(projection) = query else {
        return None;
    };
    match projection.input.as_ref() {
        LogicalPlan::EmptyRelation(nothing) if nothing.produce_one_row => Some(projection.expr.iter().collect()),
        LogicalPlan::Projection(within) => {
            // Other names of all of its columns, as `AS l (a, b)` gives them.
            let columns = within.schema.columns().into_iter().map(Expr::Column);
            let renames = projection.expr.len() == within.expr.len()
                && projection
                    .expr
                    .iter()
                    .zip(columns)
                    .all(|(expr, column)| *unnamed(expr) == column);
            match renames {
                true => selected(&projection.input),
                false => None,
            }
        }
        _ => None,
    }
}

fn unnamed(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => alias.expr.as_ref(),
        expr => expr,
    }
}

/// The value by the columns of the row that it stands beside; none where it is not made of these alone.
fn of_row(value: &Expr, row: &DFSchema) -> Result<Option<Expr>> {
    let is_other = |part: &Expr| {
        Ok(match part {
            Expr::OuterReferenceColumn(field, column) => !row
                .field_with_name(column.relation.as_ref(), &column.name)
                .is_ok_and(|found| found.data_type() == field.data_type()),
            Expr::Column(_)
            | Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::ScalarSubquery(_)
            | Expr::SetComparison(_) => true,
            _ => false,
        })
    };
    if value.exists(is_other)? {
        return Ok(None);
    }
    let value = value.clone().transform_up(|part| {
        Ok(match part {
            Expr::OuterReferenceColumn(_, column) => Transformed::yes(Expr::Column(column)),
            part => Transformed::no(part),
        })
    })?;
    Ok(Some(value.data))
}

/// The value under this name, with what else is known of it.
fn called(value: Expr, table: Option<TableReference>, name: &str) -> Expr {
    match value {
        Expr::Alias(alias) => Expr::Alias(Alias {
            relation: table,
            name: name.to_owned(),
            ..alias
        }),
        value => value.alias_qualified(table, name),
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::{Lake, lines};

    // Goal: values that are computed of a row stand beside it, as in PostgreSQL. Method: the ways to write it, with names by each of them,
    // behind one another, with conditions, in groups, within other conditions and of random numbers; what the columns are called, and the
    // rows.
    #[tokio::test]
    async fn values_stand_beside_their_row() {
        let lake = Lake::new();
        let t = "(VALUES (1, 10), (2, NULL), (3, 30)) AS t (id, k)";
        for (sql, names, rows) in [
            (
                format!("SELECT t.id, l.k FROM {t} CROSS JOIN LATERAL (SELECT t.k + 1 AS k) l"),
                "id,k",
                vec!["1,11", "2,", "3,31"],
            ),
            (
                format!("SELECT * FROM {t}, LATERAL (SELECT k + 1, id) AS l (a, b)"),
                "id,k,a,b",
                vec!["1,10,11,1", "2,,,2", "3,30,31,3"],
            ),
            (
                format!("SELECT t.*, l.b FROM {t} LEFT JOIN LATERAL (SELECT 7 AS a, coalesce(t.k, 0) AS b) l ON TRUE"),
                "id,k,b",
                vec!["1,10,10", "2,,0", "3,30,30"],
            ),
            (
                format!(
                    "SELECT m.* FROM {t} CROSS JOIN LATERAL (SELECT t.k * 2 AS x) l CROSS JOIN LATERAL (SELECT l.x + t.id AS y, l.x) m WHERE l.x > 20"
                ),
                "y,x",
                vec!["63,60"],
            ),
            (
                format!("SELECT l.x FROM {t} JOIN LATERAL (SELECT t.k + t.id AS x) l ON l.x < 20 OR t.k IS NULL"),
                "x",
                vec!["", "11"],
            ),
            (
                format!("SELECT sum(l.x) AS s FROM {t} CROSS JOIN LATERAL (SELECT t.id * 10 AS x) l GROUP BY l.x > 15"),
                "s",
                vec!["10", "50"],
            ),
            (
                format!(
                    "SELECT n FROM (VALUES (11), (12)) AS u (n) WHERE EXISTS (SELECT 1 FROM {t} CROSS JOIN LATERAL (SELECT t.k + 1 AS x) l WHERE l.x = u.n)"
                ),
                "n",
                vec!["11"],
            ),
            (
                format!(
                    "SELECT n FROM (VALUES (11), (12)) AS u (n) WHERE n NOT IN (SELECT l.x FROM {t} CROSS JOIN LATERAL (SELECT coalesce(t.k, 0) + 1 AS x) l)"
                ),
                "n",
                vec!["12"],
            ),
            (
                format!(
                    "SELECT count(*) AS c FROM {t} CROSS JOIN LATERAL (SELECT random() + t.id AS r) l WHERE l.r = l.r"
                ),
                "c",
                vec!["3"],
            ),
        ] {
            let answer = lake.query(&sql).await;
            let schema = answer.first().expect("rows").schema();
            let shown: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            assert_eq!(shown.join(","), names, "{sql}");
            assert_eq!(lines(&answer), rows, "{sql}");
        }
    }

    // Goal: what is no such row of values is refused. Method: columns of the row around among those of a table, by both joins.
    #[tokio::test]
    async fn others_are_refused() {
        let lake = Lake::new();
        let (t, u) = ("(VALUES (1), (2)) AS t (k)", "(VALUES (1), (2)) AS u (n)");
        for sql in [
            format!("SELECT l.k FROM {t} CROSS JOIN LATERAL (SELECT u.n + t.k AS k FROM {u}) l"),
            format!("SELECT l.k FROM {t} LEFT JOIN LATERAL (SELECT u.n + t.k AS k FROM {u}) l ON TRUE"),
        ] {
            assert_eq!(lake.refused(&sql).await.code(), "ENG-0004", "{sql}");
        }
    }
}
