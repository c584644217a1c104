//! openraft's own acceptance suite for stores, on real files.

use std::sync::Arc;

use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::raft::data_dir::DataDir;
use crate::raft::log_store::LogStore;
use crate::raft::pressure::Pressure;
use crate::raft::purge_gate::PurgeGate;
use crate::raft::snapshot_file::SnapshotFile;
use crate::raft::state_store::StateStore;
use crate::raft::types::{StorageError, TypeConfig};
use tidewater_core::{NodeId, SeededRng};

struct OnFiles;

impl StoreBuilder<TypeConfig, LogStore, StateStore, TempDir> for OnFiles {
    async fn build(&self) -> Result<(TempDir, LogStore, StateStore), StorageError> {
        let temp = TempDir::new().unwrap();
        let dir = Arc::new(DataDir::open(temp.path()).unwrap());
        let pressure = Arc::new(Pressure::new(u64::MAX));
        let db = dir.open_log(NodeId(1), &SeededRng::new(1)).unwrap();
        // The suite cuts logs without a snapshot.
        let gate = Arc::new(PurgeGate::default());
        gate.kept(u64::MAX);
        let file = Arc::new(SnapshotFile::open(Arc::clone(&dir)).unwrap());
        let states = StateStore::new(file, Arc::clone(&pressure), Arc::clone(&gate));
        Ok((temp, LogStore::start(db, dir, pressure, gate).unwrap(), states))
    }
}

// Goal: log and state machine keep openraft's contract. Method: its own suite of cases, each on fresh files.
#[test]
fn stores_keep_the_contract() {
    Suite::test_all(OnFiles).unwrap();
}
