//! Disks that forget: a log file of which only what was synced surely survives, and the snapshot beside it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;
use rand::rngs::StdRng;
use redb::{Database, StorageBackend};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::node::{boot_later, crash};
use super::world::{Bug, Shared, with};
use crate::raft::log_store::{Change, Job, Writer, write};
use crate::raft::snapshot_file::{SnapshotFile, SnapshotHome};
use crate::raft::state_store::Machine;
use tidewater_core::NodeId;

/// Disks write in sectors of this size: a torn write ends between two.
const SECTOR_BYTES: usize = 512;

/// The file under redb.
#[derive(Debug, Clone, Default)]
pub(super) struct SimDisk(Arc<Mutex<Bytes>>);

#[derive(Debug, Default)]
struct Bytes {
    /// What a reader sees.
    cache: Vec<u8>,
    /// What is surely there after a loss of power.
    durable: Vec<u8>,
    unsynced: Vec<Unsynced>,
    /// Calls until the power is lost, when that was asked for.
    calls_left: Option<u64>,
}

#[derive(Debug)]
enum Unsynced {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl SimDisk {
    /// The power goes after so many calls, in the middle of whatever redb does then.
    pub(super) fn fail_after(&self, calls: u64) {
        self.0.lock().unwrap().calls_left = Some(calls);
    }

    /// Whether the power is going or gone.
    pub(super) fn is_failing(&self) -> bool {
        self.0.lock().unwrap().calls_left.is_some()
    }

    /// Whether nothing was ever written.
    pub(super) fn is_new(&self) -> bool {
        self.0.lock().unwrap().durable.is_empty()
    }

    /// What is found when the power is back: what was synced and, of the rest, anything at all.
    pub(super) fn after_power_loss(&self, rng: &mut StdRng) -> Self {
        let now = self.0.lock().unwrap();
        let mut bytes = now.durable.clone();
        let any_survives = rng.gen_bool(0.5);
        for change in &now.unsynced {
            match change {
                Unsynced::Length(length) => bytes.resize(*length, 0),
                Unsynced::Write(at, data) if any_survives && rng.gen_bool(0.5) => {
                    let sectors = data.len().div_ceil(SECTOR_BYTES);
                    let kept = if rng.gen_bool(0.2) {
                        rng.gen_range(0..=sectors)
                    } else {
                        sectors
                    };
                    put(&mut bytes, *at, &data[..data.len().min(kept * SECTOR_BYTES)]);
                }
                Unsynced::Write(..) => {}
            }
        }
        Self(Arc::new(Mutex::new(Bytes {
            cache: bytes.clone(),
            durable: bytes,
            ..Bytes::default()
        })))
    }
}

impl Bytes {
    fn call(&mut self) -> io::Result<()> {
        match &mut self.calls_left {
            Some(0) => Err(io::Error::other("the power is lost")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

impl StorageBackend for SimDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.lock().unwrap().cache[at..at + out.len()]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let (mut bytes, length) = (self.0.lock().unwrap(), usize::try_from(length).unwrap());
        bytes.call()?;
        bytes.cache.resize(length, 0);
        bytes.unsynced.push(Unsynced::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap();
        bytes.call()?;
        let bytes = &mut *bytes;
        for change in bytes.unsynced.drain(..) {
            match change {
                Unsynced::Length(length) => bytes.durable.resize(length, 0),
                Unsynced::Write(at, data) => put(&mut bytes.durable, at, &data),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut bytes, at) = (self.0.lock().unwrap(), usize::try_from(offset).unwrap());
        bytes.call()?;
        put(&mut bytes.cache, at, data);
        bytes.unsynced.push(Unsynced::Write(at, data.to_vec()));
        Ok(())
    }
}

/// The log's writer: a task in place of the thread, with a disk that takes its time.
#[derive(Debug, Default)]
pub(super) struct SimWriter {
    jobs: Mutex<VecDeque<Job>>,
    more: Notify,
}

impl Writer for SimWriter {
    fn submit(&self, job: Job) {
        self.jobs.lock().unwrap().push_back(job);
        self.more.notify_one();
    }
}

impl SimWriter {
    /// Writes what is submitted until it is aborted.
    pub(super) async fn run(self: Arc<Self>, db: Arc<Database>, world: Shared, id: NodeId) {
        loop {
            let job = self.jobs.lock().unwrap().pop_front();
            let Some(Job { change, done }) = job else {
                self.more.notified().await;
                continue;
            };
            let bug = with(&world, |w| w.bug);
            let lost = match (bug, &change) {
                (Some(Bug::VoteForgotten), Change::Vote(_)) => true,
                (Some(Bug::TruncationForgotten), Change::Truncate(_)) => {
                    with(&world, |w| w.report.truncations += 1);
                    true
                }
                _ => false,
            };
            if lost {
                done.finish(Ok(()));
                continue;
            }
            let mut done = Some(done);
            if bug == Some(Bug::AcknowledgedBeforeSync) && matches!(change, Change::Append { .. }) {
                done.take().into_iter().for_each(|done| done.finish(Ok(())));
            }
            let (took, stalled_until) = with(&world, |w| {
                let took = Duration::from_micros(w.rng.gen_range(100..1_500));
                (took, w.slots[&id].stalled_until)
            });
            sleep(took).await;
            if let Some(until) = stalled_until.filter(|until| *until > Instant::now()) {
                sleep_until(until).await;
            }
            if write(&db, &change).is_err() {
                // The power went while this was written. Nobody hears of it.
                with(&world, |w| w.report.faults.torn_writes += 1);
                crash(&world, id);
                return boot_later(&world, id, took * 20);
            }
            with(&world, |w| {
                let what = match &change {
                    Change::Append { records, .. } => {
                        format!("entries to {:?}", records.last().map(|(index, _)| *index))
                    }
                    Change::Vote(vote) => format!("vote {vote}"),
                    Change::Truncate(from) => format!("truncation from {from}"),
                    Change::Purge(upto) => format!("purge to {upto}"),
                };
                w.note(format_args!("synced {id}: {what}"));
            });
            if matches!(change, Change::Truncate(_)) {
                with(&world, |w| w.report.truncations += 1);
            }
            done.into_iter().for_each(|done| done.finish(Ok(())));
        }
    }
}

/// The real snapshot file, written after a while.
#[derive(Debug)]
pub(super) struct SimSnapshots {
    pub(super) file: SnapshotFile,
    pub(super) world: Shared,
    pub(super) id: NodeId,
    pub(super) incarnation: u64,
}

#[async_trait]
impl SnapshotHome for SimSnapshots {
    fn saved(&self) -> Option<Arc<Machine>> {
        self.file.saved()
    }

    async fn save(&self, machine: Arc<Machine>) -> io::Result<Arc<Machine>> {
        let (took, bug) = with(&self.world, |w| {
            (Duration::from_micros(w.rng.gen_range(500..60_000)), w.bug)
        });
        sleep(took).await;
        // What a killed process has not written by now it never writes.
        if !with(&self.world, |w| w.is_alive(self.id, self.incarnation)) {
            return Err(io::Error::other("the process is gone"));
        }
        with(&self.world, |w| w.report.snapshots += 1);
        if bug == Some(Bug::SnapshotForgotten) {
            return Ok(machine);
        }
        self.file.save(machine)
    }
}
