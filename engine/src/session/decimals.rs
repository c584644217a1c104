//! Numbers with decimals beside decimal columns, and quotients of decimals. The planner reads `1234567.89` as a floating-point number, and turns the column
//! into one to compare them: then rows are missed whose number no floating-point number is.

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, Cast, InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};

use super::called::as_called;
use super::{floats, guarded, instants, rounded};
use crate::functions::quotient::{self, MORE_DIGITS, digits};

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
    let mut change = |expr: Expr| {
        expr.transform_up(|expr| {
            compared(expr, &schema)?
                .transform_data(|expr| instants::beside(expr, &schema))?
                .transform_data(|expr| Ok(floats::beside(expr, &schema)))?
                .transform_data(|expr| rounded::cast(expr, &schema))?
                .transform_data(|expr| guarded::guard(expr, &schema))
        })
    };
    let rewritten = plan.map_expressions(|expr| as_called(expr, &names, &mut change))?;
    rewritten
        .map_data(LogicalPlan::recompute_schema)?
        .transform_data(floats::united)
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
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Divide,
            right,
        }) => {
            if !is_of_decimals(&left, &right, schema) {
                let op = Operator::Divide;
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            }
            let dividend = dividend(&left, &right, schema).unwrap_or(*left);
            let rounded = ScalarFunction::new_udf(quotient::function(), vec![dividend, *right]);
            Ok(Transformed::yes(Expr::ScalarFunction(rounded)))
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

/// Digits behind the point that a quotient should have: three of them can be multiplied and still fit a decimal number.
const QUOTIENT_SCALE: i8 = 12;

/// Whether a quotient is a decimal: of two decimals, or of one and a whole number.
fn is_of_decimals(left: &Expr, right: &Expr, schema: &DFSchema) -> bool {
    let (Ok(given), Ok(by)) = (left.get_type(schema), right.get_type(schema)) else {
        return false;
    };
    let decimal = |kind: &DataType| matches!(kind, DataType::Decimal128(..));
    (decimal(&given) || decimal(&by)) && digits(&given).is_some() && digits(&by).is_some()
}

/// The dividend with so many digits that its quotient has [`QUOTIENT_SCALE`] behind the point, or as many as surely fit; `None`
/// where it has them already.
fn dividend(left: &Expr, right: &Expr, schema: &DFSchema) -> Option<Expr> {
    let (given, by) = (left.get_type(schema).ok()?, right.get_type(schema).ok()?);
    let ((precision, scale), (_, by_scale)) = (digits(&given)?, digits(&by)?);
    let whole = i8::try_from(precision).ok()?.checked_sub(scale)?;
    let room = i8::try_from(DECIMAL128_MAX_PRECISION).ok()? - MORE_DIGITS - by_scale - whole;
    let wanted = room.min(QUOTIENT_SCALE - MORE_DIGITS);
    if wanted <= scale {
        return None;
    }
    let widened = DataType::Decimal128(u8::try_from(whole + wanted).ok()?, wanted);
    Some(Expr::Cast(Cast::new(Box::new(left.clone()), widened)))
}

pub(super) fn compares(op: Operator) -> bool {
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
