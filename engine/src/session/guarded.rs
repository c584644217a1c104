//! Conditions that keep others from failing: `n <> 0 AND 10 / n > 2`. DataFusion 55.2 looks at the second also where the first one is
//! false, unless few rows pass, and makes such conditions of a `CASE` with truths; a division by zero, or a text that is no number, would
//! end a statement that is right. So would one in `sum(10 / n) FILTER (WHERE n <> 0)`, of which it computes the argument for all rows.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, Cast};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, lit};

use crate::functions::quotient;

/// Branches of a `CASE` from which on the optimizer leaves it as it is.
const BRANCHES_KEPT: usize = 3;

/// Functions that fail for some texts and numbers.
const FAILING: &[&str] = &[
    "arrow_cast",
    "pg_int2",
    "pg_int4",
    "pg_int8",
    "pg_json",
    "pg_jsonb",
    "pg_numeric",
    "pg_to_date",
    "pg_to_timestamp",
    "pg_uuid",
    "to_date",
    "to_timestamp",
];

/// Functions that fail where whole numbers grow too large, as the operators of which they are the names do.
const OVERFLOWING: &[&str] = &["pg_int_minus", "pg_int_plus", "pg_int_times"];

/// Puts the second of two conditions into a `CASE` if it could fail where the first one decides.
pub(super) fn guard(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if matches!(op, Operator::And | Operator::Or) => {
            let parts = match op {
                Operator::And => split_conjunction_owned(*right),
                _ => vec![*right],
            };
            let fails = |part: &Expr| could_fail(part, schema) && !has_query(part) && !joins(part);
            let guard = match parts.iter().any(fails) {
                true => first(&left, op),
                false => None,
            };
            let changed = guard.is_some();
            let guarded = parts.into_iter().map(|part| match &guard {
                Some(guard) if fails(&part) => behind(guard, op, part),
                _ => part,
            });
            let right = guarded
                .reduce(|all, part| binary(all, op, part))
                .unwrap_or_else(|| lit(true));
            Ok(Transformed::new_transformed(binary(*left, op, right), changed))
        }
        Expr::Case(case) => {
            let Case {
                expr,
                mut when_then_expr,
                else_expr,
            } = case;
            let fails = |part: &Expr| could_fail(part, schema) || could_overflow(part, schema);
            let changed = expr.is_none()
                && when_then_expr.len() < BRANCHES_KEPT
                && when_then_expr
                    .first()
                    .is_some_and(|(_, then)| matches!(then.get_type(schema), Ok(DataType::Boolean)))
                && (when_then_expr.iter().any(|(_, then)| fails(then))
                    || else_expr.as_ref().is_some_and(|other| fails(other)));
            if changed && let Some((last, _)) = when_then_expr.last().cloned() {
                let other = else_expr
                    .clone()
                    .unwrap_or_else(|| Box::new(lit(ScalarValue::Boolean(None))));
                // What is left when the last branch is not taken, said in full.
                when_then_expr.push((Box::new(Expr::IsFalse(last.clone())), other.clone()));
                when_then_expr.push((Box::new(Expr::IsUnknown(last)), other));
            }
            let case = Expr::Case(Case::new(expr, when_then_expr, else_expr));
            Ok(Transformed::new_transformed(case, changed))
        }
        Expr::AggregateFunction(mut aggregate) => {
            let params = &mut aggregate.params;
            // Distinct values are sorted by nothing but themselves: keys have to stay the arguments that they are.
            let keys = params.order_by.iter_mut().map(|key| &mut key.expr);
            let changed = of_filtered(params.args.iter_mut().chain(keys), params.filter.as_deref(), schema)?;
            Ok(Transformed::new_transformed(
                Expr::AggregateFunction(aggregate),
                changed,
            ))
        }
        Expr::WindowFunction(mut window) => {
            let params = &mut window.params;
            let changed = of_filtered(params.args.iter_mut(), params.filter.as_deref(), schema)?;
            Ok(Transformed::new_transformed(Expr::WindowFunction(window), changed))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

/// Lets the arguments of an aggregate that could fail, and what it sorts them by, be computed of the rows that its filter lets pass.
fn of_filtered<'a>(
    arguments: impl Iterator<Item = &'a mut Expr>,
    filter: Option<&Expr>,
    schema: &DFSchema,
) -> Result<bool> {
    let Some(filter) = filter.filter(|filter| !has_query(filter) && !filter.is_volatile()) else {
        return Ok(false);
    };
    let mut changed = false;
    for argument in arguments {
        if could_fail(argument, schema) && !has_query(argument) {
            let branch = (Box::new(filter.clone()), Box::new(argument.clone()));
            let case = Expr::Case(Case::new(None, vec![branch], None));
            *argument = guard(case, schema)?.data;
            changed = true;
        }
    }
    Ok(changed)
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr {
        left: Box::new(left),
        op,
        right: Box::new(right),
    })
}

/// The condition where the guard does not decide.
fn behind(guard: &Expr, op: Operator, part: Expr) -> Expr {
    let when = |is: fn(Box<Expr>) -> Expr| Box::new(is(Box::new(guard.clone())));
    let unknown = Box::new(binary(guard.clone(), op, part.clone()));
    let (decides, goes_on) = match op {
        Operator::And => (when(Expr::IsFalse), when(Expr::IsTrue)),
        _ => (when(Expr::IsTrue), when(Expr::IsFalse)),
    };
    let branches = vec![
        (decides, Box::new(lit(op != Operator::And))),
        (goes_on, Box::new(part)),
        (when(Expr::IsUnknown), unknown),
    ];
    Expr::Case(Case::new(None, branches, None))
}

/// Whether a condition compares columns of one table with those of another: tables are joined by it.
fn joins(part: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = part
    else {
        return false;
    };
    let tables = |side: &Expr| -> BTreeSet<Option<String>> {
        let columns = side.column_refs().into_iter();
        columns
            .map(|column| column.relation.as_ref().map(ToString::to_string))
            .collect()
    };
    let (left, right) = (tables(left), tables(right));
    !left.is_empty() && !right.is_empty() && left.is_disjoint(&right)
}

/// What may be asked twice of what stands before a condition.
fn first(left: &Expr, op: Operator) -> Option<Expr> {
    let asked_twice = |part: &Expr| !has_query(part) && !part.is_volatile();
    match op {
        Operator::And => {
            let parts = split_conjunction_owned(left.clone());
            conjunction(parts.into_iter().filter(asked_twice))
        }
        _ => asked_twice(left).then(|| left.clone()),
    }
}

fn has_query(expr: &Expr) -> bool {
    let query = |part: &Expr| {
        Ok(matches!(
            part,
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
        ))
    };
    expr.exists(query).unwrap_or(true)
}

/// Whether the expression fails for some values. Its own branches and guarded conditions are looked at too.
fn could_fail(expr: &Expr, schema: &DFSchema) -> bool {
    let mut found = false;
    let looked = expr.apply(|part| {
        found |= fails(part, schema);
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    });
    found || looked.is_err()
}

/// Whether whole numbers could grow too large in it. Few do, and a `CASE` around each condition that adds two would cost more than it
/// gives: only what a `CASE` guards already is asked.
fn could_overflow(expr: &Expr, schema: &DFSchema) -> bool {
    let whole = |side: &Expr| side.get_type(schema).is_ok_and(|of| of.is_integer());
    let overflows = |part: &Expr| {
        Ok(match part {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Plus | Operator::Minus | Operator::Multiply,
                right,
            }) => whole(left) && whole(right),
            Expr::ScalarFunction(function) => OVERFLOWING.contains(&function.name()),
            _ => false,
        })
    };
    expr.exists(overflows).unwrap_or(true)
}

fn fails(part: &Expr, schema: &DFSchema) -> bool {
    match part {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Divide | Operator::Modulo,
            right,
        }) => {
            let floats = |side: &Expr| side.get_type(schema).is_ok_and(|of| of.is_floating());
            !matches!(right.as_ref(), Expr::Literal(..)) && !floats(left) && !floats(right)
        }
        Expr::Cast(Cast { expr, field }) => {
            let of_text = expr.get_type(schema).is_ok_and(|of| of.is_string());
            of_text && !field.data_type().is_string() && !matches!(expr.as_ref(), Expr::Literal(..))
        }
        Expr::ScalarFunction(function) if function.name() == quotient::NAME => {
            !matches!(function.args.get(1), Some(Expr::Literal(..)))
        }
        Expr::ScalarFunction(function) => {
            let literals = function
                .args
                .iter()
                .all(|argument| matches!(argument, Expr::Literal(..)));
            !literals && FAILING.contains(&function.name())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: a condition is not looked at where the one before it decides. Method: divisions by zero and texts that are no numbers
    // behind what excludes them, in each form, where most rows pass.
    #[tokio::test]
    async fn a_guard_guards() {
        let lake = Lake::new();
        let rows = "FROM (VALUES (1, 0, 'x'), (2, 4, '4'), (3, 5, '5'), (4, NULL, NULL), (5, 6, '6'), (6, 7, '7')) AS v (id, n, t)";
        for (condition, wanted) in [
            ("n <> 0 AND 20 / n > 3", vec!["2", "3"]),
            ("n = 0 OR 20 / n > 4", vec!["1", "2"]),
            ("CASE WHEN n <> 0 THEN 20 / n > 4 ELSE false END", vec!["2"]),
            ("CASE WHEN n = 0 THEN false ELSE 20 % n = 0 END", vec!["2", "3"]),
            ("t <> 'x' AND CAST(t AS int) > 5", vec!["5", "6"]),
            ("id > 0 AND n <> 0 AND (id = 9 OR 20 / n > 4)", vec!["2"]),
            ("NOT (n = 0 OR 20 / n > 4)", vec!["3", "5", "6"]),
            (
                "id IN (SELECT 2 UNION ALL SELECT 1) AND n <> 0 AND 20 / n > 4",
                vec!["2"],
            ),
        ] {
            let sql = format!("SELECT id {rows} WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, wanted, "{condition}");
        }
        // What would overflow for 7 is asked for less.
        let large = "CASE WHEN n < 7 THEN n + 9223372036854775801 > 0 ELSE false END";
        let sql = format!("SELECT id {rows} WHERE {large}");
        assert_eq!(lake.lines(&sql).await, ["1", "2", "3", "5"]);
        for (aggregate, wanted) in [
            ("sum(20 / n) FILTER (WHERE n <> 0)", "14"),
            ("count(DISTINCT 20 / n) FILTER (WHERE n <> 0)", "4"),
            ("bool_or(20 / n > 4) FILTER (WHERE n <> 0)", "true"),
            ("max(CAST(t AS int)) FILTER (WHERE t <> 'x')", "7"),
            (
                "array_to_string(array_agg(DISTINCT CAST(t AS int) ORDER BY CAST(t AS int)) FILTER (WHERE t <> 'x'), '-')",
                "4-5-6-7",
            ),
            ("string_agg(t, '' ORDER BY 20 / n) FILTER (WHERE n <> 0)", "7654"),
        ] {
            let sql = format!("SELECT {aggregate} {rows} GROUP BY id > 0");
            assert_eq!(lake.lines(&sql).await, [wanted], "{aggregate}");
        }
        let window = format!("SELECT id, sum(20 / n) FILTER (WHERE n <> 0) OVER (ORDER BY id) AS s {rows}");
        let sql = format!("SELECT s FROM ({window}) AS w WHERE id > 4");
        assert_eq!(lake.lines(&sql).await, ["12", "14"]);
        let values = format!("SELECT n <> 0 AND 20 / n > 4 {rows}");
        assert_eq!(
            lake.lines(&values).await,
            ["", "false", "false", "false", "false", "true"]
        );
    }
}
