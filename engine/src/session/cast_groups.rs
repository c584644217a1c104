//! Groups by several casts of one expression: `GROUP BY x::date, x::timestamp`.
//!
//! DataFusion 55.2 calls a cast what it calls the expression within, and refuses two groups of one name. All of them but one are written
//! as the `coalesce` of the one cast, which has a name of its own; the third as the `coalesce` of that, and so on.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, GroupByExpr, Query, Select, SelectItem, Statement, VisitMut, VisitorMut,
};

use super::grouping::{column, place};
use super::literal_sets::coalesce;
use super::parse::value;

/// Writes such casts so that each has its own name.
pub(super) fn told_apart(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Selects);
}

/// Casts, from the outermost to the innermost, of what is no cast.
#[derive(PartialEq)]
struct Casts {
    types: Vec<DataType>,
    of: Expr,
}

impl Casts {
    fn of(mut expr: &Expr) -> Self {
        let mut types = Vec::new();
        loop {
            match expr {
                Expr::Nested(inner) => expr = inner,
                Expr::Cast {
                    kind: CastKind::Cast | CastKind::DoubleColon,
                    expr: inner,
                    data_type,
                    format: None,
                    ..
                } => {
                    types.push(data_type.clone());
                    expr = inner;
                }
                _ => break,
            }
        }
        Self {
            types,
            of: expr.clone(),
        }
    }

    /// Whether it has the name of the expression within: a column has its table's too.
    fn is_called_so(&self) -> bool {
        !self.types.is_empty() || !matches!(self.of, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
    }
}

/// The casts that a SELECT is to write otherwise, and how often each.
fn alike(select: &Select) -> Vec<(Casts, usize)> {
    let GroupByExpr::Expressions(groupings, _) = &select.group_by else {
        return Vec::new();
    };
    let mut groups: Vec<Casts> = Vec::new();
    for key in groupings.iter().flat_map(keys) {
        let group = Casts::of(meant(key, &select.projection));
        if group.is_called_so() && !groups.contains(&group) {
            groups.push(group);
        }
    }
    // One that is no cast keeps its name, wherever it stands.
    groups.sort_by_key(|group| !group.types.is_empty());
    let mut others = Vec::new();
    while let Some(group) = groups.pop() {
        let before = groups.iter().filter(|other| other.of == group.of).count();
        if before > 0 {
            others.push((group, before));
        }
    }
    others
}

fn keys(grouping: &Expr) -> Vec<&Expr> {
    match grouping {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => sets.iter().flatten().collect(),
        other => vec![other],
    }
}

/// What a key of groups stands for: a column of the answer by its number or its name, or itself.
fn meant<'a>(key: &'a Expr, columns: &'a [SelectItem]) -> &'a Expr {
    let numbered = place(key, columns).and_then(|at| columns.get(at));
    let named = |name| {
        columns
            .iter()
            .find(|item| matches!(item, SelectItem::ExprWithAlias { alias, .. } if value(alias) == value(name)))
    };
    let found = match key {
        Expr::Identifier(name) => named(name),
        _ => numbered,
    };
    found.and_then(column).unwrap_or(key)
}

struct Selects;

impl VisitorMut for Selects {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        // What it sorts by is written as in its SELECT, which comes after.
        let casts = query.body.as_select().map(alike).unwrap_or_default();
        if !casts.is_empty() {
            query.order_by.visit(&mut Written::of(&casts))?;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let casts = alike(select);
        if casts.is_empty() {
            return ControlFlow::Continue(());
        }
        let mut written = Written::of(&casts);
        select.distinct.visit(&mut written)?;
        select.projection.visit(&mut written)?;
        select.group_by.visit(&mut written)?;
        select.having.visit(&mut written)?;
        select.named_window.visit(&mut written)?;
        select.qualify.visit(&mut written)
    }
}

/// Writes casts otherwise, but not within subqueries.
struct Written<'a> {
    casts: &'a [(Casts, usize)],
    queries: usize,
    /// The next one is what was written otherwise just now.
    done: bool,
}

impl<'a> Written<'a> {
    fn of(casts: &'a [(Casts, usize)]) -> Self {
        Self {
            casts,
            queries: 0,
            done: false,
        }
    }
}

impl VisitorMut for Written<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.queries > 0 || !matches!(expr, Expr::Cast { .. }) {
            return ControlFlow::Continue(());
        }
        let cast = Casts::of(expr);
        let Some((_, times)) = self.casts.iter().find(|(other, _)| *other == cast) else {
            return ControlFlow::Continue(());
        };
        if std::mem::take(&mut self.done) {
            return ControlFlow::Continue(());
        }
        self.done = true;
        for _ in 0..*times {
            *expr = coalesce(expr.clone());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::testing::Lake;

    // Goal: of casts of one expression that are groups each but one is written otherwise wherever its SELECT has it, and nothing else is.
    // Method: a table of texts.
    #[test]
    fn casts_of_one_expression_have_their_own_names() {
        for (written, wanted) in [
            (
                "SELECT x::date, x::timestamp FROM t GROUP BY 1, 2 ORDER BY (x::timestamp) DESC",
                "SELECT x::DATE, \"coalesce\"(x::TIMESTAMP) FROM t GROUP BY 1, 2 ORDER BY (\"coalesce\"(x::TIMESTAMP)) DESC",
            ),
            (
                "SELECT CAST(x AS date) AS d, CAST(x AS date) + 1, x::text AS s FROM t WHERE x::text > 'a' GROUP BY ROLLUP (s, x::date)",
                "SELECT \"coalesce\"(CAST(x AS DATE)) AS d, \"coalesce\"(CAST(x AS DATE)) + 1, x::TEXT AS s FROM t WHERE x::TEXT > 'a' \
                 GROUP BY ROLLUP (s, \"coalesce\"(x::DATE))",
            ),
            (
                "SELECT count(*) FROM t GROUP BY f(x)::date, f(x), f(x)::text HAVING f(x)::text > (SELECT f(x)::text FROM u)",
                "SELECT count(*) FROM t GROUP BY \"coalesce\"(f(x)::DATE), f(x), \"coalesce\"(\"coalesce\"(f(x)::TEXT)) \
                 HAVING \"coalesce\"(\"coalesce\"(f(x)::TEXT)) > (SELECT f(x)::TEXT FROM u)",
            ),
            (
                "SELECT x, x::DATE FROM t GROUP BY 1, 2",
                "SELECT x, x::DATE FROM t GROUP BY 1, 2",
            ),
            (
                "SELECT x::DATE, y::DATE, max(x::TEXT) FROM t GROUP BY x::DATE, y::DATE, CAST(x AS DATE)",
                "SELECT x::DATE, y::DATE, max(x::TEXT) FROM t GROUP BY x::DATE, y::DATE, CAST(x AS DATE)",
            ),
        ] {
            let mut statement = Parser::parse_sql(&GenericDialect {}, written).expect(written).remove(0);
            told_apart(&mut statement);
            assert_eq!(statement.to_string(), wanted);
        }
    }

    // Goal: such groups are made. Method: two days and two moments of one of them, as groups and as sets.
    #[tokio::test]
    async fn casts_of_one_expression_are_groups() {
        let lake = Lake::new();
        let rows = "(VALUES (TIMESTAMP '2024-01-01 10:00:00'), (TIMESTAMP '2024-01-01 11:00:00'), (TIMESTAMP '2024-01-02 10:00:00')) AS v (x)";
        for (groups, wanted) in [
            ("CAST(x AS date), CAST(x AS timestamp)", "3"),
            ("CAST(x AS date), CAST(x AS text), CAST(x AS timestamp)", "3"),
            ("ROLLUP (CAST(x AS date), CAST(x AS timestamp))", "6"),
        ] {
            let sql = format!("SELECT count(*) FROM (SELECT count(*) AS n FROM {rows} GROUP BY {groups}) AS q");
            assert_eq!(lake.lines(&sql).await, [wanted], "{sql}");
        }
    }
}
