//! Threads for the work of queries, apart from those that answer the network: a query that computes for a minute must not
//! keep a listener from noticing that its client has gone away.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::error::{EngineError, Result};
use crate::runner::{PlanOutput, PlanRequest, PlanRunner, Route};

/// Batches that wait for a slow client: enough to hide its round trips, too few to hold much memory.
const BATCHES_AHEAD: usize = 4;

/// A runtime of its own. Ends in the background when dropped.
pub struct CpuRuntime(Option<Runtime>);

impl CpuRuntime {
    /// With this many threads.
    pub fn start(threads: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("tidewater-query")
            .enable_all()
            .build()
            .map_err(|source| EngineError::Options {
                reason: format!("cannot start {threads} query threads: {source}"),
            })?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> Option<Handle> {
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

#[async_trait]
impl PlanRunner for CpuRunner {
    async fn run(&self, request: PlanRequest) -> Result<PlanOutput> {
        let Some(handle) = self.runtime.handle() else {
            return self.inner.run(request).await;
        };
        let inner = Arc::clone(&self.inner);
        let mut started = AbortOnDrop::new(handle.spawn(async move { inner.run(request).await }));
        let output = started.join().await?;
        let stream = relay(&handle, output.stream);
        Ok(PlanOutput { stream, ..output })
    }

    async fn route(&self, request: &PlanRequest) -> Result<Route> {
        self.inner.route(request).await
    }
}

/// The task ends when whoever waits for it goes away.
struct AbortOnDrop<T>(tokio::task::JoinHandle<Result<T>>);

impl<T> AbortOnDrop<T> {
    fn new(task: tokio::task::JoinHandle<Result<T>>) -> Self {
        Self(task)
    }

    async fn join(&mut self) -> Result<T> {
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

fn relay(handle: &Handle, mut stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
    let task = handle.spawn(async move {
        while let Some(batch) = stream.next().await {
            if sender.send(batch).await.is_err() {
                return;
            }
        }
    });
    Box::pin(Relayed {
        schema,
        batches,
        task: task.abort_handle(),
    })
}

/// Rows from the other runtime. Dropping it ends their making.
struct Relayed {
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    task: AbortHandle,
}

impl Stream for Relayed {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_recv(context)
    }
}

impl RecordBatchStream for Relayed {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.task.abort();
    }
}
