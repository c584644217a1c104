use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use tidewater_core::{Coded, ErrorKind};
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Struct, Type};

use crate::testing::Lake;

const TABLE: &str = "silver.old";

const STATEMENTS: [&str; 3] = [
    "SELECT note FROM silver.old ORDER BY id",
    "SELECT id FROM silver.old WHERE note >= 'a' ORDER BY id",
    "SELECT max(upper(note)) FROM silver.old",
];

/// A table of texts whose only file has these bytes, and does not say that they are texts.
async fn lake(notes: &[&[u8]]) -> Lake {
    let lake = Lake::new();
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "note", Type::Primitive(PrimitiveType::String)).into(),
    ];
    let schema = Schema::builder().with_fields(fields).build().expect("a schema");
    lake.create(TABLE, schema, None).await;
    let ids = Int64Array::from_iter_values((0..).take(notes.len()));
    let notes = BinaryArray::from_iter_values(notes);
    let columns = [("id", Arc::new(ids) as ArrayRef), ("note", Arc::new(notes) as ArrayRef)];
    let rows = RecordBatch::try_from_iter(columns).expect("rows");
    lake.leave(TABLE, "old", Struct::empty(), &rows, None).await;
    lake
}

// Goal: bytes of a file that does not say that they are texts are texts where they can be, and an error where they are no UTF-8, never rows,
// in process and after a journey. Method: the same statements over two files of another writer.
#[tokio::test]
async fn bytes_without_the_annotation_are_looked_at() {
    let good = lake(&[b"caf\xc3\xa9", b"abc"]).await;
    let expected = [vec!["abc", "caf\u{e9}"], vec!["0", "1"], vec!["CAF\u{c9}"]];
    let bad = lake(&[b"caf\xe9", b"abc"]).await;
    for (sql, expected) in STATEMENTS.into_iter().zip(expected) {
        assert_eq!(good.lines(sql).await, expected, "{sql}");
        assert_eq!(good.travelled(sql).await.expect("rows"), expected, "{sql}");
        for answer in [bad.answered(sql).await, bad.travelled(sql).await] {
            let error = answer.expect_err("no text");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{sql}: {error:?}");
        }
    }
}
