//! Filters that look at quick conditions first.
//!
//! DataFusion 55.2 evaluates the conditions of a filter in the order in which they are written, and where few rows pass the first it
//! copies these rows, all columns of them, for the next, and puts the answers together again run by run. For comparisons of numbers and
//! moments that takes several times as long as comparing them all. Here those are compared for all rows, whatever their place, and what
//! takes longer, texts and functions, is evaluated for the rows that are left, of the columns that it is about.
//!
//! A filter lets no row pass that is false or null for one of its conditions: their order decides nothing. A condition that keeps
//! another from failing is put around it before (`session/guarded.rs`).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{BinaryExpr, Column, IsNotNullExpr, IsNullExpr, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};

use crate::as_planned::AsPlannedExec;

/// Of how many rows so many have to be left for a longer condition to be evaluated for all: more than these of a hundred.
const MOST_PERCENT: usize = 80;

/// The plan with its filters in this order; for a plan that runs as it is.
pub fn quick_first(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(plan.transform_up(ordered)?.data)
}

fn ordered(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(filter) = plan.downcast_ref::<FilterExec>() else {
        return Ok(Transformed::no(plan));
    };
    let schema = filter.input().schema();
    let Some(conditions) = Conditions::of(filter.predicate(), &schema)? else {
        return Ok(Transformed::no(plan));
    };
    let ordered = FilterExecBuilder::from(filter)
        .with_predicate(Arc::new(conditions))
        .build()?;
    // Of the conditions in order nobody tells any more what they fix.
    let ordered = AsPlannedExec::new(Arc::new(ordered), plan.as_ref());
    Ok(Transformed::yes(Arc::new(ordered)))
}

/// All of several conditions; what is null is false.
#[derive(Debug, Clone)]
struct Conditions {
    /// As it was written.
    whole: Arc<dyn PhysicalExpr>,
    quick: Vec<Arc<dyn PhysicalExpr>>,
    rest: Vec<Longer>,
}

/// A condition over some of the columns.
#[derive(Debug, Clone)]
struct Longer {
    columns: Vec<usize>,
    /// Over these columns alone.
    condition: Arc<dyn PhysicalExpr>,
}

impl Conditions {
    /// None of what is one condition, or has no quick one among them.
    fn of(predicate: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Option<Self>> {
        let parts = split_conjunction(predicate);
        if parts.len() < 2 || parts.iter().any(|part| is_volatile(part)) {
            return Ok(None);
        }
        let (quick, rest): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| is_quick(part, schema));
        if quick.is_empty() {
            return Ok(None);
        }
        let longer = rest.into_iter().map(Longer::of);
        Ok(Some(Self {
            whole: Arc::clone(predicate),
            quick: quick.into_iter().map(Arc::clone).collect(),
            rest: longer.collect::<Result<_>>()?,
        }))
    }
}

impl Longer {
    fn of(condition: &Arc<dyn PhysicalExpr>) -> Result<Self> {
        let mut columns: Vec<usize> = collect_columns(condition).iter().map(Column::index).collect();
        columns.sort_unstable();
        columns.dedup();
        // Columns are known by their place: names may stand for several.
        let condition = Arc::clone(condition).transform_up(|part| {
            let Some(column) = part.downcast_ref::<Column>() else {
                return Ok(Transformed::no(part));
            };
            let Ok(at) = columns.binary_search(&column.index()) else {
                return internal_err!("column {column} is not among those of its condition");
            };
            let moved: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column.name(), at));
            Ok(Transformed::yes(moved))
        })?;
        Ok(Self {
            columns,
            condition: condition.data,
        })
    }

    /// Those of the rows that pass it too.
    fn narrow(&self, batch: &RecordBatch, left: &BooleanBuffer) -> Result<BooleanBuffer> {
        let (rows, count) = (batch.num_rows(), left.count_set_bits());
        let own = batch.project(&self.columns)?;
        if count.saturating_mul(100) > rows.saturating_mul(MOST_PERCENT) {
            return Ok(left & &truths(self.condition.evaluate(&own)?, rows)?);
        }
        let mask = BooleanArray::new(left.clone(), None);
        let few = filter_record_batch(&own, &mask)?;
        let found = truths(self.condition.evaluate(&few)?, count)?;
        let mut both = BooleanBufferBuilder::new(rows);
        both.append_n(rows, false);
        for (place, passes) in left.set_indices().zip(&found) {
            if passes {
                both.set_bit(place, true);
            }
        }
        Ok(both.finish())
    }
}

/// Where a condition is true.
fn truths(found: ColumnarValue, rows: usize) -> Result<BooleanBuffer> {
    let found = found.into_array(rows)?;
    let Some(found) = found.as_boolean_opt() else {
        return internal_err!("a condition is no truth but {}", found.data_type());
    };
    Ok(match found.nulls() {
        None => found.values().clone(),
        Some(there) => found.values() & there.inner(),
    })
}

/// Whether a condition compares numbers, moments or truths of columns as they are, which cannot fail.
fn is_quick(condition: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    if let Some(binary) = condition.downcast_ref::<BinaryExpr>() {
        return match binary.op() {
            Operator::And | Operator::Or => is_quick(binary.left(), schema) && is_quick(binary.right(), schema),
            Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                is_plain(binary.left(), schema) && is_plain(binary.right(), schema)
            }
            _ => false,
        };
    }
    let column = |of: &Arc<dyn PhysicalExpr>| of.downcast_ref::<Column>().is_some();
    let null = condition.downcast_ref::<IsNullExpr>().map(IsNullExpr::arg);
    let there = condition.downcast_ref::<IsNotNullExpr>().map(IsNotNullExpr::arg);
    null.or(there).is_some_and(column)
}

/// A column or a constant of a type whose values are all of one size.
fn is_plain(value: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    let known = value.downcast_ref::<Column>().is_some() || value.downcast_ref::<Literal>().is_some();
    let fixed = |of: DataType| of.is_primitive() || of == DataType::Boolean;
    known && value.data_type(schema).is_ok_and(fixed)
}

impl PartialEq for Conditions {
    fn eq(&self, other: &Self) -> bool {
        self.whole.eq(&other.whole)
    }
}

impl Eq for Conditions {}

impl Hash for Conditions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.whole.hash(state);
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole.fmt(f)
    }
}

impl PhysicalExpr for Conditions {
    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.whole.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let rows = batch.num_rows();
        let mut left = BooleanBuffer::new_set(rows);
        for condition in &self.quick {
            left = &left & &truths(condition.evaluate(batch)?, rows)?;
        }
        for condition in &self.rest {
            if left.count_set_bits() == 0 {
                break;
            }
            left = condition.narrow(batch, &left)?;
        }
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(left, None))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match children.is_empty() {
            true => Ok(self),
            false => internal_err!("conditions in order have no parts to be replaced"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests;
