//! Cancelling a statement from another connection.

use std::fs;
use std::time::Duration;

use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Any, ProstMessageExt};
use arrow_flight::{Action, CancelFlightInfoRequest, CancelFlightInfoResult, FlightInfo};
use axum::body::Bytes;
use futures::TryStreamExt;
use prost::Message;
use tonic::transport::{Channel, Endpoint};

use crate::kit::{Node, NodeBuilder, wait_for};

const DEADLINE: Duration = Duration::from_secs(120);

/// From the request to cancel to the end of the client's stream, and to the end of all work.
const CANCEL_MAX: Duration = Duration::from_secs(1);

/// A quarter of one processor is the rest of the process, not a join of hours: in hundredths of a second, of a look this long.
const REST_MAX: u64 = 3;
const LOOK: Duration = Duration::from_millis(100);

/// So many looks without work are an end.
const QUIET_LOOKS: u32 = 5;

pub const CANCELLED: i32 = 1;
/// Both answers when there is nothing to cancel.
const NOTHING: (i32, i32) = (3, 3);

/// A client of Flight SQL.
pub async fn connect(node: &Node) -> FlightSqlServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", node.ports().flight)).unwrap();
    FlightSqlServiceClient::new(endpoint.connect().await.unwrap())
}

async fn act(node: &Node, kind: &str, body: Vec<u8>) -> Bytes {
    let mut other = connect(node).await;
    let action = Action {
        r#type: kind.into(),
        body: body.into(),
    };
    let mut answers = other.inner_mut().do_action(action).await.unwrap().into_inner();
    answers.try_next().await.unwrap().unwrap().body
}

/// Asks in both ways that clients know; the second must say what the first one left.
pub async fn cancel(node: &Node, info: &FlightInfo) -> (i32, i32) {
    let request = CancelFlightInfoRequest {
        info: Some(info.clone()),
    };
    let body = act(node, "CancelFlightInfo", request.encode_to_vec()).await;
    let first = CancelFlightInfoResult::decode(body).unwrap().status;
    let request = ActionCancelQueryRequest {
        info: info.encode_to_vec().into(),
    };
    let body = act(node, "CancelQuery", request.as_any().encode_to_vec()).await;
    let second: ActionCancelQueryResult = Any::decode(body).unwrap().unpack().unwrap().unwrap();
    (first, second.result)
}

/// Clock ticks of CPU the process has used: a hundredth of a second each.
pub fn ticks(node: &Node) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", node.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Starts `sql`, which takes hours, cancels it while it works, and waits until nothing works any more.
#[expect(clippy::disallowed_methods, reason = "how soon work ends is measured in real time")]
async fn cancel_while_it_works(node: &Node, sql: &str, works: impl Fn(u64) -> bool) {
    let mut client = connect(node).await;
    let never = client.execute(sql.into(), None).await.unwrap();
    assert_eq!(cancel(node, &never).await, (CANCELLED, CANCELLED), "it will not begin");
    let refused = client.do_get(never.endpoint[0].ticket.clone().unwrap()).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("SQL-0006")));
    let done = client.execute("SELECT 1".into(), None).await.unwrap();
    let rows = client.do_get(done.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert_eq!(rows.try_collect::<Vec<_>>().await.unwrap().len(), 1);
    assert_eq!(cancel(node, &done).await, NOTHING, "it has ended by itself");
    let info = client.execute(sql.into(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let reader = tokio::spawn(async move {
        let stream = client.do_get(ticket).await?;
        stream.try_collect::<Vec<_>>().await
    });
    let before = ticks(node);
    let asked = std::time::Instant::now();
    while !works(ticks(node) - before) {
        assert!(!reader.is_finished(), "it cannot have ended: {:?}", reader.await);
        assert!(asked.elapsed() < DEADLINE, "it does not begin to work");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let begun = std::time::Instant::now();
    let (first, _) = cancel(node, &info).await;
    assert_eq!(first, CANCELLED);
    let error = reader.await.unwrap().expect_err("it was cancelled");
    assert!(begun.elapsed() < CANCEL_MAX, "{:?}", begun.elapsed());
    assert!(error.to_string().contains("SQL-0006"), "{error}");
    let (mut quiet, mut ended) = (0, begun.elapsed());
    while quiet < QUIET_LOOKS {
        let (before, at) = (ticks(node), begun.elapsed());
        assert!(at < DEADLINE, "the work goes on");
        tokio::time::sleep(LOOK).await;
        match (ticks(node) - before > REST_MAX, quiet) {
            (true, _) => quiet = 0,
            (false, 0) => (quiet, ended) = (1, at),
            (false, _) => quiet += 1,
        }
    }
    assert!(ended < CANCEL_MAX, "work went on for {ended:?}");
    assert_eq!(cancel(node, &info).await, (CANCELLED, CANCELLED), "it is ended");
}

// Goal: a statement that would run for hours ends within a second of its cancelling from another connection, in the process and on
// the cluster, and its work really ends. Method: cross joins; the processor time of the process before and after.
#[tokio::test(flavor = "multi_thread")]
async fn statements_end_when_they_are_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let changes = dir.path().join("changes");
    fs::create_dir_all(&changes).unwrap();
    let lines: Vec<String> = (0..500)
        .map(|id| {
            let value = format!("{{\"before\":null,\"after\":{{\"id\":{id}}},\"source\":{{\"lsn\":{id}}},\"op\":\"c\",\"ts_ms\":1}}");
            serde_json::json!({
                "topic": "long.public.things", "partition": 0, "offset": id, "timestamp": 1_767_859_200_000_i64, "headers": [],
                "key": {"text": format!("{{\"id\":{id}}}")}, "value": {"text": value},
            })
            .to_string()
        })
        .collect();
    fs::write(changes.join("00000000.jsonl"), lines.join("\n") + "\n").unwrap();
    let builder = NodeBuilder::up(dir.path());
    let scheduler = builder.ports.scheduler;
    let config = format!(
        "[scheduler]\nlisten = \"127.0.0.1:{scheduler}\"\nlocal_bytes_max = 0\n\
         [ingest]\ncommit_interval_ms = 100\n[[ingest.sources]]\ntype = \"file\"\npath = {changes:?}\n"
    );
    let node = tokio::task::spawn_blocking(move || {
        let node = builder.config(&config).start();
        wait_for("all rows are there", DEADLINE, || {
            (node.number("SELECT count(*) FROM bronze.things")? == 500).then_some(())
        });
        wait_for("the executor is there", DEADLINE, || {
            (node.control("/v1/status")?["executors"].as_u64()? == 1).then_some(())
        });
        node
    })
    .await
    .unwrap();
    let busy = |ticks: u64| ticks > 50;
    let local = "SELECT sum(sqrt(a.value * b.value)) FROM generate_series(1, 10000000) a CROSS JOIN generate_series(1, 10000000) b";
    cancel_while_it_works(&node, local, busy).await;
    let cluster = "SELECT sum(sqrt(a._offset * b._offset * c._offset * d._offset * e._offset)) FROM bronze.things a CROSS JOIN bronze.things b \
                   CROSS JOIN bronze.things c CROSS JOIN bronze.things d CROSS JOIN bronze.things e";
    let mut client = connect(&node).await;
    let info = client.execute(format!("EXPLAIN {cluster}"), None).await.unwrap();
    let rows: Vec<_> = client
        .do_get(info.endpoint[0].ticket.clone().unwrap())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let route = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
    assert!(route.contains("cluster"), "{route}");
    cancel_while_it_works(&node, cluster, busy).await;
}
