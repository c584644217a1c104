//! The calling side between nodes: a pool of connections, because openraft asks for a new client for every read
//! barrier.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::error::{Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{RaftNetwork, RaftNetworkFactory};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::handshake::Credentials;
use super::options::PeerAddress;
use super::snapshot_stream;
use super::types::{Snapshot, SnapshotMeta, TypeConfig, Vote};
use super::wire::{Answer, Request, read_frame, write_frame};
use crate::state::State;
use tidewater_core::{NodeId, SharedRng};

/// Idle connections kept for one peer: replication, heartbeats and a barrier at a time.
const IDLE_MAX: usize = 4;

/// Until an unreachable peer is tried again; openraft's default of 500 ms delays a restarted one.
const BACKOFF: Duration = Duration::from_millis(100);

/// One connection with its handshake, before a snapshot.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Until a follower has synced a snapshot that it has received: ten gigabytes at 50 MB a second.
const INSTALL_DEADLINE: Duration = Duration::from_secs(200);

/// Connections to the other nodes. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Network {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    credentials: Credentials,
    /// Configured addresses, preferred to the ones in the log.
    peers: BTreeMap<NodeId, PeerAddress>,
    rng: SharedRng,
    idle: Mutex<HashMap<NodeId, Vec<TcpStream>>>,
}

impl Network {
    pub(super) fn new(credentials: Credentials, peers: BTreeMap<NodeId, PeerAddress>, rng: SharedRng) -> Self {
        Self {
            inner: Arc::new(Inner {
                credentials,
                peers,
                rng,
                idle: Mutex::default(),
            }),
        }
    }

    pub(super) fn peer(&self, id: NodeId, logged: &PeerAddress) -> Peer {
        let address = self.inner.peers.get(&id).unwrap_or(logged);
        Peer {
            id,
            address: address.raft.clone(),
            network: self.clone(),
        }
    }

    fn take(&self, id: NodeId) -> Option<TcpStream> {
        self.inner
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(&id)
            .and_then(Vec::pop)
    }

    fn put_back(&self, id: NodeId, stream: TcpStream) {
        let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = idle.entry(id).or_default();
        if streams.len() < IDLE_MAX {
            streams.push(stream);
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &PeerAddress) -> Peer {
        self.peer(NodeId(target), node)
    }
}

/// One other node.
#[derive(Debug)]
pub(super) struct Peer {
    id: NodeId,
    address: String,
    network: Network,
}

impl Peer {
    async fn connect(&self) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let inner = &self.network.inner;
        inner
            .credentials
            .greet(&mut stream, self.id, inner.rng.as_ref())
            .await?;
        Ok(stream)
    }

    /// A connection goes back to the pool only after a whole answer: a cancelled call drops it.
    pub(super) async fn call(&self, request: &Request) -> io::Result<Answer> {
        loop {
            let pooled = self.network.take(self.id);
            let fresh = pooled.is_none();
            let mut stream = match pooled {
                Some(stream) => stream,
                None => self.connect().await?,
            };
            match exchange(&mut stream, request).await {
                Ok(answer) => {
                    self.network.put_back(self.id, stream);
                    return Ok(answer);
                }
                Err(e) if fresh => return Err(e),
                // The peer was restarted since. Raft's calls can be repeated, so try the next connection.
                Err(_) => {}
            }
        }
    }

    /// On a connection of its own: a snapshot that was sent in part cannot be sent again on the next one of the pool.
    async fn send_snapshot(&self, vote: Vote, meta: SnapshotMeta, state: State) -> io::Result<Answer> {
        let connecting = timeout(CONNECT_DEADLINE, self.connect()).await;
        let mut stream = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        write_frame(&mut stream, &Request::Snapshot { vote, meta }).await?;
        snapshot_stream::send(&mut stream, state).await?;
        let installed = timeout(INSTALL_DEADLINE, read_frame(&mut stream)).await;
        let answer = installed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.network.put_back(self.id, stream);
        Ok(answer)
    }

    pub(super) async fn call_within(&self, limit: Duration, request: &Request) -> io::Result<Answer> {
        timeout(limit, self.call(request))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

async fn exchange(stream: &mut TcpStream, request: &Request) -> io::Result<Answer> {
    write_frame(stream, request).await?;
    read_frame(stream).await
}

type CallError = RPCError<u64, PeerAddress, RaftError<u64>>;

/// "Unreachable" makes openraft back off before the next try; anything else it repeats at once.
fn unreachable(error: &io::Error) -> CallError {
    RPCError::Unreachable(Unreachable::new(error))
}

fn unexpected(answer: Answer) -> io::Error {
    match answer {
        Answer::Refused(reason) => io::Error::new(io::ErrorKind::ConnectionRefused, reason),
        other => io::Error::other(format!("unexpected answer {other:?}")),
    }
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, CallError> {
        match self.call_within(option.hard_ttl(), &Request::Append(rpc)).await {
            Ok(Answer::Append(answer)) => Ok(answer),
            Ok(other) => Err(unreachable(&unexpected(other))),
            Err(e) => Err(unreachable(&e)),
        }
    }

    async fn vote(&mut self, rpc: VoteRequest<u64>, option: RPCOption) -> Result<VoteResponse<u64>, CallError> {
        match self.call_within(option.hard_ttl(), &Request::Vote(rpc)).await {
            Ok(Answer::Vote(answer)) => Ok(answer),
            Ok(other) => Err(RPCError::Network(NetworkError::new(&unexpected(other)))),
            Err(e) => Err(unreachable(&e)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        // The time for the whole would bound the size of the state; each piece has its own.
        _option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        let Snapshot { meta, snapshot: state } = snapshot;
        let result = tokio::select! {
            closed = cancel => return Err(closed.into()),
            result = self.send_snapshot(vote, meta, *state) => result,
        };
        match result {
            Ok(Answer::Snapshot(answer)) => Ok(answer),
            Ok(other) => Err(Unreachable::new(&unexpected(other)).into()),
            Err(e) => Err(Unreachable::new(&e).into()),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
