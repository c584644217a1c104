//! `x IN (SELECT …)` where its being unknown matters. DataFusion 55.2 marks the rows that have a match, and takes all others for false:
//! with a null among the query's rows, or for a null, `x NOT IN (SELECT …) OR y` would be true where it is unknown.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Distinct, Expr, GroupByExpr, JoinConstraint, JoinOperator, OrderBy, OrderByKind, Query, Select,
    SelectItem, Statement, UnaryOperator, VisitMut, VisitorMut, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::among_rows;
use super::one_row::OneRow;
use crate::error::{EngineError, Result};
use crate::this_query::{self, Change};

/// Writes such conditions out: true if there is a match, else unknown if there is a null, else false.
///
/// # Errors
/// Too many of them are within one another.
pub(super) fn counted(statement: &mut Statement) -> Result<()> {
    let mut members = Members { depth: 0 };
    match statement.visit(&mut members) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(EngineError::Unsupported {
            what: format!("a comparison with a query's rows within {DEPTH_MAX} others"),
        }),
    }
}

/// Subqueries that stand for values within one another, from which on nothing is written out: what is written out has its query three
/// times.
const DEPTH_MAX: usize = 4;

struct Members {
    depth: usize,
}

impl Members {
    /// Writes out what is among a part, or ends where that is no more to be done and would have to be.
    fn write<T: Clone + PartialEq>(&self, part: &mut T, write: impl FnOnce(&mut T)) -> ControlFlow<()> {
        if self.depth < DEPTH_MAX {
            write(part);
            return ControlFlow::Continue(());
        }
        let mut written = part.clone();
        write(&mut written);
        match written == *part {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }
}

impl VisitorMut for Members {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(OrderBy {
            kind: OrderByKind::Expressions(keys),
            ..
        }) = &mut query.order_by
        {
            for key in keys {
                self.write(&mut key.expr, within)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        self.depth += usize::from(matches!(expression, Expr::Subquery(_)));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        self.depth -= usize::from(matches!(expression, Expr::Subquery(_)));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for condition in [&mut select.selection, &mut select.having].into_iter().flatten() {
            self.write(condition, conjunct)?;
        }
        for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
            if let Some(condition) = condition_of(&mut join.join_operator) {
                self.write(condition, conjunct)?;
            }
        }
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. } = item {
                self.write(column, within)?;
            }
        }
        if let Some(Distinct::On(keys)) = &mut select.distinct {
            for key in keys {
                self.write(key, within)?;
            }
        }
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            for key in keys {
                self.write(key, within)?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// What a join goes by, if it is a condition.
pub(super) fn condition_of(join: &mut JoinOperator) -> Option<&mut Expr> {
    match join {
        JoinOperator::Join(JoinConstraint::On(condition))
        | JoinOperator::Inner(JoinConstraint::On(condition))
        | JoinOperator::Left(JoinConstraint::On(condition))
        | JoinOperator::LeftOuter(JoinConstraint::On(condition))
        | JoinOperator::Right(JoinConstraint::On(condition))
        | JoinOperator::RightOuter(JoinConstraint::On(condition))
        | JoinOperator::FullOuter(JoinConstraint::On(condition)) => Some(condition),
        _ => None,
    }
}

/// A condition that stands for itself, or beside others of which each has to be true.
fn conjunct(condition: &mut Expr) {
    match condition {
        Expr::Nested(inner) => conjunct(inner),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            conjunct(left);
            conjunct(right);
        }
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } if matches!(expr.as_ref(), Expr::InSubquery { .. } | Expr::Exists { .. }) => {
            if let Some(rows) = among_rows::written(expr, true) {
                *condition = rows;
            }
        }
        Expr::InSubquery { .. } | Expr::Exists { .. } => {
            if let Some(rows) = among_rows::written(condition, false) {
                *condition = rows;
            }
        }
        other => alternative(other),
    }
}

/// A condition of which false and unknown are the same, or one that is not.
fn alternative(condition: &mut Expr) {
    match condition {
        Expr::Nested(inner) => alternative(inner),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And | BinaryOperator::Or,
            right,
        } => {
            alternative(left);
            alternative(right);
        }
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } if let Some(rows) = among_rows::written(expr, true) => *condition = rows,
        Expr::InSubquery { negated, .. } => {
            let negated = *negated;
            match among_rows::written(condition, false) {
                Some(rows) => *condition = rows,
                None if negated => within(condition),
                None => {}
            }
        }
        Expr::AnyOp { .. } | Expr::AllOp { .. } => match among_rows::written(condition, false) {
            Some(rows) => *condition = rows,
            None => within(condition),
        },
        other => within(other),
    }
}

fn within(expression: &mut Expr) {
    this_query::change(expression, &mut Counted);
}

/// Writes out the conditions among an expression's own parts.
struct Counted;

impl Change for Counted {
    fn after(&mut self, part: &mut Expr) {
        if let Expr::InSubquery {
            expr,
            subquery,
            negated,
        } = part
            && let Some(written) = written(expr, subquery)
        {
            *part = match negated {
                true => Expr::Nested(Box::new(Expr::UnaryOp {
                    op: UnaryOperator::Not,
                    expr: Box::new(written),
                })),
                false => written,
            };
        }
    }
}

/// The truth that says whether a value is among a query's rows, which it counts.
fn written(value: &Expr, query: &Query) -> Option<Expr> {
    let text = match value {
        Expr::Tuple(row) => match row.as_slice() {
            [first, second] if !has_rows(query) => of_two(first, second, query),
            _ => return None,
        },
        _ => match OneRow::of(query) {
            Some(OneRow {
                row: Some(row),
                always: true,
                ..
            }) => format!("(({value}) = ({row}))"),
            Some(OneRow {
                row: Some(row), passes, ..
            }) => format!("CASE WHEN ({passes}) THEN ({value}) = ({row}) ELSE false END"),
            // The names are no one's.
            _ => format!(
                "CASE WHEN (SELECT count(*) FROM ({query}) AS \"in$\" (\"member$\") WHERE \"in$\".\"member$\" = ({value})) > 0 THEN true \
                 WHEN (SELECT count(*) FROM ({query}) AS \"in$\" (\"member$\") WHERE \"in$\".\"member$\" IS NULL) > 0 THEN NULL \
                 WHEN ({value}) IS NULL AND (SELECT count(*) FROM ({query}) AS \"in$\" (\"member$\")) > 0 THEN NULL ELSE false END"
            ),
        },
    };
    Parser::new(&GenericDialect {})
        .try_with_sql(&text)
        .ok()?
        .parse_expr()
        .ok()
}

/// The same of a row of two: unknown where nothing differs, and something is null. Each count goes by what is equal or null, as the
/// rows of a query may depend on the row around it by equality only. Longer rows would take too many of them.
fn of_two(first: &Expr, second: &Expr, query: &Query) -> String {
    let some = |condition: &str| {
        format!("(SELECT count(*) FROM ({query}) AS \"in$\" (\"member$0\", \"member$1\") WHERE {condition}) > 0")
    };
    let equal = [
        format!("\"in$\".\"member$0\" = ({first})"),
        format!("\"in$\".\"member$1\" = ({second})"),
    ];
    let null = ["\"in$\".\"member$0\" IS NULL", "\"in$\".\"member$1\" IS NULL"];
    let [first_equal, second_equal] = &equal;
    let [first_null, second_null] = null;
    format!(
        "CASE WHEN {} THEN true WHEN {} OR {} OR {} OR (({first}) IS NULL AND ({} OR {})) OR (({second}) IS NULL AND ({} OR {})) \
         OR (({first}) IS NULL AND ({second}) IS NULL AND {}) THEN NULL ELSE false END",
        some(&format!("{first_equal} AND {second_equal}")),
        some(&format!("{first_equal} AND {second_null}")),
        some(&format!("{first_null} AND {second_equal}")),
        some(&format!("{first_null} AND {second_null}")),
        some(second_equal.as_str()),
        some(second_null),
        some(first_equal.as_str()),
        some(first_null),
        some("true"),
    )
}

/// Whether a query looks for rows among those of others: there would be too many of them.
fn has_rows(query: &Query) -> bool {
    let found = visit_expressions(query, |expression: &Expr| match expression {
        Expr::InSubquery { expr, .. } if matches!(expr.as_ref(), Expr::Tuple(_)) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: whether a value is among a query's rows is unknown where SQL says so, also within other conditions. Method: a null among
    // them, a null that is looked for, and no rows at all.
    #[tokio::test]
    async fn what_is_unknown_is_neither() {
        let lake = Lake::new();
        let rows = "FROM (VALUES (1), (2), (NULL)) AS v (x)";
        let (with, without, none) = (
            "(SELECT * FROM (VALUES (1), (NULL)) AS s (y))",
            "(SELECT * FROM (VALUES (1)) AS s (y))",
            "(SELECT 1 WHERE false)",
        );
        for (condition, wanted) in [
            (format!("x NOT IN {with} OR x = 9"), vec![]),
            (format!("x NOT IN {without} OR x = 9"), vec!["2"]),
            (format!("x NOT IN {none} OR x = 9"), vec!["", "1", "2"]),
            (format!("(x IN {with}) IS NULL"), vec!["", "2"]),
            (format!("(x IN {without}) IS NULL"), vec![""]),
            (format!("(x IN {without}) IS NOT TRUE"), vec!["", "2"]),
            (format!("x IN {with} OR x = 2"), vec!["1", "2"]),
            (format!("x IN {with} AND x > 0"), vec!["1"]),
            (format!("x NOT IN {with}"), vec![]),
        ] {
            let sql = format!("SELECT x {rows} WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, wanted, "{condition}");
        }
        let sql = format!("SELECT x IN {with} AS a {rows}");
        assert_eq!(lake.lines(&sql).await, ["", "", "true"]);
    }

    // Goal: the same of rows of two, where a null counts only if the rest does not differ. Method: each row of three values of each column
    // against queries with nulls on either side, on both, without and with no rows at all, held against what SQL says of each pair.
    #[tokio::test]
    async fn rows_of_two_are_unknown_where_nothing_differs() {
        let lake = Lake::new();
        let values = [Some(1), Some(2), None];
        let sides: [&[(Option<i32>, Option<i32>)]; 6] = [
            &[(Some(1), Some(1)), (Some(2), Some(1))],
            &[(Some(1), None), (Some(3), Some(2))],
            &[(None, Some(2))],
            &[(None, None)],
            &[(Some(3), None), (Some(1), Some(1)), (None, Some(3))],
            &[],
        ];
        let shown = |value: Option<i32>| value.map_or_else(|| "NULL".to_owned(), |value| value.to_string());
        let equal = |left: Option<i32>, right: Option<i32>| Some(left? == right?);
        let both = |left: Option<bool>, right: Option<bool>| match (left, right) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        };
        for side in sides {
            let rows = side.iter().map(|(c, d)| format!("({}, {})", shown(*c), shown(*d)));
            // The first row gives the columns their types.
            let rows: Vec<String> = std::iter::once("(0, 0)".to_owned()).chain(rows).collect();
            let query = format!(
                "SELECT c, d FROM (VALUES {}) AS s (c, d) WHERE c IS DISTINCT FROM 0",
                rows.join(", ")
            );
            let mut wanted = Vec::new();
            for a in values {
                for b in values {
                    let pairs = side.iter().map(|(c, d)| both(equal(a, *c), equal(b, *d)));
                    let pairs: Vec<Option<bool>> = pairs.collect();
                    let found = match pairs.contains(&Some(true)) {
                        true => "true",
                        false if pairs.contains(&None) => "",
                        false => "false",
                    };
                    let shown = |value: Option<i32>| value.map(|value| value.to_string()).unwrap_or_default();
                    wanted.push(format!("{},{},{found}", shown(a), shown(b)));
                }
            }
            wanted.sort();
            let around = "(VALUES (1, 1), (1, 2), (1, NULL), (2, 1), (2, 2), (2, NULL), (NULL, 1), (NULL, 2), (NULL, NULL)) AS v (a, b)";
            let sql = format!("SELECT a, b, (a, b) IN ({query}) AS x FROM {around}");
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
            let denied = format!("SELECT count(*) FROM {around} WHERE ((a, b) NOT IN ({query})) IS NULL");
            let unknown = wanted.iter().filter(|line| line.ends_with(',')).count();
            assert_eq!(lake.lines(&denied).await, [unknown.to_string()], "{denied}");
        }
    }
}
