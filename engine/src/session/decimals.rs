//! Numbers with decimals beside decimal columns. The planner reads `1234567.89` as a floating-point number, and turns the column
//! into one to compare them: then rows are missed whose number no floating-point number is.

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};

/// Reads such numbers as the decimal numbers that they are written as, wherever they are compared with a decimal number.
pub(super) fn exact(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(exact_node)?.data)
}

fn exact_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(
            scan.table_name.clone(),
            &scan.source.schema(),
        )?);
    }
    let names = NamePreserver::new(&plan);
    let rewritten = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| compared(expr, &schema))?;
        Ok(expr.update_data(|expr| name.restore(expr)))
    })?;
    rewritten.map_data(LogicalPlan::recompute_schema)
}

fn compared(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
            let (mut left, mut right, mut changed) = (left, right, false);
            if let Some(found) = decimal(&right, &left, schema) {
                (*right, changed) = (found, true);
            } else if let Some(found) = decimal(&left, &right, schema) {
                (*left, changed) = (found, true);
            }
            let expr = Expr::BinaryExpr(BinaryExpr { left, op, right });
            Ok(if changed {
                Transformed::yes(expr)
            } else {
                Transformed::no(expr)
            })
        }
        Expr::Between(Between {
            expr,
            negated,
            mut low,
            mut high,
        }) => {
            let mut changed = false;
            for bound in [&mut low, &mut high] {
                if let Some(found) = decimal(bound, &expr, schema) {
                    (**bound, changed) = (found, true);
                }
            }
            let between = Expr::Between(Between {
                expr,
                negated,
                low,
                high,
            });
            Ok(if changed {
                Transformed::yes(between)
            } else {
                Transformed::no(between)
            })
        }
        Expr::InList(InList {
            expr,
            mut list,
            negated,
        }) => {
            let mut changed = false;
            for value in &mut list {
                if let Some(found) = decimal(value, &expr, schema) {
                    (*value, changed) = (found, true);
                }
            }
            let list = Expr::InList(InList { expr, list, negated });
            Ok(if changed {
                Transformed::yes(list)
            } else {
                Transformed::no(list)
            })
        }
        expr => Ok(Transformed::no(expr)),
    }
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        op,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

/// A floating-point literal as the decimal number it was written as, if it stands beside a decimal number.
fn decimal(literal: &Expr, beside: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Expr::Literal(ScalarValue::Float64(Some(value)), metadata) = literal else {
        return None;
    };
    // Literals on both sides are no one's column.
    if matches!(beside, Expr::Literal(..)) {
        return None;
    }
    let DataType::Decimal128(precision, scale) = beside.get_type(schema).ok()? else {
        return None;
    };
    let value = read(*value, precision, scale)?;
    Some(Expr::Literal(value, metadata.clone()))
}

/// The shortest decimal number that means this floating-point number: the one that was written, up to fifteen digits. Of the
/// column's type where it has no more digits behind the point, so that the column is compared as it is.
fn read(value: f64, precision: u8, scale: i8) -> Option<ScalarValue> {
    let text = value.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let own = i8::try_from(fraction.len()).ok()?;
    let wanted = own.max(scale);
    let factor = 10_i128.checked_pow(u32::try_from(wanted - own).ok()?)?;
    let unscaled = digits.checked_mul(factor)?;
    let length = u8::try_from(unscaled.unsigned_abs().to_string().len()).ok()?;
    let needed = length.max(u8::try_from(wanted).ok()?).max(1);
    if needed > DECIMAL128_MAX_PRECISION {
        return None;
    }
    let precision = if wanted == scale { precision.max(needed) } else { needed };
    Some(ScalarValue::Decimal128(Some(unscaled), precision, wanted))
}

#[cfg(test)]
mod tests;
