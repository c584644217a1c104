//! Columns of one name in a result, which SQL has and the query engine refuses: they get names that differ, of which clients are shown what
//! stands before a zero.
//!
//! Such a name is nobody's where it stands alone in `ORDER BY` or `GROUP BY`, and where another part of a statement names a column of the
//! query: there it is refused.

mod ambiguous;
mod doubled;

use std::collections::{BTreeMap, HashSet};
use std::mem::replace;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::{DataFusionError, Result, SchemaError, plan_err};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, SetExpr, Statement as SqlStatement, TableFactor, Value, Visit, VisitMut,
    VisitorMut, visit_expressions,
};

use self::ambiguous::{asked, grouped_by, sorted_by};
pub(super) use self::doubled::{checked, doubled};
use super::natural::by_names;
use super::parse::{innermost, value};
use super::sort_keys::{each, only_table, plain};

/// What stands between a column's name and what only makes it different from others. It can be in no name of PostgreSQL's.
pub(crate) const APART: char = '\0';

/// How the query engine begins when it refuses two expressions of one name.
const SAME_NAMES: &str = "Projections require unique expression names";

/// What clients are shown of the name of a column.
pub fn shown_name(name: &str) -> &str {
    name.split(APART).next().unwrap_or_default()
}

/// A name that two columns would show.
pub(crate) fn shown_twice(schema: &Schema) -> Option<&str> {
    let mut seen = HashSet::new();
    let mut names = schema.fields().iter().map(|field| shown_name(field.name()));
    names.find(|name| !seen.insert(*name))
}

/// What the query engine did not tell apart.
pub(super) enum Alike {
    /// Two expressions of a query.
    Expressions,
    /// A column of this name and what is called so.
    Column(String),
}

impl Alike {
    /// Whether that is why it refused a statement.
    pub(super) fn of(refused: &DataFusionError) -> Option<Self> {
        if refused.to_string().contains(SAME_NAMES) {
            return Some(Self::Expressions);
        }
        let DataFusionError::SchemaError(error, _) = refused.find_root() else {
            return None;
        };
        match error.as_ref() {
            SchemaError::AmbiguousReference { field } if field.relation.is_some() => {
                Some(Self::Column(field.name.clone()))
            }
            _ => None,
        }
    }

    fn is_column(&self, name: &str) -> bool {
        matches!(self, Self::Column(column) if column == name)
    }
}

/// Gives columns of one name names that differ. Whether there were any.
pub(super) fn named(statement: &mut Statement, alike: &Alike) -> Result<bool> {
    let Some(statement) = innermost(statement) else {
        return Ok(false);
    };
    let (mut joined, mut doubtful) = (false, None);
    each(statement, &mut |_: usize, query: &mut Query| {
        if doubtful.is_none() {
            doubtful = sorted_by(query, alike);
        }
        selects(&mut query.body, false, &mut |select: &mut Select| {
            joined |= select.from.iter().any(by_names);
            if doubtful.is_none() {
                doubtful = grouped_by(select, alike);
            }
        });
    });
    if let Some(name) = doubtful {
        return plan_err!("column reference \"{name}\" is ambiguous");
    }
    let all = names(&*statement);
    let mut changed = false;
    if let SqlStatement::Query(query) = statement {
        selects(&mut query.body, true, &mut |select: &mut Select| {
            changed |= apart(select, alike, None);
        });
    }
    let mut renamed = Renamed { alike, changed: false };
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut renamed);
    changed |= renamed.changed;
    // Of those within it nobody may name a column that is one of several, nor join by it.
    each(statement, &mut |_: usize, query: &mut Query| {
        let inside = names(&*query);
        let is_named = |name: &str| joined || all.get(name) > inside.get(name);
        selects(&mut query.body, false, &mut |select: &mut Select| {
            changed |= apart(select, alike, Some(&is_named));
        });
    });
    if !changed && matches!(alike, Alike::Expressions) {
        changed = as_written(statement);
    }
    Ok(changed)
}

/// Calls all expressions as they are written: what the query engine has one name for may be written in two ways (`every(x)` is its
/// `bool_and(x)`). Whether any had no name.
fn as_written(statement: &mut SqlStatement) -> bool {
    let mut changed = false;
    each(statement, &mut |_: usize, query: &mut Query| {
        selects(&mut query.body, false, &mut |select: &mut Select| {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) = item
                    && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
                {
                    let name = expr.to_string();
                    call(item, name);
                    changed = true;
                }
            }
        });
    });
    changed
}

/// Queries whose columns have other names for what is around them: `(SELECT …) AS q (x, y)`.
struct Renamed<'a> {
    alike: &'a Alike,
    changed: bool,
}

impl Renamed<'_> {
    fn apart(&mut self, query: &mut Query) {
        selects(&mut query.body, true, &mut |select: &mut Select| {
            self.changed |= apart(select, self.alike, None);
        });
    }
}

impl VisitorMut for Renamed<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            if !cte.alias.columns.is_empty() {
                self.apart(&mut cte.query);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived {
            subquery,
            alias: Some(alias),
            ..
        } = factor
            && !alias.columns.is_empty()
        {
            self.apart(subquery);
        }
        ControlFlow::Continue(())
    }
}

/// Gives columns of a SELECT names that differ, the first of a name its own where that is what the others are too or nobody can name it.
fn apart(select: &mut Select, alike: &Alike, is_named: Option<&dyn Fn(&str) -> bool>) -> bool {
    let shows_all = shows_all(select);
    let asked = asked(select);
    let mut changed = false;
    for (name, places) in called(select) {
        let beside = shows_all && alike.is_column(&name);
        let mut all = beside || (asked.contains(&name) && !are_one(select, &places));
        if let Some(is_named) = is_named
            && (beside || !are_one(select, &places))
        {
            if is_named(&name) {
                continue;
            }
            all = true;
        }
        let again = places.len() > 1;
        for (nth, at) in places.into_iter().enumerate() {
            let Some(item) = select.projection.get_mut(at) else {
                continue;
            };
            let unnamed = matches!(item, SelectItem::UnnamedExpr(_));
            // What `*` stands for is not known here: whatever stands beside it is there a second time.
            let beside_all = shows_all && (unnamed || is_own(item)) && matches!(alike, Alike::Expressions);
            if all || nth > 0 || beside_all {
                call(item, format!("{name}{APART}{at}"));
                changed = true;
            } else if again && unnamed {
                call(item, name.clone());
            }
        }
    }
    changed
}

/// Whether it is a column by its own name (`n AS n`), which the query engine takes for the column itself.
fn is_own(item: &SelectItem) -> bool {
    let SelectItem::ExprWithAlias { expr, alias } = item else {
        return false;
    };
    let last = match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(idents) => idents.last(),
        _ => None,
    };
    last.is_some_and(|last| value(last) == value(alias))
}

fn call(item: &mut SelectItem, name: String) {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return;
    };
    let expr = replace(expr, Expr::value(Value::Null));
    *item = SelectItem::ExprWithAlias {
        expr,
        alias: Ident::with_quote('"', name),
    };
}

/// What columns are called, and which are. None that were told apart.
fn called(select: &Select) -> BTreeMap<String, Vec<usize>> {
    let mut called: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, item) in select.projection.iter().enumerate() {
        let name = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => value(ident),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(idents)) => idents.last().map(value).unwrap_or_default(),
            SelectItem::UnnamedExpr(expr) => expr.to_string(),
            SelectItem::ExprWithAlias { alias, .. } => value(alias),
            _ => continue,
        };
        if !name.contains(APART) {
            called.entry(name).or_default().push(at);
        }
    }
    called
}

fn shows_all(select: &Select) -> bool {
    let all = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    select.projection.iter().any(all)
}

/// Whether all of these columns are the same one.
fn are_one(select: &Select, places: &[usize]) -> bool {
    let table = only_table(select);
    let column = |expr: &Expr| match expr {
        Expr::Identifier(ident) => Some(value(ident)),
        Expr::CompoundIdentifier(idents) => match idents.as_slice() {
            [of, column] if table.as_ref() == Some(&value(of)) => Some(value(column)),
            _ => None,
        },
        _ => None,
    };
    let mut columns = places.iter().filter_map(|at| match select.projection.get(*at)? {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(plain(expr)),
        _ => None,
    });
    let Some(first) = columns.next() else { return true };
    columns.all(|other| other == first || (column(first).is_some() && column(other) == column(first)))
}

/// Does something to the SELECTs that a query is put together from, also to those of queries in brackets if it is to go `deep`.
fn selects(body: &mut SetExpr, deep: bool, does: &mut dyn FnMut(&mut Select)) {
    match body {
        SetExpr::Select(select) => does(select),
        SetExpr::SetOperation { left, right, .. } => {
            selects(left, deep, does);
            selects(right, deep, does);
        }
        SetExpr::Query(query) if deep => selects(&mut query.body, deep, does),
        _ => {}
    }
}

/// How often each name stands in the expressions of a part.
fn names(part: &impl Visit) -> BTreeMap<String, usize> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let _: ControlFlow<()> = visit_expressions(part, |expr| {
        let idents: &[Ident] = match expr {
            Expr::Identifier(ident) => std::slice::from_ref(ident),
            Expr::CompoundIdentifier(idents) => idents.as_slice(),
            _ => &[],
        };
        for ident in idents {
            *found.entry(value(ident)).or_default() += 1;
        }
        ControlFlow::Continue(())
    });
    found
}

#[cfg(test)]
mod tests;
