use std::collections::BTreeSet;

use super::*;
use crate::change::Change;
use crate::commit::CommitOptions;
use crate::sample::Lake;
use crate::scan::Scan;
use crate::testing::Fault;

async fn change(lake: &Lake, change: RefChange) -> Result<LoadedTable> {
    change_refs(&lake.catalog, &lake.store, &lake.name, &[change]).await
}

fn create(name: &str, snapshot_id: Option<i64>, retention: SnapshotRetention, on_existing: OnExisting) -> RefChange {
    RefChange::Create {
        name: name.into(),
        snapshot_id,
        retention,
        on_existing,
    }
}

fn branch() -> SnapshotRetention {
    SnapshotRetention::branch(None, None, None)
}

fn tag() -> SnapshotRetention {
    SnapshotRetention::Tag { max_ref_age_ms: None }
}

async fn append_to(lake: &Lake, branch: &str, ids: &[i64]) -> i64 {
    let change = Change::append(lake.files(ids, 0).await).on_branch(branch);
    lake.commit(&change).await.unwrap().snapshot_id
}

async fn rows_at(lake: &Lake, name: &str) -> Vec<i64> {
    let table = lake.table().await;
    let scan = Scan::new(&lake.store, &table.metadata).reference(name).unwrap();
    lake.ids(&scan.plan().await.unwrap()).await
}

// Goal: what the catalog's JSON says of branches and tags is what is read, and fast. Method: the whole JSON as the oracle.
#[tokio::test]
async fn names_are_read_as_written() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[], &[("format-version", version)]).await;
        assert!(refs_of(&lake.table().await.metadata).unwrap().is_empty());
        let first = lake.append([1]).await.snapshot_id;
        lake.append([2]).await;
        let kept = SnapshotRetention::branch(Some(3), Some(4), Some(5));
        change(&lake, create("audit", Some(first), kept, OnExisting::Fail))
            .await
            .unwrap();
        change(&lake, create("v1", None, tag(), OnExisting::Fail))
            .await
            .unwrap();
        let metadata = lake.table().await.metadata;
        let json = serde_json::to_value(metadata.as_ref()).unwrap();
        let read = serde_json::to_value(refs_of(&metadata).unwrap()).unwrap();
        assert_eq!(read, json["refs"]);
        assert_eq!(read.as_object().unwrap().len(), 3);
    }
}

// Goal: names are made, replaced, skipped and dropped as asked, and refused otherwise. Method: each case once.
#[tokio::test]
async fn names_come_and_go() {
    let lake = Lake::new(&[], &[]).await;
    let early = change(&lake, create("b", None, branch(), OnExisting::Fail)).await;
    assert!(matches!(early, Err(TableError::Reference { .. })), "{early:?}");
    let first = lake.append([1]).await.snapshot_id;
    let second = lake.append([2]).await.snapshot_id;
    lake.catalog.inject([Fault::Conflict, Fault::AnswerLost]);
    change(&lake, create("b", Some(first), branch(), OnExisting::Fail))
        .await
        .unwrap();
    let taken = change(&lake, create("b", None, branch(), OnExisting::Fail)).await;
    assert!(matches!(taken, Err(TableError::NameTaken { .. })), "{taken:?}");
    let table = change(&lake, create("b", None, branch(), OnExisting::Skip))
        .await
        .unwrap();
    assert_eq!(snapshot_of(&table.metadata, "b").unwrap(), first);
    let other = change(&lake, create("b", None, tag(), OnExisting::Replace)).await;
    assert!(matches!(other, Err(TableError::Reference { .. })), "{other:?}");
    let table = change(&lake, create("b", None, branch(), OnExisting::Replace))
        .await
        .unwrap();
    assert_eq!(snapshot_of(&table.metadata, "b").unwrap(), second);
    let lost = change(&lake, create("c", Some(1), tag(), OnExisting::Fail)).await;
    assert!(matches!(lost, Err(TableError::SnapshotNotFound { .. })), "{lost:?}");
    let drop = |name: &str, is_branch, if_exists| RefChange::Drop {
        name: name.into(),
        is_branch,
        if_exists,
    };
    for wrong in [
        drop("b", false, false),
        drop("main", true, false),
        drop("none", true, false),
    ] {
        assert!(change(&lake, wrong).await.is_err());
    }
    change(&lake, drop("none", true, true)).await.unwrap();
    let table = change(&lake, drop("b", true, false)).await.unwrap();
    assert!(matches!(
        snapshot_of(&table.metadata, "b"),
        Err(TableError::RefNotFound { .. })
    ));
}

// Goal: a branch has its own rows until main is forwarded to it. Method: rows of both after each step, for formats 2 and 3, with
// another commit to main in between.
#[tokio::test]
async fn a_branch_is_written_and_forwarded() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[], &[("format-version", version)]).await;
        lake.append([1]).await;
        lake.catalog.inject([Fault::Conflict]);
        append_to(&lake, "audit", &[2]).await;
        append_to(&lake, "audit", &[3]).await;
        assert_eq!(
            (lake.rows().await, rows_at(&lake, "audit").await),
            (vec![1], vec![1, 2, 3])
        );
        let moved = fast_forward(&lake.catalog, &lake.store, &lake.name, "main", "audit")
            .await
            .unwrap();
        assert_eq!(lake.rows().await, [1, 2, 3]);
        assert_ne!(moved.from, Some(moved.to));
        append_to(&lake, "audit", &[4]).await;
        lake.append([5]).await;
        let apart = fast_forward(&lake.catalog, &lake.store, &lake.name, "main", "audit").await;
        assert!(matches!(apart, Err(TableError::Reference { .. })), "{apart:?}");
        assert_eq!(
            (lake.rows().await, rows_at(&lake, "audit").await),
            (vec![1, 2, 3, 5], vec![1, 2, 3, 4])
        );
    }
}

// Goal: a change on a branch conflicts with what was committed to the branch, not with what was committed to main. Method: files
// removed on one of them.
#[tokio::test]
async fn conflicts_are_those_of_the_branch() {
    let lake = Lake::new(&[], &[]).await;
    let base = lake.append([1, 2]).await;
    let files = Scan::new(&lake.store, &base.table.metadata).plan().await.unwrap();
    let path = files[0].path.clone();
    append_to(&lake, "audit", &[9]).await;
    let head = snapshot_of(&lake.table().await.metadata, "audit").unwrap();
    let gone = Change::delete([path.clone()]).read_at(Some(base.snapshot_id));
    lake.commit(&gone).await.unwrap();
    let on_branch = Change::delete([path.clone()]).read_at(Some(head)).on_branch("audit");
    lake.commit(&on_branch).await.unwrap();
    assert_eq!(rows_at(&lake, "audit").await, [9]);
    let again = lake.commit(&on_branch).await;
    assert!(matches!(again, Err(TableError::Conflict { .. })), "{again:?}");
    change(&lake, create("t", None, tag(), OnExisting::Fail)).await.unwrap();
    let wrong = lake.commit(&Change::append(Vec::new()).on_branch("t")).await;
    assert!(matches!(wrong, Err(TableError::Reference { .. })), "{wrong:?}");
}

// Goal: rows for a branch do not bring it back when it is gone. Method: appends to a branch that is there and to one that is not, by the writer that
// makes branches and by the one that does not.
#[tokio::test]
async fn a_branch_that_is_gone_stays_gone() {
    let lake = Lake::new(&[], &[]).await;
    lake.append([1]).await;
    append_to(&lake, "audit", &[2]).await;
    let more = Change::append(lake.files(&[3], 0).await).on_branch_that_is_there("audit");
    lake.commit(&more).await.unwrap();
    assert_eq!(rows_at(&lake, "audit").await, [1, 2, 3]);
    let lost = Change::append(lake.files(&[4], 0).await).on_branch_that_is_there("gone");
    let refused = lake.commit(&lost).await;
    assert!(matches!(refused, Err(TableError::Conflict { .. })), "{refused:?}");
    assert!(snapshot_of(&lake.table().await.metadata, "gone").is_err());
    let main = Change::append(lake.files(&[5], 0).await).on_branch_that_is_there("main");
    lake.commit(&main).await.unwrap();
    assert_eq!(lake.rows().await, [1, 5]);
}

// Goal: a snapshot's rows are picked once, and only if it appended. Method: every refusal of the format's own operation, and a
// forward where main has not moved.
#[tokio::test]
async fn snapshots_are_picked() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[], &[("format-version", version)]).await;
        lake.append([1]).await;
        let ahead = append_to(&lake, "audit", &[2]).await;
        let pick = |id| cherry_pick(&lake.catalog, &lake.store, &lake.name, id);
        assert_eq!(pick(ahead).await.unwrap().snapshot_id, ahead);
        let apart = append_to(&lake, "audit", &[3]).await;
        lake.append([4]).await;
        lake.catalog.inject([Fault::Conflict, Fault::AnswerLost]);
        let picked = pick(apart).await.unwrap();
        assert_ne!(picked.snapshot_id, apart);
        assert_eq!(lake.rows().await, [1, 2, 3, 4]);
        for wrong in [apart, ahead, picked.snapshot_id, 77] {
            assert!(pick(wrong).await.is_err(), "{wrong}");
        }
        let table = lake.table().await;
        let files = Scan::new(&lake.store, &table.metadata).plan().await.unwrap();
        let gone = Change::delete([files[0].path.clone()]).read_at(table.metadata.current_snapshot_id());
        let removed = lake.commit(&gone.clone().on_branch("other")).await.unwrap().snapshot_id;
        lake.append([6]).await;
        let refused = pick(removed).await;
        assert!(matches!(refused, Err(TableError::Reference { .. })), "{refused:?}");
    }
}

// Goal: rows come to main once, by whichever snapshot that has them. Method: one of a branch is picked, and what that made is picked after
// main was set back and went on; then each of them again.
#[tokio::test]
async fn rows_are_picked_once() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[], &[("format-version", version)]).await;
        let begun = lake.append([1]).await.snapshot_id;
        let apart = append_to(&lake, "audit", &[2]).await;
        lake.append([3]).await;
        let pick = |id| cherry_pick(&lake.catalog, &lake.store, &lake.name, id);
        let picked = pick(apart).await.unwrap().snapshot_id;
        rollback_to_snapshot(&lake.catalog, &lake.store, &lake.name, begun)
            .await
            .unwrap();
        lake.append([4]).await;
        pick(picked).await.unwrap();
        assert_eq!(lake.rows().await, [1, 2, 4]);
        for again in [picked, apart] {
            let refused = pick(again).await;
            assert!(matches!(refused, Err(TableError::Reference { .. })), "{refused:?}");
        }
        assert_eq!(lake.rows().await, [1, 2, 4]);
    }
}

// Goal: no rows are picked of a snapshot whose files an expiry may have removed. Method: a staged snapshot that leaves the table between the
// look at it and the commit.
#[tokio::test]
async fn what_expires_meanwhile_is_not_picked() {
    let lake = Lake::new(&[], &[("write.wap.enabled", "true")]).await;
    lake.append([1]).await;
    let staged = Change::append(lake.files(&[2], 0).await).staged("night-1");
    let staged = lake.commit(&staged).await.unwrap().snapshot_id;
    lake.append([3]).await;
    lake.catalog.inject([Fault::Expired(staged)]);
    let lost = cherry_pick(&lake.catalog, &lake.store, &lake.name, staged).await;
    assert!(matches!(lost, Err(TableError::SnapshotNotFound { .. })), "{lost:?}");
    assert_eq!(lake.rows().await, [1, 3]);
}

// Goal: a staged snapshot is seen by nobody until it is published, once. Method: rows before and after, and a second publication.
#[tokio::test]
async fn staged_snapshots_are_published() {
    let lake = Lake::new(&[], &[("write.wap.enabled", "true")]).await;
    lake.append([1]).await;
    lake.catalog.inject([Fault::AnswerLost]);
    let staged = Change::append(lake.files(&[2], 0).await).staged("night-1");
    let staged = lake.commit(&staged).await.unwrap().snapshot_id;
    let options = CommitOptions {
        keep_snapshots: Some(2),
        ..CommitOptions::default()
    };
    let more = Change::append(lake.files(&[3], 0).await);
    crate::commit_change(&lake.catalog, &lake.store, &lake.name, &more, &options)
        .await
        .unwrap();
    assert_eq!(lake.rows().await, [1, 3]);
    let published = cherry_pick(&lake.catalog, &lake.store, &lake.name, staged)
        .await
        .unwrap();
    assert_eq!(lake.rows().await, [1, 2, 3]);
    assert_eq!(lake.summary().await["published-wap-id"], "night-1");
    assert_ne!(published.snapshot_id, staged);
    let again = Change::append(lake.files(&[4], 0).await).staged("night-1");
    let again = lake.commit(&again).await.unwrap().snapshot_id;
    lake.append([5]).await;
    let refused = cherry_pick(&lake.catalog, &lake.store, &lake.name, again).await;
    assert!(matches!(refused, Err(TableError::Reference { .. })), "{refused:?}");

    let plain = Lake::new(&[], &[]).await;
    let refused = plain.commit(&Change::append(Vec::new()).staged("x")).await;
    assert!(matches!(refused, Err(TableError::Reference { .. })), "{refused:?}");
}

// Goal: the head goes back to an ancestor and nowhere else, unless it is set. Method: five snapshots and each way.
#[tokio::test]
async fn the_head_goes_back() {
    let lake = Lake::new(&[], &[]).await;
    let mut ids = Vec::new();
    for row in 0..4 {
        ids.push(lake.append([row]).await.snapshot_id);
    }
    lake.catalog
        .inject([Fault::Conflict, Fault::RequestLost, Fault::AnswerLost]);
    let moved = rollback_to_snapshot(&lake.catalog, &lake.store, &lake.name, ids[1])
        .await
        .unwrap();
    assert_eq!((moved.from, moved.to), (Some(ids[3]), ids[1]));
    assert_eq!(lake.rows().await, [0, 1]);
    let ahead = rollback_to_snapshot(&lake.catalog, &lake.store, &lake.name, ids[3]).await;
    assert!(matches!(ahead, Err(TableError::Reference { .. })), "{ahead:?}");
    set_current_snapshot(&lake.catalog, &lake.store, &lake.name, ids[3])
        .await
        .unwrap();
    assert_eq!(lake.rows().await, [0, 1, 2, 3]);
    let at_ms = lake
        .table()
        .await
        .metadata
        .snapshot_by_id(ids[2])
        .unwrap()
        .timestamp_ms();
    let older = rollback_to_timestamp(&lake.catalog, &lake.store, &lake.name, at_ms).await;
    // Snapshots of the same millisecond are no older.
    let times: BTreeSet<i64> = lake
        .table()
        .await
        .metadata
        .snapshots()
        .map(|s| s.timestamp_ms())
        .collect();
    match times.iter().next() {
        Some(first) if *first < at_ms => assert!(older.unwrap().to != ids[2]),
        _ => assert!(older.is_err()),
    }
    let never = rollback_to_timestamp(&lake.catalog, &lake.store, &lake.name, 1).await;
    assert!(matches!(never, Err(TableError::Reference { .. })), "{never:?}");
}

// Goal: expiry keeps what branches have of their own, and a branch keeps how long it is kept when it is written. Method: a branch
// of two snapshots, then more commits to main than are kept.
#[tokio::test]
async fn expiry_keeps_branches() {
    let lake = Lake::new(&[], &[]).await;
    lake.append([1]).await;
    let kept = SnapshotRetention::branch(Some(7), None, None);
    change(&lake, create("audit", None, kept.clone(), OnExisting::Fail))
        .await
        .unwrap();
    append_to(&lake, "audit", &[2]).await;
    append_to(&lake, "audit", &[3]).await;
    for row in 4..8 {
        lake.append([row]).await;
    }
    let expired = crate::expire(&lake.catalog, &lake.store, &lake.name, 1).await.unwrap();
    assert_eq!(expired.snapshots.len(), 4);
    assert_eq!(rows_at(&lake, "audit").await, [1, 2, 3]);
    let table = lake.table().await.metadata;
    assert_eq!(table.snapshots().len(), 3);
    assert_eq!(refs_of(&table).unwrap()["audit"].retention, kept);
}
