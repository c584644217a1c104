//! Names in expressions of `ORDER BY`. There SQL's are those of the columns that a query reads; only a name that stands alone is that of a
//! column of its result first. The planner takes the result's in both: of `SELECT coalesce(i, 0) AS i FROM t ORDER BY i IS NULL` it would
//! sort by what is never null.
//!
//! Among its columns a query has names as they are meant, so such a key becomes one, which its rows lose again. Names that only the result
//! has stay what the planner takes them for: other dialects have them so.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::replace;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, SchemaError, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr as Planned, LogicalPlan, Projection};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    CaseWhen, Distinct, ExceptSelectItem, Expr, GroupByExpr, Ident, ObjectNamePart, OrderBy, OrderByKind, Query,
    Select, SelectFlavor, SelectItem, SetExpr, Statement as SqlStatement, TableAlias, TableFactor, TableWithJoins,
    UnaryOperator, Value, VisitMut, VisitorMut, WildcardAdditionalOptions, visit_expressions, visit_expressions_mut,
};

use super::joined::called;
use super::parse::{innermost, value};
use super::{natural, planned_apart};

/// What the names of such columns begin with.
const KEY: &str = "\u{1}key";

/// Names of one statement that are looked for: each costs as much as planning it.
const NAMES_MAX: usize = 32;

/// `+i` and `i COLLATE "C"` are expressions, though the name is all that is planned of them.
pub(super) fn kept(statement: &mut SqlStatement) {
    each(statement, &mut |_: usize, query: &mut Query| {
        sorted(query, |_, shown, keys| {
            for key in keys {
                if is_dressed(key, shown) {
                    *key = always(replace(key, Expr::value(Value::Null)));
                }
            }
        });
    });
}

/// Tells the planner what is meant by the names in a statement's sort keys. What it plans then has these columns for [`dropped`].
pub(super) async fn told(state: &SessionState, statement: &mut Statement) -> Result<BTreeSet<String>> {
    let mut asked = BTreeSet::new();
    let mut is_query = false;
    if let Some(statement) = innermost(statement) {
        is_query = matches!(statement, SqlStatement::Query(_));
        each(statement, &mut |_: usize, query: &mut Query| {
            unwrapped(query);
            placed(query);
        });
        each(statement, &mut |at: usize, query: &mut Query| {
            asked.extend(doubtful(query).into_iter().map(|name| (at, name)));
        });
    }
    if asked.len() > NAMES_MAX {
        return plan_err!(
            "ORDER BY has expressions of more than {NAMES_MAX} names of columns of the result: name the tables"
        );
    }
    let mut read: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (at, name) in asked {
        let mut asking = statement.clone();
        ask(&mut asking, at, &name);
        if is_read(state, asking, &name).await {
            read.entry(at).or_default().insert(name);
        }
    }
    let none = BTreeSet::new();
    let mut outcome: Result<()> = Ok(());
    let mut keys = BTreeSet::new();
    if let Some(statement) = innermost(statement) {
        each(statement, &mut |at: usize, query: &mut Query| {
            if outcome.is_err() {
                return;
            }
            outcome = by_columns(query, read.get(&at).unwrap_or(&none)).map(|columns| {
                // Of the whole statement the plan tells all names, also those that are there twice.
                let is_whole = is_query && at == 0;
                match is_whole {
                    true => keys.extend(columns.into_iter().map(|column| column.value)),
                    false => without(query, columns),
                }
            });
        });
    }
    outcome.map(|()| keys)
}

/// The plan without these columns, which are there to be sorted by.
pub(super) fn dropped(plan: LogicalPlan, keys: &BTreeSet<String>) -> Result<LogicalPlan> {
    if keys.is_empty() {
        return Ok(plan);
    }
    let columns = plan.schema().columns();
    let all = columns.len();
    let shown = columns.into_iter().filter(|column| !keys.contains(&column.name));
    let shown: Vec<Planned> = shown.map(Planned::Column).collect();
    if shown.len() == all {
        return Ok(plan);
    }
    Ok(LogicalPlan::Projection(Projection::try_new(shown, Arc::new(plan))?))
}

/// Does something to each query of a statement, after those within it. They are counted as they begin.
pub(super) fn each(statement: &mut SqlStatement, does: &mut dyn FnMut(usize, &mut Query)) {
    let mut queries = Queries {
        begun: 0,
        open: Vec::new(),
        does,
    };
    let _: ControlFlow<()> = statement.visit(&mut queries);
}

struct Queries<'a> {
    begun: usize,
    /// The numbers of those that are around what is visited.
    open: Vec<usize>,
    does: &'a mut dyn FnMut(usize, &mut Query),
}

impl VisitorMut for Queries<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.open.push(self.begun);
        self.begun += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(at) = self.open.pop() {
            (self.does)(at, query);
        }
        ControlFlow::Continue(())
    }
}

/// `(SELECT …) ORDER BY …` is one query.
fn unwrapped(query: &mut Query) {
    let (Some(keys), SetExpr::Query(_), Some(select)) = (keys(query), query.body.as_ref(), bare(&query.body)) else {
        return;
    };
    let shown = shown(select);
    if keys.iter().any(|key| !names(key).is_disjoint(&shown)) {
        let select = select.clone();
        *query.body = SetExpr::Select(Box::new(select));
    }
}

/// The SELECT that a query is, with nothing but brackets around it.
fn bare(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query)
            if query.with.is_none()
                && query.order_by.is_none()
                && query.limit_clause.is_none()
                && query.fetch.is_none()
                && query.pipe_operators.is_empty() =>
        {
            bare(&query.body)
        }
        _ => None,
    }
}

/// What a query is sorted by.
fn keys(query: &Query) -> Option<Vec<&Expr>> {
    match query.order_by.as_ref()? {
        OrderBy {
            kind: OrderByKind::Expressions(keys),
            ..
        } => Some(keys.iter().map(|key| &key.expr).collect()),
        _ => None,
    }
}

/// Sorts by the places of columns where a key is written as one of them.
fn placed(query: &mut Query) {
    sorted(query, |select, shown, keys| {
        let before = select.projection.iter().map_while(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        });
        let before: Vec<&Expr> = before.collect();
        for key in keys {
            let in_doubt = !(names(key).is_disjoint(shown) && qualified(key).is_disjoint(shown));
            if (in_doubt || clashes(key, select))
                && let Some(place) = place(&before, key)
            {
                *key = Expr::value(Value::Number((place + 1).to_string(), false));
            }
        }
    });
}

/// Which of these expressions one is.
fn place(columns: &[&Expr], key: &Expr) -> Option<usize> {
    let key = as_it_counts(key);
    columns.iter().position(|column| as_it_counts(column) == key)
}

/// The expression with its names as they count, however they are written.
fn as_it_counts(expr: &Expr) -> Expr {
    let mut expr = expr.clone();
    let write = |ident: &mut Ident| *ident = Ident::with_quote('"', value(ident));
    let _: ControlFlow<()> = visit_expressions_mut(&mut expr, |part| {
        match part {
            Expr::Identifier(ident) => write(ident),
            Expr::CompoundIdentifier(idents) => idents.iter_mut().for_each(write),
            Expr::Function(function) => {
                for part in &mut function.name.0 {
                    if let ObjectNamePart::Identifier(ident) = part {
                        write(ident);
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    expr
}

/// Does something with a SELECT that is sorted, the names that doubts are about, and its keys. Those beside `DISTINCT ON` are understood.
fn sorted<T>(query: &mut Query, does: impl FnOnce(&mut Select, &BTreeSet<String>, Vec<&mut Expr>) -> T) -> Option<T> {
    let Query { body, order_by, .. } = query;
    let SetExpr::Select(select) = body.as_mut() else {
        return None;
    };
    let OrderBy {
        kind: OrderByKind::Expressions(keys),
        ..
    } = order_by.as_mut()?
    else {
        return None;
    };
    if matches!(select.distinct, Some(Distinct::On(_))) {
        return None;
    }
    let shown = shown(select);
    let keys = keys.iter_mut().map(|key| &mut key.expr).collect();
    Some(does(select, &shown, keys))
}

/// The names in expressions that a query is sorted by which are those of columns of its result.
fn doubtful(query: &mut Query) -> BTreeSet<String> {
    let doubtful = sorted(query, |_, shown, keys| {
        let mut found = BTreeSet::new();
        for key in keys {
            found.extend(names(key));
        }
        found.retain(|name| shown.contains(name));
        found
    });
    doubtful.unwrap_or_default()
}

/// What columns of the result are called that may be others than those that are read by these names.
fn shown(select: &Select) -> BTreeSet<String> {
    let by_names = select.from.iter().any(natural::by_names);
    let tables = tables(select);
    let names = select.projection.iter().filter_map(|item| {
        let (name, expr) = match item {
            SelectItem::ExprWithAlias { expr, alias } => (value(alias), expr),
            SelectItem::UnnamedExpr(expr @ Expr::CompoundIdentifier(idents)) if by_names => {
                (value(idents.last()?), expr)
            }
            _ => return None,
        };
        let itself = match plain(expr) {
            Expr::Identifier(ident) => value(ident) == name,
            // Where tables are joined by names, a name alone is that of whichever column is there.
            Expr::CompoundIdentifier(idents) if !by_names => match idents.as_slice() {
                [table, column] => tables.contains(&value(table)) && value(column) == name,
                _ => false,
            },
            _ => false,
        };
        (!itself).then_some(name)
    });
    names.collect()
}

/// What the tables are called that a SELECT reads.
fn tables(select: &Select) -> BTreeSet<String> {
    let joined = select.from.iter().flat_map(|from| &from.joins);
    let first = select.from.iter().map(|from| &from.relation);
    let all = first.chain(joined.map(|join| &join.relation));
    all.filter_map(called).map(|table| value(&table)).collect()
}

/// What the one table is called that a SELECT reads.
pub(super) fn only_table(select: &Select) -> Option<String> {
    match select.from.as_slice() {
        [from] if from.joins.is_empty() => called(&from.relation).map(|table| value(&table)),
        _ => None,
    }
}

/// Names within an expression; none of one that is a name itself.
fn names(key: &Expr) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if !matches!(plain(key), Expr::Identifier(_)) {
        let _: ControlFlow<()> = visit_expressions(key, |part| {
            match part {
                Expr::Identifier(ident) => {
                    found.insert(value(ident));
                }
                // It may be a field of a column.
                Expr::CompoundIdentifier(idents) => found.extend(idents.first().map(value)),
                _ => {}
            }
            ControlFlow::Continue(())
        });
    }
    found
}

/// Names that stand within an expression behind that of a table.
fn qualified(key: &Expr) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let _: ControlFlow<()> = visit_expressions(key, |part| {
        if let Expr::CompoundIdentifier(idents) = part {
            found.extend(idents.last().map(value));
        }
        ControlFlow::Continue(())
    });
    found
}

/// Whether an expression has a column with its table beside a column of the result that is called so and is another one.
fn clashes(key: &Expr, select: &Select) -> bool {
    let mut clashes = false;
    let _: ControlFlow<()> = visit_expressions(key, |part| {
        if let Expr::CompoundIdentifier(idents) = part {
            clashes |= select.projection.iter().any(|item| is_another(item, idents));
        }
        ControlFlow::Continue(())
    });
    clashes
}

/// Whether it gives another column the name of this one.
fn is_another(item: &SelectItem, column: &[Ident]) -> bool {
    let (SelectItem::ExprWithAlias { expr, alias }, [.., table, name]) = (item, column) else {
        return false;
    };
    if value(alias) != value(name) {
        return false;
    }
    match plain(expr) {
        Expr::Identifier(ident) => value(ident) != value(name),
        Expr::CompoundIdentifier(idents) => match idents.as_slice() {
            [.., of, last] => value(of) != value(table) || value(last) != value(name),
            _ => true,
        },
        _ => true,
    }
}

/// The expression without brackets.
pub(super) fn plain(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => plain(inner),
        expr => expr,
    }
}

/// Whether it is a name of the result with nothing but a sign or a collation.
fn is_dressed(key: &Expr, shown: &BTreeSet<String>) -> bool {
    match plain(key) {
        Expr::Collate { expr, .. }
        | Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr,
        } => match plain(expr) {
            Expr::Identifier(ident) => shown.contains(&value(ident)),
            inner => is_dressed(inner, shown),
        },
        _ => false,
    }
}

/// An expression that is this one.
fn always(result: Expr) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen {
            condition: Expr::value(Value::Boolean(true)),
            result,
        }],
        else_result: None,
    }
}

/// Shows the column of a name beside those of a query.
fn ask(statement: &mut Statement, of: usize, name: &str) {
    let Some(statement) = innermost(statement) else { return };
    each(statement, &mut |at: usize, query: &mut Query| {
        if at == of
            && let SetExpr::Select(select) = query.body.as_mut()
        {
            select.projection.push(SelectItem::ExprWithAlias {
                expr: Expr::Identifier(Ident::with_quote('"', name)),
                alias: Ident::with_quote('"', KEY),
            });
        }
    });
}

/// Whether the column that a statement asks for is there. Whatever else is wrong with the statement is told later.
async fn is_read(state: &SessionState, mut asking: Statement, name: &str) -> bool {
    match Box::pin(planned_apart(state, &mut asking)).await {
        Ok(_) => true,
        Err(refused) => !is_missing(&refused, name),
    }
}

fn is_missing(refused: &DataFusionError, name: &str) -> bool {
    let DataFusionError::SchemaError(error, _) = refused.find_root() else {
        return false;
    };
    matches!(error.as_ref(), SchemaError::FieldNotFound { field, .. } if field.relation.is_none() && field.name == name)
}

/// Makes columns of the keys with names that are read, and tells what they are called.
fn by_columns(query: &mut Query, read: &BTreeSet<String>) -> Result<Vec<Ident>> {
    let columns = sorted(query, |select, shown, keys| {
        let distinct = matches!(select.distinct, Some(Distinct::Distinct));
        // They would be grouped by the keys too.
        let of_all = matches!(select.group_by, GroupByExpr::All(_));
        let mut columns = Vec::new();
        for (at, key) in keys.into_iter().enumerate() {
            let mut names = names(key);
            names.retain(|name| shown.contains(name));
            match (names.intersection(read).next(), names.difference(read).next()) {
                (Some(_), Some(other)) => {
                    return plan_err!(
                        "No field named {other}. An expression in ORDER BY that names columns of tables names none of the result"
                    );
                }
                (Some(_), None) if distinct => {
                    return plan_err!("for SELECT DISTINCT, ORDER BY expressions must appear in select list");
                }
                (Some(name), None) if of_all => {
                    return plan_err!(
                        "{name} in ORDER BY is a column that GROUP BY ALL has not: name what groups are by"
                    );
                }
                (Some(_), None) => {}
                // The planner takes no column with its table beside one of the result that is called so.
                (None, None) if !(distinct || of_all) && clashes(key, select) => {}
                (None, _) => continue,
            }
            let column = Ident::with_quote('"', format!("{KEY}{at}"));
            select.projection.push(SelectItem::ExprWithAlias {
                expr: replace(key, Expr::Identifier(column.clone())),
                alias: column.clone(),
            });
            columns.push(column);
        }
        Ok(columns)
    });
    columns.unwrap_or_else(|| Ok(Vec::new()))
}

/// The query within another one that has none of these columns.
fn without(query: &mut Query, columns: Vec<Ident>) {
    let mut columns = columns.into_iter();
    let Some(first_element) = columns.next() else { return };
    let all = WildcardAdditionalOptions {
        opt_except: Some(ExceptSelectItem {
            first_element,
            additional_elements: columns.collect(),
        }),
        ..WildcardAdditionalOptions::default()
    };
    let rows = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query.clone()),
        alias: Some(TableAlias {
            explicit: true,
            name: Ident::with_quote('"', KEY),
            columns: Vec::new(),
            at: None,
        }),
        sample: None,
    };
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: vec![SelectItem::Wildcard(all)],
        exclude: None,
        into: None,
        from: vec![TableWithJoins {
            relation: rows,
            joins: Vec::new(),
        }],
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    *query = Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    };
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::Lake;

    const T: &str = "FROM (VALUES (1, 5), (2, NULL), (3, -7)) AS t (k, i)";

    // Goal: within an expression a name is that of a column that is read, alone it is that of the result. Method: the first row by columns
    // whose order the result's is not, at the top and within other queries, with groups, windows and joins.
    #[tokio::test]
    async fn names_in_expressions_are_of_what_is_read() {
        let lake = Lake::new();
        let first = format!("SELECT k, coalesce(-i, 0) AS i {T} ORDER BY i + 0 LIMIT 1");
        let other = format!("SELECT 4 - k AS k {T} ORDER BY k + 0 LIMIT 1");
        for (sql, rows) in [
            (
                format!("SELECT k, coalesce(i, 0) AS i {T} ORDER BY i IS NULL DESC, k LIMIT 1"),
                vec!["2,0"],
            ),
            (
                format!("SELECT k, coalesce(-i, 0) AS i {T} ORDER BY i LIMIT 1"),
                vec!["1,-5"],
            ),
            (
                format!("SELECT k, coalesce(-i, 0) AS i {T} ORDER BY (i) LIMIT 1"),
                vec!["1,-5"],
            ),
            (first.clone(), vec!["3,7"]),
            (
                format!("(SELECT k, coalesce(-i, 0) AS i {T}) ORDER BY i + 0 LIMIT 1"),
                vec!["3,7"],
            ),
            (format!("SELECT q.k FROM ({first}) AS q"), vec!["3"]),
            (format!("SELECT * FROM ({first}) AS q"), vec!["3,7"]),
            (format!("WITH q AS ({first}) SELECT i FROM q"), vec!["7"]),
            (format!("SELECT ({other})"), vec!["3"]),
            (
                format!("SELECT m FROM (VALUES (1), (3)) AS b (m) WHERE m IN ({other})"),
                vec!["3"],
            ),
            (format!("({other}) UNION ALL SELECT 9"), vec!["3", "9"]),
            (
                format!("SELECT k, sum(-i) AS i {T} GROUP BY k ORDER BY sum(i) LIMIT 1"),
                vec!["3,7"],
            ),
            (
                format!("SELECT k, sum(-i) AS i {T} GROUP BY k ORDER BY sum(-i) LIMIT 1"),
                vec!["1,-5"],
            ),
            (
                format!("SELECT coalesce(-i, 0) AS i {T} GROUP BY i ORDER BY i + 0 LIMIT 1"),
                vec!["7"],
            ),
            (
                format!("SELECT k, row_number() OVER (ORDER BY k) AS i {T} ORDER BY i + 0 LIMIT 1"),
                vec!["3,3"],
            ),
            (
                format!(
                    "SELECT k, -i AS i {T} JOIN (VALUES (1), (3)) AS b (m) ON b.m = t.k ORDER BY i + 0, m + k LIMIT 1"
                ),
                vec!["3,7"],
            ),
            (
                "SELECT lower(s) AS s FROM (VALUES ('B'), ('a')) AS t (s) ORDER BY s COLLATE \"C\" LIMIT 1".to_owned(),
                vec!["b"],
            ),
            (format!("SELECT -i AS i {T} ORDER BY t.i LIMIT 1"), vec!["7"]),
            (
                format!("SELECT q.i FROM (SELECT coalesce(i, 0) AS i {T} ORDER BY t.i IS NULL DESC LIMIT 1) AS q"),
                vec!["0"],
            ),
            (
                format!("SELECT k, sum(-i) AS i {T} GROUP BY k ORDER BY sum(t.i) LIMIT 1"),
                vec!["3,7"],
            ),
            (format!("SELECT DISTINCT -i AS i {T} ORDER BY -i LIMIT 1"), vec!["-5"]),
            (
                format!("SELECT DISTINCT ABS(I) AS i {T} ORDER BY abs(\"i\") LIMIT 1"),
                vec!["5"],
            ),
            (
                format!(
                    "SELECT t.i AS i {T} JOIN (VALUES (1, 9), (3, 7)) AS b (m, i) ON b.m = t.k ORDER BY b.i LIMIT 1"
                ),
                vec!["-7"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
    }

    // Goal: what a key is sorted by is in no answer, under no name. Method: columns of one name beside it, and all columns of a query.
    #[tokio::test]
    async fn keys_are_not_shown() {
        let lake = Lake::new();
        let sql = format!(
            "SELECT t.k, b.k, -i AS i {T} JOIN (VALUES (1), (3)) AS b (k) ON b.k = t.k ORDER BY i + 0, t.k + 1 LIMIT 2"
        );
        let plan = lake.engine.plan(&lake.session(), &sql).await.expect(&sql);
        let columns = plan.schema().fields().iter();
        let columns: Vec<&str> = columns.map(|field| field.name().as_str()).collect();
        assert_eq!(columns, ["k", "k", "i"]);
        assert_eq!(lake.lines(&sql).await, ["1,1,-5", "3,3,7"]);
    }

    // Goal: names that only the result has are its own, and what cannot be told apart is refused. Method: each kind, beside a column of the
    // table's, and rows that are told once.
    #[tokio::test]
    async fn names_of_the_result() {
        let lake = Lake::new();
        for (sql, rows) in [
            (format!("SELECT k, -i AS n {T} ORDER BY n + 0 LIMIT 1"), vec!["1,-5"]),
            ("SELECT 1 AS i ORDER BY i + 1".to_owned(), vec!["1"]),
            (
                format!("SELECT k, count(*) AS n {T} GROUP BY k ORDER BY n + 0, k DESC LIMIT 1"),
                vec!["3,1"],
            ),
            (
                format!(
                    "SELECT t.k AS k, -i AS n {T} JOIN (VALUES (1), (3)) AS b (m) ON b.m = t.k \
                     ORDER BY CASE WHEN n > 0 THEN k END LIMIT 1"
                ),
                vec!["3,7"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
        for sql in [
            format!("SELECT -k AS n, -i AS i {T} ORDER BY i + n"),
            format!("SELECT DISTINCT -i AS i {T} ORDER BY i + 0"),
            format!("SELECT count(*) AS i {T} GROUP BY k ORDER BY i + 0"),
            format!("SELECT -i AS i {T} GROUP BY ALL ORDER BY i + 0"),
            format!("SELECT -t.i AS i {T} JOIN (VALUES (1)) AS b (i) ON b.i = t.k ORDER BY i + 0"),
        ] {
            assert_eq!(lake.refused(&sql).await.code(), "ENG-0003", "{sql}");
        }
    }
}
