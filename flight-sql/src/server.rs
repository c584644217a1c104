//! The listener of the Flight SQL front.

mod budget;
mod connections;
mod door;

use std::time::Duration;

use tokio::net::TcpListener;
use tonic::transport::Server;

use tidewater_core::Tasks;
use tidewater_security::Tls;

use self::connections::connections;
use self::door::Door;
use crate::error::QueryError;
use crate::flight::{FlightSql, WithSchemaCalls};
use crate::service::QueryService;

/// JDBC sends URL properties it does not know as headers; the usual 16 KiB have been seen to be too few.
const HEADER_BYTES_MAX: u32 = 64 << 10;

/// Load balancers drop connections that are silent for 240 s and more.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Calls that one connection has open at once; clients that want more wait, or open another connection.
const CALLS_MAX: u32 = 200;

/// Calls that a client has taken back before they were looked at, and calls that broke the protocol, until its connection is closed:
/// opening and taking back is much less work for it than for us.
const TAKEN_BACK_MAX: usize = 20;
const BROKEN_MAX: usize = 1_024;

/// How long calls that are at work may go on when the process is told to stop: less than it takes to end all its tasks.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// How often is looked for statements whose time is over although nobody takes their rows.
const SWEEP: Duration = Duration::from_secs(1);

/// Serves Flight SQL on `listener` until `tasks` are told to stop, with TLS for clients that begin with it where there is a
/// certificate.
pub fn serve(listener: TcpListener, service: QueryService, tls: Option<Tls>, tasks: &Tasks) -> Result<(), QueryError> {
    let incoming = connections(listener, tls, service.clock().clone());
    let calls = WithSchemaCalls::new(FlightSql::new(service.clone())?, tasks);
    let door = Door::new(service.clone(), calls);
    let (token, clock) = (tasks.token(), service.clock().clone());
    tasks.spawn("flight-sql", async move {
        let served = Server::builder()
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .max_concurrent_streams(CALLS_MAX)
            .http2_max_pending_accept_reset_streams(Some(TAKEN_BACK_MAX))
            .http2_max_local_error_reset_streams(Some(BROKEN_MAX))
            .add_service(door)
            .serve_with_incoming_shutdown(incoming, token.cancelled());
        let late = async {
            token.cancelled().await;
            clock.sleep(CLOSE_DEADLINE).await;
        };
        tokio::select! {
            () = late => tracing::info!("calls of Flight SQL that did not end in time are broken off"),
            ended = served => if let Err(error) = ended {
                tracing::error!(%error, "Flight SQL listener ended");
            }
        }
    });
    sweep(service, tasks);
    Ok(())
}

/// Ends statements that are over time, whichever way they came: a client that reads nothing asks for no more rows, and so would never
/// hear that there are none.
fn sweep(service: QueryService, tasks: &Tasks) {
    let token = tasks.token();
    tasks.spawn("late statements", async move {
        let sweeping = async {
            loop {
                service.clock().sleep(SWEEP).await;
                service.end_late();
            }
        };
        token.run_until_cancelled(sweeping).await;
    });
}
