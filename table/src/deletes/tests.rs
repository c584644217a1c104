use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, Schema as ArrowSchema};
use iceberg::spec::{
    DEFAULT_SCHEMA_NAME_MAPPING, DataContentType, DataFileBuilder, DataFileFormat, Literal, NestedField, Operation,
    PrimitiveType, Schema, Struct, Transform, Type,
};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::{FileDeletes, RowMask, write_deletes};
use crate::change::Target;
use crate::sample::{self, Lake};
use crate::schema::{schema_commit, to_arrow};
use crate::{Added, Catalog, Change, Scan, ScanFile, TableError, overwrite_partitions};

/// Sets of columns to delete by: a key, one with nulls, two with nulls, one with NaN.
const KEYS: [&[i32]; 4] = [&[1], &[2], &[7, 10], &[3]];

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<i64>),
    /// Rows whose id leaves this rest, by position.
    Positions(i64, i64),
    /// Rows with the values of these ids in one of [`KEYS`].
    Equality(usize, Vec<i64>),
}

fn steps(with_equality: bool) -> impl Strategy<Value = Vec<Step>> {
    let ids = |most| proptest::collection::vec(0_i64..300, 1..most);
    let step = prop_oneof![
        3 => ids(200).prop_map(Step::Append),
        3 => (2_i64..7, 0_i64..7).prop_map(|(by, rest)| Step::Positions(by, rest % by)),
        if with_equality { 2 } else { 1 } => (0..KEYS.len(), ids(4)).prop_map(move |(key, ids)| match with_equality {
            true => Step::Equality(key, ids),
            false => Step::Append(ids),
        }),
    ];
    proptest::collection::vec(step, 1..9)
}

async fn masked(lake: &Lake) -> Vec<(ScanFile, RowMask)> {
    let table = lake.table().await;
    let scan = Scan::new(&lake.store, &table.metadata).with_deletes().plan();
    let mut found = Vec::new();
    for file in scan.await.expect("a plan") {
        let deletes = FileDeletes::of(&file, &table.metadata).expect("readable deletes");
        let mask = match deletes {
            Some(deletes) => {
                // As it travels to another process.
                let json = serde_json::to_string(&deletes).expect("JSON");
                let deletes: FileDeletes = serde_json::from_str(&json).expect("the same");
                deletes.mask(&lake.store).await.expect("a mask")
            }
            None => RowMask::default(),
        };
        found.push((file, mask));
    }
    found
}

/// Ids by position.
async fn ids(lake: &Lake, file: &ScanFile) -> Vec<i64> {
    let batches = lake.batches(&file.path).await;
    let ids = batches
        .iter()
        .flat_map(|batch| batch["id"].as_primitive::<Int64Type>().values().to_vec());
    ids.collect()
}

async fn rows(lake: &Lake) -> Vec<i64> {
    let mut rows = Vec::new();
    for (file, mask) in masked(lake).await {
        let ids = ids(lake, &file).await;
        let kept = mask.kept(file.record_count);
        let read: Vec<usize> = kept.into_iter().flatten().map(|position| position as usize).collect();
        assert_eq!(read.len() as u64, file.record_count - mask.deleted(file.record_count));
        assert!(read.iter().all(|position| !mask.is_deleted(*position as u64)));
        rows.extend(read.iter().map(|position| ids[*position]));
    }
    rows.sort_unstable();
    rows
}

async fn delete_positions(lake: &Lake, gone: impl Fn(i64) -> bool) -> crate::Result<()> {
    let table = lake.table().await;
    let Some(read_at) = table.metadata.current_snapshot_id() else {
        return Ok(());
    };
    let mut deletes = Vec::new();
    for (file, before) in masked(lake).await {
        let ids = ids(lake, &file).await;
        let mask: RowMask = (0_u64..)
            .zip(ids)
            .filter(|(_, id)| gone(*id))
            .map(|(at, _)| at)
            .collect();
        if mask.deleted(file.record_count) > 0 {
            deletes.push((file, mask.union(&before)));
        }
    }
    let added = write_deletes(&lake.store, &table.metadata, &deletes).await?;
    let touched: Vec<String> = deletes.iter().map(|(file, _)| file.path.clone()).collect();
    lake.commit(&Change::row_delta(read_at, touched, added))
        .await
        .map(|_| ())
}

async fn delete_equal(lake: &Lake, columns: &[i32], ids: &[i64], partition: Struct) {
    let table = lake.table().await;
    let whole = Arc::new(to_arrow(&sample::schema()).expect("a schema"));
    let batch = sample::batch(&whole, ids, 0);
    let indexes: Vec<usize> = columns.iter().map(|id| *id as usize - 1).collect();
    let batch = batch.project(&indexes).expect("columns");
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    let bytes = writer.into_inner().expect("a file");
    let path = format!("{}/data/{}.parquet", table.metadata.location(), lake.store.rng().uuid());
    let file = DataFileBuilder::default()
        .content(DataContentType::EqualityDeletes)
        .file_path(path.clone())
        .file_format(DataFileFormat::Parquet)
        .partition(partition)
        .partition_spec_id(0)
        .record_count(batch.num_rows() as u64)
        .file_size_in_bytes(bytes.len() as u64)
        .equality_ids(Some(columns.to_vec()))
        .build()
        .expect("a file");
    lake.store.put_new(&path, bytes.into()).await.expect("a file");
    let change = Change {
        operation: Operation::Delete,
        ..Change::append(vec![Added::new(file, 0)])
    };
    lake.commit(&change).await.expect("a commit");
}

/// What columns hold, so that null is equal to null and NaN to NaN.
fn key(id: i64, columns: &[i32]) -> String {
    let values = columns
        .iter()
        .map(|column| format!("{:?}", sample::value(id, *column, 0)));
    values.collect::<Vec<_>>().join("|")
}

async fn check(steps: Vec<Step>, spec: &[(i32, &str, Transform)], version: &str) {
    let lake = Lake::new(spec, &[("format-version", version)]).await;
    let mut wanted: Vec<i64> = Vec::new();
    for step in steps {
        match step {
            Step::Append(ids) => {
                lake.append(ids.clone()).await;
                wanted.extend(ids);
            }
            Step::Positions(by, rest) => {
                delete_positions(&lake, |id| id % by == rest).await.expect("a commit");
                wanted.retain(|id| id % by != rest);
            }
            Step::Equality(which, ids) => {
                let columns = KEYS[which];
                delete_equal(&lake, columns, &ids, Struct::empty()).await;
                let gone: Vec<String> = ids.iter().map(|id| key(*id, columns)).collect();
                wanted.retain(|id| !gone.contains(&key(*id, columns)));
            }
        }
        wanted.sort_unstable();
        assert_eq!(rows(&lake).await, wanted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    // Goal: the rows of a table with deletes are those a naive list holds. Method: random histories of appends, position
    // deletes (vectors in format 3) and equality deletes, compared after each step.
    #[test]
    fn deletes_hide_their_rows(steps in steps(true), version in prop_oneof![Just("2"), Just("3")]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(check(steps, &[], version));
    }

    // Goal: the same in a partitioned table. Method: as above, with buckets, without equality deletes.
    #[test]
    fn deletes_keep_to_partitions(steps in steps(false), version in prop_oneof![Just("2"), Just("3")]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(check(steps, &[(1, "id_bucket", Transform::Bucket(4))], version));
    }
}

// Goal: deletes by the values of a column find rows of files that leave it to their partitions. Method: such files of a value, another
// and none beside one that has the column; each deleted by it, and by another column with it.
#[tokio::test]
async fn columns_of_the_partition_are_compared() {
    let lake = Lake::new(&[(7, "flag", Transform::Identity)], &[]).await;
    let of = |flag: Option<bool>| Struct::from_iter([flag.map(Literal::bool)]);
    lake.append_without("flag", &[2, 4, 6], of(Some(true))).await;
    lake.append_without("flag", &[1, 3, 5], of(Some(false))).await;
    lake.append_without("flag", &[19, 38, 57], of(None)).await;
    lake.append([8, 10, 12]).await;
    assert_eq!(rows(&lake).await, [1, 2, 3, 4, 5, 6, 8, 10, 12, 19, 38, 57]);
    delete_equal(&lake, &[1, 7], &[3, 5], of(Some(false))).await;
    assert_eq!(rows(&lake).await, [1, 2, 4, 6, 8, 10, 12, 19, 38, 57]);
    delete_equal(&lake, &[7], &[1000], of(Some(true))).await;
    assert_eq!(rows(&lake).await, [1, 19, 38, 57]);
    delete_equal(&lake, &[7], &[0], of(None)).await;
    assert_eq!(rows(&lake).await, [1]);
}

// Goal: deletes by values find rows of files without field ids by the names that the table maps, whatever its columns are called now.
// Method: a file of plain columns under other names, beside one of the table's own; deletes by one column, by two, and by one
// that is mapped to no name of the file.
#[tokio::test]
async fn mapped_names_are_compared() {
    let mapping = r#"[{"field-id": 1, "names": ["key"]}, {"field-id": 2, "names": ["name", "title"]}, {"field-id": 9, "names": []}]"#;
    let lake = Lake::new(&[], &[(DEFAULT_SCHEMA_NAME_MAPPING, mapping)]).await;
    lake.append([10, 20, 30]).await;
    let whole = Arc::new(to_arrow(&sample::schema()).expect("a schema"));
    let rows_of = |ids: &[i64]| {
        let batch = sample::batch(&whole, ids, 0).project(&[0, 1, 8]).expect("columns");
        let named = ["key", "title", "version"].iter().zip(batch.schema_ref().fields());
        let named = named.map(|(name, field)| {
            let field = field.as_ref().clone().with_name(*name);
            field.with_metadata(Default::default())
        });
        let plain = Arc::new(ArrowSchema::new(named.collect::<Vec<_>>()));
        RecordBatch::try_new(plain, batch.columns().to_vec()).expect("rows")
    };
    let batch = rows_of(&[1, 2, 3, 4]);
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    let bytes = writer.into_inner().expect("a file");
    let path = format!("{}/data/migrated.parquet", lake.table().await.metadata.location());
    let file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_format(DataFileFormat::Parquet)
        .file_path(path.clone())
        .file_size_in_bytes(bytes.len() as u64)
        .record_count(4)
        .partition(Struct::empty())
        .partition_spec_id(0)
        .build()
        .expect("a file");
    lake.store.put_new(&path, bytes.into()).await.expect("a file");
    lake.commit(&Change::append(vec![Added::new(file, 0)]))
        .await
        .expect("a commit");
    let gone = async || {
        let mut gone = 0;
        for (file, mask) in masked(&lake).await {
            if file.path == path {
                gone = mask.deleted(file.record_count);
            }
        }
        gone
    };
    delete_equal(&lake, &[1], &[2, 20], Struct::empty()).await;
    assert_eq!(gone().await, 1, "by its id");
    delete_equal(&lake, &[1, 2], &[3, 30], Struct::empty()).await;
    assert_eq!(gone().await, 2, "by id and name");
    // The column `version` is mapped to none: its values are not the table's.
    delete_equal(&lake, &[9], &[1], Struct::empty()).await;
    assert_eq!(gone().await, 2, "by a column that the file lacks");
}

// Goal: a partition stays the same one when its column is widened: deletes find its older files, and those are listed beside newer ones.
// Method: a file of an int, the column made long, a delete in the partition of the long, a file more, and the partition overwritten.
#[tokio::test]
async fn widened_partitions_stay_the_same() {
    let lake = Lake::new(&[(9, "version", Transform::Identity)], &[]).await;
    let five = || Struct::from_iter([Some(Literal::long(5_i64))]);
    lake.append_without("version", &[1, 2, 3], Struct::from_iter([Some(Literal::int(5_i32))]))
        .await;
    let before = lake.table().await;
    let fields = before.metadata.current_schema().as_struct().fields().iter();
    let fields = fields.map(|field| match field.id {
        9 => Arc::new(NestedField::optional(
            9,
            "version",
            Type::Primitive(PrimitiveType::Long),
        )),
        _ => field.clone(),
    });
    let wider = Schema::builder().with_fields(fields).build().expect("a schema");
    let commit = schema_commit(&lake.name, &before.metadata, wider);
    lake.catalog.commit(vec![commit]).await.expect("a schema change");
    delete_equal(&lake, &[1], &[2], five()).await;
    assert_eq!(rows(&lake).await, [1, 3]);
    lake.append_without("version", &[4], five()).await;
    assert_eq!(rows(&lake).await, [1, 3, 4]);
    let table = lake.table().await.metadata;
    let added = vec![lake.without("version", &[6], five()).await];
    let change = overwrite_partitions(&lake.store, &table, &Target::Main, added).await;
    lake.commit(&change.expect("a change")).await.expect("a commit");
    assert_eq!(rows(&lake).await, [6]);
}

// Goal: of two row deltas computed from one state the second is refused, and so is one on a file that was replaced meanwhile.
// Method: both are prepared first, then committed one after the other.
#[tokio::test]
async fn deltas_of_one_file_conflict() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[], &[("format-version", version)]).await;
        lake.append(0..50).await;
        let table = lake.table().await;
        let read_at = table.metadata.current_snapshot_id().expect("a snapshot");
        let file = masked(&lake).await.remove(0).0;
        let delta = async |gone: u64| {
            let deletes = [(file.clone(), RowMask::from_iter([gone]))];
            let added = write_deletes(&lake.store, &table.metadata, &deletes)
                .await
                .expect("files");
            Change::row_delta(read_at, [file.path.clone()], added)
        };
        let (first, second, third) = (delta(1).await, delta(2).await, delta(3).await);
        lake.commit(&first).await.expect("nobody else");
        let refused = lake.commit(&second).await.expect_err("the same file");
        assert!(matches!(refused, TableError::Conflict { .. }), "{refused:?}");
        assert_eq!(rows(&lake).await.len(), 49);
        let now = lake.table().await.metadata.current_snapshot_id();
        let compacted = Change::replace([file.path.clone()], lake.files(&[0], 0).await).read_at(now);
        lake.commit(&compacted).await.expect("nobody else");
        let refused = lake.commit(&third).await.expect_err("the file is gone");
        assert!(matches!(refused, TableError::Conflict { .. }), "{refused:?}");
        assert_eq!(rows(&lake).await, [0], "the deletes went with the file");
        assert_eq!(lake.summary().await["total-delete-files"], "0");
    }
}

// Goal: rows are deleted of files that are in the table, whatever its history tells of others. Method: a delta of a file that left before the
// state from which it says it was computed.
#[tokio::test]
async fn deltas_are_of_files_that_are_there() {
    for version in ["2", "3"] {
        let lake = Lake::new(&[], &[("format-version", version)]).await;
        lake.append(0..5).await;
        let file = masked(&lake).await.remove(0).0;
        lake.append(5..8).await;
        let gone = Change::delete([file.path.clone()]);
        lake.commit(&gone).await.expect("it is there");
        let table = lake.table().await;
        let head = table.metadata.current_snapshot_id().expect("a snapshot");
        let deletes = [(file.clone(), RowMask::from_iter([1]))];
        let added = write_deletes(&lake.store, &table.metadata, &deletes)
            .await
            .expect("files");
        let delta = Change::row_delta(head, [file.path], added);
        let refused = lake.commit(&delta).await.expect_err("the file is gone");
        assert!(matches!(refused, TableError::Conflict { .. }), "{refused:?}");
        assert_eq!(rows(&lake).await, [5, 6, 7]);
    }
}
