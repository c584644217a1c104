//! `#` of numbers that may be null: the query engine makes `k # k` zero and `(k # i) # i` just `k`, though a null beside a number is null.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};

use super::perhaps;

/// Hides both sides, so that neither is found in the other.
#[derive(Debug)]
pub(super) struct Exclusive;

impl FunctionRewrite for Exclusive {
    fn name(&self) -> &str {
        "exclusive_or_of_nulls"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        match expr {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::BitwiseXor,
                right,
            }) if may_be_null(&left, schema) || may_be_null(&right, schema) => {
                // One of them twice, for two that are the same would be found too.
                let (left, right) = (hidden(*left), hidden(hidden(*right)));
                let apart = BinaryExpr::new(Box::new(left), Operator::BitwiseXor, Box::new(right));
                Ok(Transformed::yes(Expr::BinaryExpr(apart)))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

fn may_be_null(expr: &Expr, schema: &DFSchema) -> bool {
    expr.nullable(schema).unwrap_or(true)
}

fn hidden(expr: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(perhaps::function(), vec![expr]))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::arrow::record_batch::RecordBatch;
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::logical_expr::{bitwise_xor, col};
    use datafusion::prelude::SessionContext;

    use crate::functions::Functions;

    // Goal: a null on either side is null, and numbers are reckoned. Method: a column with itself, with another one twice, and in brackets,
    // in rows with nulls on either side; the answers by hand.
    #[tokio::test]
    async fn nulls_stay_null() {
        let session = SessionContext::new();
        Functions::default().bounded().register(&session);
        let schema = Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("i", DataType::Int64, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(5), None, Some(6)])),
            Arc::new(Int64Array::from(vec![Some(3), Some(1), None])),
        ];
        let rows = RecordBatch::try_new(Arc::new(schema), columns).expect("rows");
        let both = || bitwise_xor(col("k"), col("i"));
        let asked = vec![
            bitwise_xor(col("k"), col("k")).alias("a"),
            both().alias("b"),
            bitwise_xor(both(), col("i")).alias("c"),
            bitwise_xor(col("i"), both()).alias("d"),
            bitwise_xor(both(), both()).alias("e"),
        ];
        let asked = session
            .read_batch(rows)
            .expect("a frame")
            .select(asked)
            .expect("columns");
        let shown = pretty_format_batches(&asked.collect().await.expect("rows"))
            .expect("text")
            .to_string();
        let wanted = [
            "+---+---+---+---+---+",
            "| a | b | c | d | e |",
            "+---+---+---+---+---+",
            "| 0 | 6 | 5 | 5 | 0 |",
            "|   |   |   |   |   |",
            "| 0 |   |   |   |   |",
            "+---+---+---+---+---+",
        ];
        assert_eq!(shown.lines().collect::<Vec<_>>(), wanted);
    }
}
