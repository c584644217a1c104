//! Queries that are polled: they run whether somebody waits or not, and their rows are held to be fetched.

use std::time::Duration;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{Any, Command, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, PollInfo, RenewFlightEndpointRequest, Ticket};
use futures::stream;
use prost::Message;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use tidewater_core::Tasks;
use tidewater_security::Principal;

use super::status::{status_of, to_status};
use super::{FlightSql, answers, arrow_status};
use crate::error::QueryError;
use crate::handle::{Handle, HeldHandle, Statement};
use crate::held::{Ended, Failed, KEPT_MAX, Look};
use crate::service::{Basis, QueryService, Results};

/// How long a poll waits for the end before it says that there is none yet: below the deadlines that clients give a call.
const POLL_WAIT: Duration = Duration::from_secs(1);

/// A statement that nobody polls for so long is ended: its client is gone.
const UNSEEN_MAX: Duration = Duration::from_secs(60);

impl FlightSql {
    /// Begins a query, or asks for one that has begun. What is no query is told of at once.
    pub(super) async fn poll(
        &self,
        request: Request<FlightDescriptor>,
        tasks: &Tasks,
    ) -> Result<Response<PollInfo>, Status> {
        let principal = self.principal(&request).await?;
        let message = Any::decode(&*request.get_ref().cmd)
            .map_err(|error| Status::invalid_argument(format!("unreadable command: {error}")))?;
        let (front, statement) = match Command::try_from(message) {
            Ok(Command::TicketStatementQuery(ticket)) => {
                return self.poll_again(&principal, &ticket).await;
            }
            Ok(Command::CommandStatementQuery(query)) => {
                let front = self.of(&principal, &request);
                let statement = front.statement(query.query);
                (front, statement)
            }
            Ok(Command::CommandPreparedStatementQuery(query)) => {
                self.prepared(&principal, &query.prepared_statement_handle, &request)?
            }
            _ => {
                let info = self.get_flight_info(request).await?.into_inner();
                return complete(PollInfo::new().with_info(info));
            }
        };
        front.poll_first(principal, statement, tasks).await
    }

    async fn poll_first(
        &self,
        principal: Principal,
        statement: Statement,
        tasks: &Tasks,
    ) -> Result<Response<PollInfo>, Status> {
        let service = self.service.clone();
        let id = service.fresh_id();
        let longest = service.query_timeout() + KEPT_MAX;
        let handle = HeldHandle {
            id,
            owner: principal.name.clone(),
            until_ms: service.clock().now_ms().saturating_add(milliseconds(longest)),
        };
        service
            .held()
            .begin(&principal, id, Some(UNSEEN_MAX))
            .map_err(to_status)?;
        let asks = principal.clone();
        tasks.spawn("polled statement", async move {
            let work = Box::pin(whole(&service, &asks, Statement { id, ..statement }));
            service.held().hold(id, work, |cut| service.cut(id, cut)).await;
        });
        self.polled(&principal, &handle).await
    }

    async fn poll_again(
        &self,
        principal: &Principal,
        ticket: &TicketStatementQuery,
    ) -> Result<Response<PollInfo>, Status> {
        match Handle::open(&ticket.statement_handle, self.service.key()).map_err(to_status)? {
            Handle::Held(handle) => self.polled(principal, &handle).await,
            Handle::Statement(_) => Err(Status::invalid_argument("a ticket is fetched and not polled")),
        }
    }

    async fn polled(&self, principal: &Principal, handle: &HeldHandle) -> Result<Response<PollInfo>, Status> {
        self.good(principal, handle).map_err(to_status)?;
        let held = self.service.held();
        let look = held.wait(principal, handle.id, POLL_WAIT).await.map_err(to_status)?;
        let look = self.still_theirs(principal, handle.id, look).await?;
        let ticket = self.ticket(handle);
        let again = FlightDescriptor::new_cmd(ticket.clone());
        let (ended, left) = match look {
            Look::Failed(failed) => {
                // It is told, and takes no room any more.
                drop(held.forget(principal, handle.id));
                return Err(status_of(&failed.error));
            }
            Look::Runs => {
                let info = FlightInfo::new()
                    .with_descriptor(again.clone())
                    .with_total_records(-1)
                    .with_total_bytes(-1);
                let polled = PollInfo::new().with_info(info).with_descriptor(again);
                return Ok(Response::new(PollInfo {
                    expiration_time: self.good_for(UNSEEN_MAX).expiration_time,
                    progress: self.service.progress(handle.id),
                    ..polled
                }));
            }
            Look::Done(ended, left) => (ended, left),
        };
        let rows = i64::try_from(ended.rows()).unwrap_or(-1);
        let Ended::Rows { schema, .. } = ended else {
            return Err(to_status(QueryError::NotHeld { id: handle.id }));
        };
        let endpoint = self.good_for(left).with_ticket(Ticket::new(ticket));
        let info = FlightInfo::new()
            .try_with_schema(&schema)
            .map_err(arrow_status)?
            .with_endpoint(endpoint)
            .with_descriptor(again)
            .with_ordered(true)
            .with_total_records(rows)
            .with_total_bytes(-1);
        // Only the descriptor of a further poll ends, of which there is none: Arrow's clients take an end here for a fault.
        complete(PollInfo::new().with_info(info))
    }

    /// The rows of a query that was polled to its end, as often as they are asked for.
    pub(super) async fn held_rows(
        &self,
        principal: &Principal,
        handle: &HeldHandle,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let id = handle.id;
        self.good(principal, handle).map_err(to_status)?;
        let look = self.service.held().fetch(principal, id).map_err(to_status)?;
        match self.still_theirs(principal, id, look).await? {
            Look::Runs => Err(to_status(QueryError::StillRuns { id })),
            Look::Failed(failed) => Err(status_of(&failed.error)),
            Look::Done(Ended::Changed { .. }, _) => Err(to_status(QueryError::NotHeld { id })),
            Look::Done(Ended::Rows { schema, batches, .. }, _) => {
                let count = batches.len();
                let batches = Box::pin(stream::iter(
                    (0..count).filter_map(move |at| batches.get(at).cloned().map(Ok)),
                ));
                let batches = self.service.fetched(principal, id, batches).map_err(to_status)?;
                let results = Results {
                    schema,
                    batches,
                    warnings: Vec::new(),
                    basis: None,
                };
                Ok(answers::rows(results, None))
            }
        }
    }

    /// Holds rows longer, or makes a ticket good for longer: the endpoint with its new end.
    pub(super) async fn renew(
        &self,
        principal: &Principal,
        request: RenewFlightEndpointRequest,
    ) -> Result<FlightEndpoint, Status> {
        let endpoint = request
            .endpoint
            .ok_or_else(|| Status::invalid_argument("the request to renew names no endpoint"))?;
        let ticket = endpoint.ticket.as_ref().map(|ticket| ticket.ticket.clone());
        match handle_of(&self.service, &ticket.unwrap_or_default()) {
            Some(Handle::Held(handle)) => {
                self.good(principal, &handle).map_err(to_status)?;
                let look = self.service.held().look(principal, handle.id).map_err(to_status)?;
                self.still_theirs(principal, handle.id, look).await?;
                let left = self.service.held().renew(principal, handle.id).map_err(to_status)?;
                let expiration_time = self.good_for(left).expiration_time;
                Ok(FlightEndpoint {
                    expiration_time,
                    ..endpoint
                })
            }
            Some(Handle::Statement(handle)) => self.renewed(principal, handle, endpoint),
            None => Err(to_status(QueryError::BadHandle)),
        }
    }

    async fn still_theirs(&self, principal: &Principal, id: Uuid, look: Look) -> Result<Look, Status> {
        let look = self.service.still_theirs(principal, id, look).await;
        look.map_err(to_status)
    }

    /// Whether somebody may ask for it, and still. Of others nobody learns that it is there.
    fn good(&self, principal: &Principal, handle: &HeldHandle) -> Result<(), QueryError> {
        let now_ms = self.service.clock().now_ms();
        match handle.owner == principal.name && now_ms < handle.until_ms {
            true => Ok(()),
            false => Err(QueryError::NotHeld { id: handle.id }),
        }
    }

    fn ticket(&self, handle: &HeldHandle) -> Vec<u8> {
        let ticket = TicketStatementQuery {
            statement_handle: handle.seal(self.service.key()),
        };
        ticket.as_any().encode_to_vec()
    }

    /// An endpoint that is good for so long from now; its end is that of a further poll too.
    pub(super) fn good_for(&self, left: Duration) -> FlightEndpoint {
        let ms = self.service.clock().now_ms().saturating_add(milliseconds(left));
        let mut endpoint = FlightEndpoint::new();
        let end = endpoint.expiration_time.get_or_insert_default();
        end.seconds = ms / 1000;
        end.nanos = i32::try_from(ms % 1000).unwrap_or_default() * 1_000_000;
        endpoint
    }
}

/// What a ticket or descriptor of ours stands for; none for others.
pub(super) fn handle_of(service: &QueryService, bytes: &[u8]) -> Option<Handle> {
    let query: TicketStatementQuery = Any::decode(bytes).ok()?.unpack().ok()??;
    Handle::open(&query.statement_handle, service.key()).ok()
}

/// Runs a statement to its last row; one that changes something is answered with rows too, as it is without polls.
async fn whole(service: &QueryService, principal: &Principal, statement: Statement) -> Result<Ended, Failed> {
    let id = statement.id;
    let basis = service.basis_of_text(principal, &statement.sql, service.settings())?;
    let results = Box::pin(begun(service, principal, statement, basis.clone())).await;
    let results = results.map_err(|error| Failed::new(error, basis))?;
    Ended::collect(results, |cut| service.cut(id, cut)).await
}

/// The rows of a statement. What a procedure or a list of grants tells is of what could be known of when it was asked.
async fn begun(
    service: &QueryService,
    principal: &Principal,
    mut statement: Statement,
    basis: Option<Basis>,
) -> Result<Results, QueryError> {
    let mut tells = false;
    if let Some(changed) = service.change(principal, &statement).await? {
        (_, statement.answer) = changed.answer()?;
        tells = changed.procedure().is_some();
    }
    match service.answered(&statement)? {
        Some(results) if tells => Ok(Results { basis, ..results }),
        Some(results) => Ok(results),
        None => service.run(principal, &statement).await,
    }
}

fn complete(polled: PollInfo) -> Result<Response<PollInfo>, Status> {
    Ok(Response::new(polled.try_with_progress(1.0).map_err(arrow_status)?))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
