//! Handles of Flight SQL that one process gave and another one takes.

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, CommandPreparedStatementQuery, DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{Action, FlightDescriptor, Ticket};
use axum::body::Bytes;
use futures::{TryStreamExt, stream};
use prost::Message;
use tonic::transport::{Channel, Endpoint};

use crate::kit::{Node, NodeBuilder};

const SECRET: &str = "an installation's own 32 bytes or more";

/// A client without a memory: what is to be known in a call stands in it.
async fn connect(node: &Node) -> FlightSqlServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", node.ports().flight)).unwrap();
    FlightSqlServiceClient::new(endpoint.connect().await.unwrap())
}

async fn prepare(node: &Node, sql: &str) -> Bytes {
    let request = ActionCreatePreparedStatementRequest {
        query: sql.into(),
        transaction_id: None,
    };
    let body = act(node, "CreatePreparedStatement", request.as_any().encode_to_vec()).await;
    let prepared: ActionCreatePreparedStatementResult = Any::decode(body.unwrap()).unwrap().unpack().unwrap().unwrap();
    prepared.prepared_statement_handle
}

async fn act(node: &Node, kind: &str, body: Vec<u8>) -> Option<Bytes> {
    let action = Action {
        r#type: kind.into(),
        body: body.into(),
    };
    let mut client = connect(node).await;
    let mut answers = client.inner_mut().do_action(action).await.unwrap().into_inner();
    answers.try_next().await.unwrap().map(|answer| answer.body)
}

fn command(handle: &Bytes) -> FlightDescriptor {
    let query = CommandPreparedStatementQuery {
        prepared_statement_handle: handle.clone(),
    };
    FlightDescriptor::new_cmd(query.as_any().encode_to_vec())
}

/// The handle that has the value with it.
async fn bind(node: &Node, handle: &Bytes, value: i64) -> Bytes {
    let schema = Schema::new(vec![Field::new("1", DataType::Int64, true)]);
    let batch = RecordBatch::try_new(schema.into(), vec![std::sync::Arc::new(Int64Array::from(vec![value]))]).unwrap();
    let data: Vec<_> = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(command(handle)))
        .with_schema(batch.schema())
        .build(stream::iter([Ok(batch)]))
        .try_collect()
        .await
        .unwrap();
    let mut client = connect(node).await;
    let mut answers = client.do_put(stream::iter(data)).await.unwrap();
    let answer = answers.try_next().await.unwrap().expect("an answer");
    let bound = DoPutPreparedStatementResult::decode(answer.app_metadata).unwrap();
    bound.prepared_statement_handle.expect("a handle")
}

async fn ticket(node: &Node, descriptor: FlightDescriptor) -> Ticket {
    let mut client = connect(node).await;
    let info = client
        .inner_mut()
        .get_flight_info(descriptor)
        .await
        .unwrap()
        .into_inner();
    info.endpoint[0].ticket.clone().unwrap()
}

async fn number(node: &Node, ticket: Ticket) -> i64 {
    let rows: Vec<RecordBatch> = connect(node)
        .await
        .do_get(ticket)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let rows = arrow::compute::concat_batches(&rows[0].schema(), &rows).unwrap();
    assert_eq!((rows.num_rows(), rows.num_columns()), (1, 1));
    rows.column(0).as_any().downcast_ref::<Int64Array>().unwrap().value(0)
}

// Goal: a balancer may send each call of one statement to another process: whoever shares the secret takes a handle, a bound handle and a
// ticket, and whoever has another secret takes none. Method: prepared at one, bound at the other, asked at the first, fetched at the
// other, closed at the first; a ticket of a query; a change; the same at a process with another secret.
#[tokio::test(flavor = "multi_thread")]
async fn handles_are_good_at_every_node() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let (first, second, stranger) = tokio::task::spawn_blocking(move || {
        let builder = NodeBuilder::up(&path);
        let catalog = builder.ports.catalog;
        let first = builder
            .config(&format!("[security]\nnode_secret = \"{SECRET}\"\n"))
            .start();
        let token = first.cli(&["user", "token", "stranger"]).unwrap();
        let role = |name: &str, security: String| {
            let endpoints = format!("[catalog]\nendpoints = [\"http://127.0.0.1:{catalog}\"]\n");
            let mut role = NodeBuilder::serve(&path, "flight-sql").config(&format!("{endpoints}{security}"));
            role.name = name.into();
            role.start()
        };
        let second = role("second", format!("[security]\nnode_secret = \"{SECRET}\"\n"));
        let stranger = role("stranger", format!("token = \"{}\"\n", token.trim()));
        first.query("CREATE SCHEMA s").unwrap();
        first
            .query("CREATE TABLE s.t AS SELECT value AS id FROM generate_series(1, 10)")
            .unwrap();
        (first, second, stranger)
    })
    .await
    .unwrap();
    let handle = prepare(&first, "SELECT max(id) AS id FROM s.t WHERE id < ?").await;
    let bound = bind(&second, &handle, 6).await;
    let asked = ticket(&first, command(&bound)).await;
    assert_eq!(number(&second, asked.clone()).await, 5);
    assert_eq!(number(&first, asked).await, 5, "a ticket is good more than once");
    let other = bind(&first, &handle, 3).await;
    assert_eq!(number(&second, ticket(&second, command(&other)).await).await, 2);
    let close = ActionClosePreparedStatementRequest {
        prepared_statement_handle: bound.clone(),
    };
    act(&second, "ClosePreparedStatement", close.as_any().encode_to_vec()).await;
    let info = connect(&second)
        .await
        .execute("SELECT count(*) AS n FROM s.t".into(), None)
        .await
        .unwrap();
    assert_eq!(number(&first, info.endpoint[0].ticket.clone().unwrap()).await, 10);
    let insert = bind(&second, &prepare(&first, "INSERT INTO s.t VALUES (?)").await, 77).await;
    ticket(&second, command(&insert)).await;
    let all = prepare(&second, "SELECT max(id) AS id FROM s.t").await;
    assert_eq!(
        number(&first, ticket(&first, command(&all)).await).await,
        77,
        "a change that was made at the other"
    );
    let mut client = connect(&stranger).await;
    let refused = client
        .inner_mut()
        .get_flight_info(command(&bound))
        .await
        .expect_err("another secret");
    assert!(refused.message().contains("SQL-"), "{refused}");
    let refused = client
        .do_get(info.endpoint[0].ticket.clone().unwrap())
        .await
        .map(|_| ());
    assert!(refused.is_err_and(|error| error.to_string().contains("SQL-")));
}
