//! A disk that refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use tempfile::TempDir;

use super::kit::{DEADLINE, command, holds, leads, single};
use crate::command::Outcome;
use crate::raft::data_dir::DataDir;
use crate::raft::log_store::{LOG, META};
use crate::raft::node::Files;
use crate::raft::{Consensus, RaftConsensus, RaftOptions};
use tidewater_core::{Coded, Retry, SystemClock, SystemRng};

#[derive(Debug)]
struct Disk {
    memory: InMemoryBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn check(&self) -> Result<(), std::io::Error> {
        if self.full.load(Relaxed) {
            Err(std::io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.check()?;
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.check()?;
        self.memory.write(offset, data)
    }
}

// Goal: a node whose disk refuses stops and says so, and does not acknowledge the write. Method: a redb backend that
// starts to refuse between two writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_when_its_disk_refuses() {
    let (temp, full) = (TempDir::new().unwrap(), Arc::new(AtomicBool::new(false)));
    let disk = Disk {
        memory: InMemoryBackend::new(),
        full: Arc::clone(&full),
    };
    let db = redb::Builder::new().create_with_backend(disk).unwrap();
    let tx = db.begin_write().unwrap();
    tx.open_table(LOG).unwrap();
    tx.open_table(META).unwrap();
    tx.commit().unwrap();
    let dir = Arc::new(DataDir::open(temp.path()).unwrap());
    let files = Files::with_log(dir, db, u64::MAX).unwrap();
    let options = RaftOptions::single(temp.path(), "");
    let node = RaftConsensus::begin(options, files, SystemClock::shared(), SystemRng::shared())
        .await
        .unwrap();
    leads(&node).await;
    assert_eq!(node.write(command(1)).await.unwrap(), Outcome::Done);

    full.store(true, Relaxed);
    let error = node.write(command(2)).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Unknown, "{error}");
    let mut stopped = node.stopped();
    let reason = tokio::time::timeout(DEADLINE, stopped.wait_for(Option::is_some))
        .await
        .unwrap()
        .unwrap()
        .clone();
    assert!(reason.is_some_and(|reason| !reason.is_empty()));
    assert!(holds(&node, 1) && !holds(&node, 2));
    assert!(node.barrier().await.is_err());
    assert!(!node.leadership().borrow().is_leader());
}

// Goal: a snapshot that cannot be written is told and counted, and the node goes on and writes the next one when it can. Method: a folder
// stands where the new file is to be; it is taken away later.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_without_its_snapshot() {
    let temp = TempDir::new().unwrap();
    let node = single(temp.path()).await;
    assert_eq!(node.write(command(1)).await.unwrap(), Outcome::Done);
    let in_the_way = temp.path().join("snapshot.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let error = node.take_snapshot().await.unwrap_err();
    assert_eq!((error.code(), error.retry()), ("CAT-1021", Retry::Never), "{error}");
    assert!(node.status().snapshot_failures > 0);
    assert_eq!(node.write(command(2)).await.unwrap(), Outcome::Done);
    node.barrier().await.unwrap();
    assert!(node.stopped().borrow().is_none());

    std::fs::remove_dir(&in_the_way).unwrap();
    let index = node.take_snapshot().await.unwrap();
    assert!(index >= node.status().applied && node.status().snapshot == index);
    node.shutdown(DEADLINE).await;
    drop(node);
    let back = single(temp.path()).await;
    assert!(holds(&back, 1) && holds(&back, 2));
}
