//! Clients that begin to send rows, and then send nothing.

use std::fmt::Debug;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};
use datafusion::arrow::array::{ArrayRef, Int64Array};
use futures::channel::mpsc::{self, Sender};
use futures::{Stream, StreamExt, poll, stream};
use tokio::sync::watch;
use tonic::Code;

use tidewater_core::ManualClock;

use super::*;
use crate::flight::{coming, ingest, parameters};
use crate::service::QueryOptions;

/// Longest wait for what has to end by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that sends what it is told to.
struct Sends {
    messages: Sender<Result<FlightData, Status>>,
    /// How many messages were taken when the next one was waited for.
    taken: watch::Receiver<Option<usize>>,
}

fn client() -> (
    Sends,
    impl Stream<Item = Result<FlightData, Status>> + Send + Unpin + 'static,
) {
    let (messages, mut coming) = mpsc::channel::<Result<FlightData, Status>>(1);
    let (waits, taken) = watch::channel(None);
    let mut count = 0;
    let coming = stream::poll_fn(move |cx| {
        let next = coming.poll_next_unpin(cx);
        match next {
            Poll::Pending => {
                waits.send_replace(Some(count));
            }
            Poll::Ready(_) => count += 1,
        }
        next
    });
    (Sends { messages, taken }, coming)
}

impl Sends {
    /// Sends three rows, and takes so long after each message that was taken.
    async fn slowly<F>(&mut self, mut work: Pin<&mut F>, clock: &ManualClock, pause: Duration)
    where
        F: Future<Output: Debug>,
    {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let batch = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
        let encoder = FlightDataEncoderBuilder::new().build(stream::iter([Ok(batch)]));
        let messages: Vec<FlightData> = encoder.try_collect().await.expect("messages");
        assert!(messages.len() > 1, "the columns come first");
        for (at, message) in messages.into_iter().enumerate() {
            self.messages.try_send(Ok(message)).expect("room");
            tokio::select! {
                ended = work.as_mut() => panic!("{ended:?}"),
                waited = self.taken.wait_for(|taken| *taken == Some(at + 1)) => drop(waited.expect("somebody reads")),
            }
            clock.advance(pause);
            assert!(poll!(work.as_mut()).is_pending(), "it was not too slow");
        }
    }
}

fn command() -> CommandStatementIngest {
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create.into(),
            if_exists: TableExistsOption::Append.into(),
        }),
        table: "loaded".into(),
        schema: Some("gold".into()),
        ..CommandStatementIngest::default()
    }
}

// Goal: a load whose client goes silent ends with an error that says so, gives its place back and leaves neither a table nor a file; one
// whose client is slow and goes on takes as long as it takes. Method: a load that makes its table, with almost as much time between its
// messages as may be; then a moment more, or the end of its rows.
#[tokio::test]
async fn silent_loads_end() {
    let clock = Arc::new(ManualClock::new(0));
    let lake = Lake::with(QueryOptions::default(), clock.clone()).await;
    let (service, user) = (&lake.service, Principal::local());
    let (silent_max, moment) = (QueryOptions::default().query_timeout, Duration::from_millis(1));
    let table = "gold.loaded".parse().expect("a name");
    let files = async || {
        let all = lake.engine().store().list("memory://lake").await.expect("a listing");
        all.iter().filter(|file| file.location.ends_with(".parquet")).count()
    };
    let before = files().await;
    assert!(before > 0, "another table has rows");
    for goes_on in [false, true] {
        let (mut client, messages) = client();
        let rows = coming::rows(service, messages);
        let mut load = pin!(ingest::ingest(service, &user, command(), rows));
        client.slowly(load.as_mut(), &clock, silent_max - moment).await;
        assert_eq!(service.at_work(), 1);
        if goes_on {
            drop(client);
            let ended = tokio::time::timeout(PATIENCE, load).await.expect("it ends");
            assert_eq!(ended.expect("a load"), 3);
        } else {
            clock.advance(moment);
            let ended = tokio::time::timeout(PATIENCE, load).await.expect("it ends");
            let told = ended.expect_err("nothing comes");
            assert_eq!(told.code(), Code::DeadlineExceeded, "{told}");
            assert!(told.message().starts_with("SQL-0046"), "{told}");
            let noted = service.history().all();
            assert_eq!(noted[0].error.as_deref(), Some("SQL-0046"));
        }
        let there = lake.engine().catalog().load_table(&table).await.expect("an answer");
        assert_eq!(there.is_some(), goes_on);
        assert_eq!(files().await > before, goes_on);
        assert_eq!(service.at_work(), 0);
    }
}

// Goal: parameters whose client goes silent are not waited for either, and for no longer than its session gives a statement. Method: rows of
// a session with a time of its own, almost all of it between its messages and then the rest.
#[tokio::test]
async fn silent_parameters_end() {
    let clock = Arc::new(ManualClock::new(0));
    let lake = Lake::with(QueryOptions::default(), clock.clone()).await;
    let (silent_max, moment) = (Duration::from_secs(5), Duration::from_millis(1));
    let service = lake.service.within_time(Some(silent_max));
    let (mut client, messages) = client();
    let mut read = pin!(parameters::read_rows(coming::rows(&service, messages)));
    client.slowly(read.as_mut(), &clock, silent_max - moment).await;
    clock.advance(moment);
    let ended = tokio::time::timeout(PATIENCE, read).await.expect("it ends");
    let told = ended.expect_err("nothing comes");
    assert_eq!(told.code(), Code::DeadlineExceeded, "{told}");
    assert!(told.message().starts_with("SQL-0046"), "{told}");
}
