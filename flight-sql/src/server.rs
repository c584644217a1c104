//! The listener of the Flight SQL front.

use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use tidewater_core::Tasks;
use tidewater_core::limits::GRPC_MESSAGE_BYTES_MAX;

use crate::error::QueryError;
use crate::flight::{FlightSql, WithSchemaCalls};
use crate::service::QueryService;

/// JDBC sends URL properties it does not know as headers; the usual 16 KiB have been seen to be too few.
const HEADER_BYTES_MAX: u32 = 64 << 10;

/// Load balancers drop connections that are silent for 240 s and more.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Serves Flight SQL on `listener` until `tasks` are told to stop.
pub fn serve(listener: TcpListener, service: QueryService, tasks: &Tasks) -> Result<(), QueryError> {
    let front = FlightServiceServer::new(WithSchemaCalls(FlightSql::new(service)?))
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let token = tasks.token();
    // The server's own setting does not reach a listener it is given, and every call would wait 40 ms for an acknowledgement.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tasks.spawn("flight-sql", async move {
        let served = Server::builder()
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .add_service(front)
            .serve_with_incoming_shutdown(incoming, token.cancelled())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "Flight SQL listener ended");
        }
    });
    Ok(())
}
