use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::metadata::{
    ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::file::statistics::Statistics;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Struct, Type};

use super::without_uncounted;
use crate::testing::Lake;

const TABLE: &str = "silver.old";

/// Of the three row groups the second has a null, and the third a value that is not above zero.
const VALUES: [Option<i64>; 12] = [
    Some(10),
    Some(11),
    Some(12),
    Some(13),
    Some(1),
    None,
    Some(2),
    Some(3),
    Some(-1),
    Some(5),
    Some(6),
    Some(7),
];

/// The length of the footer and the word behind it.
const END_BYTES: usize = 8;

fn written() -> Vec<u8> {
    let ids = Int64Array::from_iter_values((0..).take(VALUES.len()));
    let values = Int64Array::from_iter(VALUES);
    let columns = [("id", Arc::new(ids) as ArrayRef), ("v", Arc::new(values) as ArrayRef)];
    let rows = RecordBatch::try_from_iter(columns).expect("rows");
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(in_fours())).expect("a writer");
    writer.write(&rows).expect("rows");
    writer.into_inner().expect("a file")
}

fn in_fours() -> WriterProperties {
    WriterProperties::builder().set_max_row_group_row_count(Some(4)).build()
}

fn told(file: &[u8]) -> ParquetMetaData {
    let file = Bytes::copy_from_slice(file);
    ParquetMetaDataReader::new().parse_and_finish(&file).expect("a footer")
}

/// The footer of one who counts no nulls.
fn forgotten(metadata: ParquetMetaData) -> ParquetMetaData {
    let mut whole = metadata.into_builder();
    let mut groups = whole.take_row_groups();
    for chunk in groups.iter_mut().flat_map(RowGroupMetaData::columns_mut) {
        let Some(Statistics::Int64(known)) = chunk.statistics() else {
            continue;
        };
        let (least, greatest) = (known.min_opt().copied(), known.max_opt().copied());
        let said = Statistics::int64(least, greatest, None, None, false);
        *chunk = chunk
            .clone()
            .into_builder()
            .set_statistics(said)
            .build()
            .expect("a chunk");
    }
    whole.set_row_groups(groups).build()
}

/// The file with that footer.
fn uncounted(mut file: Vec<u8>) -> Vec<u8> {
    let metadata = forgotten(told(&file));
    let end = file.len() - END_BYTES;
    let length = file[end..end + 4].try_into().map(u32::from_le_bytes).expect("a length");
    file.truncate(end - length as usize);
    ParquetMetaDataWriter::new(&mut file, &metadata)
        .finish()
        .expect("a footer");
    file
}

fn bounded(metadata: &ParquetMetaData, column: usize) -> usize {
    let groups = metadata.row_groups().iter();
    groups
        .filter(|group| group.column(column).statistics().is_some())
        .count()
}

// Goal: rows with null are found in files that count none. Method: a file with such a footer, asked for its nulls, for the first rows
// where nulls come first, and for as many rows as there are in groups that seem to hold nothing else.
#[tokio::test]
async fn nulls_that_nobody_counted_are_found() {
    let lake = Lake::new();
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "v", Type::Primitive(PrimitiveType::Long)).into(),
    ];
    let schema = Schema::builder().with_fields(fields).build().expect("a schema");
    lake.create(TABLE, schema, None).await;
    let file = uncounted(written());
    assert_eq!(bounded(&told(&file), 1), 3);
    lake.leave_file(TABLE, "old", Struct::empty(), file, VALUES.len()).await;
    for (sql, expected) in [
        ("SELECT id FROM silver.old WHERE v IS NULL", vec!["5"]),
        ("SELECT id FROM silver.old ORDER BY v DESC LIMIT 2", vec!["3", "5"]),
        (
            "SELECT count(*) FROM (SELECT id FROM silver.old WHERE v > 0 LIMIT 8) AS t",
            vec!["8"],
        ),
    ] {
        assert_eq!(lake.lines(sql).await, expected, "{sql}");
        assert_eq!(lake.travelled(sql).await.expect("rows"), expected, "{sql}");
    }
}

// Goal: bounds are kept where nulls are counted, or where there can be none. Method: the footers of both files.
#[test]
fn other_bounds_are_kept() {
    let file = written();
    let kept = without_uncounted(told(&file)).expect("a footer");
    assert_eq!((bounded(&kept, 0), bounded(&kept, 1)), (3, 3));
    let kept = without_uncounted(told(&uncounted(file))).expect("a footer");
    assert_eq!((bounded(&kept, 0), bounded(&kept, 1)), (3, 0));
}
