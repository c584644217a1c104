use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch};
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};

use crate::testing::Lake;

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
