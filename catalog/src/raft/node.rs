//! One node: files, Raft, actors and tasks, on a runtime of their own.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use tidewater_core::{Coded, NodeId, SharedClock, SharedRng, Tasks};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::bootstrap::{Bootstrap, initialize};
use super::data_dir::DataDir;
use super::error::ConsensusError;
use super::group_commit::GroupCommit;
use super::handshake::Credentials;
use super::leadership::{Fence, Leader, Leadership};
use super::log_store::LogStore;
use super::network::Network;
use super::options::{PeerAddress, RaftOptions};
use super::peers::PeerService;
use super::pressure::Pressure;
use super::read_barrier::ReadBarrier;
use super::snapshot_file::SnapshotFile;
use super::state_store::{Published, StateStore};
use super::status::{Status, status_of};
use super::types::{Metrics, Raft};
use super::{Applied, Consensus, MemberChange};
use crate::command::{Command, Outcome};

/// The process ends with this code when the storage of its Raft failed: a supervisor must not hide that.
pub const EXIT_CODE_STORAGE_FAILED: i32 = 74;

/// Raft needs little, but one thread busy with a sync or an apply must not delay the heartbeats.
const RUNTIME_THREADS: usize = 2;

/// Catching up of a new member, and the change of members itself.
const MEMBERS_DEADLINE: Duration = Duration::from_secs(60);

/// A node of the catalog's Raft group. Clones are the same node.
#[derive(Debug, Clone)]
pub struct RaftConsensus {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeId,
    raft: Raft,
    service: PeerService,
    secured: bool,
    published: Arc<Published>,
    writes: GroupCommit,
    reads: ReadBarrier,
    leadership: watch::Receiver<Leadership>,
    stopped: watch::Sender<Option<String>>,
    closing: Arc<AtomicBool>,
    members: Mutex<()>,
    tasks: Tasks,
    runtime: OwnRuntime,
}

/// A runtime must not be dropped by waiting for it inside another one.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    fn start(node: NodeId) -> Result<Self, ConsensusError> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name(format!("raft-{node}"))
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
            .map_err(|e| ConsensusError::Options { reason: format!("no runtime for Raft: {e}") })
    }

    /// Runs a future over there.
    async fn run<F>(&self, future: F) -> Result<F::Output, ConsensusError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let running = self.0.as_ref().map(|runtime| runtime.handle().spawn(future));
        match running {
            Some(running) => running.await.map_err(|_| ConsensusError::Stopped),
            None => Err(ConsensusError::Stopped),
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl RaftConsensus {
    /// Opens the files of a node and starts it. A group of several needs [`RaftConsensus::serve_peers`] as well.
    pub async fn start(options: RaftOptions, clock: SharedClock, rng: SharedRng) -> Result<Self, ConsensusError> {
        let config = Arc::new(options.openraft_config()?);
        let runtime = OwnRuntime::start(options.node)?;
        let pressure = Arc::new(Pressure::new(options.snapshot_commands));
        let opened = open(&options, Arc::clone(&pressure), Arc::clone(&rng)).await?;
        let (log, states, fresh, log_path) = opened;
        let published = states.published();
        let credentials = Credentials::new(options.node, options.secret.as_deref());
        let network = Network::new(credentials.clone(), options.peers.clone(), Arc::clone(&rng));
        let node = options.node;
        let raft = {
            let network = network.clone();
            runtime.run(async move { Raft::new(node.0, config, network, log, states).await }).await
        };
        // What openraft reads at start is the log; a panic there is redb's way to say that a page makes no sense.
        let raft = raft.map_err(|_| ConsensusError::damaged(&log_path, "it cannot be read"))?;
        let raft = raft.map_err(|e| ConsensusError::damaged(&log_path, e))?;

        let tasks = Tasks::new("catalog.raft");
        let admitted = Arc::new(AtomicBool::new(false));
        let service = PeerService { raft: raft.clone(), credentials, admitted: Arc::clone(&admitted), rng };
        let bootstrap =
            Bootstrap { raft: raft.clone(), network, node, peers: options.peers.clone(), fresh, admitted, clock };
        let (stopped, closing) = (watch::Sender::new(None), Arc::new(AtomicBool::new(false)));
        let inner = {
            let entered = runtime.0.as_ref().map(Runtime::enter);
            let writes = GroupCommit::start(&raft, node, options.write_deadline, &tasks);
            let reads = ReadBarrier::start(&raft, node, options.read_deadline, &tasks);
            let leadership = watch_metrics(&raft, &options, &tasks, stopped.clone(), Arc::clone(&closing));
            spawn_snapshots(&raft, &tasks, pressure);
            spawn_bootstrap(bootstrap, &tasks, stopped.clone());
            drop(entered);
            Inner {
                node,
                raft,
                service,
                secured: options.secret.is_some(),
                published,
                writes,
                reads,
                leadership,
                stopped,
                closing,
                members: Mutex::new(()),
                tasks,
                runtime,
            }
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Serves the other nodes on `listener`, which may be bound to another address than loopback only with a shared secret.
    pub fn serve_peers(&self, listener: TcpListener) -> Result<(), ConsensusError> {
        let failed = |e: std::io::Error| ConsensusError::Options { reason: format!("the peers' listener: {e}") };
        let address = listener.local_addr().map_err(failed)?;
        if !self.inner.secured && !address.ip().is_loopback() {
            return Err(ConsensusError::OpenListener { address });
        }
        // A socket belongs to the runtime it was made on.
        let listener = listener.into_std().map_err(failed)?;
        let entered = self.inner.runtime.0.as_ref().map(Runtime::enter);
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let (service, tasks) = (self.inner.service.clone(), self.inner.tasks.clone());
        self.inner.tasks.spawn("peers", service.serve(listener, tasks));
        drop(entered);
        Ok(())
    }

    /// Turns to the reason when Raft has ended by itself, above all because its storage failed. The process should then end with [`EXIT_CODE_STORAGE_FAILED`]: this
    /// node cannot keep what it would promise.
    pub fn stopped(&self) -> watch::Receiver<Option<String>> {
        self.inner.stopped.subscribe()
    }

    /// Ends Raft and its tasks. The files are free when the last clone is dropped.
    pub async fn shutdown(&self, deadline: Duration) {
        self.inner.closing.store(true, Relaxed);
        let raft = self.inner.raft.clone();
        let ended = self.inner.runtime.run(async move { timeout(deadline, raft.shutdown()).await.is_ok() }).await;
        if !ended.unwrap_or(false) || !self.inner.tasks.shutdown(deadline).await {
            tracing::warn!(node = %self.inner.node, "the catalog's Raft did not end in time");
        }
    }

    #[cfg(test)]
    pub(super) fn raft(&self) -> &Raft {
        &self.inner.raft
    }
}

type Opened = (LogStore, StateStore, bool, std::path::PathBuf);

async fn open(options: &RaftOptions, pressure: Arc<Pressure>, rng: SharedRng) -> Result<Opened, ConsensusError> {
    let (path, node) = (options.dir.clone(), options.node);
    let work = tokio::task::spawn_blocking(move || {
        let dir = Arc::new(DataDir::open(&path)?);
        let (db, fresh) = dir.open_log(node, rng.as_ref())?;
        let states = StateStore::new(SnapshotFile::open(dir.snapshot_path())?, Arc::clone(&pressure));
        let log_path = dir.log_path();
        let log = LogStore::start(db, dir, pressure)?;
        Ok((log, states, fresh, log_path))
    });
    // redb panics on some damaged pages.
    work.await.unwrap_or_else(|e| Err(ConsensusError::damaged(&options.dir, e)))
}

fn watch_metrics(
    raft: &Raft,
    options: &RaftOptions,
    tasks: &Tasks,
    stopped: watch::Sender<Option<String>>,
    closing: Arc<AtomicBool>,
) -> watch::Receiver<Leadership> {
    let (mut metrics, options, token) = (raft.metrics(), options.clone(), tasks.token());
    let first = leadership_of(&metrics.borrow(), &options);
    let (sender, receiver) = watch::channel(first);
    tasks.spawn("metrics", async move {
        let ended = loop {
            // A borrow of the metrics must not live across an await: it would hold up RaftCore.
            let now = metrics.borrow_and_update().clone();
            let leadership = leadership_of(&now, &options);
            sender.send_if_modified(|last| {
                let changed = *last != leadership;
                if changed {
                    tracing::info!(node = %options.node, leader = ?leadership.leader, "catalog leadership changed");
                    *last = leadership;
                }
                changed
            });
            if let Err(fatal) = now.running_state {
                break Some(fatal.to_string());
            }
            match token.run_until_cancelled(metrics.changed()).await {
                Some(Ok(())) => {}
                Some(Err(_)) => break Some("Raft has ended".to_owned()),
                None => break Some("a task of the Raft layer ended".to_owned()),
            }
        };
        if let Some(reason) = ended.filter(|_| !closing.load(Relaxed)) {
            tracing::error!(node = %options.node, reason, "the catalog's Raft has stopped");
            stopped.send_replace(Some(reason));
        }
    });
    receiver
}

fn leadership_of(metrics: &Metrics, options: &RaftOptions) -> Leadership {
    let members = metrics.membership_config.membership();
    let leader = metrics.current_leader.filter(|_| metrics.running_state.is_ok()).map(|id| {
        let configured = options.peers.get(&NodeId(id));
        let address = configured.or_else(|| members.get_node(&id)).cloned().unwrap_or_else(PeerAddress::default);
        Leader { id: NodeId(id), address }
    });
    let reign = metrics.vote.leader_id;
    let fence = leader.as_ref().map(|_| Fence { term: reign.term, node: NodeId(reign.node_id) });
    Leadership { node: options.node, leader, fence }
}

fn spawn_snapshots(raft: &Raft, tasks: &Tasks, pressure: Arc<Pressure>) {
    let (raft, token) = (raft.clone(), tasks.token());
    tasks.spawn("snapshots", async move {
        while token.run_until_cancelled(pressure.due()).await.is_some() {
            if raft.trigger().snapshot().await.is_err() {
                return;
            }
        }
    });
}

fn spawn_bootstrap(bootstrap: Bootstrap, tasks: &Tasks, stopped: watch::Sender<Option<String>>) {
    let token = tasks.token();
    tasks.spawn("bootstrap", async move {
        match token.run_until_cancelled(bootstrap.run()).await {
            None | Some(Ok(())) | Some(Err(ConsensusError::Stopped)) => {}
            Some(Err(error)) => {
                tracing::error!(code = error.code(), %error, "the catalog could not begin");
                stopped.send_replace(Some(error.to_string()));
            }
        }
    });
}

#[async_trait]
impl Consensus for RaftConsensus {
    async fn write(&self, command: Command) -> Result<Outcome, ConsensusError> {
        self.inner.writes.write(command).await
    }

    async fn barrier(&self) -> Result<(), ConsensusError> {
        self.inner.reads.pass().await
    }

    fn state(&self) -> Applied {
        self.inner.published.applied()
    }

    async fn wait_applied(&self, index: u64, deadline: Duration) -> u64 {
        let mut applied = self.inner.published.index();
        let _ = timeout(deadline, applied.wait_for(|now| *now >= index)).await;
        let now = *applied.borrow();
        now
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    async fn change_members(&self, change: MemberChange) -> Result<(), ConsensusError> {
        // Two changes at a time can end in a joint configuration that nobody asked for.
        let _one = self.inner.members.lock().await;
        let raft = self.inner.raft.clone();
        let node = self.inner.node;
        let work = async move { timeout(MEMBERS_DEADLINE, change_members(&raft, node, change)).await };
        let late = || ConsensusError::Membership { reason: format!("not done within {MEMBERS_DEADLINE:?}") };
        self.inner.runtime.run(work).await?.unwrap_or_else(|_| Err(late()))
    }

    fn status(&self) -> Status {
        let metrics = self.inner.raft.metrics().borrow().clone();
        status_of(&metrics)
    }
}

async fn change_members(raft: &Raft, node: NodeId, change: MemberChange) -> Result<(), ConsensusError> {
    let result = match change {
        MemberChange::Initialize(peers) => return initialize(raft, &peers).await,
        MemberChange::AddLearner { id, address } => raft.add_learner(id.0, address, true).await,
        MemberChange::SetVoters(voters) => {
            let voters: std::collections::BTreeSet<u64> = voters.into_iter().map(|id| id.0).collect();
            raft.change_membership(voters, false).await
        }
    };
    match result {
        Ok(_) => Ok(()),
        Err(e) => Err(match e.forward_to_leader() {
            Some(forward) => super::group_commit::not_leader(node, forward.leader_id, forward.leader_node.clone()),
            None => ConsensusError::Membership { reason: e.to_string() },
        }),
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RaftConsensus").field("node", &self.node).finish_non_exhaustive()
    }
}
