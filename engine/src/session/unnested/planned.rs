//! Plans elements in brackets with what stands before them. Their columns are those of a table of their own, as PostgreSQL has them: `t.*` has
//! none of them, and `u.*` no other.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, NullHandling, Result, TableReference, UnnestOptions, plan_err};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    Expr as Written, Ident, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins, Value,
};

use super::sound::sound;
use super::{UNNEST, has_column};

/// What columns of lists are called until they are taken apart, before the number of each.
const PLACE: &str = "unnest$";

/// Plans the elements of lists that are columns of what stands before them.
#[derive(Debug)]
pub(in crate::session) struct Elements;

impl RelationPlanner for Elements {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match Found::of(&relation) {
            Some(found) => Ok(RelationPlanning::Planned(Box::new(found.planned(context)?))),
            None => Ok(RelationPlanning::Original(Box::new(relation))),
        }
    }
}

/// Elements, and what stands before them.
struct Found {
    before: TableFactor,
    lists: Vec<Written>,
    table: Ident,
    columns: Vec<Ident>,
    without: NullHandling,
    /// What both are called together.
    alias: Option<TableAlias>,
}

impl Found {
    fn of(relation: &TableFactor) -> Option<Self> {
        let TableFactor::NestedJoin {
            table_with_joins,
            alias,
        } = relation
        else {
            return None;
        };
        let (join, joins) = table_with_joins.joins.split_last()?;
        let TableFactor::UNNEST {
            alias: called,
            array_exprs: lists,
            with_offset: false,
            with_ordinality: false,
            ..
        } = &join.relation
        else {
            return None;
        };
        if !has_column(lists) {
            return None;
        }
        let (table, columns) = names(called.as_ref(), lists.len())?;
        let first = table_with_joins.relation.clone();
        let before = match joins {
            [] => first,
            joins => bracketed(TableWithJoins {
                relation: first,
                joins: joins.to_vec(),
            }),
        };
        Some(Self {
            before,
            lists: lists.clone(),
            table,
            columns,
            without: without_elements(&join.join_operator)?,
            alias: alias.clone(),
        })
    }

    fn planned(self, context: &mut dyn RelationPlannerContext) -> Result<PlannedRelation> {
        let before = context.plan(self.before)?;
        let own = before.schema().columns();
        let mut read: Vec<Expr> = own.iter().cloned().map(Expr::Column).collect();
        let mut places: Vec<Column> = Vec::new();
        for (at, list) in self.lists.into_iter().enumerate() {
            let list = context.sql_to_expr(list, before.schema())?;
            let of = list.get_type(before.schema())?;
            if !is_list(&of) {
                return plan_err!("unnest takes lists, and {list} is none");
            }
            let place = format!("{PLACE}{at}");
            read.push(list.alias(place.clone()));
            places.push(Column::from_name(place));
        }
        let table = TableReference::bare(context.normalize_ident(self.table));
        let mut shown: Vec<Expr> = own.into_iter().map(Expr::Column).collect();
        for (place, column) in places.iter().zip(self.columns) {
            let column = context.normalize_ident(column);
            shown.push(Expr::Column(place.clone()).alias_qualified(Some(table.clone()), column));
        }
        let plan = LogicalPlanBuilder::from(before)
            .project(read)?
            .unnest_columns_with_options(places, UnnestOptions::new().with_null_handling(self.without))?
            .project(shown)?
            .build()?;
        Ok(PlannedRelation::new(sound(plan)?, self.alias))
    }
}

fn is_list(of: &DataType) -> bool {
    matches!(
        of,
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
    )
}

/// What becomes of rows whose lists have no elements, by how these are joined: of `LEFT JOIN` they stay, beside nothing. None where the join
/// is on something.
pub(super) fn without_elements(join: &JoinOperator) -> Option<NullHandling> {
    match join {
        JoinOperator::CrossJoin(JoinConstraint::None) => Some(NullHandling::Drop),
        JoinOperator::Join(on) | JoinOperator::Inner(on) if is_true(on) => Some(NullHandling::Drop),
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) if is_true(on) => {
            Some(NullHandling::PreserveAndExpandEmpty)
        }
        _ => None,
    }
}

fn is_true(constraint: &JoinConstraint) -> bool {
    match constraint {
        JoinConstraint::On(Written::Value(value)) => value.value == Value::Boolean(true),
        _ => false,
    }
}

/// What the elements of so many lists are called: their table, and the column of each list.
pub(super) fn names(alias: Option<&TableAlias>, lists: usize) -> Option<(Ident, Vec<Ident>)> {
    let table = alias.map_or_else(|| Ident::new(UNNEST), |alias| alias.name.clone());
    let columns: Vec<Ident> = match alias {
        Some(alias) if !alias.columns.is_empty() => alias.columns.iter().map(|column| column.name.clone()).collect(),
        // The one column is called as its table.
        _ => vec![table.clone()],
    };
    (columns.len() == lists).then_some((table, columns))
}

/// Joins in brackets.
pub(super) fn bracketed(joined: TableWithJoins) -> TableFactor {
    TableFactor::NestedJoin {
        table_with_joins: Box::new(joined),
        alias: None,
    }
}
