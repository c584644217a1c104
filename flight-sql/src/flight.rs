//! The Flight SQL front: it carries statements to the query service and results back, and has no logic of its own.

use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfoData};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use bytes::Bytes;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use futures::Stream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use tidewater_security::Principal;

use crate::error::QueryError;
use crate::handle::Statement;
use crate::metrics::Front;
use crate::service::QueryService;

mod actions;
mod answers;
pub mod authentication;
mod calls;
mod cancel;
mod changes;
mod coming;
mod handles;
mod handshake;
mod ingest;
pub mod keys;
mod metadata;
pub mod options;
mod parameters;
mod polls;
mod queries;
mod schema_calls;
mod session;
pub mod sql_info;
pub mod status;
#[cfg(test)]
mod tests;
mod type_info;
mod update_flag;

use self::session::Session;
use self::status::to_status;
pub use schema_calls::WithSchemaCalls;

/// What a data stream of a response is.
type DataStream<S> = Pin<Box<dyn Stream<Item = Result<S, Status>> + Send>>;

/// The Flight SQL front of a query service.
#[derive(Clone)]
pub struct FlightSql {
    service: QueryService,
    sql_info: Arc<SqlInfoData>,
    type_info: Arc<XdbcTypeInfoData>,
}

impl std::fmt::Debug for FlightSql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlightSql")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl FlightSql {
    /// In front of `service`.
    pub fn new(service: QueryService) -> Result<Self, QueryError> {
        let sql_info = sql_info::sql_info(&service.functions()).map_err(QueryError::encoding)?;
        let type_info = type_info::type_info().map_err(QueryError::encoding)?;
        Ok(Self {
            service: service.through(Front::FlightSql),
            sql_info: sql_info.into(),
            type_info: type_info.into(),
        })
    }

    /// The same front for the client of this call, as its session and then the call itself want it.
    fn of<T>(&self, principal: &Principal, request: &Request<T>) -> Self {
        let metadata = request.metadata();
        let session = self.session(principal, metadata);
        let cached = authentication::cache_wanted(metadata).or(session.cached);
        let execution = authentication::execution_wanted(metadata).or(session.execution);
        let mut front = self.clone();
        front.service = self
            .service
            .of_client(authentication::client(metadata))
            .at_address(authentication::peer(request).ip())
            .cached(cached.unwrap_or(true))
            .execution(execution.unwrap_or_default())
            .within(session.schema.as_deref())
            .within_time(session.timeout)
            .staging(session.wap_id.as_deref());
        front
    }

    /// What the client of this call has set.
    fn session(&self, principal: &Principal, metadata: &MetadataMap) -> Session {
        let now_ms = self.service.clock().now_ms();
        Session::of(metadata, self.service.key(), &principal.name, now_ms)
    }

    /// A statement that keeps the schema of the session it was made in.
    fn statement(&self, sql: String) -> Statement {
        Statement {
            schema: self.service.wanted_schema().unwrap_or_default().to_owned(),
            ..Statement::new(sql)
        }
    }

    /// A prepared statement, and the front as it is for it: in the schema it was made with, whatever the session has now.
    fn prepared<T>(
        &self,
        principal: &Principal,
        handle: &[u8],
        request: &Request<T>,
    ) -> Result<(Self, Statement), Status> {
        let statement = self.opened(principal, handle)?;
        Ok((self.of(principal, request).within(&statement), statement))
    }

    fn within(mut self, statement: &Statement) -> Self {
        self.service = self.service.within(statement.chosen_schema());
        self
    }

    async fn principal<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        authentication::caller(&self.service, request).await.map_err(to_status)
    }
}

/// An answer of one endpoint at the place the client is connected to already.
fn flight_info(
    schema: &Schema,
    ticket: impl Into<Bytes>,
    descriptor: FlightDescriptor,
) -> Result<Response<FlightInfo>, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(arrow_status)?
        .with_endpoint(endpoint)
        .with_descriptor(descriptor)
        // Whoever reads its one endpoint has the rows in their order.
        .with_ordered(true)
        .with_total_records(-1)
        .with_total_bytes(-1);
    Ok(Response::new(info))
}

fn arrow_status(error: ArrowError) -> Status {
    to_status(QueryError::encoding(error))
}

fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options).try_into().map_err(arrow_status)?;
    Ok(bytes)
}
