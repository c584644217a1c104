//! One node: files, Raft, actors and tasks, on a runtime of their own.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use openraft::error::Fatal;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::bootstrap::{Bootstrap, initialize};
use super::data_dir::DataDir;
use super::error::ConsensusError;
use super::group_commit::GroupCommit;
use super::handshake::Credentials;
use super::leadership::Leadership;
use super::log_store::LogStore;
use super::network::Network;
use super::options::RaftOptions;
use super::peers::PeerService;
use super::pressure::Pressure;
use super::proposer::{Proposer, reason};
use super::read_barrier::ReadBarrier;
use super::runtime::OwnRuntime;
use super::snapshot_file::SnapshotFile;
use super::state_store::{Published, StateStore};
use super::status::{Status, status_of};
use super::types::Raft;
use super::watchers::Watchers;
use super::{Applied, Consensus, MemberChange};
use crate::command::{Command, Outcome};
use tidewater_core::{SharedClock, SharedRng, Tasks};

/// The process ends with this code when the storage of its Raft failed: a supervisor must not hide that.
pub const EXIT_CODE_STORAGE_FAILED: i32 = 74;

/// Catching up of a new member, and the change of members itself.
const MEMBERS_DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks whether the files are free.
const FILES_PAUSE: Duration = Duration::from_millis(5);

/// A node of the catalog's Raft group. Clones are the same node. When the last one is dropped the node ends at once, as
/// if it had been killed; to end it in order, use [`RaftConsensus::shutdown`].
#[derive(Debug, Clone)]
pub struct RaftConsensus {
    inner: Arc<Inner>,
}

struct Inner {
    proposer: Proposer,
    service: PeerService,
    secured: bool,
    published: Arc<Published>,
    writes: GroupCommit,
    reads: ReadBarrier,
    leadership: watch::Receiver<Leadership>,
    stopped: watch::Sender<Option<String>>,
    closing: Arc<AtomicBool>,
    members: Mutex<()>,
    dir: Weak<DataDir>,
    clock: SharedClock,
    tasks: Tasks,
    runtime: OwnRuntime,
}

/// The opened files of a node.
pub(super) struct Files {
    pub(super) dir: Arc<DataDir>,
    pub(super) log: LogStore,
    pub(super) states: StateStore,
    pub(super) pressure: Arc<Pressure>,
}

impl RaftConsensus {
    /// Opens the files of a node and starts it. A group of several needs [`RaftConsensus::serve_peers`] as well.
    pub async fn start(options: RaftOptions, clock: SharedClock, rng: SharedRng) -> Result<Self, ConsensusError> {
        let (opening, opening_rng) = (options.clone(), Arc::clone(&rng));
        let files = tokio::task::spawn_blocking(move || Files::open(&opening, opening_rng)).await;
        // redb panics on some damaged pages.
        let files = files.unwrap_or_else(|e| Err(ConsensusError::damaged(&options.dir, e)))?;
        Self::begin(options, files, clock, rng).await
    }

    pub(super) async fn begin(
        options: RaftOptions,
        files: Files,
        clock: SharedClock,
        rng: SharedRng,
    ) -> Result<Self, ConsensusError> {
        let config = Arc::new(options.openraft_config()?);
        let Files {
            dir,
            log,
            states,
            pressure,
        } = files;
        let (runtime, node) = (OwnRuntime::start(options.node)?, options.node);
        let published = states.published();
        let credentials = Credentials::new(node, options.secret.as_deref());
        let network = Network::new(credentials.clone(), options.peers.clone(), Arc::clone(&rng));
        let raft = Raft::new(node.0, config, network.clone(), log, states);
        let raft = opened(&dir.log_path(), runtime.run(raft).await)?;

        let tasks = Tasks::new("catalog.raft");
        let admitted = Arc::new(AtomicBool::new(dir.is_admitted()?));
        let (peers, secured) = (options.peers.clone(), options.secret.is_some());
        let proposer = Proposer {
            raft: raft.clone(),
            node,
            peers: peers.clone(),
        };
        let service = PeerService {
            raft: raft.clone(),
            credentials,
            admitted: Arc::clone(&admitted),
            rng,
        };
        let (held, ticking) = (Arc::downgrade(&dir), Arc::clone(&clock));
        let bootstrap = Bootstrap {
            raft,
            network,
            node,
            peers,
            dir,
            admitted,
            clock,
        };
        let watchers = Watchers::new(&proposer, &tasks);
        let (stopped, closing) = (watchers.stopped.clone(), Arc::clone(&watchers.closing));
        let (writes, reads, leadership) = {
            let _entered = runtime.enter();
            watchers.snapshots(pressure);
            watchers.bootstrap(bootstrap);
            let writes = GroupCommit::start(&proposer, options.write_deadline, &tasks);
            let reads = ReadBarrier::start(&proposer, options.read_deadline, &tasks);
            (writes, reads, watchers.leadership())
        };
        let members = Mutex::new(());
        let inner = Inner {
            proposer,
            service,
            secured,
            published,
            writes,
            reads,
            leadership,
            stopped,
            closing,
            members,
            dir: held,
            clock: ticking,
            tasks,
            runtime,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Serves the other nodes on `listener`, which may be bound to another address than loopback only with a shared
    /// secret.
    pub fn serve_peers(&self, listener: TcpListener) -> Result<SocketAddr, ConsensusError> {
        let failed = |e: std::io::Error| ConsensusError::Options {
            reason: format!("the peers' listener: {e}"),
        };
        let address = listener.local_addr().map_err(failed)?;
        if !self.inner.secured && !address.ip().is_loopback() {
            return Err(ConsensusError::OpenListener { address });
        }
        // A socket belongs to the runtime it was made on.
        let listener = listener.into_std().map_err(failed)?;
        let _entered = self.inner.runtime.enter();
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let (service, tasks) = (self.inner.service.clone(), self.inner.tasks.clone());
        self.inner.tasks.spawn("peers", service.serve(listener, tasks));
        Ok(address)
    }

    /// Turns to the reason when Raft has ended by itself, above all because its storage failed. The process should then
    /// end with [`EXIT_CODE_STORAGE_FAILED`]: this node cannot keep what it would promise.
    pub fn stopped(&self) -> watch::Receiver<Option<String>> {
        self.inner.stopped.subscribe()
    }

    /// Ends Raft and its tasks in order; afterwards the files are free, unless the deadline passed first.
    pub async fn shutdown(&self, deadline: Duration) {
        self.inner.closing.store(true, Relaxed);
        let raft = self.inner.proposer.raft.clone();
        let ended = self
            .inner
            .runtime
            .run(async move { timeout(deadline, raft.shutdown()).await.is_ok() })
            .await;
        let ended = ended.unwrap_or(false) && self.inner.tasks.shutdown(deadline).await;
        self.inner.runtime.stop();
        // A snapshot or an append may still be on its way to the disk.
        let clock = &self.inner.clock;
        let begun = clock.monotonic();
        while self.inner.dir.strong_count() > 0 && clock.monotonic() - begun < deadline {
            clock.sleep(FILES_PAUSE).await;
        }
        if !ended || self.inner.dir.strong_count() > 0 {
            tracing::warn!(node = %self.inner.proposer.node, "the catalog's Raft did not end in time");
        }
    }

    /// Ends the node as a kill would.
    #[cfg(test)]
    pub(super) fn kill(&self) {
        self.inner.closing.store(true, Relaxed);
        self.inner.runtime.stop();
    }
}

/// What openraft reads at its start is the log, so that is what fails or, where redb meets nonsense, panics.
fn opened(log: &Path, raft: Result<Result<Raft, Fatal<u64>>, ConsensusError>) -> Result<Raft, ConsensusError> {
    match raft {
        Ok(Ok(raft)) => Ok(raft),
        Ok(Err(fatal)) => Err(ConsensusError::damaged(log, fatal)),
        Err(_) => Err(ConsensusError::damaged(log, "it cannot be read")),
    }
}

impl Files {
    pub(super) fn open(options: &RaftOptions, rng: SharedRng) -> Result<Self, ConsensusError> {
        let dir = Arc::new(DataDir::open(&options.dir)?);
        let db = dir.open_log(options.node, rng.as_ref())?;
        Self::with_log(dir, db, options.snapshot_commands)
    }

    pub(super) fn with_log(
        dir: Arc<DataDir>,
        db: redb::Database,
        snapshot_commands: u64,
    ) -> Result<Self, ConsensusError> {
        let pressure = Arc::new(Pressure::new(snapshot_commands));
        let states = StateStore::new(SnapshotFile::open(Arc::clone(&dir))?, Arc::clone(&pressure));
        let log = LogStore::start(db, Arc::clone(&dir), Arc::clone(&pressure))?;
        Ok(Self {
            dir,
            log,
            states,
            pressure,
        })
    }
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
        // Late or not, the answer tells how far it got.
        drop(timeout(deadline, applied.wait_for(|now| *now >= index)).await);
        self.inner.published.applied().index
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    async fn change_members(&self, change: MemberChange) -> Result<(), ConsensusError> {
        // Two changes at a time can end in a joint configuration that nobody asked for.
        let _one = self.inner.members.lock().await;
        let proposer = self.inner.proposer.clone();
        let work = async move { timeout(MEMBERS_DEADLINE, change_members(&proposer, change)).await };
        let late = || ConsensusError::Membership {
            reason: format!("not done within {MEMBERS_DEADLINE:?}"),
        };
        self.inner.runtime.run(work).await?.unwrap_or_else(|_| Err(late()))
    }

    fn status(&self) -> Status {
        let metrics = self.inner.proposer.raft.metrics().borrow().clone();
        status_of(&metrics)
    }
}

async fn change_members(proposer: &Proposer, change: MemberChange) -> Result<(), ConsensusError> {
    let raft = &proposer.raft;
    let result = match change {
        MemberChange::Initialize(peers) => return initialize(raft, &peers).await,
        MemberChange::AddLearner { id, address } => raft.add_learner(id.0, address, true).await,
        MemberChange::SetVoters(voters) => {
            let voters: BTreeSet<u64> = voters.into_iter().map(|id| id.0).collect();
            raft.change_membership(voters, false).await
        }
    };
    result.map(drop).map_err(|e| {
        proposer.explain(e.forward_to_leader(), || ConsensusError::Membership {
            reason: reason(&e),
        })
    })
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftConsensus")
            .field("node", &self.proposer.node)
            .finish_non_exhaustive()
    }
}
