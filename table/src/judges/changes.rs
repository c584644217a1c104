//! Changes between the snapshots of tables whose rows are deleted in every way there is.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion, NestedField, Operation as Kind,
    PrimitiveType, Schema, TableMetadata, Type,
};
use parquet::arrow::ArrowWriter;

use super::history::Rows;
use super::lake::{Lake, Operation};
use crate::changelog::history;
use crate::schema::to_arrow;
use crate::{
    Added, Change, FileDeletes, FileStore, Scan, ScanFile, SnapshotChange, StoreOptions, TableError, changes_between,
};
use tidewater_core::{Rng, SeededRng, SystemClock};

/// Commits of a table.
const STEPS: u64 = 40;

/// Ranges that are looked at, besides the whole history.
const RANGES: u64 = 12;

/// What happened in all tables: a test of what never happened is none.
#[derive(Debug, Default)]
struct Tally {
    by_value: u64,
    upserts: u64,
    restores: u64,
    rows_deleted: usize,
    rows_restored: usize,
    rows_deleted_as_they_came: usize,
}

/// Reserved field ids (spec, "Reserved Field IDs").
const FILE_PATH: i32 = 2_147_483_546;
const POS: i32 = 2_147_483_545;

/// What a delete file by position says: rows at these places of a data file are gone.
pub(super) fn places(path: &str, positions: Vec<i64>) -> Vec<(i32, &'static str, ArrayRef)> {
    let paths: ArrayRef = Arc::new(StringArray::from(vec![path; positions.len()]));
    let positions: ArrayRef = Arc::new(Int64Array::from(positions));
    vec![(FILE_PATH, "file_path", paths), (POS, "pos", positions)]
}

/// A Parquet file of these columns, described as a delete file in the partition of a data file. `paths` are the least and the greatest
/// path in it, as far as the description tells.
pub(super) async fn delete_file(
    lake: &Lake,
    table: &TableMetadata,
    like: (&DataFile, i32),
    (content, ids): (DataContentType, Option<Vec<i32>>),
    columns: Vec<(i32, &str, ArrayRef)>,
    paths: Option<(&str, &str)>,
) -> Added {
    let bound = |path: Option<&str>| -> HashMap<i32, Datum> {
        let told = path.map(|path| (FILE_PATH, Datum::string(path)));
        told.into_iter().collect()
    };
    let fields = columns.iter().map(|(id, name, values)| {
        let kind = match values.data_type() {
            DataType::Utf8 => PrimitiveType::String,
            _ => PrimitiveType::Long,
        };
        Arc::new(NestedField::required(*id, *name, Type::Primitive(kind)))
    });
    let schema = Schema::builder().with_fields(fields).build().expect("a schema");
    let arrow = Arc::new(to_arrow(&schema).expect("a schema"));
    let columns: Vec<ArrayRef> = columns.into_iter().map(|(_, _, values)| values).collect();
    let batch = RecordBatch::try_new(arrow.clone(), columns).expect("rows");
    let mut writer = ArrowWriter::try_new(Vec::new(), arrow, None).expect("a writer");
    writer.write(&batch).expect("rows");
    let bytes = writer.into_inner().expect("a file");
    let path = format!("{}/data/{}.parquet", table.location(), lake.store.rng().uuid());
    let (like, spec_id) = like;
    let file = DataFileBuilder::default()
        .content(content)
        .file_path(path.clone())
        .file_format(DataFileFormat::Parquet)
        .partition(like.partition().clone())
        .partition_spec_id(spec_id)
        .record_count(batch.num_rows() as u64)
        .file_size_in_bytes(bytes.len() as u64)
        .equality_ids(ids)
        .lower_bounds(bound(paths.map(|(least, _)| least)))
        .upper_bounds(bound(paths.map(|(_, greatest)| greatest)))
        .build()
        .expect("a file");
    lake.store.put_new(&path, bytes.into()).await.expect("a file");
    Added::new(file, spec_id)
}

/// As Flink writes an upsert: rows are deleted by a value of theirs, in one partition, and with `rows` others come, of which the first
/// of a file is deleted by position at once.
async fn delete_by_value(lake: &Lake, rng: &SeededRng, upserts: bool) {
    let table = lake.table().await.metadata;
    let files = Scan::new(&lake.store, &table)
        .with_deletes()
        .plan()
        .await
        .expect("files");
    let Some(file) = files.get(rng.below(files.len().max(1) as u64) as usize) else {
        return;
    };
    let rows = lake.stored_rows(file).await.expect("rows");
    let chosen: Vec<(i64, i64)> = rows.iter().copied().filter(|_| rng.below(3) == 0).collect();
    let chosen = if chosen.is_empty() { rows } else { chosen };
    let (id, name) = if rng.below(4) == 0 { (2, "n") } else { (1, "id") };
    let values = chosen.iter().map(|row| if id == 1 { row.0 } else { row.1 });
    let values: ArrayRef = Arc::new(values.collect::<Int64Array>());
    let by_value = (DataContentType::EqualityDeletes, Some(vec![id]));
    let like = (file.data_file(), file.spec_id);
    let mut added = vec![delete_file(lake, &table, like, by_value, vec![(id, name, values)], None).await];
    if upserts {
        let again: Vec<(i64, i64)> = chosen.iter().map(|row| (row.0, row.1 + 100)).collect();
        let came = lake.write(&table, &again).await.expect("files");
        for new in &came {
            let first = places(new.file.file_path(), vec![0]);
            let by_position = (DataContentType::PositionDeletes, None);
            added.push(delete_file(lake, &table, (&new.file, new.spec_id), by_position, first, None).await);
        }
        added.extend(came);
    }
    let change = Change {
        operation: if upserts { Kind::Overwrite } else { Kind::Delete },
        ..Change::append(added)
    };
    lake.commit(&change).await.expect("a commit");
}

/// What deleted rows of a file by name leaves the table, and the rows are there again.
async fn restore(lake: &Lake, rng: &SeededRng) -> bool {
    let table = lake.table().await.metadata;
    let files = Scan::new(&lake.store, &table)
        .with_deletes()
        .plan()
        .await
        .expect("files");
    let mut holed = files.iter().filter(|file| {
        let mut deletes = file.deletes.iter();
        deletes.any(|delete| delete.data_file().referenced_data_file().is_some())
    });
    let (Some(file), Some(head)) = (holed.next(), table.current_snapshot_id()) else {
        return false;
    };
    if rng.below(2) == 0 {
        return false;
    }
    let change = Change::row_delta(head, [file.path.clone()], Vec::new());
    lake.commit(&change).await.expect("a commit");
    true
}

/// The rows that are meant of files of a change, found as a reader in another process does.
async fn rows_of(lake: &Lake, table: &TableMetadata, files: &[ScanFile]) -> Vec<(i64, i64)> {
    let mut found = Vec::new();
    for file in files {
        let rows = lake.stored_rows(file).await.expect("rows");
        let kept: Vec<Range<u64>> = match FileDeletes::of(file, table).expect("readable deletes") {
            None => std::iter::once(0..file.record_count).collect(),
            Some(deletes) => {
                let json = serde_json::to_string(&deletes).expect("JSON");
                let deletes: FileDeletes = serde_json::from_str(&json).expect("the same");
                if file.only.is_some() {
                    let mask = deletes.mask(&lake.store).await;
                    assert!(matches!(mask, Err(TableError::Unsupported { .. })), "{mask:?}");
                }
                deletes.kept(&lake.store).await.expect("rows")
            }
        };
        found.extend(kept.into_iter().flatten().map(|at| rows[at as usize]));
    }
    found
}

/// Does to the rows what the snapshot did. Each row that leaves must be there.
async fn apply(lake: &Lake, table: &TableMetadata, change: &SnapshotChange, rows: &mut Rows, tally: &mut Tally) {
    let deleted = rows_of(lake, table, &change.deleted).await;
    let restored = rows_of(lake, table, &change.restored).await;
    let came = rows_of(lake, table, &change.added).await;
    tally.rows_deleted += deleted.len();
    tally.rows_restored += restored.len();
    let written: u64 = change.added.iter().map(|file| file.record_count).sum();
    tally.rows_deleted_as_they_came += written as usize - came.len();
    for row in rows_of(lake, table, &change.removed).await.into_iter().chain(deleted) {
        match rows.get_mut(&row) {
            Some(1) => drop(rows.remove(&row)),
            Some(count) => *count -= 1,
            None => panic!("{change:?} took {row:?}, which was not there"),
        }
    }
    for row in came.into_iter().chain(restored) {
        *rows.entry(row).or_default() += 1;
    }
}

/// Follows the changes of a range and compares the rows with those of each of its snapshots.
async fn follow(
    lake: &Lake,
    table: &TableMetadata,
    states: &BTreeMap<i64, Rows>,
    (from, to): (Option<i64>, i64),
    tally: &mut Tally,
) {
    let mut rows = from.map_or_else(Rows::new, |from| states[&from].clone());
    let changes = changes_between(&lake.store, table, from, to).await.expect("changes");
    for change in &changes {
        apply(lake, table, change, &mut rows, tally).await;
        assert_eq!(rows, states[&change.snapshot_id], "after {change:?}");
    }
    assert_eq!(rows, states[&to], "from {from:?} to {to}");
}

async fn judge(lake: &Lake, seed: u64, tally: &mut Tally) {
    let rng = SeededRng::new(seed);
    for step in 0..STEPS {
        let operation = match rng.below(14) {
            0..=2 => Operation::Append,
            3 => Operation::MergeCopying,
            4..=7 => Operation::MergeOnRead,
            8 => Operation::Compact,
            9 => Operation::Overwrite,
            10 => {
                tally.restores += u64::from(restore(lake, &rng).await);
                continue;
            }
            choice => {
                // Format 3 has no new position delete files.
                let version = lake.table().await.metadata.format_version();
                let upserts = choice == 13 && version == FormatVersion::V2;
                tally.by_value += 1;
                tally.upserts += u64::from(upserts);
                delete_by_value(lake, &rng, upserts).await;
                continue;
            }
        };
        let first_id = (step * 10) as i64;
        lake.act(operation, &rng, first_id).await.expect("an operation");
    }
    let table = lake.table().await.metadata;
    let newest = table.current_snapshot_id().expect("a snapshot");
    let ids: Vec<i64> = history(&table, None, newest)
        .expect("all of it")
        .iter()
        .map(|snapshot| snapshot.snapshot_id())
        .collect();
    let mut states = BTreeMap::new();
    for id in &ids {
        states.insert(*id, lake.rows(&table, Some(*id)).await.expect("rows"));
    }
    follow(lake, &table, &states, (None, newest), tally).await;
    for _ in 0..RANGES {
        let to = rng.below(ids.len() as u64);
        let from = rng.below(to + 1);
        let range = (Some(ids[from as usize]), ids[to as usize]);
        follow(lake, &table, &states, range, tally).await;
    }
}

// Goal: the changes of any range, applied to the rows at its beginning, give those of each of its snapshots, whatever deleted them:
// delete files of positions and of values, deletion vectors, files written anew; and what compactions re-arrange is no change.
// Method: random histories with and without partitions in formats 2 and 3, restored rows and upserts among them, against a plain read
// of each snapshot.
#[tokio::test]
async fn changes_are_what_snapshots_differ_in() {
    let mut tally = Tally::default();
    for seed in 0..4 {
        for version in ["2", "3"] {
            let rng = Arc::new(SeededRng::new(seed));
            let store = FileStore::new(StoreOptions::default(), SystemClock::shared(), rng);
            let lake = match seed % 2 {
                0 => Lake::new(store, "memory://lake", version).await,
                _ => Lake::unpartitioned(store, "memory://lake", version).await,
            };
            judge(&lake, seed + 17, &mut tally).await;
        }
    }
    println!("{tally:?}");
    let Tally {
        by_value,
        upserts,
        restores,
        rows_deleted,
        rows_restored,
        rows_deleted_as_they_came,
    } = tally;
    let counts = [by_value, upserts, restores];
    let rows = [rows_deleted, rows_restored, rows_deleted_as_they_came];
    assert!(counts.iter().all(|count| *count > 0) && rows.iter().all(|count| *count > 0));
}
