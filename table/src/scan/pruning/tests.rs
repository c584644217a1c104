use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Struct};

use super::*;
use crate::predicate::Comparison;

/// A file of ten rows, of whose column 1 so many are told to be null.
fn file(nulls: u64, lower: Datum, upper: Datum) -> DataFile {
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_format(DataFileFormat::Parquet)
        .file_path("memory://lake/file".to_owned())
        .partition(Struct::empty())
        .partition_spec_id(0)
        .record_count(10)
        .file_size_in_bytes(1_000)
        .value_counts([(1, 10)].into())
        .null_value_counts([(1, nulls)].into())
        .lower_bounds([(1, lower)].into())
        .upper_bounds([(1, upper)].into())
        .build()
        .expect("a file")
}

fn column(nulls: u64, lower: Datum, upper: Datum) -> Range {
    of_column(&Description::from(file(nulls, lower, upper)), 1)
}

fn summary(lower: &Datum, upper: &Datum) -> Range {
    let summary = FieldSummary {
        contains_null: false,
        contains_nan: None,
        lower_bound: Some(lower.to_bytes().expect("bytes")),
        upper_bound: Some(upper.to_bytes().expect("bytes")),
    };
    of_summary(&summary, lower.data_type())
}

fn equal(value: Datum) -> Leaf {
    Leaf::Compare(Comparison::Equal, value)
}

fn uuid(value: u128) -> Datum {
    Datum::uuid(uuid::Uuid::from_u128(value))
}

fn decimal(unscaled: i32) -> Datum {
    let kind = PrimitiveType::Decimal { precision: 9, scale: 2 };
    Datum::try_from_bytes(&unscaled.to_be_bytes(), kind).expect("a decimal")
}

// Goal: bounds that bound nothing keep files and manifests, those that do leave them out, and of neither is more told than is known.
// Method: UUIDs in an order that Java has and we have not, decimals with the greatest first, and numbers, in files and in summaries.
#[test]
fn bounds_without_an_order_tell_nothing() {
    let (low, high) = (uuid(0x7f << 120), uuid(0x80 << 120));
    for (lower, upper, value) in [
        (high.clone(), low.clone(), uuid(0x10 << 120)),
        (low, high, uuid(0x10 << 120)),
        (decimal(500), decimal(-700), decimal(3)),
        (Datum::long(9), Datum::long(-9), Datum::long(100)),
    ] {
        let found = column(0, lower.clone(), upper.clone());
        assert!(found.may(&equal(value.clone())), "{lower} to {upper}: {value}");
        assert!(!found.must(&Leaf::Compare(Comparison::NotEqual, value.clone())));
        assert!(summary(&lower, &upper).may(&equal(value)));
    }
    let found = column(0, Datum::long(-9), Datum::long(9));
    assert!(!found.may(&equal(Datum::long(100))) && found.may(&equal(Datum::long(9))));
    assert!(!summary(&decimal(-700), &decimal(500)).may(&equal(decimal(501))));
}

// Goal: a manifest whose list tells the beginning of its greatest text is kept for that text. Method: a text cut at 16 bytes, as DuckDB
// did, and a shorter one.
#[test]
fn texts_that_may_be_cut_bound_nothing_above() {
    let cut = summary(&Datum::string("0123456789abcdef"), &Datum::string("0123456789abcdef"));
    assert!(cut.may(&equal(Datum::string("0123456789abcdef0123"))));
    assert!(!cut.may(&equal(Datum::string("0"))), "the lower bound holds");
    let whole = summary(&Datum::string("a"), &Datum::string("berlin"));
    assert!(!whole.may(&equal(Datum::string("berlin0"))));
}

// Goal: a count of nulls that no file can have is not taken for a file of nulls only. Method: none, all and more than all.
#[test]
fn more_nulls_than_values_tell_nothing() {
    let told = |nulls| {
        let found = column(nulls, Datum::long(1), Datum::long(9));
        (found.may(&equal(Datum::long(5))), found.must(&Leaf::IsNull))
    };
    assert_eq!(
        [told(0), told(10), told(25)],
        [(true, false), (false, true), (true, false)]
    );
}
