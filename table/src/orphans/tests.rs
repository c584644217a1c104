use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use iceberg::TableUpdate;
use iceberg::spec::Transform;

use super::*;
use crate::sample::{self, Lake};
use crate::{Change, CommitOutcome, NewTable, TableCommit};
use tidewater_core::{ManualClock, SeededRng};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A store over the same files, some days later.
fn later(days: u32) -> FileStore {
    let now_ms = tidewater_core::SystemClock::shared().now_ms();
    let clock = Arc::new(ManualClock::new(now_ms + (DAY * days).as_millis() as i64));
    FileStore::new(crate::StoreOptions::default(), clock, Arc::new(SeededRng::new(7)))
}

async fn put(lake: &Lake, location: &str) -> String {
    lake.store
        .put_new(location, Bytes::from_static(b"rubbish"))
        .await
        .unwrap();
    location.to_owned()
}

fn locations(found: &Orphans) -> BTreeSet<String> {
    found.files.iter().map(|file| file.location.clone()).collect()
}

// Goal: exactly the rubbish is found, whatever the names of folders, and the table is whole after the removal. Method: a table with
// partitions of odd names, several snapshots, a branch and a rewritten manifest, beside planted files of every kind, on a disk.
#[tokio::test]
async fn only_rubbish_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let warehouse = format!("file://{}", directory.path().display());
    let lake = Lake::at(&warehouse, "t", &[(2, "name", Transform::Identity)], &[]).await;
    lake.append(0..20).await;
    lake.append(20..30).await;
    let on_branch = Change::append(lake.files(&[99], 0).await).on_branch("audit");
    lake.commit(&on_branch).await.unwrap();
    let table = lake.table().await;
    let first = crate::plan_scan(&lake.store, &table.metadata, None, None)
        .await
        .unwrap()
        .remove(0);
    lake.commit(&Change::delete([first.path])).await.unwrap();
    let rows = lake.rows().await;
    let at = table.metadata.location().to_owned();

    let mut inner = NewTable::new("s.inner".parse().unwrap(), sample::schema());
    inner.location = Some(format!("{at}/inner"));
    lake.catalog.create_table(inner).await.unwrap();
    let mut beside = NewTable::new("s.beside".parse().unwrap(), sample::schema());
    beside.location = Some(format!("{at}-beside"));
    lake.catalog.create_table(beside).await.unwrap();
    let kept = [
        put(&lake, &format!("{at}/inner/data/x.parquet")).await,
        put(&lake, &format!("{at}/view/metadata/1.metadata.json")).await,
        put(&lake, &format!("{at}/view/metadata/2.metadata.json")).await,
        put(&lake, &format!("{at}/_tmp/x.parquet")).await,
        put(&lake, &format!("{at}-beside/data/x.parquet")).await,
        put(&lake, &format!("{warehouse}/s/x.parquet")).await,
    ];
    let rubbish: BTreeSet<String> = [
        put(&lake, &format!("{at}/data/x.parquet")).await,
        put(&lake, &format!("{at}/data/name=a%20b/x.parquet")).await,
        put(&lake, &format!("{at}/data/_part=1/x.parquet")).await,
        put(&lake, &format!("{at}/metadata/x.avro")).await,
        put(&lake, &format!("{at}/metadata/00-x.metadata.json")).await,
    ]
    .into();

    let options = OrphanOptions::default();
    let young = find_orphans(&lake.catalog, &later(2), &lake.name, &options)
        .await
        .unwrap();
    assert!(
        young.files.is_empty() && young.young == rubbish.len() as u64,
        "{young:?}"
    );
    let store = later(4);
    let found = find_orphans(&lake.catalog, &store, &lake.name, &options).await.unwrap();
    assert_eq!(locations(&found), rubbish);
    assert_eq!((found.young, found.bytes()), (0, 7 * rubbish.len() as u64));
    let removed = remove_orphans(&lake.catalog, &store, &lake.name, &options)
        .await
        .unwrap();
    assert_eq!(locations(&removed), rubbish);
    let again = find_orphans(&lake.catalog, &store, &lake.name, &options).await.unwrap();
    assert!(again.files.is_empty());
    for file in kept {
        assert!(store.exists(&file).await.unwrap(), "{file}");
    }
    // Nothing of any snapshot is missing.
    let table = lake.table().await;
    assert_eq!(lake.rows().await, rows);
    for snapshot in table.metadata.snapshots() {
        let cold = FileStore::system();
        let scan = crate::Scan::new(&cold, &table.metadata).snapshot(Some(snapshot.snapshot_id()));
        for file in scan.plan().await.unwrap() {
            assert!(store.exists(&file.path).await.unwrap(), "{}", file.path);
        }
    }
}

// Goal: what a table names is no orphan of another, wherever the former lies, nor is what a dropped one names that can come back. Method: a
// table with rows that is moved, another one in the place that it left, with rubbish there; then the first is dropped.
#[tokio::test]
async fn what_others_name_is_theirs() {
    let directory = tempfile::tempdir().unwrap();
    let warehouse = format!("file://{}", directory.path().display());
    let lake = Lake::at(&warehouse, "t", &[], &[]).await;
    lake.append(0..20).await;
    let (data, rest) = lake.stored().await;
    let needed: BTreeSet<String> = data.into_iter().chain(rest).collect();
    assert!(needed.len() >= 3, "{needed:?}");
    let left = lake.table().await.metadata.location().to_owned();
    let moves = TableCommit {
        name: lake.name.clone(),
        requirements: Vec::new(),
        updates: vec![TableUpdate::SetLocation {
            location: format!("{left}-moved"),
        }],
    };
    let moved = lake.catalog.commit(vec![moves]).await.unwrap();
    assert!(matches!(moved, CommitOutcome::Committed(_)), "{moved:?}");
    let name: TableName = "s.grab".parse().unwrap();
    let mut grab = NewTable::new(name.clone(), sample::schema());
    grab.location = Some(left.clone());
    lake.catalog.create_table(grab).await.unwrap();
    for is_dropped in [false, true] {
        if is_dropped {
            lake.catalog.drop_table(&lake.name, false).await.unwrap();
        }
        let rubbish = put(&lake, &format!("{left}/data/x-{is_dropped}.parquet")).await;
        let store = later(4);
        let removed = remove_orphans(&lake.catalog, &store, &name, &OrphanOptions::default())
            .await
            .unwrap();
        let gone = locations(&removed);
        assert!(gone.contains(&rubbish) && gone.is_disjoint(&needed), "{gone:?}");
        assert!(removed.others >= needed.len() as u64, "{removed:?}");
        for file in &needed {
            assert!(store.exists(file).await.unwrap(), "{file}, dropped: {is_dropped}");
        }
    }
}

// Goal: other tables are read only if there is something to remove, and what names nothing outside of its table once only. Method: a table with
// rows, and one beside it with rubbish; then the former's list of manifests is gone, and then the rubbish is.
#[tokio::test]
async fn others_are_read_if_they_have_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let warehouse = format!("file://{}", directory.path().display());
    let lake = Lake::at(&warehouse, "t", &[], &[]).await;
    lake.append([1]).await;
    let name: TableName = "s.beside".parse().unwrap();
    let beside = NewTable::new(name.clone(), sample::schema());
    let beside = lake.catalog.create_table(beside).await.unwrap();
    let rubbish = put(&lake, &format!("{}/data/x.parquet", beside.metadata.location())).await;
    let other = lake.table().await;
    let list = other.metadata.current_snapshot().unwrap().manifest_list();
    let options = OrphanOptions::default();
    let (warm, cold) = (later(4), later(4));
    let find = async |store: &FileStore| find_orphans(&lake.catalog, store, &name, &options).await;
    assert_eq!(
        locations(&find(&warm).await.unwrap()),
        BTreeSet::from([rubbish.clone()])
    );
    assert!(warm.manifests().at_home().knows(list, other.metadata.location()));
    assert!(!warm.manifests().at_home().knows(list, beside.metadata.location()));
    lake.store.delete(list).await.unwrap();
    assert_eq!(
        locations(&find(&warm).await.unwrap()),
        BTreeSet::from([rubbish.clone()])
    );
    let refused = find(&cold).await;
    assert!(matches!(refused, Err(TableError::FileNotFound { .. })), "{refused:?}");
    lake.store.delete(&rubbish).await.unwrap();
    assert!(find(&cold).await.unwrap().files.is_empty());
}

// Goal: what is not sure is refused. Method: a young age, a folder elsewhere, a table whose manifest is gone.
#[tokio::test]
async fn what_is_not_sure_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let warehouse = format!("file://{}", directory.path().display());
    let lake = Lake::at(&warehouse, "t", &[], &[]).await;
    lake.append([1]).await;
    let find = async |options: OrphanOptions| find_orphans(&lake.catalog, &lake.store, &lake.name, &options).await;
    let young = OrphanOptions {
        older_than: Duration::ZERO,
        ..OrphanOptions::default()
    };
    assert!(matches!(find(young.clone()).await, Err(TableError::Unsupported { .. })));
    let at = lake.table().await.metadata.location().to_owned();
    for below in ["memory://lake/s", &warehouse, &format!("{at}x")] {
        let elsewhere = OrphanOptions {
            below: Some(below.into()),
            ..OrphanOptions::default()
        };
        assert!(
            matches!(find(elsewhere).await, Err(TableError::Location { .. })),
            "{below}"
        );
    }
    let allowed = OrphanOptions {
        allow_young: true,
        below: Some(format!("{at}/data")),
        ..young
    };
    assert_eq!(find(allowed.clone()).await.unwrap().named, 1);
    let table = lake.table().await;
    let list = table.metadata.current_snapshot().unwrap().manifest_list();
    lake.store.delete(list).await.unwrap();
    // Whoever has not read the list before cannot tell what the table names.
    let refused = find_orphans(&lake.catalog, &later(0), &lake.name, &allowed).await;
    assert!(matches!(refused, Err(TableError::FileNotFound { .. })), "{refused:?}");
}

// Goal: one file has one key, however it is written, and places end at a slash. Method: by hand.
#[test]
fn locations_are_compared_in_one_form() {
    for (one, other) in [
        ("file:///a//b/c", "file:/a/b/c"),
        ("/a/b/c", "file://localhost/a/b/c/"),
        ("s3://x/a/b", "s3a://x//a/b"),
    ] {
        assert_eq!(key(one).unwrap(), key(other).unwrap());
    }
    let place = Place::of("s3://x/a").unwrap();
    assert!(place.holds(&key("s3://x/a/b").unwrap()));
    assert!(!place.holds(&key("s3://x/ab").unwrap()) && !place.holds(&key("s3://y/a/b").unwrap()));
    let mut named = Named::default();
    named.add("hdfs://x/a/f", &place).unwrap();
    assert!(named.own(&key("s3://x/a/f").unwrap(), "s3://x/a/f").is_err());
    named.add("hdfs://x/ab/f", &place).unwrap();
    named.add("s3://y/a/f", &place).unwrap();
    assert_eq!((named.keys.len(), named.elsewhere.len()), (0, 1));
    for (one, other, beside) in [
        ("s3://x/a", "s3://x/ab", true),
        ("s3://x/a", "s3://y/a", true),
        ("s3://x/a", "s3://x/a/b", false),
        ("s3://x/a/b", "file:///x/a", false),
        ("s3://x", "s3://x/a", false),
    ] {
        let [one, other] = [one, other].map(|location| Place::of(location).unwrap());
        assert_eq!(one.is_beside(&other), beside, "{one:?} {other:?}");
        assert_eq!(other.is_beside(&one), beside, "{one:?} {other:?}");
    }
    assert!(is_hidden("/data/.x") && is_hidden("/_tmp/x") && !is_hidden("/data/_p=1/x"));
}
