use std::collections::BTreeSet;

use iceberg::spec::Transform;

use super::*;
use crate::sample::Lake;
use crate::scan::{Scan, ScanFile};
use crate::testing::Fault;

async fn rewrite(lake: &Lake, rewrite: &RewriteManifests) -> RewrittenManifests {
    let options = CommitOptions::default();
    rewrite_manifests(&lake.catalog, &lake.store, &lake.name, rewrite, &options)
        .await
        .unwrap()
}

async fn files(lake: &Lake) -> Vec<ScanFile> {
    let table = lake.table().await;
    // Nothing that was kept when it was written, for the files themselves are asked.
    let cold = FileStore::system();
    let scan = Scan::new(&cold, &table.metadata).with_deletes();
    scan.plan().await.unwrap()
}

/// What must stay as it was, by file.
async fn kept(lake: &Lake) -> BTreeSet<String> {
    let told = files(lake).await.into_iter().map(|file| {
        let row_id = file.data_file().first_row_id();
        let numbers = (
            file.sequence,
            file.file_sequence,
            file.snapshot_id,
            file.spec_id,
            row_id,
        );
        format!("{} {numbers:?} {:?}", file.path, file.partition)
    });
    told.collect()
}

async fn manifests(lake: &Lake) -> usize {
    let table = lake.table().await.metadata;
    let head = table.current_snapshot().map(AsRef::as_ref);
    manifest::list(&lake.store, &table, head).await.unwrap().len()
}

async fn append(lake: &Lake, ids: std::ops::Range<i64>) {
    let ids: Vec<i64> = ids.collect();
    let change = Change::append(lake.files(&ids, 0).await);
    let options = CommitOptions {
        tail: super::super::Tail::Keep,
        ..CommitOptions::default()
    };
    let committed = crate::commit_change(&lake.catalog, &lake.store, &lake.name, &change, &options);
    committed.await.unwrap();
}

// Goal: entries are gathered by partition in few manifests, and every one keeps its numbers and row ids. Method: many small appends
// for each format with a removed file in between, faults during the rewrite, all entries compared before and after.
#[tokio::test]
async fn entries_are_gathered_and_keep_their_numbers() {
    for version in ["1", "2", "3"] {
        let directory = tempfile::tempdir().unwrap();
        let warehouse = format!("file://{}", directory.path().display());
        let spec = [(1, "id_bucket", Transform::Bucket(4))];
        let lake = Lake::at(&warehouse, "t", &spec, &[("format-version", version)]).await;
        for start in 0..12 {
            append(&lake, start * 10..start * 10 + 10).await;
        }
        let gone = files(&lake).await.remove(3).path;
        lake.commit(&Change::delete([gone])).await.unwrap();
        append(&lake, 200..220).await;
        let (before, rows) = (kept(&lake).await, lake.rows().await);
        assert_eq!(manifests(&lake).await, 13);
        lake.catalog
            .inject([Fault::Conflict, Fault::RequestLost, Fault::AnswerLost]);
        let bytes: i64 = 20_000;
        let done = rewrite(
            &lake,
            &RewriteManifests {
                target_bytes: Some(bytes as u64),
                ..RewriteManifests::default()
            },
        )
        .await;
        assert_eq!(done.replaced, 13);
        assert_eq!((done.created, done.kept), (manifests(&lake).await as u64, 0));
        assert_eq!(done.entries, before.len() as u64);
        assert_eq!(kept(&lake).await, before, "format {version}");
        assert_eq!(lake.rows().await, rows);
        let summary = lake.summary().await;
        assert_eq!(summary["manifests-replaced"], "13");
        assert_eq!(summary["total-records"], rows.len().to_string());
        // And again: nothing is left to be done.
        let again = rewrite(&lake, &RewriteManifests::default()).await;
        let once_more = rewrite(&lake, &RewriteManifests::default()).await;
        assert_eq!((again.created, once_more.snapshot_id), (1, None));
        // Later row ids do not meet those that are given.
        append(&lake, 300..310).await;
        if version == "3" {
            let mut given: Vec<(i64, u64)> = files(&lake)
                .await
                .iter()
                .map(|file| (file.data_file().first_row_id().unwrap(), file.record_count))
                .collect();
            given.sort_unstable();
            assert!(
                given.windows(2).all(|pair| pair[0].0 + pair[0].1 as i64 <= pair[1].0),
                "{given:?}"
            );
        }
    }
}

// Goal: after a rewrite a partition's files are in one manifest. Method: partitions of each manifest, which must not overlap but at
// their ends.
#[tokio::test]
async fn partitions_lie_side_by_side() {
    let lake = Lake::new(&[(1, "id_bucket", Transform::Bucket(8))], &[]).await;
    for start in 0..10 {
        append(&lake, start * 20..start * 20 + 20).await;
    }
    let done = rewrite(
        &lake,
        &RewriteManifests {
            target_bytes: Some(30_000),
            ..RewriteManifests::default()
        },
    )
    .await;
    assert!(done.created > 1 && done.created < 10, "{done:?}");
    let table = lake.table().await.metadata;
    let head = table.current_snapshot().map(AsRef::as_ref);
    let mut ranges = Vec::new();
    for file in manifest::list(&lake.store, &table, head).await.unwrap() {
        let entries = manifest::live(&lake.store, &file).await.unwrap();
        let partition = |entry: &Arc<Entry>| format!("{:?}", entry.file.partition().fields());
        ranges.push((partition(&entries[0]), partition(entries.last().unwrap())));
    }
    ranges.sort();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{ranges:?}");
}

// Goal: manifests of other specs are left alone, and an empty table is no error. Method: by hand.
#[tokio::test]
async fn only_what_is_asked_for() {
    let lake = Lake::new(&[], &[]).await;
    assert!(rewrite(&lake, &RewriteManifests::default()).await.snapshot_id.is_none());
    append(&lake, 0..3).await;
    append(&lake, 3..6).await;
    let other = RewriteManifests {
        spec_id: Some(7),
        ..RewriteManifests::default()
    };
    assert!(rewrite(&lake, &other).await.snapshot_id.is_none());
    assert_eq!(rewrite(&lake, &RewriteManifests::default()).await.created, 1);
    let always = RewriteManifests {
        always: true,
        ..RewriteManifests::default()
    };
    assert_eq!(rewrite(&lake, &always).await.created, 1);
}
