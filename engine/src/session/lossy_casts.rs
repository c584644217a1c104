//! Conditions that compare a cast which loses a part of its value (`ts::date > d`).
//!
//! DataFusion 55.2 reckons back from the bounds of the other side to those of the value that is cast, as if the cast lost nothing: the
//! bounds of `ts` then begin and end at midnight, may become wider than they were, and a condition that lets more rows pass than there are
//! is an internal error. Of what a function returns it knows no bounds.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Filter, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::decimals::compares;
use crate::functions::perhaps::function;

/// Hides such casts in a function. What a literal is compared with stays: its bounds can only become narrower, and files are left out by
/// them.
#[derive(Debug)]
pub(super) struct LossyCasts;

impl OptimizerRule for LossyCasts {
    fn name(&self) -> &str {
        "lossy_casts"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else {
            return Ok(Transformed::no(plan));
        };
        let schema = filter.input.schema();
        let hidden = filter.predicate.clone().transform_up(|part| hidden(part, schema))?;
        if !hidden.transformed {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        }
        let filter = Filter::try_new(hidden.data, filter.input)?;
        Ok(Transformed::yes(LogicalPlan::Filter(filter)))
    }
}

fn hidden(part: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = part else {
        return Ok(Transformed::no(part));
    };
    let literal = [&left, &right].iter().any(|side| matches!(***side, Expr::Literal(..)));
    if !compares(op) || literal || !(loses(&left, schema) || loses(&right, schema)) {
        return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
    }
    let hide = |side: Box<Expr>| match loses(&side, schema) {
        true => Box::new(Expr::ScalarFunction(ScalarFunction::new_udf(function(), vec![*side]))),
        false => side,
    };
    let (left, right) = (hide(left), hide(right));
    Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
}

/// Whether values that differ may be the same behind the casts of this one, and no function hides it.
fn loses(value: &Expr, schema: &DFSchema) -> bool {
    match value {
        Expr::Cast(cast) => {
            let from = cast.expr.get_type(schema);
            let to = value.get_type(schema);
            loses(&cast.expr, schema) || from.is_ok_and(|from| to.is_ok_and(|to| is_lossy(&from, &to)))
        }
        Expr::Negative(value) => loses(value, schema),
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => loses(left, schema) || loses(right, schema),
        _ => false,
    }
}

fn is_lossy(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Timestamp(..), DataType::Date32 | DataType::Date64) => true,
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => to < from,
        (DataType::Float64, DataType::Float32) => true,
        (from, to) => from.is_floating() && (to.is_integer() || to.is_decimal()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
    };
    use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
    use tidewater_table::schema::to_arrow;

    use crate::testing::Lake;

    const HOUR: i64 = 3_600_000_000;

    // Goal: a cast that loses a part of its value is compared as it is, whatever bounds the columns have, in process and after a journey.
    // Method: moments and fractions between the bounds of days and whole numbers, with each comparison.
    #[tokio::test]
    async fn what_is_lost_counts_for_no_bounds() {
        let lake = Lake::new();
        let fields = [
            NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
            NestedField::optional(2, "ts", Type::Primitive(PrimitiveType::Timestamp)).into(),
            NestedField::optional(3, "d", Type::Primitive(PrimitiveType::Date)).into(),
            NestedField::optional(4, "f", Type::Primitive(PrimitiveType::Double)).into(),
            NestedField::optional(5, "n", Type::Primitive(PrimitiveType::Long)).into(),
        ];
        let schema = Schema::builder().with_fields(fields).build().expect("a schema");
        lake.create("silver.moments", schema, None).await;
        let columns = to_arrow(lake.load("silver.moments").await.metadata.current_schema()).expect("columns");
        let rows: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![1, 2, 3])),
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(10 * HOUR),
                Some(24 * HOUR),
                None,
            ])),
            Arc::new(Date32Array::from(vec![0, 0, 0])),
            Arc::new(Float64Array::from(vec![0.25, 1.0, 0.125])),
            Arc::new(Int64Array::from(vec![0, 0, 0])),
        ];
        let rows = RecordBatch::try_new(Arc::new(columns), rows).expect("rows");
        lake.append("silver.moments", rows).await;
        for (condition, ids) in [
            ("CAST(ts AS date) > d", vec!["2"]),
            ("CAST(ts AS date) = d", vec!["1"]),
            ("CAST(ts AS date) <= d", vec!["1"]),
            ("d < CAST(ts AS date) AND id > 0", vec!["2"]),
            ("CAST(ts AS date) <> d OR id = 3", vec!["2", "3"]),
            ("CAST(f AS bigint) > n", vec!["2"]),
            ("CAST(f AS bigint) = n", vec!["1", "3"]),
        ] {
            let sql = format!("SELECT id FROM silver.moments WHERE {condition} ORDER BY f");
            assert_eq!(lake.lines(&sql).await, ids, "{sql}");
            assert_eq!(lake.travelled(&sql).await.expect("rows"), ids, "{sql}");
        }
    }
}
