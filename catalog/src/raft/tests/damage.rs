//! Files that are not what was written: each is refused, none is repaired into something smaller.

use std::fs::{self, OpenOptions};
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable};
use tempfile::TempDir;

use super::kit::{Cluster, DEADLINE, command, holds, leads, single, start, until};
use crate::raft::log_store::LOG;
use crate::raft::{Consensus, ConsensusError, MemberChange, RaftConsensus, RaftOptions};
use tidewater_core::{Coded, ErrorKind, NodeId};

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
    until("the log is free", || async {
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
    leads(&node).await;
    for number in 0..30 {
        node.write(command(number)).await.unwrap();
    }
    until("a snapshot", || async { (node.status().snapshot > 0).then_some(()) }).await;
    node.shutdown(DEADLINE).await;
    let path = temp.path().join("snapshot");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = refused(temp.path()).await;
    assert!(error.to_string().contains("checksum"), "{error}");
}

// Goal: whatever byte of the log's or the snapshot's file is changed, or wherever it is cut, the node refuses to start or
// runs with everything; it never runs with less. Method: many places of each file, spread over all of it, on copies of a
// directory that holds both; every number that was acknowledged is looked for behind a barrier.
#[tokio::test(flavor = "multi_thread")]
async fn no_damage_is_taken_for_less() {
    let origin = TempDir::new().unwrap();
    let options = |dir: &Path| {
        let mut options = RaftOptions::single(dir, "");
        options.snapshot_entries = 40;
        options.keep_entries = 5;
        options
    };
    let node = start(options(origin.path())).await.unwrap();
    leads(&node).await;
    for number in 0..60 {
        node.write(command(number)).await.unwrap();
    }
    until("a snapshot", || async { (node.status().snapshot > 0).then_some(()) }).await;
    node.shutdown(DEADLINE).await;
    drop(node);
    let (mut refused, mut whole) = (0, 0);
    for name in ["log.redb", "snapshot"] {
        let bytes = fs::read(origin.path().join(name)).unwrap();
        for place in 0..24 {
            for cut in [false, true] {
                let at = place * (bytes.len() - 8) / 24 + 7;
                let mut damaged = bytes.clone();
                if cut {
                    damaged.truncate(at);
                } else {
                    damaged[at] ^= 0x20;
                }
                let temp = TempDir::new().unwrap();
                for file in ["log.redb", "snapshot", "node-id", "admitted"] {
                    fs::copy(origin.path().join(file), temp.path().join(file)).unwrap();
                }
                fs::write(temp.path().join(name), damaged).unwrap();
                match start(options(temp.path())).await {
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name} cut {cut} at {at}: {error}");
                        refused += 1;
                    }
                    Ok(node) => {
                        leads(&node).await;
                        // Damage found later stops the node, which is loud as well.
                        if node.barrier().await.is_ok() {
                            let lost = (0..60).filter(|number| !holds(&node, *number)).count();
                            assert_eq!(lost, 0, "{name} cut {cut} at {at}");
                            whole += 1;
                        }
                        node.kill();
                    }
                }
            }
        }
    }
    assert!(refused > 48, "{refused} refused, {whole} ran with everything");
}

// Goal: a node whose disk lost its files or holds damaged ones comes back from its peers, under a new number, with
// everything. Method: three voters, the snapshot of one damaged: refused; join as a new one, remove the old.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_node_comes_back_from_its_peers() {
    let cluster = Cluster::start(3, |options| {
        options.snapshot_entries = 20;
        options.keep_entries = 2;
    })
    .await;
    for number in 0..60 {
        cluster.write(number).await;
    }
    let leader = cluster.leader().await;
    let victim = [1, 2, 3].map(NodeId).into_iter().find(|id| *id != leader).unwrap();
    let node = cluster.node(victim);
    until("a snapshot", || async { (node.status().snapshot > 0).then_some(()) }).await;
    node.shutdown(DEADLINE).await;
    drop(node);
    cluster.forget(victim);
    let path = cluster.dir(victim).join("snapshot");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let options = RaftOptions::group(victim, cluster.dir(victim), cluster.peers.clone());
    assert_eq!(start(options).await.map(drop).unwrap_err().code(), "CAT-1009");

    let new = cluster.join().await;
    cluster.change(&MemberChange::Promote([new].into())).await;
    cluster.change(&MemberChange::Remove([victim].into())).await;
    let (back, leader) = (cluster.node(new), cluster.node(cluster.leader().await));
    back.barrier().await.unwrap();
    assert!((0..60).all(|number| holds(&back, number)));
    assert_eq!(leader.status().members.iter().filter(|member| member.voter).count(), 3);
}
