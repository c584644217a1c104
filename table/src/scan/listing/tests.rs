use std::collections::BTreeSet;

use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, ManifestStatus, Struct, Transform};

use super::*;
use crate::at_hand::{AtHand, Found};
use crate::manifest::Entry;
use crate::predicate::Comparison;
use crate::sample::Lake;

fn paths(files: &[ScanFile]) -> Vec<String> {
    files.iter().map(|file| file.path.clone()).collect()
}

/// A table of three commits, each of files of its own.
async fn lake() -> Lake {
    let lake = Lake::new(&[(1, "b", Transform::Bucket(5))], &[]).await;
    for start in [0_i64, 100, 200] {
        lake.append(start..start + 50).await;
    }
    lake
}

// Goal: who asks the same again, or at the same time, has the same list, and nobody has that of another filter or snapshot. Method: each
// question twice, against a plan that nobody keeps and the count of passes; again after a commit.
#[tokio::test]
async fn lists_are_of_what_was_asked() {
    let lake = lake().await;
    let table = lake.table().await.metadata;
    let first = table.snapshots().min_by_key(|snapshot| snapshot.sequence_number());
    let first = first.unwrap().snapshot_id();
    let at_hand = Arc::new(AtHand::default());
    let store = lake.store.telling(Arc::clone(&at_hand));
    let below = Predicate::compare(1, Comparison::Less, Datum::long(150));
    let above = Predicate::compare(1, Comparison::GreaterOrEqual, Datum::long(100));
    let (mut passes, mut all, mut different) = (0, 0, BTreeSet::new());
    for (snapshot, filter) in [
        (None, None),
        (None, Some(&below)),
        (None, Some(&above)),
        (Some(first), None),
        (Some(first), Some(&below)),
    ] {
        let scan = |store| Scan::new(store, &table).snapshot(snapshot).filter(filter);
        let wanted = paths(&scan(&lake.store).plan().await.unwrap());
        let (one, other) = tokio::join!(scan(&store).listing(), scan(&store).listing());
        let (one, other) = (one.unwrap(), other.unwrap());
        passes += 1;
        assert_eq!(at_hand.figures().listings, passes, "{snapshot:?} {filter:?}");
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(paths(one.files()), wanted, "{snapshot:?} {filter:?}");
        all = all.max(wanted.len());
        different.insert(wanted);
    }
    assert_eq!(different.len(), 4, "{different:?}");
    lake.append(300_i64..350).await;
    let table = lake.table().await.metadata;
    let listing = Scan::new(&store, &table).listing().await.unwrap();
    assert_eq!(at_hand.figures().listings, passes + 1);
    assert!(listing.files().len() > all, "{listing:?}");
}

// Goal: who has a kept list is told that its manifests were at hand. Method: a second reader of the same.
#[tokio::test]
async fn kept_lists_tell_their_manifests() {
    let lake = lake().await;
    let table = lake.table().await.metadata;
    let listing = Scan::new(&lake.store, &table).listing().await.unwrap();
    let at_hand = Arc::new(AtHand::default());
    let store = lake.store.telling(Arc::clone(&at_hand));
    let again = Scan::new(&store, &table).listing().await.unwrap();
    assert!(Arc::ptr_eq(&listing, &again));
    let figures = at_hand.figures();
    assert_eq!((figures.listings, figures.lists), (0, Found { kept: 1, read: 0 }));
    assert!(figures.manifests.kept > 0, "{figures:?}");
    assert_eq!(figures.manifests.read, 0);
}

// Goal: kept lists take no more memory than they may, and none where none may be kept. Method: more lists than there is room for, by
// caches of their own.
#[tokio::test]
async fn kept_lists_are_bounded() {
    const LISTS: i64 = 40;
    let lake = lake().await;
    let table = lake.table().await.metadata;
    let snapshot = table.current_snapshot().unwrap();
    let whole = Scan::new(&lake.store, &table).listing().await.unwrap();
    let bytes_max = 4 * whole.memory_bytes() as u64;
    let at_hand = Arc::new(AtHand::default());
    let store = lake.store.telling(Arc::clone(&at_hand));
    let (small, none) = (ListingCache::new(bytes_max), ListingCache::new(0));
    for start in 0..LISTS {
        let filter = Predicate::compare(1, Comparison::GreaterOrEqual, Datum::long(-start));
        let scan = Scan::new(&store, &table).filter(Some(&filter)).with_deletes();
        let listing = small.of(&scan, snapshot).await.unwrap();
        assert_eq!(paths(listing.files()), paths(whole.files()));
        none.of(&scan, snapshot).await.unwrap();
    }
    assert_eq!(at_hand.figures().listings, 2 * LISTS as u64);
    let kept = small.kept.as_ref().unwrap();
    kept.run_pending_tasks().await;
    assert!(kept.weighted_size() <= bytes_max, "{}", kept.weighted_size());
    assert!((1..4).contains(&kept.entry_count()), "{small:?}");
    assert!(none.kept.is_none());
}

// Goal: a filter is weighed whatever it compares with, and by the texts in it. Method: values that the library cannot print, and two texts.
#[test]
fn any_filter_is_weighed() {
    let unprintable = [
        Datum::date(i32::MAX),
        Datum::timestamp_micros(i64::MIN),
        Datum::timestamptz_micros(-1),
        Datum::timestamptz_nanos(-1),
    ];
    let one = filter_bytes(&Predicate::equal(1, Datum::long(0)));
    for value in unprintable {
        assert_eq!(filter_bytes(&Predicate::equal(1, value)), one);
    }
    let text = |length: usize| filter_bytes(&Predicate::equal(1, Datum::string("x".repeat(length))));
    assert_eq!(text(1_000) - text(1), 999);
}

/// A file of which the manifest tells the sizes of so many columns.
fn of_columns(columns: i32) -> Listing {
    let mut file = DataFileBuilder::default();
    file.content(DataContentType::Data)
        .file_path("memory://lake/a.parquet".to_owned())
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::empty())
        .partition_spec_id(0)
        .record_count(1)
        .file_size_in_bytes(1)
        .column_sizes((0..columns).map(|id| (id, 1)).collect());
    let entry = Entry {
        status: ManifestStatus::Added,
        file: file.build().unwrap().into(),
        spec_id: 0,
        snapshot_id: 1,
        sequence: 1,
        file_sequence: 1,
    };
    vec![ScanFile::of(&Arc::new(entry), Vec::new())].into()
}

// Goal: lists of wide tables do not hold on to more than they count. Method: a file of a thousand columns beside one of one.
#[test]
fn what_wide_tables_tell_is_counted() {
    let (wide, narrow) = (of_columns(1_000).memory_bytes(), of_columns(1).memory_bytes());
    assert!(wide > narrow + 20_000, "{wide}, {narrow}");
}
