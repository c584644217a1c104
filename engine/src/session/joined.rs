//! Right and full joins by names. The planner's column of such a join is the left one, which is null where only the right one is there;
//! SQL's is whichever is there.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, ObjectNamePart, Select, SelectItem,
    Statement, TableFactor, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::this_query::{self, Change};

/// Writes `a FULL JOIN b USING (x)` with ON, and each `x` as the one that is there, where a SELECT joins two tables and names its columns.
/// What is left is refused later.
pub(super) fn by_names(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Joined);
}

struct Joined;

impl VisitorMut for Joined {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        written(select);
        ControlFlow::Continue(())
    }
}

fn written(select: &mut Select) -> Option<()> {
    let all = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    let [from] = select.from.as_mut_slice() else {
        return None;
    };
    let [join] = from.joins.as_mut_slice() else { return None };
    let (JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) | JoinOperator::FullOuter(constraint)) =
        &mut join.join_operator
    else {
        return None;
    };
    let JoinConstraint::Using(names) = constraint else {
        return None;
    };
    if select.projection.iter().any(all) {
        return None;
    }
    let names: Option<Vec<Ident>> = names
        .iter()
        .map(|name| match name.0.as_slice() {
            [ObjectNamePart::Identifier(only)] => Some(only.clone()),
            _ => None,
        })
        .collect();
    let (names, left, right) = (names?, called(&from.relation)?, called(&join.relation)?);
    let column = |table: &Ident, name: &Ident| Expr::CompoundIdentifier(vec![table.clone(), name.clone()]);
    let equal = names.iter().map(|name| Expr::BinaryOp {
        left: Box::new(column(&left, name)),
        op: BinaryOperator::Eq,
        right: Box::new(column(&right, name)),
    });
    let condition = equal.reduce(|all, one| Expr::BinaryOp {
        left: Box::new(all),
        op: BinaryOperator::And,
        right: Box::new(one),
    })?;
    *constraint = JoinConstraint::On(condition);
    let there = |name: &Ident| {
        let text = format!("coalesce({left}.{name}, {right}.{name})");
        Parser::new(&GenericDialect {})
            .try_with_sql(&text)
            .ok()?
            .parse_expr()
            .ok()
    };
    let mut replaces = There {
        names: &names,
        column: there,
    };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(ident)) = item
            && names.iter().any(|name| same(name, ident))
        {
            *item = SelectItem::ExprWithAlias {
                alias: ident.clone(),
                expr: Expr::Identifier(ident.clone()),
            };
        }
        this_query::change(item, &mut replaces);
    }
    this_query::change(&mut select.selection, &mut replaces);
    this_query::change(&mut select.having, &mut replaces);
    if let GroupByExpr::Expressions(grouped, _) = &mut select.group_by {
        this_query::change(grouped, &mut replaces);
    }
    Some(())
}

/// Writes the columns of this query's join as those that are there. Queries within it have columns of their own by these names.
struct There<'a, F> {
    names: &'a [Ident],
    column: F,
}

impl<F: Fn(&Ident) -> Option<Expr>> Change for There<'_, F> {
    fn after(&mut self, expression: &mut Expr) {
        if let Expr::Identifier(ident) = expression
            && self.names.iter().any(|name| same(name, ident))
            && let Some(column) = (self.column)(ident)
        {
            *expression = column;
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
        TableFactor::Table { name, .. } => name.0.last().and_then(ObjectNamePart::as_ident).cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::Lake;

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
}
