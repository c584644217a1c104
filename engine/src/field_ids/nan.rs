//! NaN is larger than every number, and the statistics of Parquet leave it out: by them alone, rows with it would be lost where a
//! condition holds for it (`f > 0`, `f <> 1`, `f = 'NaN'`), and so would be the first rows of `ORDER BY f DESC LIMIT 5`.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, DynamicFilterPhysicalExpr, InListExpr, Literal};
use datafusion::physical_expr_adapter::PhysicalExprAdapter;

use super::field_id;

/// Hides conditions that hold for NaN from the statistics of a file that may hold it.
#[derive(Debug)]
pub(super) struct NanGuard {
    pub(super) inner: Arc<dyn PhysicalExprAdapter>,
    pub(super) table: SchemaRef,
    /// Field ids of columns that hold none in any file of the scan.
    pub(super) without: Arc<BTreeSet<i32>>,
}

impl PhysicalExprAdapter for NanGuard {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let hidden = expr.transform_up(|node| {
            Ok(match self.holds_for_nan(&node) {
                true => Transformed::yes(Arc::new(Hidden(node)) as Arc<dyn PhysicalExpr>),
                false => Transformed::no(node),
            })
        })?;
        self.inner.rewrite(hidden.data)
    }
}

impl NanGuard {
    fn holds_for_nan(&self, node: &Arc<dyn PhysicalExpr>) -> bool {
        if node.is::<DynamicFilterPhysicalExpr>() {
            return self.may_be_nan(node);
        }
        if let Some(listed) = node.downcast_ref::<InListExpr>() {
            return (listed.negated() || listed.list().iter().any(is_nan)) && self.may_be_nan(listed.expr());
        }
        let Some(compared) = node.downcast_ref::<BinaryExpr>() else {
            return false;
        };
        let (left, right) = (compared.left(), compared.right());
        match compared.op() {
            Operator::Gt | Operator::GtEq => self.may_be_nan(left),
            Operator::Lt | Operator::LtEq => self.may_be_nan(right),
            Operator::NotEq | Operator::IsDistinctFrom => self.may_be_nan(left) || self.may_be_nan(right),
            Operator::Eq | Operator::IsNotDistinctFrom => {
                is_nan(left) && self.may_be_nan(right) || is_nan(right) && self.may_be_nan(left)
            }
            _ => false,
        }
    }

    /// Whether a side names a floating-point column that may hold NaN.
    fn may_be_nan(&self, side: &Arc<dyn PhysicalExpr>) -> bool {
        let may = |part: &Arc<dyn PhysicalExpr>| {
            let field = part
                .downcast_ref::<Column>()
                .and_then(|column| self.table.fields().find(column.name()));
            field.is_some_and(|(_, field)| {
                matches!(field.data_type(), DataType::Float32 | DataType::Float64)
                    && !field_id(field).is_some_and(|id| self.without.contains(&id))
            })
        };
        // What cannot be looked at may be.
        side.exists(|part| Ok(may(part))).unwrap_or(true)
    }
}

fn is_nan(expr: &Arc<dyn PhysicalExpr>) -> bool {
    match expr.downcast_ref::<Literal>().map(Literal::value) {
        Some(ScalarValue::Float32(Some(value))) => value.is_nan(),
        Some(ScalarValue::Float64(Some(value))) => value.is_nan(),
        _ => false,
    }
}

/// The condition itself. What prunes by statistics does not know it, and so keeps everything. It exists only on the side that executes
/// and never travels.
#[derive(Debug, Clone)]
struct Hidden(Arc<dyn PhysicalExpr>);

impl PhysicalExpr for Hidden {
    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.0.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.0.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(child), true) => Ok(Arc::new(Self(child))),
            _ => exec_err!("a hidden condition has one child"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MAY_BE_NAN({})", self.0)
    }
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Eq for Hidden {}

impl Hash for Hidden {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Float64Array, Int64Array};
    use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema as IcebergSchema, Type};

    use super::*;
    use crate::testing::Lake;

    const TABLE: &str = "silver.readings";

    // Goal: no row with NaN is lost to statistics. Method: files whose bounds exclude what their NaN fulfils, in each form of a
    // condition; the greatest rows; beside a file without NaN.
    #[tokio::test]
    async fn rows_with_nan_are_found() {
        let lake = Lake::new();
        let fields = [
            NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
            NestedField::optional(2, "f", Type::Primitive(PrimitiveType::Double)).into(),
        ];
        let schema = IcebergSchema::builder().with_fields(fields).build().expect("a schema");
        let arrow = Arc::new(tidewater_table::schema::to_arrow(&schema).expect("a schema"));
        lake.create(TABLE, schema, None).await;
        for (first, floats) in [
            (1, [-1.0, f64::NAN]),
            (3, [7.0, 8.0]),
            (5, [3.0, 3.0]),
            (7, [-2.0, -3.0]),
        ] {
            let columns = vec![
                Arc::new(Int64Array::from(vec![first, first + 1])) as _,
                Arc::new(Float64Array::from(floats.to_vec())) as _,
            ];
            let rows = RecordBatch::try_new(Arc::clone(&arrow), columns).expect("rows");
            lake.append(TABLE, rows).await;
        }
        for (condition, wanted) in [
            ("f > 7.5", vec!["2", "4"]),
            ("7.5 <= f", vec!["2", "4"]),
            ("f <> -1 AND f <> 3 AND f > -1.5", vec!["2", "3", "4"]),
            ("f NOT IN (-1, 3, 7, 8, -2, -3)", vec!["2"]),
            ("f = 'NaN'::double", vec!["2"]),
            ("f BETWEEN 8 AND 'NaN'::double", vec!["2", "4"]),
            ("NOT f <= 7.5", vec!["2", "4"]),
            ("f * 2 > 15", vec!["2", "4"]),
            ("f < -1", vec!["7", "8"]),
        ] {
            let sql = format!("SELECT id FROM {TABLE} WHERE {condition}");
            assert_eq!(lake.lines(&sql).await, wanted, "{condition}");
        }
        let greatest = format!("SELECT id FROM {TABLE} ORDER BY f DESC LIMIT 1");
        assert_eq!(lake.lines(&greatest).await, ["2"]);
        let shown = format!("SELECT f > 7.5 AS large FROM {TABLE} WHERE id < 4");
        assert_eq!(lake.lines(&shown).await, ["false", "false", "true"]);
    }
}
