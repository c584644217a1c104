//! The port that executors call, and processes that send plans.

use std::io;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use futures::Stream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server as GrpcServer;

use crate::guard::Server;
use crate::remote::PlanService;
use tidewater_core::SharedClock;
use tidewater_core::limits::GRPC_MESSAGE_BYTES_MAX;
use tidewater_engine::cluster::NodeConnection;

/// How often a connection on which nothing comes is asked whether its executor still lives, and how long it may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_DEADLINE: Duration = Duration::from_secs(20);

/// How long executors may take to close their connections when the scheduler ends.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// Answers executors and processes that send plans until told to stop. Ballista's own server answers plain HTTP too, which nobody
/// asks for.
pub(crate) async fn serve(
    connections: impl Stream<Item = io::Result<NodeConnection>> + Send,
    server: Server,
    plans: PlanService,
    clock: SharedClock,
    stop: CancellationToken,
) {
    let service = SchedulerGrpcServer::new(server)
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let plans = FlightServiceServer::new(plans)
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX);
    let served = GrpcServer::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_DEADLINE))
        .add_service(service)
        .add_service(plans)
        .serve_with_incoming_shutdown(connections, stop.cancelled());
    let late = async {
        stop.cancelled().await;
        clock.sleep(CLOSE_DEADLINE).await;
    };
    tokio::select! {
        () = late => {}
        ended = served => if let Err(error) = ended {
            tracing::error!(%error, "scheduler ended");
        }
    }
}
