//! Queries: told of, bound and fetched, prepared or not.

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, CommandPreparedStatementQuery,
    CommandStatementQuery, DoPutPreparedStatementResult, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, Ticket};
use bytes::Bytes;
use tonic::{Request, Response, Status};

use tidewater_security::Principal;

use super::schema_calls::SchemaOnly;
use super::status::to_status;
use super::{FlightSql, answers, coming, flight_info, parameters, schema_bytes};
use crate::handle::{Handle, Statement};

type Rows = Response<<FlightSql as FlightService>::DoGetStream>;

impl FlightSql {
    pub(super) async fn statement_info(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let principal = self.principal(&request).await?;
        no_transaction(query.transaction_id.as_ref())?;
        let front = self.of(&principal, &request);
        let statement = front.statement(query.query);
        front.info(&principal, statement, request).await
    }

    pub(super) async fn prepared_info(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let principal = self.principal(&request).await?;
        let (front, statement) = self.prepared(&principal, &query.prepared_statement_handle, &request)?;
        front.info(&principal, statement, request).await
    }

    async fn info(
        &self,
        principal: &Principal,
        mut statement: Statement,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        statement.id = self.service.fresh_id();
        if request.extensions().get::<SchemaOnly>().is_some() {
            let schema = self
                .service
                .told_schema(principal, &statement)
                .await
                .map_err(to_status)?;
            return flight_info(&schema, Vec::new(), request.into_inner());
        }
        let descriptor = request.into_inner();
        // What changes something is done here, once: a client may fetch the rows of an answer as often as it likes.
        let schema = match self.service.change(principal, &statement).await.map_err(to_status)? {
            Some(changed) => {
                let (schema, answer) = changed.answer().map_err(to_status)?;
                statement.answer = answer;
                schema
            }
            None => self
                .service
                .schema_to_fetch(principal, &statement)
                .await
                .map_err(to_status)?,
        };
        flight_info(&schema, self.ticket_of(principal, statement), descriptor)
    }

    pub(super) async fn statement_rows(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Rows, Status> {
        let principal = self.principal(&request).await?;
        match Handle::open(&ticket.statement_handle, self.service.key()).map_err(to_status)? {
            Handle::Held(held) => self.held_rows(&principal, &held).await,
            Handle::Statement(handle) => {
                let statement = self.shown(&principal, handle)?;
                let front = self.of(&principal, &request).within(&statement);
                Box::pin(front.rows(&principal, &statement)).await
            }
        }
    }

    pub(super) async fn prepared_rows(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Rows, Status> {
        let principal = self.principal(&request).await?;
        let (front, statement) = self.prepared(&principal, &query.prepared_statement_handle, &request)?;
        Box::pin(front.rows(&principal, &statement)).await
    }

    async fn rows(&self, principal: &Principal, statement: &Statement) -> Result<Rows, Status> {
        if let Some(results) = self.service.answered(statement).map_err(to_status)? {
            return Ok(answers::rows(results, None));
        }
        let run = self.service.run_and_tell(principal, statement).await;
        let (results, how) = run.map_err(to_status)?;
        Ok(answers::rows(results, Some(&how)))
    }

    pub(super) async fn prepare(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let principal = self.principal(&request).await?;
        no_transaction(query.transaction_id.as_ref())?;
        let front = self.of(&principal, &request);
        let prepared = front.service.prepare(&principal, &query.query).await;
        let prepared = prepared.map_err(to_status)?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: self.prepared_handle(&principal, front.statement(query.query)),
            dataset_schema: schema_bytes(&prepared.schema)?,
            parameter_schema: schema_bytes(&prepared.parameters)?,
        })
    }

    pub(super) async fn bind(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let principal = self.principal(&request).await?;
        let mut statement = self.opened(&principal, &query.prepared_statement_handle)?;
        let front = self.of(&principal, &request);
        statement.parameters = parameters::read(coming::rows(&front.service, request.into_inner())).await?;
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(self.prepared_handle(&principal, statement)),
        })
    }
}

/// A statement that is to be part of a transaction is refused, as there are none: alone it would not be taken back with the others.
pub(super) fn no_transaction(id: Option<&Bytes>) -> Result<(), Status> {
    match id.is_none_or(Bytes::is_empty) {
        true => Ok(()),
        false => Err(Status::unimplemented(
            "transactions are not supported: every statement stands alone",
        )),
    }
}
