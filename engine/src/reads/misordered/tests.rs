use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, Int64Array, RecordBatch};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{LogicalType, Type as Physical};
use datafusion::parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
};
use datafusion::parquet::file::page_index::column_index::ColumnIndexMetaData;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::file::statistics::Statistics;
use datafusion::parquet::schema::types::{
    ColumnDescriptor, ColumnPath, PrimitiveTypeBuilder, SchemaDescriptor, Type as Column, TypePtr,
};
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Struct, Type};

use super::{is_misordered, without_misordered};
use crate::testing::Lake;

const TABLE: &str = "silver.old";

/// In bytes of one length. As bytes without a sign, those of the first row group lie between 1 and -1.
const FIXED: [i64; 8] = [1, -1, 2, -2, 10, 11, 12, 13];

/// In as few bytes as each needs. By their first bytes, those of the first row group lie between 1 and 2.
const SHORT: [i64; 8] = [1, 2, 256, 300, 5, 6, 7, 8];

const DIGITS: i32 = 20;

/// Bytes that so many digits need.
const DIGITS_BYTES: i32 = 9;

/// The length of the footer and the word behind it.
const END_BYTES: usize = 8;

fn nine_bytes(number: i64) -> [u8; DIGITS_BYTES as usize] {
    let sign = if number < 0 { u8::MAX } else { 0 };
    let mut bytes = [sign; DIGITS_BYTES as usize];
    bytes[1..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn few_bytes(number: i64) -> Vec<u8> {
    let zeros = number.to_be_bytes().iter().take_while(|byte| **byte == 0).count();
    number.to_be_bytes()[zeros..].to_vec()
}

/// Numbers written as bytes, which have the bounds of bytes.
fn written() -> Vec<u8> {
    let ids = Int64Array::from_iter_values((0..).take(FIXED.len()));
    let fixed = FixedSizeBinaryArray::try_from_iter(FIXED.into_iter().map(nine_bytes)).expect("bytes");
    let short = BinaryArray::from_iter_values(SHORT.into_iter().map(few_bytes));
    let columns = [
        ("id", Arc::new(ids) as ArrayRef),
        ("v", Arc::new(fixed) as ArrayRef),
        ("w", Arc::new(short) as ArrayRef),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("rows");
    let in_fours = WriterProperties::builder().set_max_row_group_row_count(Some(4)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(in_fours)).expect("a writer");
    writer.write(&rows).expect("rows");
    writer.into_inner().expect("a file")
}

fn told(file: &[u8], indexes: PageIndexPolicy) -> ParquetMetaData {
    let file = Bytes::copy_from_slice(file);
    let reader = ParquetMetaDataReader::new().with_page_index_policy(indexes);
    reader.parse_and_finish(&file).expect("a footer")
}

fn decimal(name: &str, physical: Physical) -> PrimitiveTypeBuilder<'_> {
    Column::primitive_type_builder(name, physical)
        .with_logical_type(Some(LogicalType::decimal(0, DIGITS)))
        .with_precision(DIGITS)
        .with_scale(0)
        .with_length(if physical == Physical::FIXED_LEN_BYTE_ARRAY {
            DIGITS_BYTES
        } else {
            -1
        })
}

/// The file with a footer that says of the bytes that they are decimals.
fn of_decimals(mut file: Vec<u8>) -> Vec<u8> {
    let metadata = told(&file, PageIndexPolicy::Skip);
    let about = metadata.file_metadata();
    let fields = about.schema().get_fields().iter().map(|field| {
        if field.name() == "id" {
            return Arc::clone(field);
        }
        let said = decimal(field.name(), field.get_physical_type());
        let repetition = field.get_basic_info().repetition();
        TypePtr::new(said.with_repetition(repetition).build().expect("a decimal"))
    });
    let root = Column::group_type_builder(about.schema().name()).with_fields(fields.collect());
    let columns = SchemaDescriptor::new(Arc::new(root.build().expect("a schema")));
    let said = FileMetaData::new(about.version(), about.num_rows(), None, None, Arc::new(columns), None);
    let said = ParquetMetaData::new(said, metadata.row_groups().to_vec());
    let end = file.len() - END_BYTES;
    let length = file[end..end + 4].try_into().map(u32::from_le_bytes).expect("a length");
    file.truncate(end - length as usize);
    ParquetMetaDataWriter::new(&mut file, &said).finish().expect("a footer");
    file
}

/// Whether the column of each row group has bounds, and its pages have.
fn bounded(metadata: &ParquetMetaData, column: usize) -> Vec<(bool, bool)> {
    let indexes = metadata.column_index().expect("indexes");
    let groups = metadata.row_groups().iter().zip(indexes);
    groups
        .map(|(group, indexes)| {
            let of_pages = !matches!(indexes[column], ColumnIndexMetaData::NONE);
            (group.column(column).statistics().is_some(), of_pages)
        })
        .collect()
}

// Goal: rows are found whose decimals lie beyond the bounds that a file tells. Method: a file of bytes with the bounds of bytes whose footer
// says that they are decimals, asked for numbers on either side, in process and after a journey.
#[tokio::test]
async fn decimals_beyond_their_bounds_are_found() {
    let lake = Lake::new();
    let number = Type::Primitive(PrimitiveType::Decimal {
        precision: 20,
        scale: 0,
    });
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "v", number.clone()).into(),
        NestedField::optional(3, "w", number).into(),
    ];
    let schema = Schema::builder().with_fields(fields).build().expect("a schema");
    lake.create(TABLE, schema, None).await;
    let file = of_decimals(written());
    lake.leave_file(TABLE, "old", Struct::empty(), file, FIXED.len()).await;
    for (condition, expected) in [
        ("v = 2", vec!["2"]),
        ("v = 1", vec!["0"]),
        ("v < 0", vec!["1", "3"]),
        ("v BETWEEN 2 AND 11", vec!["2", "4", "5"]),
        ("w = 300", vec!["3"]),
        ("w > 7", vec!["2", "3", "7"]),
    ] {
        let sql = format!("SELECT id FROM silver.old WHERE {condition}");
        assert_eq!(lake.lines(&sql).await, expected, "{sql}");
        assert_eq!(lake.travelled(&sql).await.expect("rows"), expected, "{sql}");
    }
}

// Goal: bounds are kept where they can be right, of chunks and of pages. Method: the footers of the file of bytes and of that of decimals.
#[test]
fn other_bounds_are_kept() {
    let file = written();
    let kept = without_misordered(told(&file, PageIndexPolicy::Required)).expect("a footer");
    for column in 0..3 {
        assert_eq!(bounded(&kept, column), [(true, true), (true, true)], "{column}");
    }
    let kept = without_misordered(told(&of_decimals(file), PageIndexPolicy::Required)).expect("a footer");
    assert_eq!(bounded(&kept, 0), [(true, true), (true, true)]);
    assert_eq!(bounded(&kept, 1), [(false, false), (true, true)]);
    assert_eq!(bounded(&kept, 2), [(false, false), (false, false)]);
}

fn chunk(of: PrimitiveTypeBuilder<'_>, told: Statistics) -> ColumnChunkMetaData {
    let of = Arc::new(of.build().expect("a column"));
    let column = ColumnDescriptor::new(of, 1, 0, ColumnPath::from("v"));
    let chunk = ColumnChunkMetaData::builder(Arc::new(column));
    chunk.set_statistics(told).build().expect("a chunk")
}

// Goal: of each type bounds in the wrong order are known, and none in the right one. Method: both orders of the same two values, and bounds
// in the fields of old.
#[test]
fn each_type_has_its_order() {
    let plain = |physical| Column::primitive_type_builder("v", physical);
    let unsigned = || plain(Physical::INT32).with_logical_type(Some(LogicalType::integer(32, false)));
    let text = || plain(Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::String));
    let fixed = || decimal("v", Physical::FIXED_LEN_BYTE_ARRAY);
    let nine = |number| Some(nine_bytes(number).to_vec().into());
    let bytes = |text: &str| Some(text.into());
    for (number, (of, told, wrong)) in [
        (
            plain(Physical::INT64),
            Statistics::int64(Some(-1), Some(1), None, None, false),
            false,
        ),
        (
            plain(Physical::INT64),
            Statistics::int64(Some(1), Some(-1), None, None, false),
            true,
        ),
        (
            plain(Physical::INT64),
            Statistics::int64(Some(-1), Some(1), None, None, true),
            false,
        ),
        (
            unsigned(),
            Statistics::int32(Some(1), Some(-1), None, None, false),
            false,
        ),
        (
            unsigned(),
            Statistics::int32(Some(-1), Some(1), None, None, false),
            true,
        ),
        (
            plain(Physical::DOUBLE),
            Statistics::double(Some(-1.0), Some(1.0), None, None, false),
            false,
        ),
        (
            plain(Physical::DOUBLE),
            Statistics::double(Some(1.0), Some(-1.0), None, None, false),
            true,
        ),
        (
            plain(Physical::DOUBLE),
            Statistics::double(Some(f64::NAN), Some(1.0), None, None, false),
            true,
        ),
        (
            text(),
            Statistics::byte_array(bytes("a"), bytes("\u{e9}"), None, None, false),
            false,
        ),
        (
            text(),
            Statistics::byte_array(bytes("\u{e9}"), bytes("a"), None, None, false),
            true,
        ),
        (
            text(),
            Statistics::byte_array(bytes("a"), bytes("b"), None, None, true),
            true,
        ),
        (text(), Statistics::byte_array(None, None, None, Some(4), true), false),
        (
            fixed(),
            Statistics::fixed_len_byte_array(nine(-1), nine(1), None, None, false),
            false,
        ),
        (
            fixed(),
            Statistics::fixed_len_byte_array(nine(1), nine(-1), None, None, false),
            true,
        ),
        (
            fixed(),
            Statistics::fixed_len_byte_array(nine(1), Some(vec![2_u8].into()), None, None, false),
            true,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let chunk = chunk(of, told);
        assert_eq!(is_misordered(&chunk), wrong, "{number}: {:?}", chunk.statistics());
    }
}
