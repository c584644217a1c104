//! `FROM t AS c (id, a)` where `c` has more columns: those without a name there keep their own (PostgreSQL 15, 7.2.1.2). DataFusion 55.2 wants a
//! name for each, and tells how many there are, also of those that whoever asks may not read.

use std::collections::HashSet;
use std::mem::take;
use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Ident, Query, SetExpr, SetOperator, TableAlias, TableAliasColumnDef, TableFactor, VisitMut, VisitorMut,
};

use super::natural::by_names;
use super::parse::innermost;
use super::sort_keys::{all_of, query_of};

/// How the query engine ends when it refuses a list of another length.
const SHORT: &str = "names given as column alias";

/// Fills lists up with what the columns are called.
#[derive(Debug)]
pub(super) struct ShortLists;

impl RelationPlanner for ShortLists {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let Some(mut alias) = listed(&mut relation) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let plan = context.plan(relation)?;
        fill(&mut alias, &plan, context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan,
            Some(alias),
        ))))
    }
}

/// What a table is called, taken from it where its columns have names there. None of joins by names, whose columns the query engine has two
/// of, nor of lists, which it calls otherwise than PostgreSQL: their names are counted as ever.
fn listed(relation: &mut TableFactor) -> Option<TableAlias> {
    match relation {
        TableFactor::NestedJoin { table_with_joins, .. } if by_names(table_with_joins) => None,
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::NestedJoin { alias, .. } => alias.take_if(|alias| !alias.columns.is_empty()),
        _ => None,
    }
}

fn fill(alias: &mut TableAlias, plan: &LogicalPlan, context: &dyn RelationPlannerContext) -> Result<()> {
    let (fields, given) = (plan.schema().fields(), alias.columns.len());
    if given > fields.len() {
        let table = context.normalize_ident(alias.name.clone());
        return plan_err!("table \"{table}\" has fewer columns available than the {given} columns specified");
    }
    let names = alias.columns.iter();
    let mut names: HashSet<String> = names
        .map(|column| context.normalize_ident(column.name.clone()))
        .collect();
    for field in fields.iter().skip(given) {
        let name = field.name();
        if !names.insert(name.clone()) {
            return plan_err!("column reference \"{name}\" is ambiguous: give each column a name");
        }
        alias.columns.push(TableAliasColumnDef {
            name: Ident::with_quote('"', name.as_str()),
            data_type: None,
        });
    }
    Ok(())
}

/// Whether a statement was refused for the length of a list: one of `WITH`, as most others are filled up.
pub(super) fn is_refused(refused: &DataFusionError) -> bool {
    refused.to_string().contains(SHORT)
}

/// Puts the lists of `WITH` at queries within, where they are filled up. Whether there were any.
pub(super) fn put_within(statement: &mut Statement) -> bool {
    let mut lists = Lists { found: false };
    if let Some(statement) = innermost(statement) {
        let _: ControlFlow<()> = VisitMut::visit(statement, &mut lists);
    }
    lists.found
}

struct Lists {
    found: bool,
}

impl VisitorMut for Lists {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let Some(with) = &mut query.with else {
            return ControlFlow::Continue(());
        };
        let recursive = with.recursive;
        for table in &mut with.cte_tables {
            if table.alias.columns.is_empty() {
                continue;
            }
            self.found = true;
            let list = TableAlias {
                explicit: true,
                name: table.alias.name.clone(),
                columns: take(&mut table.alias.columns),
                at: None,
            };
            // The first part of one that goes on from itself is what its columns are told by.
            if recursive
                && let SetExpr::SetOperation {
                    op: SetOperator::Union,
                    left,
                    ..
                } = table.query.body.as_mut()
            {
                let first = all_of(query_of(SetExpr::clone(left)), list);
                **left = SetExpr::Query(Box::new(first));
            } else {
                *table.query = all_of(Query::clone(&table.query), list);
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: columns that a list has no name for keep their own. Method: tables in each form, one within another, and WITH, against answers of
    // PostgreSQL 15.
    #[tokio::test]
    async fn lists_are_filled_up() {
        let lake = Lake::new();
        let rows = "(SELECT 1 AS id, 2 AS a, 3 AS b)";
        for (sql, wanted) in [
            (format!("SELECT a, b FROM {rows} AS x (k, a)"), "2,3"),
            (format!("SELECT * FROM {rows} AS x (k)"), "1,2,3"),
            (format!("SELECT k, b FROM {rows} AS x (k, a, b)"), "1,3"),
            (format!("SELECT m, b FROM (SELECT * FROM {rows} AS x (k)) AS y (m, n)"), "1,3"),
            (format!("WITH q AS {rows} SELECT m, b FROM q AS x (m)"), "1,3"),
            (format!("WITH q (m) AS {rows} SELECT m, a, b FROM q"), "1,2,3"),
            (
                "WITH RECURSIVE r (m) AS (SELECT 3 AS k, 10 AS n UNION ALL SELECT m + 1, n FROM r WHERE m < 3) SELECT m, n FROM r"
                    .to_owned(),
                "3,10",
            ),
            (
                format!("SELECT m, z FROM ({rows} AS x JOIN (SELECT 1 AS z) AS y ON x.id = y.z) AS j (m, n)"),
                "1,1",
            ),
            (
                format!("SELECT x.k, y.b FROM {rows} AS x (k) JOIN {rows} AS y (l, a) ON x.k = y.l AND x.a = y.a"),
                "1,3",
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, [wanted], "{sql}");
        }
    }

    // Goal: what has another name is called so alone, a list that is too long tells no number of columns, and none is filled up beside
    // columns that are there twice. Method: why each is refused.
    #[tokio::test]
    async fn longer_lists_are_refused() {
        let lake = Lake::new();
        let rows = "(SELECT 1 AS id, 2 AS a)";
        for (sql, why) in [
            (format!("SELECT id FROM {rows} AS x (k)"), "FieldNotFound"),
            (format!("SELECT * FROM {rows} AS x (a)"), "is ambiguous"),
            (
                format!("SELECT * FROM {rows} AS x (k, l, m)"),
                "table \"x\" has fewer columns available than the 3 columns specified",
            ),
            (
                format!("WITH q (k, l, m) AS {rows} SELECT * FROM q"),
                "table \"q\" has fewer columns available than the 3 columns specified",
            ),
            (
                format!("SELECT m FROM ({rows} AS x JOIN (SELECT 1 AS id, 3 AS b) AS y USING (id)) AS j (k, l, m)"),
                "names given as column alias",
            ),
        ] {
            let refused = format!("{:?}", lake.refused(&sql).await);
            assert!(refused.contains(&why.replace('"', "\\\"")), "{sql}: {refused}");
        }
    }
}
