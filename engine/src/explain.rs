//! EXPLAIN tells where a statement runs, why there, what it reads, and how much of that was at hand.

mod elsewhere;
pub(crate) mod file_names;
mod watch;

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

pub use self::elsewhere::counted;
pub use self::watch::Watch;
pub(crate) use self::watch::store_of;

/// A row: its kind, and what it says.
type Line = (String, String);

/// Rows after those of EXPLAIN itself: `route`, `reason`, one `files` row for each scan of a table, what `watch` heard if there are such
/// scans, and `more` by kind. An answer that has not the two text columns of EXPLAIN stays as it is.
pub fn with_route(
    output: PlanOutput,
    route: &Route,
    estimate: &ScanEstimate,
    watch: Option<Watch>,
    more: &[(&str, String)],
) -> PlanOutput {
    let schema = output.schema.clone();
    let text = schema.fields().iter().all(|field| *field.data_type() == DataType::Utf8);
    if schema.fields().len() != 2 || !text {
        return output;
    }
    let mut lines = route_lines(route, estimate);
    let watch = watch.filter(|_| !estimate.scans.is_empty());
    let more: Vec<Line> = more
        .iter()
        .map(|(kind, line)| ((*kind).to_owned(), line.clone()))
        .collect();
    let columns = schema.clone();
    // It is asked for when the statement is at its end: only then it is known what it met.
    let last = async move {
        lines.extend(watch.iter().flat_map(Watch::lines));
        lines.extend(more);
        batch(columns, lines)
    };
    let stream = output.stream.chain(stream::once(last));
    PlanOutput {
        schema: schema.clone(),
        stream: Box::pin(RecordBatchStreamAdapter::new(schema, stream)),
        route: output.route,
        attempt: output.attempt,
    }
}

fn route_lines(route: &Route, estimate: &ScanEstimate) -> Vec<Line> {
    let mut lines = vec![
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
        let of_files = match scan.bytes == scan.file_bytes {
            true => String::new(),
            false => format!(" of {}", scan.file_bytes),
        };
        let line = format!(
            "{}{snapshot}: {}{total} files{pruned}, {}{of_files} bytes, at most {} rows{deletes}",
            scan.table, scan.files, scan.bytes, scan.rows
        );
        lines.push(("files".to_owned(), line));
    }
    lines
}

fn batch(schema: SchemaRef, lines: Vec<Line>) -> Result<RecordBatch, DataFusionError> {
    let (kinds, lines): (Vec<String>, Vec<String>) = lines.into_iter().unzip();
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(kinds)), Arc::new(StringArray::from(lines))];
    Ok(RecordBatch::try_new(schema, columns)?)
}

#[cfg(test)]
mod tests;
