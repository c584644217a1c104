use datafusion::arrow::array::{AsArray, Int64Array, UInt64Array};
use tidewater_core::{Coded, Rng, SeededRng};

use super::*;
use crate::testing::Lake;

const LARGEST: &str = "9223372036854775807";

fn numbers(values: Vec<Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

/// Of any size, or none.
fn number(rng: &SeededRng) -> Option<u64> {
    let bits = u32::try_from(rng.below(70)).ok()?;
    rng.next_u64().checked_shr(bits)
}

// Goal: sums of 64 bits are those of 128. Method: random numbers of all sizes, some null, beside their sum by one and one; the same of
// numbers without a sign.
#[test]
fn halves_make_the_whole() {
    let rng = SeededRng::new(11);
    for length in [0, 1, 7, 1000, BLOCK, BLOCK + 1] {
        let values: Vec<Option<u64>> = (0..length).map(|_| number(&rng)).collect();
        let unsigned: i128 = values.iter().flatten().map(|value| i128::from(*value)).sum();
        let signed: i128 = values
            .iter()
            .flatten()
            .map(|value| i128::from(value.cast_signed()))
            .sum();
        let as_signed = values.iter().map(|value| value.map(u64::cast_signed)).collect();
        assert_eq!(
            total(numbers(as_signed).as_primitive::<Int64Type>()),
            signed,
            "{length}"
        );
        assert_eq!(total(&UInt64Array::from(values)), unsigned, "{length}");
    }
    let ends = numbers(vec![Some(i64::MIN); 3]);
    assert_eq!(total(ends.as_primitive::<Int64Type>()), 3 * i128::from(i64::MIN));
}

// Goal: a sum is right as long as it fits, whatever was on the way. Method: rows that overflow and are taken back, of both kinds of sums;
// states of one that are merged into another.
#[test]
fn only_what_is_told_has_to_fit() {
    let largest = numbers(vec![Some(i64::MAX), None, Some(2)]);
    let less = numbers(vec![Some(-3)]);
    let kinds: [fn() -> Box<dyn Accumulator>; 2] = [
        || Box::new(Running::<Int64Type>::new()),
        || Box::new(Distinct::<Int64Type>::new()),
    ];
    for new in kinds {
        let mut sum = new();
        assert_eq!(sum.evaluate().expect("a sum"), ScalarValue::Int64(None));
        sum.update_batch(&[Arc::clone(&largest)]).expect("rows");
        assert!(sum.evaluate().is_err());
        sum.update_batch(&[Arc::clone(&less)]).expect("rows");
        assert_eq!(sum.evaluate().expect("a sum"), ScalarValue::Int64(Some(i64::MAX - 1)));
        let states = sum.state().expect("a state");
        let states: Vec<ArrayRef> = states.iter().map(|state| state.to_array().expect("an array")).collect();
        let mut other = new();
        other.merge_batch(&states).expect("a state");
        assert_eq!(other.evaluate().expect("a sum"), ScalarValue::Int64(Some(i64::MAX - 1)));
        sum.retract_batch(&[Arc::clone(&largest)]).expect("rows");
        assert_eq!(sum.evaluate().expect("a sum"), ScalarValue::Int64(Some(-3)));
        sum.retract_batch(&[Arc::clone(&less)]).expect("rows");
        assert_eq!(sum.evaluate().expect("a sum"), ScalarValue::Int64(None));
    }
}

// Goal: a sum of whole numbers that is too large is an error in every form, also of a plan that travelled. Method: each form over rows of
// which two are too large together.
#[tokio::test]
async fn what_is_too_large_is_refused() {
    let lake = Lake::new();
    let rows = format!("FROM (VALUES (1, {LARGEST}), (1, 1), (2, -5), (2, NULL), (3, 7)) AS v (k, x)");
    for columns in [
        format!("sum(x) {rows}"),
        format!("k, sum(x) {rows} GROUP BY k"),
        format!("k, sum(-x) - 2 {rows} GROUP BY k HAVING sum(-x - 1) < 0"),
        format!("sum(DISTINCT x) {rows} WHERE k = 1"),
        format!("k, sum(DISTINCT x), count(DISTINCT k + x % 2) {rows} GROUP BY k"),
        format!("sum(x) FILTER (WHERE k < 2) {rows}"),
        format!("sum(x) OVER (PARTITION BY k) {rows}"),
        format!("sum(x) OVER (ORDER BY k, x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) {rows} WHERE k = 1"),
        format!("sum(x) OVER (ORDER BY k, x ROWS UNBOUNDED PRECEDING) {rows} WHERE k = 1"),
    ] {
        let sql = format!("SELECT {columns}");
        let error = lake.refused(&sql).await;
        assert_eq!(error.code(), "ENG-0003", "{sql}");
        assert!(format!("{error:?}").contains("bigint out of range"), "{sql}: {error:?}");
        let error = lake.travelled(&sql).await.expect_err(&sql);
        assert!(format!("{error:?}").contains("bigint out of range"), "{sql}: {error:?}");
    }
}

// Goal: sums that fit are told, of other numbers too. Method: each form, of rows that are too large together and apart are not, and the
// answers by hand; in this process and of a plan that travelled.
#[tokio::test]
async fn what_fits_is_told() {
    let lake = Lake::new();
    let rows = format!("FROM (VALUES (1, {LARGEST}), (2, -5), (2, NULL), (3, 7), (3, 7)) AS v (k, x)");
    for (columns, wanted) in [
        (
            format!("k, sum(x) {rows} GROUP BY k"),
            vec![format!("1,{LARGEST}"), "2,-5".into(), "3,14".into()],
        ),
        (
            format!("k, sum(DISTINCT x), count(DISTINCT x) {rows} GROUP BY k"),
            vec![format!("1,{LARGEST},1"), "2,-5,1".into(), "3,7,1".into()],
        ),
        (format!("sum(x) {rows} WHERE k = 2 AND x IS NULL"), vec![String::new()]),
        (
            format!(
                "k, sum(x) OVER (ORDER BY k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) {rows} WHERE x IS NULL OR x > 7"
            ),
            vec![format!("1,{LARGEST}"), format!("2,{LARGEST}")],
        ),
        (
            format!(
                "k, sum(DISTINCT x) OVER (ORDER BY k RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) {rows} WHERE k > 1"
            ),
            vec!["2,-5".into(), "2,-5".into(), "3,2".into(), "3,2".into()],
        ),
        (
            "sum(CAST(x AS decimal(10, 2))), sum(y) FROM (VALUES (1, 1.5::double), (2, 2.0::double)) AS v (x, y)"
                .to_owned(),
            vec!["3.00,3.5".into()],
        ),
    ] {
        let sql = format!("SELECT {columns}");
        assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        assert_eq!(lake.travelled(&sql).await.expect("an answer"), wanted, "{sql}");
    }
}
