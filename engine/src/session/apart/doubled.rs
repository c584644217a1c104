//! Columns of one name that `*` gives a query in FROM (`(SELECT a.*, b.* …) q`). The query engine calls the second one `k:1` there, and takes
//! the first for what is called `k`, which is nobody's. Where another part of a statement has that name, such columns get names that differ.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result, SchemaError, plan_err};
use datafusion::logical_expr::logical_plan::builder::unique_field_aliases;
use datafusion::logical_expr::{Expr as Planned, JoinConstraint as PlannedConstraint, LogicalPlan, SubqueryAlias};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Ident, JoinConstraint, ObjectNamePart, Query, Select, SetExpr, TableAlias, TableAliasColumnDef, TableFactor,
    Values, Visit, VisitMut, Visitor, VisitorMut,
};

use super::{APART, names};
use crate::session::natural::joins;
use crate::session::parse::{innermost, value};

/// Queries in FROM by what they are called, each with what its columns are called within it.
type Tables = BTreeMap<String, BTreeSet<Vec<String>>>;

/// Gives such columns of a planned statement other names where theirs may be named. Which names these were: where there are any, it has to be
/// planned again and [`checked`].
pub(in crate::session) fn doubled(plan: &LogicalPlan, statement: &mut Statement) -> Result<BTreeSet<String>> {
    let mut given = BTreeSet::new();
    let tables = tables(plan)?;
    let Some(statement) = innermost(statement) else {
        return Ok(given);
    };
    for (table, columns) in &tables {
        let several: BTreeSet<&str> = columns.iter().flat_map(|columns| twice(columns)).collect();
        if several.is_empty() {
            continue;
        }
        let mut rest = statement.clone();
        let mut places = Places::new(table, None);
        let _: ControlFlow<()> = VisitMut::visit(&mut rest, &mut places);
        // What a view is made of was looked at with the view.
        if places.found == 0 {
            continue;
        }
        let named = names(&rest);
        let joined = is_joined_by(&rest, &several);
        if !joined && !several.iter().any(|name| named.contains_key(*name)) {
            continue;
        }
        // Where others are called as the query is, nobody can tell whose column such a name would be.
        let mut each = columns.iter();
        let (Some(columns), None, 1) = (each.next(), each.next(), places.found) else {
            continue;
        };
        let called = columns
            .iter()
            .enumerate()
            .map(|(at, name)| match several.contains(name.as_str()) {
                true => format!("{name}{APART}{at}"),
                false => name.clone(),
            });
        let called: Vec<String> = called.collect();
        let mut places = Places::new(table, Some(&called));
        let _: ControlFlow<()> = VisitMut::visit(statement, &mut places);
        given.extend(several.into_iter().map(str::to_owned));
    }
    Ok(given)
}

/// What a statement became after columns of these names were given others. Nothing in it may have meant one of them: neither in vain, nor so
/// that a column of a query around or of the result is found instead, nor by a join that has one column less.
pub(in crate::session) fn checked(
    before: &LogicalPlan,
    again: Result<LogicalPlan>,
    given: &BTreeSet<String>,
) -> Result<LogicalPlan> {
    let plan = match again {
        Ok(plan) => plan,
        Err(refused) => {
            return match missing(&refused).filter(|name| given.contains(name)) {
                Some(name) => ambiguous(&name),
                None => Err(refused),
            };
        }
    };
    for name in given {
        if from_around(&plan, name)? > from_around(before, name)? || by_name(&plan, name)? != by_name(before, name)? {
            return ambiguous(name);
        }
    }
    Ok(plan)
}

fn ambiguous<T>(name: &str) -> Result<T> {
    plan_err!("column reference \"{name}\" is ambiguous")
}

/// The name that the planner did not find.
fn missing(refused: &DataFusionError) -> Option<String> {
    match refused.find_root() {
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::FieldNotFound { field, .. } => Some(field.name.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// How often subqueries name such a column of a query around them.
fn from_around(plan: &LogicalPlan, name: &str) -> Result<usize> {
    let mut count = 0;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Planned::OuterReferenceColumn(_, column) = part
                    && column.name == name
                {
                    count += 1;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(count)
}

/// Columns of such a name that tables are joined by, and that groups are made by and of.
fn by_name(plan: &LogicalPlan, name: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Join(join) if join.join_constraint == PlannedConstraint::Using => {}
            LogicalPlan::Aggregate(_) => {}
            _ => return Ok(TreeNodeRecursion::Continue),
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Planned::Column(column) = part
                    && column.name == name
                {
                    found.push(column.flat_name());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    found.sort_unstable();
    Ok(found)
}

/// The queries in FROM of a plan, if there is one of which several columns are called the same.
fn tables(plan: &LogicalPlan) -> Result<Tables> {
    let mut any = false;
    plan.apply_with_subqueries(|node| {
        any = any || matches!(node, LogicalPlan::SubqueryAlias(table) if told_apart(table).is_some());
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut found = Tables::new();
    if !any {
        return Ok(found);
    }
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::SubqueryAlias(table) = node {
            let schema = told_apart(table).unwrap_or(&table.schema);
            let columns = schema.fields().iter().map(|field| field.name().clone());
            let all = found.entry(table.alias.table().to_owned()).or_default();
            all.insert(columns.collect());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The columns of a query before the planner told those apart that were called the same; `None` where there were none.
fn told_apart(table: &SubqueryAlias) -> Option<&DFSchema> {
    let LogicalPlan::Projection(apart) = table.input.as_ref() else {
        return None;
    };
    if !apart.expr.iter().any(|expr| matches!(expr, Planned::Alias(_))) {
        return None;
    }
    let (own, told) = (apart.input.schema(), apart.schema.fields());
    let others = unique_field_aliases(own.fields());
    let called = own.fields().iter().zip(&others);
    let mut called = called.map(|(field, other)| other.as_ref().unwrap_or_else(|| field.name()));
    let is_theirs = others.iter().any(Option::is_some)
        && others.len() == told.len()
        && told.iter().all(|field| called.next() == Some(field.name()));
    is_theirs.then_some(own.as_ref())
}

/// Names that are there more than once.
fn twice(columns: &[String]) -> BTreeSet<&str> {
    let mut seen = HashSet::new();
    let names = columns.iter().map(String::as_str);
    names.filter(|name| !seen.insert(*name)).collect()
}

/// Whether tables are joined by one of these names, or may be.
fn is_joined_by(part: &impl Visit, names: &BTreeSet<&str>) -> bool {
    let mut joined = Joined { names, found: false };
    let _: ControlFlow<()> = part.visit(&mut joined);
    joined.found
}

struct Joined<'a> {
    names: &'a BTreeSet<&'a str>,
    found: bool,
}

impl Visitor for Joined<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let by_one = |constraint: &JoinConstraint| match constraint {
            JoinConstraint::Natural => true,
            JoinConstraint::Using(columns) => columns.iter().any(|column| match column.0.last() {
                Some(ObjectNamePart::Identifier(ident)) => self.names.contains(value(ident).as_str()),
                _ => true,
            }),
            _ => false,
        };
        let found = select.from.iter().any(|from| joins(from, &by_one));
        self.found |= found;
        ControlFlow::Continue(())
    }
}

/// Queries in FROM that are called so: takes out what is in them, or gives their columns names.
struct Places<'a> {
    table: &'a str,
    columns: Option<&'a [String]>,
    found: usize,
}

impl<'a> Places<'a> {
    fn new(table: &'a str, columns: Option<&'a [String]>) -> Self {
        Self {
            table,
            columns,
            found: 0,
        }
    }

    /// Whether it is one whose inside goes.
    fn empties(&mut self, alias: &mut TableAlias) -> bool {
        if !alias.columns.is_empty() || value(&alias.name) != self.table {
            return false;
        }
        self.found += 1;
        let Some(columns) = self.columns else { return true };
        let columns = columns.iter().map(|name| TableAliasColumnDef {
            name: Ident::with_quote('"', name.as_str()),
            data_type: None,
        });
        alias.columns = columns.collect();
        false
    }
}

fn empty(query: &mut Query) {
    query.with = None;
    query.order_by = None;
    query.limit_clause = None;
    *query.body = SetExpr::Values(Values {
        explicit_row: false,
        value_keyword: false,
        rows: Vec::new(),
    });
}

impl VisitorMut for Places<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for table in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            if self.empties(&mut table.alias) {
                empty(&mut table.query);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let (TableFactor::Derived { alias: Some(alias), .. } | TableFactor::NestedJoin { alias: Some(alias), .. }) =
            factor
        else {
            return ControlFlow::Continue(());
        };
        if !self.empties(alias) {
            return ControlFlow::Continue(());
        }
        match factor {
            TableFactor::Derived { subquery, .. } => empty(subquery),
            TableFactor::NestedJoin { table_with_joins, .. } => table_with_joins.joins.clear(),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
