//! GetSchema and PollFlightInfo, which the arrow-flight crate answers with "unimplemented" before a Flight SQL service is asked, and
//! ListActions, which it answers with some of what there is. And who calls is asked here, for all calls but the handshake, as that crate
//! answers some without asking.

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, PollInfo, SchemaResult, Ticket,
};
use futures::future::ready;
use futures::{StreamExt, TryStreamExt, stream};
use tonic::{Request, Response, Status, Streaming};

use tidewater_core::Tasks;

use super::update_flag::{self, PREPARE};
use super::{FlightSql, actions, schema_bytes};

/// Of a request that asks for a schema and for nothing else.
#[derive(Debug, Clone, Copy)]
pub(super) struct SchemaOnly;

/// A Flight SQL front with the calls added.
#[derive(Debug, Clone)]
pub struct WithSchemaCalls {
    front: FlightSql,
    /// Queries that are polled run among them.
    tasks: Tasks,
}

impl WithSchemaCalls {
    /// In front of `front`.
    pub fn new(front: FlightSql, tasks: &Tasks) -> Self {
        Self {
            front,
            tasks: tasks.child("flight-sql-polls"),
        }
    }

    /// The call with whom it speaks for: nothing of it is looked at before that is known.
    async fn admitted<T>(&self, mut request: Request<T>) -> Result<Request<T>, Status> {
        let principal = self.front.principal(&request).await?;
        request.extensions_mut().insert(principal);
        Ok(request)
    }
}

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
        self.front.handshake(request).await
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.front.list_flights(self.admitted(request).await?).await
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        self.front.get_flight_info(self.admitted(request).await?).await
    }

    /// The schema that GetFlightInfo would name. Nothing is carried out.
    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let mut request = self.admitted(request).await?;
        request.extensions_mut().insert(SchemaOnly);
        let info = self.front.get_flight_info(request).await?.into_inner();
        let schema = info.try_decode_schema().map_err(super::arrow_status)?;
        Ok(Response::new(SchemaResult {
            schema: schema_bytes(&schema)?,
        }))
    }

    /// Runs a query and tells how far it is.
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        self.front.poll(self.admitted(request).await?, &self.tasks).await
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        self.front.do_get(self.admitted(request).await?).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        self.front.do_put(self.admitted(request).await?).await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let is_prepare = request.get_ref().r#type == PREPARE;
        let answers = self.front.do_action(self.admitted(request).await?).await?;
        Ok(match is_prepare {
            true => answers.map(|answers| answers.and_then(|answer| ready(update_flag::told(answer))).boxed()),
            false => answers,
        })
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.admitted(request).await?;
        Ok(Response::new(Box::pin(stream::iter(actions::all()))))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.front.do_exchange(self.admitted(request).await?).await
    }
}
