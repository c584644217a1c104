use std::collections::{BTreeMap, HashMap};

use arrow::array::{
    Array, ArrayRef, Decimal128Array, Float64Array, Int32Array, Int64Array, LargeStringArray, StringViewArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use iceberg::spec::{DataFile, Datum, PrimitiveType, Transform};
use parquet::basic::LogicalType;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;
use crate::sample::{self, Lake};
use crate::transform::transform_value;

const COLUMNS: [i32; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15];

async fn ids_of(lake: &Lake, file: &DataFile) -> Vec<i64> {
    let mut ids = Vec::new();
    for batch in lake.batches(file.file_path()).await {
        let column = batch.column_by_name("id").unwrap().clone();
        ids.extend(
            column
                .as_any()
                .downcast_ref::<Int64Array>()
                .unwrap()
                .values()
                .iter()
                .copied(),
        );
    }
    ids
}

fn check_column(file: &DataFile, ids: &[i64], field_id: i32) {
    let values: Vec<Option<Datum>> = ids.iter().map(|i| sample::value(*i, field_id, 0)).collect();
    let nulls = values.iter().filter(|v| v.is_none()).count() as u64;
    assert_eq!(file.null_value_counts()[&field_id], nulls, "nulls of {field_id}");
    assert_eq!(file.value_counts()[&field_id], ids.len() as u64, "values of {field_id}");
    let nans = values.iter().flatten().filter(|v| v.is_nan()).count() as u64;
    if field_id == 3 {
        assert_eq!(file.nan_value_counts()[&field_id], nans);
    }
    let known: Vec<&Datum> = values.iter().flatten().filter(|v| !v.is_nan()).collect();
    let (lower, upper) = (file.lower_bounds().get(&field_id), file.upper_bounds().get(&field_id));
    for value in &known {
        assert!(
            lower.is_none_or(|lower| lower <= *value),
            "{lower:?} is above {value:?}"
        );
        assert!(
            upper.is_none_or(|upper| upper >= *value),
            "{upper:?} is below {value:?}"
        );
    }
    let exact = !matches!(field_id, 2 | 8);
    if exact && !known.is_empty() {
        let lowest = known.iter().copied().reduce(|a, b| if b < a { b } else { a });
        let highest = known.iter().copied().reduce(|a, b| if b > a { b } else { a });
        assert_eq!((lower, upper), (lowest, highest), "bounds of {field_id}");
    }
}

// Goal: metrics say what is in the file, in every type. Method: computed again from the rows that were written.
#[tokio::test]
async fn metrics_are_those_of_the_rows() {
    let lake = Lake::new(&[], &[]).await;
    for ids in [0..300, 5..6, -50..50, 3..4] {
        let ids: Vec<i64> = ids.collect();
        let added = lake.files(&ids, 0).await;
        let file = &added.first().unwrap().file;
        assert_eq!(file.record_count(), ids.len() as u64);
        assert_eq!(
            file.file_size_in_bytes(),
            lake.store.size(file.file_path()).await.unwrap()
        );
        assert_eq!(file.split_offsets().unwrap().len(), ids.len().div_ceil(64));
        for column in COLUMNS {
            check_column(file, &ids, column);
        }
        // Elements of lists and maps have sizes and nothing else.
        for inner in [16, 17, 18] {
            assert!(file.column_sizes().contains_key(&inner) && !file.value_counts().contains_key(&inner));
        }
    }
}

// Goal: upper bounds of long text are cut and raised, lower ones cut. Method: text beyond and at the length, by hand.
#[tokio::test]
async fn long_bounds_are_cut() {
    let lake = Lake::new(&[], &[]).await;
    let added = lake.files(&(0..200).collect::<Vec<_>>(), 0).await;
    let file = &added.first().unwrap().file;
    for (bounds, name) in [(file.lower_bounds(), "lower"), (file.upper_bounds(), "upper")] {
        let Some(bound) = bounds.get(&2) else {
            panic!("no {name} bound")
        };
        assert!(bound.to_bytes().unwrap().len() <= 16 * 4);
    }
    // The largest payload is twenty times 0xff or more: nothing of 16 bytes is above it.
    assert!(!file.upper_bounds().contains_key(&8));
    assert!(file.lower_bounds().contains_key(&8));
}

// Goal: each row lies in the file of its partition, and in one only. Method: the transforms of single values, row by row.
#[tokio::test]
async fn rows_are_split_by_partition() {
    let spec = [
        (7, "flag", Transform::Identity),
        (1, "id_bucket", Transform::Bucket(4)),
        (5, "ts_day", Transform::Day),
        (2, "name_part", Transform::Truncate(6)),
        (15, "zip_part", Transform::Truncate(100)),
    ];
    let lake = Lake::new(&spec, &[]).await;
    let ids: Vec<i64> = (-60..120).collect();
    let added = lake.files(&ids, 0).await;
    let mut seen: BTreeMap<i64, usize> = BTreeMap::new();
    let mut partitions = std::collections::HashSet::new();
    for file in added.iter().map(|a| &a.file) {
        assert!(
            partitions.insert(file.partition().clone()),
            "two files of one partition"
        );
        for id in ids_of(&lake, file).await {
            *seen.entry(id).or_default() += 1;
            let expected = spec.iter().map(|(source, _, transform)| {
                let value = sample::value(id, *source, 0)?;
                Some(iceberg::spec::Literal::from(
                    transform_value(*transform, &value).unwrap(),
                ))
            });
            assert_eq!(file.partition().clone(), expected.collect(), "row {id}");
        }
    }
    assert_eq!(seen, ids.iter().map(|id| (*id, 1)).collect());
}

// Goal: a description arrives in another process as it left. Method: JSON there and back, partitioned and not.
#[tokio::test]
async fn descriptions_travel_as_json() {
    let all = [
        (7, "flag", Transform::Identity),
        (4, "amount", Transform::Identity),
        (5, "ts_hour", Transform::Hour),
        (10, "uid", Transform::Identity),
        (8, "payload_part", Transform::Truncate(3)),
        (6, "day", Transform::Identity),
    ];
    for spec in [&all[..], &[]] {
        let lake = Lake::new(spec, &[]).await;
        let table = lake.table().await.metadata;
        for added in lake.files(&(0..40).collect::<Vec<_>>(), 0).await {
            let json = added.to_json(&table).unwrap();
            assert_eq!(Added::from_json(&json, &table).unwrap(), added);
        }
    }
    let lake = Lake::new(&[], &[]).await;
    assert!(Added::from_json("{\"spec_id\":0}", &lake.table().await.metadata).is_err());
}

// Goal: files end at their target size, and memory stays within its limit. Method: tiny limits, count files and rows.
#[tokio::test]
async fn files_roll() {
    for (target, memory) in [(4 << 10, u64::MAX), (u64::MAX, 64 << 10)] {
        let lake = Lake::new(&[(1, "b", Transform::Bucket(3))], &[]).await;
        let options = WriteOptions {
            target_file_size_bytes: target,
            buffered_bytes_max: memory,
            ..WriteOptions::default()
        };
        let table = lake.table().await.metadata;
        let mut writer = DataFileWriter::new(lake.store.clone(), &table, options).unwrap();
        let schema = writer.schema().clone();
        for start in (0..2000).step_by(100) {
            writer
                .write(sample::batch(&schema, &(start..start + 100).collect::<Vec<_>>(), 0))
                .await
                .unwrap();
        }
        let added = writer.close().await.unwrap();
        assert!(added.len() > 6, "{} files", added.len());
        assert_eq!(added.iter().map(|a| a.file.record_count()).sum::<u64>(), 2000);
    }
}

// Goal: files are closed early when somebody asks for it, the largest first, and no row is lost. Method: rows of three partitions, of one
// more than of the others; half of what they hold, then all of it, and more rows behind that.
#[tokio::test]
async fn files_are_closed_early() {
    let lake = Lake::new(&[(7, "flag", Transform::Identity)], &[]).await;
    let table = lake.table().await.metadata;
    let mut writer = DataFileWriter::new(lake.store.clone(), &table, WriteOptions::default()).unwrap();
    let schema = writer.schema().clone();
    assert_eq!(writer.held_bytes(), 0);
    let ids: Vec<i64> = (0..2000).collect();
    writer.write(sample::batch(&schema, &ids, 0)).await.unwrap();
    let held = writer.held_bytes();
    assert!(held > 0 && lake.stored().await.0.is_empty());
    writer.close_beyond(held).await.unwrap();
    assert_eq!(writer.held_bytes(), held, "nothing is beyond it");
    writer.close_beyond(held - 1).await.unwrap();
    assert_eq!(lake.stored().await.0.len(), 1, "the largest makes room enough");
    assert!((1..held).contains(&writer.held_bytes()));
    writer.close_beyond(0).await.unwrap();
    let closed = lake.stored().await.0.len();
    assert_eq!(writer.held_bytes(), 0);
    writer.write(sample::batch(&schema, &ids, 1)).await.unwrap();
    let added = writer.close().await.unwrap();
    assert_eq!(
        added.len(),
        2 * closed,
        "each partition has a file of before and one of after"
    );
    assert_eq!(added.iter().map(|a| a.file.record_count()).sum::<u64>(), 4000);
}

// Goal: an abandoned write leaves nothing behind. Method: list the table's files.
#[tokio::test]
async fn abort_removes_files() {
    let lake = Lake::new(&[], &[]).await;
    let options = WriteOptions {
        target_file_size_bytes: 1,
        ..WriteOptions::default()
    };
    let mut writer = DataFileWriter::new(lake.store.clone(), &lake.table().await.metadata, options).unwrap();
    let schema = writer.schema().clone();
    writer.write(sample::batch(&schema, &[1, 2], 0)).await.unwrap();
    assert_eq!(lake.stored().await.0.len(), 1);
    writer.abort().await.unwrap();
    assert!(lake.stored().await.0.is_empty());
}

async fn write_one(lake: &Lake, fields: Vec<Field>, columns: Vec<ArrayRef>) -> Result<Vec<Added>> {
    let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).unwrap();
    let table = lake.table().await.metadata;
    let mut writer = DataFileWriter::new(lake.store.clone(), &table, WriteOptions::default()).unwrap();
    writer.write(batch).await?;
    writer.close().await
}

// Goal: batches are matched by name and cast, missing columns are null, and nothing is lost silently. Method: odd batches.
#[tokio::test]
async fn batches_are_conformed() {
    let lake = Lake::new(&[], &[]).await;
    let id = || Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef;
    let views = Arc::new(StringViewArray::from(vec![Some("a"), None])) as ArrayRef;
    let fields = vec![
        Field::new("name", DataType::Utf8View, true),
        Field::new("id", DataType::Int32, true),
    ];
    let added = write_one(&lake, fields, vec![views, id()]).await.unwrap();
    let batches = lake.batches(added.first().unwrap().file.file_path()).await;
    assert_eq!(batches.first().unwrap().num_columns(), 13);
    assert_eq!(
        batches.first().unwrap().column_by_name("score").unwrap().null_count(),
        2
    );

    let numbers = Arc::new(LargeStringArray::from(vec!["1", "x"])) as ArrayRef;
    let unknown = write_one(
        &lake,
        vec![
            Field::new("id", DataType::Int32, true),
            Field::new("odd", DataType::Int32, true),
        ],
        vec![id(), id()],
    );
    let uncastable = write_one(&lake, vec![Field::new("id", DataType::LargeUtf8, true)], vec![numbers]);
    let missing = write_one(&lake, vec![Field::new("version", DataType::Int32, true)], vec![id()]);
    let twice = write_one(
        &lake,
        vec![
            Field::new("id", DataType::Int32, true),
            Field::new("id", DataType::Int32, true),
        ],
        vec![id(), id()],
    );
    let nulls = Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef;
    let null = write_one(&lake, vec![Field::new("id", DataType::Int32, true)], vec![nulls]);
    for (outcome, word) in [
        (unknown.await, "odd"),
        (uncastable.await, "id"),
        (missing.await, "required and missing"),
        (twice.await, "comes twice"),
        (null.await, "nulls"),
    ] {
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, TableError::Rows { .. }) && error.to_string().contains(word),
            "{error}"
        );
    }
}

// Goal: what is behind the point of a number is rounded where a column holds whole numbers, not cut off. Method: floating-point numbers and
// decimals on both sides of zero, with halves and a null; and what is no number.
#[tokio::test]
async fn fractions_are_rounded() {
    let lake = Lake::new(&[], &[]).await;
    let ids = || Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef;
    let write = |given: ArrayRef| {
        let fields = vec![
            Field::new("id", DataType::Int64, false),
            Field::new("version", given.data_type().clone(), true),
        ];
        write_one(&lake, fields, vec![ids(), given])
    };
    let floats = || Float64Array::from(vec![Some(2.5), Some(-1.9), None, Some(7.0)]);
    let decimals = Decimal128Array::from(vec![Some(25), Some(-19), None, Some(95)]);
    let decimals = decimals.with_precision_and_scale(2, 1).unwrap();
    let short = cast(&floats(), &DataType::Float32).unwrap();
    for (given, expected) in [
        (Arc::new(floats()) as ArrayRef, [Some(2), Some(-2), None, Some(7)]),
        (short, [Some(2), Some(-2), None, Some(7)]),
        (Arc::new(decimals) as ArrayRef, [Some(3), Some(-2), None, Some(10)]),
    ] {
        let kind = given.data_type().clone();
        let added = write(given).await.unwrap();
        let batches = lake.batches(added.first().unwrap().file.file_path()).await;
        let versions = batches.first().unwrap().column_by_name("version").unwrap().clone();
        let versions = versions.as_any().downcast_ref::<Int32Array>().unwrap();
        assert_eq!(versions.iter().collect::<Vec<_>>(), expected, "{kind}");
    }
    let nan = Arc::new(Float64Array::from(vec![f64::NAN; 4]));
    assert!(matches!(write(nan).await, Err(TableError::Rows { .. })));
}

// Goal: the Parquet schema carries field ids everywhere, and marks UUIDs. Method: read the footer.
#[tokio::test]
async fn parquet_schema_is_marked() {
    let lake = Lake::new(&[], &[]).await;
    let added = lake.files(&[1, 2, 3], 0).await;
    let bytes = lake.store.get(added.first().unwrap().file.file_path()).await.unwrap();
    let reader = SerializedFileReader::new(bytes).unwrap();
    let footer = reader.metadata();
    let ids: HashMap<String, i32> = footer
        .file_metadata()
        .schema_descr()
        .columns()
        .iter()
        .map(|c| (c.path().string(), c.self_type().get_basic_info().id()))
        .collect();
    assert_eq!(ids["attrs.key_value.key"], 17);
    assert_eq!(ids["tags.list.element"], 16);
    assert_eq!(ids["address.city"], 14);
    let uid = footer
        .file_metadata()
        .schema_descr()
        .columns()
        .iter()
        .find(|c| c.name() == "uid")
        .unwrap()
        .clone();
    assert_eq!(uid.logical_type_ref(), Some(&LogicalType::Uuid));
    let uuid = iceberg::spec::Type::Primitive(PrimitiveType::Uuid);
    assert_eq!(
        *lake
            .table()
            .await
            .metadata
            .current_schema()
            .field_by_id(10)
            .unwrap()
            .field_type,
        uuid
    );
    assert!(
        footer.row_group(0).column(0).column_index_offset().is_some(),
        "page statistics are written"
    );
}

// Goal: table properties decide what is told of a column. Method: modes by default and by column, and a wide table.
#[tokio::test]
async fn properties_choose_metrics() {
    let properties = [
        ("write.metadata.metrics.default", "none"),
        ("write.metadata.metrics.column.id", "full"),
        ("write.metadata.metrics.column.address.city", "counts"),
        ("write.metadata.metrics.column.name", "truncate(3)"),
    ];
    let lake = Lake::new(&[], &properties).await;
    let added = lake.files(&(0..50).collect::<Vec<_>>(), 0).await;
    let file = &added.first().unwrap().file;
    let ids = |of: Vec<&i32>| of.into_iter().copied().collect::<std::collections::BTreeSet<i32>>();
    assert_eq!(ids(file.column_sizes().keys().collect()), [1, 2, 14].into());
    assert_eq!(ids(file.value_counts().keys().collect()), [1, 2, 14].into());
    assert_eq!(ids(file.lower_bounds().keys().collect()), [1, 2].into());
    assert_eq!(file.upper_bounds()[&2], Datum::string("n\u{e4}n"));
    assert!(file.nan_value_counts().is_empty());

    let lake = Lake::new(&[], &[("write.metadata.metrics.max-inferred-column-defaults", "4")]).await;
    let added = lake.files(&[1, 2], 0).await;
    assert_eq!(
        ids(added.first().unwrap().file.lower_bounds().keys().collect()),
        [1, 2, 3, 4].into()
    );
}

// Goal: a small file is spared what costs more than it saves, a large one is not. Method: codec and dictionary in the footer of
// a file of few rows and of one of many.
#[tokio::test]
async fn small_files_are_plain() {
    let lake = Lake::new(&[], &[]).await;
    let of = |rows: i64| {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        (vec![Field::new("id", DataType::Int64, false)], vec![ids])
    };
    for (rows, small) in [(10, true), (400_000, false)] {
        let (fields, columns) = of(rows);
        let added = write_one(&lake, fields, columns).await.unwrap();
        let bytes = lake.store.get(added[0].file.file_path()).await.unwrap();
        let reader = SerializedFileReader::new(bytes).unwrap();
        let column = reader.metadata().row_group(0).column(0);
        let plain = column.compression() == parquet::basic::Compression::SNAPPY;
        assert_eq!(
            (plain, column.dictionary_page_offset().is_none()),
            (small, small),
            "{rows} rows: {column:?}"
        );
    }
}
