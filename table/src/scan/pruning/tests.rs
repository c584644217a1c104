use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Struct};

use super::*;
use crate::predicate::Comparison;

/// A file of ten rows, of whose column 1 this is told.
fn file(values: u64, nulls: u64, lower: Option<Datum>, upper: Option<Datum>) -> DataFile {
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_format(DataFileFormat::Parquet)
        .file_path("memory://lake/file".to_owned())
        .partition(Struct::empty())
        .partition_spec_id(0)
        .record_count(10)
        .file_size_in_bytes(1_000)
        .value_counts([(1, values)].into())
        .null_value_counts([(1, nulls)].into())
        .lower_bounds(lower.map(|lower| (1, lower)).into_iter().collect())
        .upper_bounds(upper.map(|upper| (1, upper)).into_iter().collect())
        .build()
        .expect("a file")
}

fn column(lower: Datum, upper: Datum) -> Range {
    of_column(&Description::from(file(10, 0, Some(lower), Some(upper))), 1)
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
        let found = column(lower.clone(), upper.clone());
        assert!(found.may(&equal(value.clone())), "{lower} to {upper}: {value}");
        assert!(!found.must(&Leaf::Compare(Comparison::NotEqual, value.clone())));
        assert!(summary(&lower, &upper).may(&equal(value)));
    }
    let found = column(Datum::long(-9), Datum::long(9));
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

// Goal: counts that are not of a file's rows tell nothing of its nulls, and others do. Method: none, some, all and too many nulls; values
// counted without nulls, those of more files and none at all; a bound in a file of nulls only.
#[test]
fn counts_of_other_rows_tell_nothing() {
    let told = |values, nulls, least: Option<i64>| {
        let file = file(values, nulls, least.map(Datum::long), least.map(|_| Datum::long(9)));
        let found = of_column(&Description::from(file), 1);
        let may = [Leaf::IsNull, Leaf::NotNull].map(|leaf| found.may(&leaf));
        let must = [Leaf::IsNull, Leaf::NotNull].map(|leaf| found.must(&leaf));
        (may, must)
    };
    assert_eq!(told(10, 0, Some(1)), ([false, true], [false, true]));
    assert_eq!(told(10, 3, Some(1)), ([true, true], [false, false]));
    assert_eq!(told(10, 10, None), ([true, false], [true, false]));
    for (values, nulls, least) in [
        (10, 25, Some(1)),
        (5, 5, Some(1)),
        (30, 0, Some(1)),
        (0, 0, None),
        (10, 10, Some(1)),
    ] {
        assert_eq!(
            told(values, nulls, least),
            ([true, true], [false, false]),
            "{nulls} of {values}"
        );
    }
}
