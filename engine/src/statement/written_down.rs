//! Rows that come once and are read more often: in memory, and on the spill disk what finds no room there.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::spill_file::SpillFile;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream::BoxStream;
use futures::{StreamExt, future, stream};

use crate::error::Result;
use crate::runner::PlanOutput;
use crate::sizes;

/// What they are called where memory or disk runs out.
const NAME: &str = "rows that a statement is about";

/// What was written down.
struct WrittenDown {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    _memory: MemoryReservation,
    spill: SpillManager,
    /// What follows the batches.
    rest: Option<Arc<dyn SpillFile>>,
}

/// All rows of the answer, of which no more than `memory_max` bytes are held in memory.
///
/// # Errors
/// What the rows end with, and those of the spill disk.
pub(super) async fn written_down(
    answer: PlanOutput,
    runtime: &Arc<RuntimeEnv>,
    memory_max: usize,
) -> Result<Arc<dyn TableProvider>> {
    let (schema, mut rows) = (answer.schema, answer.stream);
    let memory = MemoryConsumer::new(NAME).register(&runtime.memory_pool);
    let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
    let spill = SpillManager::new(Arc::clone(runtime), metrics, Arc::clone(&schema));
    let (mut batches, mut rest) = (Vec::new(), None);
    while let Some(batch) = rows.next().await.transpose()? {
        if batch.num_rows() == 0 {
            continue;
        }
        let bytes = sizes::of_batch(&batch);
        let has_room = memory.size().saturating_add(bytes) <= memory_max;
        if rest.is_none() && has_room && memory.try_grow(bytes).is_ok() {
            batches.push(batch);
            continue;
        }
        let file = match &mut rest {
            Some(file) => file,
            None => rest.insert(spill.create_in_progress_file(NAME)?),
        };
        file.append_batch(&batch)?;
    }
    let rest = match &mut rest {
        Some(file) => file.finish()?,
        None => None,
    };
    let written: Arc<dyn PartitionStream> = Arc::new(WrittenDown {
        schema: Arc::clone(&schema),
        batches,
        _memory: memory,
        spill,
        rest,
    });
    Ok(Arc::new(StreamingTable::try_new(schema, vec![written])?))
}

impl fmt::Debug for WrittenDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrittenDown")
            .field("batches", &self.batches.len())
            .finish_non_exhaustive()
    }
}

impl PartitionStream for WrittenDown {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let kept = stream::iter(self.batches.clone()).map(Ok);
        let rest: BoxStream<'static, Result<RecordBatch, DataFusionError>> = match &self.rest {
            None => stream::empty().boxed(),
            Some(file) => match self.spill.read_spill_as_stream(Arc::clone(file), None) {
                Ok(rest) => rest.boxed(),
                Err(error) => stream::once(future::ready(Err(error))).boxed(),
            },
        };
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            kept.chain(rest),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;

    use super::written_down;
    use crate::statement::tests::{done, lake};
    use crate::testing::{Lake, lines};
    use crate::{Class, PlanOutput, PlanRequest, PlanRunner};

    async fn asked(lake: &Lake, sql: &str) -> PlanOutput {
        let session = lake.session();
        let plan = lake.engine.plan(&session, sql).await.expect(sql);
        let request = PlanRequest {
            job: lake.job(),
            session,
            plan,
            class: Class::Batch,
            deadline: None,
        };
        lake.engine.local_runner().run(request).await.expect(sql)
    }

    // Goal: what is written down is read alike as often as it is read, however little of it memory holds, and gives its memory back.
    // Method: rows with nulls, and room for all, some and none of them, in the bound and in the pool; read three times beside the query's
    // own answer.
    #[tokio::test]
    async fn rows_are_read_as_often_as_needed() {
        let lake = lake().await;
        done(&lake, "CREATE TABLE s.t (id bigint, note string, f double)").await;
        for first in [0, 100, 200] {
            let values: Vec<String> = (first..first + 100)
                .map(|id| match id % 3 {
                    0 => format!("({id}, NULL, NULL)"),
                    _ => format!("({id}, 'note {id}', 0.5)"),
                })
                .collect();
            done(&lake, &format!("INSERT INTO s.t VALUES {}", values.join(", "))).await;
        }
        let sql = "SELECT id, note, f FROM s.t";
        let expected = lake.lines(sql).await;
        assert_eq!(expected.len(), 300);
        for (memory_max, pool_bytes) in [(1 << 20, 1 << 20), (4_000, 1 << 20), (1 << 20, 4_000), (0, 1 << 20)] {
            let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(pool_bytes));
            let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&pool));
            let runtime = runtime.build_arc().expect("a runtime");
            let written = written_down(asked(&lake, sql).await, &runtime, memory_max).await;
            let written = written.expect("rows");
            assert!(pool.reserved() <= memory_max.min(pool_bytes));
            assert_eq!(pool.reserved() > 4_000, memory_max.min(pool_bytes) > 4_000);
            for _ in 0..3 {
                let session = lake.session();
                let read = session.read_table(Arc::clone(&written)).expect("a table");
                let read = read.collect().await.expect("rows");
                assert_eq!(lines(&read), expected, "{memory_max} of {pool_bytes}");
            }
            drop(written);
            assert_eq!(pool.reserved(), 0, "{memory_max} of {pool_bytes}");
        }
    }
}
