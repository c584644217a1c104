//! What must hold at every moment.

use std::collections::BTreeMap;

use openraft::ServerState;
use redb::{Database, ReadableDatabase, ReadableTable};
use tokio::time::Instant;

use super::workload::version;
use super::world::{Shared, World, with};
use crate::raft::log_store::LOG;
use crate::raft::record::{seal, unseal};
use crate::raft::types::{Entry, LogId};
use crate::raft::{Consensus, RaftConsensus};
use tidewater_core::NodeId;

/// A log as it is on a disk: entries by index, each with the sum of its bytes.
type Log = BTreeMap<u64, (LogId, u32)>;

/// A node that comes back knows the greatest vote it ever told anybody.
pub(super) async fn started(world: &Shared, id: NodeId, node: &RaftConsensus) {
    let vote = node.raft().with_raft_state(|state| *state.vote_ref()).await;
    with(world, |w| match (vote, w.slots[&id].promised) {
        (Ok(vote), Some(promised)) if vote < promised => {
            w.wrong(format!("node {id} told the vote {promised} and comes back with {vote}"));
        }
        _ => {}
    });
    logs(world);
}

/// Cheap enough for every step: reigns, the order of what is applied, pointers that only go forward.
pub(super) fn step(world: &Shared) {
    with(world, |w| {
        for (id, live) in w.live() {
            if let Some(reason) = live.node.stopped().borrow().clone() {
                w.wrong(format!("node {id} ended by itself: {reason}"));
            }
            let metrics = live.node.raft().metrics().borrow().clone();
            if metrics.state == ServerState::Leader {
                let fresh = w.leaders.entry(metrics.current_term).or_default().insert(id);
                if fresh {
                    w.note(format_args!("node {id} leads in term {}", metrics.current_term));
                }
            }
            let applied = live.node.state();
            let slot = w.slots.get_mut(&id).unwrap();
            if applied.index < slot.applied {
                let before = slot.applied;
                w.wrong(format!("node {id} had applied {before} and now {}", applied.index));
            } else {
                slot.applied = applied.index;
            }
            w.judge_appends(id, &applied.state);
            let tables: Vec<String> = w.acknowledged.keys().cloned().collect();
            for table in tables {
                let now = version(&applied.state, &table);
                let before = w.slots.get_mut(&id).unwrap().versions.insert(table.clone(), now);
                if before.is_some_and(|before| before > now) {
                    w.wrong(format!("table {table} went back at node {id}: {before:?} to {now}"));
                }
            }
        }
    });
}

/// Equal positions hold equal states.
pub(super) fn states(world: &Shared) {
    with(world, |w| {
        for (id, live) in w.live() {
            let applied = live.node.state();
            let sum = crc32c::crc32c(seal(&applied.state).unwrap().split_last_chunk::<4>().unwrap().0);
            if *w.states.entry(applied.index).or_insert(sum) != sum {
                w.wrong(format!("node {id} differs from another at entry {}", applied.index));
            }
        }
    });
}

/// What the disks hold: each log is whole and in order, two logs with one entry in common have all before it in common,
/// and what was applied anywhere is applied everywhere.
pub(super) fn logs(world: &Shared) {
    with(world, |w| {
        let mut logs: Vec<(NodeId, Log)> = Vec::new();
        for (id, live) in w.live() {
            let status = live.node.status();
            // What a snapshot holds is cut off when the disk gets to it, and may be of a reign that lost.
            let log = read(w, &live.db).split_off(&(status.snapshot + 1));
            // A snapshot that comes in is the state before the status tells of it; the log under it is not yet cut off.
            let applied = live.node.state().index.min(status.applied);
            ordered(w, id, &log);
            for (index, entry) in log.range(..=applied) {
                if *w.chosen.entry(*index).or_insert(*entry) != *entry {
                    let other = w.chosen[index].0;
                    w.wrong(format!(
                        "entry {index} is {} at node {id} and {other} elsewhere",
                        entry.0
                    ));
                }
            }
            for (other, theirs) in &logs {
                matching(w, (id, &log), (*other, theirs));
            }
            logs.push((id, log));
        }
    });
}

fn read(w: &mut World, db: &Database) -> Log {
    let tx = db.begin_read().unwrap();
    let table = tx.open_table(LOG).unwrap();
    let mut log = Log::new();
    for record in table.iter().unwrap() {
        let (index, bytes) = record.unwrap();
        // Without the sum at the end of the record: the sum over both is the same for all.
        let body = bytes.value().split_last_chunk::<4>().unwrap().0;
        let (index, sum) = (index.value(), crc32c::crc32c(body));
        let known = w.entries.entry((index, sum));
        let id = *known.or_insert_with(|| unseal::<Entry>(bytes.value()).unwrap().log_id);
        log.insert(index, (id, sum));
    }
    log
}

fn ordered(w: &mut World, id: NodeId, log: &Log) {
    let pairs = log.iter().zip(log.iter().skip(1));
    for ((index, (before, _)), (next, (after, _))) in pairs {
        if index + 1 != *next || before.leader_id > after.leader_id {
            w.wrong(format!("the log of node {id} has {after} after {before}"));
        }
    }
}

fn matching(w: &mut World, (id, log): (NodeId, &Log), (other, theirs): (NodeId, &Log)) {
    let common = |(index, entry): &(&u64, &(LogId, u32))| theirs.get(index).is_some_and(|their| their.0 == entry.0);
    let Some((last, _)) = log.iter().rev().find(common) else {
        return;
    };
    for (index, entry) in log.range(..=last) {
        if theirs.get(index).is_some_and(|their| their != entry) {
            w.wrong(format!(
                "nodes {id} and {other} have entry {last} in common, but not entry {index}"
            ));
            return;
        }
    }
}

/// The end: everybody arrived at the same state, and it is what was acknowledged.
pub(super) fn at_rest(world: &Shared) {
    step(world);
    logs(world);
    states(world);
    with(world, |w| {
        let tables: Vec<String> = w.acknowledged.keys().cloned().collect();
        for (id, live) in w.live() {
            let state = live.node.state().state;
            w.judge_told(id, &state, Instant::now());
            for table in &tables {
                let acknowledged = w.acknowledged[table]
                    .iter()
                    .map(|(_, version)| *version)
                    .max()
                    .unwrap_or(0);
                let found = version(&state, table);
                let in_flight = w.open.get(table).copied().unwrap_or(0);
                if found < acknowledged || found > acknowledged + in_flight {
                    w.wrong(format!(
                        "in the end {table} has version {found} at node {id}, {acknowledged} acknowledged and {in_flight} open"
                    ));
                }
            }
        }
        w.report.reigns = w.leaders.values().map(|nodes| nodes.len() as u64).sum();
        w.report.terms_with_two_leaders = w.leaders.values().filter(|nodes| nodes.len() > 1).count() as u64;
    });
}
