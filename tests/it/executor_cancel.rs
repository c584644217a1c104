//! Whoever ends a statement ends its work on executors, by every way in which a client can.

pub mod bench;
mod writes;

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, Ticket};
use futures::TryStreamExt;
use reqwest::blocking::Response;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::transport::Channel;

use self::bench::Bench;
use crate::cancel::{CANCELLED, cancel, connect};
use crate::kit::slack;
use crate::kit::wire::Wire;

/// From the moment in which the end is asked for to the end of all work, and to memory that is free.
pub const ENDED_MAX: Duration = Duration::from_secs(1);

/// How much later than the one before each of the early cancellations comes, and how many there are. They are spread over time and wait
/// for nothing: most moments before the work show in no state, and one that was seen is over when the cancellation comes.
const EARLY_STEP: Duration = Duration::from_millis(75);
const EARLY_COUNT: u32 = 8;

/// A way to end a statement: begins one, ends it once it works, and looks at how it is answered. When its client began to end it.
type Way = fn(&mut Bench) -> Instant;

const WAYS: [(&str, Way); 12] = [
    ("CancelRequest of PostgreSQL", by_key),
    ("pg_cancel_backend", by_pid),
    ("pg_terminate_backend", by_termination),
    ("a PostgreSQL client that goes away", by_leaving_postgres),
    ("statement_timeout", by_timeout),
    ("CancelFlightInfo", by_flight_info),
    ("a call of Flight that is dropped", by_dropped_call),
    ("a Flight client that goes away", by_leaving_flight),
    ("DELETE over HTTP", by_delete),
    ("an HTTP client that goes away", by_leaving_http),
    ("tidewater query cancel", by_command_line),
    ("DELETE before it works", early),
];

#[expect(clippy::disallowed_methods, reason = "how soon work ends is measured in real time")]
pub fn now() -> Instant {
    Instant::now()
}

fn by_key(bench: &mut Bench) -> Instant {
    let (mut wire, key) = bench.wire();
    wire.ask(&bench.endless());
    bench.wait_until_it_works();
    let ended = now();
    Wire::cancel(bench.cluster.head.ports().postgres, key);
    assert_eq!(wire.answer(), Err("57014".into()));
    assert_eq!(wire.row("SELECT 1"), Ok(vec!["1".into()]), "the connection goes on");
    ended
}

/// Has a function end what a connection does, asked for by another connection.
fn end_by(bench: &mut Bench, function: &str) -> (Wire, Instant) {
    let (mut wire, [a, b, c, d, ..]) = bench.wire();
    wire.ask(&bench.endless());
    let (mut other, _) = bench.wire();
    bench.wait_until_it_works();
    let pid = i32::from_be_bytes([a, b, c, d]);
    let ended = now();
    assert_eq!(other.row(&format!("SELECT {function}({pid})")), Ok(vec!["t".into()]));
    (wire, ended)
}

fn by_pid(bench: &mut Bench) -> Instant {
    let (mut wire, ended) = end_by(bench, "pg_cancel_backend");
    assert_eq!(wire.answer(), Err("57014".into()));
    ended
}

fn by_termination(bench: &mut Bench) -> Instant {
    let (mut wire, ended) = end_by(bench, "pg_terminate_backend");
    // It may be told of the statement's end before that of the connection.
    let told = wire.answer().unwrap_err();
    assert!(["57014", "57P01"].contains(&told.as_str()), "{told}");
    ended
}

fn by_leaving_postgres(bench: &mut Bench) -> Instant {
    let (mut wire, _) = bench.wire();
    wire.ask(&bench.endless());
    bench.wait_until_it_works();
    let ended = now();
    drop(wire);
    ended
}

fn by_timeout(bench: &mut Bench) -> Instant {
    let (mut wire, _) = bench.wire();
    let mut seconds = 4_u64;
    loop {
        wire.row(&format!("SET statement_timeout = '{seconds}s'")).unwrap();
        wire.ask(&bench.endless());
        let begun = now();
        let mut works = false;
        while !works && begun.elapsed() < Duration::from_secs(seconds) {
            works = bench.works();
        }
        assert_eq!(wire.answer(), Err("57014".into()));
        if works {
            return begun + Duration::from_secs(seconds);
        }
        // It did not get to work on a busy machine.
        seconds *= 2;
        assert!(seconds < 30, "it does not begin to work");
    }
}

/// A client of Flight SQL, and a statement of its own that executors run.
fn flight(bench: &mut Bench, runtime: &Runtime) -> (FlightSqlServiceClient<Channel>, FlightInfo, Ticket) {
    let sql = bench.endless();
    runtime.block_on(async {
        let mut client = connect(&bench.cluster.head).await;
        client.set_header("tidewater.execution", "cluster");
        let info = client.execute(sql, None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        (client, info, ticket)
    })
}

/// Reads rows until they end, which they do with an error.
fn read(runtime: &Runtime, mut client: FlightSqlServiceClient<Channel>, ticket: Ticket) -> JoinHandle<FlightError> {
    runtime.spawn(async move {
        let rows = async {
            let stream = client.do_get(ticket).await?;
            stream.try_collect::<Vec<_>>().await
        };
        rows.await.unwrap_err()
    })
}

fn by_flight_info(bench: &mut Bench) -> Instant {
    let runtime = Runtime::new().unwrap();
    let (client, info, ticket) = flight(bench, &runtime);
    let reader = read(&runtime, client, ticket);
    bench.wait_until_it_works();
    let ended = now();
    let (told, _) = runtime.block_on(cancel(&bench.cluster.head, &info));
    assert_eq!(told, CANCELLED);
    match runtime.block_on(reader).unwrap() {
        FlightError::Tonic(status) => {
            assert_eq!(status.code(), Code::Cancelled, "{status}");
            assert!(status.message().contains("SQL-0006"), "{status}");
        }
        other => panic!("{other}"),
    }
    ended
}

fn by_dropped_call(bench: &mut Bench) -> Instant {
    let runtime = Runtime::new().unwrap();
    let (mut client, _, ticket) = flight(bench, &runtime);
    // A clone is the same connection.
    let same = client.inner_mut().clone();
    let reader = read(&runtime, client, ticket);
    bench.wait_until_it_works();
    let ended = now();
    reader.abort();
    assert!(runtime.block_on(reader).unwrap_err().is_cancelled());
    bench.kept.push((runtime, same));
    ended
}

fn by_leaving_flight(bench: &mut Bench) -> Instant {
    let runtime = Runtime::new().unwrap();
    let (client, _, ticket) = flight(bench, &runtime);
    drop(read(&runtime, client, ticket));
    bench.wait_until_it_works();
    let ended = now();
    // With it go the client and its connection.
    drop(runtime);
    ended
}

fn by_delete(bench: &mut Bench) -> Instant {
    let url = bench.begin_by_http();
    bench.wait_until_it_works();
    let ended = now();
    assert_eq!(bench.http.delete(&url).send().unwrap().status(), 204);
    assert_eq!(bench.http.get(&url).send().unwrap().status(), 404);
    ended
}

fn by_leaving_http(bench: &mut Bench) -> Instant {
    let body = json!({"sql": bench.endless(), "execution": "cluster"}).to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", bench.cluster.head.ports().http)).unwrap();
    let length = body.len();
    let head = format!(
        "POST /api/v1/sql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    bench.wait_until_it_works();
    let ended = now();
    drop(stream);
    ended
}

fn by_command_line(bench: &mut Bench) -> Instant {
    let body = json!({"sql": bench.endless(), "execution": "cluster"});
    let request = bench.http.post(bench.url("/api/v1/sql")).json(&body);
    let answer = std::thread::spawn(move || request.send().unwrap());
    bench.wait_until_it_works();
    let statements = bench.cluster.head.control("/v1/queries").unwrap();
    let id = statements["queries"][0]["id"].as_str().unwrap();
    let ended = now();
    bench.cluster.head.cli(&["query", "cancel", id]).unwrap();
    let answer: Response = answer.join().unwrap();
    assert_eq!(answer.status(), 409);
    let told: Value = answer.json().unwrap();
    assert_eq!(told["error"]["code"], "SQL-0006", "{told}");
    ended
}

#[expect(
    clippy::disallowed_methods,
    reason = "each comes at another moment of planning and of the way to executors"
)]
fn early(bench: &mut Bench) -> Instant {
    let mut ended = now();
    for step in 0..EARLY_COUNT {
        let url = bench.begin_by_http();
        std::thread::sleep(EARLY_STEP * step);
        ended = now();
        assert_eq!(bench.http.delete(&url).send().unwrap().status(), 204);
    }
    ended
}

// Goal: a statement that is ended, in whatever way, has no task on any executor and none of their memory a second later, its client is
// told so, and every place is free again. Method: a process that schedules and two executors with one place each; joins of hours that
// hold memory on both, ended in each way once both work, and while they are planned and sent; figures of the executors, places
// of the scheduler, processor time; a statement that is answered after each.
#[test]
#[ignore = "scripts/chaos runs it: a minute"]
fn what_is_cancelled_ends_on_executors() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path());
    bench.answers();
    let ended_max = ENDED_MAX * slack();
    let mut worst = (Duration::ZERO, "");
    let mut late = Vec::new();
    for (name, way) in WAYS {
        let from = way(&mut bench);
        let ended = bench.ended_after(from);
        println!("{name}: executors are free {ended:?} later");
        worst = worst.max((ended, name));
        if ended > ended_max {
            late.push(name);
        }
        bench.answers();
        // What came late to an executor, and was begun there for nobody, would be there now.
        bench.ended_after(now());
    }
    println!("at worst {:?}: {}", worst.0, worst.1);
    assert!(late.is_empty(), "later than {ended_max:?}: {late:?}");
    let (mut wire, _) = bench.wire();
    wire.ask(&bench.endless());
    bench.wait_until_it_works();
}
