//! Literals among the columns that a `ROLLUP`, `CUBE` or `GROUPING SETS` is made of, by their numbers or their names.
//!
//! The query engine would group by the number, and the literal would be in all rows; or take each such literal in the query for the
//! column of the groups. `coalesce` of the one value is that value, and nothing else that is written.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident,
    ObjectName, ObjectNamePart, Select, SelectItem, Statement, Value, VisitMut, VisitorMut,
};

use super::grouping::{column, is_literal, place};
use super::parse::value;

/// Writes such literals as something that is null where its set leaves it out.
pub(super) fn told(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Literals);
}

/// The value of an expression, by a function that has no other.
pub(super) fn coalesce(value: Expr) -> Expr {
    let value = FunctionArg::Unnamed(FunctionArgExpr::Expr(value));
    let name = ObjectNamePart::Identifier(Ident::with_quote('"', "coalesce"));
    Expr::Function(Function {
        name: ObjectName(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![value],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

struct Literals;

impl VisitorMut for Literals {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let GroupByExpr::Expressions(groupings, _) = &mut select.group_by else {
            return ControlFlow::Continue(());
        };
        for grouping in groupings {
            let (Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets)) = grouping else {
                continue;
            };
            for key in sets.iter_mut().flatten() {
                apart(key, &mut select.projection);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Sees to a key of a set, if it stands for a literal.
fn apart(key: &mut Expr, columns: &mut [SelectItem]) {
    let number = place(key, columns);
    let Some(at) = number.or_else(|| called(key, columns)) else {
        return;
    };
    let Some(SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. }) = columns.get_mut(at)
    else {
        return;
    };
    // A null is null with its set and without, and what a parameter is, is not known here.
    if matches!(&*column, Expr::Value(told) if matches!(told.value, Value::Null | Value::Placeholder(_))) {
        return;
    }
    if is_literal(column) {
        *column = coalesce(column.clone());
    }
    if number.is_some() {
        *key = column.clone();
    }
}

/// Which literal among the columns has this name.
fn called(name: &Expr, columns: &[SelectItem]) -> Option<usize> {
    let Expr::Identifier(name) = name else { return None };
    columns.iter().position(|item| {
        let named = matches!(item, SelectItem::ExprWithAlias { alias, .. } if value(alias) == value(name));
        named && column(item).is_some_and(is_literal)
    })
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::testing::Lake;

    // Goal: literals that sets are made of are written otherwise, and nothing else is. Method: a table of texts.
    #[test]
    fn literals_of_sets_are_no_literals() {
        for (written, wanted) in [
            (
                "SELECT 'x' AS d, b FROM t GROUP BY ROLLUP (1, b)",
                "SELECT \"coalesce\"('x') AS d, b FROM t GROUP BY ROLLUP (\"coalesce\"('x'), b)",
            ),
            (
                "SELECT b, -5 FROM t GROUP BY GROUPING SETS ((b, 2), (2))",
                "SELECT b, \"coalesce\"(-5) FROM t GROUP BY GROUPING SETS ((b, \"coalesce\"(-5)), (\"coalesce\"(-5)))",
            ),
            (
                "SELECT true AS d, b FROM t GROUP BY CUBE (D, b)",
                "SELECT \"coalesce\"(true) AS d, b FROM t GROUP BY CUBE (D, b)",
            ),
            (
                "SELECT 'x', b FROM t GROUP BY 1, b",
                "SELECT 'x', b FROM t GROUP BY 1, b",
            ),
            (
                "SELECT 'x', b FROM t GROUP BY ROLLUP (b)",
                "SELECT 'x', b FROM t GROUP BY ROLLUP (b)",
            ),
            (
                "SELECT NULL, b FROM t GROUP BY ROLLUP (1, b)",
                "SELECT NULL, b FROM t GROUP BY ROLLUP (1, b)",
            ),
            (
                "SELECT *, 5 FROM t GROUP BY ROLLUP (2)",
                "SELECT *, 5 FROM t GROUP BY ROLLUP (2)",
            ),
        ] {
            let mut statement = Parser::parse_sql(&GenericDialect {}, written).expect(written).remove(0);
            told(&mut statement);
            assert_eq!(statement.to_string(), wanted);
        }
    }

    // Goal: a literal is null in the totals, and only where it is grouped by. Method: a text and a number, by number and by name, beside
    // the same number elsewhere.
    #[tokio::test]
    async fn literals_are_null_in_totals() {
        let lake = Lake::new();
        let rows = "(VALUES (1), (1), (2)) AS v (b)";
        for (sql, wanted) in [
            (
                format!("SELECT 'x' AS d, b, count(*) FROM {rows} GROUP BY ROLLUP (1, 2)"),
                vec![",,3", "x,,3", "x,1,2", "x,2,1"],
            ),
            (
                format!("SELECT 5 AS d, b, count(*) + 5 FROM {rows} GROUP BY ROLLUP (d, b)"),
                vec![",,8", "5,,8", "5,1,7", "5,2,6"],
            ),
            (
                format!("SELECT count(d) FROM (SELECT 5 AS d, b, count(*) AS n FROM {rows} GROUP BY CUBE (1, 2)) AS q"),
                vec!["3"],
            ),
            (
                format!("SELECT -5 AS d, sum(b) FROM {rows} GROUP BY GROUPING SETS ((1), ())"),
                vec![",4", "-5,4"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
    }
}
