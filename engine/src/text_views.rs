//! Texts that filters look at leave the Parquet reader as views.
//!
//! A column of plain texts is made by copying the bytes of each row, out of the dictionary of its column chunk as a rule, and compared
//! with a call for each row; and what passes a filter is copied once or twice more. A view has sixteen bytes, whatever the text: its
//! length and its first twelve bytes, or the first four and the place where the rest lies, which is the dictionary itself. It is made
//! by looking it up there, and compared by its own bytes wherever that decides.
//!
//! Between a filter and its scan texts are views; what passes is plain text again, so that neither frames that leave the process nor
//! memory that operators count have anything of the pages that views point into.

mod conditions;
mod scans;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::ProjectionExec;

use crate::as_planned::AsPlannedExec;

/// The plan with filters that compare columns of texts, as they lie in Parquet files, with constants over views of them; for a plan
/// that runs as it is. The rows are the same, and so are their types.
///
/// # Errors
/// A plan whose parts do not fit one another.
pub fn text_views(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(plan.transform_up(viewed)?.data)
}

fn viewed(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(filter) = plan.downcast_ref::<FilterExec>() else {
        return Ok(Transformed::no(plan));
    };
    let uses = conditions::uses(filter.predicate())?;
    let mut texts = scans::texts(filter.input());
    // What a condition asks otherwise, of a function say, would have to be made a text again for all rows.
    texts.retain(|column| !uses.otherwise.contains(column));
    if texts.is_disjoint(&uses.compared) {
        return Ok(Transformed::no(plan));
    }
    let input = scans::as_views(Arc::clone(filter.input()), &texts)?;
    let predicate = conditions::over_views(Arc::clone(filter.predicate()), &texts, &input.schema())?;
    let filtered = FilterExecBuilder::from(filter)
        .with_input(input)
        .with_predicate(predicate)
        .build()?;
    Ok(Transformed::yes(as_texts(Arc::new(filtered), plan.as_ref())?))
}

/// These rows with the types that they were planned with.
fn as_texts(rows: Arc<dyn ExecutionPlan>, planned: &dyn ExecutionPlan) -> Result<Arc<dyn ExecutionPlan>> {
    let (found, wanted) = (rows.schema(), planned.schema());
    if found == wanted {
        return Ok(rows);
    }
    let pairs = found.fields().iter().zip(wanted.fields()).enumerate();
    let columns = pairs.map(|(at, (found, wanted))| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(found.name(), at));
        let text: Arc<dyn PhysicalExpr> = match found.data_type() == wanted.data_type() {
            true => column,
            false => Arc::new(CastExpr::new_with_target_field(column, Arc::clone(wanted), None)),
        };
        ProjectionExpr::new(text, wanted.name())
    });
    let columns: Vec<ProjectionExpr> = columns.collect();
    let texts = ProjectionExec::try_new(columns, rows)?;
    // Of a text that was a view nobody tells that it is the same in all partitions.
    Ok(Arc::new(AsPlannedExec::new(Arc::new(texts), planned)))
}
