//! Which statements a request to cancel means, and what is answered.

use arrow_flight::{CancelFlightInfoRequest, FlightInfo};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

use tidewater_security::Principal;

use super::polls::handle_of;
use crate::handle::Handle;
use crate::service::QueryService;

/// The statement was at work or could have begun, and does neither any more.
const CANCELLED: i32 = 1;

/// There is nothing here that this user could end: it has ended, or is another's.
const NOT_CANCELLABLE: i32 = 3;

/// Tickets of a flight that are looked at: ours have one, and a descriptor.
const HANDLES_MAX: usize = 16;

/// For `CancelQuery`, whose request holds an encoded flight info. The status, which both calls number alike.
pub(super) async fn query(service: &QueryService, principal: &Principal, info: Bytes) -> Result<i32, Status> {
    let info = FlightInfo::decode(info).map_err(|error| unreadable(&error))?;
    cancel(service, principal, &info).await
}

/// For `CancelFlightInfo`.
pub(super) async fn flight_info(service: &QueryService, principal: &Principal, body: Bytes) -> Result<i32, Status> {
    let request = CancelFlightInfoRequest::decode(body).map_err(|error| unreadable(&error))?;
    let info = request
        .info
        .ok_or_else(|| Status::invalid_argument("the request to cancel names no flight"))?;
    cancel(service, principal, &info).await
}

async fn cancel(service: &QueryService, principal: &Principal, info: &FlightInfo) -> Result<i32, Status> {
    let tickets = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref());
    let tickets = tickets.map(|ticket| &ticket.ticket);
    // What is polled has no ticket before its end, but a descriptor.
    let descriptor = info.flight_descriptor.iter().map(|descriptor| &descriptor.cmd);
    let handles = tickets.chain(descriptor).filter_map(|bytes| handle_of(service, bytes));
    let mut handles: Vec<Handle> = handles.collect();
    // What is polled to its end has both.
    handles.dedup();
    if handles.is_empty() {
        return Err(Status::not_found(
            "none of the flight's tickets is of a statement that is known here",
        ));
    }
    if handles.len() > HANDLES_MAX {
        return Err(Status::invalid_argument(format!(
            "the flight has {} tickets; {HANDLES_MAX} at most are of one statement",
            handles.len()
        )));
    }
    let mut ended = false;
    for handle in &handles {
        ended |= match handle {
            // Its end is of no account: what was fetched in time may be at work still.
            Handle::Statement(handle) => {
                handle.owner == principal.name && service.cancel_anywhere(principal, &handle.statement).await
            }
            Handle::Held(held) => {
                held.owner == principal.name && service.cancel_polled_anywhere(principal, held.id).await
            }
        };
    }
    Ok(if ended {
        tracing::info!(user = %principal.name, "statement cancelled");
        CANCELLED
    } else {
        NOT_CANCELLABLE
    })
}

fn unreadable(error: &prost::DecodeError) -> Status {
    Status::invalid_argument(format!("unreadable request to cancel: {error}"))
}
