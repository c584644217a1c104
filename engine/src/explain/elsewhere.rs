//! EXPLAIN ANALYZE of a statement that runs on the executors, where no operator of this process has figures: its stages have.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

use super::{Line, batch};
use crate::runner::PlanOutput;

/// Rows of an explanation with these columns in place of those of the statement, which are counted and thrown away: `rows`, and what
/// `stages` tells at the end, a `stage` row each.
pub fn counted(
    columns: SchemaRef,
    output: PlanOutput,
    stages: impl FnOnce() -> Vec<String> + Send + 'static,
) -> PlanOutput {
    let PlanOutput {
        mut stream,
        route,
        attempt,
        ..
    } = output;
    let schema = columns.clone();
    let all = async move {
        let mut rows = 0_usize;
        while let Some(more) = stream.next().await {
            rows = rows.saturating_add(more?.num_rows());
        }
        let mut lines: Vec<Line> = vec![("rows".to_owned(), format!("{rows}, counted and thrown away"))];
        lines.extend(stages().into_iter().map(|stage| ("stage".to_owned(), stage)));
        batch(schema, lines)
    };
    PlanOutput {
        schema: columns.clone(),
        stream: Box::pin(RecordBatchStreamAdapter::new(columns, stream::once(all))),
        route,
        attempt,
    }
}
