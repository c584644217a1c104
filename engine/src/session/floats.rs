//! Floating-point numbers beside decimal numbers. The planner compares both as decimals, which have no room for large numbers, NaN and
//! infinities, and makes decimals of what may be either (`CASE`, `coalesce`, `UNION`); in SQL both are floating-point numbers.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, Union};

use super::beside::aligned;
use super::{decimals, widened};

/// Functions whose arguments are of one type, which is also that of what they give.
const CHOICES: &[&str] = &["coalesce", "nvl", "ifnull", "greatest", "least", "make_array"];

/// Reads decimal numbers as floating-point ones where such a number stands beside them.
pub(super) fn beside(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let of = |op| decimals::compares(op) || reckons(op);
    match expr {
        Expr::Case(mut case) => {
            let results = case.when_then_expr.iter_mut().map(|(_, then)| then.as_mut());
            let mut results: Vec<&mut Expr> = results.chain(case.else_expr.as_deref_mut()).collect();
            let chosen = has_float(&results, schema) && align(&mut results, schema);
            let compared = case.expr.as_deref_mut().is_some_and(|base| {
                let whens = case.when_then_expr.iter_mut().map(|(when, _)| when.as_mut());
                align(&mut std::iter::once(base).chain(whens).collect::<Vec<_>>(), schema)
            });
            Transformed::new_transformed(Expr::Case(case), chosen || compared)
        }
        Expr::ScalarFunction(mut function) if is_choice(function.name(), &function.args, schema) => {
            let mut sides: Vec<&mut Expr> = function.args.iter_mut().collect();
            let changed = has_float(&sides, schema) && align(&mut sides, schema);
            Transformed::new_transformed(Expr::ScalarFunction(function), changed)
        }
        expr => aligned(expr, of, |sides| align(sides, schema)),
    }
}

/// What `nullif` gives is of the type of its first argument.
fn is_choice(name: &str, arguments: &[Expr], schema: &DFSchema) -> bool {
    let first = arguments.first().and_then(|first| first.get_type(schema).ok());
    CHOICES.contains(&name) || (name == "nullif" && first.is_some_and(|first| first.is_floating()))
}

/// Whether one of these is a floating-point number, and not only written as the planner reads decimal numbers.
fn has_float(sides: &[&mut Expr], schema: &DFSchema) -> bool {
    let mut sides = sides.iter();
    sides.any(|side| !is_written(side) && side.get_type(schema).is_ok_and(|of| of.is_floating()))
}

fn is_written(expr: &Expr) -> bool {
    match expr {
        Expr::Negative(inner) => is_written(inner),
        Expr::Alias(alias) => is_written(&alias.expr),
        expr => matches!(expr, Expr::Literal(..)),
    }
}

/// The parts of a union with floating-point numbers in the columns in which one of them has them and another one decimals.
pub(super) fn united(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Union(union) = plan else {
        return Ok(Transformed::no(plan));
    };
    let count = union.schema.fields().len();
    let wanted: Vec<Option<DataType>> = (0..count).map(|at| mixed(&union.inputs, at)).collect();
    if wanted.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let parts = union.inputs.into_iter().map(|part| widened::rows(part, &wanted));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(
        parts,
    )?)))
}

fn mixed(parts: &[Arc<LogicalPlan>], at: usize) -> Option<DataType> {
    let types = || {
        let fields = parts
            .iter()
            .filter_map(move |part| Some((part, part.schema().fields().get(at)?)));
        fields.map(|(part, field)| (part, field.data_type()))
    };
    let written = |part: &LogicalPlan| match part {
        LogicalPlan::Projection(projection) => projection.expr.get(at).is_some_and(is_written),
        _ => false,
    };
    let float = types().any(|(part, of)| of.is_floating() && !written(part.as_ref()));
    (float && types().any(|(_, of)| of.is_decimal())).then_some(DataType::Float64)
}

fn reckons(op: Operator) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}

fn align(sides: &mut [&mut Expr], schema: &DFSchema) -> bool {
    let types: Vec<Option<DataType>> = sides.iter().map(|side| side.get_type(schema).ok()).collect();
    let is_decimal = |of: &DataType| matches!(of, DataType::Decimal128(..) | DataType::Decimal256(..));
    let floats = types.iter().flatten().any(DataType::is_floating);
    if !floats || !types.iter().flatten().any(is_decimal) {
        return false;
    }
    for (side, of) in sides.iter_mut().zip(&types) {
        if of.as_ref().is_some_and(|of| is_decimal(of) || *of == DataType::Float32) {
            let number = std::mem::take(*side);
            **side = Expr::Cast(Cast::new(Box::new(number), DataType::Float64));
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: what is a floating-point number or a decimal is a floating-point number, and decimals beside written numbers stay decimals. Method:
    // numbers that no decimal is in all places of such a choice; a decimal column beside a number that the planner reads as a float.
    #[tokio::test]
    async fn choices_are_floating_point_numbers() {
        let lake = Lake::new();
        let half = "CAST(0.5 AS decimal(3, 1))";
        let rows = format!(
            "FROM (SELECT CAST(x AS double) AS f, {half} AS d FROM (VALUES ('NaN'), ('1e-20'), ('1e300')) AS v (x)) AS q"
        );
        for select in [
            "CASE WHEN d > 9 THEN d ELSE f END".to_owned(),
            "CASE WHEN d < 9 THEN f ELSE d END".to_owned(),
            format!("coalesce(f, {half})"),
            "coalesce(CAST(NULL AS decimal(3, 1)), f)".to_owned(),
            format!("nullif(f, {half})"),
            "make_array(f, d)[1]".to_owned(),
            format!("CASE f WHEN {half} THEN d ELSE f END"),
        ] {
            let found = lake.lines(&format!("SELECT {select} {rows}")).await;
            assert_eq!(found, ["1e-20", "1e300", "NaN"], "{select}");
        }
        for union in [
            format!("SELECT d AS x {rows} WHERE false UNION ALL SELECT f {rows}"),
            format!("SELECT f AS x {rows} UNION SELECT d {rows} WHERE false"),
        ] {
            assert_eq!(lake.lines(&union).await, ["1e-20", "1e300", "NaN"], "{union}");
        }
        for exact in ["coalesce(d, 0.0)", "CASE WHEN d > 0 THEN d ELSE -1.5 END"] {
            let type_of = format!("SELECT DISTINCT arrow_typeof({exact}) LIKE 'Decimal%' {rows}");
            assert_eq!(lake.lines(&type_of).await, ["true"], "{exact}");
        }
    }

    // Goal: floating-point numbers beside decimals are floating-point numbers. Method: those that no decimal is, in each place.
    #[tokio::test]
    async fn no_decimal_has_room_for_them() {
        let lake = Lake::new();
        let rows = "FROM (VALUES (CAST('NaN' AS double)), (1e300), (0.5)) AS v (f)";
        let half = "CAST(0.5 AS decimal(3, 1))";
        for (select, wanted) in [
            (format!("SELECT f > {half}"), ["false", "true", "true"]),
            (format!("SELECT f IN ({half})"), ["false", "false", "true"]),
            (
                format!("SELECT f BETWEEN {half} AND CAST(9 AS decimal(3, 1))"),
                ["false", "false", "true"],
            ),
            (format!("SELECT f * {half} = f / 2"), ["true", "true", "true"]),
        ] {
            assert_eq!(lake.lines(&format!("{select} {rows}")).await, wanted, "{select}");
        }
    }
}
