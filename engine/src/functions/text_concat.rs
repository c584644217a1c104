//! `||` of texts as a function, so that it has the limits of functions: one who writes `s || s` in each of thirty subqueries
//! asks for more than there is memory for.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::kernels::concat_elements::concat_elements_utf8;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use crate::session::called::as_called;

/// What it is called where plans are shown.
pub(super) const NAME: &str = "text_concat";

/// Two texts, one after the other; null where one of them is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TextConcat(Signature);

impl TextConcat {
    pub(super) fn new() -> Self {
        Self(Signature::user_defined(Volatility::Immutable))
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

impl ScalarUDFImpl for TextConcat {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        match kinds {
            [left, right] if is_text(left) && is_text(right) => {
                let large = [left, right].contains(&&DataType::LargeUtf8);
                let kind = if large { DataType::LargeUtf8 } else { DataType::Utf8 };
                Ok(vec![kind.clone(), kind])
            }
            _ => plan_err!("{NAME} takes two texts"),
        }
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        let [kind, _] = kinds else {
            return plan_err!("{NAME} takes two texts");
        };
        Ok(kind.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let large = *args.return_type() == DataType::LargeUtf8;
        let arrays: Vec<_> = args
            .args
            .into_iter()
            .map(|value| value.into_array(rows))
            .collect::<Result<_>>()?;
        let [left, right] = arrays.as_slice() else {
            return plan_err!("{NAME} takes two texts");
        };
        let joined: Arc<dyn datafusion::arrow::array::Array> = match large {
            true => Arc::new(concat_elements_utf8(left.as_string::<i64>(), right.as_string::<i64>())?),
            false => Arc::new(concat_elements_utf8(left.as_string::<i32>(), right.as_string::<i32>())?),
        };
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?)),
            false => Ok(ColumnarValue::Array(joined)),
        }
    }
}

/// The plan with this function wherever two texts are joined.
pub(crate) fn within_limits(plan: LogicalPlan, function: &Arc<ScalarUDF>) -> Result<LogicalPlan> {
    let node = |plan: LogicalPlan| {
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            let columns = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
            schema.merge(&columns);
        }
        let names = NamePreserver::new(&plan);
        let mut change = |expr: Expr| expr.transform_up(|expr| Ok(joined(expr, &schema, function)));
        plan.map_expressions(|expr| as_called(expr, &names, &mut change))?
            .map_data(LogicalPlan::recompute_schema)
    };
    Ok(plan.transform_up_with_subqueries(node)?.data)
}

fn joined(expr: Expr, schema: &DFSchema, function: &Arc<ScalarUDF>) -> Transformed<Expr> {
    let text = |expr: &Expr| expr.get_type(schema).is_ok_and(|kind| is_text(&kind));
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::StringConcat,
            right,
        }) if text(&left) && text(&right) => Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
            Arc::clone(function),
            vec![*left, *right],
        ))),
        other => Transformed::no(other),
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::Lake;

    // Goal: texts are joined as ever, also with nulls, numbers and constants, and not without end. Method: rows of each, then texts
    // that grow from subquery to subquery.
    #[tokio::test]
    async fn joined_texts_have_limits() {
        let lake = Lake::new();
        for (sql, rows) in [
            ("SELECT 'a' || 'b'", vec!["ab"]),
            ("SELECT 'a' || NULL IS NULL", vec!["true"]),
            ("SELECT 'n' || 1 || '.'", vec!["n1."]),
            (
                "SELECT a || '-' || b FROM (VALUES ('x', 'y'), (NULL, 'z'), ('', 'w')) AS t (a, b)",
                vec!["", "-w", "x-y"],
            ),
            (
                "SELECT [1] || [2] FROM (VALUES ('x')) AS t (a) WHERE a || 'b' = 'xb' GROUP BY a || 'b' HAVING max(a || 'c') = 'xc'",
                vec!["[1, 2]"],
            ),
        ] {
            let mut found = lake.lines(sql).await;
            found.sort();
            assert_eq!(found, rows, "{sql}");
        }
        let named = lake.query("SELECT 'a' || 'b', 'c' || 'd' AS e").await;
        let names: Vec<_> = named
            .first()
            .expect("rows")
            .schema_ref()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect();
        assert_eq!(names, ["Utf8(\"a\") || Utf8(\"b\")", "e"]);
        let level = |n: usize| format!("a{n} AS (SELECT s || s AS s FROM a{})", n - 1);
        let levels: Vec<String> = (1..40).map(level).collect();
        let first = "SELECT repeat('x', value) AS s FROM range(1000, 1001)";
        let sql = format!("WITH a0 AS ({first}), {} SELECT length(s) FROM a39", levels.join(", "));
        let refused = lake.refused(&sql).await;
        assert_eq!(refused.code(), "ENG-0021", "{refused}");
    }
}
