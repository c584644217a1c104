//! `ORDER BY … OFFSET n` without a limit: DataFusion 55.2 keeps no sort below a limit that only leaves rows out (`EnsureRequirements` takes it
//! away where its key is no column above, or puts one of further up in its place), and other rows are left out. Below one that ends it stays.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, LimitClause, Query, SetExpr, Statement, Value, VisitMut, VisitorMut};

/// More rows than there are, and few enough that those left out can be added: 2^62.
const ALL_ROWS: &str = "4611686018427387904";

/// Gives such queries a limit that none of them comes to.
pub(super) fn limited(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Queries);
}

struct Queries;

impl VisitorMut for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let sorted = query.order_by.is_some() || matches!(query.body.as_ref(), SetExpr::Query(_));
        if let Some(LimitClause::LimitOffset {
            limit,
            offset: Some(_),
            limit_by,
        }) = &mut query.limit_clause
            && sorted
            && query.fetch.is_none()
            && limit_by.is_empty()
            && limit.as_ref().is_none_or(is_null)
        {
            *limit = Some(Expr::value(Value::Number(ALL_ROWS.to_owned(), false)));
        }
        ControlFlow::Continue(())
    }
}

fn is_null(limit: &Expr) -> bool {
    matches!(limit, Expr::Value(value) if value.value == Value::Null)
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: rows that are left out are the first ones of the order, whatever stands above. Method: queries that leave rows out, alone and
    // within others, in an order by what they show and by what they do not.
    #[tokio::test]
    async fn first_rows_are_left_out() {
        let lake = Lake::new();
        let rows = "(VALUES (1, 9), (2, 3), (3, 7), (4, 1), (5, 5)) AS v (id, x)";
        for (sql, wanted) in [
            (
                format!("SELECT id FROM {rows} ORDER BY x OFFSET 2"),
                vec!["1", "3", "5"],
            ),
            (
                format!("SELECT sum(id) FROM (SELECT id FROM {rows} ORDER BY x DESC OFFSET 2) AS q"),
                vec!["11"],
            ),
            (
                format!("SELECT id FROM (SELECT id FROM {rows} ORDER BY id DESC OFFSET 3) AS q ORDER BY id"),
                vec!["1", "2"],
            ),
            (
                format!("SELECT id FROM {rows} WHERE id IN (SELECT id FROM {rows} ORDER BY x OFFSET 4)"),
                vec!["1"],
            ),
            (
                format!("WITH q AS (SELECT id FROM {rows} ORDER BY x LIMIT NULL OFFSET 3) SELECT max(id) FROM q"),
                vec!["3"],
            ),
            (
                format!("SELECT id FROM {rows} EXCEPT (SELECT id FROM {rows} ORDER BY x OFFSET 1)"),
                vec!["4"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        }
    }
}
