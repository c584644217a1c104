use arrow::datatypes::TimeUnit;
use arrow::util::display::array_value_to_string;
use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Struct};

use super::*;
use crate::sample::Lake;
use crate::schema::to_arrow;
use crate::{Added, Change, Scan};

// Goal: a partition's value is the column's in every type, also where the column was widened since. Method: each as text, beside the
// type of the array.
#[test]
fn values_are_of_the_columns_type() {
    let micros = 1_767_225_600_000_001;
    let utc = || Some("UTC".into());
    for (literal, of, wanted) in [
        (Literal::bool(true), DataType::Boolean, "true"),
        (Literal::int(-7), DataType::Int32, "-7"),
        (Literal::int(-7), DataType::Int64, "-7"),
        (Literal::long(1_i64 << 40), DataType::Int64, "1099511627776"),
        (Literal::float(0.5), DataType::Float32, "0.5"),
        (Literal::float(0.5), DataType::Float64, "0.5"),
        (Literal::double(-2.5), DataType::Float64, "-2.5"),
        (Literal::double(f64::NAN), DataType::Float64, "NaN"),
        (Literal::decimal(-1_234), DataType::Decimal128(9, 2), "-12.34"),
        (Literal::decimal(-1_234), DataType::Decimal128(38, 2), "-12.34"),
        (Literal::date(20_454), DataType::Date32, "2026-01-01"),
        (
            Literal::time(3_600_000_001),
            DataType::Time64(TimeUnit::Microsecond),
            "01:00:00.000001",
        ),
        (
            Literal::timestamp(micros),
            DataType::Timestamp(TimeUnit::Microsecond, None),
            "2026-01-01T00:00:00.000001",
        ),
        (
            Literal::timestamptz(micros),
            DataType::Timestamp(TimeUnit::Microsecond, utc()),
            "2026-01-01T00:00:00.000001Z",
        ),
        (
            Literal::long(micros * 1_000 + 7),
            DataType::Timestamp(TimeUnit::Nanosecond, utc()),
            "2026-01-01T00:00:00.000001007Z",
        ),
        (Literal::string("a/b=c"), DataType::Utf8, "a/b=c"),
        (Literal::string(""), DataType::Utf8, ""),
        (Literal::binary(vec![0, 255, 16]), DataType::Binary, "00ff10"),
        (Literal::fixed(vec![1, 171]), DataType::FixedSizeBinary(2), "01ab"),
        (
            Literal::Primitive(PrimitiveLiteral::UInt128(0x0123_4567_89ab_cdef)),
            DataType::FixedSizeBinary(16),
            "00000000000000000123456789abcdef",
        ),
    ] {
        let value = array(Some(&literal), &of).unwrap_or_else(|error| panic!("{literal:?} as {of}: {error}"));
        assert_eq!((value.data_type(), value.len()), (&of, 1), "{literal:?}");
        assert_eq!(array_value_to_string(&value, 0).expect("text"), wanted, "{literal:?}");
        let null = array(None, &of).expect("a null");
        assert_eq!((null.data_type(), null.len(), null.null_count()), (&of, 1, 1));
    }
    for (literal, of) in [
        (Literal::string("x"), DataType::Int32),
        (Literal::long(1_i64 << 40), DataType::Int32),
        (Literal::fixed(vec![1, 171]), DataType::FixedSizeBinary(3)),
        (Literal::decimal(1), DataType::Int64),
    ] {
        assert!(array(Some(&literal), &of).is_err(), "{literal:?} as {of}");
    }
}

/// A file that nobody reads, of ten rows and with these counts of nulls by field id.
fn file(number: usize, flag: Option<bool>, nulls: &[(i32, u64)]) -> Added {
    let partition = [Some(Literal::int(5)), Some(Literal::int(1)), flag.map(Literal::bool)];
    let file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_format(DataFileFormat::Parquet)
        .file_path(format!("memory://lake/{number}.parquet"))
        .file_size_in_bytes(1_000)
        .record_count(10)
        .partition(Struct::from_iter(partition))
        .partition_spec_id(0)
        .null_value_counts(nulls.iter().copied().collect::<HashMap<i32, u64>>())
        .build()
        .expect("a description");
    Added::new(file, 0)
}

// Goal: the partition is asked where the file may lack a column, and nowhere else. Method: files whose nulls are counted and are not,
// beside partitions with a value and without.
#[tokio::test]
async fn columns_that_a_file_may_lack_are_told() {
    let spec = [
        (9, "version", Transform::Identity),
        (1, "id_bucket", Transform::Bucket(4)),
        (7, "flag", Transform::Identity),
    ];
    let lake = Lake::new(&spec, &[]).await;
    // A partition's value, nulls that are counted by column, and what is told.
    type Case = (Option<bool>, &'static [(i32, u64)], &'static str);
    let cases: [Case; 6] = [
        (Some(true), &[], "flag=true version=5"),
        (Some(true), &[(1, 0), (2, 3)], "flag=true version=5"),
        (Some(true), &[(7, 0), (9, 0)], ""),
        // They cannot all be null in such a partition.
        (Some(false), &[(7, 10), (9, 3)], "flag=false"),
        (None, &[(9, 0)], "flag="),
        (None, &[(7, 10), (9, 0)], ""),
    ];
    let files = cases.iter().enumerate();
    let files = files.map(|(number, (flag, nulls, _))| file(number, *flag, nulls));
    lake.commit(&Change::append(files.collect())).await.expect("a commit");
    let table = lake.table().await;
    let arrow = to_arrow(table.metadata.current_schema()).expect("a schema");
    let columns = PartitionColumns::new(&table.metadata, &arrow);
    let planned = Scan::new(&lake.store, &table.metadata).plan().await.expect("a plan");
    assert_eq!(planned.len(), cases.len());
    for file in planned {
        let told = columns.of(&file).expect("constants").into_iter().map(|constant| {
            let field = arrow.field(constant.column);
            assert_eq!(field_id(field), Some(constant.field_id));
            let value = array_value_to_string(&constant.value, 0).expect("text");
            format!("{}={value}", field.name())
        });
        let told = told.collect::<Vec<_>>().join(" ");
        let number = file
            .path
            .trim_start_matches("memory://lake/")
            .trim_end_matches(".parquet");
        let (_, _, wanted) = cases[number.parse::<usize>().expect("a number")];
        assert_eq!(told, wanted, "{}", file.path);
    }
}
