//! GetSchema and PollFlightInfo, which the arrow-flight crate answers with "unimplemented" before a Flight SQL service is asked.

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{Any, Command, CommandStatementQuery};
use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, PollInfo, SchemaResult, Ticket,
};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::{FlightSql, schema_bytes};

/// A Flight SQL front with the two calls added.
#[derive(Debug, Clone)]
pub struct WithSchemaCalls(pub FlightSql);

#[tonic::async_trait]
impl FlightService for WithSchemaCalls {
    type HandshakeStream = <FlightSql as FlightService>::HandshakeStream;
    type ListFlightsStream = <FlightSql as FlightService>::ListFlightsStream;
    type DoGetStream = <FlightSql as FlightService>::DoGetStream;
    type DoPutStream = <FlightSql as FlightService>::DoPutStream;
    type DoActionStream = <FlightSql as FlightService>::DoActionStream;
    type ListActionsStream = <FlightSql as FlightService>::ListActionsStream;
    type DoExchangeStream = <FlightSql as FlightService>::DoExchangeStream;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        self.0.handshake(request).await
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.0.list_flights(request).await
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        self.0.get_flight_info(request).await
    }

    /// The schema that GetFlightInfo would name.
    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let info = self.0.get_flight_info(request).await?.into_inner();
        let schema = info.try_decode_schema().map_err(super::arrow_status)?;
        Ok(Response::new(SchemaResult {
            schema: schema_bytes(&schema)?,
        }))
    }

    /// A query begins with DoGet, so its description is complete at once.
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let message = Any::decode(&*request.get_ref().cmd)
            .map_err(|error| Status::invalid_argument(format!("unreadable command: {error}")))?;
        if !matches!(
            Command::try_from(message),
            Ok(Command::CommandStatementQuery(CommandStatementQuery { .. })
                | Command::CommandPreparedStatementQuery(_))
        ) {
            return Err(Status::invalid_argument("only queries can be polled"));
        }
        let info = self.0.get_flight_info(request).await?.into_inner();
        Ok(Response::new(
            PollInfo::new()
                .with_info(info)
                .try_with_progress(1.0)
                .map_err(super::arrow_status)?,
        ))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        self.0.do_get(request).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        self.0.do_put(request).await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        self.0.do_action(request).await
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.0.list_actions(request).await
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.0.do_exchange(request).await
    }
}
