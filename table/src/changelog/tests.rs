use std::collections::BTreeMap;

use super::*;
use crate::change::Change;
use crate::commit::{CommitOptions, commit_change};
use crate::sample::Lake;
use crate::scan::plan_scan;

async fn changes(lake: &Lake, from: Option<i64>, to: i64) -> Result<Vec<SnapshotChange>> {
    changes_between(&lake.store, &lake.table().await.metadata, from, to).await
}

/// (added ids, removed ids) of each change.
async fn told(lake: &Lake, changes: &[SnapshotChange]) -> Vec<(Vec<i64>, Vec<i64>)> {
    let mut told = Vec::new();
    for change in changes {
        told.push((lake.ids(&change.added).await, lake.ids(&change.removed).await));
    }
    told
}

// Goal: changes, applied in order to the rows of any snapshot, give the rows of any later one. Method: a history of all kinds
// of commits, every pair of snapshots.
#[tokio::test]
async fn changes_lead_from_snapshot_to_snapshot() {
    let lake = Lake::new(&[], &[]).await;
    let mut snapshots = Vec::new();
    for n in 0..4 {
        snapshots.push(lake.append([n * 10, n * 10 + 1]).await.snapshot_id);
    }
    let files = plan_scan(&lake.store, &lake.table().await.metadata, None, None)
        .await
        .unwrap();
    let fresh = lake.files(&[100], 1).await;
    snapshots.push(
        lake.commit(&Change::overwrite([files[0].path.clone()], fresh).read_at(None))
            .await
            .unwrap()
            .snapshot_id,
    );
    let merged = lake.files(&[20, 21], 0).await;
    let old = files.iter().find(|file| file.snapshot_id == snapshots[2]).unwrap();
    snapshots.push(
        lake.commit(&Change::replace([old.path.clone()], merged))
            .await
            .unwrap()
            .snapshot_id,
    );
    snapshots.push(lake.append([200]).await.snapshot_id);

    let table = lake.table().await.metadata;
    let mut rows: BTreeMap<Option<i64>, Vec<i64>> = BTreeMap::from([(None, Vec::new())]);
    for id in &snapshots {
        let files = plan_scan(&lake.store, &table, Some(*id), None).await.unwrap();
        rows.insert(Some(*id), lake.ids(&files).await);
    }
    let starts: Vec<Option<i64>> = std::iter::once(None)
        .chain(snapshots.iter().copied().map(Some))
        .collect();
    for (at, from) in starts.iter().enumerate() {
        for to in &snapshots[at.saturating_sub(1)..] {
            let found = changes(&lake, *from, *to).await.unwrap();
            let mut now = rows[from].clone();
            for (added, removed) in told(&lake, &found).await {
                now.retain(|id| !removed.contains(id));
                now.extend(added);
            }
            now.sort_unstable();
            assert_eq!(now, rows[&Some(*to)], "from {from:?} to {to}");
            assert!(found.iter().all(|change| change.operation != Operation::Replace));
        }
    }
}

// Goal: the one read for appends tells the same as a read of each snapshot. Method: both, over folded manifests.
#[tokio::test]
async fn appends_are_told_one_by_one() {
    let lake = Lake::new(&[], &[]).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(lake.append([n]).await.snapshot_id);
    }
    let found = changes(&lake, Some(ids[1]), ids[5]).await.unwrap();
    assert_eq!(
        told(&lake, &found).await,
        (2..=5).map(|n| (vec![n], vec![])).collect::<Vec<_>>()
    );
    let table = lake.table().await.metadata;
    for change in &found {
        let snapshot = table.snapshot_by_id(change.snapshot_id).unwrap();
        let slow = change_of(&lake.store, &table, snapshot, &Room::default())
            .await
            .unwrap();
        assert_eq!(
            told(&lake, &[slow]).await,
            told(&lake, std::slice::from_ref(change)).await
        );
        assert!(change.summary.contains_key("total-records"));
    }
    assert!(changes(&lake, Some(ids[5]), ids[5]).await.unwrap().is_empty());
}

// Goal: a history that does not tell everything is an error, never a smaller answer. Method: expired and unrelated snapshots.
#[tokio::test]
async fn broken_history_is_refused() {
    let lake = Lake::new(&[], &[]).await;
    let first = lake.append([0]).await.snapshot_id;
    let options = CommitOptions {
        keep_snapshots: Some(2),
        ..CommitOptions::default()
    };
    let mut last = first;
    for n in 1..5 {
        let change = Change::append(lake.files(&[n], 0).await);
        last = commit_change(&lake.catalog, &lake.store, &lake.name, &change, &options)
            .await
            .unwrap()
            .snapshot_id;
    }
    let kept: Vec<i64> = lake
        .table()
        .await
        .metadata
        .snapshots()
        .map(|s| s.snapshot_id())
        .collect();
    let before = *kept.iter().find(|id| **id != last).unwrap();
    for (from, to) in [
        (Some(first), last),
        (None, last),
        (Some(last), before),
        (Some(12), last),
    ] {
        let outcome = changes(&lake, from, to).await;
        assert!(
            matches!(outcome, Err(TableError::HistoryBroken { .. })),
            "{from:?} {to}: {outcome:?}"
        );
    }
    assert!(matches!(
        changes(&lake, None, first).await,
        Err(TableError::SnapshotNotFound { .. })
    ));
    // The parent of the oldest that is kept is gone, but it can still be the start.
    assert_eq!(changes(&lake, Some(before), last).await.unwrap().len(), 1);
}
