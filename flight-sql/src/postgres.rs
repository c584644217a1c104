//! The PostgreSQL wire, for every tool that speaks to PostgreSQL: psql, JDBC, psycopg, Metabase, Superset, DBeaver.
//!
//! One [`Session`](session) a connection: settings, a transaction that reads, statements, portals and cursors. Everything about
//! data is the [`QueryService`]'s. What PostgreSQL's catalog would say is `tidewater_engine::pg_catalog`'s.

mod bind;
mod connection;
mod copy;
mod encode;
mod failure;
mod input;
mod key;
mod login;
mod message;
mod prepared;
mod registry;
mod reply;
mod rows;
mod script;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod types;
mod zone;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use tidewater_core::Tasks;
use tidewater_security::Tls;

use self::connection::{CONNECTIONS_MAX, Front};
use self::input::READING;
pub use self::key::CancelKey;
pub(crate) use self::registry::Registry;
use self::script::Scripts;
pub(crate) use self::settings::milliseconds;
use crate::budget::Budget;
use crate::metrics;
use crate::service::QueryService;

/// Connections that are open at once, those that have not logged in yet among them.
const SOCKETS_MAX: usize = CONNECTIONS_MAX + 1_000;

/// How long is waited after a connection could not be taken, as when there are too many files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the PostgreSQL wire on `listener` until `tasks` are told to stop, with TLS for clients that want it where there is a
/// certificate.
pub fn serve(listener: TcpListener, service: QueryService, tls: Option<Tls>, tasks: &Tasks) {
    let front = Front {
        service: service.through(metrics::Front::Postgres),
        scripts: Scripts::default(),
        tls,
        reading: Budget::new(READING),
    };
    accept(listener, front, tasks);
}

/// Takes connections and serves each.
fn accept(listener: TcpListener, front: Front, tasks: &Tasks) {
    let (token, connections) = (tasks.token(), tasks.clone());
    let sockets = Arc::new(Semaphore::new(SOCKETS_MAX));
    tasks.spawn("postgres", async move {
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&sockets).acquire_owned() => permit,
                () = token.cancelled() => return,
            };
            let Ok(permit) = permit else {
                return;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = token.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    // Answers are small and somebody waits for them.
                    let _ = stream.set_nodelay(true);
                    let (front, stop) = (front.clone(), token.clone());
                    // One that fails must not take the others with it.
                    connections
                        .child("connection")
                        .spawn("postgres connection", async move {
                            connection::serve(stream, front, stop).await;
                            drop(permit);
                        });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take a PostgreSQL connection");
                    front.service.clock().sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
}
