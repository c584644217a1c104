use std::sync::Arc;

use datafusion::arrow::array::{Decimal128Array, Float64Array, RecordBatch};
use datafusion::common::ScalarValue;
use proptest::prelude::*;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};

use super::read;
use crate::testing::Lake;

/// Amounts that no floating-point number is, each as text, as a decimal and as the nearest floating-point number.
async fn lake() -> (Lake, Vec<String>) {
    let lake = Lake::new();
    let decimal = PrimitiveType::Decimal {
        precision: 12,
        scale: 2,
    };
    let fields = [
        NestedField::optional(1, "amount", Type::Primitive(decimal)).into(),
        NestedField::optional(2, "rate", Type::Primitive(PrimitiveType::Double)).into(),
    ];
    lake.create(
        "gold.bills",
        Schema::builder().with_fields(fields).build().expect("a schema"),
        None,
    )
    .await;
    let cents: Vec<i128> = (0..400)
        .map(|i| 123_456_789 + i * 7_777_777)
        .chain([1, 10, 29, -29, 4_503_599_627])
        .collect();
    let amounts = Decimal128Array::from(cents.clone())
        .with_precision_and_scale(12, 2)
        .expect("decimals");
    let rates: Float64Array = cents.iter().map(|cents| Some(*cents as f64 / 100.0)).collect();
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("amount", Arc::new(amounts) as _, true),
        ("rate", Arc::new(rates) as _, true),
    ]);
    lake.append("gold.bills", rows.expect("rows")).await;
    let text = |cents: &i128| {
        let sign = if *cents < 0 { "-" } else { "" };
        format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
    };
    (lake, cents.iter().map(text).collect())
}

// Goal: a number finds the rows that have it, in every comparison. Method: each amount is asked for as it is written.
#[tokio::test]
async fn amounts_are_found_as_they_are_written() {
    let (lake, amounts) = lake().await;
    for amount in amounts.iter().skip(300) {
        for condition in [
            format!("amount = {amount}"),
            format!("{amount} = amount"),
            format!("amount IN ({amount}, 0.5)"),
            format!("amount BETWEEN {amount} AND {amount}"),
            format!("amount >= {amount} AND NOT amount > {amount}"),
            format!("b.amount IS NOT DISTINCT FROM {amount}"),
            format!("rate = {amount}"),
        ] {
            let sql = format!("select count(*) from bills b where {condition}");
            assert_eq!(lake.lines(&sql).await, ["1"], "{sql}");
        }
    }
}

// Goal: other places and more digits keep their meaning. Method: a table of them.
#[tokio::test]
async fn other_numbers_are_left_alone() {
    let (lake, _) = lake().await;
    for (sql, wanted) in [
        ("select arrow_typeof(1.5)", "Float64"),
        ("select arrow_typeof(amount * 1.5) from bills limit 1", "Float64"),
        ("select count(*) from bills where amount = 0.295", "0"),
        (
            "select count(*) from bills where amount > 0.285 and amount < 0.295",
            "1",
        ),
        ("select count(*) from bills where amount < 1e30", "405"),
        (
            "select count(*) from bills where amount > -0.295 and amount < -0.285",
            "1",
        ),
        ("select max(cast(amount = 0.29 as int)) from bills", "1"),
        (
            "select count(*) from bills a join bills b on a.amount = b.amount and a.amount = 0.29",
            "1",
        ),
        (
            "select count(*) from bills where amount in (select amount from bills where amount = 0.29)",
            "1",
        ),
        (
            "select count(*) from bills group by amount = 0.29 having count(*) = 1.0",
            "1",
        ),
    ] {
        assert_eq!(lake.lines(sql).await, [wanted], "{sql}");
    }
    let plan = lake
        .lines("explain select * from bills where amount = 1234567.89")
        .await
        .join("\n");
    assert!(!plan.contains("CAST(amount"), "the column is cast: {plan}");
    let none = lake
        .lines("explain analyze select * from bills where amount = 0.31")
        .await
        .join("\n");
    assert!(none.contains("predicate="), "{none}");
}

proptest! {
    // Goal: what is written is what is read. Method: numbers of up to fifteen digits as text and as literals.
    #[test]
    fn numbers_are_read_as_written(digits in -999_999_999_999_999_i64..1_000_000_000_000_000, scale in 0_i8..6) {
        let sign = if digits < 0 { "-" } else { "" };
        let padded = format!("{:06}", digits.unsigned_abs());
        let (whole, fraction) = padded.split_at(padded.len() - usize::try_from(scale).expect("small"));
        let value: f64 = format!("{sign}{whole}.{fraction}0").parse().expect("a number");
        let found = read(value, 38, scale);
        prop_assert_eq!(found, Some(ScalarValue::Decimal128(Some(i128::from(digits)), 38, scale)));
    }
}

// Goal: quotients of decimals have digits enough to be reckoned with, where they fit. Method: a table of them, the values by hand.
#[tokio::test]
async fn quotients_have_digits() {
    let lake = Lake::new();
    let (ten, three) = ("cast(10 as decimal(12, 2))", "cast(3 as decimal(12, 2))");
    let (wide, widest) = ("cast(10 as decimal(30, 2))", "cast(10 as decimal(38, 2))");
    for (sql, wanted) in [
        (format!("{ten} / 3"), "3.333333333333"),
        (format!("1 / {three}"), "0.333333333333"),
        (format!("{ten} / {three} * 100"), "333.333333333300"),
        (
            format!("{ten} / {three} * ({ten} / {three}) * ({ten} / {three})"),
            "37.037037037025925925925927037037037037",
        ),
        (format!("{wide} / {three}"), "3.33333333"),
        (format!("{widest} / {three}"), "3.333333"),
        (
            format!("cast('99999999999999999999' as decimal(20, 0)) / {three}"),
            "33333333333333333333.000000000000",
        ),
        (format!("- {ten} / {three}"), "-3.333333333333"),
        (format!("arrow_typeof({ten} / 4e0)"), "Float64"),
        ("7 / 2".to_owned(), "3"),
        (format!("{ten} / null"), ""),
    ] {
        assert_eq!(lake.lines(&format!("select {sql}")).await, [wanted], "{sql}");
    }
}
