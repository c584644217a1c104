//! Bound parameters on their way in: one row of an Arrow stream, kept as IPC inside the statement's handle.

use std::pin::Pin;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use bytes::Bytes;
use datafusion::arrow::ipc::writer::StreamWriter;
use futures::{Stream, TryStreamExt};
use tonic::Status;

use super::arrow_status;

/// Parameters travel in every later call of the statement: more than this is a bulk load by other means.
const BYTES_MAX: usize = 4 << 20;

/// Reads the one row of parameters. No row means no parameters.
pub(super) async fn read(data: PeekableFlightDataStream) -> Result<Bytes, Status> {
    let data: Pin<Box<dyn Stream<Item = Result<_, FlightError>> + Send>> =
        Box::pin(data.map_err(|status| FlightError::Tonic(Box::new(status))));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(data);
    let mut row = None;
    while let Some(batch) = batches.try_next().await.map_err(Status::from)? {
        match (batch.num_rows(), &row) {
            (0, _) => {}
            (1, None) => row = Some(batch),
            _ => return Err(Status::invalid_argument("a query takes one row of parameters")),
        }
    }
    let Some(row) = row else { return Ok(Bytes::new()) };
    if row.get_array_memory_size() > BYTES_MAX {
        return Err(Status::resource_exhausted(format!(
            "parameters are larger than {BYTES_MAX} bytes"
        )));
    }
    let mut writer = StreamWriter::try_new(Vec::new(), &row.schema()).map_err(arrow_status)?;
    writer.write(&row).map_err(arrow_status)?;
    Ok(writer.into_inner().map_err(arrow_status)?.into())
}
