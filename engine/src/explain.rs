//! EXPLAIN tells where a statement runs, why there, and what it reads.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

use crate::error::Result;
use crate::estimate::ScanEstimate;
use crate::runner::{PlanOutput, Route};

/// Rows after those of EXPLAIN itself: `route`, `reason`, one `files` row for each scan of a table, and `more` by kind.
pub fn with_route(
    output: PlanOutput,
    route: &Route,
    estimate: &ScanEstimate,
    more: &[(&str, String)],
) -> Result<PlanOutput> {
    let Some(rows) = route_rows(&output.schema, route, estimate, more)? else {
        return Ok(output);
    };
    let stream = output.stream.chain(stream::once(async move { Ok(rows) }));
    Ok(PlanOutput {
        schema: output.schema.clone(),
        stream: Box::pin(RecordBatchStreamAdapter::new(output.schema, stream)),
        route: output.route,
    })
}

/// The rows, or nothing if the answer has not the two text columns of EXPLAIN.
pub fn route_rows(
    schema: &SchemaRef,
    route: &Route,
    estimate: &ScanEstimate,
    more: &[(&str, String)],
) -> Result<Option<RecordBatch>> {
    let text = schema.fields().iter().all(|field| *field.data_type() == DataType::Utf8);
    if schema.fields().len() != 2 || !text {
        return Ok(None);
    }
    let mut rows = vec![
        ("route".to_owned(), route.place.to_string()),
        ("reason".to_owned(), route.reason.clone()),
    ];
    for scan in &estimate.scans {
        let total = scan
            .files_total
            .map_or_else(String::new, |total| format!(" of {total}"));
        let snapshot = scan
            .snapshot_id
            .map_or_else(String::new, |id| format!(" at snapshot {id}"));
        let pruned = match scan.files_total.and_then(|total| total.checked_sub(scan.files)) {
            Some(pruned) if pruned > 0 => format!(" ({pruned} pruned)"),
            _ => String::new(),
        };
        let deletes = match scan.delete_files {
            0 => String::new(),
            count => format!(", {count} delete files"),
        };
        let line = format!(
            "{}{snapshot}: {}{total} files{pruned}, {} bytes, at most {} rows{deletes}",
            scan.table, scan.files, scan.bytes, scan.rows
        );
        rows.push(("files".to_owned(), line));
    }
    rows.extend(more.iter().map(|(kind, line)| ((*kind).to_owned(), line.clone())));
    let (kinds, lines): (Vec<String>, Vec<String>) = rows.into_iter().unzip();
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(kinds)), Arc::new(StringArray::from(lines))];
    Ok(Some(
        RecordBatch::try_new(schema.clone(), columns).map_err(DataFusionError::from)?,
    ))
}
