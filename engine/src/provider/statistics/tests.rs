use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch};
use datafusion::parquet::arrow::ArrowWriter;
use tidewater_table::Added;
use tidewater_table::iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, Datum, NestedField, PrimitiveType, Schema, Struct, Type,
};

use crate::statement::tests::{done, rows};
use crate::testing::{Counting, Lake};

const TABLE: &str = "silver.readings";

// Goal: the least and the greatest floating-point number is told without a read where it is sure, and read where it is not: beside NaN, and
// where it is zero, whose sign bounds do not tell. Method: whether the plan scans, and the answers, over files with and without each.
#[tokio::test]
async fn floats_are_told_where_they_are_sure() {
    let lake = Lake::new();
    let of = |id, name: &str, kind| Arc::new(NestedField::optional(id, name, Type::Primitive(kind)));
    let fields = [
        of(1, "id", PrimitiveType::Long),
        of(2, "plain", PrimitiveType::Double),
        of(3, "small", PrimitiveType::Float),
        of(4, "zero", PrimitiveType::Double),
        of(5, "endless", PrimitiveType::Double),
        of(6, "broken", PrimitiveType::Double),
    ];
    let schema = Schema::builder().with_fields(fields).build().expect("a schema");
    let arrow = Arc::new(tidewater_table::schema::to_arrow(&schema).expect("a schema"));
    lake.create(TABLE, schema, None).await;
    for (ids, plain, small, zero, endless, broken) in [
        (
            [1, 2],
            [Some(1.5), Some(2.5)],
            [0.25_f32, 0.5],
            [0.0, 4.0],
            [1.0, f64::INFINITY],
            7.0,
        ),
        (
            [3, 4],
            [Some(-3.25), None],
            [-8.5, 0.0],
            [3.0, 2.0],
            [2.0, 3.0],
            f64::NAN,
        ),
        // Of nulls only there is nothing to tell.
        ([5, 6], [None, None], [0.125, 0.0], [1.0, 1.0], [-1.0, -1.0], 9.0),
    ] {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ids.to_vec())),
            Arc::new(Float64Array::from(plain.to_vec())),
            Arc::new(Float32Array::from(small.to_vec())),
            Arc::new(Float64Array::from(zero.to_vec())),
            Arc::new(Float64Array::from(endless.to_vec())),
            Arc::new(Float64Array::from(vec![8.0, broken])),
        ];
        let rows = RecordBatch::try_new(Arc::clone(&arrow), columns).expect("rows");
        lake.append(TABLE, rows).await;
    }
    for (columns, reads, wanted) in [
        ("min(plain), max(plain), count(plain)", false, "-3.25,2.5,3"),
        ("min(small), max(small)", false, "-8.5,0.5"),
        ("max(zero)", false, "4.0"),
        ("min(zero)", true, "0.0"),
        ("min(endless), max(endless)", false, "-1.0,inf"),
        ("min(broken), max(broken)", true, "7.0,NaN"),
        ("min(plain) FILTER (WHERE id < 3)", true, "1.5"),
    ] {
        let sql = format!("SELECT {columns} FROM {TABLE}");
        let plan = lake.lines(&format!("EXPLAIN {sql}")).await.join("\n");
        assert_eq!(plan.contains("DataSourceExec"), reads, "{plan}");
        assert_eq!(lake.lines(&sql).await, [wanted], "{sql}");
    }
}

// Goal: how many rows and values there are, and the least and greatest whole numbers and days, are told without opening a data file.
// Method: a store that notes which are opened, over columns with and without nulls; and a sum, for which it has to note all of them.
#[tokio::test]
async fn counts_and_bounds_open_no_file() {
    let store = Arc::new(Counting::default());
    let mut lake = Lake::over(store.clone(), "memory://lake");
    done(&lake, "CREATE SCHEMA s").await;
    done(&lake, "CREATE TABLE s.t (id bigint, n int, day date)").await;
    for values in [
        "(1, 5, DATE '2024-02-29'), (2, -3, DATE '2023-12-31')",
        "(3, NULL, DATE '2024-01-01'), (4, 1, NULL)",
        "(-5, 9, DATE '2024-03-01'), (6, 0, NULL)",
    ] {
        rows(&lake, &format!("INSERT INTO s.t VALUES {values}")).await;
    }
    lake.forget();
    store.opened();
    for (columns, wanted) in [
        ("count(*)", "6"),
        ("count(n), count(day)", "5,4"),
        ("min(id), max(id)", "-5,6"),
        ("min(n), max(n)", "-3,9"),
        ("min(day), max(day)", "2023-12-31,2024-03-01"),
        ("count(*), max(id), min(n), max(day)", "6,6,-3,2024-03-01"),
    ] {
        assert_eq!(
            lake.lines(&format!("SELECT {columns} FROM s.t")).await,
            [wanted],
            "{columns}"
        );
        assert_eq!(store.opened(), 0, "{columns}");
    }
    assert_eq!(lake.lines("SELECT sum(n) FROM s.t").await, ["12"]);
    assert_eq!(store.opened(), 3, "what is opened is noted");
}

// Goal: nulls and bounds that are told of a file without its values may be those of other files, and answer nothing. Method: a file that
// tells them of a commit whose other file is gone, as ClickHouse wrote them; the answers, and whether the plans scan.
#[tokio::test]
async fn what_is_of_other_files_too_is_read() {
    let lake = Lake::new();
    let of = |id, name: &str| Arc::new(NestedField::optional(id, name, Type::Primitive(PrimitiveType::Long)));
    let fields = [of(1, "id"), of(2, "n")];
    let schema = Schema::builder().with_fields(fields).build().expect("a schema");
    let arrow = Arc::new(tidewater_table::schema::to_arrow(&schema).expect("a schema"));
    lake.create(TABLE, schema, None).await;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2])),
        Arc::new(Int64Array::from(vec![None, Some(5)])),
    ];
    let rows = RecordBatch::try_new(arrow, columns).expect("rows");
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).expect("a writer");
    writer.write(&rows).expect("rows");
    let bytes = writer.into_inner().expect("a file");
    let path = "memory://lake/one_of_two.parquet".to_owned();
    let file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_format(DataFileFormat::Parquet)
        .file_path(path.clone())
        .file_size_in_bytes(bytes.len() as u64)
        .record_count(2)
        .partition(Struct::empty())
        .partition_spec_id(0)
        .null_value_counts([(1, 0), (2, 2)].into())
        .lower_bounds([(1, Datum::long(1)), (2, Datum::long(5))].into())
        .upper_bounds([(1, Datum::long(4)), (2, Datum::long(9))].into())
        .build()
        .expect("a description");
    lake.store.put_new(&path, bytes.into()).await.expect("a put");
    lake.commit(TABLE, vec![Added::new(file, 0)]).await;
    for (columns, reads, wanted) in [
        ("count(*)", false, "2"),
        ("min(id), max(id)", true, "1,2"),
        ("count(n), max(n)", true, "1,5"),
    ] {
        let sql = format!("SELECT {columns} FROM {TABLE}");
        let plan = lake.lines(&format!("EXPLAIN {sql}")).await.join("\n");
        assert_eq!(plan.contains("DataSourceExec"), reads, "{plan}");
        assert_eq!(lake.lines(&sql).await, [wanted], "{sql}");
    }
}
