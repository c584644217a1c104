//! One node: files, Raft, actors and tasks, on a runtime of their own.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use openraft::error::Fatal;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::bootstrap::Bootstrap;
use super::connections::Connections;
use super::data_dir::DataDir;
use super::error::ConsensusError;
use super::export::Export;
use super::group_commit::GroupCommit;
use super::handshake::Credentials;
use super::leadership::{Leader, Leadership};
use super::log_store::LogStore;
use super::members::Members;
use super::network::{Network, Transport};
use super::options::RaftOptions;
use super::peers::PeerService;
use super::pressure::Pressure;
use super::proposer::Proposer;
use super::purge_gate::PurgeGate;
use super::read_barrier::{Gate, ReadBarrier};
use super::replay::replay;
use super::runtime::OwnRuntime;
use super::snapshot_failures::SnapshotFailures;
use super::snapshot_file::SnapshotFile;
use super::standing::{Removal, Watch};
use super::state_store::{Published, StateStore};
use super::status::{Status, status_of};
use super::types::Raft;
use super::watchers::Watchers;
use super::{Applied, Consensus, MemberChange};
use crate::command::{Command, Outcome};
use tidewater_core::{NodeId, SharedClock, SharedRng, Tasks};

/// The process ends with this code when the storage of its Raft failed: a supervisor must not hide that.
pub const EXIT_CODE_STORAGE_FAILED: i32 = 74;

/// How long an orderly end waits for another node to lead.
const HAND_OVER_DEADLINE: Duration = Duration::from_secs(6);

/// Between two looks whether a snapshot is done.
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(20);

/// Until a snapshot that was asked for is on the disk.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(120);

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
    members: Members,
    removal: Removal,
    failures: Arc<SnapshotFailures>,
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

/// What a node stands on besides its files.
pub(super) struct Ground {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) runtime: OwnRuntime,
    pub(super) clock: SharedClock,
    pub(super) rng: SharedRng,
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
        let credentials = Credentials::new(options.node, options.secret.as_deref());
        let ground = Ground {
            transport: Arc::new(Connections::new(
                credentials,
                options.node_tls.clone(),
                Arc::clone(&rng),
            )),
            runtime: OwnRuntime::start(options.node)?,
            clock,
            rng,
        };
        Self::begin_on(options, files, ground).await
    }

    pub(super) async fn begin_on(options: RaftOptions, files: Files, ground: Ground) -> Result<Self, ConsensusError> {
        let Ground {
            transport,
            runtime,
            clock,
            rng,
        } = ground;
        let config = Arc::new(options.openraft_config()?);
        let Files {
            dir,
            log,
            states,
            pressure,
        } = files;
        let node = options.node;
        let (published, failures) = (states.published(), states.failures());
        let credentials = Credentials::new(node, options.secret.as_deref());
        let network = Network::new(transport, options.peers.clone());
        let raft = Raft::new(node.0, config, network.clone(), log, states);
        let raft = opened(&dir.log_path(), runtime.run(raft).await)?;

        let tasks = Tasks::new("catalog.raft");
        let admitted = Arc::new(AtomicBool::new(dir.is_admitted()?));
        let (peers, secured) = (options.peers.clone(), options.secret.is_some());
        let proposer = Proposer {
            raft: raft.clone(),
            node,
            peers: peers.clone(),
            gate: Arc::default(),
            alone: Arc::default(),
        };
        let watchers = Watchers::new(&proposer, &tasks);
        let removal = Removal::new(node, &dir, &watchers.stopped);
        let members = Members::new(&proposer, &network, &published, &clock, options.election_max);
        let standing = Watch {
            proposer: proposer.clone(),
            network: network.clone(),
            published: Arc::clone(&published),
            removal: removal.clone(),
            clock: Arc::clone(&clock),
        };
        let (held, ticking) = (Arc::downgrade(&dir), Arc::clone(&clock));
        let asking = network.clone();
        let bootstrap = Bootstrap {
            raft: raft.clone(),
            network,
            node,
            peers,
            dir,
            admitted: Arc::clone(&admitted),
            clock,
        };
        let (stopped, closing) = (watchers.stopped.clone(), Arc::clone(&watchers.closing));
        let (writes, reads, leadership) = {
            let _entered = runtime.enter();
            watchers.snapshots(pressure);
            watchers.bootstrap(bootstrap);
            let writes = GroupCommit::start(&proposer, options.write_deadline, &tasks);
            let leadership = watchers.leadership();
            let gate = Gate {
                proposer: proposer.clone(),
                network: asking,
                published: Arc::clone(&published),
                clock: Arc::clone(&ticking),
                deadline: options.read_deadline,
                patience: options.election_max * 2,
                leadership: leadership.clone(),
            };
            let reads = ReadBarrier::start(gate, &tasks);
            standing.start(&tasks);
            members.tend(&tasks);
            (writes, reads, leadership)
        };
        let service = PeerService {
            raft,
            credentials,
            tls: options.node_tls.clone(),
            admitted,
            rng,
            reads: reads.clone(),
            published: Arc::clone(&published),
        };
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
            removal,
            failures,
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

    /// Whether it ended because the group removed this node: nothing is wrong with its storage.
    pub fn removed(&self) -> bool {
        self.inner.removal.check().is_err()
    }

    /// Ends Raft and its tasks in order; afterwards the files are free, unless the deadline passed first. A leader hands
    /// over first, so that the others need no election.
    pub async fn shutdown(&self, deadline: Duration) {
        self.hand_over(deadline.min(HAND_OVER_DEADLINE)).await;
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

    /// Lets another voter lead, if this node does and there is one. To be called before the listener closes: what
    /// arrives afterwards is sent on to the new leader.
    pub async fn hand_over(&self, deadline: Duration) {
        let status = self.status();
        let voters = status.members.iter().filter(|member| member.voter).count();
        if status.leader != Some(status.node) || voters < 2 {
            return;
        }
        match timeout(deadline, self.transfer_leadership(None)).await {
            Ok(Ok(leader)) => tracing::info!(leader = %leader.id, "handed the catalog's leadership over"),
            Ok(Err(error)) => tracing::warn!(%error, "the others have to elect a leader"),
            Err(_) => tracing::warn!("the others have to elect a leader"),
        }
    }

    /// openraft's own handle.
    #[cfg(test)]
    pub(super) fn raft(&self) -> Raft {
        self.inner.proposer.raft.clone()
    }

    /// What other nodes reach.
    #[cfg(test)]
    pub(super) fn service(&self) -> PeerService {
        self.inner.service.clone()
    }

    /// Whether reads ask nobody.
    #[cfg(test)]
    pub(super) fn reads_alone(&self) -> bool {
        self.inner.proposer.alone.holds()
    }

    /// Ends the node as a kill would.
    #[cfg(test)]
    pub(super) fn kill(&self) {
        self.inner.closing.store(true, Relaxed);
        self.inner.tasks.token().cancel();
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
        dir.check_not_removed(options.node)?;
        let db = dir.open_log(options.node, rng.as_ref())?;
        Self::with_log(dir, db, options.snapshot_commands)
    }

    pub(super) fn with_log(
        dir: Arc<DataDir>,
        db: redb::Database,
        snapshot_commands: u64,
    ) -> Result<Self, ConsensusError> {
        let pressure = Arc::new(Pressure::new(snapshot_commands));
        let (file, gate) = (SnapshotFile::open(Arc::clone(&dir))?, Arc::new(PurgeGate::default()));
        let states = StateStore::new(Arc::new(file), Arc::clone(&pressure), Arc::clone(&gate));
        let log = LogStore::start(db, Arc::clone(&dir), Arc::clone(&pressure), gate)?;
        let entries = replay(&log, &states);
        if entries > 0 {
            tracing::info!(entries, "read the catalog's log");
        }
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
        self.inner.removal.check()?;
        self.inner.writes.write(command).await
    }

    async fn barrier(&self) -> Result<(), ConsensusError> {
        self.inner.removal.check()?;
        self.inner.reads.pass().await.map(drop)
    }

    async fn barrier_within(&self, staleness: Duration) -> Result<(), ConsensusError> {
        match self.inner.reads.is_within(staleness) {
            true => self.inner.removal.check(),
            false => self.barrier().await,
        }
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
        self.inner.removal.check()?;
        let members = self.inner.members.clone();
        // On Raft's own runtime: a caller who goes away leaves no change half-way.
        self.inner
            .runtime
            .run(async move { members.change(change).await })
            .await?
    }

    async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<Leader, ConsensusError> {
        let members = self.inner.members.clone();
        self.inner
            .runtime
            .run(async move { members.transfer(to).await })
            .await?
    }

    async fn take_snapshot(&self) -> Result<u64, ConsensusError> {
        let raft = &self.inner.proposer.raft;
        let wanted = self.inner.published.applied().index;
        let begun = self.inner.clock.monotonic();
        let failures = &self.inner.failures;
        let failed_before = failures.count();
        loop {
            let saved = raft.metrics().borrow().snapshot.map_or(0, |id| id.index);
            if saved >= wanted {
                return Ok(saved);
            }
            if self.inner.clock.monotonic() - begun > SNAPSHOT_DEADLINE {
                return Err(ConsensusError::Overloaded {
                    what: "snapshots",
                    waited: SNAPSHOT_DEADLINE,
                });
            }
            if failures.count() > failed_before
                && let Some(error) = failures.last()
            {
                return Err(ConsensusError::Snapshot {
                    node: self.inner.proposer.node,
                    problem: error.to_string(),
                });
            }
            // Asked again each time: one that was under way may have begun before the entry that is wanted.
            failures.ask();
            raft.trigger().snapshot().await.map_err(|_| ConsensusError::Stopped)?;
            self.inner.clock.sleep(SNAPSHOT_PAUSE).await;
        }
    }

    fn export(&self) -> Result<Export, ConsensusError> {
        self.inner.removal.check()?;
        Ok(Export::new(self.inner.published.machine()))
    }

    fn status(&self) -> Status {
        let metrics = self.inner.proposer.raft.metrics().borrow().clone();
        status_of(&metrics, self.inner.failures.count())
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftConsensus")
            .field("node", &self.proposer.node)
            .finish_non_exhaustive()
    }
}
