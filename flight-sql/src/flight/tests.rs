//! The front as clients see it, without a network between.

mod handles;
mod polls;
mod room;
mod schemas;
mod sessions;
mod silent;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{ActionCreatePreparedStatementRequest, Any, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, Ticket};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::ipc::convert::try_schema_from_ipc_buffer;
use futures::TryStreamExt;
use prost::Message;
use tonic::{Request, Response, Status};

use tidewater_core::Tasks;
use tidewater_security::Principal;

use super::{FlightSql, WithSchemaCalls};
use crate::service::tests::Lake;

/// A front with the cookies of one client, and whom its calls speak for if it is not whoever is on this machine.
struct Client {
    lake: Lake,
    front: FlightSql,
    calls: WithSchemaCalls,
    cookie: Option<String>,
    user: Option<Principal>,
    _tasks: Tasks,
}

impl Client {
    async fn new() -> Self {
        Self::over(Lake::new().await)
    }

    fn over(lake: Lake) -> Self {
        let tasks = Tasks::new("test");
        let front = FlightSql::new(lake.service.clone()).expect("a front");
        let calls = WithSchemaCalls::new(front.clone(), &tasks);
        Self {
            lake,
            front,
            calls,
            cookie: None,
            user: None,
            _tasks: tasks,
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(cookie) = &self.cookie {
            let cookie = cookie.parse().expect("a header");
            request.metadata_mut().insert("cookie", cookie);
        }
        if let Some(user) = &self.user {
            request.extensions_mut().insert(user.clone());
        }
        request
    }

    /// An action, whose cookie is kept as clients keep it.
    async fn act(&mut self, name: &str, body: Vec<u8>) -> Result<Vec<u8>, Status> {
        let action = Action {
            r#type: name.into(),
            body: body.into(),
        };
        let response = self.calls.do_action(self.request(action)).await?;
        if let Some(cookie) = response.metadata().get("set-cookie") {
            let cookie = cookie.to_str().expect("text");
            let pair = cookie.split(';').next().expect("a pair").to_owned();
            self.cookie = (!cookie.contains("Max-Age=0")).then_some(pair);
        }
        let answers: Vec<arrow_flight::Result> = response.into_inner().try_collect().await?;
        Ok(answers
            .into_iter()
            .next()
            .map(|answer| answer.body.to_vec())
            .unwrap_or_default())
    }

    async fn info(&self, sql: &str) -> Result<FlightInfo, Status> {
        let info = self.calls.get_flight_info(self.request(query(sql))).await;
        info.map(Response::into_inner)
    }

    async fn fetch(&self, info: &FlightInfo) -> Result<(SchemaRef, Vec<RecordBatch>), Status> {
        let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
        self.fetch_ticket(ticket).await
    }

    async fn fetch_ticket(&self, ticket: Ticket) -> Result<(SchemaRef, Vec<RecordBatch>), Status> {
        let data = self.calls.do_get(self.request(ticket)).await?.into_inner();
        let data = data.map_err(|status| FlightError::Tonic(Box::new(status)));
        let mut stream = FlightRecordBatchStream::new_from_flight_data(data);
        let mut batches = Vec::new();
        while let Some(batch) = stream.try_next().await.map_err(Status::from)? {
            batches.push(batch);
        }
        let schema = stream.schema().cloned().expect("columns come first");
        Ok((schema, batches))
    }

    async fn rows(&self, sql: &str) -> Result<usize, Status> {
        let (_, batches) = self.fetch(&self.info(sql).await?).await?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    }

    /// The handle and the columns of a prepared statement.
    async fn prepare(&self, sql: &str) -> Result<(Vec<u8>, Schema), Status> {
        let request = ActionCreatePreparedStatementRequest {
            query: sql.into(),
            transaction_id: None,
        };
        let action = self.request(Action::default());
        let prepared = self.front.do_action_create_prepared_statement(request, action).await?;
        let schema = try_schema_from_ipc_buffer(&prepared.dataset_schema).expect("a schema");
        Ok((prepared.prepared_statement_handle.to_vec(), schema))
    }
}

fn query(sql: &str) -> FlightDescriptor {
    let command = CommandStatementQuery {
        query: sql.into(),
        transaction_id: None,
    };
    command_of(&command)
}

fn command_of(command: &impl ProstMessageExt) -> FlightDescriptor {
    let any: Any = command.as_any();
    FlightDescriptor::new_cmd(any.encode_to_vec())
}
