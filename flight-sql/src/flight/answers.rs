//! Rows as a client is sent them.

use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use datafusion::arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt, stream};
use tonic::metadata::{AsciiMetadataValue, MetadataValue};
use tonic::{Response, Status};

use super::DataStream;
use super::authentication::{AGE_ANSWER, CACHE_ANSWER, WARNING_ANSWER, warned};
use super::status::to_status;
use crate::cache::CacheUse;
use crate::service::Results;

/// Rows come cut into messages (`wire`). Arrow's encoder would cut them again, and takes a slice for all that it was cut from: of a large
/// aggregate it makes messages of some twenty rows.
const NOT_CUT_AGAIN: usize = usize::MAX;

/// Rows as they come, with what became of the statement in the cache, and what is to be known beside them.
pub(super) fn rows(results: Results, how: Option<&CacheUse>) -> Response<DataStream<FlightData>> {
    let warnings = warned(&results.warnings);
    let batches = results
        .batches
        .map_err(|error| FlightError::Tonic(Box::new(to_status(error))));
    // A driver that is sent no batch at all does not know the columns of an empty result.
    let empty = RecordBatch::new_empty(results.schema.clone());
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(results.schema)
        .with_max_flight_data_size(NOT_CUT_AGAIN);
    let first = stream::once(async move { Ok(empty) });
    let data = encoder.build(first.chain(batches)).map_err(Status::from);
    let data: DataStream<FlightData> = Box::pin(data);
    let mut response = Response::new(data);
    if let Some(how) = how {
        let word = MetadataValue::from_static(how.word());
        response.metadata_mut().insert(CACHE_ANSWER, word);
        if let Some(seconds) = how.age_s() {
            response.metadata_mut().insert(AGE_ANSWER, MetadataValue::from(seconds));
        }
    }
    if let Some(Ok(warnings)) = warnings.map(AsciiMetadataValue::try_from) {
        response.metadata_mut().insert(WARNING_ANSWER, warnings);
    }
    response
}

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use arrow_flight::Ticket;
    use arrow_flight::sql::TicketStatementQuery;
    use arrow_flight::sql::server::FlightSqlService;
    use datafusion::arrow::datatypes::Schema;
    use futures::{TryStreamExt, stream};
    use tonic::Request;

    use tidewater_core::ManualClock;
    use tidewater_security::Principal;

    use crate::flight::FlightSql;
    use crate::handle::{Statement, StatementHandle};
    use crate::service::tests::Lake;
    use crate::service::{QueryOptions, Results};

    /// A ticket of whoever is on this machine, without an end.
    fn ticket(lake: &Lake, sql: &str) -> TicketStatementQuery {
        let handle = StatementHandle {
            statement: Statement::new(sql),
            owner: Principal::local().name,
            until_ms: i64::MAX,
        };
        TicketStatementQuery {
            statement_handle: handle.seal(lake.service.key()),
        }
    }

    // Goal: a client is told whether its rows were kept ones, and may refuse such. Method: one ticket three times, the last time with the
    // header that says no.
    #[tokio::test]
    async fn the_cache_is_told_and_refused() {
        let lake = Lake::new().await;
        let front = FlightSql::new(lake.service.clone()).expect("a front");
        let mut told = Vec::new();
        for header in [None, None, Some("OFF")] {
            let ticket = ticket(&lake, "SELECT count(*) FROM numbers");
            let mut request = Request::new(Ticket::default());
            if let Some(header) = header {
                request
                    .metadata_mut()
                    .insert("tidewater.cache", header.parse().expect("a header"));
            }
            let answer = front.do_get_statement(ticket, request).await.expect("rows");
            let word = answer.metadata().get("x-cache").expect("it is told").to_str();
            told.push(word.expect("a word").to_owned());
            let messages: Vec<_> = answer.into_inner().try_collect().await.expect("rows");
            assert!(messages.len() >= 2, "columns and rows");
        }
        assert_eq!(told, ["MISS", "HIT", "BYPASS"]);
    }

    // Goal: what a client has to know beside its rows is in a header, whatever letters it has, and there is none where there is nothing to
    // know. Method: two warnings, one of them with what no header may hold; and none.
    #[test]
    fn warnings_are_told() {
        let told = |warnings: &[&str]| {
            let results = Results {
                schema: Arc::new(Schema::empty()),
                batches: Box::pin(stream::empty()),
                warnings: warnings.iter().map(|&warning| warning.to_owned()).collect(),
                basis: None,
            };
            let answer = super::rows(results, None);
            let value = answer.metadata().get("x-tidewater-warning")?;
            Some(value.to_str().expect("text").to_owned())
        };
        assert_eq!(
            told(&["a is away", "m\u{fc}nchen\nis"]).as_deref(),
            Some("a is away; m?nchen?is")
        );
        assert_eq!(told(&[]), None);
    }

    // Goal: how old rows are is told in whole seconds, never less than it is, and not of rows of now. Method: a table that bears it, asked before
    // a commit, at once after it and a little more than two seconds later.
    #[tokio::test]
    async fn the_age_is_told() {
        let clock = Arc::new(ManualClock::new(0));
        let lake = Lake::with(QueryOptions::default(), clock.clone()).await;
        let front = FlightSql::new(lake.service.clone()).expect("a front");
        let bears = "ALTER TABLE numbers SET TBLPROPERTIES ('tidewater.cache.max-staleness' = '5s')";
        let commit = "DELETE FROM numbers WHERE id = 1";
        let mut told = Vec::new();
        for (change, moved) in [(bears, 0), (commit, 0), (commit, 2_001), (commit, 3_000)] {
            let changed = lake.service.change(&Principal::local(), &Statement::new(change)).await;
            changed.expect("it is changed");
            clock.advance(Duration::from_millis(moved));
            let ticket = ticket(&lake, "SELECT count(*) FROM numbers");
            let answer = front.do_get_statement(ticket, Request::new(Ticket::default())).await;
            let answer = answer.expect("rows");
            let header = |name: &str| {
                let value = answer.metadata().get(name)?;
                Some(value.to_str().expect("text").to_owned())
            };
            told.push((header("x-cache"), header("age")));
            let messages: Vec<_> = answer.into_inner().try_collect().await.expect("rows");
            assert!(messages.len() >= 2, "columns and rows");
        }
        let told: Vec<(Option<&str>, Option<&str>)> = told
            .iter()
            .map(|(word, age): &(Option<String>, Option<String>)| (word.as_deref(), age.as_deref()))
            .collect();
        let expected = [
            (Some("MISS"), None),
            (Some("HIT"), Some("0")),
            (Some("HIT"), Some("3")),
            (Some("MISS"), None),
        ];
        assert_eq!(told, expected);
    }
}
