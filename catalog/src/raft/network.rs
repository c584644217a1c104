//! The calling side between nodes, as openraft sees it. How a message travels is [`Transport`]'s business.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openraft::error::{Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{RaftNetwork, RaftNetworkFactory};
use tokio::time::timeout;

use super::options::PeerAddress;
use super::types::{Snapshot, SnapshotMeta, TypeConfig, Vote};
use super::wire::{Answer, Request};
use crate::state::State;
use tidewater_core::NodeId;

/// Until an unreachable peer is tried again; openraft's default of 500 ms delays a restarted one.
const BACKOFF: Duration = Duration::from_millis(100);

/// Takes messages to other nodes and brings their answers.
#[async_trait]
pub(super) trait Transport: Debug + Send + Sync {
    /// One request, one answer.
    async fn call(&self, to: NodeId, address: &str, request: &Request) -> io::Result<Answer>;

    /// A state, to be installed there.
    async fn send_snapshot(
        &self,
        to: NodeId,
        address: &str,
        vote: Vote,
        meta: SnapshotMeta,
        state: State,
    ) -> io::Result<Answer>;
}

/// The way to the other nodes. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Network {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    transport: Arc<dyn Transport>,
    /// Configured addresses, preferred to the ones in the log.
    peers: BTreeMap<NodeId, PeerAddress>,
}

impl Network {
    pub(super) fn new(transport: Arc<dyn Transport>, peers: BTreeMap<NodeId, PeerAddress>) -> Self {
        Self {
            inner: Arc::new(Inner { transport, peers }),
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
    pub(super) async fn call(&self, request: &Request) -> io::Result<Answer> {
        self.network.inner.transport.call(self.id, &self.address, request).await
    }

    pub(super) async fn call_within(&self, limit: Duration, request: &Request) -> io::Result<Answer> {
        timeout(limit, self.call(request))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
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
        let transport = &self.network.inner.transport;
        let result = tokio::select! {
            closed = cancel => return Err(closed.into()),
            result = transport.send_snapshot(self.id, &self.address, vote, meta, *state) => result,
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
