//! Handles and tickets of statements: for whom they are made, until when they are good, and who may show them.

use std::time::Duration;

use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightEndpoint, Ticket};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

use tidewater_security::Principal;

use super::status::to_status;
use super::{FlightSql, session};
use crate::handle::{Statement, StatementHandle};

/// How long a ticket is good, with the answer in it where there is one: who was told of rows fetches them within the day.
const TICKET_KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// How long a prepared statement is good: as long as the settings that it was made with. Whoever binds values to it begins the time anew.
const PREPARED_KEPT_MS: i64 = session::KEPT_MS;

impl FlightSql {
    /// The handle of a prepared statement, for who prepared it or bound its values.
    pub(super) fn prepared_handle(&self, principal: &Principal, statement: Statement) -> Bytes {
        self.sealed(principal, statement, PREPARED_KEPT_MS)
    }

    /// The ticket of a statement, for who asked for its rows.
    pub(super) fn ticket_of(&self, principal: &Principal, statement: Statement) -> Vec<u8> {
        let ticket = TicketStatementQuery {
            statement_handle: self.sealed(principal, statement, TICKET_KEPT_MS),
        };
        ticket.as_any().encode_to_vec()
    }

    /// The endpoint with a ticket that is good for the whole time again, and its end.
    pub(super) fn renewed(
        &self,
        principal: &Principal,
        handle: StatementHandle,
        endpoint: FlightEndpoint,
    ) -> Result<FlightEndpoint, Status> {
        let statement = self.shown(principal, handle)?;
        let kept = Duration::from_millis(TICKET_KEPT_MS.unsigned_abs());
        Ok(FlightEndpoint {
            ticket: Some(Ticket::new(self.ticket_of(principal, statement))),
            expiration_time: self.good_for(kept).expiration_time,
            ..endpoint
        })
    }

    /// What the handle of a prepared statement stands for.
    pub(super) fn opened(&self, principal: &Principal, sealed: &[u8]) -> Result<Statement, Status> {
        let handle = StatementHandle::open(sealed, self.service.key()).map_err(to_status)?;
        self.shown(principal, handle)
    }

    /// The statement of a handle that is shown now.
    pub(super) fn shown(&self, principal: &Principal, handle: StatementHandle) -> Result<Statement, Status> {
        let now_ms = self.service.clock().now_ms();
        handle.shown_by(principal, now_ms).map_err(to_status)
    }

    fn sealed(&self, principal: &Principal, statement: Statement, kept_ms: i64) -> Bytes {
        let handle = StatementHandle {
            statement,
            owner: principal.name.clone(),
            until_ms: self.service.clock().now_ms().saturating_add(kept_ms),
        };
        handle.seal(self.service.key())
    }
}
