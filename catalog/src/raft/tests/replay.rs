//! A long log that is read at the start, good and damaged.

use std::sync::Arc;

use openraft::{EntryPayload, LeaderId};
use tempfile::TempDir;

use super::kit::command;
use crate::command::Batch;
use crate::raft::data_dir::DataDir;
use crate::raft::log_store::{Change, LOG, LogStore, write};
use crate::raft::pressure::Pressure;
use crate::raft::purge_gate::PurgeGate;
use crate::raft::record::seal;
use crate::raft::replay::replay;
use crate::raft::snapshot_file::SnapshotFile;
use crate::raft::state_store::{Machine, StateStore};
use crate::raft::types::{Entry, LogId};
use tidewater_core::{NodeId, SeededRng};

type Records<'a> = redb::Table<'a, u64, &'static [u8]>;

type Damage<'a> = &'a dyn Fn(&mut Records<'_>);

fn id(index: u64) -> LogId {
    LogId::new(LeaderId::new(1, 1), index)
}

fn entry(index: u64) -> Entry {
    Entry {
        log_id: id(index),
        payload: match index {
            0 => EntryPayload::Blank,
            _ => EntryPayload::Normal(Batch(vec![command(2 * index), command(2 * index + 1)])),
        },
    }
}

/// A log whose entries 1 to `last` are committed up to `committed`; `damage` changes the file before it is opened for use.
fn opened(temp: &TempDir, last: u64, committed: u64, damage: impl FnOnce(&redb::Database)) -> (LogStore, StateStore) {
    let dir = Arc::new(DataDir::open(temp.path()).unwrap());
    let db = dir.open_log(NodeId(1), &SeededRng::new(1)).unwrap();
    let records = (0..=last).map(|index| (index, seal(&entry(index)).unwrap())).collect();
    let committed = Some(id(committed));
    write(&db, &Change::Append { records, committed }).unwrap();
    damage(&db);
    let (pressure, gate) = (Arc::new(Pressure::new(u64::MAX)), Arc::new(PurgeGate::default()));
    let file = SnapshotFile::open(Arc::clone(&dir)).unwrap();
    let states = StateStore::new(Arc::new(file), Arc::clone(&pressure), Arc::clone(&gate));
    (LogStore::start(db, dir, pressure, gate).unwrap(), states)
}

// Goal: what is committed is applied in order and what is not is left. Method: a log of many pieces, its mark before its end;
// the state against one that applied the same entries itself.
#[test]
fn committed_entries_are_applied() {
    let temp = TempDir::new().unwrap();
    let (log, states) = opened(&temp, 500, 450, |_| {});
    assert_eq!(replay(&log, &states), 451);
    let machine = states.published().machine();
    assert_eq!(machine.applied, Some(id(450)));
    let mut expected = Machine::default();
    for index in 0..451 {
        expected.apply(entry(index), states.pressure());
    }
    assert_eq!(machine.state, expected.state);
    assert_eq!(machine.state.namespaces_count(), 900);
    // Nothing is left to do.
    assert_eq!(replay(&log, &states), 0);
}

// Goal: a log that is not as it should be is left as it is, for openraft to name it. Method: a flipped byte, a missing entry, an
// entry under another's number, a mark beyond the end; each far behind the beginning.
#[test]
fn a_damaged_log_is_left() {
    let change = |db: &redb::Database, change: Damage<'_>| {
        let tx = db.begin_write().unwrap();
        change(&mut tx.open_table(LOG).unwrap());
        tx.commit().unwrap();
    };
    let flip = |log: &mut Records<'_>| {
        let mut record = log.remove(400).unwrap().unwrap().value().to_vec();
        record[20] ^= 1;
        log.insert(400, record.as_slice()).unwrap();
    };
    let swap = |log: &mut Records<'_>| {
        let record = log.remove(400).unwrap().unwrap().value().to_vec();
        log.insert(401, record.as_slice()).unwrap();
    };
    let lose = |log: &mut Records<'_>| drop(log.remove(400).unwrap());
    let none = |_: &mut Records<'_>| {};
    let damages: [(Damage<'_>, u64); 4] = [(&flip, 450), (&swap, 450), (&lose, 450), (&none, 501)];
    for (damage, committed) in damages {
        let temp = TempDir::new().unwrap();
        let (log, states) = opened(&temp, 500, committed, |db| change(db, damage));
        assert_eq!(replay(&log, &states), 0);
        assert_eq!(states.published().machine().applied, None);
    }
}
