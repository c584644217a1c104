//! Casts of which only the whole plan tells what they cast: values of parameters, which come when a plan is there already, and what the
//! analyzer adds or gives another type. The query engine would fold or run them as they are: cut off what is behind a point, and take the
//! lowest bits of decimals of 256 bits.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::called::as_called;
use super::rounded;
use crate::functions::wide;

/// Rounds what such casts are given, and brings wide decimals to fewer bits step by step.
#[derive(Debug)]
pub(super) struct LateCasts;

impl OptimizerRule for LateCasts {
    fn name(&self) -> &str {
        "late_casts"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !has_such(&plan)? {
            return Ok(Transformed::no(plan));
        }
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        let mut change = |expr: Expr| {
            expr.transform_up(|expr| narrowed(expr, &schema).transform_data(|expr| rounded_late(expr, &schema)))
        };
        let rewritten = plan.map_expressions(|expr| as_called(expr, &names, &mut change))?;
        // What is said of a column that is cast is not said of one that is rounded.
        match rewritten.transformed {
            true => rewritten.map_data(LogicalPlan::recompute_schema),
            false => Ok(rewritten),
        }
    }
}

/// Most plans have none, and are not taken apart.
fn has_such(plan: &LogicalPlan) -> Result<bool> {
    let such = |part: &Expr| {
        let kind = match part {
            Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => field.data_type(),
            _ => return Ok(false),
        };
        Ok(kind.is_integer() || kind.is_decimal() || kind.is_nested())
    };
    let mut found = false;
    plan.apply_expressions(|expr| {
        found |= expr.exists(such)?;
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

/// A cast of a wide decimal to fewer bits, through the types between.
fn narrowed(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let steps = |value: &Expr, to: &DataType| match to.is_decimal() {
        true => value
            .get_type(schema)
            .map(|of| wide::steps(&of, to))
            .unwrap_or_default(),
        false => Vec::new(),
    };
    match expr {
        Expr::Cast(Cast { expr, field }) => {
            let steps = steps(&expr, field.data_type());
            let changed = !steps.is_empty();
            let value = steps
                .into_iter()
                .fold(expr, |value, step| Box::new(Expr::Cast(Cast::new(value, step))));
            Transformed::new_transformed(Expr::Cast(Cast::new_from_field(value, field)), changed)
        }
        Expr::TryCast(TryCast { expr, field }) => {
            let steps = steps(&expr, field.data_type());
            let changed = !steps.is_empty();
            let value = steps
                .into_iter()
                .fold(expr, |value, step| Box::new(Expr::TryCast(TryCast::new(value, step))));
            Transformed::new_transformed(Expr::TryCast(TryCast::new_from_field(value, field)), changed)
        }
        expr => Transformed::no(expr),
    }
}

/// Only of literals and decimals: what else the engine's own rules cast to whole numbers is meant so.
fn rounded_late(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let late = match &expr {
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => {
            matches!(expr.as_ref(), Expr::Literal(..)) || expr.get_type(schema).is_ok_and(|of| of.is_decimal())
        }
        _ => false,
    };
    match late {
        true => rounded::cast_of_value(expr, schema),
        false => Ok(Transformed::no(expr)),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::i256;
    use datafusion::common::ScalarValue;
    use datafusion::physical_plan::collect;

    use super::*;
    use crate::testing::{Lake, lines};

    async fn bound(lake: &Lake, sql: &str, value: ScalarValue) -> Result<Vec<String>> {
        let session = lake.session();
        let plan = lake.engine.plan(&session, sql).await.expect(sql);
        let plan = plan.with_param_values(vec![value])?;
        let plan = session.state().create_physical_plan(&plan).await?;
        Ok(lines(&collect(plan, session.task_ctx()).await?))
    }

    // Goal: a value that is bound is cast as one that is written. Method: decimals of both widths and floating-point numbers, that round
    // and that are too large, also by more than their lowest bits tell.
    #[tokio::test]
    async fn bound_values_are_cast_like_others() {
        let lake = Lake::new();
        let decimal = |value: i128, scale| ScalarValue::Decimal128(Some(value), 38, scale);
        let wide = |value: i128, scale| ScalarValue::Decimal256(Some(i256::from_i128(value)), 76, scale);
        for (sql, value, wanted) in [
            ("SELECT CAST($1 AS int)", decimal(25, 1), "3"),
            ("SELECT CAST($1 AS int)", wide(-25, 1), "-3"),
            ("SELECT CAST($1 AS int)", ScalarValue::Float64(Some(2.5)), "2"),
            ("SELECT CAST($1 AS int)", ScalarValue::Float64(Some(3.5)), "4"),
            (
                "SELECT CAST($1 AS bigint)",
                wide(i64::MIN.into(), 0),
                "-9223372036854775808",
            ),
            ("SELECT TRY_CAST($1 AS bigint)", wide(1 << 64, 0), ""),
            (
                "SELECT CAST($1 AS decimal(38, 1))",
                wide(1 << 64, 0),
                "18446744073709551616.0",
            ),
            (
                "SELECT CAST($1 AS bigint) FROM (VALUES (1)) AS v (x) WHERE x < $1",
                wide(7, 0),
                "7",
            ),
        ] {
            let found = bound(&lake, sql, value.clone()).await.expect(sql);
            assert_eq!(found, [wanted], "{sql} {value}");
        }
        for value in [
            decimal(1 << 64, 0),
            wide(1 << 64, 0),
            wide(10_i128.pow(38), 0),
            wide(10 << 64, 1),
        ] {
            let found = bound(&lake, "SELECT CAST($1 AS bigint)", value.clone()).await;
            assert!(found.is_err(), "{value}: {found:?}");
        }
    }
}
