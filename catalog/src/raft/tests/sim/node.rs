//! Nodes of the simulation: the real ones, on simulated ground.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use redb::Database;
use tokio::time::{Instant, sleep};

use super::checks;
use super::disk::{SimSnapshots, SimWriter};
use super::net::SimTransport;
use super::world::{Live, Shared, with};
use crate::raft::data_dir::DataDir;
use crate::raft::log_store::{LOG, LogStore, META};
use crate::raft::node::{Files, Ground};
use crate::raft::pressure::Pressure;
use crate::raft::purge_gate::PurgeGate;
use crate::raft::runtime::OwnRuntime;
use crate::raft::snapshot_file::SnapshotFile;
use crate::raft::state_store::StateStore;
use crate::raft::{PeerAddress, RaftConsensus, RaftOptions};
use tidewater_core::clock::Sleep;
use tidewater_core::{Clock, NodeId, SeededRng};

/// Voters.
pub(super) const NODES: u64 = 3;

/// Some day in the life of the simulated machines.
const EPOCH_MS: i64 = 1_700_000_000_000;

/// Simulated time as the nodes see it.
#[derive(Debug)]
pub(super) struct SimClock(pub(super) Instant);

impl Clock for SimClock {
    fn now_ms(&self) -> i64 {
        EPOCH_MS + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Box::pin(sleep(duration))
    }
}

pub(super) fn ids() -> impl Iterator<Item = NodeId> {
    (1..=NODES).map(NodeId)
}

fn options(id: NodeId, dir: &std::path::Path) -> RaftOptions {
    let address = |id: NodeId| PeerAddress {
        raft: format!("node-{id}"),
        api: format!("http://node-{id}"),
    };
    let peers: BTreeMap<_, _> = ids().map(|id| (id, address(id))).collect();
    let mut options = RaftOptions::group(id, dir, peers);
    // Shorter than in life, so that a seed sees more elections.
    options.heartbeat = Duration::from_millis(40);
    options.election_min = Duration::from_millis(120);
    options.election_max = Duration::from_millis(240);
    options.snapshot_entries = 40;
    options.keep_entries = 10;
    options.write_deadline = Duration::from_secs(2);
    options.read_deadline = Duration::from_secs(1);
    options
}

/// Starts a node on what its disk holds.
pub(super) async fn boot(world: &Shared, id: NodeId) {
    let (disk, old, dir, incarnation, begun, seed) = with(world, |w| {
        let (home, begun, seed) = (w.home.clone(), w.begun, w.rng.r#gen());
        let slot = w.slots.entry(id).or_default();
        slot.incarnation += 1;
        slot.applied = 0;
        slot.versions.clear();
        slot.booting = true;
        let dir = home.join(format!("{id}-{}", slot.incarnation));
        let old = slot.dir.replace(dir.clone());
        (slot.disk.clone(), old, dir, slot.incarnation, begun, seed)
    });
    fs::create_dir(&dir).unwrap();
    // Whether a node has lost its files is for other tests.
    fs::write(dir.join("admitted"), "").unwrap();
    if let Some(snapshot) = old.map(|old| old.join("snapshot")).filter(|old| old.is_file()) {
        fs::copy(snapshot, dir.join("snapshot")).unwrap();
    }
    let is_new = disk.is_new();
    let opened = Database::builder().set_cache_size(1 << 20).create_with_backend(disk);
    let db = match opened {
        Ok(db) => Arc::new(db),
        Err(error) => return with(world, |w| w.wrong(format!("node {id} cannot open its log: {error}"))),
    };
    if is_new {
        let tx = db.begin_write().unwrap();
        tx.open_table(LOG).unwrap();
        tx.open_table(META).unwrap();
        tx.commit().unwrap();
    }
    let writer = Arc::new(SimWriter::default());
    let writing = tokio::spawn(Arc::clone(&writer).run(Arc::clone(&db), Arc::clone(world), id));
    let (dir, pressure) = (
        Arc::new(DataDir::open(&dir).unwrap()),
        Arc::new(Pressure::new(u64::MAX)),
    );
    let snapshots = SimSnapshots {
        file: SnapshotFile::open(Arc::clone(&dir)).unwrap(),
        world: Arc::clone(world),
        id,
        incarnation,
    };
    let gate = Arc::new(PurgeGate::default());
    let (log_dir, log_pressure) = (Arc::clone(&dir), Arc::clone(&pressure));
    let files = Files {
        states: StateStore::new(snapshots, Arc::clone(&pressure), Arc::clone(&gate)),
        log: LogStore::with_writer(Arc::clone(&db), log_dir, log_pressure, gate, writer).unwrap(),
        pressure,
        dir: Arc::clone(&dir),
    };
    let ground = Ground {
        transport: Arc::new(SimTransport {
            world: Arc::clone(world),
            from: id,
            incarnation,
        }),
        runtime: OwnRuntime::current(),
        clock: Arc::new(SimClock(begun)),
        rng: Arc::new(SeededRng::new(seed)),
    };
    let writer = writing.abort_handle();
    match RaftConsensus::begin_on(options(id, dir.path()), files, ground).await {
        Ok(node) => {
            with(world, |w| {
                w.note(format_args!("start {id}"));
                let slot = w.slots.get_mut(&id).unwrap();
                slot.booting = false;
                slot.live = Some(Live {
                    incarnation,
                    node: node.clone(),
                    db,
                    writer,
                });
            });
            checks::started(world, id, &node).await;
        }
        Err(error) => with(world, |w| w.wrong(format!("node {id} refuses to start: {error}"))),
    }
}

/// Starts a node after a while, unless somebody else does first.
pub(super) fn boot_later(world: &Shared, id: NodeId, pause: Duration) {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        sleep(pause).await;
        let due = with(&world, |w| w.slots[&id].live.is_none() && !w.slots[&id].booting);
        if due {
            boot(&world, id).await;
        }
    });
}

/// Power off: what was not synced is gone, or not.
pub(super) fn crash(world: &Shared, id: NodeId) {
    let old = with(world, |w| {
        let slot = w.slots.get_mut(&id).unwrap();
        let old = slot.live.take()?;
        // What the old one still writes goes to a disk that nobody will read.
        slot.disk = slot.disk.after_power_loss(&mut w.rng);
        slot.stalled_until = None;
        w.report.faults.crashes += 1;
        w.note(format_args!("crash {id}"));
        Some(old)
    });
    if let Some(old) = old {
        end(old);
    }
}

/// Lets the tasks of a node go.
pub(super) fn end(old: Live) {
    old.writer.abort();
    let raft = old.node.raft();
    old.node.kill();
    // Its tasks end on their own time; nothing of what they do reaches anybody.
    tokio::spawn(async move { drop(raft.shutdown().await) });
}
