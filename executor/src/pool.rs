//! Connections for shuffle reads, kept while they are in use often enough.
//!
//! Ballista has a pool, but in a private module: an executor with an execution engine of its own brings its own pool or
//! opens a connection for every fetch.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ballista_core::client::BallistaClient;
use ballista_core::client_pool::{BallistaClientPool, PooledClient};
use ballista_core::error::Result;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::utils::GrpcClientConfig;

use tidewater_core::SharedClock;
use tidewater_engine::cluster::secure_by;
use tidewater_security::NodeTls;

/// Longest time a connection is kept without use. Stages follow one another within seconds.
const IDLE: Duration = Duration::from_secs(30);

/// Idle connections kept to one peer. More than that were needed only for a moment.
const IDLE_PER_PEER_MAX: usize = 16;

type Peer = (String, u16, GrpcClientConfig);
type Idle = HashMap<Peer, Vec<(Duration, BallistaClient)>>;

/// The connections of one executor to its peers.
pub(crate) struct ClientPool {
    idle: Arc<Mutex<Idle>>,
    /// TLS of the nodes, whatever a plan's session says of it.
    secure: Option<Arc<BallistaConfigGrpcEndpoint>>,
    clock: SharedClock,
}

impl ClientPool {
    pub(crate) fn new(node_tls: Option<&NodeTls>, clock: SharedClock) -> Self {
        Self {
            idle: Arc::default(),
            secure: node_tls.map(|tls| Arc::new(BallistaConfigGrpcEndpoint::new(secure_by(tls)))),
            clock,
        }
    }
}

impl fmt::Debug for ClientPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientPool").finish_non_exhaustive()
    }
}

#[async_trait]
impl BallistaClientPool for ClientPool {
    async fn acquire(
        &self,
        host: &str,
        port: u16,
        config: &GrpcClientConfig,
        _of_the_session: Option<Arc<BallistaConfigGrpcEndpoint>>,
    ) -> Result<PooledClient> {
        self.evict_idle().await;
        let peer: Peer = (host.to_owned(), port, config.clone());
        let kept = lock(&self.idle).get_mut(&peer).and_then(Vec::pop);
        let client = match kept {
            Some((_, client)) => client,
            None => {
                BallistaClient::try_new(
                    host,
                    port,
                    config.max_message_size,
                    self.secure.is_some(),
                    self.secure.clone(),
                    config.io_retries_times,
                    config.io_retry_wait_time_ms,
                    config.initial_connection_window_size,
                    config.initial_stream_window_size,
                )
                .await?
            }
        };
        let (idle, clock) = (self.idle.clone(), self.clock.clone());
        let give_back = move |client| {
            let mut idle = lock(&idle);
            let clients = idle.entry(peer).or_default();
            if clients.len() < IDLE_PER_PEER_MAX {
                clients.push((clock.monotonic(), client));
            }
        };
        Ok(PooledClient::new(client, Box::new(give_back)))
    }

    async fn evict_idle(&self) {
        let now = self.clock.monotonic();
        lock(&self.idle).retain(|_, clients| {
            clients.retain(|(since, _)| now.saturating_sub(*since) < IDLE);
            !clients.is_empty()
        });
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
