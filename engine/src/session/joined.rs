//! The columns of joins by names, where they stand without a table. SQL's is the left one, of a right join the right one, of a full join
//! whichever is there. The planner's is the left one always, which it does not find in conditions, nor where more than two tables have it;
//! in a subquery it takes one of the query around instead.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, OrderBy,
    OrderByKind, Query, Select, SelectItem, SetExpr, Statement, TableFactor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::MOMENT;
use super::around::{self, Queries};
use super::unnested::elements;
use crate::lake::parts;
use crate::this_query::{self, Change};

/// Names the table of each such column, if the first two tables of FROM have it. `a FULL JOIN b USING (x)` is written with ON, and each `x`
/// as the one that is there, where a SELECT joins two tables and names its columns. What is left of these is refused later.
pub(super) fn by_names(statement: &mut Statement) {
    around::each(statement, &mut Joined);
}

struct Joined;

impl Queries for Joined {
    fn query(&mut self, query: &mut Query, sees_around: bool) {
        // Before its joins are written otherwise.
        sorted(query, sees_around);
    }

    fn select(&mut self, select: &mut Select, sees_around: bool) {
        if written(select).is_none() {
            told(select, sees_around);
        }
    }
}

/// Names by which a join is done, if each is one word.
fn words(names: &[ObjectName]) -> Option<Vec<Ident>> {
    let words = names.iter().map(|name| match name.0.as_slice() {
        [ObjectNamePart::Identifier(only)] => Some(only.clone()),
        _ => None,
    });
    words.collect()
}

/// A column that stands for those of a join, and what it is.
struct Column {
    name: Ident,
    is: Expr,
    /// Of the joins, the one that makes it.
    made_by: usize,
    /// Whether another one is done by it too.
    again: bool,
}

/// The two tables of a right or full join by names, and these.
struct Either {
    left: Ident,
    right: Ident,
    names: Vec<Ident>,
}

impl Either {
    fn of(select: &Select) -> Option<Self> {
        let all = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        let [from] = select.from.as_slice() else {
            return None;
        };
        let [join] = from.joins.as_slice() else { return None };
        let (JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)) = &join.join_operator
        else {
            return None;
        };
        let JoinConstraint::Using(names) = constraint else {
            return None;
        };
        if select.projection.iter().any(all) {
            return None;
        }
        let (left, right) = (called(&from.relation)?, called(&join.relation)?);
        if same(&left, &right) {
            return None;
        }
        Some(Self {
            left,
            right,
            names: words(names)?,
        })
    }

    fn columns(&self) -> Option<Vec<Column>> {
        let there = self.names.iter().map(|name| {
            let text = format!("coalesce({}.{name}, {}.{name})", self.left, self.right);
            let mut parser = Parser::new(&GenericDialect {}).try_with_sql(&text).ok()?;
            Some(Column {
                name: name.clone(),
                is: parser.parse_expr().ok()?,
                made_by: 0,
                again: true,
            })
        });
        there.collect()
    }

    fn condition(&self) -> Option<Expr> {
        let equal = self.names.iter().map(|name| Expr::BinaryOp {
            left: Box::new(column(&self.left, name)),
            op: BinaryOperator::Eq,
            right: Box::new(column(&self.right, name)),
        });
        equal.reduce(|all, one| Expr::BinaryOp {
            left: Box::new(all),
            op: BinaryOperator::And,
            right: Box::new(one),
        })
    }
}

fn column(table: &Ident, name: &Ident) -> Expr {
    Expr::CompoundIdentifier(vec![table.clone(), name.clone()])
}

fn written(select: &mut Select) -> Option<()> {
    let either = Either::of(select)?;
    let (condition, columns) = (either.condition()?, either.columns()?);
    let join = select.from.first_mut()?.joins.first_mut()?;
    *constraint(&mut join.join_operator)? = JoinConstraint::On(condition);
    this_query::change(&mut select.selection, &mut There(&columns));
    elsewhere(select, &columns);
    Some(())
}

/// The columns of inner and left joins: of those that the first two tables have it is known whose they are.
fn of_left(select: &Select) -> Option<Vec<Column>> {
    let [from] = select.from.as_slice() else {
        return None;
    };
    let left = called(&from.relation)?;
    let mut columns: Vec<Column> = Vec::new();
    for (at, join) in from.joins.iter().enumerate() {
        if called(&join.relation).is_some_and(|other| same(&left, &other)) {
            return None;
        }
        let constraint = match &join.join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint) => constraint,
            JoinOperator::CrossJoin(_) => continue,
            _ => return None,
        };
        let JoinConstraint::Using(names) = constraint else {
            continue;
        };
        for name in words(names)? {
            let known = columns.iter_mut().find(|known| same(&known.name, &name));
            match known {
                Some(known) => known.again = true,
                None if from.joins.iter().take(at).all(|join| is_beside(join, &name)) => columns.push(Column {
                    is: column(&left, &name),
                    name,
                    made_by: at,
                    again: false,
                }),
                None => {}
            }
        }
    }
    Some(columns)
}

/// Whether what is joined is the elements of lists, which are not called so.
fn is_beside(join: &Join, name: &Ident) -> bool {
    elements(join).is_some_and(|columns| !columns.iter().any(|column| same(column, name)))
}

/// The planner finds a column of two tables elsewhere than in conditions, if no query around has one of its name.
fn told(select: &mut Select, within: bool) -> Option<()> {
    let mut columns = of_left(select)?;
    if columns.is_empty() {
        return None;
    }
    this_query::change(&mut select.selection, &mut There(&columns));
    let joins = select.from.iter_mut().flat_map(|from| &mut from.joins);
    for (at, join) in joins.enumerate() {
        if let Some(JoinConstraint::On(condition)) = constraint(&mut join.join_operator)
            && columns.iter().all(|column| column.made_by < at)
        {
            this_query::change(condition, &mut There(&columns));
        }
    }
    columns.retain(|column| column.again || within);
    elsewhere(select, &columns);
    Some(())
}

fn constraint(of: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match of {
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

/// Tells the columns in all clauses but conditions on rows.
fn elsewhere(select: &mut Select, columns: &[Column]) {
    let mut there = There(columns);
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(ident)) = item
            && columns.iter().any(|column| same(&column.name, ident))
        {
            *item = SelectItem::ExprWithAlias {
                alias: ident.clone(),
                expr: Expr::Identifier(ident.clone()),
            };
        }
        this_query::change(item, &mut there);
    }
    this_query::change(&mut select.distinct, &mut there);
    this_query::change(&mut select.having, &mut there);
    if let GroupByExpr::Expressions(grouped, _) = &mut select.group_by {
        this_query::change(grouped, &mut there);
    }
}

/// Tells them in the order of a query, unless its rows have another column called so.
fn sorted(query: &mut Query, within: bool) -> Option<()> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let Some(OrderBy {
        kind: OrderByKind::Expressions(keys),
        ..
    }) = &mut query.order_by
    else {
        return None;
    };
    let mut columns = match Either::of(select) {
        Some(either) => either.columns()?,
        None => of_left(select)?,
    };
    // Of the query around it would be, though it is shown.
    let anyway = within && select.distinct.is_none();
    let is_shown = |name: &Ident| {
        select.projection.iter().any(|item| match item {
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => !anyway && same(name, ident),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(idents)) => {
                idents.last().is_some_and(|ident| same(name, ident))
            }
            SelectItem::ExprWithAlias { alias, .. } => same(name, alias),
            SelectItem::UnnamedExpr(_) => false,
            _ => true,
        })
    };
    columns.retain(|column| (column.again || within) && !is_shown(&column.name));
    for key in keys {
        this_query::change(&mut key.expr, &mut There(&columns));
    }
    Some(())
}

/// Writes the columns of this query's join as what they are. Queries within it have columns of their own by these names.
struct There<'a>(&'a [Column]);

impl Change for There<'_> {
    fn after(&mut self, expression: &mut Expr) {
        if let Expr::Identifier(ident) = expression
            && let Some(column) = self.0.iter().find(|column| same(&column.name, ident))
        {
            *expression = column.is.clone();
        }
    }
}

fn same(name: &Ident, other: &Ident) -> bool {
    match (name.quote_style, other.quote_style) {
        (None, None) => name.value.eq_ignore_ascii_case(&other.value),
        _ => name.value == other.value,
    }
}

/// What the columns of a part are called by.
pub(super) fn called(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(alias.name.clone())
        }
        TableFactor::Table { name, .. } => name.0.last().and_then(ObjectNamePart::as_ident).map(without_version),
        _ => None,
    }
}

/// A table at a version is called as the table by the time it is planned.
fn without_version(table: &Ident) -> Ident {
    if table.value.starts_with(MOMENT) || !table.value.contains(MOMENT) {
        return table.clone();
    }
    let (base, _, part) = parts(&table.value);
    let name = part.map_or_else(|| base.to_owned(), |part| format!("{base}${part}"));
    Ident::with_quote('"', name)
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use tidewater_core::Coded;

    use super::by_names;
    use crate::testing::Lake;

    // Goal: a table is named as it is called when it is planned, and only where that is one table. Method: a table at a version, a query
    // that sees tables beside it, and two tables of one name.
    #[test]
    fn tables_as_they_are_called() {
        for (sql, wanted) in [
            (
                r#"SELECT s FROM n."t@5" JOIN b USING (k) WHERE k = 1"#,
                r#"WHERE "t".k = 1"#,
            ),
            (
                r#"SELECT s FROM n."t@5$files" JOIN b USING (k) WHERE k = 1"#,
                r#"WHERE "t$files".k = 1"#,
            ),
            (
                "SELECT m FROM c, LATERAL (SELECT max(k) AS m FROM a JOIN b USING (k)) AS l",
                "SELECT max(a.k) AS m",
            ),
            ("SELECT k FROM x.t FULL JOIN y.t USING (k)", "SELECT k FROM"),
            ("SELECT s FROM x.t JOIN y.t USING (k) WHERE k = 1", "WHERE k = 1"),
        ] {
            let mut statements = Parser::parse_sql(&GenericDialect {}, sql).expect(sql);
            statements.iter_mut().for_each(by_names);
            let found: Vec<String> = statements.iter().map(ToString::to_string).collect();
            assert!(found.iter().any(|text| text.contains(wanted)), "{found:?}");
        }
    }

    // Goal: the column of a right or full join by names is the one that is there. Method: rows that only one side has, and forms that
    // are refused because it cannot be told which one that is.
    #[tokio::test]
    async fn the_column_that_is_there() {
        let lake = Lake::new();
        let (a, b) = (
            "(VALUES (1, 'x'), (2, 'y')) AS a (k, s)",
            "(VALUES (2, 'z'), (3, 'w')) AS b (k, t)",
        );
        for (sql, rows) in [
            (format!("SELECT k FROM {a} RIGHT JOIN {b} USING (k)"), vec!["2", "3"]),
            (
                format!("SELECT k FROM {a} FULL JOIN {b} USING (k)"),
                vec!["1", "2", "3"],
            ),
            (
                format!("SELECT s FROM {a} FULL JOIN {b} USING (k) WHERE k = 3"),
                vec![""],
            ),
            (
                format!(
                    "SELECT k FROM {a} FULL JOIN {b} USING (k) WHERE EXISTS (SELECT 1 FROM (VALUES (2)) AS c (k) WHERE k = 2)"
                ),
                vec!["1", "2", "3"],
            ),
            (
                format!("SELECT k + count(*) AS n FROM {a} FULL JOIN {b} USING (k) GROUP BY k"),
                vec!["2", "3", "4"],
            ),
            (
                format!("SELECT t FROM {a} FULL JOIN {b} USING (k) ORDER BY k DESC LIMIT 1"),
                vec!["w"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
        for sql in [
            format!("SELECT * FROM {a} RIGHT JOIN {b} USING (k)"),
            format!("SELECT k FROM {a} NATURAL RIGHT JOIN {b}"),
        ] {
            assert_eq!(lake.refused(&sql).await.code(), "ENG-0004", "{sql}");
        }
    }

    // Goal: the column of inner and left joins by names is the left one wherever it stands, and no other. Method: conditions, orders and
    // groups of two and three tables, and subqueries of a query that has a column of its own by that name.
    #[tokio::test]
    async fn the_left_column() {
        let lake = Lake::new();
        let (a, b, c) = (
            "(VALUES (1, 'x'), (2, 'y'), (3, 'z')) AS a (k, s)",
            "(VALUES (2, 'u'), (3, 'v')) AS b (k, t)",
            "(VALUES (3, 'p'), (4, 'q')) AS c (k, r)",
        );
        for (sql, rows) in [
            (
                format!("SELECT k, t FROM {a} JOIN {b} USING (k) WHERE k > 2"),
                vec!["3,v"],
            ),
            (
                format!("SELECT k, t, x FROM {a} CROSS JOIN unnest([a.s]) AS u (x) JOIN {b} USING (k) WHERE k > 2"),
                vec!["3,v,z"],
            ),
            (
                format!("SELECT * FROM {a} LEFT JOIN {b} USING (k) WHERE k = 1"),
                vec!["1,x,"],
            ),
            (
                format!("SELECT k FROM {a} JOIN {b} USING (k) JOIN {c} USING (k) WHERE k > 1 ORDER BY k"),
                vec!["3"],
            ),
            (
                format!("SELECT s FROM {a} LEFT JOIN {b} USING (k) LEFT JOIN {c} USING (k) ORDER BY k DESC LIMIT 1"),
                vec!["z"],
            ),
            (
                format!(
                    "SELECT k, count(*) AS n FROM {a} LEFT JOIN {b} USING (k) LEFT JOIN {c} USING (k) GROUP BY k HAVING k < 3"
                ),
                vec!["1,1", "2,1"],
            ),
            (
                format!("SELECT k FROM {a} JOIN {b} USING (k) JOIN (VALUES (4)) AS d (m) ON m = k + 1 WHERE k = 3"),
                vec!["3"],
            ),
            (
                format!("SELECT r FROM {c} WHERE EXISTS (SELECT 1 FROM {a} JOIN {b} USING (k) WHERE k = 3)"),
                vec!["p", "q"],
            ),
            (
                format!("SELECT r, (SELECT max(k) FROM {a} JOIN {b} USING (k)) AS m FROM {c}"),
                vec!["p,3", "q,3"],
            ),
            (
                format!("SELECT r FROM {c} WHERE c.k IN (SELECT k FROM {a} JOIN {b} USING (k) ORDER BY k)"),
                vec!["p"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
    }
}
