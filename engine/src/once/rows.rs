//! Rows that several read and one makes.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, exec_err, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::spill_file::SpillFile;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, SpillManager};
use futures::{StreamExt, future, stream};

use crate::sizes;

/// The rows of a plan for so many readers, each of whom reads each part once. A part is made when the first reader asks for it, as fast
/// as it can be, and kept until the last has read it: in memory, and on disk what finds no room there.
pub(super) struct Shared {
    readers: usize,
    parts: Mutex<Option<Parts>>,
}

/// The plan that makes the rows, and what of it was begun.
struct Parts {
    plan: Arc<dyn ExecutionPlan>,
    begun: Vec<Option<Arc<Part>>>,
}

/// A part that is made, or was. It ends with the last who holds it.
struct Part {
    kept: Arc<Mutex<Kept>>,
    spill: SpillManager,
    _making: SpawnedTask<()>,
}

/// What there is of a part.
struct Kept {
    /// With how many have yet to read it; gone when all have.
    batches: Vec<Option<(RecordBatch, usize)>>,
    memory: MemoryReservation,
    /// What follows the batches, once it is whole.
    rest: Option<Arc<dyn SpillFile>>,
    end: Option<Result<(), Arc<DataFusionError>>>,
    waiting: Vec<Waker>,
}

/// What a reader is given.
enum Next {
    Batch(RecordBatch),
    Rest(Arc<dyn SpillFile>),
    End,
}

impl Shared {
    pub(super) fn new(readers: usize) -> Self {
        Self {
            readers,
            parts: Mutex::new(None),
        }
    }

    /// The rows of a part of `input`, which has the same rows as all other readers' inputs.
    pub(super) fn read(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let count = input.output_partitioning().partition_count();
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = parts.get_or_insert_with(|| Parts {
            plan: Arc::clone(input),
            begun: vec![None; count],
        });
        let part = match parts.begun.get_mut(partition) {
            Some(part) if parts.plan.output_partitioning().partition_count() == count => part,
            // One that was cut in another way has other parts.
            _ => return input.execute(partition, context),
        };
        let part = match part {
            Some(part) => Arc::clone(part),
            None => {
                let begun = Arc::new(Part::begin(&parts.plan, partition, context, self.readers)?);
                *part = Some(Arc::clone(&begun));
                begun
            }
        };
        Ok(part.rows(input))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

impl Part {
    fn begin(
        plan: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
        readers: usize,
    ) -> Result<Self> {
        let consumer = MemoryConsumer::new(format!("once[{partition}]")).with_can_spill(true);
        let kept = Arc::new(Mutex::new(Kept {
            batches: Vec::new(),
            memory: consumer.register(context.memory_pool()),
            rest: None,
            end: None,
            waiting: Vec::new(),
        }));
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), partition);
        let spill = SpillManager::new(context.runtime_env(), metrics, plan.schema());
        let rows = plan.execute(partition, context)?;
        let ending = Ending(Arc::clone(&kept));
        let to_disk = spill.clone();
        let making = SpawnedTask::spawn(async move {
            let made = make(rows, &ending.0, readers, &to_disk).await;
            lock(&ending.0).ended(made);
        });
        Ok(Self {
            kept,
            spill,
            _making: making,
        })
    }

    fn rows(self: Arc<Self>, input: &Arc<dyn ExecutionPlan>) -> SendableRecordBatchStream {
        let rows = stream::try_unfold(At::Kept(0), move |at| Arc::clone(&self).next(at));
        Box::pin(RecordBatchStreamAdapter::new(input.schema(), rows))
    }

    async fn next(self: Arc<Self>, mut at: At) -> Result<Option<(RecordBatch, At)>> {
        loop {
            at = match at {
                At::Kept(number) => match future::poll_fn(|context| lock(&self.kept).poll(number, context)).await? {
                    Next::Batch(batch) => return Ok(Some((batch, At::Kept(number + 1)))),
                    Next::Rest(file) => At::Rest(self.spill.read_spill_as_stream(file, None)?),
                    Next::End => return Ok(None),
                },
                At::Rest(mut rows) => {
                    let batch = rows.next().await.transpose()?;
                    return Ok(batch.map(|batch| (batch, At::Rest(rows))));
                }
            }
        }
    }
}

/// Where a reader is.
enum At {
    /// Before the batch of this number.
    Kept(usize),
    /// In what was written to disk.
    Rest(SendableRecordBatchStream),
}

impl Kept {
    /// The batch of this number for one of the readers, or what comes instead.
    fn poll(&mut self, number: usize, context: &Context<'_>) -> Poll<Result<Next>> {
        let Some(slot) = self.batches.get_mut(number) else {
            return match (&self.end, &self.rest) {
                (None, _) => {
                    self.waiting.push(context.waker().clone());
                    Poll::Pending
                }
                (Some(Err(error)), _) => Poll::Ready(Err(DataFusionError::Shared(Arc::clone(error)))),
                (Some(Ok(())), Some(file)) => Poll::Ready(Ok(Next::Rest(Arc::clone(file)))),
                (Some(Ok(())), None) => Poll::Ready(Ok(Next::End)),
            };
        };
        let Some((batch, readers)) = slot else {
            return Poll::Ready(internal_err!("shared rows are read by more than they were made for"));
        };
        *readers = readers.saturating_sub(1);
        let read = batch.clone();
        if *readers == 0 {
            *slot = None;
            self.memory.shrink(sizes::of_batch(&read));
        }
        Poll::Ready(Ok(Next::Batch(read)))
    }

    /// Keeps a batch where there is room for it.
    fn keep(&mut self, batch: &RecordBatch, readers: usize) -> bool {
        if self.memory.try_grow(sizes::of_batch(batch)).is_err() {
            return false;
        }
        self.batches.push(Some((batch.clone(), readers)));
        self.wake();
        true
    }

    fn ended(&mut self, ended: Result<Option<Arc<dyn SpillFile>>>) {
        self.end = Some(match ended {
            Ok(rest) => {
                self.rest = rest;
                Ok(())
            }
            Err(error) => Err(Arc::new(error)),
        });
        self.wake();
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

/// Tells readers that no more comes, whatever becomes of the one who makes it.
struct Ending(Arc<Mutex<Kept>>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut kept = lock(&self.0);
        if kept.end.is_none() {
            kept.ended(exec_err!("what makes rows for several readers has ended early"));
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a part; answers what was written to disk, which is all that came once there was no room.
async fn make(
    mut rows: SendableRecordBatchStream,
    kept: &Mutex<Kept>,
    readers: usize,
    spill: &SpillManager,
) -> Result<Option<Arc<dyn SpillFile>>> {
    let mut rest = None;
    while let Some(batch) = rows.next().await.transpose()? {
        if rest.is_none() && lock(kept).keep(&batch, readers) {
            continue;
        }
        let file = match &mut rest {
            Some(file) => file,
            None => rest.insert(spill.create_in_progress_file("rows that several read")?),
        };
        file.append_batch(&batch)?;
    }
    match &mut rest {
        Some(file) => file.finish(),
        None => Ok(None),
    }
}
