//! Rows that are read from files of this machine while they are wanted, a batch at a time.

use std::fmt;
use std::io;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;

use super::times::Times;

/// Batches as they are read. Each is asked for on a thread that may be blocked, the first one too.
pub type Batches = Box<dyn Iterator<Item = io::Result<RecordBatch>> + Send>;

/// Where rows come from that are too many to be held in memory.
pub trait LiveFiles: fmt::Debug + Send + Sync {
    /// The columns, the same every time.
    fn schema(&self) -> SchemaRef;

    /// The column by whose times files are left out.
    fn time(&self) -> &'static str;

    /// All rows of these times as they are now, and perhaps others. Nothing is read before the first batch is asked for.
    fn batches(&self, times: Times) -> Batches;
}

/// Reads them when it runs.
pub(super) fn scan(
    files: &Arc<dyn LiveFiles>,
    times: Times,
    projection: Option<&Vec<usize>>,
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let schema = files.schema();
    let part: Arc<dyn PartitionStream> = Arc::new(Part {
        files: Arc::clone(files),
        schema: Arc::clone(&schema),
        times,
    });
    let scan = StreamingTableExec::try_new(schema, vec![part], projection, [], false, limit)?;
    Ok(Arc::new(scan))
}

/// All of them, as one partition.
#[derive(Debug)]
struct Part {
    files: Arc<dyn LiveFiles>,
    schema: SchemaRef,
    times: Times,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = stream::try_unfold(self.files.batches(self.times), next);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

/// The next batch, and those behind it.
async fn next(mut batches: Batches) -> Result<Option<(RecordBatch, Batches)>, DataFusionError> {
    let read = tokio::task::spawn_blocking(move || (batches.next(), batches));
    let (batch, batches) = read.await.map_err(|error| DataFusionError::External(Box::new(error)))?;
    match batch {
        Some(batch) => Ok(Some((batch.map_err(DataFusionError::IoError)?, batches))),
        None => Ok(None),
    }
}
