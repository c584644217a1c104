use std::collections::BTreeSet;
use std::sync::Arc;

use iceberg::TableUpdate;
use iceberg::spec::{MAIN_BRANCH, Operation, SnapshotReference, SnapshotRetention, Transform};

use super::*;
use crate::catalog::TableCommit;
use crate::change::Added;
use crate::manifest;
use crate::refs::rollback_to_snapshot;
use crate::sample::Lake;
use crate::scan::{ScanFile, plan_scan};
use crate::testing::Fault;
use tidewater_core::JobId;

async fn scan(lake: &Lake) -> Vec<ScanFile> {
    plan_scan(&lake.store, &lake.table().await.metadata, None, None)
        .await
        .unwrap()
}

async fn head(lake: &Lake) -> Option<i64> {
    lake.table().await.metadata.current_snapshot_id()
}

fn paths(files: &[ScanFile]) -> Vec<String> {
    files.iter().map(|file| file.path.clone()).collect()
}

/// No file of a lost attempt is left, and none of the table's is missing.
async fn check_clean(lake: &Lake) {
    let (data, metadata) = lake.stored().await;
    let live: BTreeSet<String> = scan(lake).await.into_iter().map(|file| file.path).collect();
    assert!(live.is_subset(&data));
    let reachable = lake.reachable().await;
    let orphans: Vec<_> = metadata.difference(&reachable).collect();
    assert!(
        orphans.is_empty() && reachable.is_subset(&metadata),
        "orphans: {orphans:?}"
    );
}

// Goal: concurrent appenders lose and double nothing, and sweep up after themselves. Method: 8 tasks race on one table, with
// planted conflicts, for each format version.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_appends_are_all_there_once() {
    for version in ["1", "2", "3"] {
        let lake = Arc::new(Lake::new(&[], &[("format-version", version)]).await);
        lake.catalog.inject([Fault::Conflict, Fault::Conflict]);
        let writers = (0..8i64).map(|writer| {
            let lake = lake.clone();
            async move {
                let mut attempts = 0;
                for round in 0..5 {
                    attempts += lake.append([writer * 100 + round]).await.attempts;
                }
                attempts
            }
        });
        let attempts: u32 = futures::future::join_all(writers).await.into_iter().sum();
        let expected: Vec<i64> = (0..8)
            .flat_map(|writer| (0..5).map(move |round| writer * 100 + round))
            .collect();
        assert_eq!(lake.rows().await, expected);
        assert_eq!(lake.table().await.metadata.snapshots().count(), 40);
        assert!(attempts > 41, "{attempts}");
        let summary = lake.summary().await;
        assert_eq!(
            (summary["total-records"].as_str(), summary["total-data-files"].as_str()),
            ("40", "40")
        );
        check_clean(&lake).await;
    }
}

// Goal: the tail grows to its size, then a new one begins. Method: count manifests after each append.
#[tokio::test]
async fn the_tail_rolls() {
    let lake = Lake::new(&[], &[]).await;
    let options = CommitOptions {
        tail: Tail::Roll(4),
        ..CommitOptions::default()
    };
    for n in 0..10 {
        let change = Change::append(lake.files(&[n], 0).await);
        commit_change(&lake.catalog, &lake.store, &lake.name, &change, &options)
            .await
            .unwrap();
        let table = lake.table().await.metadata;
        let manifests = manifest::list(&lake.store, &table, table.current_snapshot().map(AsRef::as_ref))
            .await
            .unwrap();
        assert_eq!(manifests.len(), (n as usize) / 4 + 1, "after {n}");
    }
    assert_eq!(lake.rows().await, (0..10).collect::<Vec<_>>());
    let sequences: BTreeSet<i64> = scan(&lake).await.iter().map(|file| file.sequence).collect();
    assert_eq!(sequences, (1..=10).collect(), "folded entries keep their numbers");
}

// Goal: format 3 gives each row an id once, and folding keeps it. Method: first row ids of each file in each snapshot.
#[tokio::test]
async fn row_ids_stay() {
    let lake = Lake::new(&[], &[("format-version", "3")]).await;
    let mut known = std::collections::BTreeMap::new();
    for n in 0..6 {
        lake.append([n * 2, n * 2 + 1]).await;
        let mut taken = BTreeSet::new();
        for file in scan(&lake).await {
            let first = file.data_file().first_row_id().unwrap();
            assert_eq!(*known.entry(file.path.clone()).or_insert(first), first);
            assert!((0..2).all(|row| taken.insert(first + row)), "row id given twice");
        }
    }
    assert_eq!(known.len(), 6);
}

// Goal: overwrites and deletes of files leave exactly the right rows and totals, partitioned or not. Method: one walk.
#[tokio::test]
async fn files_are_overwritten_and_deleted() {
    for spec in [&[][..], &[(1, "b", Transform::Bucket(2))]] {
        let lake = Lake::new(spec, &[]).await;
        lake.append(0..10).await;
        lake.append(10..20).await;
        let files = scan(&lake).await;
        let mut old = Vec::new();
        for file in files {
            if lake.ids(std::slice::from_ref(&file)).await.iter().any(|id| *id < 10) {
                old.push(file);
            }
        }
        let fresh = lake.files(&[100, 101], 1).await;
        let change = Change::overwrite(paths(&old), fresh).read_at(head(&lake).await);
        lake.commit(&change).await.unwrap();
        assert_eq!(lake.rows().await, (10..20).chain(100..102).collect::<Vec<_>>());
        let summary = lake.summary().await;
        assert_eq!(summary["total-records"], "12");
        assert_eq!(summary["deleted-records"], "10");
        let all = scan(&lake).await;
        lake.commit(&Change::delete(paths(&all)).read_at(head(&lake).await))
            .await
            .unwrap();
        assert!(lake.rows().await.is_empty());
        assert_eq!(lake.summary().await["total-files-size"], "0");
        lake.append([7]).await;
        assert_eq!(lake.rows().await, [7]);
        check_clean(&lake).await;
    }
}

async fn refused(lake: &Lake, change: Change, word: &str) {
    let error = lake.commit(&change).await.unwrap_err();
    assert!(
        matches!(&error, TableError::Conflict { reason, .. } if reason.contains(word)),
        "{error}"
    );
}

// Goal: every rule refuses what it should, and nothing else. Method: plant each conflict, even behind a folded manifest.
#[tokio::test]
async fn conflicts_are_refused() {
    let lake = Lake::new(&[], &[]).await;
    lake.append(0..5).await;
    lake.append(5..10).await;
    let read_at = head(&lake).await;
    let files = scan(&lake).await;
    let (one, other) = (files[0].path.clone(), files[1].path.clone());
    let fresh = || lake.files(&[77], 1);

    // Others append: harmless, unless new rows are forbidden.
    lake.append([20]).await;
    let strict = Change::overwrite([one.clone()], fresh().await)
        .read_at(read_at)
        .forbid_new_rows();
    refused(&lake, strict, "added rows").await;
    let exact = Change::append(fresh().await).read_at(read_at).exact_head();
    refused(&lake, exact, "head").await;
    lake.commit(&Change::overwrite([one.clone()], fresh().await).read_at(read_at))
        .await
        .unwrap();

    // Others removed the file, and a later append folded that manifest away.
    lake.append([21]).await;
    refused(
        &lake,
        Change::overwrite([one.clone()], fresh().await).read_at(read_at),
        "was removed",
    )
    .await;
    refused(&lake, Change::overwrite([one], fresh().await), "not in the table").await;

    // Rewriting rows adds none.
    let before = head(&lake).await;
    let merged: Vec<Added> = lake.files(&[5, 6, 7, 8, 9], 0).await;
    lake.commit(&Change::replace([other], merged).read_at(before))
        .await
        .unwrap();
    let last = scan(&lake)
        .await
        .into_iter()
        .find(|file| file.record_count == 1)
        .unwrap();
    lake.commit(&Change::delete([last.path]).read_at(before).forbid_new_rows())
        .await
        .unwrap();

    let foreign = Change::append(fresh().await).of_table(uuid::Uuid::nil());
    refused(&lake, foreign, "the name means").await;
    let unknown = Change::overwrite(["memory://nowhere".to_owned()], fresh().await).read_at(Some(1));
    refused(&lake, unknown, "no ancestor").await;
    check_clean(&lake).await;
}

// Goal: lost answers neither lose nor double a commit. Method: every mix of faults before an append, rows counted.
#[tokio::test]
async fn unknown_outcomes_are_looked_for() {
    let lake = Lake::new(&[], &[]).await;
    let mixes: [&[Fault]; 6] = [
        &[Fault::AnswerLost],
        &[Fault::RequestLost],
        &[Fault::RequestLost, Fault::AnswerLost],
        &[Fault::RequestLost, Fault::Conflict],
        &[Fault::Conflict, Fault::AnswerLost],
        &[Fault::RequestLost, Fault::RequestLost, Fault::RequestLost],
    ];
    for (n, faults) in mixes.into_iter().enumerate() {
        lake.catalog.inject(faults.iter().copied());
        let committed = lake.append([n as i64]).await;
        assert!(
            lake.table()
                .await
                .metadata
                .snapshot_by_id(committed.snapshot_id)
                .is_some()
        );
    }
    assert_eq!(lake.rows().await, (0..6).collect::<Vec<_>>());
    assert_eq!(lake.table().await.metadata.snapshots().count(), 6);
    check_clean(&lake).await;
}

// Goal: whatever is met after an attempt without an answer, its outcome is told to be unknown: whoever hears of anything else deletes its
// files, which the table may have. Method: a catalog that applies a commit, loses the answer, and does not answer the next look.
#[tokio::test]
async fn what_is_met_afterwards_tells_nothing() {
    let lake = Lake::new(&[], &[]).await;
    lake.catalog.inject([Fault::AnswersLost]);
    let change = Change::append(lake.files(&[1], 0).await);
    let options = CommitOptions::default();
    let outcome = commit_change(&lake.catalog, &lake.store, &lake.name, &change, &options).await;
    assert!(matches!(outcome, Err(TableError::UnknownOutcome { .. })), "{outcome:?}");
    assert_eq!(lake.rows().await, [1], "it is in the table");
    lake.catalog.inject([Fault::Unavailable]);
    let outcome = commit_change(&lake.catalog, &lake.store, &lake.name, &change, &options).await;
    assert!(
        !matches!(outcome, Ok(_) | Err(TableError::UnknownOutcome { .. })),
        "nothing of it was sent: {outcome:?}"
    );
}

// Goal: an attempt that can land no more is swept up. Method: lose a request, let another writer move the head, commit again.
#[tokio::test]
async fn lost_attempts_are_swept_up() {
    let lake = Lake::new(&[], &[]).await;
    lake.append([0]).await;
    let change = Change::append(lake.files(&[1], 0).await);
    let table = lake.table().await;
    let plan = plan_commit(&lake.store, &table, &change, &CommitOptions::default())
        .await
        .unwrap();
    let mut attempts = Attempts::default();
    attempts.note(&[table], &[(lake.name.clone(), change)], vec![plan]);
    assert!(
        attempts
            .landed(&lake.store, &[lake.table().await], 1)
            .await
            .unwrap()
            .is_none()
    );
    assert!(!attempts.is_empty(), "it may still arrive");
    lake.append([2]).await;
    assert!(
        attempts
            .landed(&lake.store, &[lake.table().await], 1)
            .await
            .unwrap()
            .is_none()
    );
    assert!(attempts.is_empty(), "the head moved on without it");
    check_clean(&lake).await;
}

// Goal: when the history that would tell is gone, nothing is sent again. Method: expire all but the newest in between.
#[tokio::test]
async fn undecidable_outcomes_are_reported() {
    let lake = Lake::new(&[], &[]).await;
    lake.append([0]).await;
    let change = Change::append(lake.files(&[1], 0).await);
    let table = lake.table().await;
    let plan = plan_commit(&lake.store, &table, &change, &CommitOptions::default())
        .await
        .unwrap();
    let mut attempts = Attempts::default();
    attempts.note(&[table], &[(lake.name.clone(), change)], vec![plan]);
    let options = CommitOptions {
        keep_snapshots: Some(1),
        ..CommitOptions::default()
    };
    for n in 2..4 {
        let change = Change::append(lake.files(&[n], 0).await);
        commit_change(&lake.catalog, &lake.store, &lake.name, &change, &options)
            .await
            .unwrap();
    }
    let outcome = attempts.landed(&lake.store, &[lake.table().await], 1).await;
    assert!(matches!(outcome, Err(TableError::UnknownOutcome { .. })), "{outcome:?}");
}

// Goal: a commit that never gets an answer ends, and says that it does not know. Method: a catalog that always loses requests.
#[tokio::test]
async fn silence_ends_in_unknown() {
    let lake = Lake::new(&[], &[]).await;
    lake.catalog.inject([Fault::RequestLost; 3]);
    let options = CommitOptions {
        attempts_max: 3,
        ..CommitOptions::default()
    };
    let change = Change::append(lake.files(&[1], 0).await);
    let outcome = commit_change(&lake.catalog, &lake.store, &lake.name, &change, &options).await;
    assert!(matches!(outcome, Err(TableError::UnknownOutcome { .. })), "{outcome:?}");
    lake.catalog.inject([Fault::Conflict; 3]);
    let outcome = commit_change(&lake.catalog, &lake.store, &lake.name, &change, &options).await;
    assert!(
        matches!(outcome, Err(TableError::Contention { attempts: 3, .. })),
        "{outcome:?}"
    );
    lake.catalog.inject([Fault::Unavailable]);
    let outcome = commit_change(&lake.catalog, &lake.store, &lake.name, &change, &options).await;
    assert!(matches!(outcome, Err(TableError::Catalog(_))), "{outcome:?}");
}

// Goal: a job that runs twice commits once (INV-JOB-1). Method: two runs of one job, with files of their own each.
#[tokio::test]
async fn a_job_commits_once() {
    let lake = Lake::new(&[], &[]).await;
    let job = JobId(uuid::Uuid::from_u128(7));
    let first = lake
        .commit(&Change::append(lake.files(&[1], 0).await).of_job(job))
        .await
        .unwrap();
    lake.append([2]).await;
    let second = lake
        .commit(&Change::append(lake.files(&[1], 0).await).of_job(job))
        .await
        .unwrap();
    assert_eq!((second.snapshot_id, second.attempts), (first.snapshot_id, 0));
    assert_eq!(lake.rows().await, [1, 2]);
}

// Goal: a job whose commit was rolled back is not taken for done, and its next commit is. Method: roll back to a snapshot before it, alone and with
// a commit on top; run it again each time, and twice more.
#[tokio::test]
async fn a_job_that_was_undone_commits_again() {
    let lake = Lake::new(&[], &[]).await;
    let job = JobId(uuid::Uuid::from_u128(7));
    let before = lake.append([1]).await.snapshot_id;
    let run = async || {
        let change = Change::append(lake.files(&[2], 0).await).of_job(job);
        lake.commit(&change).await.unwrap()
    };
    assert_eq!(run().await.attempts, 1);
    for later in [vec![], vec![3]] {
        rollback_to_snapshot(&lake.catalog, &lake.store, &lake.name, before)
            .await
            .unwrap();
        for n in &later {
            lake.append([*n]).await;
        }
        let again = run().await;
        assert_eq!(again.attempts, 1);
        for _ in 0..2 {
            let found = run().await;
            assert_eq!((found.snapshot_id, found.attempts), (again.snapshot_id, 0));
        }
        let mut rows = vec![1, 2];
        rows.extend(later);
        assert_eq!(lake.rows().await, rows);
    }
}

// Goal: old snapshots leave with the commit that asks for it. Method: count them, and read the table.
#[tokio::test]
async fn snapshots_are_trimmed() {
    let lake = Lake::new(&[], &[]).await;
    let options = CommitOptions {
        keep_snapshots: Some(3),
        ..CommitOptions::default()
    };
    for n in 0..8 {
        let change = Change::append(lake.files(&[n], 0).await);
        commit_change(&lake.catalog, &lake.store, &lake.name, &change, &options)
            .await
            .unwrap();
    }
    assert_eq!(lake.table().await.metadata.snapshots().count(), 3);
    assert_eq!(lake.rows().await, (0..8).collect::<Vec<_>>());
}

// Goal: a commit over several tables is in all or in none. Method: two tables, one of them with a conflict, then lost answers.
#[tokio::test]
async fn tables_commit_together() {
    let lake = Lake::new(&[], &[]).await;
    let other: TableName = "s.other".parse().unwrap();
    lake.create(other.clone(), &[], &[]).await;
    let both = |a: Change, b: Change| [(lake.name.clone(), a), (other.clone(), b)];
    let count = async |name: &TableName| {
        lake.catalog
            .load_table(name)
            .await
            .unwrap()
            .unwrap()
            .metadata
            .snapshots()
            .count()
    };
    let options = CommitOptions::default();
    // Files of one table serve for both: they are the same schema, and nobody reads them here.
    let files = lake.files(&[1], 0).await;
    for (n, fault) in [Fault::Conflict, Fault::AnswerLost, Fault::RequestLost]
        .into_iter()
        .enumerate()
    {
        lake.catalog.inject([fault]);
        let changes = both(Change::append(files.clone()), Change::append(files.clone()));
        let done = commit_changes(&lake.catalog, &lake.store, &changes, &options)
            .await
            .unwrap();
        assert_eq!(done.len(), 2);
        assert_eq!((count(&lake.name).await, count(&other).await), (n + 1, n + 1));
    }
    let bad = Change::delete(["memory://none".to_owned()]);
    let changes = both(Change::append(files.clone()), bad);
    let outcome = commit_changes(&lake.catalog, &lake.store, &changes, &options).await;
    assert!(matches!(outcome, Err(TableError::Conflict { .. })), "{outcome:?}");
    assert_eq!((count(&lake.name).await, count(&other).await), (3, 3));
    check_clean(&lake).await;
}

// Goal: a snapshot says what it is. Method: operations of each kind of change.
#[tokio::test]
async fn operations_are_named() {
    assert_eq!(Change::append(Vec::new()).operation, Operation::Append);
    assert_eq!(Change::delete(["x".to_owned()]).operation, Operation::Delete);
    assert_eq!(Change::overwrite([], Vec::new()).operation, Operation::Overwrite);
    assert_eq!(
        Change::replace(["x".to_owned()], Vec::new()).operation,
        Operation::Replace
    );
}

// Goal: an append writes no manifest of another table anew as the table's own, which would tell of that one's rows. Method: a table whose
// list of manifests is another table's gets rows twice; the other's manifest stays where it is, and its own is folded as ever.
#[tokio::test]
async fn manifests_of_another_table_are_not_folded_in() {
    let lake = Lake::new(&[], &[]).await;
    lake.append([1, 2]).await;
    let other = lake.table().await.metadata;
    let theirs = other.current_snapshot().unwrap();
    let thief: TableName = "s.thief".parse().unwrap();
    lake.create(thief.clone(), &[], &[]).await;
    let lake = Lake { name: thief, ..lake };
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
        ],
    };
    lake.catalog.commit(vec![named]).await.unwrap();
    for (id, rows) in [(3, 1), (4, 2)] {
        lake.append([id]).await;
        let table = lake.table().await.metadata;
        let head = table.current_snapshot().map(AsRef::as_ref);
        let manifests = manifest::list(&lake.store, &table, head).await.unwrap();
        let is_own = |path: &str| path.starts_with(&format!("{}/", table.location()));
        let own: Vec<_> = manifests.iter().filter(|one| is_own(&one.manifest_path)).collect();
        assert_eq!((manifests.len(), own.len()), (2, 1), "{manifests:?}");
        let entries = manifest::live(&lake.store, own[0]).await.unwrap();
        assert_eq!(entries.len(), rows);
        assert!(
            entries.iter().all(|entry| is_own(entry.file.file_path())),
            "{entries:?}"
        );
    }
    assert_eq!(lake.rows().await, [1, 2, 3, 4]);
}
