//! Handles of Flight SQL that one process gave and another one takes.

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, CommandPreparedStatementQuery, CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{Action, BasicAuth, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use axum::body::Bytes;
use futures::{TryStreamExt, stream};
use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::kit::{Node, NodeBuilder, password_hash};

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

/// A value for a prepared statement, as it is put there.
async fn values(handle: &Bytes, value: i64) -> Vec<FlightData> {
    let schema = Schema::new(vec![Field::new("1", DataType::Int64, true)]);
    let batch = RecordBatch::try_new(schema.into(), vec![std::sync::Arc::new(Int64Array::from(vec![value]))]).unwrap();
    FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(command(handle)))
        .with_schema(batch.schema())
        .build(stream::iter([Ok(batch)]))
        .try_collect()
        .await
        .unwrap()
}

/// The handle that has the value with it.
async fn bind(node: &Node, handle: &Bytes, value: i64) -> Bytes {
    let data = values(handle, value).await;
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

/// A client of the older kind: it says who it is in a message and shows its token in a header of its own.
struct Older {
    client: FlightServiceClient<Channel>,
    token: Bytes,
}

impl Older {
    async fn log_in(node: &Node, user: &str, password: &str) -> Result<Self, Status> {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", node.ports().flight)).unwrap();
        let mut client = FlightServiceClient::new(endpoint.connect().await.unwrap());
        let basic = BasicAuth {
            username: user.into(),
            password: password.into(),
        };
        let said = HandshakeRequest {
            protocol_version: 0,
            payload: basic.encode_to_vec().into(),
        };
        let mut answers = client.handshake(stream::iter([said])).await?.into_inner();
        let token = answers.message().await?.expect("an answer").payload;
        Ok(Self { client, token })
    }

    fn with<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = MetadataValue::from_bytes(&self.token);
        request.metadata_mut().insert_bin("auth-token-bin", token);
        request
    }

    async fn ask(&self, descriptor: FlightDescriptor) -> Result<Ticket, Status> {
        let info = self.client.clone().get_flight_info(self.with(descriptor)).await?;
        Ok(info.into_inner().endpoint[0].ticket.clone().unwrap())
    }

    /// The messages of an answer: the columns, no rows, and rows.
    async fn fetch(&self, ticket: &Ticket) -> Result<usize, Status> {
        let rows = self.client.clone().do_get(self.with(ticket.clone())).await?;
        let rows: Vec<FlightData> = rows.into_inner().try_collect().await?;
        Ok(rows.len())
    }

    async fn bind(&self, handle: &Bytes) -> Result<Bytes, Status> {
        let data = stream::iter(values(handle, 6).await);
        let mut answers = self.client.clone().do_put(self.with(data)).await?.into_inner();
        let answer = answers.message().await?.expect("an answer");
        let bound = DoPutPreparedStatementResult::decode(answer.app_metadata).unwrap();
        Ok(bound.prepared_statement_handle.expect("a handle"))
    }

    async fn prepare(&self, sql: &str) -> Result<Bytes, Status> {
        let request = ActionCreatePreparedStatementRequest {
            query: sql.into(),
            transaction_id: None,
        };
        let action = Action {
            r#type: "CreatePreparedStatement".into(),
            body: request.as_any().encode_to_vec().into(),
        };
        let mut answers = self.client.clone().do_action(self.with(action)).await?.into_inner();
        let body = answers.message().await?.expect("an answer").body;
        let prepared: ActionCreatePreparedStatementResult = Any::decode(body).unwrap().unpack().unwrap().unwrap();
        Ok(prepared.prepared_statement_handle)
    }
}

// Goal: clients that log in by a message are let in and others are not, and what one user was given is of no use to another, while the same
// user may show it however they logged in. Method: two users of a whole process, wrong passwords; a ticket, a prepared statement and its
// binding, shown by both, and by the first with a token from the header's way.
#[tokio::test(flavor = "multi_thread")]
async fn handles_are_of_one_user() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let node = tokio::task::spawn_blocking(move || {
        let hash = password_hash("correct horse");
        let users: Vec<String> = ["ana", "bob"]
            .map(|user| format!("[[security.users]]\nname = \"{user}\"\npassword_hash = \"{hash}\"\n"))
            .into();
        NodeBuilder::up(&path).config(&users.concat()).start()
    })
    .await
    .unwrap();
    for (user, password) in [("ana", "wrong"), ("nobody", "correct horse"), ("", "")] {
        let refused = Older::log_in(&node, user, password).await.map(|_| ());
        let refused = refused.expect_err(user);
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        assert!(refused.message().starts_with("SEC-0001"), "{refused}");
    }
    let ana = Older::log_in(&node, "ana", "correct horse").await.unwrap();
    let bob = Older::log_in(&node, "bob", "correct horse").await.unwrap();
    let query = CommandStatementQuery {
        query: "SELECT 41 + 1 AS answer".into(),
        transaction_id: None,
    };
    let query = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    let ticket = ana.ask(query).await.unwrap();
    let handle = ana.prepare("SELECT CAST(? AS BIGINT) + 1 AS answer").await.unwrap();
    let bound = ana.bind(&handle).await.unwrap();
    for refused in [
        bob.fetch(&ticket).await.map(drop),
        bob.bind(&handle).await.map(drop),
        bob.ask(command(&bound)).await.map(drop),
    ] {
        let refused = refused.expect_err("another's");
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
        assert!(refused.message().starts_with("SQL-0038"), "{refused}");
        assert!(!refused.message().contains("answer"), "{refused}");
    }
    let mut client = connect(&node).await;
    client.handshake("ana", "correct horse").await.unwrap();
    let rows: Vec<RecordBatch> = client
        .do_get(ticket.clone())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    assert!(ana.fetch(&ticket).await.unwrap() > 1);
    assert!(ana.fetch(&ana.ask(command(&bound)).await.unwrap()).await.unwrap() > 1);
    tokio::task::spawn_blocking(move || drop(node)).await.unwrap();
}
