//! Groupings that DataFusion 55.2 does not plan, written as the plain sets that they mean: `ROLLUP` and `CUBE` within `GROUPING SETS`,
//! several columns at once in them (`ROLLUP ((a, b), c)`), columns in brackets, and the numbers of columns.

use std::mem::take;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Select, SelectItem, Statement,
    UnaryOperator, Value, VisitMut, VisitorMut,
};

use crate::error::{EngineError, Result};

/// Columns that are written out in the sets of one statement at most: a `CUBE` of twelve has 4,096 sets.
const COLUMNS_MAX: usize = 65_536;

/// Writes such groupings out.
///
/// # Errors
/// They would be too many.
pub(super) fn plain(statement: &mut Statement) -> Result<()> {
    match statement.visit(&mut Groupings { room: COLUMNS_MAX }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(EngineError::Unsupported {
            what: format!("groupings of more than {COLUMNS_MAX} columns in all"),
        }),
    }
}

struct Groupings {
    /// Columns that may still be written out.
    room: usize,
}

impl VisitorMut for Groupings {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if let GroupByExpr::Expressions(groupings, _) = &mut select.group_by
            && !groupings.is_empty()
        {
            let mut written = Vec::with_capacity(groupings.len());
            for grouping in take(groupings) {
                match grouping {
                    Expr::Tuple(columns) => written.extend(columns),
                    other => written.push(self.grouping(other, &select.projection)?),
                }
            }
            *groupings = written;
        }
        ControlFlow::Continue(())
    }
}

type Set = Vec<Expr>;

impl Groupings {
    fn grouping(&mut self, grouping: Expr, columns: &[SelectItem]) -> ControlFlow<(), Expr> {
        let sets = match grouping {
            Expr::Rollup(parts) => match parts.iter().any(|part| part.len() != 1) {
                true => self.rolled(&parts)?,
                false => return ControlFlow::Continue(Expr::Rollup(numbered(parts, columns))),
            },
            Expr::Cube(parts) => match parts.iter().any(|part| part.len() != 1) {
                true => self.cubed(&parts)?,
                false => return ControlFlow::Continue(Expr::Cube(numbered(parts, columns))),
            },
            Expr::GroupingSets(sets) => {
                let mut written = Vec::with_capacity(sets.len());
                for set in sets {
                    match within(&set) {
                        Some((Kind::Rollup, parts)) => written.extend(self.rolled(&parts)?),
                        Some((Kind::Cube, parts)) => written.extend(self.cubed(&parts)?),
                        None => written.push(set),
                    }
                }
                written
            }
            other => return ControlFlow::Continue(other),
        };
        ControlFlow::Continue(Expr::GroupingSets(numbered(sets, columns)))
    }

    /// All of the columns, fewer and fewer of them, and none.
    fn rolled(&mut self, parts: &[Set]) -> ControlFlow<(), Vec<Set>> {
        self.take_room(parts, parts.len() + 1)?;
        let sets = (0..=parts.len()).rev().map(|count| {
            let kept = parts.iter().take(count);
            kept.flatten().cloned().collect::<Set>()
        });
        ControlFlow::Continue(sets.collect())
    }

    /// Every choice of the columns.
    fn cubed(&mut self, parts: &[Set]) -> ControlFlow<(), Vec<Set>> {
        let count = u32::try_from(parts.len())
            .ok()
            .and_then(|count| 2_usize.checked_pow(count))
            .unwrap_or(usize::MAX);
        self.take_room(parts, count)?;
        let sets = (0..count).rev().map(|choice| {
            let kept = parts.iter().enumerate().filter(|(at, _)| (choice >> at) & 1 == 1);
            kept.flat_map(|(_, part)| part).cloned().collect::<Set>()
        });
        ControlFlow::Continue(sets.collect())
    }

    fn take_room(&mut self, parts: &[Set], sets: usize) -> ControlFlow<()> {
        let columns: usize = parts.iter().map(Vec::len).sum();
        match self.room.checked_sub((columns + 1).saturating_mul(sets)) {
            Some(room) => self.room = room,
            None => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }
}

enum Kind {
    Rollup,
    Cube,
}

/// The grouping that stands in the place of a set, which the parser takes for a function.
fn within(set: &[Expr]) -> Option<(Kind, Vec<Set>)> {
    let [Expr::Function(Function { name, args, .. })] = set else {
        return None;
    };
    let kind = match name.to_string().to_lowercase().as_str() {
        "rollup" => Kind::Rollup,
        "cube" => Kind::Cube,
        _ => return None,
    };
    let FunctionArguments::List(list) = args else {
        return None;
    };
    let parts = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(columns))) => Some(columns.clone()),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(column)) => Some(vec![column.clone()]),
        _ => None,
    });
    Some((kind, parts.collect::<Option<Vec<Set>>>()?))
}

/// The sets with the columns that numbers in them stand for.
fn numbered(mut sets: Vec<Set>, columns: &[SelectItem]) -> Vec<Set> {
    for column in sets.iter_mut().flatten() {
        if let Some(meant) = meant(column, columns) {
            *column = meant;
        }
    }
    sets
}

/// The column of the answer that a number stands for; none if that is a literal, which `literal_sets.rs` sees to.
fn meant(number: &Expr, columns: &[SelectItem]) -> Option<Expr> {
    let column = column(columns.get(place(number, columns)?)?)?;
    (!is_literal(column)).then(|| column.clone())
}

/// Which column of the answer a number stands for. Behind `*` nobody knows which that is.
pub(super) fn place(number: &Expr, columns: &[SelectItem]) -> Option<usize> {
    let Expr::Value(value) = number else { return None };
    let Value::Number(text, _) = &value.value else {
        return None;
    };
    let at = text.parse::<usize>().ok()?.checked_sub(1)?;
    let told = columns.get(..=at)?;
    told.iter().all(|item| column(item).is_some()).then_some(at)
}

/// What a column of the answer is made of.
pub(super) fn column(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(column) | SelectItem::ExprWithAlias { expr: column, .. } => Some(column),
        _ => None,
    }
}

/// Whether it is written as a value, with a sign or without.
pub(super) fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        }
        | Expr::Nested(expr) => is_literal(expr),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::testing::Lake;

    fn written(groupings: &str) -> Result<String> {
        let sql = format!("SELECT a, b + 1 AS x, count(*) FROM t GROUP BY {groupings}");
        let mut statement = Parser::parse_sql(&GenericDialect {}, &sql).expect(groupings).remove(0);
        plain(&mut statement)?;
        let text = statement.to_string();
        let (_, found) = text.split_once(" GROUP BY ").unwrap_or_default();
        Ok(found.to_owned())
    }

    // Goal: groupings are the sets that SQL says they are, and what is planned as it is stays. Method: a table of texts.
    #[test]
    fn groupings_are_written_out() {
        for (groupings, wanted) in [
            (
                "GROUPING SETS ((a), ROLLUP (a, b))",
                "GROUPING SETS ((a), (a, b), (a), ())",
            ),
            (
                "GROUPING SETS (CUBE (a, b), c)",
                "GROUPING SETS ((a, b), (b), (a), (), (c))",
            ),
            (
                "GROUPING SETS (rollup ((a, b), c))",
                "GROUPING SETS ((a, b, c), (a, b), ())",
            ),
            ("ROLLUP ((a, b), c)", "GROUPING SETS ((a, b, c), (a, b), ())"),
            ("CUBE ((a, b))", "GROUPING SETS ((a, b), ())"),
            ("a, ROLLUP (b, (c, d))", "a, GROUPING SETS ((b, c, d), (b), ())"),
            ("a, ()", "a"),
            ("(a, b), c", "a, b, c"),
            ("1, ROLLUP (1, 2)", "1, ROLLUP (a, b + 1)"),
            (
                "GROUPING SETS ((1, 2), (3), (4))",
                "GROUPING SETS ((a, b + 1), (count(*)), (4))",
            ),
            ("ROLLUP (a, b)", "ROLLUP (a, b)"),
            ("a, lower(b)", "a, lower(b)"),
        ] {
            assert_eq!(written(groupings).expect(groupings), wanted, "{groupings}");
        }
    }

    // Goal: groupings that would fill the memory are refused. Method: a CUBE in sets, and a long ROLLUP of rows.
    #[test]
    fn there_are_not_too_many() {
        let columns = |count: usize| (0..count).map(|at| format!("c{at}")).collect::<Vec<_>>().join(", ");
        assert!(written(&format!("GROUPING SETS (CUBE ({}))", columns(12))).is_ok());
        assert!(written(&format!("GROUPING SETS (CUBE ({}))", columns(70))).is_err());
        assert!(written(&format!("ROLLUP ((a, b), {})", columns(200))).is_ok());
        assert!(written(&format!("ROLLUP ((a, b), {})", columns(300))).is_err());
        let cube = format!("CUBE ({})", columns(12));
        assert!(written(&format!("GROUPING SETS ({cube}, {cube})")).is_err());
    }

    // Goal: the groups are those of SQL. Method: rows of two keys, of which one is null.
    #[tokio::test]
    async fn groups_are_those_that_are_meant() {
        let lake = Lake::new();
        let rows = "(VALUES (1, 1), (1, 2), (2, NULL)) AS v (a, b)";
        for (sql, wanted) in [
            (
                format!("SELECT a, b, count(*) FROM {rows} GROUP BY GROUPING SETS ((a), ROLLUP (a, b))"),
                vec![",,3", "1,,2", "1,,2", "1,1,1", "1,2,1", "2,,1", "2,,1", "2,,1"],
            ),
            (
                format!("SELECT a, b, grouping(b), count(*) FROM {rows} GROUP BY ROLLUP ((a, b))"),
                vec![",,1,3", "1,1,0,1", "1,2,0,1", "2,,0,1"],
            ),
            (format!("SELECT count(*) FROM {rows} GROUP BY ()"), vec!["3"]),
            (
                format!("SELECT count(*) FROM {rows} WHERE a > 5 GROUP BY ()"),
                vec!["0"],
            ),
            (
                format!("SELECT a, count(*) FROM {rows} GROUP BY ROLLUP (1)"),
                vec![",3", "1,2", "2,1"],
            ),
            (
                format!("SELECT a, b FROM {rows} GROUP BY (a, b)"),
                vec!["1,1", "1,2", "2,"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
    }
}
