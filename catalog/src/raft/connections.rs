//! Connections to the other nodes over TCP, with TLS where nodes speak it: a pool, because openraft asks for a new client for every read barrier.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::handshake::Credentials;
use super::network::Transport;
use super::snapshot_stream;
use super::types::{SnapshotMeta, Vote};
use super::wire::{Answer, Request, read_frame, write_frame};
use crate::state::State;
use tidewater_core::{NodeId, SharedRng};
use tidewater_security::{NodeStream, NodeTls};

/// Idle connections kept for one peer: replication, heartbeats and a barrier at a time.
const IDLE_MAX: usize = 4;

/// One connection with its handshake, before a snapshot.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Until a follower has synced a snapshot that it has received: ten gigabytes at 50 MB a second.
const INSTALL_DEADLINE: Duration = Duration::from_secs(200);

/// The pool.
#[derive(Debug)]
pub(super) struct Connections {
    credentials: Credentials,
    rng: SharedRng,
    tls: Option<NodeTls>,
    idle: Mutex<HashMap<NodeId, Vec<NodeStream>>>,
}

impl Connections {
    pub(super) fn new(credentials: Credentials, tls: Option<NodeTls>, rng: SharedRng) -> Self {
        Self {
            credentials,
            rng,
            tls,
            idle: Mutex::default(),
        }
    }

    fn take(&self, id: NodeId) -> Option<NodeStream> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(&id)
            .and_then(Vec::pop)
    }

    fn put_back(&self, id: NodeId, stream: NodeStream) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = idle.entry(id).or_default();
        if streams.len() < IDLE_MAX {
            streams.push(stream);
        }
    }

    async fn connect(&self, to: NodeId, address: &str) -> io::Result<NodeStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut stream = NodeStream::calling(stream, self.tls.as_ref()).await?;
        self.credentials.greet(&mut stream, to, self.rng.as_ref()).await?;
        Ok(stream)
    }
}

#[async_trait]
impl Transport for Connections {
    /// A connection goes back to the pool only after a whole answer: a cancelled call drops it.
    async fn call(&self, to: NodeId, address: &str, request: &Request) -> io::Result<Answer> {
        loop {
            let pooled = self.take(to);
            let fresh = pooled.is_none();
            let mut stream = match pooled {
                Some(stream) => stream,
                None => self.connect(to, address).await?,
            };
            match exchange(&mut stream, request).await {
                Ok(answer) => {
                    self.put_back(to, stream);
                    return Ok(answer);
                }
                Err(e) if fresh => return Err(e),
                // The peer was restarted since. Raft's calls can be repeated, so try the next connection.
                Err(_) => {}
            }
        }
    }

    /// On a connection of its own: a snapshot that was sent in part cannot be sent again on the next one of the pool.
    async fn send_snapshot(
        &self,
        to: NodeId,
        address: &str,
        vote: Vote,
        meta: SnapshotMeta,
        state: State,
    ) -> io::Result<Answer> {
        let connecting = timeout(CONNECT_DEADLINE, self.connect(to, address)).await;
        let mut stream = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        write_frame(&mut stream, &Request::Snapshot { vote, meta }).await?;
        snapshot_stream::send(&mut stream, state).await?;
        let installed = timeout(INSTALL_DEADLINE, read_frame(&mut stream)).await;
        let answer = installed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.put_back(to, stream);
        Ok(answer)
    }
}

async fn exchange(stream: &mut NodeStream, request: &Request) -> io::Result<Answer> {
    write_frame(stream, request).await?;
    read_frame(stream).await
}
