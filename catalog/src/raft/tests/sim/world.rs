//! What the simulation holds: the nodes, the one generator all chance comes from, what was promised, and the trace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::appends::Appends;
use super::disk::SimDisk;
use crate::raft::RaftConsensus;
use crate::raft::types::{LogId, Vote};
use tidewater_core::NodeId;

/// Violations that are told; the first ones say most.
const VIOLATIONS_MAX: usize = 5;

/// A defect that is put in on purpose, to see whether the simulation finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// A vote is given and not written down.
    VoteForgotten,
    /// Entries are acknowledged before they are synced.
    AcknowledgedBeforeSync,
    /// Reads look at the state without a barrier.
    ReadUnguarded,
    /// Commands come without their idempotency key, so a repetition is applied again.
    KeyIgnored,
    /// Conflicting entries are left in the log.
    TruncationForgotten,
    /// A snapshot is said to be kept and is not.
    SnapshotForgotten,
    /// A commit moves the pointer whatever version it was planned on.
    RequirementIgnored,
    /// Appends do not say whose ranges they hold, so a repetition is appended again.
    RangesForgotten,
}

/// A running node.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) incarnation: u64,
    pub(super) node: RaftConsensus,
    pub(super) db: Arc<redb::Database>,
    pub(super) writer: AbortHandle,
}

/// A node's place, running or not.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) live: Option<Live>,
    pub(super) incarnation: u64,
    pub(super) disk: SimDisk,
    /// The folder of the last incarnation.
    pub(super) dir: Option<PathBuf>,
    pub(super) stalled_until: Option<Instant>,
    /// The greatest vote it ever told anybody.
    pub(super) promised: Option<Vote>,
    /// What was applied when it was looked at last, in this incarnation.
    pub(super) applied: u64,
    /// Versions of tables then.
    pub(super) versions: BTreeMap<String, u64>,
    pub(super) booting: bool,
}

/// What was done to the group.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) crashes: u64,
    pub(super) whole_group_crashes: u64,
    pub(super) torn_writes: u64,
    pub(super) stalls: u64,
    pub(super) cuts: u64,
    pub(super) one_way_cuts: u64,
    pub(super) cut_messages: u64,
    pub(super) lost: u64,
    pub(super) repeated: u64,
    pub(super) transfers: u64,
}

/// What one seed amounted to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) violations: Vec<String>,
    pub(super) trace: String,
    pub(super) acknowledged: u64,
    /// Ranges that were told to be appended.
    pub(super) appended: u64,
    /// Those that were asked for once more after that.
    pub(super) appends_repeated: u64,
    /// Requests whose range was there already.
    pub(super) appends_known: u64,
    /// Snapshots of several requests.
    pub(super) folds_shared: u64,
    pub(super) retries: u64,
    pub(super) conflicts: u64,
    pub(super) reads: u64,
    pub(super) aged_reads: u64,
    pub(super) snapshots: u64,
    pub(super) snapshots_sent: u64,
    pub(super) truncations: u64,
    pub(super) reigns: u64,
    pub(super) terms_with_two_leaders: u64,
    pub(super) recovery_ms: u64,
    pub(super) faults: Faults,
}

/// Everything.
#[derive(Debug)]
pub(super) struct World {
    pub(super) begun: Instant,
    pub(super) home: PathBuf,
    pub(super) rng: StdRng,
    pub(super) bug: Option<Bug>,
    /// No more faults.
    pub(super) quiet: bool,
    /// No more work.
    pub(super) over: bool,
    pub(super) slots: BTreeMap<NodeId, Slot>,
    pub(super) cut: BTreeSet<(NodeId, NodeId)>,
    /// Versions that were acknowledged, by table, with the moment.
    pub(super) acknowledged: BTreeMap<String, Vec<(Instant, u64)>>,
    /// Commands whose outcome is not known yet, by table.
    pub(super) open: BTreeMap<String, u64>,
    /// Versions that a commit on a version before them made.
    pub(super) won: BTreeSet<u64>,
    /// Leaders by term.
    pub(super) leaders: BTreeMap<u64, BTreeSet<NodeId>>,
    /// Ids of the entries with these bytes.
    pub(super) entries: BTreeMap<(u64, u32), LogId>,
    /// What was applied at each index, anywhere and ever.
    pub(super) chosen: BTreeMap<u64, (LogId, u32)>,
    /// Digests of states by the index up to which they were applied.
    pub(super) states: BTreeMap<u64, u32>,
    pub(super) appends: Appends,
    pub(super) report: Report,
}

/// The world, shared by all tasks of the one thread.
pub(super) type Shared = Arc<Mutex<World>>;

/// Looks at the world, or changes it. Never across an await.
pub(super) fn with<T>(world: &Shared, f: impl FnOnce(&mut World) -> T) -> T {
    f(&mut world.lock().unwrap())
}

impl World {
    /// A line of the trace.
    pub(super) fn note(&mut self, event: impl fmt::Display) {
        let at = self.begun.elapsed().as_micros();
        writeln!(self.report.trace, "{at} {event}").unwrap();
    }

    pub(super) fn wrong(&mut self, what: String) {
        self.note(format_args!("WRONG {what}"));
        if self.report.violations.len() < VIOLATIONS_MAX {
            self.report.violations.push(what);
        }
    }

    pub(super) fn is_alive(&self, id: NodeId, incarnation: u64) -> bool {
        let live = self.slots[&id].live.as_ref();
        live.is_some_and(|live| live.incarnation == incarnation)
    }

    pub(super) fn live(&self) -> Vec<(NodeId, Live)> {
        let live = self
            .slots
            .iter()
            .filter_map(|(id, slot)| Some((*id, slot.live.clone()?)));
        live.collect()
    }

    /// The node `id` told somebody this vote.
    pub(super) fn promised(&mut self, id: NodeId, vote: Vote) {
        let slot = self.slots.get_mut(&id).unwrap();
        if slot.promised.is_none_or(|before| before < vote) {
            slot.promised = Some(vote);
        }
    }

    /// The version of a table that was acknowledged by `moment`; 0 = none.
    pub(super) fn acknowledged_by(&self, table: &str, moment: Instant) -> u64 {
        let all = self.acknowledged.get(table).map(Vec::as_slice).unwrap_or_default();
        let known = &all[..all.partition_point(|(at, _)| *at <= moment)];
        known.iter().map(|(_, version)| *version).max().unwrap_or(0)
    }

    pub(super) fn acknowledge(&mut self, table: &str, version: u64) {
        let now = Instant::now();
        self.report.acknowledged += 1;
        self.acknowledged
            .entry(table.to_owned())
            .or_default()
            .push((now, version));
        self.note(format_args!("acknowledged {table} {version}"));
    }
}
