//! What clients send with `DoPut`, message after message: each is waited for so long and no longer.

use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use datafusion::arrow::error::ArrowError;
use futures::{Stream, StreamExt, stream};
use tonic::Status;

use super::status::to_status;
use crate::error::QueryError;
use crate::service::QueryService;

/// The rows in these messages. They may take as long as their client goes on sending; one that sends nothing for as long as its statements may
/// take is not waited for, as it has a place among the statements at work, or memory, meanwhile. Time in which nobody asks for the next message
/// is not the client's.
pub(super) fn rows<S>(service: &QueryService, messages: S) -> FlightRecordBatchStream
where
    S: Stream<Item = Result<FlightData, Status>> + Send + Unpin + 'static,
{
    let (clock, silent_max) = (Arc::clone(service.clock()), service.deadline());
    let within = stream::unfold(Some(messages), move |messages| {
        let clock = Arc::clone(&clock);
        async move {
            let mut messages = messages?;
            let next = tokio::select! {
                // What has come counts, however late somebody looks.
                biased;
                next = messages.next() => Some(next),
                () = clock.sleep(silent_max) => None,
            };
            match next {
                Some(next) => next.map(|next| (next.map_err(FlightError::from), Some(messages))),
                None => {
                    let silent = QueryError::Silent { silent_max };
                    Some((Err(FlightError::ExternalError(Box::new(silent))), None))
                }
            }
        }
    });
    FlightRecordBatchStream::new_from_flight_data(within)
}

/// Why there are no more rows, as a statement is told.
pub(super) fn failure(error: FlightError) -> QueryError {
    own(error).unwrap_or_else(|error| QueryError::encoding(ArrowError::from_external_error(Box::new(error))))
}

/// The same, as a client is told.
pub(super) fn status(error: FlightError) -> Status {
    own(error).map_or_else(Status::from, to_status)
}

/// The error of ours that ended the messages, else what it is.
fn own(error: FlightError) -> Result<QueryError, FlightError> {
    match error {
        FlightError::ExternalError(error) => match error.downcast::<QueryError>() {
            Ok(error) => Ok(*error),
            Err(error) => Err(FlightError::ExternalError(error)),
        },
        other => Err(other),
    }
}
