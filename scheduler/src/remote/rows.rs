//! Rows of a plan that another process has run, as they come from it.

use std::sync::{Arc, OnceLock};

use arrow_flight::FlightData;
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use futures::future::ready;
use futures::stream::{self, Stream};
use tonic::{Code, Status};

use super::wire::Said;
use crate::error::SchedulerError;
use tidewater_engine::EngineError;

/// The rows that follow once a plan has begun. Dropped, they end what the other end still does for them. An end that the other end has not
/// said, or with another number of rows than it has said, is an error.
pub(super) async fn read(
    at: String,
    answers: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<SendableRecordBatchStream, Status> {
    let sent = Arc::new(OnceLock::new());
    let said = Arc::clone(&sent);
    let data = answers.filter_map(move |next| {
        ready(match next {
            Ok(data) => match Said::of(&data) {
                None => Some(Ok(data)),
                Some(Said::Finished(finished)) => match said.set(finished.rows) {
                    Ok(()) => None,
                    Err(_) => Some(Err(FlightError::protocol("a plan that has finished twice"))),
                },
                Some(Said::Failed(failed)) => Some(Err(told(failed.into_error()))),
                Some(Said::Begun(_)) => Some(Err(FlightError::protocol("a plan that has begun twice"))),
            },
            Err(status) => Some(Err(FlightError::from(status))),
        })
    });
    let mut decoded = FlightDataDecoder::new(data);
    let schema = match decoded.next().await {
        Some(Ok(first)) => match first.payload {
            DecodedPayload::Schema(schema) => schema,
            _ => return Err(Status::data_loss("rows without columns")),
        },
        Some(Err(error)) => return Err(error.into()),
        None => return Err(Status::data_loss("no columns")),
    };
    let coming = Coming {
        decoded,
        at,
        sent,
        rows: 0,
    };
    let rows = stream::try_unfold(coming, |mut coming| async move {
        let next = coming.next().await;
        next.map(|batch| batch.map(|batch| (batch, coming)))
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// What a call has ended with. What no message has room for, or what is not understood, would be so elsewhere too.
pub(super) fn error_of(at: &str, status: Status) -> SchedulerError {
    match status.code() {
        Code::OutOfRange | Code::InvalidArgument => SchedulerError::NotPlanned {
            reason: status.message().to_owned(),
        },
        _ => SchedulerError::SchedulerLost {
            at: at.to_owned(),
            source: Box::new(status),
        },
    }
}

/// An error amid the rows, on its way through what decodes them.
fn told(error: Option<SchedulerError>) -> FlightError {
    match error {
        Some(error) => FlightError::ExternalError(Box::new(EngineError::from(error))),
        None => FlightError::protocol("an error that cannot be read"),
    }
}

/// Rows on their way.
struct Coming {
    decoded: FlightDataDecoder,
    /// Where they come from.
    at: String,
    /// How many were sent, once that is said.
    sent: Arc<OnceLock<u64>>,
    /// How many have come.
    rows: u64,
}

impl Coming {
    /// The next ones; none when all have come.
    async fn next(&mut self) -> Result<Option<RecordBatch>, DataFusionError> {
        loop {
            let next = self.decoded.next().await;
            match next {
                Some(Ok(data)) => {
                    if let DecodedPayload::RecordBatch(batch) = data.payload {
                        let rows = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
                        self.rows = self.rows.saturating_add(rows);
                        return Ok(Some(batch));
                    }
                }
                Some(Err(FlightError::ExternalError(error))) => return Err(DataFusionError::External(error)),
                Some(Err(error)) => return Err(self.ended(error.into())),
                None => {
                    return match self.sent.get() {
                        Some(sent) if *sent == self.rows => Ok(None),
                        Some(_) => Err(self.ended(Status::data_loss("another number of rows has come than was sent"))),
                        None => Err(self.ended(Status::data_loss("the rows end without a word of it"))),
                    };
                }
            }
        }
    }

    fn ended(&self, status: Status) -> DataFusionError {
        EngineError::from(error_of(&self.at, status)).into()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use datafusion::arrow::array::{ArrayRef, Int64Array};
    use futures::TryStreamExt;

    use super::*;
    use crate::remote::server::answers;
    use tidewater_core::Coded;
    use tidewater_engine::{PlanOutput, Route};

    const AT: &str = "there:50050";

    fn batch(numbers: Range<i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
        RecordBatch::try_from_iter([("n", column)]).expect("a batch")
    }

    /// What is said of a plan with these rows.
    async fn messages(rows: Vec<Result<RecordBatch, DataFusionError>>) -> Vec<FlightData> {
        let schema = batch(0..1).schema();
        let rows = RecordBatchStreamAdapter::new(Arc::clone(&schema), stream::iter(rows));
        let output = PlanOutput {
            schema,
            stream: Box::pin(rows),
            route: Route::cluster("a test"),
            attempt: 1,
        };
        let said: Vec<FlightData> = answers(Ok(output), Vec::new()).try_collect().await.expect("messages");
        assert!(matches!(Said::of(&said[0]), Some(Said::Begun(_))), "the first of them");
        said[1..].to_vec()
    }

    /// How many rows come of it.
    async fn rows_of(messages: Vec<FlightData>) -> Result<usize, EngineError> {
        let answers = stream::iter(messages.into_iter().map(Ok::<_, Status>));
        let rows = read(AT.to_owned(), answers).await;
        let rows = rows.map_err(|status| error_of(AT, status))?;
        let batches: Vec<RecordBatch> = rows.try_collect().await?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    }

    // Goal: rows that do not come are never taken for rows that are not there. Method: all that is said of a plan, cut off anywhere, and with
    // any message of rows left out.
    #[tokio::test]
    async fn cut_rows_are_an_error() {
        let all = messages(vec![Ok(batch(0..3)), Ok(batch(3..5))]).await;
        assert_eq!(all.len(), 4, "columns, two of rows, the end");
        assert_eq!(rows_of(all.clone()).await.expect("all rows"), 5);
        for kept in 0..all.len() {
            let error = rows_of(all[..kept].to_vec()).await.expect_err("cut off");
            assert_eq!(error.code(), "SCH-0024", "{kept} kept: {error:?}");
        }
        for lost in [1, 2] {
            let mut some = all.clone();
            some.remove(lost);
            let error = rows_of(some).await.expect_err("some are missing");
            assert_eq!(error.code(), "SCH-0024", "{lost} lost: {error:?}");
        }
    }

    // Goal: nothing follows an error, least of all a word of a good end. Method: a plan that fails after its first rows.
    #[tokio::test]
    async fn nothing_follows_an_error() {
        let error = DataFusionError::Execution("halfway".to_owned());
        let said = messages(vec![Ok(batch(0..3)), Err(error)]).await;
        assert_eq!(said.len(), 3, "columns, rows, the error");
        let last = said.last().and_then(Said::of);
        assert!(matches!(last, Some(Said::Failed(_))), "{last:?}");
        let error = rows_of(said).await.expect_err("it failed");
        assert_ne!(error.code(), "SCH-0024", "{error:?}");
    }

    // Goal: what is too large for a message, or not understood, is not taken for a lost process. Method: the codes of calls.
    #[test]
    fn what_fits_nowhere_is_not_lost() {
        for (status, code) in [
            (Status::out_of_range("too large"), "SCH-0021"),
            (Status::invalid_argument("no plan"), "SCH-0021"),
            (Status::unavailable("gone"), "SCH-0024"),
            (Status::data_loss("cut"), "SCH-0024"),
        ] {
            assert_eq!(error_of(AT, status).code(), code);
        }
    }
}
