//! Which statements a request to cancel means, and what is answered.

use arrow_flight::sql::{Any, TicketStatementQuery};
use arrow_flight::{CancelFlightInfoRequest, FlightInfo, Ticket};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

use tidewater_security::Principal;

use crate::handle::Statement;
use crate::service::QueryService;

/// The statement was at work, and is not any more.
const CANCELLED: i32 = 1;

/// There is nothing at work here that this user could end: it has ended, never began, or is another's.
const NOT_CANCELLABLE: i32 = 3;

/// For `CancelQuery`, whose request holds an encoded flight info. The status, which both calls number alike.
pub(super) fn query(service: &QueryService, principal: &Principal, info: Bytes) -> Result<i32, Status> {
    let info = FlightInfo::decode(info).map_err(|error| unreadable(&error))?;
    Ok(cancel(service, principal, &info))
}

/// For `CancelFlightInfo`.
pub(super) fn flight_info(service: &QueryService, principal: &Principal, body: Bytes) -> Result<i32, Status> {
    let request = CancelFlightInfoRequest::decode(body).map_err(|error| unreadable(&error))?;
    let info = request
        .info
        .ok_or_else(|| Status::invalid_argument("the request to cancel names no flight"))?;
    Ok(cancel(service, principal, &info))
}

fn cancel(service: &QueryService, principal: &Principal, info: &FlightInfo) -> i32 {
    let tickets = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref());
    let statements = tickets.filter_map(|ticket| statement(service, ticket));
    let ended = statements
        .filter(|statement| service.cancel(principal, statement))
        .count();
    if ended > 0 {
        tracing::info!(user = %principal.name, "statement cancelled");
        CANCELLED
    } else {
        NOT_CANCELLABLE
    }
}

/// None for a ticket that is not one of a statement of ours.
fn statement(service: &QueryService, ticket: &Ticket) -> Option<Statement> {
    let query: TicketStatementQuery = Any::decode(&*ticket.ticket).ok()?.unpack().ok()??;
    Statement::open(&query.statement_handle, service.key()).ok()
}

fn unreadable(error: &prost::DecodeError) -> Status {
    Status::invalid_argument(format!("unreadable request to cancel: {error}"))
}
