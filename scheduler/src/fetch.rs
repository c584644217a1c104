//! Brings the rows of a finished plan from the executors.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::client::BallistaClient;
use ballista_core::error::BallistaError;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::serde::protobuf::{PartitionLocation, SuccessfulJob};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};

use crate::error::SchedulerError;
use tidewater_core::SharedClock;
use tidewater_core::limits::GRPC_MESSAGE_BYTES_MAX;
use tidewater_engine::EngineError;
use tidewater_engine::cluster::secure_by;
use tidewater_security::NodeTls;

/// Result up to which rows are fetched before the first is handed on. Until then the plan may be run again when an executor
/// is lost together with its part of the rows; after it, it may not.
const HELD_BYTES_MAX: i64 = 64 << 20;

/// Partitions fetched at the same time.
const PARALLEL: usize = 8;

/// Partitions of a large result that are opened at once. A file that is open is read to its end, also after it was removed.
const OPEN_MAX: usize = 256;

/// Longest time until an executor answers with the first bytes.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);

/// Longest time until more of a result comes that is held. Once its plan has ended, nothing else tells that an executor hangs.
const NEXT_DEADLINE: Duration = Duration::from_secs(30);

/// Tries and waits of Ballista's client, in milliseconds.
const TRIES: u8 = 3;
const TRY_WAIT_MS: u64 = 200;

/// How the executors are reached.
#[derive(Clone, Copy)]
struct Way<'a> {
    tls: Option<&'a NodeTls>,
    clock: &'a SharedClock,
}

type Opened = Result<SendableRecordBatchStream, BallistaError>;

/// The rows of a finished plan, in the order of its partitions. `Err` while nothing was handed on yet.
pub(crate) async fn fetch(
    job: SuccessfulJob,
    planned: SchemaRef,
    tls: Option<&NodeTls>,
    clock: &SharedClock,
) -> Result<SendableRecordBatchStream, BallistaError> {
    let way = Way { tls, clock };
    let locations = job.partition_location;
    let bytes: i64 = locations
        .iter()
        .map(|at| at.partition_stats.as_ref().map_or(0, |s| s.num_bytes))
        .sum();
    if bytes <= HELD_BYTES_MAX {
        held(locations, planned, way).await
    } else {
        streamed(locations, planned, way).await
    }
}

async fn held(locations: Vec<PartitionLocation>, planned: SchemaRef, way: Way<'_>) -> Opened {
    let partitions: Vec<(SchemaRef, Vec<RecordBatch>)> = stream::iter(locations)
        .map(|location| async move {
            let rows = open(location, way).await?;
            let schema = rows.schema();
            Ok::<_, BallistaError>((schema, collected(rows, way.clock).await?))
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    let schema = partitions.first().map_or(planned, |(schema, _)| schema.clone());
    let batches = partitions.into_iter().flat_map(|(_, batches)| batches).map(Ok);
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(batches))))
}

/// All rows, as long as they keep coming.
async fn collected(
    mut rows: SendableRecordBatchStream,
    clock: &SharedClock,
) -> Result<Vec<RecordBatch>, BallistaError> {
    let mut batches = Vec::new();
    loop {
        let next = tokio::select! {
            biased;
            next = rows.next() => next,
            () = clock.sleep(NEXT_DEADLINE) => {
                let late = format!("no more rows within {NEXT_DEADLINE:?}");
                return Err(BallistaError::GrpcConnectionError(late));
            }
        };
        match next {
            Some(batch) => batches.push(batch?),
            None => return Ok(batches),
        }
    }
}

async fn streamed(locations: Vec<PartitionLocation>, planned: SchemaRef, way: Way<'_>) -> Opened {
    let opened: Vec<SendableRecordBatchStream> = stream::iter(locations)
        .map(|location| open(location, way))
        .buffered(OPEN_MAX)
        .try_collect()
        .await?;
    let schema = opened.first().map_or(planned, |rows| rows.schema());
    let rows = stream::iter(opened).flatten().map_err(|error| {
        let lost = SchedulerError::ResultLost {
            source: Box::new(error.into()),
        };
        DataFusionError::from(EngineError::from(lost))
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// Ends the rows with an error when `left` of the `allowed` time is over.
pub(crate) fn limited(
    rows: SendableRecordBatchStream,
    clock: SharedClock,
    left: Duration,
    allowed: Duration,
) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let over: Over = Box::pin(async move { clock.sleep(left).await });
    let limited = stream::unfold(Some((rows, over)), move |state| async move {
        let (mut rows, mut over) = state?;
        tokio::select! {
            biased;
            next = rows.next() => next.map(|next| (next, Some((rows, over)))),
            () = &mut over => {
                let error = EngineError::from(SchedulerError::Deadline { allowed });
                Some((Err(error.into()), None))
            }
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, limited))
}

type Over = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn open(location: PartitionLocation, way: Way<'_>) -> Opened {
    tokio::select! {
        opened = open_now(location, way.tls) => opened,
        // Ballista's client sets no limit of its own to a connection.
        () = way.clock.sleep(OPEN_DEADLINE) => Err(BallistaError::GrpcConnectionError(
            format!("no answer within {OPEN_DEADLINE:?}"),
        )),
    }
}

async fn open_now(location: PartitionLocation, tls: Option<&NodeTls>) -> Opened {
    let layout = location.layout();
    let missing = |what: &str| BallistaError::Internal(format!("a result without {what}"));
    let executor = location.executor_meta.ok_or_else(|| missing("an executor"))?;
    let partition = location.partition_id.ok_or_else(|| missing("a partition"))?;
    let port = u16::try_from(executor.port).map_err(|_| missing("a port"))?;
    let secure = tls.map(|tls| Arc::new(BallistaConfigGrpcEndpoint::new(secure_by(tls))));
    let mut client = BallistaClient::try_new(
        &executor.host,
        port,
        GRPC_MESSAGE_BYTES_MAX,
        tls.is_some(),
        secure,
        TRIES,
        TRY_WAIT_MS,
        0,
        0,
    )
    .await?;
    client
        .fetch_partition(&executor.id, &partition.into(), location.file_id, layout, false)
        .await
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Int64Array};
    use futures::channel::mpsc::channel;
    use tidewater_core::ManualClock;

    use super::*;

    // Goal: an executor that hangs in the middle of a result is given up, and one that is slow is waited for. Method: batches that come
    // just in time, then none, by a clock that the test moves.
    #[tokio::test]
    async fn a_result_that_stops_is_given_up() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("id", column)]).expect("rows");
        let (mut sender, receiver) = channel::<Result<RecordBatch, DataFusionError>>(2);
        let rows: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(batch.schema(), receiver));
        let manual = Arc::new(ManualClock::new(0));
        let clock: SharedClock = manual.clone();
        let mut collecting = Box::pin(collected(rows, &clock));
        for _ in 0..2 {
            assert!(futures::poll!(&mut collecting).is_pending());
            manual.advance(NEXT_DEADLINE - Duration::from_secs(1));
            sender.try_send(Ok(batch.clone())).expect("room");
        }
        assert!(futures::poll!(&mut collecting).is_pending());
        manual.advance(NEXT_DEADLINE);
        let error = collecting.await.expect_err("nothing comes");
        assert!(matches!(error, BallistaError::GrpcConnectionError(_)), "{error:?}");
    }
}
