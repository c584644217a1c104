use std::collections::BTreeSet;

use iceberg::spec::{Datum, Transform};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::predicate::{Comparison, Value};
use crate::sample::{self, Lake};

const COLUMNS: [i32; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15];

fn comparisons() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::NotEqual),
        Just(Comparison::Less),
        Just(Comparison::LessOrEqual),
        Just(Comparison::Greater),
        Just(Comparison::GreaterOrEqual),
    ]
}

/// A column with a value that some row may have.
fn operand() -> impl Strategy<Value = (i32, Datum)> {
    (proptest::sample::select(&COLUMNS[..]), -80i64..160)
        .prop_filter_map("null", |(column, id)| Some((column, sample::value(id, column, 0)?)))
}

pub(super) fn predicates() -> impl Strategy<Value = Predicate> {
    let leaf = prop_oneof![
        6 => (operand(), comparisons())
            .prop_map(|((field_id, value), comparison)| Predicate::compare(field_id, comparison, value)),
        2 => (operand(), proptest::collection::vec(-80i64..160, 0..3)).prop_map(|((field_id, value), ids)| {
            let others = ids.into_iter().filter_map(|id| sample::value(id, field_id, 0));
            Predicate::In { field_id, values: others.chain([value]).collect() }
        }),
        1 => proptest::sample::select(&COLUMNS[..]).prop_map(|field_id| Predicate::IsNull { field_id }),
        1 => Just(Predicate::IsNan { field_id: 3 }),
        1 => Just(Predicate::Always),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..3).prop_map(Predicate::And),
            proptest::collection::vec(inner.clone(), 1..3).prop_map(Predicate::Or),
            inner.prop_map(|p| !p),
        ]
    })
}

fn is_nan(value: &Datum) -> bool {
    matches!(value.literal(), iceberg::spec::PrimitiveLiteral::Double(value) if value.0.is_nan())
}

/// SQL's three values, with NaN above everything, as engines have it. `Always` stands for a condition that is not known.
pub(super) fn truth(predicate: &Predicate, id: i64) -> Option<bool> {
    match predicate {
        Predicate::Always | Predicate::Never => None,
        Predicate::And(parts) | Predicate::Or(parts) => {
            // One false decides a conjunction, one true a disjunction; else unknown wins.
            let decides = matches!(predicate, Predicate::Or(_));
            let truths: Vec<Option<bool>> = parts.iter().map(|p| truth(p, id)).collect();
            match truths.contains(&Some(decides)) {
                true => Some(decides),
                false if truths.contains(&None) => None,
                false => Some(!decides),
            }
        }
        Predicate::Not(inner) => truth(inner, id).map(|t| !t),
        Predicate::IsNull { field_id } => Some(sample::value(id, *field_id, 0).is_none()),
        Predicate::IsNan { field_id } => Some(is_nan(&sample::value(id, *field_id, 0)?)),
        Predicate::In { field_id, values } => {
            let value = sample::value(id, *field_id, 0)?;
            Some(
                values
                    .iter()
                    .any(|v| v.partial_cmp(&value) == Some(std::cmp::Ordering::Equal)),
            )
        }
        Predicate::Compare {
            field_id,
            comparison,
            value,
        } => {
            let order = sample::value(id, *field_id, 0)?.partial_cmp(value)?;
            Some(match comparison {
                Comparison::Equal => order.is_eq(),
                Comparison::NotEqual => order.is_ne(),
                Comparison::Less => order.is_lt(),
                Comparison::LessOrEqual => order.is_le(),
                Comparison::Greater => order.is_gt(),
                Comparison::GreaterOrEqual => order.is_ge(),
            })
        }
    }
}

/// Does the predicate hold an unknown part? Then any row may be kept, and none must be told of.
fn has_unknown(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::Always | Predicate::Never => true,
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().any(has_unknown),
        Predicate::Not(inner) => has_unknown(inner),
        _ => false,
    }
}

pub(super) fn specs() -> Vec<Vec<(i32, &'static str, Transform)>> {
    vec![
        vec![],
        vec![(5, "ts_day", Transform::Day)],
        vec![(1, "id_bucket", Transform::Bucket(3)), (7, "flag", Transform::Identity)],
        vec![
            (2, "name_part", Transform::Truncate(7)),
            (15, "zip_part", Transform::Truncate(40)),
        ],
        vec![
            (5, "ts_month", Transform::Month),
            (4, "amount_part", Transform::Truncate(5000)),
        ],
        vec![(3, "score", Transform::Identity), (5, "ts_year", Transform::Year)],
        vec![
            (6, "day_month", Transform::Month),
            (5, "ts_hour", Transform::Hour),
            (9, "version_gone", Transform::Void),
        ],
    ]
}

// Goal: pruning never loses a row, and does prune. Method: random predicates over tables of many specs, against a filter row by
// row with SQL's logic.
#[test]
fn pruning_loses_no_row() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut pruned = 0;
    for spec in specs() {
        let lake = runtime.block_on(async {
            let lake = Lake::new(&spec, &[]).await;
            for start in [-60i64, -20, 0, 25, 60, 100] {
                lake.append(start..start + 25).await;
            }
            lake
        });
        let all: BTreeSet<i64> = runtime.block_on(lake.rows()).into_iter().collect();
        let table = runtime.block_on(lake.table()).metadata;
        let files = runtime.block_on(plan_scan(&lake.store, &table, None, None)).unwrap();
        let by_file: std::collections::HashMap<String, Vec<i64>> = files
            .iter()
            .map(|file| {
                (
                    file.path.clone(),
                    runtime.block_on(lake.ids(std::slice::from_ref(file))),
                )
            })
            .collect();
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        for _ in 0..200 {
            let predicate = predicates().new_tree(&mut runner).unwrap().current();
            let kept = runtime
                .block_on(plan_scan(&lake.store, &table, None, Some(&predicate)))
                .unwrap();
            let read: BTreeSet<i64> = kept.iter().flat_map(|file| by_file[&file.path].clone()).collect();
            let wanted = all.iter().filter(|id| truth(&predicate, **id) == Some(true));
            let lost: Vec<_> = wanted.filter(|id| !read.contains(id)).collect();
            assert!(lost.is_empty(), "{predicate:?} of {spec:?} lost {lost:?}");
            if !has_unknown(&predicate) {
                pruned += files.len() - kept.len();
            }
        }
    }
    assert!(pruned > 5_000, "only {pruned} files pruned");
}

// Goal: a filter by partition reads no manifest that cannot hold it. Method: planned files of one day, and of one bucket.
#[tokio::test]
async fn partitions_prune() {
    let lake = Lake::new(&[(5, "ts_day", Transform::Day)], &[]).await;
    lake.append(0..240).await;
    let table = lake.table().await.metadata;
    let day = |id| sample::value(id, 5, 0).unwrap();
    let one = Predicate::compare(5, Comparison::GreaterOrEqual, day(24)).and(Predicate::compare(
        5,
        Comparison::Less,
        day(30),
    ));
    assert_eq!(plan_scan(&lake.store, &table, None, Some(&one)).await.unwrap().len(), 1);
    assert_eq!(plan_scan(&lake.store, &table, None, None).await.unwrap().len(), 10);
    let none = Predicate::equal(5, Datum::timestamptz_micros(0));
    assert!(
        plan_scan(&lake.store, &table, None, Some(&none))
            .await
            .unwrap()
            .is_empty()
    );
}

// Goal: values of widened columns still compare, those of other families prune nothing. Method: by hand.
#[test]
fn families_compare() {
    let range = crate::predicate::Range::exactly(Value::of(&Datum::int(5)));
    let may = |comparison, value| range.may(&crate::predicate::Leaf::Compare(comparison, value));
    assert!(!may(Comparison::Equal, Datum::long(6)));
    assert!(may(Comparison::Equal, Datum::long(5)));
    assert!(may(Comparison::Equal, Datum::string("x")));
    assert!(may(Comparison::Equal, Datum::date(6)));
    assert!(!may(Comparison::NotEqual, Datum::int(5)));
    assert!(may(Comparison::Less, Datum::double(f64::NAN)));
}

// Goal: missing snapshots and empty tables are told apart. Method: both.
#[tokio::test]
async fn snapshots_are_found() {
    let lake = Lake::new(&[], &[]).await;
    let table = lake.table().await.metadata;
    assert!(plan_scan(&lake.store, &table, None, None).await.unwrap().is_empty());
    assert!(matches!(
        plan_scan(&lake.store, &table, Some(1), None).await,
        Err(TableError::SnapshotNotFound { snapshot_id: 1 })
    ));
}

/// A data file of 1,000 bytes of which a manifest tells these sizes of columns, with a delete file of this kind if there is one.
fn sized(sizes: &[(i32, u64)], deletes: Option<DataContentType>) -> ScanFile {
    use iceberg::spec::{DataFileBuilder, DataFileFormat, ManifestStatus};

    let file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_format(DataFileFormat::Parquet)
        .file_path("memory://lake/file".to_owned())
        .partition(Struct::empty())
        .partition_spec_id(0)
        .record_count(10)
        .file_size_in_bytes(1_000)
        .column_sizes(sizes.iter().copied().collect())
        .build()
        .unwrap();
    let entry = Arc::new(Entry {
        status: ManifestStatus::Added,
        file: file.into(),
        spec_id: 0,
        snapshot_id: 1,
        sequence: 1,
        file_sequence: 1,
    });
    let deletes = deletes.map(|content| DeleteFile {
        path: "memory://lake/deletes".to_owned(),
        content,
        sequence: 2,
        entry: Lender::new(Arc::clone(&entry)),
    });
    ScanFile::of(&entry, deletes.into_iter().collect())
}

// Goal: of a file counts what its readers read, and what nobody knows counts as read. Method: a file as it was written and as its manifest
// is read again, for all columns, some and none; files of which nothing, too much or a part is told, with deletes and without.
#[tokio::test]
async fn bytes_are_those_of_columns() {
    let directory = tempfile::tempdir().unwrap();
    let warehouse = format!("file://{}", directory.path().display());
    let lake = Lake::at(&warehouse, "t", &[], &[]).await;
    lake.append(0..200).await;
    let table = lake.table().await.metadata;
    for store in [&lake.store, &FileStore::system()] {
        let file = plan_scan(store, &table, None, None).await.unwrap().remove(0);
        let sizes = file.data_file().column_sizes().clone();
        let all: BTreeSet<i32> = sizes.keys().copied().collect();
        let besides = file.size_bytes - sizes.values().sum::<u64>();
        assert!(besides > 0 && all.len() == 15, "{sizes:?}");
        assert_eq!(file.bytes_of(&all), file.size_bytes);
        assert_eq!(file.bytes_of(&BTreeSet::new()), besides);
        let some = file.bytes_of(&[1, 14, 17].into());
        assert_eq!(some, besides + sizes[&1] + sizes[&14] + sizes[&17]);
    }

    let (positions, values) = (DataContentType::PositionDeletes, DataContentType::EqualityDeletes);
    for (sizes, deletes, expected) in [
        (vec![(1, 100), (2, 700)], None, 300),
        (vec![(1, 100), (2, 700)], Some(positions), 300),
        (vec![(1, 100), (2, 700)], Some(values), 1_000),
        (vec![(2, 700)], None, 300),
        (vec![(1, 100)], None, 1_000),
        (vec![], None, 1_000),
        (vec![(1, 100), (2, 950)], None, 1_000),
        (vec![(1, u64::MAX), (2, u64::MAX)], None, 1_000),
    ] {
        let file = sized(&sizes, deletes);
        assert_eq!(file.bytes_of(&[1].into()), expected, "{sizes:?} {deletes:?}");
    }
}

/// Commits a position delete file (described, not written) of one data file, as another engine would.
async fn delete_rows(lake: &Lake, target: &ScanFile, referenced: bool) {
    use iceberg::spec::{DataFileBuilder, DataFileFormat};

    let table = lake.table().await;
    let mut builder = DataFileBuilder::default();
    builder
        .content(DataContentType::PositionDeletes)
        .file_format(DataFileFormat::Parquet)
        .file_path(format!("{}-deletes", target.path))
        .partition(target.partition.clone())
        .partition_spec_id(target.spec_id)
        .referenced_data_file(referenced.then(|| target.path.clone()))
        .record_count(1)
        .file_size_in_bytes(1);
    let delete = crate::Added::new(builder.build().unwrap(), target.spec_id);
    let mut writer = manifest::MetadataWriter::new(&lake.store, &table.metadata, 4711);
    let deletes = writer
        .manifest(ManifestContentType::Deletes, target.spec_id, &[delete], &[], &[])
        .await
        .unwrap();
    let parent = table.metadata.current_snapshot().unwrap();
    let mut manifests = manifest::list(&lake.store, &table.metadata, Some(parent))
        .await
        .unwrap();
    manifests.push(deletes);
    let sequence = table.metadata.last_sequence_number() + 1;
    let (list, _) = writer
        .list(manifests, Some(parent.snapshot_id()), sequence)
        .await
        .unwrap();
    let snapshot = iceberg::spec::Snapshot::builder()
        .with_snapshot_id(4711)
        .with_parent_snapshot_id(Some(parent.snapshot_id()))
        .with_sequence_number(sequence)
        .with_timestamp_ms(table.metadata.last_updated_ms())
        .with_manifest_list(list)
        .with_summary(parent.summary().clone())
        .with_schema_id(0)
        .build();
    let retention = iceberg::spec::SnapshotRetention::branch(None, None, None);
    let reference = iceberg::spec::SnapshotReference::new(4711, retention);
    let commit = crate::TableCommit {
        name: lake.name.clone(),
        requirements: Vec::new(),
        updates: vec![
            iceberg::TableUpdate::AddSnapshot { snapshot },
            iceberg::TableUpdate::SetSnapshotRef {
                ref_name: "main".into(),
                reference,
            },
        ],
    };
    crate::Catalog::commit(&lake.catalog, vec![commit]).await.unwrap();
}

// Goal: row deletes are never overlooked: refused unless asked for, then told for the files they may touch, and they conflict
// with rewrites of those files. Method: a delete of another engine, of one file by name and of a partition.
#[tokio::test]
async fn row_deletes_are_told_or_refused() {
    for referenced in [true, false] {
        let lake = Lake::new(&[(7, "flag", Transform::Identity)], &[]).await;
        lake.append([2, 4]).await;
        lake.append([1, 3, 6]).await;
        let before = lake.table().await.metadata.current_snapshot_id();
        let files = plan_scan(&lake.store, &lake.table().await.metadata, None, None)
            .await
            .unwrap();
        let target = files
            .iter()
            .find(|file| file.record_count == 2 && file.sequence == 1)
            .unwrap();
        delete_rows(&lake, target, referenced).await;
        lake.append([8]).await;

        let table = lake.table().await.metadata;
        let refused = plan_scan(&lake.store, &table, None, None).await;
        assert!(matches!(refused, Err(TableError::Unsupported { .. })), "{refused:?}");
        let told = Scan::new(&lake.store, &table).with_deletes().plan().await.unwrap();
        for file in &told {
            let same_partition = file.partition == target.partition && file.sequence < 3;
            let touched = if referenced {
                file.path == target.path
            } else {
                same_partition
            };
            assert_eq!(file.deletes.len(), usize::from(touched), "{}", file.path);
        }
        let changes = crate::changes_between(&lake.store, &table, before, 4711).await.unwrap();
        let paths = |files: &[ScanFile]| -> BTreeSet<String> {
            let holed = files.iter().filter(|file| !file.is_whole());
            holed.map(|file| file.path.clone()).collect()
        };
        assert_eq!(changes.len(), 1);
        assert_eq!(paths(&changes[0].deleted), paths(&told));
        assert!(changes[0].added.is_empty() && changes[0].restored.is_empty());
        let rewrite = crate::Change::delete([target.path.clone()]).read_at(before);
        let conflict = lake.commit(&rewrite).await;
        assert!(matches!(conflict, Err(TableError::Conflict { .. })), "{conflict:?}");
    }
}

// Goal: what commits put into the cache is what reading gives. Method: plan with the committing store and with a cold one over
// the same files.
#[tokio::test]
async fn the_cache_tells_the_truth() {
    let directory = tempfile::tempdir().unwrap();
    let warehouse = format!("file://{}", directory.path().display());
    let lake = Lake::at(&warehouse, "t", &[(1, "b", Transform::Bucket(2))], &[]).await;
    for n in 0..4 {
        lake.append([n, n + 10]).await;
    }
    let table = lake.table().await.metadata;
    let first = plan_scan(&lake.store, &table, None, None).await.unwrap().remove(0);
    lake.commit(&crate::Change::delete([first.path])).await.unwrap();
    lake.append([99]).await;
    let table = lake.table().await.metadata;
    let cold = FileStore::system();
    for snapshot in table.snapshots() {
        for manifest in manifest::list(&cold, &table, Some(snapshot)).await.unwrap() {
            let warm: Vec<String> = describe(&lake.store, &manifest).await;
            assert_eq!(warm, describe(&cold, &manifest).await);
        }
    }
}

async fn describe(store: &FileStore, manifest: &ManifestFile) -> Vec<String> {
    let entries = manifest::entries(store, manifest).await.unwrap();
    let described = entries.iter().map(|e| {
        let numbers = (e.spec_id, e.snapshot_id, e.sequence, e.file_sequence);
        format!(
            "{:?} {numbers:?} {} {:?}",
            e.status,
            e.file.file_path(),
            e.file.partition()
        )
    });
    let mut described: Vec<String> = described.collect();
    described.sort_unstable();
    described
}
