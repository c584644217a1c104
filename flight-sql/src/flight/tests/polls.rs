//! Queries that are polled.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::{
    CancelFlightInfoRequest, CancelFlightInfoResult, FlightEndpoint, PollInfo, RenewFlightEndpointRequest,
};
use tonic::Code;

use tidewater_core::ManualClock;
use tidewater_security::Privilege;

use super::*;
use crate::handle::{Handle, HeldHandle};
use crate::held::HELD_OF_ONE_MAX;
use crate::service::QueryOptions;
use crate::service::tests::granted;

/// Hours of work.
const LONG: &str =
    "SELECT sum(sqrt(a.value * b.value)) FROM generate_series(1, 10000000) a CROSS JOIN generate_series(1, 10000000) b";

/// Polls before a test gives up, each of which waits.
const POLLS_MAX: usize = 120;

impl Client {
    pub(super) async fn poll(&self, descriptor: FlightDescriptor) -> Result<PollInfo, Status> {
        let polled = self.calls.poll_flight_info(self.request(descriptor)).await;
        polled.map(Response::into_inner)
    }

    /// Polls to the end.
    async fn whole(&self, sql: &str) -> Result<PollInfo, Status> {
        let mut polled = self.poll(query(sql)).await?;
        for _ in 0..POLLS_MAX {
            let Some(again) = polled.flight_descriptor.clone() else {
                return Ok(polled);
            };
            polled = self.poll(again).await?;
        }
        panic!("{sql} does not end");
    }

    pub(super) async fn cancel(&mut self, info: FlightInfo) -> i32 {
        let request = CancelFlightInfoRequest { info: Some(info) };
        let body = self
            .act("CancelFlightInfo", request.encode_to_vec())
            .await
            .expect("an answer");
        CancelFlightInfoResult::decode(&*body).expect("a status").status
    }

    pub(super) async fn renew(&mut self, endpoint: FlightEndpoint) -> Result<FlightEndpoint, Status> {
        let request = RenewFlightEndpointRequest {
            endpoint: Some(endpoint),
        };
        let body = self.act("RenewFlightEndpoint", request.encode_to_vec()).await?;
        Ok(FlightEndpoint::decode(&*body).expect("an endpoint"))
    }
}

pub(super) fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, text: &str) {
    let status = answer.expect_err("it is refused");
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().contains(text), "{status}");
}

// Goal: a query that is polled to its end has the rows that it has without polls, as often as they are fetched. Method: both ways, two
// fetches, the time asked to be longer.
#[tokio::test]
async fn rows_are_held_when_polls_end() {
    let mut client = Client::new().await;
    let sql = "SELECT id, name FROM numbers ORDER BY id";
    let polled = client.whole(sql).await.expect("an end");
    assert_eq!(polled.progress, Some(1.0));
    assert!(polled.expiration_time.is_none(), "there is nothing to poll again with");
    let info = polled.info.expect("info");
    assert_eq!(info.total_records, 10);
    let direct = client.info(sql).await.expect("info");
    assert_eq!(info.schema, direct.schema);
    assert!(info.ordered && direct.ordered);
    let expected = client.fetch(&direct).await.expect("rows");
    for _ in 0..2 {
        let (schema, batches) = client.fetch(&info).await.expect("rows");
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!((schema, rows), (expected.0.clone(), 10));
    }
    let endpoint = info.endpoint[0].clone();
    let until = endpoint.expiration_time.expect("an end");
    let renewed = client.renew(endpoint.clone()).await.expect("longer");
    assert!(renewed.expiration_time.expect("an end").seconds >= until.seconds);
    assert_eq!(renewed.ticket, endpoint.ticket);
    assert_eq!(client.cancel(info.clone()).await, 1, "its rows are let go");
    refused(client.fetch(&info).await, Code::NotFound, "SQL-0022");
    refused(client.renew(endpoint).await, Code::NotFound, "SQL-0022");
    assert_eq!(client.cancel(info).await, 1, "as often as it is asked");
}

// Goal: rows that are held when polls end go by the grants of today, in every call that takes their ticket. Method: a user who loses the right to
// the table, by a fetch, a poll and the wish to hold them longer, each of a query of its own.
#[tokio::test]
async fn held_rows_go_by_todays_grants() {
    let (lake, rights) = granted::lake().await;
    let mut client = Client::over(lake);
    client.user = Some(Principal::named("ana"));
    for call in ["fetch", "poll", "renew"] {
        rights.are(&[Privilege::Select]);
        let polled = client.whole("SELECT id FROM numbers").await.expect("an end");
        let info = polled.info.expect("info");
        assert_eq!(info.total_records, 10);
        rights.are(&[Privilege::Select, Privilege::Insert]);
        client.fetch(&info).await.expect("more rights take none");
        rights.are(&[Privilege::Insert]);
        let endpoint = info.endpoint[0].clone();
        let answer = match call {
            "fetch" => client.fetch(&info).await.map(drop),
            "poll" => client
                .poll(info.flight_descriptor.clone().expect("one"))
                .await
                .map(drop),
            _ => client.renew(endpoint).await.map(drop),
        };
        refused(answer, Code::PermissionDenied, "SEC-0008");
        rights.are(&[Privilege::Select]);
        refused(client.fetch(&info).await, Code::NotFound, "SQL-0022");
    }
}

// Goal: a list of grants that was polled is of what could be known of when it was made. Method: one's own grants, fetched before and after they
// change.
#[tokio::test]
async fn held_grants_go_by_todays_grants() {
    let (lake, rights) = granted::lake().await;
    let mut client = Client::over(lake);
    client.user = Some(Principal::named("ana"));
    rights.are(&[Privilege::Select]);
    let polled = client.whole("SHOW GRANTS").await.expect("an end");
    let info = polled.info.expect("info");
    assert_eq!(info.total_records, 1);
    client.fetch(&info).await.expect("as often as wanted");
    rights.are(&[Privilege::Insert]);
    refused(client.fetch(&info).await, Code::NotFound, "SQL-0022");
    rights.are(&[Privilege::Select]);
    refused(client.fetch(&info).await, Code::NotFound, "SQL-0022");
}

// Goal: a query goes on while it is polled, and ends with all its work when it is cancelled by what a poll told. Method: a query of hours.
#[tokio::test(flavor = "multi_thread")]
async fn polls_tell_of_what_runs() {
    let mut client = Client::new().await;
    let mut polled = client.poll(query(LONG)).await.expect("it runs");
    for _ in 0..2 {
        let again = polled.flight_descriptor.clone().expect("it runs still");
        assert!(polled.expiration_time.is_some() && polled.progress.is_none());
        let ticket = Ticket::new(again.cmd.clone());
        refused(client.fetch_ticket(ticket).await, Code::Unavailable, "SQL-0035");
        polled = client.poll(again).await.expect("it runs");
    }
    assert_eq!(client.lake.service.at_work(), 1);
    assert_eq!(client.cancel(polled.info.expect("info")).await, 1);
    let again = polled.flight_descriptor.expect("it ran");
    refused(client.poll(again).await, Code::Cancelled, "SQL-0006");
    let clock = client.lake.service.clock().clone();
    let deadline = clock.monotonic() + Duration::from_secs(60);
    while client.lake.service.at_work() > 0 {
        assert!(clock.monotonic() < deadline, "its work goes on");
        tokio::task::yield_now().await;
    }
}

// Goal: polls of a query that reads a table tell how far it is, never less than before, and 1 at its end only. Method: a query of hours, and
// one that ends.
#[tokio::test(flavor = "multi_thread")]
async fn polls_tell_how_far_a_query_is() {
    let mut client = Client::new().await;
    let long = "SELECT sum(sqrt(n.id * a.value)) FROM numbers n CROSS JOIN generate_series(1, 10000000000) a";
    let mut polled = client.poll(query(long)).await.expect("it runs");
    let mut told = vec![polled.progress];
    for _ in 0..2 {
        polled = client
            .poll(polled.flight_descriptor.expect("it runs still"))
            .await
            .expect("it runs");
        told.push(polled.progress);
    }
    assert!(told.is_sorted(), "{told:?}");
    assert!(
        told.last()
            .is_some_and(|last| last.is_some_and(|last| last > 0.0 && last < 1.0)),
        "{told:?}"
    );
    assert_eq!(client.cancel(polled.info.expect("info")).await, 1);
    let polled = client.whole("SELECT count(*) FROM numbers").await.expect("an end");
    assert_eq!(polled.progress, Some(1.0));
}

// Goal: a query that nobody polls any more is ended, and the history says that it was for that. Method: a query of hours that is polled once,
// and a clock that is moved.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_polls_is_ended() {
    let clock = Arc::new(ManualClock::new(0));
    let client = Client::over(Lake::with(QueryOptions::default(), clock.clone()).await);
    let ticks = async {
        loop {
            clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    };
    let polled = tokio::select! {
        polled = client.poll(query(LONG)) => polled.expect("it runs"),
        () = ticks => unreachable!("it does not end"),
    };
    assert!(polled.flight_descriptor.is_some(), "it runs still");
    let ended = async {
        // What never began is in no history.
        while client.lake.service.at_work() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(61));
        loop {
            let records = client.lake.service.history().all();
            match records.into_iter().find_map(|record| record.error) {
                Some(code) => return code,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let code = tokio::time::timeout(Duration::from_secs(60), ended).await;
    assert_eq!(code.expect("it ends"), "SQL-0037");
}

// Goal: what changes something does so once, however often it is polled and fetched. Method: an INSERT polled, fetched two times.
#[tokio::test]
async fn changes_are_made_once() {
    let client = Client::new().await;
    let polled = client
        .whole("INSERT INTO numbers VALUES (10, 'n10', now())")
        .await
        .expect("done");
    let info = polled.info.expect("info");
    for _ in 0..2 {
        let (schema, batches) = client.fetch(&info).await.expect("rows");
        assert_eq!(schema.field(0).name(), "count");
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    }
    let again = info.flight_descriptor.expect("a descriptor");
    assert!(
        client
            .poll(again)
            .await
            .expect("it has ended")
            .flight_descriptor
            .is_none()
    );
    assert_eq!(client.rows("SELECT id FROM numbers").await.expect("rows"), 11);
}

// Goal: errors come with the poll, and nothing that is not theirs reaches anybody. Method: a bad statement; the ticket at another process,
// in another's name, after its end, altered; a ticket in the place of a descriptor.
#[tokio::test]
async fn polls_are_refused() {
    let client = Client::new().await;
    refused(
        client.whole("SELECT no_such FROM numbers").await,
        Code::InvalidArgument,
        "no_such",
    );
    let failing = client.whole("SELECT CAST(name AS INT) FROM numbers").await;
    refused(failing, Code::InvalidArgument, "");
    let info = client.whole("SELECT 1 AS v").await.expect("an end").info.expect("info");
    let again = info.flight_descriptor.clone().expect("a descriptor");
    let other = Client::new().await;
    refused(other.poll(again.clone()).await, Code::NotFound, "SQL-0022");
    refused(other.fetch(&info).await, Code::NotFound, "SQL-0022");
    let service = &client.lake.service;
    let Some(Handle::Held(held)) = crate::flight::polls::handle_of(service, &again.cmd) else {
        panic!("not a held handle");
    };
    let owners = HeldHandle {
        owner: "bob".into(),
        ..held.clone()
    };
    let past = HeldHandle { until_ms: 0, ..held };
    for handle in [owners, past] {
        let ticket = arrow_flight::sql::TicketStatementQuery {
            statement_handle: handle.seal(service.key()),
        };
        refused(client.poll(command_of(&ticket)).await, Code::NotFound, "SQL-0022");
    }
    let mut altered = again.cmd.to_vec();
    *altered.last_mut().expect("bytes") ^= 1;
    refused(
        client.poll(FlightDescriptor::new_cmd(altered)).await,
        Code::InvalidArgument,
        "SQL-0002",
    );
    let direct = client.info("SELECT 1").await.expect("info");
    let ticket = direct.endpoint[0].ticket.clone().expect("a ticket").ticket;
    refused(
        client.poll(FlightDescriptor::new_cmd(ticket)).await,
        Code::InvalidArgument,
        "polled",
    );
}

// Goal: held results have a limit, and room comes back. Method: as many as a user may have, one more; one fetched; all cancelled.
#[tokio::test]
async fn held_results_are_limited() {
    let mut client = Client::new().await;
    let mut held = Vec::new();
    for _ in 0..HELD_OF_ONE_MAX {
        held.push(client.whole("SELECT 1 AS v").await.expect("an end").info.expect("info"));
    }
    refused(client.whole("SELECT 1 AS v").await, Code::ResourceExhausted, "SQL-0023");
    client.fetch(&held[1]).await.expect("rows");
    client
        .whole("SELECT 1 AS v")
        .await
        .expect("in the place of what was fetched");
    refused(client.fetch(&held[1]).await, Code::NotFound, "SQL-0022");
    refused(client.whole("SELECT 1 AS v").await, Code::ResourceExhausted, "SQL-0023");
    client.fetch(&held[0]).await.expect("still there");
    for info in held.into_iter().skip(2) {
        assert_eq!(client.cancel(info).await, 1);
    }
    client.whole("SELECT 1 AS v").await.expect("room again");
}
