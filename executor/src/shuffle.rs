//! Serves shuffle files to other executors and results to the scheduler.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::utils::{GrpcServerConfig, create_grpc_server};
use ballista_executor::flight_service::BallistaFlightService;
use futures::Stream;
use tokio_util::sync::CancellationToken;

use crate::digests;
use crate::error::{ExecutorError, Result};
use tidewater_core::Tasks;
use tidewater_core::limits::GRPC_MESSAGE_BYTES_MAX;
use tidewater_engine::cluster::NodeConnection;

/// Serves the folder until `stop`.
pub(crate) fn serve(
    connections: impl Stream<Item = io::Result<NodeConnection>> + Send + 'static,
    shuffle: &Path,
    tasks: &Tasks,
    stop: CancellationToken,
) -> Result<()> {
    let Some(folder) = shuffle.to_str() else {
        return Err(ExecutorError::Options {
            reason: format!("working directory {} is not UTF-8", shuffle.display()),
        });
    };
    let files = BallistaFlightService::new(folder.to_owned()).with_read(Arc::new(digests::read));
    let service = FlightServiceServer::new(files)
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let server = create_grpc_server(&GrpcServerConfig::default())
        .add_service(service)
        .serve_with_incoming(connections);
    tasks.spawn("shuffle-server", async move {
        // Not a graceful end: peers keep connections open for as long as they live.
        tokio::select! {
            () = stop.cancelled() => {}
            ended = server => if let Err(error) = ended {
                tracing::error!(%error, "shuffle server ended");
            }
        }
    });
    Ok(())
}
