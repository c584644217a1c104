//! Bound parameters on their way in: rows of an Arrow stream, kept as IPC inside the statement's handle.

use arrow_flight::decode::FlightRecordBatchStream;
use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use futures::TryStreamExt;
use tonic::Status;

use super::{arrow_status, coming};

/// Parameters travel in every later call of the statement: more than this is a bulk load by other means.
const BYTES_MAX: usize = 4 << 20;

/// Rows of parameters that one call may bring, each of which is a statement of its own.
const ROWS_MAX: usize = 10_000;

/// Reads the parameters of a query. No row means no parameters.
pub(super) async fn read(batches: FlightRecordBatchStream) -> Result<Bytes, Status> {
    together(&read_rows(batches).await?)
}

/// Reads the rows of parameters of a statement that changes something, each for itself.
pub(super) async fn read_rows(mut batches: FlightRecordBatchStream) -> Result<Vec<Bytes>, Status> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(batch) = batches.try_next().await.map_err(coming::status)? {
        for at in 0..batch.num_rows() {
            let row = encoded(&batch.slice(at, 1))?;
            bytes += row.len();
            if bytes > BYTES_MAX || rows.len() >= ROWS_MAX {
                return Err(Status::resource_exhausted(format!(
                    "parameters are larger than {BYTES_MAX} bytes, or more than {ROWS_MAX} rows"
                )));
            }
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Rows that were read each for themselves as one.
pub(super) fn together(rows: &[Bytes]) -> Result<Bytes, Status> {
    let mut writer: Option<StreamWriter<Vec<u8>>> = None;
    for row in rows {
        for batch in StreamReader::try_new(row.as_ref(), None).map_err(arrow_status)? {
            let batch = batch.map_err(arrow_status)?;
            let writer = match writer.as_mut() {
                Some(writer) => writer,
                None => writer.insert(StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(arrow_status)?),
            };
            writer.write(&batch).map_err(arrow_status)?;
        }
    }
    match writer {
        Some(writer) => Ok(writer.into_inner().map_err(arrow_status)?.into()),
        None => Ok(Bytes::new()),
    }
}

fn encoded(row: &RecordBatch) -> Result<Bytes, Status> {
    let mut writer = StreamWriter::try_new(Vec::new(), &row.schema()).map_err(arrow_status)?;
    writer.write(row).map_err(arrow_status)?;
    Ok(writer.into_inner().map_err(arrow_status)?.into())
}
