//! Rows that a client sends, brought into the order of the table they go to: by a sort that goes to the disk where memory is short.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::prelude::SessionContext;
use futures::channel::mpsc::{self, Receiver};
use futures::{SinkExt, Stream, StreamExt, future, stream};
use tidewater_table::schema::to_arrow;
use tidewater_table::{LoadedTable, conformed};

use super::order::{self, TaskOrder};
use crate::error::{EngineError, Result};

/// Batches that have come and are not looked at yet: the client sends as fast as they are sorted.
const WAITING_MAX: usize = 2;

/// The order that rows are brought into.
#[derive(Debug)]
pub(crate) struct Arriving {
    columns: SchemaRef,
    order: LexOrdering,
    whole: bool,
}

impl Arriving {
    /// That of a table; `None` if it has none.
    pub(crate) fn at(table: &LoadedTable, session: &SessionContext) -> Result<Option<Self>> {
        let TaskOrder { sorts, whole } = TaskOrder::of(&table.metadata);
        let columns: SchemaRef = Arc::new(to_arrow(table.metadata.current_schema())?);
        let order = order::physical(&sorts, &session.state(), &columns)?;
        Ok(order.map(|order| Self { columns, order, whole }))
    }

    /// Whether rows that are sorted so are in the table's order, all of it.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The rows in the order and with the table's columns, once all of them have come. An error among them is an error here.
    pub(crate) fn sorted<S, E>(
        self,
        session: &SessionContext,
        mut rows: S,
    ) -> Result<impl Stream<Item = Result<RecordBatch, E>> + Unpin>
    where
        S: Stream<Item = Result<RecordBatch, E>> + Unpin,
        E: From<EngineError>,
    {
        let (mut sender, receiver) = mpsc::channel(WAITING_MAX);
        let part: Arc<dyn PartitionStream> = Arc::new(Part {
            columns: self.columns.clone(),
            rows: Mutex::new(Some(receiver)),
        });
        let come = StreamingTableExec::try_new(self.columns.clone(), vec![part], None, [], false, None)?;
        let sorted = SortExec::new(self.order, Arc::new(come)).execute(0, session.task_ctx())?;
        let columns = self.columns;
        let sending = async move {
            while let Some(batch) = rows.next().await {
                let batch = conformed(&batch?, &columns).map_err(|error| E::from(error.into()))?;
                if sender.send(batch).await.is_err() {
                    // Whoever sorts has failed, and says so.
                    break;
                }
            }
            Ok::<(), E>(())
        };
        let failure = stream::once(sending).filter_map(|sent: Result<(), E>| future::ready(sent.err().map(Err)));
        let sorted = sorted.map(|batch| batch.map_err(|error| E::from(error.into())));
        Ok(Box::pin(stream::select(failure, sorted)))
    }
}

/// The rows that have come, for a plan that runs once.
struct Part {
    columns: SchemaRef,
    rows: Mutex<Option<Receiver<RecordBatch>>>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").finish_non_exhaustive()
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.columns
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rows = match rows {
            Some(rows) => rows.map(Ok).boxed(),
            None => stream::once(future::ready(internal_err!("rows that a client sends come once"))).boxed(),
        };
        Box::pin(RecordBatchStreamAdapter::new(self.columns.clone(), rows))
    }
}
