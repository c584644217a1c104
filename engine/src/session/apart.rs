//! Columns of one name in a result, which SQL has and the query engine refuses: they get names that differ, of which clients are shown what
//! stands before a zero.
//!
//! Such a name is nobody's where it stands alone in `ORDER BY` or `GROUP BY`, and where another part of a statement names a column of the
//! query: there it is refused.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::mem::replace;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::{DataFusionError, Result, SchemaError, plan_err};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr,
    Statement as SqlStatement, TableFactor, Value, Visit, VisitMut, VisitorMut, visit_expressions,
};

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
    Ok(changed)
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
    let mut changed = false;
    for (name, places) in called(select) {
        let beside = shows_all && alike.is_column(&name);
        let mut all = beside;
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
            let beside_all = shows_all && unnamed && matches!(alike, Alike::Expressions);
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

/// Names that are those of several columns. Of two queries put together, columns are never one.
fn doubtful(select: &Select, alone: bool, alike: &Alike) -> BTreeSet<String> {
    let shows_all = shows_all(select);
    let is_given = |at: &usize| matches!(select.projection.get(*at), Some(SelectItem::ExprWithAlias { .. }));
    let of_several = called(select).into_iter().filter(|(name, places)| {
        let again = places.len() > 1 && !(alone && are_one(select, places));
        again || (shows_all && alike.is_column(name) && places.iter().any(is_given))
    });
    of_several.map(|(name, _)| name).collect()
}

/// Such a name that a query is sorted by.
fn sorted_by(query: &Query, alike: &Alike) -> Option<String> {
    let (select, alone) = first(&query.body)?;
    let doubtful = doubtful(select, alone, alike);
    let OrderBy {
        kind: OrderByKind::Expressions(keys),
        ..
    } = query.order_by.as_ref()?
    else {
        return None;
    };
    keys.iter().find_map(|key| alone_in(&key.expr, &doubtful))
}

/// Such a name that a SELECT makes groups by, or asks of them. A column that is read goes before those that are shown.
fn grouped_by(select: &Select, alike: &Alike) -> Option<String> {
    let mut doubtful = doubtful(select, true, alike);
    if let Some(Distinct::On(keys)) = &select.distinct
        && let Some(name) = keys.iter().find_map(|key| alone_in(key, &doubtful))
    {
        return Some(name);
    }
    for item in &select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
            && let Expr::Identifier(ident) = plain(expr)
        {
            doubtful.remove(&value(ident));
        }
    }
    if let GroupByExpr::Expressions(keys, _) = &select.group_by
        && let Some(name) = keys.iter().find_map(|key| alone_in(key, &doubtful))
    {
        return Some(name);
    }
    let asked = select.having.iter().chain(&select.qualify);
    let mut asked = asked.flat_map(|condition| names(condition).into_keys());
    asked.find(|name| doubtful.contains(name))
}

/// The name that an expression is, if it is one of these.
fn alone_in(expr: &Expr, names: &BTreeSet<String>) -> Option<String> {
    match plain(expr) {
        Expr::Identifier(ident) => Some(value(ident)).filter(|name| names.contains(name)),
        _ => None,
    }
}

/// The SELECT that names the columns of a query, and whether it is all of it.
fn first(body: &SetExpr) -> Option<(&Select, bool)> {
    match body {
        SetExpr::Select(select) => Some((select, true)),
        SetExpr::SetOperation { left, .. } => first(left).map(|(select, _)| (select, false)),
        SetExpr::Query(query) => first(&query.body),
        _ => None,
    }
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
mod tests {
    use tidewater_core::Coded;

    use super::shown_name;
    use crate::testing::Lake;

    const T: &str = "FROM (VALUES (1, 5), (2, 7)) AS t (k, i)";

    // Goal: columns are called as the query says, however many are called so. Method: each way to say one name twice, at the top and within
    // other queries, with the rows beside the names.
    #[tokio::test]
    async fn names_twice() {
        let lake = Lake::new();
        for (sql, names, rows) in [
            (format!("SELECT k AS k, k {T}"), "k,k", vec!["1,1", "2,2"]),
            ("SELECT 1 AS a, 2 AS a".to_owned(), "a,a", vec!["1,2"]),
            (format!("SELECT CAST(k AS text) AS k, k {T}"), "k,k", vec!["1,1", "2,2"]),
            (format!("SELECT k, k + 1 AS k {T}"), "k,k", vec!["1,2", "2,3"]),
            (format!("SELECT *, k {T}"), "k,i,k", vec!["1,5,1", "2,7,2"]),
            (
                format!("SELECT *, 0 AS k {T} ORDER BY i"),
                "k,i,k",
                vec!["1,5,0", "2,7,0"],
            ),
            (
                format!("SELECT count(*), count(*) {T}"),
                "count(*),count(*)",
                vec!["2,2"],
            ),
            (
                "SELECT a.*, b.* FROM (VALUES (1, 2)) AS a (k, x) JOIN (VALUES (1, 3)) AS b (k, y) ON a.k = b.k"
                    .to_owned(),
                "k,x,k,y",
                vec!["1,2,1,3"],
            ),
            (
                format!("SELECT k AS a, i AS a {T} ORDER BY 1 DESC LIMIT 1"),
                "a,a",
                vec!["2,7"],
            ),
            (
                format!("SELECT k AS a, t.k AS a {T} ORDER BY a DESC LIMIT 1"),
                "a,a",
                vec!["2,2"],
            ),
            (
                "SELECT 1 AS a, 2 AS a UNION ALL SELECT 3, 4".to_owned(),
                "a,a",
                vec!["1,2", "3,4"],
            ),
            (
                format!("SELECT * FROM (SELECT k AS a, i AS a, 3 AS b {T}) AS q WHERE b = 3"),
                "a,a,b",
                vec!["1,5,3", "2,7,3"],
            ),
            (
                format!("SELECT b FROM (SELECT k AS a, i AS a, 3 AS b {T} LIMIT 1) AS q"),
                "b",
                vec!["3"],
            ),
            (
                "WITH q AS (SELECT 1 AS a, 2 AS a) SELECT * FROM q".to_owned(),
                "a,a",
                vec!["1,2"],
            ),
            (
                "SELECT y FROM (SELECT 1 AS a, 2 AS a) AS q (x, y)".to_owned(),
                "y",
                vec!["2"],
            ),
            (
                "SELECT a FROM (SELECT 1 AS a, 2 AS a) AS q (x, a)".to_owned(),
                "a",
                vec!["2"],
            ),
            (
                "WITH q (x, a) AS (SELECT 1 AS a, 2 AS a) SELECT a FROM q".to_owned(),
                "a",
                vec!["2"],
            ),
        ] {
            let plan = lake.engine.plan(&lake.session(), &sql).await.expect(&sql);
            let fields = plan.schema().fields().iter();
            let shown: Vec<&str> = fields.map(|field| shown_name(field.name())).collect();
            assert_eq!(shown.join(","), names, "{sql}");
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
    }

    // Goal: a name of several columns that are not one is nobody's. Method: it alone in what rows are sorted and grouped by, and a column of a
    // query that another one names, with and without its table, and joins by.
    #[tokio::test]
    async fn names_of_several_columns() {
        let lake = Lake::new();
        let q = format!("(SELECT k AS a, i AS a {T}) AS q");
        for sql in [
            format!("SELECT k AS a, i AS a {T} ORDER BY a"),
            format!("SELECT *, -k AS k {T} ORDER BY k"),
            format!("SELECT k + 1 AS a, k + 2 AS a {T} GROUP BY a"),
            format!("SELECT count(*) AS a, sum(i) AS a {T} HAVING a > 1"),
            "SELECT 1 AS a, 2 AS a UNION ALL SELECT 3, 4 ORDER BY a".to_owned(),
            format!("SELECT q.a FROM {q}"),
            format!("SELECT a FROM {q}, (SELECT 3 AS a) AS r"),
            format!("SELECT count(*) FROM {q} NATURAL JOIN (SELECT 3 AS a) AS r"),
            format!("SELECT count(*) FROM (SELECT 3 AS a) AS r JOIN {q} USING (a)"),
        ] {
            assert_eq!(lake.refused(&sql).await.code(), "ENG-0003", "{sql}");
        }
    }
}
