//! Plans of tasks that end when their task is cancelled.
//!
//! Ballista's shuffle writers drive their input from a detached task, so aborting a task drops only the wait for it; the
//! input would be computed to its last row.

use std::fmt;
use std::sync::Arc;

use ballista_core::error::BallistaError;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

/// Makes every source of rows in the plan, every operator that lets go of its thread, and those that give rows when they have read
/// all of theirs, end with an error once `stop` is cancelled. Those are the places that a computation comes by again and again.
pub(crate) fn stoppable(plan: Arc<dyn ExecutionPlan>, stop: &CancellationToken) -> Result<Arc<dyn ExecutionPlan>> {
    let wrapped = plan.transform_up(|plan| {
        let yields = plan.downcast_ref::<CooperativeExec>().is_some();
        if !yields && !collects(plan.as_ref()) && !plan.children().is_empty() {
            return Ok(Transformed::no(plan));
        }
        Ok(Transformed::yes(Arc::new(StoppableExec {
            input: plan,
            stop: stop.clone(),
        })))
    })?;
    Ok(wrapped.data)
}

/// Whether what it gives comes from memory and spilled files alone: nothing is read any more that could be stopped.
fn collects(plan: &dyn ExecutionPlan) -> bool {
    plan.downcast_ref::<SortExec>().is_some() || plan.downcast_ref::<AggregateExec>().is_some()
}

/// Passes its input on until it is stopped. One partition of output for each of input, in the same order.
#[derive(Debug)]
struct StoppableExec {
    input: Arc<dyn ExecutionPlan>,
    stop: CancellationToken,
}

impl DisplayAs for StoppableExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for StoppableExec {
    fn name(&self) -> &'static str {
        "StoppableExec"
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
            (Some(input), true) => Ok(Arc::new(Self {
                input,
                stop: self.stop.clone(),
            })),
            _ => Err(DataFusionError::Internal("StoppableExec has one input".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let schema = rows.schema();
        let stop = self.stop.clone();
        // What was cut off must never look like what came to its end.
        let end =
            stream::once(async move { stop.is_cancelled().then(|| Err(stopped())) }).filter_map(std::future::ready);
        let rows = rows.take_until(self.stop.clone().cancelled_owned()).chain(end);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

fn stopped() -> DataFusionError {
    DataFusionError::External(Box::new(BallistaError::Cancelled))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datafusion::physical_plan::{collect, displayable, execute_stream};
    use datafusion::prelude::SessionContext;
    use tidewater_core::SystemClock;
    use tidewater_engine::yielding;

    use super::*;

    async fn plan(session: &SessionContext, sql: &str, stop: &CancellationToken) -> Arc<dyn ExecutionPlan> {
        let frame = session.sql(sql).await.unwrap();
        let plan = frame.create_physical_plan().await.unwrap();
        stoppable(yielding(plan, &SystemClock::shared()).unwrap(), stop).unwrap()
    }

    // Goal: a computation that nobody holds a handle to ends soon after it is stopped, with an error. Method: a join of hours on
    // a detached task, as Ballista runs it; stopped once it works.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[expect(clippy::disallowed_methods, reason = "as Ballista does it")]
    async fn a_detached_computation_ends_when_it_is_stopped() {
        let session = SessionContext::new();
        let digits = "(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9))";
        let tables: Vec<String> = (0..12).map(|at| format!("{digits} AS t{at}(x)")).collect();
        let sql = format!("SELECT sum(sqrt(t0.x * t1.x)) FROM {}", tables.join(" CROSS JOIN "));
        let stop = CancellationToken::new();
        let plan = plan(&session, &sql, &stop).await;
        let mut running = tokio::spawn(collect(plan, session.task_ctx()));
        let early = tokio::time::timeout(Duration::from_millis(200), &mut running).await;
        assert!(early.is_err(), "it ended by itself: {early:?}");
        stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), running).await;
        let error = ended.expect("an end").unwrap().unwrap_err();
        assert!(error.to_string().contains("cancelled"), "{error}");
    }

    // Goal: what gives rows of memory when it has read all of its input ends too. Method: a sort and an aggregate over more rows than a
    // batch has, stopped after the first batch.
    #[tokio::test]
    async fn rows_in_memory_end_when_they_are_stopped() {
        let session = SessionContext::new();
        for (sql, operator) in [
            (
                "SELECT value FROM generate_series(1, 300000) ORDER BY value % 1000, value",
                "SortExec",
            ),
            (
                "SELECT value, count(*) FROM generate_series(1, 300000) GROUP BY value",
                "AggregateExec",
            ),
        ] {
            let stop = CancellationToken::new();
            let plan = plan(&session, sql, &stop).await;
            let shown = displayable(plan.as_ref()).indent(false).to_string();
            assert!(shown.contains(operator), "{shown}");
            let mut rows = execute_stream(plan, session.task_ctx()).unwrap();
            let first = rows.next().await.unwrap().unwrap();
            assert!(first.num_rows() < 300_000, "{sql}: all rows at once");
            stop.cancel();
            let mut read = first.num_rows();
            let error = loop {
                match rows.next().await {
                    Some(Ok(batch)) => read += batch.num_rows(),
                    Some(Err(error)) => break error,
                    None => panic!("{sql}: its end after {read} rows"),
                }
            };
            assert!(error.to_string().contains("cancelled"), "{error}");
            assert!(read < 300_000, "{sql}: {read} rows");
        }
    }

    // Goal: what is not stopped is whole. Method: the same rows with and without.
    #[tokio::test]
    async fn what_is_not_stopped_is_whole() {
        let session = SessionContext::new();
        let sql = "SELECT a.value, b.value FROM generate_series(1, 100) a JOIN generate_series(50, 300) b ON a.value = b.value";
        let stop = CancellationToken::new();
        let plan = plan(&session, sql, &stop).await;
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        assert!(shown.matches("StoppableExec").count() >= 3, "{shown}");
        let rows: usize = collect(plan, session.task_ctx())
            .await
            .unwrap()
            .iter()
            .map(|batch| batch.num_rows())
            .sum();
        assert_eq!(rows, 51);
    }
}
