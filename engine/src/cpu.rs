//! Threads for the work of queries, apart from those that answer the network: a query that computes for a minute must not
//! keep a listener from noticing that its client has gone away.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use datafusion::logical_expr::LogicalPlan;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use tidewater_core::JobId;
use tidewater_core::limits::STACK_BYTES;

use crate::error::{EngineError, Result};
use crate::runner::{PlanOutput, PlanRequest, PlanRunner, Route};
use crate::session::Class;
use crate::sizes;

/// Batches that wait for a slow client, and KiB of them together: enough to hide its round trips, too few to hold much memory. A
/// larger batch waits alone.
const BATCHES_AHEAD: usize = 4;
const KIB_AHEAD: u32 = 4 << 10;

/// What the memory of rows that wait for their reader is called where memory runs out.
pub const WAITING_ROWS: &str = "rows on their way";

/// A runtime of its own. Ends in the background when dropped.
pub struct CpuRuntime(Option<Runtime>);

impl CpuRuntime {
    /// With this many threads.
    pub fn start(threads: usize) -> Result<Self> {
        Self::named("tidewater-query", threads)
    }

    pub(crate) fn named(name: &str, threads: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name(name)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|source| EngineError::Options {
                reason: format!("cannot start {threads} {name} threads: {source}"),
            })?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for CpuRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Dropping a runtime in place waits for its threads, which async code must not do.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for CpuRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CpuRuntime")
    }
}

/// Runs plans with another runner, on threads of their own.
#[derive(Debug)]
pub struct CpuRunner {
    inner: Arc<dyn PlanRunner>,
    runtime: CpuRuntime,
}

impl CpuRunner {
    /// Runs what `inner` runs on `runtime`.
    pub fn new(inner: Arc<dyn PlanRunner>, runtime: CpuRuntime) -> Self {
        Self { inner, runtime }
    }
}

impl PlanRunner for CpuRunner {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, Result<PlanOutput>> {
        self.start(request).boxed()
    }

    fn route<'a>(&'a self, request: &'a PlanRequest) -> BoxFuture<'a, Result<Route>> {
        self.inner.route(request)
    }

    fn room(&self, plan: &LogicalPlan, class: Class) -> Result<()> {
        self.inner.room(plan, class)
    }

    fn stages(&self, job: JobId) -> Vec<String> {
        self.inner.stages(job)
    }
}

impl CpuRunner {
    async fn start(&self, request: PlanRequest) -> Result<PlanOutput> {
        let Some(handle) = self.runtime.handle() else {
            return self.inner.run(request).await;
        };
        let inner = Arc::clone(&self.inner);
        let pool = Arc::clone(&request.session.runtime_env().memory_pool);
        let mut started = AbortOnDrop::new(handle.spawn(async move { inner.run(request).await }));
        let output = started.join().await?;
        let stream = relay(&handle, output.stream, &pool);
        Ok(PlanOutput { stream, ..output })
    }
}

/// The task ends when whoever waits for it goes away.
pub(crate) struct AbortOnDrop<T>(JoinHandle<Result<T>>);

impl<T> AbortOnDrop<T> {
    pub(crate) fn new(task: JoinHandle<Result<T>>) -> Self {
        Self(task)
    }

    pub(crate) async fn join(&mut self) -> Result<T> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(error) => Err(DataFusionError::External(Box::new(error)).into()),
        }
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn relay(
    handle: &Handle,
    mut stream: SendableRecordBatchStream,
    pool: &Arc<dyn MemoryPool>,
) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let memory = MemoryConsumer::new(WAITING_ROWS).register(pool);
    let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
    let room = Arc::new(Semaphore::new(KIB_AHEAD as usize));
    let task = handle.spawn(async move {
        while let Some(batch) = stream.next().await {
            let bytes = batch.as_ref().map_or(0, RecordBatch::get_array_memory_size);
            // Counted and never refused: they are there already, and room bounds them. Others get less.
            let charge = memory.new_empty();
            charge.grow(batch.as_ref().map_or(0, sizes::of_batch));
            let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).min(KIB_AHEAD);
            let Ok(place) = Arc::clone(&room).acquire_many_owned(kib).await else {
                return;
            };
            if sender.send((batch, place, charge)).await.is_err() {
                return;
            }
        }
    });
    Box::pin(Relayed {
        schema,
        batches,
        task: Some(task),
    })
}

/// Rows, or their end, with the room and the memory that they take while they wait.
type Waiting = (
    Result<RecordBatch, DataFusionError>,
    OwnedSemaphorePermit,
    MemoryReservation,
);

/// Rows from the other runtime. Dropping it ends their making.
struct Relayed {
    schema: SchemaRef,
    batches: mpsc::Receiver<Waiting>,
    /// None after its end was told.
    task: Option<JoinHandle<()>>,
}

impl Stream for Relayed {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some((batch, _place, _charge)) = ready!(self.batches.poll_recv(context)) {
            return Poll::Ready(Some(batch));
        }
        // Rows that end because their making panicked are not all rows.
        let Some(task) = &mut self.task else {
            return Poll::Ready(None);
        };
        let ended = ready!(task.poll_unpin(context));
        self.task = None;
        Poll::Ready(ended.err().map(|error| Err(DataFusionError::External(Box::new(error)))))
    }
}

impl RecordBatchStream for Relayed {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Int64Array};
    use datafusion::arrow::datatypes::Schema;
    use datafusion::execution::memory_pool::UnboundedMemoryPool;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::stream;

    use super::*;

    // Goal: rows whose making panics end with an error, not as if they were all. Method: a stream that panics after its first batch.
    #[tokio::test]
    async fn a_panic_is_an_error() {
        let schema = Arc::new(Schema::empty());
        let first = RecordBatch::new_empty(Arc::clone(&schema));
        let rows = stream::iter([Some(first), None]).map(|batch| Ok(batch.expect("there is no second batch")));
        let made = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let mut relayed = relay(&Handle::current(), made, &pool);
        assert!(relayed.next().await.is_some_and(|batch| batch.is_ok()));
        let ended = relayed.next().await.expect("an error");
        assert!(matches!(ended, Err(DataFusionError::External(_))), "{ended:?}");
        assert!(relayed.next().await.is_none());
    }

    // Goal: rows that wait for their reader are memory of the pool, as many as may wait, and none when they are taken or nobody wants them.
    // Method: a stream of batches of a MiB that is read once and dropped; the pool is looked at.
    #[tokio::test]
    async fn waiting_rows_are_charged() {
        const MIB: usize = 1 << 20;
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..131_072));
        let batch = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
        let (schema, bytes) = (batch.schema(), batch.get_array_memory_size());
        assert!((MIB..2 * MIB).contains(&bytes), "{bytes}");
        let rows = stream::repeat_with(move || Ok(batch.clone()));
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let made = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        let mut relayed = relay(&Handle::current(), made, &pool);
        let settles = async |expected: std::ops::RangeInclusive<usize>| {
            while !expected.contains(&pool.reserved()) {
                tokio::task::yield_now().await;
            }
        };
        let deadline = std::time::Duration::from_secs(60);
        // Those that have room, and one that waits for it.
        let full = (BATCHES_AHEAD - 1) * bytes..=(BATCHES_AHEAD + 1) * bytes;
        tokio::time::timeout(deadline, settles(full.clone()))
            .await
            .expect("they wait");
        assert!(relayed.next().await.is_some_and(|batch| batch.is_ok()));
        tokio::time::timeout(deadline, settles(full))
            .await
            .expect("no more than may");
        drop(relayed);
        tokio::time::timeout(deadline, settles(0..=0))
            .await
            .expect("nothing is left");
    }
}
