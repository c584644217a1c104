//! Forms of SQL that the planner takes and answers with other rows than they mean. They are refused, or written as what they mean.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, SetExpr,
    Statement, VisitMut, VisitorMut, visit_expressions_mut,
};

use crate::error::{EngineError, Result};

/// Functions that make one document of rows.
const GATHER_DOCUMENTS: [&str; 4] = ["json_agg", "json_object_agg", "jsonb_agg", "jsonb_object_agg"];

/// `= ANY (SELECT …)` is `IN`, `<> ALL (SELECT …)` is `NOT IN`. Before what is known of these two.
pub(super) fn as_members(statement: &mut Statement) {
    let _: ControlFlow<()> = visit_expressions_mut(statement, |expr| {
        let (value, rows, negated) = match expr {
            Expr::AnyOp {
                left,
                compare_op: BinaryOperator::Eq,
                right,
                ..
            } => (left, right, false),
            Expr::AllOp {
                left,
                compare_op: BinaryOperator::NotEq,
                right,
            } => (left, right, true),
            _ => return ControlFlow::Continue(()),
        };
        if let Expr::Subquery(query) = rows.as_ref() {
            *expr = Expr::InSubquery {
                expr: value.clone(),
                subquery: query.clone(),
                negated,
            };
        }
        ControlFlow::<()>::Continue(())
    });
}

/// What still compares with all rows of a query, or joins fully by names, is refused.
pub(super) fn refuse(statement: &mut Statement) -> Result<()> {
    // Again: some are written for other forms meanwhile.
    as_members(statement);
    let mut forms = Forms { refused: None };
    let _: ControlFlow<()> = statement.visit(&mut forms);
    match forms.refused {
        None => Ok(()),
        Some(what) => Err(EngineError::Query {
            source: Box::new(DataFusionError::NotImplemented(what.to_owned())),
        }),
    }
}

struct Forms {
    refused: Option<&'static str>,
}

impl Forms {
    fn body(&mut self, body: &SetExpr) {
        match body {
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            SetExpr::Select(select) => {
                let joins = select.from.iter().flat_map(|from| &from.joins);
                for join in joins {
                    if let JoinOperator::FullOuter(named) | JoinOperator::Right(named) | JoinOperator::RightOuter(named) =
                        &join.join_operator
                        && matches!(named, JoinConstraint::Using(_) | JoinConstraint::Natural)
                    {
                        // Its column would be the left one, which is null where only the right one is there.
                        self.refused = Some(
                            "a FULL or RIGHT JOIN with USING of more than two tables or with *, or NATURAL: write ON, and coalesce the columns",
                        );
                    }
                }
            }
            _ => {}
        }
    }
}

impl VisitorMut for Forms {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.body(&query.body);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let rows = match expr {
            Expr::InSubquery { expr: row, .. } if matches!(row.as_ref(), Expr::Tuple(_)) => {
                self.refused = Some("looking for a row among those of a query outside of WHERE: look there");
                return ControlFlow::Continue(());
            }
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => right,
            Expr::Function(Function {
                name, over: Some(_), ..
            }) if gathers_documents(name) => {
                self.refused =
                    Some("making one document of the rows of a window: gather them with GROUP BY, or with array_agg");
                return ControlFlow::Continue(());
            }
            _ => return ControlFlow::Continue(()),
        };
        if let Expr::Subquery(_) = rows.as_ref() {
            // Its left side is looked up among the query's own columns, if one of them has that name.
            self.refused = Some(
                "comparing with ANY or ALL rows of a query other than as a condition, by itself, behind NOT or beside AND and OR: compare so, or with its min or max",
            );
        }
        ControlFlow::Continue(())
    }
}

/// Whether it is a function that makes one document of rows: those of groups are made otherwise before.
fn gathers_documents(name: &ObjectName) -> bool {
    let last = name.0.last().and_then(ObjectNamePart::as_ident);
    last.is_some_and(|last| GATHER_DOCUMENTS.contains(&last.value.to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::Lake;
    use crate::{Class, SessionOptions};

    // Goal: what would answer with other rows than it means is refused, and what is near it is not. Method: each form, and its
    // neighbours with the rows they must have, over columns of one name.
    #[tokio::test]
    async fn forms_are_told_apart() {
        let lake = Lake::new();
        let session = lake.engine.session(Class::Interactive, &SessionOptions::default());
        let (a, b) = ("(VALUES (1), (2), (2), (3)) AS a (x)", "(VALUES (2), (3)) AS b (x)");
        for sql in [
            format!("SELECT x >= ALL (SELECT x FROM {b}) FROM {a}"),
            format!("SELECT (x < ANY (SELECT x FROM {b})) IS NULL FROM {a}"),
            format!("SELECT (x, 1, 2) IN (SELECT x, 1, 2 FROM {b}) FROM {a}"),
            format!("SELECT jsonb_agg(x) OVER (ORDER BY x) FROM {a}"),
            format!("SELECT * FROM {a} FULL JOIN {b} USING (x)"),
            format!("SELECT x FROM {a} NATURAL FULL JOIN {b}"),
        ] {
            let refused = lake.engine.plan(&session, &sql).await.expect_err(&sql);
            assert_eq!(refused.code(), "ENG-0004", "{sql}");
        }
        for (sql, rows) in [
            (format!("SELECT x FROM {a} EXCEPT SELECT x FROM {b}"), vec!["1"]),
            (
                format!("SELECT x FROM {a} WHERE x <> ALL (SELECT x FROM {b} UNION SELECT NULL) OR x = 3"),
                vec!["3"],
            ),
            (
                format!(
                    "SELECT x FROM {a} WHERE NOT (x > 1 AND x = ANY (SELECT NULL::bigint UNION SELECT x FROM {b}))"
                ),
                vec!["1"],
            ),
            (
                format!("SELECT x <> ALL (SELECT x FROM {b}) FROM {a}"),
                vec!["false", "false", "false", "true"],
            ),
            (
                format!("SELECT x FROM {a} WHERE x = ANY (SELECT x FROM {b})"),
                vec!["2", "2", "3"],
            ),
            (
                format!("SELECT x FROM {a} WHERE x <> ALL (SELECT x FROM {b})"),
                vec!["1"],
            ),
            (
                format!("SELECT a.x FROM {a} FULL JOIN {b} ON a.x = b.x"),
                vec!["1", "2", "2", "3"],
            ),
        ] {
            assert_eq!(lake.lines(&sql).await, rows, "{sql}");
        }
    }
}
