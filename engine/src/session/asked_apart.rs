//! Several queries that stand for values in aggregates or functions over windows: `sum((SELECT max(x) …)), sum((SELECT max(y) …))`. DataFusion
//! 55.2 calls what they stand in by the names of their columns only, and refuses two of one name. Here each query has a name of its own.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, SelectItem, SetExpr, Statement, Value, VisitMut, VisitorMut,
};

use super::one_row::gathers;
use crate::this_query::{self, Change};

/// Names such queries.
pub(super) fn named(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Queries);
}

struct Queries;

impl VisitorMut for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if !matches!(query.body.as_ref(), SetExpr::Select(_)) {
            return ControlFlow::Continue(());
        }
        let mut found = Asked::default();
        found.look(query);
        if found.texts.len() > 1 || found.filters.len() > 1 {
            found.named = true;
            found.look(query);
        }
        ControlFlow::Continue(())
    }
}

#[derive(Default)]
struct Asked {
    /// What gathers rows around what is visited.
    within: usize,
    /// The queries there are. Equal ones have one name, so that what they stand in stays equal.
    texts: BTreeSet<String>,
    /// The conditions of `FILTER` that ask a query, of whose columns their names say nothing.
    filters: BTreeSet<String>,
    named: bool,
}

impl Asked {
    fn look(&mut self, query: &mut Query) {
        if let SetExpr::Select(select) = query.body.as_mut() {
            this_query::change(&mut select.projection, self);
            this_query::change(&mut select.having, self);
        }
        this_query::change(&mut query.order_by, self);
    }
}

impl Change for Asked {
    fn before(&mut self, part: &mut Expr) {
        self.within += usize::from(gathers(part));
        if let Expr::Function(call) = part
            && let Some(filter) = &mut call.filter
            && this_query::has(filter.as_ref(), asks)
        {
            let text = filter.to_string();
            if !self.named {
                self.filters.insert(text);
            } else if let Some(at) = self.filters.iter().position(|known| *known == text) {
                **filter = told_apart(filter, at);
            }
        }
    }

    fn after(&mut self, part: &mut Expr) {
        self.within -= usize::from(gathers(part));
        let Expr::Subquery(query) = part else { return };
        if self.within == 0 {
            return;
        }
        let text = query.to_string();
        if !self.named {
            self.texts.insert(text);
        } else if let Some(at) = self.texts.iter().position(|known| *known == text) {
            name(query, &format!("asked${at}"));
        }
    }
}

fn asks(part: &Expr) -> bool {
    matches!(part, Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. })
}

/// The condition with a truth beside it that no other one has.
fn told_apart(condition: &Expr, at: usize) -> Expr {
    let number = || Box::new(Expr::value(Value::Number(at.to_string(), false)));
    Expr::BinaryOp {
        left: Box::new(Expr::Nested(Box::new(condition.clone()))),
        op: BinaryOperator::And,
        right: Box::new(Expr::BinaryOp {
            left: number(),
            op: BinaryOperator::Eq,
            right: number(),
        }),
    }
}

/// Gives the one column of a query a name, if it has none that its order may go by.
fn name(query: &mut Query, name: &str) {
    if query.order_by.is_some() {
        return;
    }
    if let SetExpr::Select(select) = query.body.as_mut()
        && let [item] = select.projection.as_mut_slice()
        && let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
    {
        *item = SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: Ident::with_quote('"', name),
        };
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{AROUND, Lake};

    // Goal: queries in aggregates and windows do not get in one another's way. Method: two of one name, twice the same, and conditions of
    // FILTER, with PostgreSQL's answers.
    #[tokio::test]
    async fn each_has_a_name() {
        let lake = Lake::new();
        for (sql, rows) in [
            (
                "SELECT max((SELECT max(x) FROM u WHERE u.k = t.k)), max((SELECT max(x) FROM u WHERE u.id = t.id)) FROM t",
                vec!["6,9"],
            ),
            (
                "SELECT count(*) FILTER (WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k)), count(*) FILTER (WHERE EXISTS (SELECT 1 FROM u WHERE u.id = t.k)) FROM t",
                vec!["5,6"],
            ),
            (
                "SELECT sum((SELECT count(*) FROM u WHERE u.k = t.k)), sum((SELECT count(*) FROM u WHERE u.k = t.k)) + max((SELECT count(*) FROM u WHERE u.id = t.n)) FROM t",
                vec!["11,12"],
            ),
            (
                "SELECT g, sum((SELECT count(*) FROM u WHERE u.k = t.k)) FROM t GROUP BY g HAVING sum((SELECT count(*) FROM u WHERE u.k = t.k)) > 2 AND max((SELECT count(*) FROM u WHERE u.id = t.id)) = 1",
                vec!["a,6", "b,4"],
            ),
            (
                "SELECT id, sum((SELECT count(*) FROM u WHERE u.k = t.k)) OVER (PARTITION BY g), sum((SELECT count(*) FROM u WHERE u.id = t.n)) OVER (PARTITION BY g) FROM t",
                vec!["1,6,0", "2,6,0", "3,4,2", "4,4,2", "5,1,1", "6,0,1", "7,0,1"],
            ),
        ] {
            assert_eq!(lake.lines(&format!("{AROUND} {sql}")).await, rows, "{sql}");
        }
    }
}
