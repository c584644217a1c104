//! Somebody who calls Flight SQL, without a memory: what is to be known in a call stands in it.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, CommandStatementQuery, CommandStatementUpdate, ProstMessageExt,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightInfo, Ticket};
use axum::body::Bytes;
use futures::{TryStreamExt, stream};
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::calls::Way;
use crate::kit::Node;
use crate::kit::sql::{Rows, text};

/// Somebody who calls.
pub(super) struct Caller {
    pub(super) client: FlightServiceClient<Channel>,
    token: String,
}

impl Caller {
    pub(super) async fn connect(node: &Node, token: String) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", node.ports().flight)).unwrap();
        let client = FlightServiceClient::new(endpoint.connect().await.unwrap());
        Self { client, token }
    }

    pub(super) fn with<T>(&self, message: T) -> Request<T> {
        Way::Bearer.with(message, Some(&self.token))
    }

    /// GetFlightInfo, which carries out what changes something.
    pub(super) async fn info(&self, command: Vec<u8>) -> Result<FlightInfo, Status> {
        let request = self.with(FlightDescriptor::new_cmd(command));
        Ok(self.client.clone().get_flight_info(request).await?.into_inner())
    }

    /// PollFlightInfo to the end of the statement.
    pub(super) async fn polled(&self, command: impl Into<Bytes>) -> Result<FlightInfo, Status> {
        let mut next = FlightDescriptor::new_cmd(command);
        loop {
            let polled = self
                .client
                .clone()
                .poll_flight_info(self.with(next))
                .await?
                .into_inner();
            match polled.flight_descriptor {
                Some(again) => next = again,
                None => return Ok(polled.info.unwrap()),
            }
        }
    }

    /// DoGet.
    pub(super) async fn rows(&self, ticket: Ticket) -> Result<Rows, Status> {
        let data = self.client.clone().do_get(self.with(ticket)).await?.into_inner();
        let data = data.map_err(|status| FlightError::Tonic(Box::new(status)));
        let batches: Vec<RecordBatch> = FlightRecordBatchStream::new_from_flight_data(data)
            .try_collect()
            .await
            .map_err(Status::from)?;
        Ok(batches.iter().flat_map(text).collect())
    }

    /// DoPut, with these rows or none.
    pub(super) async fn put(&self, command: Vec<u8>, rows: Option<RecordBatch>) -> Result<Bytes, Status> {
        let schema = rows
            .as_ref()
            .map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        let data: Vec<FlightData> = FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(FlightDescriptor::new_cmd(command)))
            .with_schema(schema)
            .build(stream::iter(rows.map(Ok)))
            .try_collect()
            .await
            .unwrap();
        let mut answers = self
            .client
            .clone()
            .do_put(self.with(stream::iter(data)))
            .await?
            .into_inner();
        let answer = answers.message().await?;
        Ok(answer.map(|answer| answer.app_metadata).unwrap_or_default())
    }

    /// DoAction: the first answer.
    pub(super) async fn act(&self, kind: &str, body: Vec<u8>) -> Result<Bytes, Status> {
        let action = Action {
            r#type: kind.to_owned(),
            body: body.into(),
        };
        let mut answers = self.client.clone().do_action(self.with(action)).await?.into_inner();
        let answer = answers.message().await?;
        Ok(answer.map(|answer| answer.body).unwrap_or_default())
    }

    pub(super) async fn prepare(&self, sql: &str) -> Result<Bytes, Status> {
        let request = ActionCreatePreparedStatementRequest {
            query: sql.into(),
            transaction_id: None,
        };
        let body = self
            .act("CreatePreparedStatement", request.as_any().encode_to_vec())
            .await?;
        let prepared: ActionCreatePreparedStatementResult = Any::decode(body).unwrap().unpack().unwrap().unwrap();
        Ok(prepared.prepared_statement_handle)
    }

    /// All rows that a flight info tells of.
    pub(super) async fn fetched(&self, info: FlightInfo) -> Result<Rows, Status> {
        let mut rows = Rows::new();
        for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
            rows.extend(self.rows(ticket).await?);
        }
        Ok(rows)
    }
}

pub(super) fn query(sql: &str) -> Vec<u8> {
    let command = CommandStatementQuery {
        query: sql.into(),
        transaction_id: None,
    };
    command.as_any().encode_to_vec()
}

pub(super) fn update(sql: &str) -> Vec<u8> {
    let command = CommandStatementUpdate {
        query: sql.into(),
        transaction_id: None,
    };
    command.as_any().encode_to_vec()
}

pub(super) fn prepared(handle: Bytes) -> Vec<u8> {
    let command = CommandPreparedStatementQuery {
        prepared_statement_handle: handle,
    };
    command.as_any().encode_to_vec()
}

pub(super) fn prepared_update(handle: Bytes) -> Vec<u8> {
    let command = CommandPreparedStatementUpdate {
        prepared_statement_handle: handle,
    };
    command.as_any().encode_to_vec()
}

/// A row with this value.
pub(super) fn row(column: &str, value: i64) -> RecordBatch {
    let schema = Schema::new(vec![Field::new(column, DataType::Int64, true)]);
    RecordBatch::try_new(schema.into(), vec![Arc::new(Int64Array::from(vec![value]))]).unwrap()
}
