//! Whose handles and tickets are, and until when they are good.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::sql::CommandPreparedStatementQuery;
use tonic::Code;

use tidewater_core::ManualClock;

use super::polls::refused;
use super::*;
use crate::service::QueryOptions;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MOMENT: Duration = Duration::from_millis(1);

/// There is nothing that this user could end.
const NOT_CANCELLABLE: i32 = 3;

fn prepared(handle: Vec<u8>) -> FlightDescriptor {
    command_of(&CommandPreparedStatementQuery {
        prepared_statement_handle: handle.into(),
    })
}

/// What every call that takes the handle of a prepared statement says to it.
async fn told_of(client: &Client, descriptor: &FlightDescriptor) -> [Result<(), Status>; 4] {
    let request = || client.request(descriptor.clone());
    [
        client.calls.get_flight_info(request()).await.map(drop),
        client.calls.get_schema(request()).await.map(drop),
        client.poll(descriptor.clone()).await.map(drop),
        client.fetch_ticket(Ticket::new(descriptor.cmd.clone())).await.map(drop),
    ]
}

/// Refused without a word of what it is.
fn foreign<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.expect_err("another's");
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    assert!(status.message().starts_with("SQL-0038"), "{status}");
    for word in ["numbers", "SELECT", "INSERT", "ana"] {
        assert!(!status.message().contains(word), "{status}");
    }
}

// Goal: what one user was given says nothing to another and does nothing for them, and stays good for its owner. Method: a ticket of a query,
// one that holds the answer of a change, and a prepared statement, shown by another user to every call that takes such.
#[tokio::test]
async fn nobody_shows_what_is_anothers() {
    let mut client = Client::new().await;
    client.user = Some(Principal::named("ana"));
    let sql = "SELECT id FROM numbers";
    let asked = client.info(sql).await.expect("info");
    let insert = "INSERT INTO numbers VALUES (10, 'n10', now())";
    let changed = client.info(insert).await.expect("done");
    let (handle, _) = client.prepare(sql).await.expect("a handle");
    let descriptor = prepared(handle);
    client.user = Some(Principal::named("bob"));
    for info in [&asked, &changed] {
        foreign(client.fetch(info).await);
        foreign(client.renew(info.endpoint[0].clone()).await);
        assert_eq!(client.cancel(info.clone()).await, NOT_CANCELLABLE);
    }
    for told in told_of(&client, &descriptor).await {
        foreign(told);
    }
    client.user = Some(Principal::named("ana"));
    for (info, rows) in [(&asked, 11), (&changed, 1)] {
        let (_, batches) = client.fetch(info).await.expect("rows");
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows);
    }
    for told in told_of(&client, &descriptor).await {
        told.expect("its owner");
    }
}

// Goal: tickets are good for a day and prepared statements for seven, to the millisecond; a ticket that is renewed in time for a day more.
// Method: a clock that is moved to the moments before and at each end.
#[tokio::test]
async fn handles_end() {
    let clock = Arc::new(ManualClock::new(0));
    let mut client = Client::over(Lake::with(QueryOptions::default(), clock.clone()).await);
    let info = client.info("SELECT 1 AS v").await.expect("info");
    let first = info.endpoint[0].clone();
    assert!(
        first.expiration_time.is_none(),
        "a client that sees one may take rows of two fetches for the same"
    );
    let (handle, _) = client.prepare("SELECT 1 AS v").await.expect("a handle");
    let descriptor = prepared(handle);
    clock.advance(DAY - MOMENT);
    client.fetch(&info).await.expect("in time");
    let renewed = client.renew(first.clone()).await.expect("in time");
    let until = renewed.expiration_time.expect("an end");
    assert_eq!((until.seconds, until.nanos), (2 * 86_400 - 1, 999_000_000));
    clock.advance(MOMENT);
    refused(client.fetch(&info).await, Code::NotFound, "SQL-0039");
    refused(client.renew(first).await, Code::NotFound, "again");
    let ticket = renewed.ticket.clone().expect("a ticket");
    client.fetch_ticket(ticket.clone()).await.expect("it was renewed");
    clock.advance(DAY - MOMENT);
    refused(client.fetch_ticket(ticket).await, Code::NotFound, "SQL-0039");
    refused(client.renew(renewed).await, Code::NotFound, "SQL-0039");
    clock.advance(5 * DAY);
    for told in told_of(&client, &descriptor).await {
        told.expect("the last moment of seven days");
    }
    let last = client.calls.get_flight_info(client.request(descriptor.clone())).await;
    let last = last.expect("info").into_inner();
    clock.advance(MOMENT);
    for told in told_of(&client, &descriptor).await {
        refused(told, Code::NotFound, "SQL-0039");
    }
    client.fetch(&last).await.expect("a ticket has an end of its own");
}

// Goal: what was altered is nobody's, and is refused in words of its own. Method: the last byte of a ticket and of a handle.
#[tokio::test]
async fn altered_handles_are_none() {
    let mut client = Client::new().await;
    let altered = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        *bytes.last_mut().expect("bytes") ^= 1;
        bytes
    };
    let mut endpoint = client.info("SELECT 1").await.expect("info").endpoint[0].clone();
    let ticket = Ticket::new(altered(&endpoint.ticket.clone().expect("a ticket").ticket));
    refused(
        client.fetch_ticket(ticket.clone()).await,
        Code::InvalidArgument,
        "SQL-0002",
    );
    endpoint.ticket = Some(ticket);
    refused(client.renew(endpoint).await, Code::InvalidArgument, "SQL-0002");
    let (handle, _) = client.prepare("SELECT 1").await.expect("a handle");
    for told in told_of(&client, &prepared(altered(&handle))).await {
        refused(told, Code::InvalidArgument, "SQL-0002");
    }
}
