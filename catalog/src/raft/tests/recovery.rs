//! A group that is begun anew: from a backup, and from what one node of a lost group holds.

use std::fs;
use std::sync::Arc;

use tempfile::TempDir;

use super::kit::{Cluster, DEADLINE, command, holds, leads, single, start, until};
use crate::backup::{BackupWriter, Manifest, restore_into, verify};
use crate::command::Outcome;
use crate::raft::{Consensus, Founder, GroupIdentity, RaftConsensus, Survivor};
use tidewater_core::{Coded, NodeId, SeededRng};

async fn back_up(node: &RaftConsensus, dir: &std::path::Path) -> Manifest {
    let mut pieces = node.export().unwrap().pieces();
    let mut writer = BackupWriter::create(dir).unwrap();
    while let Some(piece) = pieces.recv().await {
        writer.write(&piece).unwrap();
    }
    writer.finish().unwrap()
}

fn founder(dir: &std::path::Path) -> Founder {
    Founder {
        dir: dir.to_owned(),
        address: Default::default(),
        now_ms: 5_000,
    }
}

async fn begin(dir: &std::path::Path) -> RaftConsensus {
    let identity = GroupIdentity::read(dir).unwrap().unwrap();
    let node = start(identity.options(dir)).await.unwrap();
    leads(&node).await;
    node
}

// Goal: a backup that was taken while the catalog was written to gives a new catalog with everything acknowledged before
// it, which goes on, restarts, and tells followers of changes that they lost the thread.
// Method: back up between writes, restore beside it, compare states, write, restart, ask for changes after an old cursor.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_becomes_a_catalog() {
    let temp = TempDir::new().unwrap();
    let old = single(&temp.path().join("old")).await;
    for number in 0..50 {
        old.write(command(number)).await.unwrap();
    }
    let cursor = old.state().index;
    let backup = temp.path().join("backup");
    let (manifest, ()) = tokio::join!(back_up(&old, &backup), async {
        for number in 50..80 {
            old.write(command(number)).await.unwrap();
        }
    });
    assert!(manifest.position.index >= cursor);
    let new = temp.path().join("new");
    let (restored, founded) = restore_into(&backup, &founder(&new), &SeededRng::new(1)).unwrap();
    assert_eq!(restored, manifest);
    assert_eq!(founded.node, NodeId(2), "a number that the old group never had");
    assert_eq!(
        restore_into(&backup, &founder(&new), &SeededRng::new(1))
            .unwrap_err()
            .code(),
        "CAT-1020"
    );
    for round in 0..2 {
        let node = begin(&new).await;
        node.barrier().await.unwrap();
        assert!((0..50).all(|number| holds(&node, number)));
        // Answered as it was before the backup.
        assert_eq!(node.write(command(7)).await.unwrap(), Outcome::Done);
        assert_eq!(node.write(command(1_000 + round)).await.unwrap(), Outcome::Done);
        let state = node.state().state;
        assert!(state.changes_after(cursor, 10).lost && state.changes_after(0, 10).lost);
        assert!(!state.changes_after(founded.index, 10).lost);
        node.shutdown(DEADLINE).await;
    }
}

// Goal: a backup that was cut or changed is refused, whichever byte it is. Method: flip a byte in each file at many
// places, cut each, remove each.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_refused() {
    let temp = TempDir::new().unwrap();
    let node = single(&temp.path().join("node")).await;
    for number in 0..20 {
        node.write(command(number)).await.unwrap();
    }
    let dir = temp.path().join("backup");
    back_up(&node, &dir).await;
    verify(&dir).unwrap();
    for name in ["snapshot", "manifest.json", "checksums"] {
        let path = dir.join(name);
        let bytes = fs::read(&path).unwrap();
        for place in 0..40 {
            let mut damaged = bytes.clone();
            let at = place * (bytes.len() - 1) / 40;
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let error = verify(&dir).unwrap_err();
            assert_eq!(error.code(), "CAT-1019", "{name} at {at}: {error}");
        }
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(verify(&dir).is_err(), "{name} cut");
        fs::remove_file(&path).unwrap();
        assert!(verify(&dir).is_err(), "{name} gone");
        fs::write(&path, &bytes).unwrap();
        verify(&dir).unwrap();
    }
}

// Goal: what one node of a lost majority holds becomes a new group, and what may be lost is said first; the old node's
// number and files are not used again. Method: three voters, two gone for good; look, recover, grow again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_majority_is_recovered_by_hand() {
    let cluster = Cluster::start(3, |options| {
        options.snapshot_entries = 20;
        options.keep_entries = 2;
    })
    .await;
    for number in 0..60 {
        cluster.write(number).await;
    }
    let leader = cluster.leader().await;
    let survivor = [1, 2, 3].map(NodeId).into_iter().find(|id| *id != leader).unwrap();
    let goal = cluster.node(leader).state().index;
    cluster.node(survivor).wait_applied(goal, DEADLINE).await;
    let dir = cluster.dir(survivor);
    assert_eq!(Survivor::look(dir.clone()).unwrap_err().code(), "CAT-1007", "it runs");
    for id in [1, 2, 3].map(NodeId) {
        cluster.kill(id);
    }
    let look = until("the files are free", || async { Survivor::look(dir.clone()).ok() }).await;
    assert_eq!((look.node, look.voters.len()), (survivor, 3));
    assert!(look.last.index >= goal && look.committed <= look.last);
    let warning = look.warning();
    assert!(
        warning.contains("LOST") && warning.contains(&look.last.index.to_string()),
        "{warning}"
    );
    let founded = look.recover(&founder(&dir), &SeededRng::new(3)).unwrap();
    assert_eq!(founded.node, NodeId(4));

    let node = Arc::new(begin(&dir).await);
    node.barrier().await.unwrap();
    assert!((0..60).all(|number| holds(&node, number)));
    assert_eq!(node.write(command(61)).await.unwrap(), Outcome::Done);
    let members: Vec<NodeId> = node.status().members.into_iter().map(|member| member.id).collect();
    assert_eq!(members, [NodeId(4)]);
    let aside = fs::read_dir(&dir)
        .unwrap()
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with("before-recovery-"));
    assert!(aside.is_some_and(|aside| aside.path().join("log.redb").try_exists().unwrap()));
}
