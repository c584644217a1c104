//! Serves shuffle files to other executors and results to the scheduler.

use std::net::SocketAddr;
use std::path::Path;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::utils::{GrpcServerConfig, create_grpc_server};
use ballista_executor::flight_service::BallistaFlightService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

use crate::error::{ExecutorError, Result};
use tidewater_core::Tasks;
use tidewater_core::limits::GRPC_MESSAGE_BYTES_MAX;

/// Binds the address and serves the folder until `stop`. Returns the port that was bound.
pub(crate) async fn serve(address: SocketAddr, shuffle: &Path, tasks: &Tasks, stop: CancellationToken) -> Result<u16> {
    let failed = |source| ExecutorError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let Some(folder) = shuffle.to_str() else {
        return Err(ExecutorError::Options {
            reason: format!("working directory {} is not UTF-8", shuffle.display()),
        });
    };
    let service = FlightServiceServer::new(BallistaFlightService::new(folder.to_owned()))
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let server = create_grpc_server(&GrpcServerConfig::default())
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tasks.spawn("shuffle-server", async move {
        // Not a graceful end: peers keep connections open for as long as they live.
        tokio::select! {
            () = stop.cancelled() => {}
            ended = server => if let Err(error) = ended {
                tracing::error!(%error, "shuffle server ended");
            }
        }
    });
    Ok(port)
}
