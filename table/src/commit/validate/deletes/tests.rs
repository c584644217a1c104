use std::collections::HashMap;

use iceberg::spec::{DataFileBuilder, Literal, ManifestStatus, Operation, Struct, Transform};

use super::*;
use crate::alter::{Alteration, PartitionBy, alter_table};
use crate::sample::Lake;
use crate::{Added, Scan, ScanFile, TableError};

/// The sample's column `flag` is true for even ids and false for odd ones.
const FLAG: (i32, &str, Transform) = (7, "flag", Transform::Identity);

fn of(flag: bool) -> Struct {
    Struct::from_iter([Some(Literal::bool(flag))])
}

async fn files(lake: &Lake) -> Vec<ScanFile> {
    let table = lake.table().await.metadata;
    let scan = Scan::new(&lake.store, &table).with_deletes();
    scan.plan().await.unwrap()
}

async fn head(lake: &Lake) -> Option<i64> {
    lake.table().await.metadata.current_snapshot_id()
}

/// Deletes described, but not written: whether they may reach a file is told by their description alone.
fn deletes(lake: &Lake, content: DataContentType) -> DataFileBuilder {
    let mut builder = DataFileBuilder::default();
    builder
        .content(content)
        .file_path(format!("memory://lake/deletes-{}.parquet", lake.store.rng().uuid()))
        .file_format(DataFileFormat::Parquet)
        .record_count(1)
        .file_size_in_bytes(1);
    if content == DataContentType::EqualityDeletes {
        builder.equality_ids(Some(vec![1]));
    }
    builder
}

/// Commits deletes as another engine does.
async fn delete(lake: &Lake, builder: &mut DataFileBuilder, spec_id: i32, partition: Struct) {
    let file = builder.partition(partition).partition_spec_id(spec_id).build().unwrap();
    let change = Change {
        operation: Operation::Delete,
        ..Change::append(vec![Added::new(file, spec_id)])
    };
    lake.commit(&change).await.unwrap();
}

/// Whether the deletes since a snapshot are a conflict of changes that rest on this file. A change that leaves it and one that leaves rows
/// of it have one answer.
async fn meet(lake: &Lake, read_at: Option<i64>, file: &ScanFile) -> bool {
    let table = lake.table().await.metadata;
    let removes = Change::delete([file.path.clone()]).read_at(read_at);
    let touches = Change::row_delta(read_at.unwrap(), [file.path.clone()], Vec::new());
    let mut found = Vec::new();
    for change in [removes, touches] {
        let reason = super::super::conflict(&lake.store, &table, &change).await.unwrap();
        assert!(
            reason.iter().all(|reason| reason.contains("may delete rows")),
            "{reason:?}"
        );
        found.push(reason.is_some());
    }
    assert_eq!(found[0], found[1]);
    found[0]
}

fn find(files: &[ScanFile], spec_id: i32, partition: &Struct) -> ScanFile {
    let mut of_partition = files
        .iter()
        .filter(|file| file.spec_id == spec_id && file.partition == *partition);
    of_partition.next().cloned().unwrap()
}

// Goal: a delete by value in one partition drops what is written anew there and lets pass what is in another. Method: both partitions are
// compacted from a state before the delete; the one passes and the other does not, but does when it is computed again.
#[tokio::test]
async fn other_partitions_are_written_anew() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[FLAG], &[("format-version", version)]).await;
        lake.append(1..5).await;
        let before = files(&lake).await;
        let read_at = head(&lake).await;
        let (even, odd) = (find(&before, 0, &of(true)), find(&before, 0, &of(false)));
        let mut by_value = deletes(&lake, DataContentType::EqualityDeletes);
        delete(&lake, &mut by_value, 0, of(true)).await;
        lake.append([6, 7]).await;
        assert!(meet(&lake, read_at, &even).await);
        assert!(!meet(&lake, read_at, &odd).await);

        let both = [even.path.clone(), odd.path.clone()];
        let refused = lake.commit(&Change::delete(both).read_at(read_at)).await;
        assert!(matches!(refused, Err(TableError::Conflict { .. })), "{refused:?}");
        let anew = async |ids: &[i64], file: &ScanFile, read_at: Option<i64>| {
            let added = lake.files(ids, 0).await;
            let change = Change::replace([file.path.clone()], added).read_at(read_at);
            lake.commit(&change).await
        };
        anew(&[1, 3], &odd, read_at).await.expect("nothing was deleted there");
        let refused = anew(&[2, 4], &even, read_at).await;
        assert!(matches!(refused, Err(TableError::Conflict { .. })), "{refused:?}");
        anew(&[4], &even, head(&lake).await).await.expect("it knows the delete");
    }
}

// Goal: deletes keep to files of their own spec, but for deletes by value of a spec without partitions, which meet all. Method: a table
// that is partitioned later, and again later, with a file of each spec; deletes of each spec, by value and by position.
#[tokio::test]
async fn specs_are_told_apart() {
    let lake = Lake::new(&[], &[]).await;
    let by = |path: &str, transform: Transform| {
        Alteration::AddPartitionField(PartitionBy {
            path: path.into(),
            transform,
            name: None,
        })
    };
    let mut specs = Vec::new();
    for alteration in [
        None,
        Some(by("flag", Transform::Identity)),
        Some(by("version", Transform::Identity)),
    ] {
        if let Some(alteration) = alteration {
            let altered = alter_table(&lake.catalog, &lake.store, &lake.name, &[alteration]).await;
            altered.unwrap();
        }
        specs.push(lake.table().await.metadata.default_partition_spec_id());
        lake.append([2, 4]).await;
    }
    let version_too = Struct::from_iter([Some(Literal::bool(true)), Some(Literal::int(0))]);
    let partitions = [Struct::empty(), of(true), version_too];
    let all = files(&lake).await;
    let of_each: Vec<ScanFile> = specs
        .iter()
        .zip(&partitions)
        .map(|(spec_id, partition)| find(&all, *spec_id, partition))
        .collect();
    for content in [DataContentType::EqualityDeletes, DataContentType::PositionDeletes] {
        for (at, (spec_id, partition)) in specs.iter().zip(&partitions).enumerate() {
            let read_at = head(&lake).await;
            delete(&lake, &mut deletes(&lake, content), *spec_id, partition.clone()).await;
            let is_global = at == 0 && content == DataContentType::EqualityDeletes;
            for (other, file) in of_each.iter().enumerate() {
                let met = meet(&lake, read_at, file).await;
                assert_eq!(met, is_global || other == at, "{content:?} of {at}, file of {other}");
            }
        }
    }
    let read_at = head(&lake).await;
    let elsewhere = Struct::from_iter([Some(Literal::bool(true)), Some(Literal::int(1))]);
    let mut by_value = deletes(&lake, DataContentType::EqualityDeletes);
    delete(&lake, &mut by_value, specs[2], elsewhere).await;
    for file in &of_each {
        assert!(
            !meet(&lake, read_at, file).await,
            "another partition of the newest spec"
        );
    }
}

// Goal: deletes by position meet the files that they may name, and no others. Method: two files of one partition and one of another;
// deletes that name a file by reference, by equal bounds, by a range, or tell nothing.
#[tokio::test]
async fn positions_meet_what_they_may_name() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[FLAG], &[("format-version", version)]).await;
        lake.append([2]).await;
        lake.append([4]).await;
        lake.append([1]).await;
        let all = files(&lake).await;
        let mut even: Vec<ScanFile> = all.iter().filter(|file| file.partition == of(true)).cloned().collect();
        even.sort_by(|one, other| one.path.cmp(&other.path));
        let odd = find(&all, 0, &of(false));
        let (first, second) = (even[0].path.clone(), even[1].path.clone());
        let cut = first[..16].to_owned();
        let bounds = |least: &str, greatest: &str| Some((least.to_owned(), greatest.to_owned()));
        // What is told, whether it is a reference, and who is met of the first, the second and the other partition's.
        for (told, is_reference, met) in [
            (None, false, [true, true, false]),
            (bounds(&first, &first), true, [true, false, false]),
            (bounds(&odd.path, &odd.path), true, [false, false, true]),
            (bounds(&first, &first), false, [true, false, false]),
            (bounds(&second, &second), false, [false, true, false]),
            (bounds(&first, &second), false, [true, true, false]),
            (bounds(&cut, &cut), false, [true, true, false]),
            (
                bounds("memory://lake/a", "memory://lake/b"),
                false,
                [false, false, false],
            ),
            (
                bounds("memory:///lake/a", "memory:///lake/b"),
                false,
                [true, true, false],
            ),
            // Some readers look at the path alone, ours at the partition as well.
            (bounds(&odd.path, &odd.path), false, [false, false, true]),
        ] {
            let read_at = head(&lake).await;
            let mut builder = deletes(&lake, DataContentType::PositionDeletes);
            match &told {
                Some((path, _)) if is_reference => {
                    builder.referenced_data_file(Some(path.clone()));
                }
                Some((least, greatest)) => {
                    let bound = |path: &str| HashMap::from([(RESERVED_FIELD_ID_DELETE_FILE_PATH, Datum::string(path))]);
                    builder.lower_bounds(bound(least)).upper_bounds(bound(greatest));
                }
                None => {}
            }
            delete(&lake, &mut builder, 0, of(true)).await;
            for (file, wanted) in [&even[0], &even[1], &odd].into_iter().zip(met) {
                let found = meet(&lake, read_at, file).await;
                assert_eq!(found, wanted, "format {version}, {told:?}: {}", file.path);
            }
        }
    }
}

// Goal: a delete by value meets its partition whatever its description says of a single file, as it does in a scan. Method: one that names
// a file, and has bounds of paths; that file leaves.
#[tokio::test]
async fn deletes_by_value_name_no_file() {
    let lake = Lake::new(&[FLAG], &[]).await;
    lake.append([2]).await;
    lake.append([4]).await;
    let all = files(&lake).await;
    let read_at = head(&lake).await;
    let mut by_value = deletes(&lake, DataContentType::EqualityDeletes);
    let bound = || HashMap::from([(RESERVED_FIELD_ID_DELETE_FILE_PATH, Datum::string(&all[0].path))]);
    by_value
        .referenced_data_file(Some(all[0].path.clone()))
        .lower_bounds(bound())
        .upper_bounds(bound());
    delete(&lake, &mut by_value, 0, of(true)).await;
    for file in &all {
        assert!(meet(&lake, read_at, file).await);
    }
    for file in files(&lake).await {
        assert_eq!(file.deletes.len(), 1, "a scan applies it, too");
    }
    let leaves = Change::delete([all[0].path.clone()]).read_at(head(&lake).await);
    lake.commit(&leaves).await.expect("it knows the delete");
    let left = files(&lake).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].deletes.len(), 1, "it does not go with the file that it names");
}

// Goal: what is not known is a conflict. Method: a delete of a spec that the table has not, and one that reaches nothing when a file that
// the change needs is not in the table.
#[tokio::test]
async fn the_unknown_is_a_conflict() {
    let lake = Lake::new(&[FLAG], &[]).await;
    lake.append([1, 2]).await;
    let table = lake.table().await.metadata;
    let entry = |spec_id: i32, partition: Struct| {
        let mut by_value = deletes(&lake, DataContentType::EqualityDeletes);
        let file = by_value.partition(partition).partition_spec_id(spec_id).build();
        Arc::new(Entry {
            status: ManifestStatus::Added,
            file: file.unwrap().into(),
            spec_id,
            snapshot_id: 1,
            sequence: 2,
            file_sequence: 2,
        })
    };
    let odd = find(&files(&lake).await, 0, &of(false)).path;
    let told = async |path: &str, delete: Arc<Entry>| {
        let change = Change::delete([path.to_owned()]);
        conflict(&lake.store, &table, &change, vec![delete]).await.unwrap()
    };
    assert_eq!(told(&odd, entry(0, of(true))).await, None);
    let unknown = told(&odd, entry(9, of(true))).await.unwrap();
    assert!(unknown.contains("may delete rows"), "{unknown}");
    let gone = told("memory://lake/gone", entry(0, of(true))).await.unwrap();
    assert!(gone.contains("gone is not in the table"), "{gone}");
}

// Goal: bounds never leave out a path that is in a delete file, however they were cut, and do leave out others. Method: all pairs of bounds
// that may come of some paths, cut at each length by writers who raise the upper bound and by those who do not, against each path;
// and bounds by hand, some of them spelled unlike the path.
#[test]
fn bounds_leave_out_no_path_that_is_named() {
    let paths = [
        "s3://b/t/a",
        "s3://b/t/a-1",
        "s3://b/t/b",
        "s3://b/t/ba",
        "s3://b/u/a",
        "s3://b/v",
    ];
    let mut left_out = 0;
    for (at, least) in paths.iter().enumerate() {
        for (end, greatest) in paths.iter().enumerate().skip(at) {
            for lower in 1..=least.len() {
                for upper in 1..=greatest.len() {
                    for raised in ["", "~"] {
                        let bounds = Paths {
                            least: least[..lower].to_owned(),
                            greatest: format!("{}{raised}", &greatest[..upper]),
                        };
                        for (place, path) in paths.iter().enumerate() {
                            let leaves_out = bounds.leave_out(path);
                            assert!(
                                !leaves_out || !(at..=end).contains(&place),
                                "{path}: {least} to {greatest}"
                            );
                            left_out += usize::from(leaves_out);
                        }
                    }
                }
            }
        }
    }
    assert!(left_out > 500, "only {left_out}");
    for (least, greatest, path, wanted) in [
        ("s3://b/b", "s3://b/d", "s3://b/a", true),
        ("s3://b/b", "s3://b/d", "s3://b/e", true),
        ("s3://b/b", "s3://b/d", "s3://b/da", false),
        ("s3://b/bb", "s3://b/d", "s3://b/b", true),
        ("s3://b/d", "s3://b/b", "s3://b/a", false),
        ("s3://b/b", "s3://b/d", "s3://b/é", false),
        ("s3://b/b", "s3://b/é", "s3://b/a", false),
        ("file:/b", "file:/d", "file:/a", true),
        ("/b", "/d", "/a", true),
        // What is spelled from another root tells nothing, nor does what was cut within it.
        ("s3a://b/b", "s3a://b/d", "s3://b/a", false),
        ("s3://c/b", "s3://c/d", "s3://b/a", false),
        ("s3://b/b", "s3://c/d", "s3://b/a", false),
        ("file:///b", "file:///d", "file:/a", false),
        ("file:/b", "file:/d", "file:///a", false),
        ("/b", "/d", "file:/a", false),
        ("s3://b", "s3://b", "s3://a/a", false),
        ("b", "d", "a", false),
        ("", "", "s3://b/a", false),
    ] {
        let bounds = Paths {
            least: least.into(),
            greatest: greatest.into(),
        };
        assert_eq!(bounds.leave_out(path), wanted, "{least} to {greatest}, {path}");
    }
}

// Goal: a deletion vector tells of no paths, whatever its description says: a reader applies one without a name to its whole partition.
// Method: such a description as a vector and as a file of rows.
#[tokio::test]
async fn vectors_have_no_paths() {
    let lake = Lake::new(&[], &[]).await;
    for (format, tells) in [(DataFileFormat::Puffin, false), (DataFileFormat::Parquet, true)] {
        let bound = || HashMap::from([(RESERVED_FIELD_ID_DELETE_FILE_PATH, Datum::string("memory://lake/a"))]);
        let mut builder = deletes(&lake, DataContentType::PositionDeletes);
        builder.file_format(format).lower_bounds(bound()).upper_bounds(bound());
        let described = Description::from(builder.build().unwrap());
        assert_eq!(Paths::of(&described).is_some(), tells, "{format:?}");
    }
}
