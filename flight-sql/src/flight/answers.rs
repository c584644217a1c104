//! Answers that are made at once, and not by a query.

use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use datafusion::arrow::array::RecordBatch;
use futures::{TryStreamExt, stream};
use tonic::{Response, Status};

use super::DataStream;

/// A small answer of one batch.
pub(super) fn one_batch<T>(batch: Result<RecordBatch, FlightError>) -> Result<Response<DataStream<T>>, Status>
where
    DataStream<T>: From<DataStream<FlightData>>,
{
    let batch = batch.map_err(Status::from)?;
    let data = FlightDataEncoderBuilder::new()
        .with_schema(batch.schema())
        .build(stream::once(async move { Ok(batch) }))
        .map_err(Status::from);
    let data: DataStream<FlightData> = Box::pin(data);
    Ok(Response::new(data.into()))
}
