//! Files that are not what was written: each is refused, none is repaired into something smaller.

use std::fs::{self, OpenOptions};
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable};
use tempfile::TempDir;

use super::kit::{DEADLINE, command, single, start};
use crate::raft::log_store::LOG;
use crate::raft::{Consensus, ConsensusError, RaftConsensus, RaftOptions};
use tidewater_core::{Coded, ErrorKind};

/// A node with some entries, ended in order.
async fn written() -> TempDir {
    let temp = TempDir::new().unwrap();
    let node = single(temp.path()).await;
    for number in 0..20 {
        node.write(command(number)).await.unwrap();
    }
    node.shutdown(DEADLINE).await;
    drop(node);
    temp
}

async fn refused(dir: &Path) -> ConsensusError {
    let error = start(RaftOptions::single(dir, ""))
        .await
        .map(|_: RaftConsensus| ())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    error
}

async fn open_log(dir: &Path) -> Database {
    super::kit::until("the log is free", || async {
        Database::open(dir.join("log.redb")).ok()
    })
    .await
}

// Goal: a flipped byte in a record is found. Method: flip one inside redb, where redb's own checks do not look, at each
// end of a record.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_a_record() {
    for at_end in [false, true] {
        let temp = written().await;
        {
            let db = open_log(temp.path()).await;
            let tx = db.begin_write().unwrap();
            {
                let mut log = tx.open_table(LOG).unwrap();
                let mut record = log.get(7).unwrap().unwrap().value().to_vec();
                let at = if at_end { record.len() - 6 } else { 12 };
                record[at] ^= 0x10;
                log.insert(7, record.as_slice()).unwrap();
            }
            tx.commit().unwrap();
        }
        let error = refused(temp.path()).await;
        assert!(error.to_string().contains("checksum"), "{error}");
    }
}

// Goal: an entry under another index is found though its checksum is right. Method: copy a record over its neighbour.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_in_the_wrong_place() {
    let temp = written().await;
    {
        let db = open_log(temp.path()).await;
        let other = db
            .begin_read()
            .unwrap()
            .open_table(LOG)
            .unwrap()
            .get(8)
            .unwrap()
            .unwrap()
            .value()
            .to_vec();
        let tx = db.begin_write().unwrap();
        tx.open_table(LOG).unwrap().insert(7, other.as_slice()).unwrap();
        tx.commit().unwrap();
    }
    let error = refused(temp.path()).await;
    assert!(error.to_string().contains("log entry 7"), "{error}");
}

// Goal: a voter whose log is gone does not begin anew. Method: remove it, empty it, cut it, put another node's in its
// place.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_gone() {
    type Damage = fn(&Path, &Path);
    let damages: [(Damage, &str); 4] = [
        (|log, _| fs::remove_file(log).unwrap(), "CAT-1008"),
        (
            |log, _| drop(OpenOptions::new().write(true).truncate(true).open(log).unwrap()),
            "CAT-1008",
        ),
        (
            |log, _| OpenOptions::new().write(true).open(log).unwrap().set_len(8192).unwrap(),
            "CAT-1009",
        ),
        (|log, other| assert!(fs::copy(other, log).unwrap() > 0), "CAT-1008"),
    ];
    let other = written().await;
    drop(open_log(other.path()).await);
    for (damage, code) in damages {
        let temp = written().await;
        drop(open_log(temp.path()).await);
        damage(&temp.path().join("log.redb"), &other.path().join("log.redb"));
        assert_eq!(refused(temp.path()).await.code(), code);
    }
}

// Goal: a damaged snapshot is found. Method: take one, flip a byte in the middle of the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot() {
    let temp = TempDir::new().unwrap();
    let mut options = RaftOptions::single(temp.path(), "");
    options.snapshot_entries = 10;
    let node = start(options).await.unwrap();
    super::kit::leads(&node).await;
    for number in 0..30 {
        node.write(command(number)).await.unwrap();
    }
    super::kit::until("a snapshot", || async { (node.status().snapshot > 0).then_some(()) }).await;
    node.shutdown(DEADLINE).await;
    let path = temp.path().join("snapshot");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = refused(temp.path()).await;
    assert!(error.to_string().contains("checksum"), "{error}");
}
