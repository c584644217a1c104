//! When the log is cut.

use std::sync::Arc;

use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::{CommittedLeaderId, EntryPayload, RaftLogReader};
use tempfile::TempDir;

use crate::raft::data_dir::DataDir;
use crate::raft::log_store::LogStore;
use crate::raft::pressure::Pressure;
use crate::raft::purge_gate::PurgeGate;
use crate::raft::types::{Entry, LogId};
use tidewater_core::{NodeId, SeededRng};

fn id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(1, 1), index)
}

fn blank(index: u64) -> Entry {
    Entry {
        log_id: id(index),
        payload: EntryPayload::Blank,
    }
}

// Goal: entries go only when a snapshot that holds them is on the disk, and then before anything is written behind it.
// Method: ask for the cut, look, say that a snapshot is kept that is too old, look, then one that is new enough.
#[tokio::test]
async fn the_log_waits_for_the_snapshot() {
    let temp = TempDir::new().unwrap();
    let (dir, gate) = (
        Arc::new(DataDir::open(temp.path()).unwrap()),
        Arc::new(PurgeGate::default()),
    );
    let db = dir.open_log(NodeId(1), &SeededRng::new(1)).unwrap();
    let pressure = Arc::new(Pressure::new(u64::MAX));
    let mut log = LogStore::start(db, dir, pressure, Arc::clone(&gate)).unwrap();
    log.blocking_append((1..=3).map(blank)).await.unwrap();
    log.purge(id(3)).await.unwrap();
    for too_old in [0, 2] {
        gate.kept(too_old);
        log.blocking_append([]).await.unwrap();
        assert_eq!(log.try_get_log_entries(0..10).await.unwrap().len(), 3);
    }
    gate.kept(3);
    log.blocking_append([blank(4)]).await.unwrap();
    let left = log.try_get_log_entries(0..10).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.log_id.index).collect::<Vec<_>>(), [4]);
    assert_eq!(log.get_log_state().await.unwrap().last_purged_log_id, Some(id(3)));
    // From now on there is nothing to wait for.
    gate.kept(4);
    log.purge(id(4)).await.unwrap();
    assert!(log.try_get_log_entries(0..10).await.unwrap().is_empty());
}
