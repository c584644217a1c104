//! Rows in portions that take about the same time to work on, whatever is done with each.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties};
use futures::{Stream, StreamExt};
use tidewater_core::SharedClock;

/// How long a portion may keep its thread: a person does not notice it.
const PORTION_TIME: Duration = Duration::from_millis(20);

/// Rows of the first portion, as each may meet millions, and of any at least: with fewer, what is done for each portion would take
/// longer than what is done for its rows.
const ROWS_MIN: usize = 8;

/// Hands its input on in portions, and lets go of the thread when the last one took long. For the side of a join that each row
/// of the other side is held against: the join asks for the next batch when it is done with all pairs, and until then it
/// neither yields nor can be ended.
#[derive(Debug)]
pub(super) struct RationedExec {
    input: Arc<dyn ExecutionPlan>,
    clock: SharedClock,
}

impl RationedExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, clock: SharedClock) -> Self {
        Self { input, clock }
    }
}

impl DisplayAs for RationedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RationedExec")
    }
}

impl ExecutionPlan for RationedExec {
    fn name(&self) -> &str {
        "RationedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, Arc::clone(&self.clock)))),
            _ => internal_err!("RationedExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows_max = context.session_config().batch_size();
        Ok(Box::pin(Rationed {
            rows: self.input.execute(partition, context)?,
            clock: Arc::clone(&self.clock),
            rest: None,
            portion: ROWS_MIN,
            rows_max: rows_max.max(ROWS_MIN),
            given_at: None,
        }))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, counted: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        match counted {
            [counted] => Ok(Arc::clone(counted)),
            _ => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }
}

struct Rationed {
    rows: SendableRecordBatchStream,
    clock: SharedClock,
    /// Of the last batch, what was not handed on yet.
    rest: Option<RecordBatch>,
    /// Rows of the next portion.
    portion: usize,
    rows_max: usize,
    /// When the last portion was handed on.
    given_at: Option<Duration>,
}

impl Rationed {
    /// Fits the next portion to the time that the last one took. True: it took long.
    fn measure(&mut self) -> bool {
        let Some(given_at) = self.given_at.take() else {
            return false;
        };
        let took = self.clock.monotonic().saturating_sub(given_at);
        if took < PORTION_TIME / 4 {
            self.portion = (self.portion * 2).min(self.rows_max);
        }
        if took <= PORTION_TIME {
            return false;
        }
        let times = took.as_micros() / PORTION_TIME.as_micros().max(1) + 1;
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        self.portion = (self.portion / times).max(ROWS_MIN);
        true
    }

    fn portion_of(&mut self, batch: RecordBatch) -> RecordBatch {
        self.given_at = Some(self.clock.monotonic());
        if batch.num_rows() <= self.portion {
            return batch;
        }
        self.rest = Some(batch.slice(self.portion, batch.num_rows() - self.portion));
        batch.slice(0, self.portion)
    }
}

impl Stream for Rationed {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.measure() {
            // Others get their turn, and whoever ended this work is heard.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Some(Ok(self.portion_of(rest))));
        }
        match self.rows.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(batch))) => Poll::Ready(Some(Ok(self.portion_of(batch)))),
            other => other,
        }
    }
}

impl RecordBatchStream for Rationed {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Int64Array;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::stream;
    use tidewater_core::ManualClock;

    use super::*;

    fn numbers(count: i64) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from_iter_values(0..count))]).expect("numbers")
    }

    // Goal: portions shrink while they take long and grow when they do not, and no row is lost. Method: a clock that moves by
    // hand between portions.
    #[tokio::test]
    async fn portions_follow_the_time_they_take() {
        let batch = numbers(5_000);
        let clock = Arc::new(ManualClock::new(0));
        let rows = stream::iter([Ok(batch.clone()), Ok(batch.clone())]);
        let mut rationed = Rationed {
            rows: Box::pin(RecordBatchStreamAdapter::new(batch.schema(), rows)),
            clock: clock.clone(),
            rest: None,
            portion: 64,
            rows_max: 1_024,
            given_at: None,
        };
        let mut sizes = Vec::new();
        while let Some(batch) = rationed.next().await {
            let rows = batch.expect("rows").num_rows();
            sizes.push(rows);
            if sizes.len() < 5 {
                clock.advance(PORTION_TIME * 3);
            }
        }
        assert_eq!(sizes.iter().sum::<usize>(), 10_000);
        assert_eq!(sizes.get(..4), Some(&[64, 16, 8, 8][..]));
        assert!(sizes.contains(&1_024), "{sizes:?}");
    }
}
