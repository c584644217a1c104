use std::time::Duration;

use iceberg::spec::SnapshotRetention;

use super::*;
use crate::change::Change;
use crate::commit::{CommitOptions, commit_change};
use crate::create::OnExisting;
use crate::refs::{RefChange, change_refs};
use crate::sample::Lake;
use crate::scan::plan_scan;
use crate::statistics::{StatisticsOptions, compute_statistics};
use crate::testing::Fault;

/// Exactly what the table's snapshots reach is stored.
async fn check_exact(lake: &Lake) {
    let (data, metadata) = lake.stored().await;
    assert_eq!(metadata, lake.reachable().await);
    let table = lake.table().await.metadata;
    let mut needed = BTreeSet::new();
    for snapshot in table.snapshots() {
        let files = plan_scan(&lake.store, &table, Some(snapshot.snapshot_id()), None)
            .await
            .unwrap();
        needed.extend(files.into_iter().map(|file| file.path));
    }
    assert_eq!(data, needed);
}

async fn replace_first(lake: &Lake) {
    let table = lake.table().await.metadata;
    let first = plan_scan(&lake.store, &table, None, None).await.unwrap().remove(0);
    let ids = lake.ids(std::slice::from_ref(&first)).await;
    let change = Change::overwrite([first.path], lake.files(&ids, 1).await).read_at(table.current_snapshot_id());
    lake.commit(&change).await.unwrap();
}

// Goal: after an expiry exactly the needed files are left, and every row. Method: appends and overwrites, then the store's list.
#[tokio::test]
async fn exactly_the_needed_files_stay() {
    for version in ["1", "2", "3"] {
        let lake = Lake::new(&[], &[("format-version", version)]).await;
        for n in 0..6 {
            lake.append([n * 2, n * 2 + 1]).await;
            if n % 2 == 1 {
                replace_first(&lake).await;
            }
        }
        let expired = expire(&lake.catalog, &lake.store, &lake.name, 2).await.unwrap();
        assert_eq!(expired.snapshots.len(), 7);
        assert!(expired.files.len() > 10, "{}", expired.files.len());
        assert_eq!(lake.rows().await, (0..12).collect::<Vec<_>>());
        check_exact(&lake).await;
        let again = expire(&lake.catalog, &lake.store, &lake.name, 2).await.unwrap();
        assert!(again.snapshots.is_empty() && again.files.is_empty());
    }
}

// Goal: a plan tells what an expiry does then, each file by its kind, and what was computed of a snapshot leaves with it.
// Method: statistics of an old and of the last snapshot, a plan, an expiry, then metadata and store.
#[tokio::test]
async fn statistics_leave_with_their_snapshots() {
    let lake = Lake::new(&[], &[]).await;
    let computed = async || {
        let options = StatisticsOptions::default();
        let done = compute_statistics(&lake.catalog, &lake.store, &lake.name, &options).await;
        done.unwrap().file.unwrap().statistics_path
    };
    lake.append([1, 2]).await;
    let old = computed().await;
    replace_first(&lake).await;
    lake.append([3]).await;
    let new = computed().await;
    let plan = plan_expiry(&lake.catalog, &lake.store, &lake.name, 1).await.unwrap();
    assert_eq!(
        lake.table().await.metadata.snapshots().count(),
        3,
        "a plan changes nothing"
    );
    let done = expire(&lake.catalog, &lake.store, &lake.name, 1).await.unwrap();
    assert_eq!((&plan.snapshots, &plan.files), (&done.snapshots, &done.files));
    let count = |kind| done.files.values().filter(|of| **of == kind).count();
    assert_eq!((count(FileKind::Data), count(FileKind::ManifestList)), (1, 2));
    assert!(count(FileKind::Manifest) > 0, "{:?}", done.files);
    assert_eq!(done.files.get(&old), Some(&FileKind::Statistics));
    assert!(lake.store.get(&old).await.is_err() && lake.store.get(&new).await.is_ok());
    let table = lake.table().await.metadata;
    let kept: Vec<_> = table.statistics_iter().map(|file| &file.statistics_path).collect();
    assert_eq!(kept, [&new]);
    check_exact(&lake).await;
}

// Goal: snapshots trimmed by commits leave no files behind once somebody sweeps. Method: trim with each append, sweep from the
// oldest known state, as a maintenance task does.
#[tokio::test]
async fn trimmed_snapshots_are_swept() {
    let lake = Lake::new(&[], &[]).await;
    let options = CommitOptions {
        keep_snapshots: Some(3),
        ..CommitOptions::default()
    };
    let mut before = lake.table().await.metadata;
    for n in 0..9 {
        let change = Change::append(lake.files(&[n], 0).await);
        let done = commit_change(&lake.catalog, &lake.store, &lake.name, &change, &options)
            .await
            .unwrap();
        remove_unreachable(&lake.catalog, &lake.store, &before, &done.table)
            .await
            .unwrap();
        before = done.table.metadata;
    }
    assert_eq!(lake.rows().await, (0..9).collect::<Vec<_>>());
    check_exact(&lake).await;
}

// Goal: a lost answer removes nothing that is needed. Method: both kinds of lost answers, then the store's list.
#[tokio::test]
async fn lost_answers_remove_nothing_needed() {
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::Conflict] {
        let lake = Lake::new(&[], &[]).await;
        for n in 0..4 {
            lake.append([n]).await;
        }
        lake.catalog.inject([fault]);
        let outcome = expire(&lake.catalog, &lake.store, &lake.name, 1).await;
        assert_eq!(outcome.is_err(), fault == Fault::Conflict);
        assert_eq!(lake.rows().await, [0, 1, 2, 3]);
        check_exact(&lake).await;
    }
}

// Goal: young snapshots stay up to a limit, old ones down to a minimum, and an expiry waits until it is worth it. Method: a
// table of ten snapshots looked at from several moments.
#[tokio::test]
async fn retention_goes_by_age_and_number() {
    let lake = Lake::new(&[], &[]).await;
    for n in 0..10 {
        lake.append([n]).await;
    }
    let table = lake.table().await.metadata;
    let newest_ms = table.current_snapshot().unwrap().timestamp_ms();
    let oldest_ms = table.snapshots().map(|s| s.timestamp_ms()).min().unwrap();
    let age = Duration::from_millis(u64::try_from(newest_ms - oldest_ms).unwrap() + 1_000);
    let retention = |snapshots_min, snapshots_max| Retention {
        snapshots_min,
        age,
        snapshots_max,
    };
    // All are young.
    assert_eq!(retention(1, 100).due(&table, newest_ms), None);
    assert_eq!(retention(1, 4).due(&table, newest_ms), Some(4));
    assert_eq!(
        retention(1, 7).due(&table, newest_ms),
        None,
        "less than half as many more"
    );
    // All are old.
    let later_ms = newest_ms + 10 * i64::try_from(age.as_millis()).unwrap();
    assert_eq!(retention(3, 100).due(&table, later_ms), Some(3));
    assert_eq!(retention(9, 100).due(&table, later_ms), None);
}

// Goal: what a table says of its history holds in the place of what we would keep, its branch main before its properties, and what it
// does not say is ours. Method: a table of ten snapshots that says nothing, then a number and an age by properties, then others by
// main, then what is no number.
#[tokio::test]
async fn tables_tell_their_retention() {
    // Ten years: whatever the sample's clock does between two commits.
    let age_ms = 315_360_000_000;
    let ours = Retention {
        snapshots_min: 2,
        age: Duration::ZERO,
        snapshots_max: 4,
    };
    for (properties, min, age, kept) in [
        (vec![], 2, 0, 2),
        (vec![("history.expire.min-snapshots-to-keep", "6")], 6, 0, 6),
        (
            vec![("history.expire.max-snapshot-age-ms", "315360000000")],
            2,
            age_ms,
            10,
        ),
    ] {
        let lake = Lake::new(&[], &properties).await;
        for n in 0..10 {
            lake.append([n]).await;
        }
        let table = lake.table().await.metadata;
        // A little later than all of them.
        let now_ms = table.current_snapshot().unwrap().timestamp_ms() + 1;
        let now = ours.of_table(&table).unwrap();
        assert_eq!(
            (now.snapshots_min, now.age),
            (min, Duration::from_millis(age)),
            "{properties:?}"
        );
        assert_eq!(now.kept(&table, now_ms), kept, "{properties:?}");

        let id = table.current_snapshot_id().unwrap();
        let retention = SnapshotRetention::branch(Some(7), Some(1), None);
        let commit = TableCommit {
            name: lake.name.clone(),
            requirements: Vec::new(),
            updates: vec![TableUpdate::SetSnapshotRef {
                ref_name: MAIN_BRANCH.into(),
                reference: SnapshotReference::new(id, retention),
            }],
        };
        lake.catalog.commit(vec![commit]).await.unwrap();
        let table = lake.table().await.metadata;
        let by_main = ours.of_table(&table).unwrap();
        assert_eq!((by_main.snapshots_min, by_main.age), (7, Duration::from_millis(1)));
        assert_eq!(by_main.kept(&table, now_ms + 10), 7);
    }
    let lake = Lake::new(&[], &[("history.expire.max-snapshot-age-ms", "5 days")]).await;
    let table = lake.table().await.metadata;
    let refused = ToldRetention::of(&table).unwrap_err();
    assert!(matches!(refused, TableError::Alteration { .. }), "{refused:?}");
}

fn aged(now_ms: i64) -> Keep {
    Keep {
        newest: 1,
        now_ms: Some(now_ms),
    }
}

async fn named(lake: &Lake, name: &str, retention: SnapshotRetention) {
    let change = RefChange::Create {
        name: name.into(),
        snapshot_id: None,
        retention,
        on_existing: OnExisting::Fail,
    };
    change_refs(&lake.catalog, &lake.store, &lake.name, &[change])
        .await
        .unwrap();
}

// Goal: branches and tags go when they are older than they want to be, and what they alone kept goes with them. Method: names that
// grow old at different ages and one that never does, expiries at later and later times, then the store's list.
#[tokio::test]
async fn old_names_leave() {
    let lake = Lake::new(&[], &[]).await;
    let begun = lake.append([1]).await.table.metadata.last_updated_ms();
    named(
        &lake,
        "hour",
        SnapshotRetention::Tag {
            max_ref_age_ms: Some(3_600_000),
        },
    )
    .await;
    lake.append([2]).await;
    named(&lake, "day", SnapshotRetention::branch(None, None, Some(86_400_000))).await;
    lake.append([3]).await;
    named(&lake, "always", SnapshotRetention::Tag { max_ref_age_ms: None }).await;
    lake.append([4]).await;
    for (later_ms, gone, snapshots) in [
        (3_000_000, &[][..], 4),
        (7_200_000, &["hour"], 3),
        (172_800_000, &["day"], 2),
        (i64::MAX / 2, &[], 2),
    ] {
        let plan = plan_expiry(&lake.catalog, &lake.store, &lake.name, aged(begun + later_ms))
            .await
            .unwrap();
        let done = expire(&lake.catalog, &lake.store, &lake.name, aged(begun + later_ms))
            .await
            .unwrap();
        assert_eq!(done.refs, gone, "{later_ms}");
        assert_eq!((plan.refs, plan.snapshots), (done.refs, done.snapshots));
        assert_eq!(lake.table().await.metadata.snapshots().len(), snapshots, "{later_ms}");
        check_exact(&lake).await;
    }
    assert_eq!(lake.rows().await, [1, 2, 3, 4]);
}

// Goal: of its own snapshots a branch keeps as many and as young ones as it wants, and all if it says nothing. Method: branches with
// commits of their own, an expiry when they are old.
#[tokio::test]
async fn branches_say_what_they_keep() {
    for (least, age_ms, kept) in [
        (None, None, 4),
        (Some(2), Some(1_000), 2),
        (None, Some(1_000), 1),
        (Some(3), None, 3),
        (None, Some(i64::MAX), 4),
    ] {
        let lake = Lake::new(&[], &[]).await;
        lake.append([0]).await;
        named(&lake, "audit", SnapshotRetention::branch(least, age_ms, None)).await;
        for row in 1..5 {
            let change = Change::append(lake.files(&[row], 0).await).on_branch("audit");
            lake.commit(&change).await.unwrap();
        }
        let now_ms = lake.table().await.metadata.last_updated_ms() + 30 * 86_400_000;
        expire(&lake.catalog, &lake.store, &lake.name, aged(now_ms))
            .await
            .unwrap();
        let table = lake.table().await.metadata;
        // That of main stays too.
        assert_eq!(table.snapshots().len(), kept + 1, "{least:?} {age_ms:?}");
        check_exact(&lake).await;
    }
}

// Goal: snapshots from which a consumer still asks for changes are told to be needed, as long as it commits. Method: a table that
// says in its summaries what it has read, a compaction after it, then silence for longer than anybody waits.
#[tokio::test]
async fn consumers_need_what_they_have_not_read() {
    let (source, consumer) = (Lake::new(&[], &[]).await, Lake::new(&[], &[]).await);
    let mut read = None;
    for row in 0..6 {
        source.append([row]).await;
        if row == 2 {
            read = source.table().await.metadata.current_snapshot_id();
        }
    }
    let source = source.table().await.metadata;
    let state = format!(
        r#"{{"model":"s.m","inputs":{{"s.t":{{"uuid":"{}","snapshot-id":{}}}}}}}"#,
        source.uuid(),
        read.unwrap()
    );
    let none = Consumers::of(&consumer.catalog, 0).await.unwrap();
    assert_eq!(none.need(&source), 0);
    let change = Change::append(consumer.files(&[1], 0).await).property(CONSUMED_KEY, state);
    consumer.commit(&change).await.unwrap();
    consumer.append([2]).await;
    let now_ms = consumer.table().await.metadata.last_updated_ms();
    let needed = async |now_ms| Consumers::of(&consumer.catalog, now_ms).await.unwrap().need(&source);
    assert_eq!(needed(now_ms).await, 4);
    assert_eq!(needed(now_ms + 8 * 86_400_000).await, 0);
}

// Goal: snapshots that are named go with their files, whatever is kept, and no history gets a gap. Method: names of the head, of what a tag
// stands at, of the middle and of none are refused and change nothing; then the oldest, and one that was rolled back.
#[tokio::test]
async fn named_snapshots_leave_no_gap() {
    let lake = Lake::new(&[], &[]).await;
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(lake.append([n]).await.snapshot_id);
        if n == 3 {
            named(&lake, "eoy", SnapshotRetention::Tag { max_ref_age_ms: None }).await;
        }
    }
    let go = async |snapshots: &[i64]| {
        let expiry = Expiry {
            keep: Keep::from(100),
            snapshots: snapshots.to_vec(),
            counted_at: None,
        };
        expire(&lake.catalog, &lake.store, &lake.name, expiry).await
    };
    for wrong in [
        &[ids[5]][..],
        &[ids[3]],
        &[ids[4]],
        &[ids[2]],
        &[ids[1], ids[2]],
        &[ids[0], 7],
    ] {
        let refused = go(wrong).await;
        assert!(
            matches!(
                refused,
                Err(TableError::Reference { .. } | TableError::SnapshotNotFound { .. })
            ),
            "{wrong:?}: {refused:?}"
        );
        assert_eq!(lake.table().await.metadata.snapshots().count(), 6, "{wrong:?}");
    }
    let done = go(&[ids[1], ids[0]]).await.unwrap();
    assert_eq!(done.snapshots.len(), 2);
    assert_eq!(lake.rows().await, [0, 1, 2, 3, 4, 5]);
    check_exact(&lake).await;
    crate::refs::rollback_to_snapshot(&lake.catalog, &lake.store, &lake.name, ids[4])
        .await
        .unwrap();
    assert_eq!(go(&[ids[5]]).await.unwrap().snapshots, [ids[5]]);
    assert_eq!(lake.rows().await, [0, 1, 2, 3, 4]);
    check_exact(&lake).await;
}

// Goal: an expiry deletes nothing of another table, whatever the metadata says is its own. Method: a table whose first snapshot has another
// table's list of manifests and names that table's metadata file as its statistics; its rows leave, the snapshot expires, and the other
// table is read.
#[tokio::test]
async fn files_of_another_table_stay() {
    let lake = Lake::new(&[], &[]).await;
    lake.append([1, 2]).await;
    let (other, name) = (lake.table().await, lake.name.clone());
    let thief: TableName = "s.thief".parse().unwrap();
    lake.create(thief.clone(), &[], &[]).await;
    let lake = Lake { name: thief, ..lake };
    let theirs = other.metadata.current_snapshot().unwrap();
    let statistics = iceberg::spec::StatisticsFile {
        snapshot_id: theirs.snapshot_id(),
        statistics_path: other.metadata_location.clone(),
        file_size_in_bytes: 1,
        file_footer_size_in_bytes: 1,
        key_metadata: None,
        blob_metadata: Vec::new(),
    };
    let named = TableCommit {
        name: lake.name.clone(),
        requirements: Vec::new(),
        updates: vec![
            TableUpdate::AddSnapshot {
                snapshot: (**theirs).clone(),
            },
            TableUpdate::SetSnapshotRef {
                ref_name: MAIN_BRANCH.into(),
                reference: SnapshotReference::new(theirs.snapshot_id(), SnapshotRetention::branch(None, None, None)),
            },
            TableUpdate::SetStatistics { statistics },
        ],
    };
    lake.catalog.commit(vec![named]).await.unwrap();
    let before = lake.table().await.metadata;
    let files = plan_scan(&lake.store, &before, None, None).await.unwrap();
    assert_eq!(lake.ids(&files).await, [1, 2]);
    lake.commit(&Change::delete(files.into_iter().map(|file| file.path)))
        .await
        .unwrap();
    let plan = plan_expiry(&lake.catalog, &lake.store, &lake.name, 1).await.unwrap();
    let done = expire(&lake.catalog, &lake.store, &lake.name, 1).await.unwrap();
    assert_eq!(
        (&done.snapshots, &plan.files),
        (&vec![theirs.snapshot_id()], &done.files)
    );
    let named = unreachable(&lake.store, &before, &done.table.metadata).await.unwrap();
    let is_theirs = |path: &String| path.starts_with(&format!("{}/", other.metadata.location()));
    let kinds: Vec<FileKind> = named
        .iter()
        .filter(|(path, _)| is_theirs(path))
        .map(|(_, kind)| *kind)
        .collect();
    for kind in [
        FileKind::Data,
        FileKind::Manifest,
        FileKind::ManifestList,
        FileKind::Statistics,
    ] {
        assert!(kinds.contains(&kind), "{kind:?}: {named:?}");
    }
    assert!(!done.files.keys().any(is_theirs), "{:?}", done.files);
    assert!(lake.store.get(&other.metadata_location).await.is_ok());
    let lake = Lake { name, ..lake };
    assert_eq!(lake.rows().await, [1, 2]);
}
