//! The listening side between nodes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::handshake::{Credentials, refuse_plain};
use super::read_barrier::ReadBarrier;
use super::snapshot_stream;
use super::state_store::Published;
use super::types::{Raft, Snapshot, SnapshotMeta, Vote};
use super::wire::{Answer, Probe, Request, Standing, read_frame, write_frame};
use crate::state::State;
use tidewater_core::{NodeId, SharedRng, Tasks};
use tidewater_security::tls::begins_tls;
use tidewater_security::{NodeStream, NodeTls};

/// Connections at a time: each peer keeps a handful.
const CONNECTIONS_MAX: usize = 256;

/// A stranger that says nothing is let go of.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// A connection without a call for so long is closed; its owner makes a new one.
const IDLE_DEADLINE: Duration = Duration::from_secs(300);

/// Accepting fails when file descriptors run out; trying again at once would take a whole core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection needs to be served.
#[derive(Clone)]
pub(super) struct PeerService {
    pub(super) raft: Raft,
    pub(super) credentials: Credentials,
    pub(super) tls: Option<NodeTls>,
    pub(super) admitted: Arc<AtomicBool>,
    pub(super) rng: SharedRng,
    pub(super) reads: ReadBarrier,
    pub(super) published: Arc<Published>,
}

impl PeerService {
    /// Accepts connections until the tasks are told to stop.
    pub(super) async fn serve(self, listener: TcpListener, tasks: Tasks) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let token = tasks.token();
        while let Some(accepted) = token.run_until_cancelled(accept(&listener, &places)).await {
            let (stream, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a catalog peer");
                    let _ = timeout(ACCEPT_PAUSE, token.cancelled()).await;
                    continue;
                }
            };
            let (service, token) = (self.clone(), token.clone());
            tasks.spawn("peer", async move {
                token.run_until_cancelled(service.talk(stream)).await;
                drop(place);
            });
        }
    }

    async fn talk(&self, stream: TcpStream) {
        let (mut stream, caller) = match timeout(HANDSHAKE_DEADLINE, self.meet(stream)).await {
            Ok(Ok(met)) => met,
            Ok(Err(error)) => return tracing::warn!(%error, "refused a catalog peer"),
            Err(_) => return,
        };
        while let Ok(Ok(request)) = timeout(IDLE_DEADLINE, read_frame(&mut stream)).await {
            let answer = match request {
                Request::Snapshot { vote, meta } => match self.receive(vote, meta, &mut stream).await {
                    Ok(answer) => answer,
                    Err(error) => return tracing::warn!(%error, "lost a catalog peer"),
                },
                request => self.handle(caller, request).await,
            };
            if write_frame(&mut stream, &answer).await.is_err() {
                return;
            }
        }
    }

    /// Who calls, and the connection on which both ends have shown who they are.
    async fn meet(&self, mut stream: TcpStream) -> io::Result<(NodeStream, NodeId)> {
        if self.tls.is_some() && !begins_tls(&stream).await? {
            return Err(refuse_plain(&mut stream).await);
        }
        let mut stream = NodeStream::called(stream, self.tls.as_ref()).await?;
        let caller = self.credentials.receive(&mut stream, self.rng.as_ref()).await?;
        Ok((stream, caller))
    }

    async fn receive(&self, vote: Vote, meta: SnapshotMeta, stream: &mut NodeStream) -> io::Result<Answer> {
        if !self.admitted.load(Relaxed) {
            return Err(io::Error::other("a snapshot before this node was admitted"));
        }
        let state = snapshot_stream::receive(stream).await?;
        Ok(self.install(vote, meta, state).await)
    }

    /// Takes over a state that was sent whole.
    pub(super) async fn install(&self, vote: Vote, meta: SnapshotMeta, state: State) -> Answer {
        let snapshot = Snapshot {
            meta,
            snapshot: Box::new(state),
        };
        let installed = self.raft.install_full_snapshot(vote, snapshot).await;
        installed.map_or_else(|e| Answer::Refused(e.to_string()), Answer::Snapshot)
    }

    /// Answers one request of the node `caller`.
    pub(super) async fn handle(&self, caller: NodeId, request: Request) -> Answer {
        let refused = |e: &dyn std::fmt::Display| Answer::Refused(e.to_string());
        if !self.admitted.load(Relaxed) && !matches!(request, Request::Probe) {
            return Answer::Refused("not yet sure that this node has not lost its files".into());
        }
        match request {
            Request::Append(rpc) => self
                .raft
                .append_entries(rpc)
                .await
                .map_or_else(|e| refused(&e), Answer::Append),
            // One that left does not know it yet: it is told when it asks, and disturbs nobody until then.
            Request::Vote(_) if self.published.applied().state.was_removed(caller) => {
                Answer::Refused(format!("node {caller} was removed from the group"))
            }
            Request::Vote(rpc) => self.raft.vote(rpc).await.map_or_else(|e| refused(&e), Answer::Vote),
            Request::Snapshot { .. } => Answer::Refused("a snapshot without its state".into()),
            Request::Probe => Answer::Probe(self.probe().await),
            Request::ReadIndex => self
                .reads
                .pass_as_leader()
                .await
                .map_or_else(|e| refused(&e), Answer::ReadIndex),
            Request::TakeOver { vote, last_log } => self.take_over(vote, last_log).await,
            Request::Standing => Answer::Standing(match self.published.applied().state.was_removed(caller) {
                true => Standing::Removed,
                false => Standing::Open,
            }),
        }
    }

    /// Only from the leader of this reign, and with every entry it has: anything else is a word that came late.
    async fn take_over(&self, vote: Vote, last_log: u64) -> Answer {
        let own = match self.raft.with_raft_state(|state| *state.vote_ref()).await {
            Ok(own) => own,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        let last = self.raft.metrics().borrow().last_log_index.unwrap_or(0);
        if own != vote || last < last_log {
            return Answer::Refused(format!(
                "asked by {vote} at entry {last_log}, while this node is with {own} at entry {last}"
            ));
        }
        match self.raft.trigger().elect().await {
            Ok(()) => Answer::TakingOver,
            Err(error) => Answer::Refused(error.to_string()),
        }
    }

    async fn probe(&self) -> Probe {
        let metrics = self.raft.metrics().borrow().clone();
        Probe {
            // A node that cannot say counts as one that has begun: nobody makes a new group then.
            begun: self.raft.is_initialized().await.unwrap_or(true),
            admitted: self.admitted.load(Relaxed),
            voters: metrics.membership_config.voter_ids().collect(),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}
